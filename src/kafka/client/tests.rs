//! The settings as librdkafka takes them, without a broker.

use std::collections::BTreeMap;

use super::*;
use crate::config::{Inputs, load};

fn settings(variables: &[(&str, &str)]) -> Settings {
    let given = [
        ("KAFKA_BROKER", "b:1"),
        ("KAFKA_INPUT_TOPIC", "in"),
        ("KAFKA_OUTPUT_TOPIC", "out"),
        ("MILLRACE__KAFKA__GROUP_ID", "g"),
        ("MILLRACE__GRAPH", "{name: m}"),
        ("MILLRACE__NODES__M__ENDPOINT", "m:1"),
    ];
    let environment: BTreeMap<String, String> =
        given.iter().chain(variables).map(|(name, value)| ((*name).into(), (*value).into())).collect();
    load(&Inputs { environment, ..Inputs::default() }).unwrap().settings
}

#[test]
fn librdkafka_takes_the_settings() {
    for variables in [&[][..], &[("MILLRACE__LIMITS__PREFETCH_BYTES", "64KiB"), ("KAFKA_WORKERS", "1")]] {
        assert_eq!(verify(&settings(variables)), Vec::<String>::new());
    }
    let largest = [("MILLRACE__LIMITS__REQUEST_BYTES", "512MiB"), ("MILLRACE__LIMITS__PREFETCH_BYTES", "1GiB")];
    assert_eq!(verify(&settings(&largest)), Vec::<String>::new());
}

#[test]
fn the_service_commits_and_nobody_else() {
    let config = consumer_config(&settings(&[]));
    for name in ["enable.auto.commit", "enable.auto.offset.store"] {
        assert_eq!(config.get(name), Some("false"));
    }
    assert_eq!(config.get("auto.offset.reset"), Some("error"));
    assert_eq!(config.get("partition.assignment.strategy"), Some("cooperative-sticky"));
    assert_eq!(config.get("broker.address.family"), None);
    assert_eq!(config.get("session.timeout.ms"), None);
    let range = consumer_config(&settings(&[("MILLRACE__KAFKA__ASSIGNMENT", "range")]));
    assert_eq!(range.get("partition.assignment.strategy"), Some("range"));
}

#[test]
fn security_reaches_every_client() {
    let settings = settings(&[
        ("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT"),
        ("KAFKA_SASL_MECHANISM", "PLAIN"),
        ("KAFKA_SASL_USERNAME", "u"),
        ("KAFKA_SASL_PASSWORD", "canary"),
    ]);
    for config in [consumer_config(&settings), producer_config(&settings), admin_config(&settings)] {
        assert_eq!(config.get("security.protocol"), Some("sasl_plaintext"));
        assert_eq!(config.get("sasl.password"), Some("canary"));
    }
}

#[test]
fn properties_pass_through_to_their_client() {
    let settings = settings(&[
        ("MILLRACE__KAFKA__CONSUMER__PROPERTIES__SESSION_TIMEOUT_MS", "10000"),
        ("MILLRACE__KAFKA__PRODUCER__PROPERTIES__LINGER_MS", "20"),
    ]);
    assert_eq!(consumer_config(&settings).get("session.timeout.ms"), Some("10000"));
    assert_eq!(producer_config(&settings).get("session.timeout.ms"), None);
    assert_eq!(producer_config(&settings).get("linger.ms"), Some("20"));
    assert_eq!(transaction_config(&settings).get("linger.ms"), Some("20"));
}

#[test]
fn only_outcomes_that_come_one_by_one_linger_for_others() {
    let settings = settings(&[]);
    assert_eq!(producer_config(&settings).get("linger.ms"), Some("0"));
    assert_eq!(transaction_config(&settings).get("linger.ms"), Some("5"));
}

#[test]
fn what_only_the_whole_client_shows_is_found_without_connecting() {
    let pem = "-----BEGIN CERTIFICATE-----\ncanary\n-----END CERTIFICATE-----\n";
    let bad = verify(&settings(&[("KAFKA_SECURITY_PROTOCOL", "ssl"), ("KAFKA_SSL_CA_CERT", pem)]));
    assert_eq!(bad.len(), 1, "{bad:?}");
    assert!(bad[0].contains("ssl.ca.pem") && !bad[0].contains("canary"), "{bad:?}");
    let clash = verify(&settings(&[("MILLRACE__KAFKA__CONSUMER__PROPERTIES__SESSION_TIMEOUT_MS", "600000")]));
    assert!(clash[0].contains("max.poll.interval.ms"), "{clash:?}");
}

#[test]
fn a_record_as_large_as_the_limits_finds_room() {
    let settings = settings(&[("MILLRACE__LIMITS__REPLY_BYTES", "300MiB")]);
    assert!(producer_bytes(&settings) >= 600 << 20);
    let config = consumer_config(&settings);
    let number = |name: &str| config.get(name).unwrap().parse::<usize>().unwrap();
    assert!(number("receive.message.max.bytes") > number("fetch.max.bytes") + 512);
    assert!(number("message.max.bytes") <= number("fetch.max.bytes"));
}
