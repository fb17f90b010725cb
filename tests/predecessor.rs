//! What went wrong in Seldon Core v1's Kafka executor does not go wrong here, one by one: how it fails on records, models and
//! brokers, how it stops, and its proven weaknesses K1 to K11.
//!
//! | here | there |
//! |---|---|
//! | `k1_…` | offsets are committed before the work is done |
//! | `k2_…` | what fails is dropped: no retry, no record of it |
//! | `k3_…` | nobody asks whether an output was stored |
//! | `k4_…` | brokers that blink leave a process that never consumes again and calls itself well |
//! | `k5_…` | one bad record crashes the process, again and again |
//! | `k6_…` | v2 over gRPC drops every record |
//! | `k7_…` | no order, unless one request runs at a time |
//! | `k8_…` | commits in order of completion: back over finished records, forward over running ones |
//! | `k9_…` | one slow record stops the poll loop, and the group is left |
//! | `k10_…` | gRPC clients share an unlocked map: concurrent calls are fatal |
//! | `k11_…` | calls share a mutable client: numbers of one model are counted for another |
//! | the others | single rows of how it fails and stops |

mod support;

use std::sync::LazyLock;
use std::time::Duration;

use support::kafka::Broker;
use support::requests::Protocol;
use support::scenario::Scenario;
use support::send::Draft;
use support::service::Service;
use support::wait;

static BROKER: LazyLock<Broker> = LazyLock::new(Broker::plain);
const SOON: Duration = Duration::from_mins(1);

#[test]
fn k1_nothing_is_committed_before_its_answer_is_stored() {
    let scenario = Scenario::new(&BROKER, "k1", 1);
    scenario.add_one.change(|rules| rules.hang_all = true);
    let sent = scenario.requests().send(&BROKER, &scenario.input, 50);
    let service = Service::start(&scenario.config());
    wait::until_true(SOON, "calls run", || scenario.add_one.running() > 0);
    // Several times the commit interval.
    wait::holds_for(Duration::from_secs(3), "nothing is committed", || {
        BROKER.committed(&scenario.group, &scenario.input)[0].is_none_or(|next| next == 0)
    });
    service.kill();
    scenario.add_one.change(|rules| rules.hang_all = false);
    let service = Service::start(&scenario.config());
    scenario.gather(&sent, SOON).none_lost().none_dead_lettered();
    service.stop();
}

#[test]
fn k2_what_fails_is_tried_again_and_what_cannot_succeed_is_kept_with_its_reason() {
    let scenario = Scenario::new(&BROKER, "k2", 1);
    scenario.double.change(|rules| {
        rules.fail_every = 5;
        rules.fail.push((r#""key":"k3""#.into(), 400, r#"{"error":"no such thing"}"#.into()));
    });
    let sent = scenario.requests().keys(10).send(&BROKER, &scenario.input, 100);
    let service = Service::start(&scenario.config().set("nodes/double/retry/attempts", 20));
    let report = scenario.gather(&sent, SOON);
    report.none_lost().in_order();
    assert_eq!((report.answered, report.dead_lettered.len()), (90, 10), "only what is refused is dead-lettered");
    let mut dead = scenario.dead_letters();
    let letter = &dead.read_to_end()[0];
    assert_eq!(letter.must_have("millrace-error-status"), "400");
    assert!(letter.must_have("millrace-error-body").contains("no such thing"));
    service.stop();
}

#[test]
fn k3_an_answer_that_the_broker_does_not_store_holds_its_offset() {
    let broker = Broker::plain();
    let scenario = Scenario::new(&broker, "k3", 1);
    let service = Service::start(&scenario.config());
    let load = scenario.requests().start(&broker, &scenario.input, 100);
    wait::until_true(SOON, "requests are answered", || service.outcomes("answered") > 50);
    broker.signal(1, "KILL");
    wait::let_pass(Duration::from_secs(3));
    broker.start_again();
    let sent = load.stop();
    scenario.gather(&sent, SOON).none_lost().none_dead_lettered().in_order();
    service.stop();
}

#[test]
fn k4_brokers_that_blink_leave_no_zombie() {
    let broker = Broker::plain();
    let scenario = Scenario::new(&broker, "k4", 1);
    let service = Service::start(&scenario.config());
    for round in 0..2 {
        broker.signal(1, "KILL");
        wait::until_true(SOON, "readiness says so", || service.readiness().is_some_and(|readiness| !readiness.ready));
        broker.start_again();
        let sent = support::load::Requests::new(&format!("k4-{round}")).send(&broker, &scenario.input, 20);
        wait::until_true(SOON, "it consumes again", || service.outcomes("answered") >= 20 * (round + 1));
        assert_eq!(sent.len(), 20);
    }
    service.stop();
}

#[test]
fn k5_no_record_crashes_the_process() {
    let bad: [(Protocol, Draft); 8] = [
        (Protocol::Tensorflow, Draft::value("[]")),
        (Protocol::Tensorflow, Draft::value("1")),
        (Protocol::V2, Draft::value(r#""x""#)),
        (Protocol::V2, Draft::value("null")),
        (Protocol::Seldon, Draft::null()),
        (Protocol::Seldon, Draft::value("\u{1}").header("proto-name", "no.such.Message")),
        (Protocol::Seldon, Draft::value("\u{1}").header("proto-name", "tensorflow.PredictRequest")),
        (Protocol::Tensorflow, Draft::value("{}").header("no\tname", "\u{7}")),
    ];
    for protocol in [Protocol::Seldon, Protocol::Tensorflow, Protocol::V2] {
        let scenario = Scenario::new(&BROKER, "k5", 1).protocol(protocol);
        let drafts: Vec<Draft> = bad.iter().filter(|(of, _)| *of == protocol).map(|(_, draft)| draft.clone()).collect();
        BROKER.send(&scenario.input, &drafts);
        let sent = scenario.requests().send(&BROKER, &scenario.input, 10);
        let mut service = Service::start(&scenario.config());
        wait::until_true(SOON, "what is good is answered", || service.outcomes("answered") >= sent.len() as u64);
        BROKER.wait_for_no_lag(&scenario.group, &scenario.input, SOON);
        assert_eq!(scenario.dead_letters().read_to_end().len(), drafts.len());
        assert!(service.has_ended().is_none());
        assert_eq!(service.actors().iter().map(|actor| actor.restarts.count).sum::<u64>(), 0, "no actor panicked");
        service.stop();
    }
}

#[test]
fn k6_v2_over_grpc_is_answered() {
    use millrace_proto::inference::{ModelInferRequest, ModelInferResponse};
    use prost::Message;
    let model = support::grpc_models::GrpcModel::answering("echo", |_, body, _| {
        let request = ModelInferRequest::decode(body).map_err(|error| (3, error.to_string()))?;
        let reply = ModelInferResponse { model_name: request.model_name, id: request.id, ..Default::default() };
        Ok(reply.encode_to_vec().into())
    });
    let scenario = Scenario::new(&BROKER, "k6", 1).protocol(Protocol::V2);
    let request = ModelInferRequest { id: "7".into(), ..Default::default() }.encode_to_vec();
    let draft = Draft::value(request).key("k").header("proto-name", "inference.ModelInferRequest");
    BROKER.send(&scenario.input, &[draft]);
    let config = scenario
        .config()
        .without("nodes/double")
        .without("nodes/add-one")
        .set("transport", "grpc")
        .set("graph", serde_json::json!({"name": "echo", "type": "MODEL"}))
        .set("nodes/echo/endpoint", model.endpoint());
    let service = Service::start(&config);
    let mut outputs = scenario.outputs();
    let answer = &outputs.expect(1, SOON)[0];
    assert_eq!(answer.must_have("proto-name"), "inference.ModelInferResponse");
    let reply = ModelInferResponse::decode(answer.value.as_deref().unwrap_or_default()).expect("it is one");
    assert_eq!((reply.model_name.as_str(), reply.id.as_str()), ("echo", "7"));
    service.stop();
}

#[test]
fn k7_requests_of_a_key_stay_in_order_while_many_run() {
    let scenario = Scenario::new(&BROKER, "k7", 2);
    scenario.double.change(|rules| rules.delay = Duration::from_millis(20));
    let sent = scenario.requests().keys(30).send(&BROKER, &scenario.input, 900);
    let service = Service::start(&scenario.config());
    scenario.gather(&sent, SOON).none_lost().none_duplicated().in_order();
    assert!(scenario.double.most_running() > 8, "no more than {} ran at a time", scenario.double.most_running());
    service.stop();
}

#[test]
fn k8_a_commit_neither_passes_a_running_record_nor_goes_back() {
    let scenario = Scenario::new(&BROKER, "k8", 1);
    scenario.double.change(|rules| rules.hang.push(r#""key":"k0""#.into()));
    let sent = scenario.requests().keys(10).send(&BROKER, &scenario.input, 200);
    let first = sent.iter().find(|sent| sent.key == "k0").expect("there is one").place.offset;
    let config = scenario.config().set("nodes/double/timeout", "60s");
    let service = Service::start(&config);
    wait::until_true(SOON, "the others are answered", || service.outcomes("answered") >= 180);
    wait::until_true(SOON, "what lies before is committed", || {
        BROKER.committed(&scenario.group, &scenario.input)[0] == Some(first)
    });
    wait::holds_for(Duration::from_secs(2), "the commit stays", || {
        BROKER.committed(&scenario.group, &scenario.input)[0] == Some(first)
    });
    service.kill();
    scenario.double.change(|rules| rules.hang.clear());
    let service = Service::start(&config);
    scenario.gather(&sent, SOON).none_lost().none_dead_lettered().in_order();
    service.stop();
}

#[test]
fn k9_a_model_that_hangs_stops_neither_other_keys_nor_the_membership() {
    let scenario = Scenario::new(&BROKER, "k9", 1);
    scenario.double.change(|rules| rules.hang.push(r#""key":"k0""#.into()));
    let sent = scenario.requests().keys(10).send(&BROKER, &scenario.input, 200);
    // The group would be left after max.poll.interval.ms, 10 s.
    let service = Service::start(&scenario.config().set("nodes/double/timeout", "60s"));
    wait::until_true(SOON, "the others are answered", || service.outcomes("answered") >= 180);
    wait::holds_for(Duration::from_secs(15), "it stays a member", || {
        BROKER.group(&scenario.group).is_some_and(|group| group.members.len() == 1)
    });
    scenario.double.change(|rules| rules.hang.clear());
    scenario.gather(&sent, SOON).none_lost().none_dead_lettered().none_duplicated().in_order();
    service.stop();
}

#[test]
fn k10_many_first_calls_at_once_are_as_good_as_one() {
    let models = ["one", "two", "three"].map(support::grpc_models::GrpcModel::echo);
    let scenario = Scenario::new(&BROKER, "k10", 4).protocol(Protocol::V2);
    let body = || {
        use millrace_proto::inference::ModelInferRequest;
        prost::Message::encode_to_vec(&ModelInferRequest { id: "7".into(), ..Default::default() })
    };
    let draft = || Draft::value(body()).header("proto-name", "inference.ModelInferRequest");
    BROKER.send(&scenario.input, &(0..400).map(|_| draft()).collect::<Vec<_>>());
    let mut config = scenario
        .config()
        .without("nodes/double")
        .without("nodes/add-one")
        .set("transport", "grpc")
        .set("threads", 4)
        .set(
            "graph",
            serde_json::json!({"name": "one", "children": [{"name": "two", "children": [{"name": "three"}]}]}),
        );
    for model in &models {
        config = config.set(&format!("nodes/{}/endpoint", model.name()), model.endpoint());
    }
    let mut service = Service::start(&config);
    wait::until_true(SOON, "all have ended", || {
        service.outcomes("answered") + service.outcomes("dead_lettered") == 400
    });
    assert!(service.has_ended().is_none());
    service.stop();
}

#[test]
fn k11_what_is_counted_for_a_model_is_its_own() {
    let scenario = Scenario::new(&BROKER, "k11", 4);
    let sent = scenario.requests().keys(40).send(&BROKER, &scenario.input, 400);
    let service = Service::start(&scenario.config());
    scenario.gather(&sent, SOON).none_lost().none_duplicated();
    wait::until_true(SOON, "all is counted", || service.outcomes("answered") == 400);
    let metrics = service.metrics();
    for (name, model) in [("double", &scenario.double), ("add-one", &scenario.add_one)] {
        let counted = metrics.sum("seldon_api_executor_client_requests_seconds_count", &[("model_name", name)]);
        assert_eq!(counted as u64, model.calls(), "{name}");
    }
    service.stop();
}

#[test]
fn a_model_that_does_not_answer_with_200_or_is_away_loses_no_record() {
    let scenario = Scenario::new(&BROKER, "non-200", 1);
    scenario.double.change(|rules| rules.fail.push((String::new(), 204, String::new())));
    let sent = scenario.requests().send(&BROKER, &scenario.input, 10);
    let service = Service::start(&scenario.config());
    wait::until_true(SOON, "each has an end", || service.outcomes("dead_lettered") == 10);
    scenario.double.change(|rules| rules.fail.clear());
    scenario.double.down();
    let later = support::load::Requests::new("later").send(&BROKER, &scenario.input, 10);
    wait::holds_for(Duration::from_secs(2), "they wait", || service.outcomes("answered") == 0);
    scenario.double.up();
    wait::until_true(SOON, "they are answered", || service.outcomes("answered") == later.len() as u64);
    assert_eq!(sent.len(), 10);
    service.stop();
}

#[test]
fn a_header_that_http_cannot_carry_loses_no_record() {
    let scenario = Scenario::new(&BROKER, "header", 1);
    let body = scenario.protocol.body("odd", "k", 0, 20);
    BROKER.send(&scenario.input, &[Draft::value(body).key("k").header("a b\n", "x\ny")]);
    let service = Service::start(&scenario.config());
    scenario.outputs().expect(1, SOON);
    service.stop();
}

#[test]
fn a_graph_that_is_slow_to_start_costs_no_membership() {
    let scenario = Scenario::new(&BROKER, "slow-start", 1);
    scenario.double.down();
    let sent = scenario.requests().send(&BROKER, &scenario.input, 50);
    let service = support::service::Launch::with(&scenario.config()).spawn();
    wait::until_true(SOON, "it has joined", || BROKER.group(&scenario.group).is_some_and(|g| g.members.len() == 1));
    // Longer than max.poll.interval.ms.
    wait::holds_for(Duration::from_secs(12), "it stays", || {
        BROKER.group(&scenario.group).is_some_and(|group| group.members.len() == 1)
    });
    scenario.double.up();
    scenario.gather(&sent, SOON).none_lost().none_dead_lettered().none_duplicated();
    service.stop();
}

#[test]
fn a_stop_under_load_neither_drops_what_runs_nor_forgets_to_commit() {
    let scenario = Scenario::new(&BROKER, "stop", 2);
    scenario.double.change(|rules| rules.delay = Duration::from_millis(50));
    let sent = scenario.requests().keys(40).send(&BROKER, &scenario.input, 1_000);
    let service = Service::start(&scenario.config());
    wait::until_true(SOON, "it works", || service.outcomes("answered") > 50);
    service.stop();
    let next = Service::start(&scenario.config());
    scenario.gather(&sent, SOON).none_lost().none_dead_lettered().none_duplicated().in_order();
    next.stop();
}
