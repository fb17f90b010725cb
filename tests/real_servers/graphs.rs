//! Graphs of Seldon's microservices, over REST and gRPC: what comes out is what calling one node after the other gives.

use millrace_proto::seldon::default_data::DataOneof;
use millrace_proto::seldon::seldon_message::DataOneof as Payload;
use millrace_proto::seldon::{DefaultData, Meta, SeldonMessage, Tensor};
use serde_json::{Value, json};

use crate::stream::{Ends, config, model, proto_record, record, run};
use crate::support::config::Config;
use crate::support::real_servers::{Server, Shared};
use crate::support::requests::Protocol;
use crate::support::scenario::Scenario;
use crate::{BROKER, RECORDS, direct, flower, id};

static TRANSFORMER: Shared = Shared::new(|| Server::seldon("transformer", "nodes.Transformer", "TRANSFORMER", "[]"));
static ROUTER: Shared = Shared::new(|| Server::seldon("router", "nodes.Router", "ROUTER", "[]"));
static SHORT: Shared = Shared::new(|| Server::seldon("short", "nodes.Model", "MODEL", SHORT_PARAMETERS));
static LONG: Shared = Shared::new(|| Server::seldon("long", "nodes.Model", "MODEL", LONG_PARAMETERS));
static COMBINER: Shared = Shared::new(|| Server::seldon("combiner", "nodes.Combiner", "COMBINER", "[]"));

const SHORT_PARAMETERS: &str = r#"[{"name":"label","value":"short","type":"STRING"}]"#;
const LONG_PARAMETERS: &str =
    r#"[{"name":"label","value":"long","type":"STRING"},{"name":"C","value":"0.01","type":"FLOAT"}]"#;

// ---- requests ----

/// A flower in inches.
fn inches(n: usize) -> [f64; 4] {
    flower(n).map(|centimetres| centimetres / 2.54)
}

fn body(n: usize, row: &[f64]) -> String {
    json!({"meta": {"puid": id(n), "tags": {"asked_by": "test"}}, "data": {"names": ["a", "b", "c", "d"], "ndarray": [row]}})
        .to_string()
}

fn message(n: usize, row: &[f64]) -> SeldonMessage {
    let tensor = Tensor { shape: vec![1, row.len() as i32], values: row.to_vec() };
    let data = DefaultData { names: Vec::new(), data_oneof: Some(DataOneof::Tensor(tensor)) };
    let meta = Meta { puid: id(n), ..Default::default() };
    SeldonMessage { meta: Some(meta), data_oneof: Some(Payload::Data(data)), ..Default::default() }
}

// ---- the graphs ----

fn routed() -> Value {
    json!({"name": "transformer", "type": "TRANSFORMER", "children": [
        {"name": "router", "type": "ROUTER", "children": [model("short"), model("long")]}]})
}

fn combined() -> Value {
    json!({"name": "combiner", "type": "COMBINER", "children": [model("short"), model("long")]})
}

fn over_rest(scenario: &Scenario<'_>, graph: Value, nodes: &[&Server]) -> Config {
    nodes.iter().fold(config(scenario, graph), |config, node| {
        config.set(&format!("nodes/{}/endpoint", node.name()), node.rest())
    })
}

fn over_grpc(scenario: &Scenario<'_>, graph: Value, nodes: &[&Server]) -> Config {
    nodes.iter().fold(config(scenario, graph).set("transport", "grpc"), |config, node| {
        config.set(&format!("nodes/{}/endpoint", node.name()), node.grpc())
    })
}

/// What the records of a graph come to, over REST.
fn rest_ends(stem: &str, graph: Value, nodes: &[&Server]) -> Ends {
    let scenario = Scenario::new(&BROKER, stem, 2).protocol(Protocol::Seldon);
    let drafts: Vec<_> = (0..RECORDS).map(|n| record(&id(n), body(n, &inches(n)))).collect();
    run(&scenario, &over_rest(&scenario, graph, nodes), &drafts)
}

/// What the records of a graph come to, over gRPC.
fn grpc_ends(stem: &str, graph: Value, nodes: &[&Server]) -> Ends {
    let scenario = Scenario::new(&BROKER, stem, 2).protocol(Protocol::Seldon);
    let drafts: Vec<_> = (0..RECORDS).map(|n| proto_record(&id(n), &message(n, &inches(n)))).collect();
    run(&scenario, &over_grpc(&scenario, graph, nodes), &drafts)
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// The child that a router's answer names, which is one row of one number.
fn route_of(text: &str) -> usize {
    let answer = json_of(text);
    answer["data"]["ndarray"][0][0].as_u64().unwrap_or_else(|| panic!("{text} is no route")) as usize
}

/// Key, type and value of an answer's metrics.
fn metrics_of(answer: &Value) -> Vec<(&Value, &Value, Option<f64>)> {
    let metrics = answer["meta"]["metrics"].as_array().unwrap_or_else(|| panic!("{answer} has no metrics"));
    metrics.iter().map(|metric| (&metric["key"], &metric["type"], metric["value"].as_f64())).collect()
}

// ---- tests ----

#[test]
#[ignore = "make test-servers runs it"]
fn transformer_router_and_models_over_rest() {
    let [transformer, router, short, long] = Shared::all([&TRANSFORMER, &ROUTER, &SHORT, &LONG]);
    let ends = rest_ends("routed-rest", routed(), &[&transformer, &router, &short, &long]);
    let mut asked = [0, 0];
    for n in 0..RECORDS {
        let changed = direct::must_post(&transformer, "/transform-input", &body(n, &inches(n)));
        let route = route_of(&direct::must_post(&router, "/route", &changed));
        asked[route] += 1;
        let leaf = [&short, &long][route];
        let expected = json_of(&direct::must_post(leaf, "/predict", &changed));
        let answer = json_of(&ends.answer(&id(n)).text());
        assert_eq!(answer["data"], expected["data"]);
        assert_eq!(answer["meta"]["puid"], id(n));
        // Of the client, of the transformer and of the model.
        let tags = &answer["meta"]["tags"];
        assert_eq!(tags, &expected["meta"]["tags"]);
        assert_eq!(
            (&tags["asked_by"], &tags["unit"], &tags["answered_by"]),
            (&json!("test"), &json!("cm"), &json!(leaf.name()))
        );
        let metrics = &answer["meta"]["metrics"];
        assert_eq!(metrics, &expected["meta"]["metrics"]);
        assert!(metrics.to_string().contains(&format!("{}_size", leaf.name())), "{metrics}");
    }
    assert!(asked.iter().all(|count| *count > 0), "only one model was asked: {asked:?}");
}

#[test]
#[ignore = "make test-servers runs it"]
fn transformer_router_and_models_over_grpc() {
    let [transformer, router, short, long] = Shared::all([&TRANSFORMER, &ROUTER, &SHORT, &LONG]);
    let ends = grpc_ends("routed-grpc", routed(), &[&transformer, &router, &short, &long]);
    let mut asked = [0, 0];
    for n in 0..RECORDS {
        let changed = direct::transform(&transformer, message(n, &inches(n)));
        let route = first_number(&direct::route(&router, changed.clone())) as usize;
        asked[route] += 1;
        let leaf = [&short, &long][route];
        let expected = direct::predict(leaf, changed);
        let answer: SeldonMessage = ends.message(&id(n));
        assert_eq!(answer.data_oneof, expected.data_oneof);
        let (meta, expected) = (answer.meta.expect("meta"), expected.meta.expect("meta"));
        assert_eq!((&meta.puid, &meta.tags, &meta.metrics), (&id(n), &expected.tags, &expected.metrics));
        assert!(meta.tags.contains_key("unit") && meta.tags.contains_key(leaf.name()), "{:?}", meta.tags);
        assert!(meta.metrics.iter().any(|metric| metric.key == format!("{}_size", leaf.name())), "{:?}", meta.metrics);
    }
    assert!(asked.iter().all(|count| *count > 0), "only one model was asked: {asked:?}");
}

/// The first number of a message's data.
fn first_number(message: &SeldonMessage) -> f64 {
    let Some(Payload::Data(data)) = &message.data_oneof else { panic!("{message:?} has no data") };
    match &data.data_oneof {
        Some(DataOneof::Tensor(tensor)) => tensor.values[0],
        other => panic!("{other:?} is no tensor"),
    }
}

#[test]
#[ignore = "make test-servers runs it"]
fn a_graph_of_both_transports() {
    let [transformer, router, short, long] = Shared::all([&TRANSFORMER, &ROUTER, &SHORT, &LONG]);
    let scenario = Scenario::new(&BROKER, "routed-both", 2).protocol(Protocol::Seldon);
    let nodes: [&Server; 4] = [&transformer, &router, &short, &long];
    let config = [&router, &long].iter().fold(over_rest(&scenario, routed(), &nodes), |config, node| {
        let at = format!("nodes/{}", node.name());
        config.set(&format!("{at}/transport"), "grpc").set(&format!("{at}/grpc_endpoint"), node.grpc())
    });
    let drafts: Vec<_> = (0..RECORDS).map(|n| record(&id(n), body(n, &inches(n)))).collect();
    let ends = run(&scenario, &config, &drafts);
    for n in 0..RECORDS {
        let changed = direct::must_post(&transformer, "/transform-input", &body(n, &inches(n)));
        let leaf = [&short, &long][route_of(&direct::must_post(&router, "/route", &changed))];
        let expected = json_of(&direct::must_post(leaf, "/predict", &changed));
        let answer = json_of(&ends.answer(&id(n)).text());
        assert_eq!(answer["data"], expected["data"]);
        assert_eq!(answer["meta"]["puid"], id(n));
        assert_eq!(answer["meta"]["tags"], expected["meta"]["tags"]);
        // gRPC knows floats only: 1 comes back as 1.0.
        assert_eq!(metrics_of(&answer), metrics_of(&expected));
    }
}

#[test]
#[ignore = "make test-servers runs it"]
fn a_combiner_over_rest() {
    let [combiner, short, long] = Shared::all([&COMBINER, &SHORT, &LONG]);
    let ends = rest_ends("combined-rest", combined(), &[&combiner, &short, &long]);
    for n in 0..RECORDS {
        let request = body(n, &inches(n));
        let [first, second] = [&short, &long].map(|model| direct::must_post(model, "/predict", &request));
        let expected = json_of(&direct::must_post(&combiner, "/aggregate", &format!("[{first},{second}]")));
        let answer = json_of(&ends.answer(&id(n)).text());
        assert_eq!(answer["data"], expected["data"]);
        assert_eq!(answer["meta"]["puid"], id(n));
        let tags = &answer["meta"]["tags"];
        assert_eq!(tags, &expected["meta"]["tags"]);
        assert!(["combined", "short", "long"].iter().all(|name| tags[name] == true), "{tags}");
        assert_eq!(answer["meta"]["metrics"], expected["meta"]["metrics"]);
    }
}

#[test]
#[ignore = "make test-servers runs it"]
fn a_combiner_over_grpc() {
    let [combiner, short, long] = Shared::all([&COMBINER, &SHORT, &LONG]);
    let ends = grpc_ends("combined-grpc", combined(), &[&combiner, &short, &long]);
    for n in 0..RECORDS {
        let replies = [&short, &long].map(|model| direct::predict(model, message(n, &inches(n))));
        let expected = direct::aggregate(&combiner, replies.to_vec());
        let answer: SeldonMessage = ends.message(&id(n));
        assert_eq!(answer.data_oneof, expected.data_oneof);
        let (meta, expected) = (answer.meta.expect("meta"), expected.meta.expect("meta"));
        assert_eq!((&meta.puid, &meta.tags, &meta.metrics), (&id(n), &expected.tags, &expected.metrics));
        assert!(["combined", "short", "long"].iter().all(|name| meta.tags.contains_key(*name)), "{:?}", meta.tags);
    }
}

#[test]
#[ignore = "make test-servers runs it"]
fn a_model_that_fails_in_a_graph_is_named_with_its_words() {
    let [transformer, router, short, long] = Shared::all([&TRANSFORMER, &ROUTER, &SHORT, &LONG]);
    let scenario = Scenario::new(&BROKER, "narrow-graph", 1).protocol(Protocol::Seldon);
    let config = over_rest(&scenario, routed(), &[&transformer, &router, &short, &long]);
    let narrow = body(1, &inches(1)[..3]);
    let good = |n| record(&id(n), body(n, &inches(n)));
    let ends = run(&scenario, &config, &[good(0), record("narrow", narrow.as_str()), good(2)]);
    assert_eq!(ends.counts(), (2, 1));
    let changed = direct::must_post(&transformer, "/transform-input", &narrow);
    let leaf = [&short, &long][route_of(&direct::must_post(&router, "/route", &changed))];
    let refusal = direct::post(leaf, "/predict", &changed);
    assert!(refusal.body.contains("X has 3 features"), "{}", refusal.body);
    let letter = ends.letter("narrow");
    assert_eq!(letter.text(), narrow);
    assert_eq!(letter.must_have("millrace-error-body"), refusal.body);
    assert_eq!(letter.must_have("millrace-error-status"), refusal.status.to_string());
    assert_eq!(letter.must_have("millrace-error-node"), leaf.name());
}
