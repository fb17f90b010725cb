//! `millrace predict`: one request through the graph without Kafka, and what it says of it. `millrace graph` beside it.

mod support;

use std::process::Command;

use serde_json::{Value, json};
use support::config::Config;
use support::grpc_models::GrpcModel;
use support::http_server::{Request, Response};
use support::models::Model;
use support::ports;

/// A configuration as for a service; no broker is there, and none is needed.
fn config(protocol: &str, graph: Value, nodes: &[(&str, String)]) -> Config {
    let config = Config::default()
        .set("protocol", protocol)
        .set("kafka/brokers", "127.0.0.1:1")
        .set("kafka/group_id", "none")
        .set("kafka/input_topic", "in")
        .set("kafka/output_topic", "out")
        .set("graph", graph);
    nodes.iter().fold(config, |config, (name, at)| config.set(&format!("nodes/{name}/endpoint"), at.as_str()))
}

struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Said {
    /// The exit code, and texts that stand in standard error.
    #[track_caller]
    fn says(&self, code: i32, texts: &[&str]) -> &Self {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        for text in texts {
            assert!(self.stderr.contains(text), "no {text:?} in\n{}", self.stderr);
        }
        self
    }
}

/// Runs a subcommand with this configuration.
fn run(verb: &str, config: &Config, arguments: &[&str]) -> Said {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("config.yaml");
    std::fs::write(&file, config.yaml()).expect("it can be written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    let command = command.arg(verb).arg("-c").arg(&file).args(arguments).env_clear();
    let output = command.output().expect("it can be run");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Said { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn predict(config: &Config, text: &str, more: &[&str]) -> Said {
    let folder = tempfile::tempdir().expect("a folder");
    let request = folder.path().join("request.json");
    std::fs::write(&request, text).expect("it can be written");
    run("predict", config, &[&[request.to_str().expect("a text")], more].concat())
}

#[test]
fn the_answer_the_route_and_the_times_are_told() {
    let router = Model::answering("router", |_: &Request| Response::json(200, r#"{"data":{"ndarray":[1]}}"#));
    let (a, b) = (Model::echo("a"), Model::echo("b"));
    let graph = json!({"name": "router", "type": "ROUTER",
        "children": [{"name": "a", "type": "MODEL"}, {"name": "b", "type": "MODEL"}]});
    let nodes = [("router", router.endpoint()), ("a", a.endpoint()), ("b", b.endpoint())];
    let config = config("seldon", graph, &nodes);
    let request = r#"{"data":{"ndarray":[[1.0,2]]}}"#;
    let ended = predict(&config, request, &[]);
    ended.says(0, &["router", "route: router 1, b -1", " ms", "in all"]);
    assert_eq!(ended.stdout.trim_end(), request, "the answer, byte for byte, and nothing else");
    assert_eq!((a.calls(), b.calls()), (0, 1));

    b.change(|rules| rules.fail.push(("1.0".into(), 400, r#"{"error":"too wide"}"#.into())));
    predict(&config, request, &[]).says(65, &["node b: status 400", "too wide"]);
    predict(&config, "not JSON", &[]).says(65, &["request.json", "not JSON"]);
    let away = config_with(&config, "b", format!("127.0.0.1:{}", ports::one()));
    predict(&away, request, &["--set", "nodes.b.retry.attempts=1"]).says(69, &["node b", "cannot connect"]);
}

fn config_with(config: &Config, node: &str, endpoint: String) -> Config {
    config.clone().set(&format!("nodes/{node}/endpoint"), endpoint)
}

#[test]
fn protobuf_goes_over_grpc_and_its_answer_can_be_kept() {
    let model = GrpcModel::echo("m");
    let config =
        config("v2", json!({"name": "m", "type": "MODEL"}), &[("m", model.endpoint())]).set("transport", "grpc");
    let vector = concat!(env!("CARGO_MANIFEST_DIR"), "/proto/tests/vectors/v2/infer_fp32.pb");
    let folder = tempfile::tempdir().expect("a folder");
    let answer = folder.path().join("answer.pb");
    let said = run("predict", &config, &[vector, "-o", answer.to_str().expect("a text")]);
    said.says(0, &["m", "predict", "in all"]);
    assert!(said.stdout.is_empty() && !std::fs::read(&answer).expect("it was written").is_empty());
    assert_eq!(model.calls(), 1);
}

#[test]
fn the_graph_is_drawn_three_ways() {
    let graph = json!({"name": "split", "implementation": "RANDOM_ABTEST",
        "children": [{"name": "a", "type": "MODEL"}, {"name": "b", "type": "MODEL"}]});
    let config = config("seldon", graph, &[("a", "h:1".into()), ("b", "h:2".into())]);
    for (format, words) in [
        ("terminal", &["split", "└─", "h:2"][..]),
        ("mermaid", &["flowchart", "50 %"]),
        ("svg", &["<svg", "h:1", "</svg>"]),
    ] {
        let said = run("graph", &config, &["--format", format]);
        said.says(0, &[]);
        for word in words {
            assert!(said.stdout.contains(word), "{format}: {word} is not in {}", said.stdout);
        }
    }
}
