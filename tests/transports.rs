//! REST and gRPC side by side: records that choose, nodes that are called one way only, and what cannot be converted.

mod support;

use std::sync::LazyLock;
use std::time::Duration;

use millrace_proto::inference::{ModelInferRequest, ModelInferResponse, model_infer_request, model_infer_response};
use prost::Message;
use serde_json::{Value, json};
use support::collect::Record;
use support::config::Config;
use support::grpc_models::GrpcModel;
use support::http_server::{Request, Response};
use support::kafka::Broker;
use support::models::Model;
use support::requests::Protocol;
use support::scenario::Scenario;
use support::send::Draft;
use support::service::{Launch, Service};
use support::wait;

static BROKER: LazyLock<Broker> = LazyLock::new(Broker::plain);
const SOON: Duration = Duration::from_secs(30);
const REQUEST: &str = "inference.ModelInferRequest";

/// Numbers that a detour over floating point would change.
const NUMBERS: [i64; 3] = [9_007_199_254_740_993, -1, i64::MAX];

fn config(scenario: &Scenario<'_>, nodes: &[(&str, &str, String)]) -> Config {
    let config = scenario.config().without("nodes/double").without("nodes/add-one");
    nodes.iter().fold(config, |config, (node, key, value)| config.set(&format!("nodes/{node}/{key}"), value.as_str()))
}

fn json_request() -> String {
    let data = NUMBERS.map(|n| n.to_string()).join(",");
    format!(r#"{{"id":"7","inputs":[{{"name":"x","shape":[3],"datatype":"INT64","data":[{data}]}}]}}"#)
}

fn proto_request() -> Vec<u8> {
    let raw = NUMBERS.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>();
    let input = model_infer_request::InferInputTensor {
        name: "x".into(),
        datatype: "INT64".into(),
        shape: vec![3],
        ..Default::default()
    };
    let request = ModelInferRequest {
        id: "7".into(),
        inputs: vec![input],
        raw_input_contents: vec![raw.into()],
        ..Default::default()
    };
    request.encode_to_vec()
}

/// A gRPC model that answers with its inputs, raw as Triton does, for its own name only.
fn grpc_echo(name: &'static str) -> GrpcModel {
    GrpcModel::answering(name, move |_, body, _| {
        let request = ModelInferRequest::decode(body).map_err(|error| (3, error.to_string()))?;
        if request.model_name != name {
            return Err((5, format!("there is no model {}", request.model_name)));
        }
        let typed = || {
            let contents = request.inputs[0].contents.clone().unwrap_or_default();
            contents.int64_contents.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>().into()
        };
        let raw = request.raw_input_contents.first().cloned().unwrap_or_else(typed);
        let tensor = &request.inputs[0];
        let output = model_infer_response::InferOutputTensor {
            name: tensor.name.clone(),
            datatype: tensor.datatype.clone(),
            shape: tensor.shape.clone(),
            ..Default::default()
        };
        let response = ModelInferResponse {
            model_name: name.into(),
            id: request.id,
            outputs: vec![output],
            raw_output_contents: vec![raw],
            ..Default::default()
        };
        Ok(response.encode_to_vec().into())
    })
}

fn json_numbers(record: &Record) -> Vec<i64> {
    let value: Value = serde_json::from_str(&record.text()).expect("JSON");
    assert_eq!(value["id"], "7");
    serde_json::from_value(value["outputs"][0]["data"].clone()).expect("numbers")
}

fn proto_numbers(record: &Record) -> Vec<i64> {
    assert_eq!(record.must_have("proto-name"), "inference.ModelInferResponse");
    let response = ModelInferResponse::decode(record.value.as_deref().expect("a value")).expect("a response");
    assert_eq!(response.id, "7");
    match response.raw_output_contents.first() {
        Some(raw) => raw.chunks(8).map(|bytes| i64::from_le_bytes(bytes.try_into().expect("eight"))).collect(),
        None => response.outputs[0].contents.clone().expect("contents").int64_contents,
    }
}

/// Sends both encodings and gives back the answers: of JSON, of protobuf.
fn both(scenario: &Scenario<'_>) -> [Record; 2] {
    let drafts = [
        Draft::value(json_request()).header("Seldon-Puid", "json").header("Content-Type", "application/json"),
        Draft::value(proto_request()).header("Seldon-Puid", "proto").header("proto-name", REQUEST),
    ];
    BROKER.send(&scenario.input, &drafts);
    let mut outputs = scenario.outputs();
    let records = outputs.expect(2, SOON);
    let of = |id: &str| records.iter().find(|r| r.must_have("Seldon-Puid") == id).expect("an answer").clone();
    [of("json"), of("proto")]
}

#[test]
fn a_record_may_choose_the_transport_of_its_calls() {
    let scenario = Scenario::new(&BROKER, "choose", 1).protocol(Protocol::V2);
    let (rest, grpc) = (Model::echo("m"), grpc_echo("m"));
    let nodes = [("m", "endpoint", rest.endpoint()), ("m", "grpc_endpoint", grpc.endpoint())];
    let service = Service::start(&config(&scenario, &nodes).set("graph", json!({"name": "m", "type": "MODEL"})));
    let [json, proto] = both(&scenario);
    assert_eq!((json_numbers(&json), proto_numbers(&proto)), (NUMBERS.to_vec(), NUMBERS.to_vec()));
    assert_eq!((rest.calls(), grpc.calls()), (1, 1));
    assert_eq!(proto.must_have("content-type"), "application/protobuf");
    service.stop();
}

#[test]
fn a_chain_of_both_transports_takes_both_encodings() {
    let scenario = Scenario::new(&BROKER, "mixed", 1).protocol(Protocol::V2);
    let (first, second) = (Model::echo("first"), grpc_echo("second"));
    let nodes = [
        ("first", "transport", "rest".to_owned()),
        ("first", "endpoint", first.endpoint()),
        ("second", "transport", "grpc".to_owned()),
        ("second", "endpoint", second.endpoint()),
    ];
    let graph = json!({"name": "first", "type": "MODEL", "children": [{"name": "second", "type": "MODEL"}]});
    let _service = Service::start(&config(&scenario, &nodes).set("graph", graph));
    let [json, proto] = both(&scenario);
    assert_eq!((json_numbers(&json), proto_numbers(&proto)), (NUMBERS.to_vec(), NUMBERS.to_vec()));
    assert_eq!((first.calls(), second.calls()), (2, 2));
    assert_eq!(first.last().expect("a call").header("content-type"), Some("application/json"));
}

#[test]
fn raw_tensors_of_a_reply_reach_the_next_node() {
    let scenario = Scenario::new(&BROKER, "raw", 1).protocol(Protocol::V2);
    let (first, second) = (grpc_echo("first"), grpc_echo("second"));
    let nodes = [("first", "endpoint", first.endpoint()), ("second", "endpoint", second.endpoint())];
    let graph = json!({"name": "first", "type": "MODEL", "children": [{"name": "second", "type": "MODEL"}]});
    let _service = Service::start(&config(&scenario, &nodes).set("graph", graph).set("transport", "grpc"));
    BROKER.send(&scenario.input, &[Draft::value(proto_request()).header("proto-name", REQUEST)]);
    assert_eq!(proto_numbers(&scenario.outputs().expect(1, SOON)[0]), NUMBERS);
}

#[test]
fn what_has_no_name_another_name_or_other_bytes_is_told_of() {
    let scenario = Scenario::new(&BROKER, "names", 1).protocol(Protocol::V2);
    let model = grpc_echo("m");
    let nodes = [("m", "endpoint", model.endpoint())];
    let graph = json!({"name": "m", "type": "MODEL"});
    let service = Service::start(&config(&scenario, &nodes).set("graph", graph).set("transport", "grpc"));
    let named = |name: &str| Draft::value(proto_request()).header("proto-name", name).header("Seldon-Puid", name);
    let drafts = [
        Draft::value(proto_request()).header("Seldon-Puid", "none"),
        named("inference.NoSuchMessage"),
        named("tensorflow.serving.PredictRequest"),
        named("inference.ModelInferResponse"),
        Draft::value("not protobuf").header("proto-name", REQUEST).header("Seldon-Puid", "bytes"),
        Draft::null().header("proto-name", REQUEST).header("Seldon-Puid", "null"),
        named(REQUEST),
    ];
    BROKER.send(&scenario.input, &drafts);
    let (mut dead, mut outputs) = (scenario.dead_letters(), scenario.outputs());
    let letters = dead.expect(6, SOON);
    for letter in letters {
        assert_eq!(letter.must_have("millrace-error-class"), "undecodable");
        let (id, told) = (letter.must_have("Seldon-Puid"), letter.must_have("millrace-error-message"));
        if !["bytes", "null"].contains(&id.as_str()) {
            assert!(told.contains(REQUEST), "{id}: {told} does not say what would be right");
        }
    }
    assert_eq!(proto_numbers(&outputs.expect(1, SOON)[0]), NUMBERS);
    assert_eq!((model.calls(), service.outcomes("dead_lettered")), (1, 6));
}

#[test]
fn a_grpc_model_that_fails_or_goes_away_is_treated_as_a_rest_one() {
    let scenario = Scenario::new(&BROKER, "grpc-trouble", 2).protocol(Protocol::V2);
    let model = grpc_echo("m");
    let nodes = [("m", "endpoint", model.endpoint())];
    let graph = json!({"name": "m", "type": "MODEL"});
    let _service = Service::start(&config(&scenario, &nodes).set("graph", graph).set("transport", "grpc"));
    let draft =
        |id: &str| Draft::value(proto_request()).key(id).header("proto-name", REQUEST).header("Seldon-Puid", id);
    let mut outputs = scenario.outputs();

    // Away: nothing is lost and nothing is a dead letter.
    BROKER.send(&scenario.input, &[draft("before")]);
    outputs.expect(1, SOON);
    model.down();
    BROKER.send(&scenario.input, &[draft("away-1"), draft("away-2")]);
    wait::let_pass(Duration::from_secs(1));
    assert_eq!(outputs.read_to_end().len(), 1);
    model.up();
    outputs.expect(3, SOON);

    // A refusal is final, and its words are kept.
    model.change(|rules| rules.fail.push((b"x".to_vec(), 3, "shape is wrong".into())));
    BROKER.send(&scenario.input, &[draft("refused")]);
    let mut dead = scenario.dead_letters();
    let letter = &dead.expect(1, SOON)[0];
    assert_eq!(letter.must_have("millrace-error-status"), "INVALID_ARGUMENT");
    assert_eq!(letter.must_have("millrace-error-attempts"), "1");
    assert!(letter.must_have("millrace-error-message").contains("shape is wrong"));
}

#[test]
fn the_binary_extension_and_gzip_pass_over_rest() {
    let scenario = Scenario::new(&BROKER, "binary", 1).protocol(Protocol::V2);
    let model = Model::answering("m", |request: &Request| {
        let length = request.header("inference-header-content-length").map(str::to_owned);
        Response::json(200, json!({"outputs": [], "length": length, "bytes": request.body.len()}).to_string())
    });
    let nodes = [("m", "endpoint", model.endpoint())];
    let _service = Service::start(&config(&scenario, &nodes).set("graph", json!({"name": "m", "type": "MODEL"})));
    let head = r#"{"inputs":[{"name":"x","shape":[1],"datatype":"INT64","parameters":{"binary_data_size":8}}]}"#;
    let body = [head.as_bytes(), &NUMBERS[0].to_le_bytes()].concat();
    let packed = gzip(json_request().as_bytes());
    BROKER.send(
        &scenario.input,
        &[
            Draft::value(body.clone()).header("Inference-Header-Content-Length", head.len().to_string()),
            Draft::value(packed).header("Content-Encoding", "gzip"),
        ],
    );
    let mut outputs = scenario.outputs();
    let mut answers: Vec<Value> =
        outputs.expect(2, SOON).iter().map(|r| serde_json::from_str(&r.text()).expect("JSON")).collect();
    // Records without a key have no order.
    answers.sort_by_key(|answer| answer["length"].is_null());
    assert_eq!((&answers[0]["length"], &answers[0]["bytes"]), (&json!(head.len().to_string()), &json!(body.len())));
    assert_eq!((&answers[1]["length"], &answers[1]["bytes"]), (&Value::Null, &json!(json_request().len())));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}

#[test]
fn a_mix_that_would_lose_something_is_refused_at_start() {
    let scenario = Scenario::without_topics(&BROKER, "no-mix").protocol(Protocol::Tensorflow);
    let nodes = [("m", "endpoint", "127.0.0.1:1".to_owned()), ("m", "transport", "grpc".to_owned())];
    let config = config(&scenario, &nodes).set("graph", json!({"name": "m", "type": "MODEL"}));
    Launch::with(&config).run(SOON).says(78, &["tensorflow", "m"]);
}
