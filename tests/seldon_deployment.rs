//! The predecessor's deployment file runs as it is, and so do its orchestrator's environment and flags.

mod support;

use std::time::Duration;

use base64::Engine;
use serde_json::{Value, json};
use support::collect::Collector;
use support::http_server::Response;
use support::kafka::Broker;
use support::models::Model;
use support::send::Draft;
use support::service::{Launch, Service};
use support::topics::unique;

const DEPLOYMENT: &str = include_str!("fixtures/cifar10.yaml");
const SOON: Duration = Duration::from_secs(30);
const IMAGES: usize = 20;

/// A stand-in for TensorFlow Serving with resnet32: wants images of 32×32×3, answers ten numbers for each.
fn resnet32() -> Model {
    Model::answering("resnet32", |request| {
        assert_eq!(request.path, "/v1/models/resnet32:predict");
        let body: Value = serde_json::from_slice(&request.body).expect("a predict request");
        let rows: Option<Vec<Value>> = body["instances"].as_array().map(|images| images.iter().map(classes).collect());
        match rows {
            Some(rows) if rows.iter().all(|row| !row.is_null()) => {
                Response::json(200, json!({ "predictions": rows }).to_string())
            }
            _ => Response::json(400, r#"{"error":"instances are no images of 32x32x3"}"#),
        }
    })
}

/// Ten numbers, the first of which shows whose answer they are; null when it is no image.
fn classes(image: &Value) -> Value {
    let lengths_are = |list: &Value, n: usize| list.as_array().is_some_and(|items| items.len() == n);
    let rows = image.as_array().map(Vec::as_slice).unwrap_or_default();
    let pixels = || rows.iter().flat_map(|row| row.as_array().map(Vec::as_slice).unwrap_or_default());
    if !lengths_are(image, 32) || !rows.iter().all(|row| lengths_are(row, 32)) || !pixels().all(|p| lengths_are(p, 3)) {
        return Value::Null;
    }
    let mut numbers = vec![image[0][0][0].clone()];
    numbers.extend((1..10).map(|i| json!(f64::from(i) / 100.0)));
    Value::Array(numbers)
}

/// A predict request with one image, whose first number is its own.
fn image(number: usize) -> String {
    let pixel = |i: usize| format!("[0.{:03},0.{:03},0.{:03}]", i % 997, i % 499, i % 251);
    let row = |y: usize| (0..32).map(|x| pixel(y * 32 + x + number)).collect::<Vec<_>>().join(",");
    let rows: Vec<String> = (0..32).map(|y| format!("[{}]", row(y))).collect();
    let image = rows.join(",").replacen(&pixel(number), &format!("[{number},0.5,0.25]"), 1);
    format!(r#"{{"signature_name":"serving_default","instances":[[{image}]]}}"#)
}

/// Sends images, starts the service, and sees the right answers on the output topic and the right group at work.
fn classifies(broker: &Broker, input: &str, output: &str, group: &str, launch: Launch) {
    broker.create_topic(input, 2, &[]);
    let drafts: Vec<Draft> = (0..IMAGES)
        .map(|i| Draft::value(image(i)).key(&format!("image-{i}")).header("Seldon-Puid", format!("p{i}")))
        .collect();
    broker.send(input, &drafts);
    let service: Service = launch.start();
    let mut answers = Collector::open(broker, output);
    answers.expect(IMAGES, SOON);
    for record in &answers.records {
        let number = record.must_have("Seldon-Puid").trim_start_matches('p').to_owned();
        let wanted = format!(r#"{{"predictions":[[{number},0.01,0.02,0.03,0.04,0.05,0.06,0.07,0.08,0.09]]}}"#);
        assert_eq!(record.text(), wanted);
        assert_eq!(record.key_text(), Some(format!("image-{number}")));
    }
    broker.wait_for_no_lag(group, input, SOON);
    assert_eq!(broker.group(group).expect("the group exists").members.len(), 1);
    assert_eq!(answers.read_to_end().len(), IMAGES);
    service.stop();
}

#[test]
fn the_deployment_file_runs_as_it_is() {
    let (broker, model) = (Broker::plain(), resnet32());
    let launch = Launch::default();
    let (file, port) = (launch.file("cifar10.yaml", DEPLOYMENT), launch.admin_port().to_string());
    let endpoint = format!("resnet32={}", model.endpoint());
    let args = ["run", "-f", &file, "--namespace", "kafka", "--endpoint", &endpoint, "--http_port", &port];
    let launch = launch.args(&args).env("KAFKA_BROKER", broker.bootstrap());
    let (input, output) = ("cifar10-rest-input", "cifar10-rest-output");
    classifies(&broker, input, output, "model.tfserving-cifar10.kafka", launch);

    the_orchestrators_flags_and_environment_run_without_a_subcommand(&broker, &model);
    the_orchestrators_own_flags_name_broker_and_topics(&broker, &model);
}

/// The predictor alone, as the operator hands it over: base64 of its JSON, with the endpoint filled in.
fn predictor(model: &Model) -> String {
    let predictor = json!({
        "name": "model",
        "graph": {
            "name": "resnet32",
            "type": "MODEL",
            "endpoint": {"service_host": "127.0.0.1", "service_port": model.port, "httpPort": model.port, "grpcPort": 9500},
        },
        "componentSpecs": [{"spec": {"containers": [{"name": "resnet32", "image": "tensorflow/serving"}]}}],
        "replicas": 0,
        "traffic": 0,
    });
    base64::engine::general_purpose::STANDARD.encode(predictor.to_string())
}

fn the_orchestrators_flags_and_environment_run_without_a_subcommand(broker: &Broker, model: &Model) {
    let (input, output) = (unique("env-input"), unique("env-output"));
    let launch = Launch::default();
    let port = launch.admin_port().to_string();
    let launch = launch
        .args(&["--sdep", "cifar-env", "--namespace", "ns", "--predictor", "model"])
        .args(&["--http_port", &port, "--grpc_port", "5001", "--protocol", "tensorflow", "--transport", "rest"])
        .args(&["--prometheus_path", "/prometheus", "--server_type", "kafka"])
        .args(&["--log_work_buffer_size", "10000", "--log_write_timeout_ms", "2000", "--full_health_checks=false"])
        .env("ENGINE_PREDICTOR", predictor(model))
        .env("REQUEST_LOGGER_DEFAULT_ENDPOINT", "http://default-broker")
        .env("KAFKA_BROKER", broker.bootstrap())
        .env("KAFKA_INPUT_TOPIC", input.as_str())
        .env("KAFKA_OUTPUT_TOPIC", output.as_str())
        .env("KAFKA_WORKERS", "8")
        .env("KAFKA_AUTO_COMMIT", "true")
        .env("SELDON_LOG_LEVEL", "INFO");
    classifies(broker, &input, &output, "model.cifar-env.ns", launch);
}

fn the_orchestrators_own_flags_name_broker_and_topics(broker: &Broker, model: &Model) {
    let (input, output) = (unique("flag-input"), unique("flag-output"));
    let launch = Launch::default();
    let port = launch.admin_port().to_string();
    let launch = launch
        .args(&["run", "--sdep", "cifar-flag", "--namespace", "ns", "--predictor", "model", "--http_port", &port])
        .args(&["--protocol", "tensorflow", "--server_type", "kafka", "--kafka_broker", broker.bootstrap()])
        .args(&["--kafka_input_topic", &input, "--kafka_output_topic", &output, "--kafka_workers", "2"])
        // A flag is stronger than the environment.
        .env("KAFKA_BROKER", "127.0.0.1:1")
        .env("KAFKA_OUTPUT_TOPIC", "elsewhere")
        .env("ENGINE_PREDICTOR", predictor(model));
    classifies(broker, &input, &output, "model.cifar-flag.ns", launch);
}
