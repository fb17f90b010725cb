//! Every shape of security, and that no secret is printed.

use std::collections::BTreeMap;

use crate::config::load::{Inputs, Loaded, load};
use crate::config::{DEFAULT, Faults};

const PEM: &str = "-----BEGIN CERTIFICATE-----\\ncanary\\n-----END CERTIFICATE-----\\n";

fn with(variables: &[(&str, &str)]) -> Result<Loaded, Faults> {
    let mut environment: BTreeMap<String, String> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    for (name, value) in [
        ("KAFKA_BROKER", "b:1"),
        ("KAFKA_INPUT_TOPIC", "in"),
        ("KAFKA_OUTPUT_TOPIC", "out"),
        ("MILLRACE__KAFKA__GROUP_ID", "g"),
        ("MILLRACE__GRAPH", "{name: m}"),
        ("MILLRACE__NODES__M__ENDPOINT", "m:1"),
    ] {
        environment.insert(name.into(), value.into());
    }
    load(&Inputs { environment, ..Inputs::default() })
}

fn properties(variables: &[(&str, &str)]) -> Vec<String> {
    with(variables).unwrap().settings.kafka.security.into_iter().map(|(name, _)| name).collect()
}

fn fault(variables: &[(&str, &str)]) -> String {
    with(variables).unwrap_err().to_string()
}

#[test]
fn plaintext_is_the_default_and_can_be_said_in_any_case() {
    assert_eq!(properties(&[]), ["security.protocol"]);
    assert_eq!(properties(&[("KAFKA_SECURITY_PROTOCOL", "PlainText")]), ["security.protocol"]);
    assert!(fault(&[("KAFKA_SECURITY_PROTOCOL", "tls")]).contains("one of: plaintext, ssl, sasl_plaintext, sasl_ssl"));
}

#[test]
fn a_ca_alone_is_one_way_tls() {
    let ssl = ("KAFKA_SECURITY_PROTOCOL", "ssl");
    assert_eq!(properties(&[ssl, ("KAFKA_SSL_CA_CERT", PEM)]), ["security.protocol", "ssl.ca.pem"]);
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    assert_eq!(properties(&[ssl, ("KAFKA_SSL_CA_CERT_FILE", path)]), ["security.protocol", "ssl.ca.location"]);
    assert!(fault(&[ssl, ("KAFKA_SSL_CA_CERT_FILE", "/no/such")]).contains("/no/such"));
    assert!(fault(&[ssl, ("KAFKA_SSL_CA_CERT", "/no/such")]).contains("is no PEM text"));
}

#[test]
fn mutual_tls_takes_text_files_and_a_password() {
    let all = [
        ("KAFKA_SECURITY_PROTOCOL", "SSL"),
        ("KAFKA_SSL_CA_CERT", PEM),
        ("KAFKA_SSL_CLIENT_CERT", PEM),
        ("KAFKA_SSL_CLIENT_KEY", PEM),
        ("KAFKA_SSL_CLIENT_KEY_PASS", "canary"),
    ];
    let names = ["security.protocol", "ssl.ca.pem", "ssl.certificate.pem", "ssl.key.pem", "ssl.key.password"];
    assert_eq!(properties(&all), names);
    assert!(
        fault(&all[..3])
            .contains("environment KAFKA_SSL_CLIENT_CERT: kafka.security.certificate: is given without a key")
    );
    assert!(fault(&[all[0], all[3]]).contains("is given without a certificate"));
    assert!(fault(&all[1..2]).contains("connections are not encrypted"));
    let both = fault(&[all[0], all[1], ("KAFKA_SSL_CA_CERT_FILE", "/dev/null")]);
    assert!(both.contains("is given as text and as a file (environment KAFKA_SSL_CA_CERT_FILE)"), "{both}");
}

#[test]
fn line_breaks_written_as_text_are_line_breaks() {
    let settings = with(&[("KAFKA_SECURITY_PROTOCOL", "ssl"), ("KAFKA_SSL_CA_CERT", PEM)]).unwrap().settings;
    assert!(settings.kafka.security[1].1.expose().starts_with("-----BEGIN CERTIFICATE-----\ncanary\n"));
}

#[test]
fn sasl_works_with_and_without_tls() {
    let user = [("KAFKA_SASL_MECHANISM", "plain"), ("KAFKA_SASL_USERNAME", "u"), ("KAFKA_SASL_PASSWORD", "canary")];
    let names = ["security.protocol", "sasl.mechanism", "sasl.username", "sasl.password"];
    for (protocol, notices) in [("SASL_PLAINTEXT", 1), ("sasl_ssl", 0)] {
        let loaded = with(&[&[("KAFKA_SECURITY_PROTOCOL", protocol)], user.as_slice()].concat()).unwrap();
        let security = &loaded.settings.kafka.security;
        assert_eq!(security.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), names);
        assert_eq!(security[1].1.expose(), "PLAIN");
        assert_eq!(loaded.notices.len(), notices);
    }
    let missing = fault(&[("KAFKA_SECURITY_PROTOCOL", "sasl_ssl")]);
    assert_eq!(missing.lines().count(), 3, "{missing}");
    assert!(fault(&user).contains("do not authenticate with SASL"));
    let kerberos = fault(
        &[&[("KAFKA_SECURITY_PROTOCOL", "sasl_ssl")], &user[1..], &[("KAFKA_SASL_MECHANISM", "GSSAPI")]].concat(),
    );
    assert!(kerberos.contains("one of: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"), "{kerberos}");
}

#[test]
fn further_properties_reach_the_connections_and_are_never_quoted() {
    let ssl = ("KAFKA_SECURITY_PROTOCOL", "ssl");
    let name = "MILLRACE__KAFKA__SECURITY__PROPERTIES__SSL_KEYSTORE_PASSWORD";
    assert_eq!(properties(&[ssl, (name, "canary")]), ["security.protocol", "ssl.keystore.password"]);
    let wrong = fault(&[("MILLRACE__KAFKA__SECURITY__PROPERTIES__ENABLE_SSL_CERTIFICATE_VERIFICATION", "canary")]);
    assert!(wrong.contains("refused by librdkafka") && !wrong.contains("canary"), "{wrong}");
}

#[test]
fn no_secret_is_printed() {
    let loaded = with(&[
        ("KAFKA_SECURITY_PROTOCOL", "SASL_SSL"),
        ("KAFKA_SSL_CLIENT_CERT", PEM),
        ("KAFKA_SSL_CLIENT_KEY", PEM),
        ("KAFKA_SSL_CLIENT_KEY_PASS", "canary"),
        ("KAFKA_SASL_MECHANISM", "SCRAM-SHA-256"),
        ("KAFKA_SASL_USERNAME", "user"),
        ("KAFKA_SASL_PASSWORD", "canary"),
        ("MILLRACE__KAFKA__SECURITY__PROPERTIES__SSL_KEYSTORE_PASSWORD", "canary"),
    ])
    .unwrap();
    assert!(!format!("{loaded:?}").contains("canary"));
    assert!(!format!("{:?}", loaded.shown).contains("canary"));
}

#[test]
fn the_default_configuration_explains_every_security_option() {
    for name in ["KAFKA_SECURITY_PROTOCOL", "KAFKA_SSL_CA_CERT", "KAFKA_SASL_MECHANISM", "KAFKA_SSL_CLIENT_KEY_PASS"] {
        assert!(DEFAULT.contains(name), "{name}");
    }
}
