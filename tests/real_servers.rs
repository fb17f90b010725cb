//! Real model servers give the same answers through Kafka as when they are called directly: MLServer, KServe, and in the graphs
//! Seldon's microservices. `make test-servers` installs them; without them these tests cannot run, so a plain run leaves them out.

mod support;

#[path = "real_servers/batched.rs"]
mod batched;
#[path = "real_servers/direct.rs"]
mod direct;
#[path = "real_servers/graphs.rs"]
mod graphs;
#[path = "real_servers/stream.rs"]
mod stream;

use std::sync::LazyLock;

use millrace_proto::inference::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use millrace_proto::inference::{InferTensorContents, ModelInferRequest, ModelInferResponse};
use serde_json::json;
use serde_json::value::RawValue;
use stream::{config, model, proto_record, record, run};
use support::kafka::Broker;
use support::real_servers::{Server, Shared};
use support::requests::Protocol;
use support::scenario::Scenario;

static BROKER: LazyLock<Broker> = LazyLock::new(Broker::plain);
static MLSERVER: Shared = Shared::new(Server::mlserver);
static KSERVE: Shared = Shared::new(Server::kserve);

const INFER: &str = "/v2/models/iris/infer";
const RECORDS: usize = 24;
/// The header of the binary extension, and what such a body is.
const LENGTH: &str = "Inference-Header-Content-Length";
const OCTETS: &str = "application/octet-stream";

// ---- requests ----

/// The measures of a flower; different numbers are different flowers, of all three kinds.
fn flower(n: usize) -> [f64; 4] {
    let at = |low: f64, high: f64, step: usize| low + (high - low) * ((n * step) % 23) as f64 / 22.0;
    [at(4.3, 7.9, 1), at(2.0, 4.4, 5), at(1.0, 6.9, 3), at(0.1, 2.5, 3)]
}

/// One to three flowers.
fn flowers(n: usize) -> Vec<[f64; 4]> {
    (0..=n % 3).map(|i| flower(n + 7 * i)).collect()
}

fn id(n: usize) -> String {
    format!("flower-{n}")
}

/// Probabilities are wanted of MLServer, which answers kinds when it is not asked. KServe has one output and no need to ask.
fn v2_json(n: usize, output: Option<&str>) -> String {
    let rows = flowers(n);
    let data: Vec<f64> = rows.concat();
    let mut request = json!({
        "id": id(n),
        "inputs": [{"name": "x", "shape": [rows.len(), 4], "datatype": "FP64", "data": data}],
    });
    if let Some(name) = output {
        request["outputs"] = json!([{"name": name}]);
    }
    request.to_string()
}

/// Every other one has its numbers as raw bytes, and leaves it to the service to name the model.
fn v2_message(n: usize, output: Option<&str>) -> ModelInferRequest {
    let rows = flowers(n);
    let shape = vec![rows.len() as i64, 4];
    let mut input = InferInputTensor { name: "x".into(), datatype: "FP64".into(), shape, ..Default::default() };
    let mut request = ModelInferRequest { id: id(n), ..Default::default() };
    if n.is_multiple_of(2) {
        request.model_name = "iris".into();
        input.contents = Some(InferTensorContents { fp64_contents: rows.concat(), ..Default::default() });
    } else {
        request.raw_input_contents = vec![little_endian(&rows.concat()).into()];
    }
    request.inputs = vec![input];
    request.outputs = output
        .iter()
        .map(|name| InferRequestedOutputTensor { name: (*name).to_owned(), ..Default::default() })
        .collect();
    request
}

fn little_endian(numbers: &[f64]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
}

/// The numbers of the first output, read as exactly as they are written.
fn first_output(text: &str) -> Vec<f64> {
    #[derive(serde::Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        outputs: Vec<Output<'a>>,
    }
    #[derive(serde::Deserialize)]
    struct Output<'a> {
        #[serde(borrow)]
        data: Vec<&'a RawValue>,
    }
    let answer: Answer<'_> = serde_json::from_str(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    answer.outputs[0].data.iter().map(|n| n.get().parse().expect("a number")).collect()
}

/// The numbers of the first output, typed or raw.
fn numbers(answer: &ModelInferResponse) -> Vec<f64> {
    match answer.raw_output_contents.first() {
        Some(raw) => raw.as_chunks().0.iter().map(|eight| f64::from_le_bytes(*eight)).collect(),
        None => answer.outputs[0].contents.as_ref().expect("an output has contents").fp64_contents.clone(),
    }
}

// ---- one node, as the record came ----

/// JSON records through a node over REST: the text is the one that the server itself gives.
fn same_text_over_rest(stem: &str, protocol: Protocol, server: &Server, path: &str, bodies: &[String]) {
    let scenario = Scenario::new(&BROKER, stem, 2).protocol(protocol);
    let config = config(&scenario, model("iris")).set("nodes/iris/endpoint", server.rest());
    let drafts: Vec<_> = bodies.iter().enumerate().map(|(n, body)| record(&id(n), body.as_str())).collect();
    let ends = run(&scenario, &config, &drafts);
    for (n, body) in bodies.iter().enumerate() {
        assert_eq!(ends.answer(&id(n)).text(), direct::must_post(server, path, body), "{body}");
    }
}

/// Messages through a node over gRPC: the message is the one that the server itself gives.
fn same_message_over_grpc(stem: &str, server: &Server, output: Option<&str>) {
    let scenario = Scenario::new(&BROKER, stem, 2).protocol(Protocol::V2);
    let config = config(&scenario, model("iris")).set("transport", "grpc").set("nodes/iris/endpoint", server.grpc());
    let drafts: Vec<_> = (0..RECORDS).map(|n| proto_record(&id(n), &v2_message(n, output))).collect();
    let ends = run(&scenario, &config, &drafts);
    for n in 0..RECORDS {
        let named = ModelInferRequest { model_name: "iris".into(), ..v2_message(n, output) };
        let expected = direct::infer(server, named).expect("the server answers");
        let raw = !n.is_multiple_of(2);
        assert_eq!(expected.raw_output_contents.is_empty(), !raw, "a raw request has a raw answer");
        assert_eq!(ends.message::<ModelInferResponse>(&id(n)), expected);
    }
}

#[test]
#[ignore = "make test-servers runs it"]
fn mlserver_over_rest() {
    let bodies: Vec<_> = (0..RECORDS).map(|n| v2_json(n, Some("predict_proba"))).collect();
    same_text_over_rest("mlserver-rest", Protocol::V2, &MLSERVER.get(), INFER, &bodies);
}

#[test]
#[ignore = "make test-servers runs it"]
fn mlserver_over_grpc() {
    same_message_over_grpc("mlserver-grpc", &MLSERVER.get(), Some("predict_proba"));
}

#[test]
#[ignore = "make test-servers runs it"]
fn kserve_over_rest_by_v1() {
    let bodies: Vec<_> = (0..RECORDS).map(|n| json!({"instances": flowers(n)}).to_string()).collect();
    same_text_over_rest("kserve-v1", Protocol::Tensorflow, &KSERVE.get(), "/v1/models/iris:predict", &bodies);
}

#[test]
#[ignore = "make test-servers runs it"]
fn kserve_over_rest_by_v2() {
    let bodies: Vec<_> = (0..RECORDS).map(|n| v2_json(n, None)).collect();
    same_text_over_rest("kserve-v2", Protocol::V2, &KSERVE.get(), INFER, &bodies);
}

#[test]
#[ignore = "make test-servers runs it"]
fn kserve_over_grpc() {
    same_message_over_grpc("kserve-grpc", &KSERVE.get(), None);
}

#[test]
#[ignore = "make test-servers runs it"]
fn kserve_by_the_binary_extension() {
    let server = KSERVE.get();
    let scenario = Scenario::new(&BROKER, "kserve-binary", 2).protocol(Protocol::V2);
    let config = config(&scenario, model("iris")).set("nodes/iris/endpoint", server.rest());
    // The JSON's length, and the JSON with the numbers' bytes behind it. Every other one asks for an answer of that kind.
    let request = |n: usize| {
        let raw = little_endian(&flowers(n).concat());
        let json = json!({
            "id": id(n),
            "parameters": {"binary_data_output": n.is_multiple_of(2)},
            "inputs": [{"name": "x", "shape": [raw.len() / 32, 4], "datatype": "FP64",
                        "parameters": {"binary_data_size": raw.len()}}],
        });
        let mut body = json.to_string().into_bytes();
        let length = body.len().to_string();
        body.extend(raw);
        (length, body)
    };
    let draft = |n| {
        let (length, body) = request(n);
        record(&id(n), body).header(LENGTH, length).header("Content-Type", OCTETS)
    };
    let ends = run(&scenario, &config, &(0..RECORDS).map(draft).collect::<Vec<_>>());
    for n in 0..RECORDS {
        let (length, body) = request(n);
        let headers = [(LENGTH, length.as_str()), ("Content-Type", OCTETS)];
        let expected = direct::post_bytes(&server, INFER, &headers, &body);
        let length = expected.header("inference-header-content-length");
        assert_eq!(length.is_some(), n.is_multiple_of(2), "the server answers as it is asked");
        let answer = ends.answer(&id(n));
        assert_eq!(answer.value.as_deref(), Some(&expected.body[..]));
        assert_eq!(answer.header(LENGTH).as_deref(), length, "the length is the answer's own");
        // This server does not name the kind of its binary answers.
        let kind = if length.is_some() { OCTETS } else { "application/json" };
        assert_eq!(answer.must_have("Content-Type"), kind);
    }
}

// ---- one node, with another transport than the record's ----

#[test]
#[ignore = "make test-servers runs it"]
fn json_records_through_a_node_over_grpc() {
    let server = MLSERVER.get();
    let scenario = Scenario::new(&BROKER, "mixed", 2).protocol(Protocol::V2);
    let config = config(&scenario, model("iris"))
        .set("nodes/iris/transport", "grpc")
        .set("nodes/iris/grpc_endpoint", server.grpc());
    let body = |n| v2_json(n, Some("predict_proba"));
    let drafts: Vec<_> = (0..RECORDS).map(|n| record(&id(n), body(n))).collect();
    let ends = run(&scenario, &config, &drafts);
    for n in 0..RECORDS {
        let answer = ends.answer(&id(n)).text();
        let expected = direct::must_post(&server, INFER, &body(n));
        assert_eq!(first_output(&answer), first_output(&expected), "{answer}");
        let value: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
        assert_eq!((&value["id"], &value["model_name"]), (&json!(id(n)), &json!("iris")), "{answer}");
        assert_eq!(value["outputs"][0]["shape"], json!([flowers(n).len(), 3]), "{answer}");
    }
}

#[test]
#[ignore = "make test-servers runs it"]
fn messages_through_a_node_over_rest() {
    let server = MLSERVER.get();
    let scenario = Scenario::new(&BROKER, "mixed-back", 2).protocol(Protocol::V2);
    let config = config(&scenario, model("iris"))
        .set("transport", "grpc")
        .set("nodes/iris/transport", "rest")
        .set("nodes/iris/rest_endpoint", server.rest());
    let message = |n| v2_message(n, Some("predict_proba"));
    let drafts: Vec<_> = (0..RECORDS).map(|n| proto_record(&id(n), &message(n))).collect();
    let ends = run(&scenario, &config, &drafts);
    for n in 0..RECORDS {
        let named = ModelInferRequest { model_name: "iris".into(), ..message(n) };
        let expected = direct::infer(&server, named).expect("the server answers");
        let answer: ModelInferResponse = ends.message(&id(n));
        assert_eq!(numbers(&answer), numbers(&expected), "{answer:?}");
        assert_eq!((&answer.id, &answer.model_name), (&id(n), &expected.model_name));
        assert_eq!(answer.outputs[0].shape, expected.outputs[0].shape);
    }
}

// ---- what a server refuses ----

/// A flower of three numbers.
fn narrow(id: &str) -> String {
    json!({"id": id, "inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP64", "data": [5.1, 3.5, 1.4]}]})
        .to_string()
}

#[test]
#[ignore = "make test-servers runs it"]
fn a_refusal_over_rest_is_a_dead_letter_with_the_servers_words() {
    let server = KSERVE.get();
    let scenario = Scenario::new(&BROKER, "narrow-rest", 1).protocol(Protocol::V2);
    let config = config(&scenario, model("iris")).set("nodes/iris/endpoint", server.rest());
    let drafts =
        [record(&id(0), v2_json(0, None)), record("narrow", narrow("narrow")), record(&id(1), v2_json(1, None))];
    let ends = run(&scenario, &config, &drafts);
    assert_eq!(ends.counts(), (2, 1));
    for n in 0..2 {
        assert_eq!(ends.answer(&id(n)).text(), direct::must_post(&server, INFER, &v2_json(n, None)));
    }
    let refusal = direct::post(&server, INFER, &narrow("narrow"));
    assert!(refusal.body.contains("X has 3 features"), "{}", refusal.body);
    let letter = ends.letter("narrow");
    assert_eq!(letter.text(), narrow("narrow"));
    assert_eq!(letter.must_have("millrace-error-body"), refusal.body);
    assert_eq!(letter.must_have("millrace-error-status"), refusal.status.to_string());
    assert_eq!(letter.must_have("millrace-error-node"), "iris");
}

#[test]
#[ignore = "make test-servers runs it"]
fn a_refusal_over_grpc_is_a_dead_letter_with_the_servers_words() {
    let server = MLSERVER.get();
    let scenario = Scenario::new(&BROKER, "narrow-grpc", 1).protocol(Protocol::V2);
    let config = config(&scenario, model("iris")).set("transport", "grpc").set("nodes/iris/endpoint", server.grpc());
    let mut narrow = ModelInferRequest { model_name: "iris".into(), ..v2_message(0, None) };
    narrow.inputs[0].shape = vec![1, 3];
    narrow.inputs[0].contents = Some(InferTensorContents { fp64_contents: vec![5.1, 3.5, 1.4], ..Default::default() });
    let good = |n| proto_record(&id(n), &v2_message(n, None));
    let ends = run(&scenario, &config, &[good(0), proto_record("narrow", &narrow), good(1)]);
    assert_eq!(ends.counts(), (2, 1));
    let refusal = direct::infer(&server, narrow).expect_err("three numbers are no flower");
    assert!(refusal.message().contains("X has 3 features"), "{refusal}");
    let letter = ends.letter("narrow");
    let told = stream::reason(letter);
    assert!(told.contains(refusal.message()), "{told}");
    assert_eq!(letter.must_have("millrace-error-node"), "iris");
}
