//! Every kind of node does its part on real Kafka, over REST: what comes out is what the graph makes of what went in, and what a
//! node does wrong is a dead letter that names it.

mod support;

use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Value, json};
use support::collect::Record;
use support::config::Config;
use support::http_server::{Request, Response};
use support::kafka::Broker;
use support::models::{Model, Rules};
use support::requests::Protocol;
use support::scenario::Scenario;
use support::send::Draft;
use support::service::{Launch, Service};
use support::wait;

static BROKER: LazyLock<Broker> = LazyLock::new(Broker::plain);
const SOON: Duration = Duration::from_secs(30);

/// A configuration with another graph and other models.
fn config(scenario: &Scenario<'_>, graph: Value, models: &[&Model]) -> Config {
    let config = scenario.config().without("nodes/double").without("nodes/add-one").set("graph", graph);
    models
        .iter()
        .fold(config, |config, model| config.set(&format!("nodes/{}/endpoint", model.name()), model.endpoint()))
}

fn leaf(name: &str) -> Value {
    json!({"name": name, "type": "MODEL"})
}

/// The rows of a Seldon message.
fn rows(text: &str) -> Vec<Vec<f64>> {
    let value: Value = serde_json::from_str(text).expect("JSON");
    serde_json::from_value(value["data"]["ndarray"].clone()).expect("rows")
}

fn seldon(rows: &Value) -> Response {
    Response::json(200, json!({"data": {"ndarray": rows}}).to_string())
}

/// A model of Seldon's protocol that changes every number.
fn arithmetic(name: &str, path: &'static str, change: impl Fn(f64) -> f64 + Send + Sync + 'static) -> Model {
    Model::answering(name, move |request: &Request| {
        if request.path != path {
            return Response::json(404, format!("{{\"error\":\"{} is not {path}\"}}", request.path));
        }
        let changed: Vec<Vec<f64>> =
            rows(&request.text()).iter().map(|row| row.iter().map(|n| change(*n)).collect()).collect();
        seldon(&json!(changed))
    })
}

/// Sends rows of one number each, by id, and waits for the end of all. Answers and dead letters by id.
fn ends(scenario: &Scenario<'_>, service: &Service, numbers: &[f64]) -> (Vec<Record>, Vec<Record>) {
    let draft = |n: &f64| {
        let body = json!({"data": {"ndarray": [[n]]}}).to_string();
        Draft::value(body).key(&n.to_string()).header("Seldon-Puid", n.to_string())
    };
    BROKER.send(&scenario.input, &numbers.iter().map(draft).collect::<Vec<_>>());
    let (mut outputs, mut dead) = (scenario.outputs(), scenario.dead_letters());
    wait::until_true(SOON, "every record has ended", || {
        outputs.read_to_end().len() + dead.read_to_end().len() >= numbers.len()
    });
    wait::until_true(SOON, "every outcome is counted", || {
        (service.outcomes("answered") + service.outcomes("dead_lettered")) as usize >= numbers.len()
    });
    (outputs.records, dead.records)
}

fn number_of(record: &Record) -> f64 {
    record.must_have("Seldon-Puid").parse().expect("a number")
}

#[test]
fn a_request_goes_through_transformer_router_models_and_output_transformer() {
    let scenario = Scenario::new(&BROKER, "graph", 2).protocol(Protocol::Seldon);
    let double = arithmetic("double", "/transform-input", |n| 2.0 * n);
    // Requests of up to 10, once doubled, go to the first child, others to the second, and 100 comes back as it is.
    let router = Model::answering("router", |request: &Request| {
        assert_eq!(request.path, "/route");
        let n = rows(&request.text())[0][0];
        seldon(&json!([if n >= 100.0 { -2 } else { i32::from(n > 10.0) }]))
    });
    let small = arithmetic("small", "/predict", |n| n + 0.25);
    let large = arithmetic("large", "/predict", |n| n + 0.5);
    let negate = arithmetic("negate", "/transform-output", |n| -n);
    let graph = json!({"name": "negate", "type": "OUTPUT_TRANSFORMER", "children": [
        {"name": "double", "type": "TRANSFORMER", "children": [
            {"name": "router", "type": "ROUTER", "children": [leaf("small"), leaf("large")]}]}]});
    let config = config(&scenario, graph, &[&double, &router, &small, &large, &negate]).set("inject_routing", true);
    let service = Service::start(&config);
    let numbers: Vec<f64> = [1.0, 2.0, 5.0, 6.0, 7.0, 50.0].into();
    let (answers, letters) = ends(&scenario, &service, &numbers);
    assert_eq!((answers.len(), letters.len()), (6, 0));
    for answer in &answers {
        let n = number_of(answer);
        let (route, expected) = match n {
            50.0 => (-2, -100.0),
            n if n > 5.0 => (1, -(2.0 * n + 0.5)),
            n => (0, -(2.0 * n + 0.25)),
        };
        let value: Value = serde_json::from_str(&answer.text()).expect("JSON");
        assert_eq!(rows(&answer.text()), [[expected]], "{n}");
        assert_eq!(value["meta"]["routing"]["router"], route, "{n}");
        assert_eq!(value["meta"]["routing"]["double"], -1, "{n}");
    }
    assert_eq!((double.calls(), router.calls(), small.calls(), large.calls(), negate.calls()), (6, 6, 3, 2, 6));
}

#[test]
fn a_combiner_gets_all_answers_in_child_order() {
    let scenario = Scenario::new(&BROKER, "combiner", 2).protocol(Protocol::Seldon);
    let (a, b) = (arithmetic("a", "/predict", |n| n + 1.0), arithmetic("b", "/predict", |n| n * 10.0));
    a.change(|rules| rules.delay = Duration::from_millis(20));
    let join = Model::answering("join", |request: &Request| {
        assert_eq!(request.path, "/aggregate");
        let all: Vec<Value> = serde_json::from_str(&request.text()).expect("a list");
        let row: Vec<&Value> = all.iter().map(|one| &one["data"]["ndarray"][0][0]).collect();
        seldon(&json!([row]))
    });
    let graph = json!({"name": "join", "type": "COMBINER", "children": [leaf("a"), leaf("b")]});
    let service = Service::start(&config(&scenario, graph, &[&a, &b, &join]));
    let numbers: Vec<f64> = (0..50).map(f64::from).collect();
    let (answers, letters) = ends(&scenario, &service, &numbers);
    assert_eq!((answers.len(), letters.len()), (50, 0));
    for answer in &answers {
        let n = number_of(answer);
        assert_eq!(rows(&answer.text()), [[n + 1.0, n * 10.0]]);
    }
}

#[test]
fn a_router_that_answers_nonsense_costs_only_its_records() {
    let scenario = Scenario::new(&BROKER, "bad-route", 2).protocol(Protocol::Seldon);
    let router = Model::answering("router", |request: &Request| match rows(&request.text())[0][0] as i64 {
        1 => seldon(&json!([7])),
        2 => seldon(&json!([])),
        3 => seldon(&json!(["left"])),
        4 => Response::json(200, r#"{"data":{"ndarray":[NaN]}}"#),
        5 => Response::json(200, ""),
        6 => Response::json(200, "{}"),
        7 => Response::json(200, "no JSON"),
        8 => seldon(&json!([-3])),
        9 => seldon(&json!([0.5])),
        _ => seldon(&json!([1])),
    });
    let (a, b) = (arithmetic("a", "/predict", |n| n), arithmetic("b", "/predict", |n| n));
    let graph = json!({"name": "router", "type": "ROUTER", "children": [leaf("a"), leaf("b")]});
    let service = Service::start(&config(&scenario, graph, &[&router, &a, &b]));
    let numbers: Vec<f64> = (0..20).map(f64::from).collect();
    let (answers, letters) = ends(&scenario, &service, &numbers);
    assert_eq!((answers.len(), letters.len()), (11, 9));
    for letter in &letters {
        assert_eq!(letter.must_have("millrace-error-class"), "bad_route");
        assert_eq!(letter.must_have("millrace-error-node"), "router");
        let message = letter.must_have("millrace-error-message");
        assert!(message.starts_with("node router: "), "{message}");
    }
    assert_eq!((a.calls(), b.calls()), (0, 11));
}

#[test]
fn what_needs_no_server_is_done_here() {
    let scenario = Scenario::new(&BROKER, "built-in", 2).protocol(Protocol::Seldon);
    let (a, b) = (arithmetic("a", "/predict", |n| n), arithmetic("b", "/predict", |n| n + 1.0));
    let (c, never) = (arithmetic("c", "/predict", |n| 100.0 + n), arithmetic("never", "/predict", |_| 0.0));
    let split =
        json!([{"name": "weights", "value": "1,1", "type": "STRING"}, {"name": "seed", "value": "7", "type": "INT"}]);
    let graph = json!({"name": "split", "implementation": "RANDOM_ABTEST", "parameters": split, "children": [
        {"name": "mean", "implementation": "AVERAGE_COMBINER", "children": [leaf("a"), leaf("b")]},
        {"name": "first", "implementation": "SIMPLE_ROUTER", "children": [leaf("c"), leaf("never")]}]});
    let config = config(&scenario, graph, &[&a, &b, &c, &never]).set("inject_routing", true);
    let service = Service::start(&config);
    let numbers: Vec<f64> = (0..100).map(f64::from).collect();
    let (answers, letters) = ends(&scenario, &service, &numbers);
    assert_eq!((answers.len(), letters.len()), (100, 0));
    let mut routes = [0, 0];
    for answer in &answers {
        let n = number_of(answer);
        let value: Value = serde_json::from_str(&answer.text()).expect("JSON");
        let route = value["meta"]["routing"]["split"].as_u64().expect("a route") as usize;
        routes[route] += 1;
        let expected = if route == 0 { n + 0.5 } else { n + 100.0 };
        assert_eq!(rows(&answer.text()), [[expected]], "{n}");
    }
    assert!(routes.iter().all(|count| *count > 25), "{routes:?}");
    assert_eq!(never.calls(), 0);
}

#[test]
fn a_shadow_is_compared_and_harms_nobody() {
    let scenario = Scenario::new(&BROKER, "shadow", 2).protocol(Protocol::Seldon);
    let given = arithmetic("given", "/predict", |n| n + 1.0);
    let same = arithmetic("same", "/predict", |n| n + 1.0);
    let other = arithmetic("other", "/predict", |n| n + 2.0);
    let failing = Model::answering("failing", |_: &Request| Response::json(400, "{}"));
    // Hangs until the end of the test.
    let hanging = Model::start("hanging", Rules { hang_all: true, ..Rules::default() });
    let children: Vec<Value> = ["given", "same", "other", "failing", "hanging"].into_iter().map(leaf).collect();
    let graph = json!({"name": "shadow", "implementation": "SHADOW", "children": children});
    let models = [&given, &same, &other, &failing, &hanging];
    let service = Service::start(&config(&scenario, graph, &models));
    let numbers: Vec<f64> = (0..30).map(f64::from).collect();
    let (answers, letters) = ends(&scenario, &service, &numbers);
    assert_eq!((answers.len(), letters.len()), (30, 0));
    for answer in &answers {
        assert_eq!(rows(&answer.text()), [[number_of(answer) + 1.0]]);
    }
    let compared =
        |node, result| service.metrics().sum("millrace_shadows_total", &[("node", node), ("result", result)]) as usize;
    wait::until_true(SOON, "all copies but those that hang are compared", || {
        (compared("same", "equal"), compared("other", "different"), compared("failing", "failed")) == (30, 30, 30)
    });
    assert_eq!(compared("same", "different") + compared("other", "equal"), 0);
    BROKER.wait_for_no_lag(&scenario.group, &scenario.input, SOON);
}

#[test]
fn the_failure_of_one_child_ends_the_calls_of_its_siblings() {
    let scenario = Scenario::new(&BROKER, "siblings", 1).protocol(Protocol::Seldon);
    let failing = Model::answering("failing", |_: &Request| Response::json(400, r#"{"error":"no"}"#));
    let hanging = Model::start("hanging", Rules { hang_all: true, ..Rules::default() });
    let graph =
        json!({"name": "mean", "implementation": "AVERAGE_COMBINER", "children": [leaf("failing"), leaf("hanging")]});
    let service = Service::start(&config(&scenario, graph, &[&failing, &hanging]));
    let (answers, letters) = ends(&scenario, &service, &[1.0, 2.0, 3.0]);
    assert_eq!((answers.len(), letters.len()), (0, 3));
    for letter in &letters {
        assert_eq!(letter.must_have("millrace-error-node"), "failing");
        assert_eq!(letter.must_have("millrace-error-status"), "400");
        assert_eq!(letter.must_have("millrace-error-body"), r#"{"error":"no"}"#);
    }
    wait::until_true(SOON, "the server sees that nobody waits for it", || hanging.running() == 0);
}

#[test]
fn tensorflow_and_v2_graphs_combine_too() {
    for (protocol, request, child, expected) in [
        (Protocol::Tensorflow, r#"{"instances":[[1.0],[3.0]]}"#, r#"{"predictions":[[2.0],[4.0]]}"#, "predictions"),
        (
            Protocol::V2,
            r#"{"inputs":[{"name":"x","shape":[2],"datatype":"FP64","data":[1.0,3.0]}]}"#,
            r#"{"model_name":"b","outputs":[{"name":"y","shape":[2],"datatype":"FP64","data":[2.0,4.0]}]}"#,
            "outputs",
        ),
    ] {
        let scenario = Scenario::new(&BROKER, protocol.name(), 1).protocol(protocol);
        let a = Model::echo("a");
        let other = child.replace("2.0", "0.0").replace("4.0", "8.0");
        let (b, c) = (
            Model::answering("b", move |_: &Request| Response::json(200, child)),
            Model::answering("c", move |_: &Request| Response::json(200, other.as_str())),
        );
        let graph = json!({"name": "a", "type": "MODEL", "children": [
            {"name": "mean", "implementation": "AVERAGE_COMBINER", "children": [leaf("b"), leaf("c")]}]});
        let _service = Service::start(&config(&scenario, graph, &[&a, &b, &c]));
        BROKER.send(&scenario.input, &[Draft::value(request)]);
        let mut outputs = scenario.outputs();
        let answer: Value = serde_json::from_str(&outputs.expect(1, SOON)[0].text()).expect("JSON");
        let numbers = match protocol {
            Protocol::Tensorflow => answer[expected].clone(),
            _ => answer[expected][0]["data"].clone(),
        };
        let flat: Vec<f64> = match numbers {
            Value::Array(rows) => rows.iter().map(|n| n.as_f64().or(n[0].as_f64()).expect("a number")).collect(),
            other => panic!("{other}"),
        };
        assert_eq!(flat, [1.0, 6.0], "{}", protocol.name());
    }
}

#[test]
fn graphs_that_cannot_work_are_refused_at_start() {
    let scenario = Scenario::without_topics(&BROKER, "refused");
    for (graph, words) in [
        (
            json!({"name": "a", "type": "MODEL", "implementation": "MAGIC_SERVER"}),
            &["MAGIC_SERVER", "SKLEARN_SERVER"][..],
        ),
        (json!({"name": "a", "type": "CHOOSER"}), &["CHOOSER", "ROUTER"]),
        (json!({"name": "a", "type": "COMBINER", "children": [leaf("b"), leaf("b")]}), &["\"b\""]),
        (json!({"name": "a", "implementation": "RANDOM_ABTEST"}), &["RANDOM_ABTEST"]),
        (json!({"name": "a", "type": "ROUTER", "methods": ["GUESS"], "children": [leaf("b")]}), &["GUESS"]),
    ] {
        let config = config(&scenario, graph, &[]);
        Launch::with(&config).run(SOON).says(78, words);
    }
}
