//! Sources in their order, faults of all kinds, and the samples.

use std::io::Write;
use std::time::Duration;

use tempfile::NamedTempFile;

use super::*;
use crate::config::settings::{Assignment, Endpoint, LogFormat, Order, Protocol, Start};

const CIFAR10: &str = include_str!("../../../config/samples/cifar10.yaml");
const CHAIN: &str = include_str!("../../../config/samples/chain.yaml");
const SASL: &str = include_str!("../../../config/samples/sasl.yaml");

fn file(text: &str) -> NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn env(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs(variables).into_iter().collect()
}

/// Loads a deployment and a configuration file with flags and environment.
fn load_with(
    deployment: Option<&str>,
    config: Option<&str>,
    flags: &[(&str, &str)],
    variables: &[(&str, &str)],
) -> Result<Loaded, Faults> {
    let (deployment, config) = (deployment.map(file), config.map(file));
    load(&Inputs {
        deployment: deployment.as_ref().map(|file| file.path().to_owned()),
        config: config.as_ref().map(|file| file.path().to_owned()),
        flags: pairs(flags),
        environment: env(variables),
        ..Inputs::default()
    })
}

#[test]
fn the_seeds_deployment_is_taken_as_it_is() {
    let settings = load_with(Some(CIFAR10), None, &[], &[]).unwrap().settings;
    assert_eq!(settings.protocol, Protocol::Tensorflow);
    assert_eq!(settings.kafka.brokers, "10.12.10.16:9094");
    assert_eq!(settings.kafka.input_topic, "cifar10-rest-input");
    assert_eq!(settings.kafka.output_topic, "cifar10-rest-output");
    assert_eq!(settings.kafka.dead_letter_topic, "cifar10-rest-input.dlq");
    assert_eq!(settings.kafka.group_id, "model.tfserving-cifar10.default");
    assert_eq!(settings.graph.name, "resnet32");
    let node = &settings.nodes["resnet32"];
    assert_eq!(node.rest, Some(Endpoint { host: "localhost".into(), port: 8501 }));
    assert_eq!(node.image, "tensorflow/serving");
    assert_eq!(node.timeout, Duration::from_secs(30));
    assert_eq!(settings.order, Order::Key);
    assert_eq!(settings.kafka.start, Start::Earliest);
    assert_eq!(settings.limits.in_flight_records, 1000);
    assert_eq!(settings.limits.in_flight_bytes, 64 << 20);
    assert_eq!(settings.admin.port, 8000);
}

#[test]
fn the_namespace_flag_reaches_the_group() {
    let settings = load_with(Some(CIFAR10), None, &[("namespace", "kafka")], &[]).unwrap().settings;
    assert_eq!(settings.kafka.group_id, "model.tfserving-cifar10.kafka");
    assert_eq!(settings.deployment.namespace, "kafka");
}

#[test]
fn a_configuration_file_is_enough() {
    let settings = load_with(None, Some(CHAIN), &[], &[]).unwrap().settings;
    assert_eq!(settings.graph.children[0].name, "scores");
    assert_eq!(settings.nodes["features"].timeout, Duration::from_secs(10));
    assert_eq!(settings.nodes["scores"].timeout, Duration::from_mins(1));
    assert_eq!(settings.nodes["scores"].retry.attempts, 3);
    assert_eq!(settings.kafka.dead_letter_topic, "requests-failed");
    assert_eq!(settings.kafka.producer_properties["compression.type"], "zstd");
    assert_eq!(settings.log.format, LogFormat::Json);
}

#[test]
fn the_connection_sample_needs_only_a_password() {
    let settings = load_with(Some(CIFAR10), Some(SASL), &[], &[("KAFKA_SASL_PASSWORD", "canary-1")]).unwrap().settings;
    let names: Vec<&str> = settings.kafka.security.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["security.protocol", "sasl.mechanism", "sasl.username", "sasl.password"]);
}

#[test]
fn each_source_beats_the_next_weaker() {
    let sources: [(&str, &str); 4] = [("flag", "f:1"), ("environment", "e:1"), ("deployment", "d:1"), ("file", "c:1")];
    let deployment = CIFAR10.replace("10.12.10.16:9094", "d:1");
    let without = CIFAR10.replace("KAFKA_BROKER", "OTHER_NAME");
    for (strong, (source, value)) in sources.iter().enumerate() {
        for (weak, _) in sources.iter().enumerate().skip(strong + 1) {
            let has = |index: usize| strong == index || weak == index;
            let flags: &[_] = if has(0) { &[("kafka_broker", "f:1")] } else { &[] };
            let variables: &[_] = if has(1) { &[("KAFKA_BROKER", "e:1")] } else { &[] };
            let config = has(3).then_some("kafka: {brokers: 'c:1'}");
            let deployment = if has(2) { &deployment } else { &without };
            let settings = load_with(Some(deployment), config, flags, variables).unwrap().settings;
            assert_eq!(settings.kafka.brokers, *value, "{source} against {}", sources[weak].0);
        }
    }
    let settings =
        load_with(Some(&without), Some("kafka: {brokers: 'c:1', assignment: range}"), &[], &[]).unwrap().settings;
    assert_eq!((settings.kafka.brokers.as_str(), settings.kafka.assignment), ("c:1", Assignment::Range));
}

#[test]
fn the_executors_names_do_what_they_did() {
    let loaded = load_with(
        Some(CIFAR10),
        None,
        &[("server_type", "kafka"), ("http_port", "8001"), ("full_health_checks", "false"), ("graceful_timeout", "5s")],
        &[("KAFKA_WORKERS", "8"), ("KAFKA_AUTO_COMMIT", "false"), ("SELDON_LOG_LEVEL", "WARN")],
    )
    .unwrap();
    assert_eq!(loaded.settings.limits.in_flight_records, 8);
    assert_eq!(loaded.settings.admin.port, 8001);
    assert_eq!(loaded.settings.limits.drain, Duration::from_secs(5));
    assert_eq!(loaded.settings.log.level, slog::Level::Warning);
    assert_eq!(loaded.notices.len(), 2, "{:?}", loaded.notices);
}

#[test]
fn all_faults_come_at_once_with_their_sources() {
    let config = "kafka:\n  inputTopic: a\nlimits: {drain: 30}\nnodes: {resnet: {timeout: 5s}}\n";
    let variables = [("KAFKA_WORKERS", "0"), ("KAFKA_AUTO_COMMIT", "maybe"), ("MILLRACE__ORDERS", "key")];
    let flags = [("http_port", "eighty"), ("kafka_output_topic", "cifar10-rest-input"), ("transport", "soap")];
    let text = load_with(Some(CIFAR10), Some(config), &flags, &variables).unwrap_err().to_string();
    for wanted in [
        ":2: kafka.inputTopic: unknown key; did you mean `input_topic`?",
        "limits.drain: \"30\" is not a time with its unit",
        "nodes.resnet.timeout: `nodes.resnet.timeout`: the graph has no such node; did you mean `resnet32`?",
        "environment KAFKA_WORKERS: limits.in_flight_records: 0 is out of range",
        "environment KAFKA_AUTO_COMMIT: \"maybe\" is no boolean",
        "environment MILLRACE__ORDERS: unknown key `orders`; did you mean `order`?",
        "flag --http_port: admin.port: \"eighty\" is not a whole number",
        "flag --kafka_output_topic: kafka.output_topic: is the input topic",
        "flag --transport: \"soap\" is not known; one of: rest, grpc",
    ] {
        assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
    }
}

#[test]
fn nothing_given_says_what_is_needed() {
    let text = load(&Inputs::default()).unwrap_err().to_string();
    for wanted in ["kafka.brokers: is not set", "kafka.input_topic", "kafka.output_topic", "kafka.group_id", "graph"] {
        assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
    }
}

#[test]
fn a_broken_file_is_one_fault_and_not_five() {
    for (deployment, config) in [(Some("a: [1\nb: 2"), None), (Some("kind: Pod"), None)] {
        let faults = load_with(deployment, config, &[], &[]).unwrap_err();
        assert_eq!(faults.0.len(), 1, "{faults}");
    }
    let faults = load_with(Some(CIFAR10), Some("kafka:\n  a: [1\n"), &[], &[]).unwrap_err();
    assert!(faults.to_string().contains("malformed YAML: line 2, column 6: unclosed bracket"), "{faults}");
    let swapped = load_with(None, Some(CIFAR10), &[], &[]).unwrap_err().to_string();
    assert!(swapped.contains("give a SeldonDeployment with -f"), "{swapped}");
}

#[test]
fn what_follows_from_values_is_checked() {
    let flags: &[(&str, &str)] = &[("graceful_timeout", "16s")];
    assert!(load_with(Some(CIFAR10), None, flags, &[]).unwrap_err().to_string().contains("do not fit"));
    let longer = "nodes: {resnet32: {timeout: 90s}}";
    let loaded = load_with(Some(CIFAR10), Some(longer), &[], &[]).unwrap();
    assert_eq!(loaded.settings.limits.record_deadline, Duration::from_secs(90));
    let both = "nodes: {resnet32: {timeout: 90s}}\nlimits: {record_deadline: 60s}";
    assert!(load_with(Some(CIFAR10), Some(both), &[], &[]).unwrap_err().to_string().contains("limits.record_deadline"));
    let poll = "kafka: {consumer: {properties: {max.poll.interval.ms: 9000}}}";
    assert!(load_with(Some(CIFAR10), Some(poll), &[], &[]).unwrap_err().to_string().contains("max.poll.interval.ms"));
    let twice = "graph: {name: a}";
    assert!(load_with(Some(CIFAR10), Some(twice), &[], &[]).unwrap_err().to_string().contains("a graph is given here"));
}

#[test]
fn endpoints_are_overridden_and_nodes_named_in_the_environment() {
    let deployment = file(CIFAR10);
    let mut inputs = Inputs {
        deployment: Some(deployment.path().to_owned()),
        endpoints: vec!["resnet32=[::1]:1".into()],
        environment: env(&[("MILLRACE__NODES__RESNET32__TIMEOUT", "7s")]),
        set: vec!["kafka.consumer.properties.fetch.min.bytes=10".into(), "kafka.start=latest".into()],
        ..Inputs::default()
    };
    let settings = load(&inputs).unwrap().settings;
    assert_eq!(settings.nodes["resnet32"].rest, Some(Endpoint { host: "::1".into(), port: 1 }));
    assert_eq!(settings.nodes["resnet32"].timeout, Duration::from_secs(7));
    assert_eq!(settings.kafka.consumer_properties["fetch.min.bytes"], "10");
    assert_eq!(settings.kafka.start, Start::Latest);
    inputs.endpoints = vec!["other=a:1".into(), "resnet32".into()];
    inputs.set = vec!["kafka.begin=latest".into(), "novalue".into()];
    assert_eq!(load(&inputs).unwrap_err().0.len(), 4);
}

#[test]
fn owned_and_unknown_properties_are_refused_by_name() {
    let config = "kafka:\n  consumer:\n    properties: {enable.auto.commit: true, fetch.min.bite: 1, ssl.key.pem: canary-1}\n  \
                  producer:\n    properties: {acks: 1, linger.ms: -1, ssl.cipher.suites: x}\n";
    let text = load_with(Some(CIFAR10), Some(config), &[], &[]).unwrap_err().to_string();
    for wanted in [
        "kafka.consumer.properties.enable.auto.commit: belongs to the service; offsets are committed by the service",
        "kafka.consumer.properties.fetch.min.bite: No such configuration property",
        "kafka.consumer.properties.ssl.key.pem: is about security; use kafka.security.key",
        "kafka.producer.properties.acks: belongs to the service",
        "kafka.producer.properties.linger.ms: Configuration property \"queue.buffering.max.ms\" value -1",
        "kafka.producer.properties.ssl.cipher.suites: is about security; use kafka.security.properties",
    ] {
        assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
    }
    assert!(!text.contains("canary-1"), "{text}");
}

#[test]
fn the_values_in_effect_are_shown_with_their_sources() {
    let loaded = load_with(Some(CIFAR10), None, &[("http_port", "1")], &[]).unwrap();
    let shown = |key: &str| loaded.shown.iter().find(|shown| shown.key == key).unwrap();
    assert_eq!(shown("admin.port").source, "flag --http_port");
    assert!(shown("kafka.brokers").source.ends_with("svcOrchSpec.env KAFKA_BROKER"), "{:?}", shown("kafka.brokers"));
    assert_eq!(shown("limits.window").source, "default");
}

#[test]
fn every_sample_is_taken() {
    let mut samples = 0;
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/config/samples")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let pem = "-----BEGIN CERTIFICATE-----";
        let mut variables =
            vec![("KAFKA_SSL_CA_CERT", pem), ("KAFKA_SSL_CLIENT_CERT", pem), ("KAFKA_SSL_CLIENT_KEY", pem)];
        let loaded = if text.contains("kind: SeldonDeployment") {
            variables.retain(|_| text.contains("KAFKA_SSL"));
            load_with(Some(&text), None, &[], &variables)
        } else {
            let deployment = (!text.contains("\ngraph:")).then_some(CIFAR10);
            let secret: &[_] = if text.contains("sasl") { &[("KAFKA_SASL_PASSWORD", "canary")] } else { &[] };
            load_with(deployment, Some(&text), &[], secret)
        };
        assert!(loaded.is_ok(), "{}: {}", path.display(), loaded.unwrap_err());
        samples += 1;
    }
    assert!(samples >= 4, "{samples}");
}
