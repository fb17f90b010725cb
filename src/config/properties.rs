//! librdkafka properties that pass through, and those that do not because the service owns them.

use std::collections::BTreeMap;

use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;

use super::reader::Reader;
use super::settings::Secret;

const COMMIT: &str = "offsets are committed by the service, only when the output of a record is stored";
const GUARANTEE: &str = "the delivery guarantee and the order of outputs depend on it";
const CALLBACKS: &str = "the service uses it itself";

/// Properties that the service owns, and why, or what to use instead.
const OWNED: &[(&str, &str)] = &[
    ("bootstrap.servers", "use kafka.brokers"),
    ("metadata.broker.list", "use kafka.brokers"),
    ("client.id", "use kafka.client_id"),
    ("group.id", "use kafka.group_id"),
    ("group.protocol", "the way partitions are taken and given up is built on the classic protocol"),
    ("group.remote.assignor", "the way partitions are taken and given up is built on the classic protocol"),
    ("partition.assignment.strategy", "use kafka.assignment"),
    ("auto.offset.reset", "use kafka.start: a position outside the log is reported, never jumped over"),
    ("enable.auto.commit", COMMIT),
    ("auto.commit.enable", COMMIT),
    ("auto.commit.interval.ms", "use kafka.commit_interval"),
    ("enable.auto.offset.store", COMMIT),
    ("enable.partition.eof", "the end of a partition has to be seen for its lag to reach 0"),
    ("isolation.level", "answers to requests of an aborted transaction must not be produced"),
    ("queued.max.messages.kbytes", "use limits.prefetch_bytes"),
    ("queue.buffering.max.messages", "it follows from limits.in_flight_records"),
    ("queue.buffering.max.kbytes", "it follows from limits.reply_bytes and limits.in_flight_bytes"),
    ("receive.message.max.bytes", "it follows from limits.request_bytes"),
    ("statistics.interval.ms", "the lag is taken from the statistics"),
    ("consume.callback.max.messages", CALLBACKS),
    ("enabled_events", CALLBACKS),
    ("log_level", "use log.level"),
    ("log.queue", CALLBACKS),
    ("transactional.id", "use kafka.transaction.instance: the id is <group>.<instance>"),
    ("transaction.timeout.ms", "use kafka.transaction.timeout"),
    ("enable.idempotence", GUARANTEE),
    ("enable.gapless.guarantee", GUARANTEE),
    ("acks", GUARANTEE),
    ("request.required.acks", GUARANTEE),
    ("max.in.flight", GUARANTEE),
    ("max.in.flight.requests.per.connection", GUARANTEE),
    ("retries", GUARANTEE),
    ("message.send.max.retries", GUARANTEE),
    ("message.timeout.ms", "a record sent again after a later one would break the order"),
    ("delivery.timeout.ms", "a record sent again after a later one would break the order"),
    ("queuing.strategy", GUARANTEE),
    ("partitioner", "outputs go where the Java client would put their keys"),
    ("message.max.bytes", "the topic's max.message.bytes decides"),
    ("dr_msg_cb", CALLBACKS),
    ("dr_cb", CALLBACKS),
    ("delivery.report.only.error", CALLBACKS),
    ("plugin.library.paths", "no code is loaded by configuration"),
];

/// Security properties with an option of their own.
const OPTIONS: &[(&str, &str)] = &[
    ("security.protocol", "kafka.security.protocol"),
    ("ssl.ca.location", "kafka.security.ca_file"),
    ("ssl.ca.pem", "kafka.security.ca"),
    ("ssl.certificate.location", "kafka.security.certificate_file"),
    ("ssl.certificate.pem", "kafka.security.certificate"),
    ("ssl.key.location", "kafka.security.key_file"),
    ("ssl.key.pem", "kafka.security.key"),
    ("ssl.key.password", "kafka.security.key_password"),
    ("sasl.mechanism", "kafka.security.sasl.mechanism"),
    ("sasl.mechanisms", "kafka.security.sasl.mechanism"),
    ("sasl.username", "kafka.security.sasl.username"),
    ("sasl.password", "kafka.security.sasl.password"),
];

fn is_security(name: &str) -> bool {
    ["ssl.", "sasl.", "security.", "enable.ssl.", "enable.sasl.", "https."].iter().any(|start| name.starts_with(start))
}

/// Reads the properties of the consumer or the producer.
pub(super) fn client(reader: &mut Reader<'_>, which: &str) -> BTreeMap<String, String> {
    let key = format!("kafka.{which}.properties");
    let mut taken = BTreeMap::new();
    for (name, leaf) in reader.properties(&key) {
        let value = leaf.value.text().unwrap_or_default();
        let full = format!("{key}.{name}");
        let option = OPTIONS.iter().find(|(property, _)| *property == name).map(|(_, option)| *option);
        if let Some((_, reason)) = OWNED.iter().find(|(owned, _)| *owned == name) {
            reader.fault(&full, "belongs to the service", *reason);
        } else if is_security(&name) {
            let remedy = format!("use {}, which reaches every client", option.unwrap_or("kafka.security.properties"));
            reader.fault(&full, "is about security", remedy);
        } else if let Some(problem) = refused(&name, &value) {
            reader.fault(&full, problem, "see librdkafka's CONFIGURATION.md");
        } else {
            taken.insert(name, value);
        }
    }
    taken
}

/// Adds the further properties of the connections.
pub(super) fn connection(reader: &mut Reader<'_>, security: &mut Vec<(String, Secret)>) {
    const KEY: &str = "kafka.security.properties";
    for (name, leaf) in reader.properties(KEY) {
        let value = leaf.value.text().unwrap_or_default();
        let full = format!("{KEY}.{name}");
        if let Some((_, option)) = OPTIONS.iter().find(|(property, _)| *property == name) {
            reader.fault(&full, "has an option of its own", format!("use {option}"));
        } else if !is_security(&name) {
            reader.fault(&full, "is not about security", "use kafka.consumer.properties or kafka.producer.properties");
        } else if refused(&name, &value).is_some() {
            // librdkafka's text may quote the value, which may be a secret.
            reader.fault(&full, "is refused by librdkafka: unknown name, or a wrong value", "see its CONFIGURATION.md");
        } else {
            security.push((name, Secret::new(value)));
        }
    }
}

/// librdkafka's own word on a property.
fn refused(name: &str, value: &str) -> Option<String> {
    let mut config = ClientConfig::new();
    match config.set(name, value).create_native_config() {
        Ok(_) => None,
        Err(KafkaError::ClientConfig(_, problem, ..)) => Some(problem.trim().to_owned()),
        Err(error) => Some(error.to_string()),
    }
}
