//! SeldonDeployments as users and the operator write them.

use std::collections::BTreeMap;

use base64::Engine;

use super::*;
use crate::config::load::{Inputs, load};

const CIFAR10: &str = include_str!("../../../config/samples/cifar10.yaml");
const TLS: &str = include_str!("../../../config/samples/cifar10-tls.yaml");

fn read(text: &str) -> (Option<Deployed>, Faults) {
    let mut faults = Faults::default();
    let deployed = file("d.yaml", text, Wanted::default(), &References::default(), &mut faults);
    (deployed, faults)
}

#[test]
fn values_know_where_they_were_given() {
    let (deployed, faults) = read(CIFAR10);
    assert!(faults.is_empty(), "{faults}");
    let deployed = deployed.unwrap();
    let (_, value, origin) = &deployed.variables[0];
    assert_eq!((value.as_str(), origin.text.as_str()), ("10.12.10.16:9094", "d.yaml:28: svcOrchSpec.env KAFKA_BROKER"));
    let protocol = deployed.values.iter().find(|(path, ..)| path[0] == "protocol").unwrap();
    assert_eq!(protocol.2.text, "d.yaml:8: spec.protocol");
}

#[test]
fn several_predictors_need_a_choice() {
    let two = format!("{CIFAR10}  - name: canary\n    graph: {{name: m}}\n");
    let (none, faults) = read(&two);
    assert!(none.is_none());
    assert!(faults.to_string().contains("several predictors: model, canary; choose one with --predictor"), "{faults}");
    let mut faults = Faults::default();
    let wanted = Wanted { predictor: Some("canary"), ..Wanted::default() };
    let deployed = file("d.yaml", &two, wanted, &References::default(), &mut faults).unwrap();
    assert_eq!(deployed.graph.unwrap().graph.name, "m");
    let wanted = Wanted { predictor: Some("modle"), ..Wanted::default() };
    assert!(file("d.yaml", &two, wanted, &References::default(), &mut faults).is_none());
    assert!(faults.to_string().contains("did you mean \"model\"?"), "{faults}");
}

#[test]
fn a_deployment_is_chosen_among_objects() {
    let objects = format!("kind: Secret\n---\n{CIFAR10}---\n{}", CIFAR10.replace("tfserving-cifar10", "other"));
    let (_, faults) = read(&objects);
    assert!(faults.to_string().contains("holds several SeldonDeployments: tfserving-cifar10, other"), "{faults}");
    let mut faults = Faults::default();
    let wanted = Wanted { deployment: Some("other"), ..Wanted::default() };
    assert!(file("d.yaml", &objects, wanted, &References::default(), &mut faults).is_some());
}

#[test]
fn other_server_types_are_refused() {
    let (_, faults) = read(&CIFAR10.replace("serverType: kafka", "serverType: rpc"));
    assert!(faults.to_string().contains("d.yaml:10: spec.serverType: serverType is \"rpc\""), "{faults}");
    let (_, faults) = read(&CIFAR10.replace("  serverType: kafka\n", ""));
    assert!(faults.to_string().contains("set `serverType: kafka`"), "{faults}");
}

#[test]
fn annotations_are_environment_and_timeouts() {
    let notes =
        "{seldon.io/engine-kafka-workers: '8', seldon.io/engine-kafka-broker: x:1, seldon.io/rest-timeout: '5000'}";
    let (deployed, faults) = read(&CIFAR10.replace("  protocol:", &format!("  annotations: {notes}\n  protocol:")));
    assert!(faults.is_empty(), "{faults}");
    let deployed = deployed.unwrap();
    let values =
        |name: &str| deployed.variables.iter().filter(|v| v.0 == name).map(|v| v.1.as_str()).collect::<Vec<_>>();
    assert_eq!(values("KAFKA_WORKERS"), ["8"]);
    assert_eq!(values("KAFKA_BROKER"), ["10.12.10.16:9094"]);
    assert!(
        deployed.values.iter().any(
            |(path, value, _)| path.join(".") == "nodes.*.timeout (rest)" && *value == Value::Text("5000ms".into())
        )
    );
    let (_, faults) = read(&CIFAR10.replace("  protocol:", "  annotations: {seldon.io/rest-timeout: 5s}\n  protocol:"));
    assert!(faults.to_string().contains("give milliseconds"), "{faults}");
}

#[test]
fn secrets_are_read_from_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let deployment = directory.path().join("d.yaml");
    std::fs::write(&deployment, TLS).unwrap();
    let inputs = |secrets: bool| Inputs {
        deployment: Some(deployment.clone()),
        secrets: secrets.then(|| directory.path().to_owned()),
        ..Inputs::default()
    };
    let text = load(&inputs(false)).unwrap_err().to_string();
    assert!(text.contains("secretKeyRef seldon-cluster-ca-cert/ca.crt is not resolved; give a directory"), "{text}");
    assert_eq!(text.lines().count(), 3, "the optional one is no fault:\n{text}");
    let pem = "-----BEGIN CERTIFICATE-----\ncanary\n-----END CERTIFICATE-----\n";
    for file in ["seldon-cluster-ca-cert/ca.crt", "seldon-user/user.crt", "seldon-user/user.key"] {
        let file = directory.path().join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, pem).unwrap();
    }
    let names = |inputs: &Inputs| {
        let security = load(inputs).unwrap().settings.kafka.security;
        security.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(names(&inputs(true)), ["security.protocol", "ssl.ca.pem", "ssl.certificate.pem", "ssl.key.pem"]);
    std::fs::write(directory.path().join("seldon-user/user.password"), "canary\n").unwrap();
    let loaded = load(&inputs(true)).unwrap();
    let (name, password) = loaded.settings.kafka.security.last().unwrap();
    assert_eq!((name.as_str(), password.expose()), ("ssl.key.password", "canary"));
}

#[test]
fn a_reference_that_the_environment_answers_is_no_fault() {
    let pem = "-----BEGIN CERTIFICATE-----";
    let set = ["KAFKA_SSL_CA_CERT", "KAFKA_SSL_CLIENT_CERT", "KAFKA_SSL_CLIENT_KEY"];
    let environment: BTreeMap<String, String> = set.iter().map(|name| ((*name).into(), pem.into())).collect();
    let references = References { environment: Some(&environment), ..References::default() };
    let mut faults = Faults::default();
    file("d.yaml", TLS, Wanted::default(), &references, &mut faults);
    assert!(faults.is_empty(), "{faults}");
}

#[test]
fn references_stay_inside_their_directory() {
    let directory = tempfile::tempdir().unwrap();
    let references = References { secrets: Some(directory.path()), ..References::default() };
    let mut faults = Faults::default();
    file("d.yaml", &TLS.replace("key: ca.crt", "key: ../../etc/passwd"), Wanted::default(), &references, &mut faults);
    assert!(faults.to_string().contains("is no reference"), "{faults}");
}

#[test]
fn the_operators_predictor_is_taken_from_the_environment() {
    let json = r#"{"name":"model","graph":{"name":"m","type":"MODEL","endpoint":{"service_host":"localhost",
        "service_port":9000,"httpPort":9000,"grpcPort":9500}},"annotations":{"version":"v7"},"componentSpecs":[{"spec":
        {"containers":[{"name":"m","image":"x:1"}]}}],"svcOrchSpec":{"env":[{"name":"KAFKA_BROKER","value":"b:1"},
        {"name":"KAFKA_SASL_PASSWORD","valueFrom":{"secretKeyRef":{"name":"s","key":"k"}}}]}}"#;
    let encoded = base64::engine::general_purpose::STANDARD.encode(json);
    let podinfo = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(podinfo.path(), "seldon.io/rest-timeout=\"1500\"\n").unwrap();
    let mut inputs = Inputs {
        flags: [
            ("sdep", "d"),
            ("namespace", "ns"),
            ("predictor", "model"),
            ("protocol", "v2"),
            ("server_type", "kafka"),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .to_vec(),
        environment: [("ENGINE_PREDICTOR", encoded.as_str()), ("KAFKA_INPUT_TOPIC", "i"), ("KAFKA_OUTPUT_TOPIC", "o")]
            .map(|(name, value)| (name.into(), value.into()))
            .into(),
        podinfo: Some(podinfo.path().to_owned()),
        ..Inputs::default()
    };
    let faults = load(&inputs).unwrap_err();
    assert!(faults.to_string().contains("ENGINE_PREDICTOR: svcOrchSpec.env KAFKA_SASL_PASSWORD"), "{faults}");
    for (name, value) in [("PASSWORD", "canary"), ("USERNAME", "u"), ("MECHANISM", "PLAIN")] {
        inputs.environment.insert(format!("KAFKA_SASL_{name}"), value.into());
    }
    inputs.environment.insert("KAFKA_SECURITY_PROTOCOL".into(), "sasl_ssl".into());
    let settings = load(&inputs).unwrap().settings;
    assert_eq!(settings.kafka.group_id, "model.d.ns");
    assert_eq!(settings.kafka.brokers, "b:1");
    assert_eq!(settings.nodes["m"].addresses(), "localhost:9000 (grpc localhost:9500)");
    assert_eq!(settings.nodes["m"].timeout.as_millis(), 1500);
    assert_eq!(settings.deployment.predictor_version, "v7");
    for (wrong, wanted) in [(":;,", "is no base64"), ("e30=", "`graph` is missing"), ("e3s=", "malformed JSON")] {
        inputs.environment.insert("ENGINE_PREDICTOR".into(), wrong.into());
        let faults = load(&inputs).unwrap_err().to_string();
        assert!(faults.contains(wanted), "{wrong}: {faults}");
    }
}
