//! TLS and SASL under the predecessor's names, on the listeners of a real broker; no secret is ever printed.

mod support;

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use support::collect::Collector;
use support::config::Config;
use support::kafka::{Broker, Options};
use support::models::Model;
use support::scenario::Scenario;
use support::send::Draft;
use support::service::Launch;

static BROKER: LazyLock<Broker> = LazyLock::new(|| Broker::start(&Options::default().secure()));
const SOON: Duration = Duration::from_secs(30);
const PASSPHRASE: &str = "client-secret";

fn text(file: &str) -> String {
    BROKER.tls_text(file)
}

fn path(file: &str) -> String {
    BROKER.tls(file).display().to_string()
}

/// Requests are answered through the listener with these variables set, and no secret stands in the output.
fn works(stem: &str, listener: &str, variables: &[(&str, String)]) {
    let scenario = Scenario::new(&BROKER, stem, 2);
    let sent = scenario.requests().send(&BROKER, &scenario.input, 50);
    let config = scenario.config().set("kafka/brokers", BROKER.listener(listener));
    let mut launch = Launch::with(&config);
    for (name, value) in variables {
        launch = launch.env(name, value.clone());
    }
    let service = launch.start();
    scenario.gather(&sent, SOON).none_lost().none_dead_lettered();
    let ended = service.stop();
    prints_no_secret(&ended.output);
}

fn prints_no_secret(output: &str) {
    let key = text("client.key");
    let key_line = key.lines().nth(1).expect("a PEM has lines");
    for secret in [PASSPHRASE, "alice-secret", "PRIVATE KEY", key_line] {
        assert!(!output.contains(secret), "a secret stands in the output:\n{output}");
    }
}

fn ssl() -> (&'static str, String) {
    ("KAFKA_SECURITY_PROTOCOL", "ssl".to_owned())
}

fn sasl(protocol: &str, mechanism: &str) -> Vec<(&'static str, String)> {
    vec![
        ("KAFKA_SECURITY_PROTOCOL", protocol.to_owned()),
        ("KAFKA_SASL_MECHANISM", mechanism.to_owned()),
        ("KAFKA_SASL_USERNAME", "alice".to_owned()),
        ("KAFKA_SASL_PASSWORD", "alice-secret".to_owned()),
    ]
}

#[test]
fn tls_with_the_ca_alone() {
    works("ca-text", "SSL", &[ssl(), ("KAFKA_SSL_CA_CERT", text("ca.pem"))]);
    works("ca-file", "SSL", &[ssl(), ("KAFKA_SSL_CA_CERT_FILE", path("ca.pem"))]);
}

#[test]
fn tls_with_a_client_certificate_as_text() {
    let certificate = [
        ssl(),
        ("KAFKA_SSL_CA_CERT", text("ca.pem")),
        ("KAFKA_SSL_CLIENT_CERT", text("client.pem")),
        ("KAFKA_SSL_CLIENT_KEY", text("client.key")),
    ];
    works("mtls-text", "MTLS", &certificate);
}

#[test]
fn tls_with_a_client_certificate_in_files_and_an_encrypted_key() {
    let certificate = [
        ssl(),
        ("KAFKA_SSL_CA_CERT_FILE", path("ca.pem")),
        ("KAFKA_SSL_CLIENT_CERT_FILE", path("client.pem")),
        ("KAFKA_SSL_CLIENT_KEY_FILE", path("client.encrypted.key")),
        ("KAFKA_SSL_CLIENT_KEY_PASS", PASSPHRASE.to_owned()),
    ];
    works("mtls-files", "MTLS", &certificate);
}

#[test]
fn tls_with_an_encrypted_key_as_text_and_a_passphrase_for_a_key_without() {
    let with_key = |key: &str| {
        [
            ssl(),
            ("KAFKA_SSL_CA_CERT", text("ca.pem")),
            ("KAFKA_SSL_CLIENT_CERT", text("client.pem")),
            ("KAFKA_SSL_CLIENT_KEY", text(key)),
            ("KAFKA_SSL_CLIENT_KEY_PASS", PASSPHRASE.to_owned()),
        ]
    };
    works("mtls-encrypted", "MTLS", &with_key("client.encrypted.key"));
    // Strimzi's password is that of the PKCS#12 file; its key is in the clear.
    works("mtls-strimzi", "MTLS", &with_key("client.key"));
}

#[test]
fn sasl_over_tls_with_a_ca_of_its_own() {
    let mut variables = sasl("SASL_SSL", "SCRAM-SHA-512");
    variables.push(("KAFKA_SSL_CA_CERT", text("ca.pem")));
    works("sasl-ssl", "SASL_SSL", &variables);
}

#[test]
fn sasl_without_tls() {
    works("sasl-plain", "SASL_PLAINTEXT", &sasl("SASL_PLAINTEXT", "PLAIN"));
    works("sasl-scram", "SASL_PLAINTEXT", &sasl("sasl_plaintext", "SCRAM-SHA-256"));
}

/// A start that cannot succeed waits and tells why.
fn tells(stem: &str, listener: &str, variables: &[(&str, String)], texts: &[&str]) {
    let scenario = Scenario::new(&BROKER, stem, 1);
    let config: Config = scenario.config().set("kafka/brokers", BROKER.listener(listener));
    let mut launch = Launch::with(&config);
    for (name, value) in variables {
        launch = launch.env(name, value.clone());
    }
    let mut service = launch.spawn();
    service.tells(texts, SOON);
    assert!(service.readiness().is_none_or(|readiness| !readiness.ready));
    prints_no_secret(&service.output());
}

#[test]
fn a_wrong_password_and_an_untrusted_broker_are_told() {
    let mut variables = sasl("SASL_PLAINTEXT", "PLAIN");
    variables[3].1 = "not-her-secret".to_owned();
    tells("wrong-password", "SASL_PLAINTEXT", &variables, &["authentication failed"]);
    tells("wrong-ca", "SSL", &[ssl(), ("KAFKA_SSL_CA_CERT", text("other-ca.pem"))], &["certificate verify failed"]);
}

#[test]
fn security_settings_that_cannot_work_are_refused_at_the_start() {
    let scenario = Scenario::without_topics(&BROKER, "refused");
    let start = |variables: &[(&str, &str)]| {
        let launch = Launch::with(&scenario.config());
        variables.iter().fold(launch, |launch, (name, value)| launch.env(name, *value)).run(Duration::from_secs(10))
    };
    start(&[("KAFKA_SECURITY_PROTOCOL", "tls")]).says(78, &["KAFKA_SECURITY_PROTOCOL", "tls", "ssl"]);
    let file = ("KAFKA_SSL_CA_CERT_FILE", "/no/such/ca.pem");
    start(&[("KAFKA_SECURITY_PROTOCOL", "ssl"), file]).says(78, &["KAFKA_SSL_CA_CERT_FILE", "/no/such/ca.pem"]);
    let certificate = text("client.pem");
    let alone = [("KAFKA_SECURITY_PROTOCOL", "ssl"), ("KAFKA_SSL_CLIENT_CERT", certificate.as_str())];
    start(&alone).says(78, &["KAFKA_SSL_CLIENT_CERT", "kafka.security.key"]);
}

#[test]
fn secrets_of_a_deployment_file_come_from_the_secrets_folder() {
    let model = Model::echo("resnet32");
    let (input, output) = ("cifar10-rest-input", "cifar10-rest-output");
    BROKER.create_topic(input, 1, &[]);
    let body = r#"{"instances":[[0.1]]}"#;
    BROKER.send(input, &[Draft::value(body).key("k")]);
    let launch = Launch::default();
    let file = launch.file("cifar10-tls.yaml", include_str!("fixtures/cifar10-tls.yaml"));
    let secrets = [
        ("seldon-cluster-ca-cert/ca.crt", text("ca.pem")),
        ("seldon-user/user.crt", text("client.pem")),
        ("seldon-user/user.key", text("client.encrypted.key")),
        ("seldon-user/user.password", PASSPHRASE.to_owned()),
    ];
    for (name, secret) in &secrets {
        launch.file(&format!("secrets/{name}"), secret);
    }
    let folder = launch.folder().join("secrets").display().to_string();
    let (port, endpoint) = (launch.admin_port().to_string(), format!("resnet32={}", model.endpoint()));
    let args = ["run", "-f", &file, "--endpoint", &endpoint, "--http_port", &port, "--secrets-dir", &folder];
    let service = launch.args(&args).env("KAFKA_BROKER", BROKER.listener("MTLS")).start();
    let mut answers = Collector::open(&BROKER, output);
    assert_eq!(answers.expect(1, SOON)[0].text(), body.replace("instances", "predictions"));
    prints_no_secret(&service.stop().output);

    // A secret that is not there is told by the name of the reference.
    let launch = Launch::default();
    let file = launch.file("cifar10-tls.yaml", include_str!("fixtures/cifar10-tls.yaml"));
    let empty = Path::new(&file).parent().expect("it is in a folder").display().to_string();
    let ended = launch.args(&["run", "-f", &file, "--secrets-dir", &empty]).run(Duration::from_secs(10));
    ended.says(78, &["seldon-cluster-ca-cert", "ca.crt", "KAFKA_SSL_CA_CERT"]);
}
