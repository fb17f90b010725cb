//! The tests' own tools, tried on a real broker with a small loop in place of the service.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_proto::inference::{self, grpc_inference_service_client::GrpcInferenceServiceClient};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use support::check::gather;
use support::collect::{Collector, Record};
use support::config::Config;
use support::grpc_models::GrpcModel;
use support::http_client;
use support::kafka::Broker;
use support::metrics::Metrics;
use support::models::Model;
use support::requests::{Fields, Protocol, read_answer};
use support::scenario::{Scenario, chained};
use support::send::{Draft, Place, Sender, in_order};
use support::{topics, wait};

/// Calls both models for each record, in order, and writes the answers. Drops or repeats what `mistreat` says.
fn stand_in(scenario: &Scenario<'_>, count: usize, mistreat: impl Fn(usize) -> usize) {
    let mut input = Collector::open(scenario.broker, &scenario.input);
    let records: Vec<Record> = input.expect(count, Duration::from_secs(20)).to_vec();
    let sender = Sender::new(scenario.broker, &scenario.output);
    for (i, record) in records.iter().enumerate() {
        let mut text = record.text();
        for model in [&scenario.double, &scenario.add_one] {
            let path = match scenario.protocol {
                Protocol::Seldon => "/predict".to_owned(),
                Protocol::Tensorflow => format!("/v1/models/{}:predict", model.name()),
                Protocol::V2 => format!("/v2/models/{}/infer", model.name()),
            };
            text = text.replace(r#""predictions""#, r#""instances""#).replace(r#""outputs""#, r#""inputs""#);
            let answer = http_client::post(model.port, &path, &text).expect("the model answers");
            assert_eq!(answer.status, 200, "{}", answer.body);
            text = answer.body;
        }
        let draft = Draft { key: record.key.clone(), headers: record.headers.clone(), ..Draft::value(text) };
        for _ in 0..mistreat(i) {
            sender.send(&draft);
        }
    }
    sender.places(Duration::from_secs(20));
}

#[test]
fn a_request_goes_through_broker_and_models_and_is_found_again() {
    let broker = Broker::plain();
    for protocol in [Protocol::Seldon, Protocol::Tensorflow, Protocol::V2] {
        let scenario = Scenario::new(&broker, "selftest", 3).protocol(protocol);
        scenario.add_one.change(|rules| rules.chunked = true);
        let sent = scenario.requests().keys(7).send(&broker, &scenario.input, 100);
        stand_in(&scenario, 100, |_| 1);
        let report = scenario.gather(&sent, Duration::from_secs(20));
        report.none_lost().none_dead_lettered().none_duplicated().in_order();
        assert_eq!((report.answered, scenario.double.calls(), scenario.add_one.calls()), (100, 100, 100));
        assert_eq!(scenario.double.calls_of(&sent[0].id), 1);
    }

    // The check sees what it should: every tenth request lost, every seventh answered twice.
    let scenario = Scenario::new(&broker, "selftest-faults", 1);
    let sent = scenario.requests().keys(5).send(&broker, &scenario.input, 100);
    stand_in(&scenario, 100, |i| if i % 10 == 0 { 0 } else { 1 + usize::from(i % 7 == 0) });
    let dead = sent[0].clone();
    broker.send(&scenario.dead, &[Draft::value("{}").header("Seldon-Puid", dead.id.as_str())]);
    let limit = Duration::from_secs(1);
    let report = gather(&sent, &mut scenario.outputs(), &mut scenario.dead_letters(), limit, chained);
    let counts =
        (report.answered, report.lost.len(), report.extra, report.duplicated.len(), report.dead_lettered.len());
    assert_eq!(counts, (90, 9, 13, 13, 1), "{report}");
    assert!(report.wrong.is_empty() && report.unknown.is_empty() && report.out_of_order.is_empty(), "{report}");
    // A chain with another arithmetic, and answers in another order.
    let wrong = gather(&sent, &mut scenario.outputs(), &mut scenario.dead_letters(), limit, |n| 2 * (n + 1));
    assert_eq!(wrong.wrong.len(), 90);
    let mut output = scenario.outputs();
    let mut turned = output.read_to_end().to_vec();
    let end = turned.len() as i64;
    for record in &mut turned {
        record.place.offset = end - record.place.offset;
    }
    assert!(!support::check::check(&sent, &turned, &[], chained).out_of_order.is_empty());

    groups_are_seen(&broker);
    brokers_can_be_hung_killed_and_brought_back(&broker);
}

fn groups_are_seen(broker: &Broker) {
    let (topic, group) = (topics::unique("groups"), topics::unique("group"));
    broker.create_topic(&topic, 2, &[("max.message.bytes", "2000000")]);
    assert_eq!(broker.topic_setting(&topic, "max.message.bytes"), "2000000");
    assert!(broker.topic_exists(&topic) && !broker.topic_exists("no-such-topic"));
    let drafts: Vec<Draft> =
        (0..10).map(|i| Draft::value("x").partition(i % 2).timestamp(1000 + i64::from(i))).collect();
    let places = broker.send(&topic, &drafts);
    assert_eq!(places[9], Place { partition: 1, offset: 4 });
    assert!(in_order(&places) && !in_order(&[places[2], places[0]]));
    assert_eq!(broker.watermarks(&topic), [(0, 5), (0, 5)]);
    assert_eq!((broker.committed(&group, &topic), broker.lag(&group, &topic)), (vec![None, None], 10));

    let mut config = topics::client(broker.bootstrap());
    config.set("group.id", &group).set("client.id", "looker").set("session.timeout.ms", "2000");
    let consumer: BaseConsumer = config.create().expect("the settings are right");
    consumer.subscribe(&[&topic]).expect("a sound name");
    wait::until_true(Duration::from_secs(20), "both partitions are held", || {
        drop(consumer.poll(Duration::from_millis(100)));
        let held = [(topic.clone(), 0), (topic.clone(), 1)];
        broker.group(&group).is_some_and(|g| g.members.len() == 1 && g.members[0].partitions == held)
    });
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&topic, 1, rdkafka::Offset::Offset(5)).expect("a sound list");
    consumer.commit(&list, CommitMode::Sync).expect("the coordinator answers");
    assert_eq!((broker.committed(&group, &topic), broker.lag(&group, &topic)), (vec![None, Some(5)], 5));

    broker.delete_records(&topic, 0, 3);
    assert_eq!(broker.watermarks(&topic)[0], (3, 5));
    let mut rest = Collector::open(broker, &topic);
    assert_eq!(rest.read_to_end().len(), 7);
    assert_eq!(rest.records.iter().map(|r| r.timestamp).max(), Some(1009));
}

fn brokers_can_be_hung_killed_and_brought_back(broker: &Broker) {
    let topic = topics::unique("away");
    broker.create_topic(&topic, 1, &[]);
    for (down, up) in [("STOP", Some("CONT")), ("KILL", None)] {
        broker.signal(1, down);
        let sender = Sender::new(broker, &topic);
        sender.send(&Draft::value(down));
        match up {
            Some(signal) => broker.signal(1, signal),
            None => broker.start_again(),
        }
        sender.places(Duration::from_secs(30));
    }
    let mut records = Collector::open(broker, &topic);
    let texts: Vec<String> = records.read_to_end().iter().map(Record::text).collect();
    assert_eq!(texts, ["STOP", "KILL"]);
}

#[test]
fn a_stub_model_misbehaves_as_it_is_told() {
    let model = Model::calculating("m", |n| n + 1);
    let ask =
        |id: &str| http_client::post(model.port, "/v1/models/m:predict", &Protocol::Tensorflow.body(id, "k", 0, 1));
    let n_of = |body: &str| read_answer(body).map(|fields| (fields.n, fields.changed.len()));
    assert_eq!(n_of(&ask("a").expect("it answers").body), Ok((2, 0)));
    assert_eq!(http_client::get(model.port, "/v1/models/m").expect("it answers").status, 200);
    assert_eq!(http_client::post(model.port, "/v1/models/other:predict", "{}").expect("it answers").status, 404);
    assert_eq!(http_client::post(model.port, "/v1/models/m:predict", "{}").expect("it answers").status, 400);

    model.change(|rules| rules.fail.push((r#""id":"b""#.to_owned(), 503, "busy".to_owned())));
    assert_eq!(ask("b").expect("it answers").status, 503);
    assert_eq!(ask("c").expect("it answers").status, 200);

    model.change(|rules| rules.hang.push(r#""id":"d""#.to_owned()));
    std::thread::scope(|scope| {
        let hanging = scope.spawn(|| ask("d"));
        wait::until_true(Duration::from_secs(5), "the call hangs", || model.running() == 1);
        assert_eq!(ask("e").expect("others go on").status, 200);
        assert!(!hanging.is_finished());
        model.change(|rules| rules.hang.clear());
        assert_eq!(hanging.join().expect("no panic").expect("it answers at last").status, 200);

        model.change(|rules| rules.hang_all = true);
        let reset = scope.spawn(|| ask("f"));
        wait::until_true(Duration::from_secs(5), "the call hangs", || model.running() == 1);
        model.down();
        assert!(reset.join().expect("no panic").is_err(), "the connection is reset");
    });
    assert!(ask("g").is_err(), "nothing listens");
    model.change(|rules| rules.hang_all = false);
    model.up();
    assert_eq!(ask("g").expect("it is back").status, 200);
    assert_eq!((model.calls_of("g"), model.running()), (1, 0));

    model.change(|rules| rules.ready = false);
    assert_eq!(http_client::get(model.port, "/v2/models/m/ready").expect("it answers").status, 503);
}

#[test]
fn a_grpc_stub_can_be_made_to_misbehave_and_to_behave_again() {
    let model = GrpcModel::calculating("m", |n| 2 * n);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // Another implementation's client, on a connection of its own each time.
    let infer = |id: &str| {
        let numbers = inference::InferTensorContents { int64_contents: vec![7], ..Default::default() };
        let tensor = inference::model_infer_request::InferInputTensor { contents: Some(numbers), ..Default::default() };
        let mut request = tonic::Request::new(inference::ModelInferRequest {
            id: id.to_owned(),
            inputs: vec![tensor],
            ..Default::default()
        });
        request.metadata_mut().insert("seldon-puid", id.parse().expect("it is text"));
        request.set_timeout(Duration::from_millis(500));
        let address = format!("http://{}", model.endpoint());
        runtime.block_on(async {
            let endpoint = tonic::transport::Endpoint::new(address).expect("an address");
            let channel = endpoint.connect().await.map_err(|_| tonic::Code::Unavailable)?;
            let reply = GrpcInferenceServiceClient::new(channel).model_infer(request).await;
            let outputs = reply.map_err(|status| status.code())?.into_inner().outputs;
            Ok::<_, tonic::Code>(outputs[0].contents.clone().expect("numbers").int64_contents)
        })
    };
    assert_eq!(infer("a"), Ok(vec![14]));
    model.change(|rules| rules.fail = vec![(b"b".to_vec(), 3, "no ü".to_owned())]);
    assert_eq!(infer("b"), Err(tonic::Code::InvalidArgument));
    model.change(|rules| rules.hang = vec![b"c".to_vec()]);
    assert_eq!((infer("c"), infer("a")), (Err(tonic::Code::Cancelled), Ok(vec![14])), "the client gives up");
    wait::until_true(Duration::from_secs(5), "the call that hung is gone", || model.running() == 0);
    model.down();
    assert_eq!(infer("a"), Err(tonic::Code::Unavailable));
    model.up();
    assert_eq!(infer("a"), Ok(vec![14]));
    assert_eq!((model.calls(), model.calls_of("a"), model.calls_of("c")), (5, 3, 1));
    assert_eq!(model.calls_at("/inference.GRPCInferenceService/ModelInfer"), 5);
    model.change(|rules| rules.answer = Some(Arc::new(|path, _, _| Err((7, path.to_owned())))));
    assert_eq!(infer("a"), Err(tonic::Code::PermissionDenied));
}

#[test]
fn a_stub_model_is_no_bottleneck() {
    let model = Model::echo("m");
    let body = Protocol::Seldon.body("a", "k", 0, 1);
    let begun = Instant::now();
    let threads = 4;
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| keep_alive_calls(model.port, &body, 2500));
        }
    });
    let rate = f64::from(threads * 2500) / begun.elapsed().as_secs_f64();
    eprintln!("{rate:.0} calls a second");
    assert!(rate > 2000.0, "{rate:.0} calls a second");
}

fn keep_alive_calls(port: u16, body: &str, count: u32) {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.set_nodelay(true).expect("a socket");
    let request = format!("POST /predict HTTP/1.1\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let mut answer = [0; 4096];
    for _ in 0..count {
        stream.write_all(request.as_bytes()).expect("it listens");
        let length = stream.read(&mut answer).expect("it answers");
        assert!(answer[..length].ends_with(body.as_bytes()));
    }
}

#[test]
fn texts_are_read_and_written_right() {
    let text = "# HELP a b\na 1\na{x=\"1\",y=\"a \\\"q\\\" b\"} 2.5\nb_bucket{le=\"+Inf\"} 3 1700000000000\nc +Inf\n";
    let metrics = Metrics::parse(text).expect("it is sound");
    assert!((metrics.sum("a", &[]) - 3.5).abs() < 1e-9);
    assert!((metrics.sum("a", &[("y", "a \"q\" b")]) - 2.5).abs() < 1e-9);
    assert!((metrics.sum("b_bucket", &[("le", "+Inf")]) - 3.0).abs() < 1e-9);
    assert!(metrics.has("c") && !metrics.has("d"));

    let config = Config::default().set("a/b", 1).set("a/c.d", "x: y").set("e", serde_json::json!([{"f": "g"}]));
    assert_eq!(config.yaml(), "a:\n  b: 1\n  c.d: \"x: y\"\ne: [{\"f\":\"g\"}]\n");
    assert_eq!(config.without("a/b").yaml(), "a:\n  c.d: \"x: y\"\ne: [{\"f\":\"g\"}]\n");

    let fields = Fields { id: "i".into(), key: "k".into(), seq: 3, n: 4, changed: vec![] };
    for protocol in [Protocol::Seldon, Protocol::Tensorflow, Protocol::V2] {
        let answer = protocol.body("i", "k", 3, 4).replace("instances", "predictions").replace("inputs", "outputs");
        assert_eq!(read_answer(&answer).as_ref(), Ok(&fields));
        let changed = read_answer(&answer.replace(":1.0,", ":1,")).expect("sound").changed;
        assert_eq!(changed, ["float"]);
    }
}
