//! Every vector goes in as a Kafka record and comes out as it must: what is a request reaches the model byte for byte and its
//! answer comes back byte for byte; what is none is a dead letter with the reason, and so is what the model refuses.

mod support;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use millrace_proto::inference::{ModelInferRequest, ModelInferResponse, model_infer_request};
use millrace_proto::tensorflow::{TensorProto, TensorShapeProto, tensor_shape_proto};
use millrace_proto::tensorflow_serving::{ModelSpec, PredictRequest, PredictResponse};
use prost::Message;
use serde::Deserialize;
use serde_json::json;
use support::collect::Record;
use support::config::Config;
use support::grpc_models::GrpcModel;
use support::http_server::{Request, Response};
use support::kafka::Broker;
use support::models::Model;
use support::requests::Protocol;
use support::scenario::Scenario;
use support::send::Draft;
use support::service::Service;
use support::wait;

static BROKER: LazyLock<Broker> = LazyLock::new(Broker::plain);
const SOON: Duration = Duration::from_mins(1);

#[derive(Clone, Debug, Deserialize)]
struct Case {
    file: String,
    protocol: String,
    transport: String,
    outcome: String,
    proto_name: Option<String>,
    json_bytes: Option<usize>,
}

impl Case {
    fn body(&self) -> Vec<u8> {
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(&self.file)).expect("the vector is there")
    }

    fn draft(&self) -> Draft {
        let draft = Draft::value(self.body()).key(&self.file).header("Seldon-Puid", self.file.as_str());
        let draft = match &self.proto_name {
            Some(name) => draft.header("proto-name", name.as_str()),
            None => draft,
        };
        match self.json_bytes {
            Some(bytes) => draft.header("Inference-Header-Content-Length", bytes.to_string()),
            None => draft,
        }
    }

    /// What the model must get: the value, but for a reply in the place of a request, whose result is renamed.
    fn expected(&self) -> Vec<u8> {
        let body = self.body();
        if self.proto_name.as_deref() == Some("inference.ModelInferRequest") {
            let named = ModelInferRequest::decode(&body[..]).is_ok_and(|request| !request.model_name.is_empty());
            // A request that names no model gets the node's name.
            return if named { body } else { [b"\n\x01m", &body[..]].concat() };
        }
        if self.transport == "grpc" {
            return body;
        }
        let has = |key: &str| find(&body, key).is_some();
        match self.protocol.as_str() {
            "tensorflow" if !has("\"instances\"") && !has("\"inputs\"") => {
                replaced(&replaced(&body, "\"predictions\"", "\"instances\""), "\"outputs\"", "\"inputs\"")
            }
            "v2" if !has("\"inputs\"") => replaced(&body, "\"outputs\"", "\"inputs\""),
            _ => body,
        }
    }
}

fn find(body: &[u8], text: &str) -> Option<usize> {
    body.windows(text.len()).position(|part| part == text.as_bytes())
}

fn replaced(body: &[u8], from: &str, to: &str) -> Vec<u8> {
    match find(body, from) {
        Some(at) => [&body[..at], to.as_bytes(), &body[at + from.len()..]].concat(),
        None => body.to_vec(),
    }
}

fn cases() -> Vec<Case> {
    let text = include_str!("vectors/cases.json");
    let cases: Vec<Case> = serde_json::from_str(text).expect("the list of cases is JSON");
    assert!(cases.len() > 150);
    cases
}

/// What a model has got, by the request's id.
type Got = Arc<Mutex<HashMap<String, Vec<u8>>>>;

/// gRPC's number for it.
const INVALID_ARGUMENT: i32 = 3;
const REFUSED: &str = "the model has looked at it and refuses it";

/// A model that keeps what it gets, refuses what it should and answers with what it got.
enum Server {
    Rest(Model),
    Grpc(GrpcModel),
}

impl Server {
    fn start(transport: &str, got: Got, refused: HashSet<String>) -> Self {
        let take = move |id: &str, body: &[u8]| {
            got.lock().expect("no test panics here").insert(id.to_owned(), body.to_vec());
            refused.contains(id)
        };
        if transport == "rest" {
            return Self::Rest(Model::answering("m", move |request: &Request| {
                let id = request.header("seldon-puid").expect("the id is sent along");
                if take(id, &request.body) {
                    return Response::json(400, json!({"error": REFUSED}).to_string());
                }
                let binary = request.header("inference-header-content-length").is_some();
                let content_type = if binary { "application/octet-stream" } else { "application/json" };
                assert_eq!(request.header("content-type"), Some(content_type), "{id}");
                Response { status: 200, content_type, body: request.body.clone(), chunked: false, retry_after: None }
            }));
        }
        Self::Grpc(GrpcModel::answering("m", move |_, body, metadata| {
            let id = metadata.get("seldon-puid").and_then(|id| id.to_str().ok()).expect("the id is sent along");
            if take(id, &body) { Err((INVALID_ARGUMENT, REFUSED.to_owned())) } else { Ok(body) }
        }))
    }

    fn endpoint(&self) -> String {
        match self {
            Self::Rest(model) => model.endpoint(),
            Self::Grpc(model) => model.endpoint(),
        }
    }
}

fn config(scenario: &Scenario<'_>, transport: &str, server: &Server) -> Config {
    scenario
        .config()
        .without("nodes/double")
        .without("nodes/add-one")
        .set("transport", transport)
        .set("graph", json!({"name": "m", "type": "MODEL"}))
        .set("nodes/m/endpoint", server.endpoint())
}

fn ended(scenario: &Scenario<'_>, count: usize) -> HashMap<String, (bool, Record)> {
    let (mut outputs, mut dead) = (scenario.outputs(), scenario.dead_letters());
    wait::until_true(SOON, "every record has ended", || {
        outputs.read_to_end().len() + dead.read_to_end().len() >= count
    });
    let all = outputs.records.into_iter().map(|r| (true, r)).chain(dead.records.into_iter().map(|r| (false, r)));
    let ended: HashMap<_, _> = all.map(|(answered, r)| (r.must_have("Seldon-Puid"), (answered, r))).collect();
    assert_eq!(ended.len(), count, "each has one outcome");
    ended
}

#[test]
fn every_vector_comes_out_as_it_must() {
    for (protocol, name) in [(Protocol::Seldon, "seldon"), (Protocol::Tensorflow, "tensorflow"), (Protocol::V2, "v2")] {
        for transport in ["rest", "grpc"] {
            let mine = |case: &Case| case.protocol == name && case.transport == transport;
            let cases: Vec<Case> = cases().into_iter().filter(mine).collect();
            let got = Got::default();
            let refused = cases.iter().filter(|case| case.outcome == "refused").map(|case| case.file.clone());
            let server = Server::start(transport, Arc::clone(&got), refused.collect());
            let scenario = Scenario::new(&BROKER, &format!("vectors-{name}-{transport}"), 2).protocol(protocol);
            BROKER.send(&scenario.input, &cases.iter().map(Case::draft).collect::<Vec<_>>());
            let _service = Service::start(&config(&scenario, transport, &server));
            let ended = ended(&scenario, cases.len());
            let got = got.lock().expect("no test panics here");
            for case in &cases {
                check(case, &ended[&case.file], got.get(&case.file));
            }
        }
    }
}

fn check(case: &Case, (answered, record): &(bool, Record), got: Option<&Vec<u8>>) {
    let file = &case.file;
    if case.outcome == "answered" {
        assert!(answered, "{file}: {}", record.must_have("millrace-error-message"));
        let expected = case.expected();
        assert_eq!(got, Some(&expected), "{file}: what the model got");
        assert_eq!(record.value.as_ref(), Some(&expected), "{file}: what came out");
        let reply = case.proto_name.as_deref().map(|name| match name {
            "seldon.protos.SeldonMessageList" => "seldon.protos.SeldonMessage".to_owned(),
            name => name.replace("Request", "Response"),
        });
        assert_eq!(record.header("proto-name"), reply, "{file}");
        let content_type = match (&case.proto_name, case.json_bytes) {
            (Some(_), _) => "application/protobuf",
            (None, Some(_)) => "application/octet-stream",
            (None, None) => "application/json",
        };
        assert_eq!(record.must_have("content-type"), content_type, "{file}");
        return;
    }
    assert!(!answered, "{file} was answered");
    assert_eq!(record.value, Some(case.body()), "{file}: a dead letter keeps the value");
    let (class, message) = (record.must_have("millrace-error-class"), record.must_have("millrace-error-message"));
    if case.outcome == "undecodable" {
        assert_eq!((class.as_str(), got), ("undecodable", None), "{file}: {message}");
        assert!(message.len() > 20, "{file}: {message}");
    } else {
        assert_eq!(class, "model_error", "{file}: {message}");
        let told = format!("{message} {}", record.header("millrace-error-body").unwrap_or_default());
        assert!(told.contains(REFUSED), "{file}: {told}");
        assert_eq!(got, Some(&case.body()), "{file}: what the model got");
    }
}

#[derive(Debug, Deserialize)]
struct Answer {
    file: String,
    protocol: String,
    transport: String,
    proto_name: Option<String>,
}

impl Answer {
    fn body(&self) -> Vec<u8> {
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(&self.file)).expect("the vector is there")
    }

    /// Whether the next node, `b`, got what it should.
    fn chained(&self, got: &[u8]) {
        let (file, body) = (&self.file, self.body());
        match self.proto_name.as_deref() {
            Some("inference.ModelInferResponse") => chained_v2(file, &body, got),
            Some("tensorflow.serving.PredictResponse") => {
                let reply = PredictResponse::decode(&body[..]).expect("a reply");
                let request = PredictRequest::decode(got).expect("a request");
                assert_eq!(request.inputs, reply.outputs, "{file}");
                assert_eq!(request.model_spec.expect("a model").name, "b", "{file}");
            }
            Some(_) => assert_eq!(got, body, "{file}"),
            None => {
                let renamed =
                    replaced(&replaced(&body, "\"predictions\"", "\"instances\""), "\"outputs\"", "\"inputs\"");
                assert_eq!(String::from_utf8_lossy(got), String::from_utf8_lossy(&renamed), "{file}");
            }
        }
    }
}

fn chained_v2(file: &str, reply: &[u8], got: &[u8]) {
    let reply = ModelInferResponse::decode(reply).expect("a reply");
    let request = ModelInferRequest::decode(got).expect("a request");
    assert_eq!((request.model_name.as_str(), &request.id), ("b", &reply.id), "{file}");
    assert_eq!(
        (&request.parameters, &request.raw_input_contents),
        (&reply.parameters, &reply.raw_output_contents),
        "{file}"
    );
    assert_eq!(request.inputs.len(), reply.outputs.len(), "{file}");
    for (input, output) in request.inputs.iter().zip(&reply.outputs) {
        let of_input = (&input.name, &input.datatype, &input.shape, &input.parameters);
        assert_eq!(of_input, (&output.name, &output.datatype, &output.shape, &output.parameters), "{file}");
        // Raw data and typed contents exclude each other, empty ones too.
        let contents = output.contents.as_ref().filter(|_| reply.raw_output_contents.is_empty());
        assert_eq!(input.contents.as_ref(), contents, "{file}");
    }
}

#[test]
fn what_real_servers_answered_reaches_the_next_node() {
    let all: Vec<Answer> = serde_json::from_str(include_str!("vectors/replies.json")).expect("a list");
    assert!(all.len() > 15);
    for (protocol, name) in [(Protocol::Seldon, "seldon"), (Protocol::Tensorflow, "tensorflow"), (Protocol::V2, "v2")] {
        for transport in ["rest", "grpc"] {
            let mine = all.iter().filter(|answer| answer.protocol == name && answer.transport == transport);
            let answers: Vec<&Answer> = mine.collect();
            let bodies: HashMap<String, Vec<u8>> = answers.iter().map(|one| (one.file.clone(), one.body())).collect();
            let got = Got::default();
            let a = replying(transport, "a", move |id, _| bodies[id].clone());
            let keep = Arc::clone(&got);
            let b = replying(transport, "b", move |id, body| {
                keep.lock().expect("no test panics here").insert(id.to_owned(), body.to_vec());
                body.to_vec()
            });
            let scenario = Scenario::new(&BROKER, &format!("replies-{name}-{transport}"), 1).protocol(protocol);
            let request = cases().into_iter().find(|case| {
                let fits = case.protocol == name && case.transport == transport && case.outcome == "answered";
                fits && !case.file.contains("list") && !case.file.contains("empty")
            });
            let request = request.expect("there is a request of every kind");
            let draft = |answer: &&Answer| {
                let draft = Draft::value(request.body()).header("Seldon-Puid", answer.file.as_str());
                request.proto_name.iter().fold(draft, |draft, name| draft.header("proto-name", name.as_str()))
            };
            BROKER.send(&scenario.input, &answers.iter().map(draft).collect::<Vec<_>>());
            let chain = json!({"name": "a", "type": "MODEL", "children": [{"name": "b", "type": "MODEL"}]});
            let config = config(&scenario, transport, &a).without("nodes/m").set("graph", chain);
            let config = config.set("nodes/a/endpoint", a.endpoint()).set("nodes/b/endpoint", b.endpoint());
            let _service = Service::start(&config);
            let ended = ended(&scenario, answers.len());
            for answer in answers {
                let (answered, record) = &ended[&answer.file];
                assert!(answered, "{}: {:?}", answer.file, record.header("millrace-error-message"));
                answer.chained(&got.lock().expect("no test panics here")[&answer.file]);
            }
        }
    }
}

/// A model that answers with 200 and what is made of the id and the body.
fn replying(transport: &str, name: &str, make: impl Fn(&str, &[u8]) -> Vec<u8> + Send + Sync + 'static) -> Server {
    if transport == "rest" {
        return Server::Rest(Model::answering(name, move |request: &Request| {
            Response::json(200, make(request.header("seldon-puid").expect("the id is sent along"), &request.body))
        }));
    }
    Server::Grpc(GrpcModel::answering(name, move |_, body, metadata| {
        let id = metadata.get("seldon-puid").and_then(|id| id.to_str().ok()).expect("the id is sent along");
        Ok(make(id, &body).into())
    }))
}

/// The requests that are too large for limits that libraries have of themselves: 1 MiB, and more than 4 MiB.
fn large() -> Vec<(&'static str, &'static str, Option<&'static str>, Vec<u8>)> {
    let bytes: Vec<u8> = (0..1_048_576_u32).map(|i| (i.wrapping_mul(31) + 7) as u8).collect();
    let floats: Vec<u8> = (0..1024 * 1025_u32).flat_map(|i| ((i % 251) as f32).to_le_bytes()).collect();
    let raw = |datatype: &str, shape: &[i64], raw: Vec<u8>| {
        let input = model_infer_request::InferInputTensor {
            name: "image".into(),
            datatype: datatype.into(),
            shape: shape.to_vec(),
            ..Default::default()
        };
        let (model_name, inputs, raw_input_contents) = ("m".into(), vec![input], vec![raw.into()]);
        ModelInferRequest { model_name, inputs, raw_input_contents, ..Default::default() }.encode_to_vec()
    };
    let dims = [1, 512, 512, 4].map(|size| tensor_shape_proto::Dim { size, ..Default::default() });
    let tensor = TensorProto {
        dtype: 4,
        tensor_shape: Some(TensorShapeProto { dim: dims.into(), ..Default::default() }),
        tensor_content: bytes.clone().into(),
        ..Default::default()
    };
    let model_spec = Some(ModelSpec { name: "m".into(), ..Default::default() });
    let inputs = [("image".to_owned(), tensor)].into();
    let predict = PredictRequest { model_spec, inputs, ..Default::default() }.encode_to_vec();
    let text = format!("{{\"instances\":[{{\"b64\":\"{}\"}}]}}", "QUJD".repeat(349_526));
    vec![
        ("tensorflow", "grpc", Some("tensorflow.serving.PredictRequest"), predict),
        ("tensorflow", "rest", None, text.into()),
        ("v2", "grpc", Some("inference.ModelInferRequest"), raw("UINT8", &[1, 512, 512, 4], bytes)),
        ("v2", "grpc", Some("inference.ModelInferRequest"), raw("FP32", &[1, 1024, 1025], floats)),
    ]
}

#[test]
fn large_requests_and_answers_pass() {
    for (place, (name, transport, proto_name, body)) in large().into_iter().enumerate() {
        let protocol = if name == "v2" { Protocol::V2 } else { Protocol::Tensorflow };
        let scenario = Scenario::without_topics(&BROKER, &format!("large-{place}")).protocol(protocol);
        let topics = [&scenario.input, &scenario.output, &scenario.dead].map(String::as_str);
        BROKER.create_topics(&topics, 1, &[("max.message.bytes", "20000000")]);
        let got = Got::default();
        let server = Server::start(transport, Arc::clone(&got), HashSet::new());
        let draft = Draft::value(body.clone()).header("Seldon-Puid", "large");
        BROKER.send(&scenario.input, &[proto_name.iter().fold(draft, |draft, name| draft.header("proto-name", *name))]);
        let _service = Service::start(&config(&scenario, transport, &server));
        let (answered, record) = &ended(&scenario, 1)["large"];
        assert!(answered, "{:?}", record.header("millrace-error-message"));
        let got = got.lock().expect("no test panics here");
        assert!(got["large"] == body && record.value.as_ref() == Some(&body), "{place}: bytes have changed");
    }
}
