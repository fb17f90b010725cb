//! Every vector goes in as a Kafka record and comes out as it must: what is a request reaches the model byte for byte and its
//! answer comes back byte for byte; what is none is a dead letter with the reason, and so is what the model refuses.

mod support;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use support::collect::Record;
use support::config::Config;
use support::grpc_server::GrpcModel;
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
                Response { status: 200, content_type, body: request.body.clone(), chunked: false }
            }));
        }
        Self::Grpc(GrpcModel::start("m", move |call| {
            let id = call.metadata.get("seldon-puid").and_then(|id| id.to_str().ok()).expect("the id is sent along");
            if take(id, &call.body) {
                return Err((tonic::Code::InvalidArgument, REFUSED.to_owned()));
            }
            Ok(call.body.clone())
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
