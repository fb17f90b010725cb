//! Brokers, topics and group: what is given, what follows from it, what cannot be.

use std::time::Duration;

use uuid::Uuid;

use super::reader::Reader;
use super::settings::{Assignment, Deployment, Kafka, Start, Transaction};
use super::{properties, security};

const LONGEST_TOPIC: usize = 249;

/// Reads `kafka`.
pub(super) fn read(
    reader: &mut Reader<'_>,
    deployment: &Deployment,
    deployment_failed: bool,
    notices: &mut Vec<String>,
) -> Kafka {
    let [input, output] = if deployment_failed {
        ["kafka.input_topic", "kafka.output_topic"].map(|key| reader.text(key).unwrap_or_default())
    } else {
        ["kafka.input_topic", "kafka.output_topic"].map(|key| reader.required(key))
    };
    let dead_letter = reader.text("kafka.dead_letter.topic").unwrap_or_else(|| format!("{input}.dlq"));
    topics(reader, [&input, &output, &dead_letter]);
    let feedback_topic = reader.text("kafka.feedback_topic");
    if let Some(feedback) = &feedback_topic {
        feedback_is_apart(reader, feedback, [&input, &output, &dead_letter]);
    }
    Kafka {
        brokers: brokers(reader, deployment_failed),
        group_id: group(reader, deployment, deployment_failed),
        client_id: reader.required("kafka.client_id"),
        feedback_topic,
        input_topic: input,
        output_topic: output,
        dead_letter_topic: dead_letter,
        create_topics: reader.boolean("kafka.create_topics"),
        start: reader.choice("kafka.start", &[("earliest", Start::Earliest), ("latest", Start::Latest)]),
        assignment: reader.choice(
            "kafka.assignment",
            &[("cooperative-sticky", Assignment::CooperativeSticky), ("range", Assignment::Range)],
        ),
        commit_interval: reader.duration("kafka.commit_interval", Duration::from_millis(10)..=Duration::from_secs(5)),
        transaction: transaction(reader),
        security: security::read(reader, notices),
        consumer_properties: properties::client(reader, "consumer"),
        producer_properties: properties::client(reader, "producer"),
    }
}

fn transaction(reader: &mut Reader<'_>) -> Transaction {
    let millis = Duration::from_millis;
    let transaction = Transaction {
        interval: reader.duration("kafka.transaction.interval", millis(1)..=millis(60_000)),
        records: reader.number("kafka.transaction.records", 1..=1_000_000) as usize,
        timeout: reader.duration("kafka.transaction.timeout", millis(1000)..=millis(900_000)),
        instance: reader.text("kafka.transaction.instance").unwrap_or_else(|| Uuid::new_v4().simple().to_string()),
    };
    if transaction.interval * 2 > transaction.timeout {
        reader.fault(
            "kafka.transaction.interval",
            "is more than half of kafka.transaction.timeout: brokers would abort transactions that are well",
            "make it shorter, or the timeout longer",
        );
    }
    transaction
}

fn brokers(reader: &mut Reader<'_>, deployment_failed: bool) -> String {
    const KEY: &str = "kafka.brokers";
    let text = if deployment_failed { reader.text(KEY).unwrap_or_default() } else { reader.required(KEY) };
    let trimmed: Vec<&str> = text.split(',').map(str::trim).collect();
    if !text.is_empty() {
        for broker in &trimmed {
            if let Err(problem) = broker_address(broker) {
                reader.fault(KEY, format!("{broker:?} {problem}"), "give HOST:PORT, several with commas between");
            }
        }
    }
    trimmed.join(",")
}

fn broker_address(text: &str) -> Result<(), &'static str> {
    let bare = text.split_once("://").map_or(text, |(_, rest)| rest);
    let (host, port) = match bare.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (bare, None),
    };
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c == '/') {
        return Err("is no address");
    }
    match port.map(str::parse::<u16>) {
        Some(Err(_) | Ok(0)) => Err("has a port that is not from 1 to 65535"),
        _ => Ok(()),
    }
}

fn group(reader: &mut Reader<'_>, deployment: &Deployment, deployment_failed: bool) -> String {
    if let Some(group) = reader.text("kafka.group_id") {
        return group;
    }
    let Deployment { name, namespace, predictor, .. } = deployment;
    if (name.is_empty() || predictor.is_empty()) && !deployment_failed {
        reader.faults.add(
            "kafka.group_id",
            "is not set, and there are no names of a deployment to make it of",
            "give MILLRACE__KAFKA__GROUP_ID or `kafka.group_id`, or --sdep, --namespace and --predictor",
        );
    }
    format!("{predictor}.{name}.{namespace}")
}

fn topics(reader: &mut Reader<'_>, names: [&str; 3]) {
    const KEYS: [&str; 3] = ["kafka.input_topic", "kafka.output_topic", "kafka.dead_letter.topic"];
    for (key, name) in KEYS.into_iter().zip(names).filter(|(_, name)| !name.is_empty()) {
        if !is_topic(name) {
            reader.fault(key, format!("{name:?} cannot be a topic"), "one name of letters, digits, `.`, `_`, `-`");
        }
    }
    let [input, output, dead_letter] = names;
    if !input.is_empty() && input == output {
        reader.fault(
            KEYS[1],
            format!("is the input topic, {input:?}"),
            "answers would be read as requests: give another",
        );
    }
    for (name, what) in [(input, "input"), (output, "output")] {
        if !name.is_empty() && name == dead_letter {
            reader.fault(KEYS[2], format!("is the {what} topic, {name:?}"), "give a topic of its own");
        }
    }
}

fn is_topic(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    name.len() <= LONGEST_TOPIC && name.chars().all(legal) && ![".", ".."].contains(&name)
}

fn feedback_is_apart(reader: &mut Reader<'_>, feedback: &str, others: [&str; 3]) {
    const KEY: &str = "kafka.feedback_topic";
    if !is_topic(feedback) {
        reader.fault(KEY, format!("{feedback:?} cannot be a topic"), "one name of letters, digits, `.`, `_`, `-`");
    }
    if others.contains(&feedback) {
        reader.fault(KEY, format!("is another topic of this service, {feedback:?}"), "give a topic of its own");
    }
    if reader.text("protocol").is_none_or(|protocol| protocol != "seldon") {
        reader.fault(KEY, "only protocol seldon has feedback", "set `protocol: seldon`, or leave the topic out");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broker_addresses() {
        for right in ["b:9092", "b", "[::1]:9092", "10.12.10.16:9094", "SSL://b:1", "::1"] {
            assert!(broker_address(right).is_ok(), "{right}");
        }
        for wrong in ["", ":9092", "b:", "b:0", "b:99999", "b:x", "a b:1"] {
            assert!(broker_address(wrong).is_err(), "{wrong}");
        }
    }
}
