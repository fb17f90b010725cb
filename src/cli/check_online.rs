//! `millrace check --online`: asks the brokers and the models. One line a finding; every question has its time.

use std::fmt;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::Offset;

use super::check::size;
use super::exit::Exit;
use super::print;
use crate::config::settings::{Node, Settings};
use crate::kafka::client;
use crate::kafka::topics::{Topic, TopicAdmin};
use crate::model::rest::RestClient;

/// Time for one question to the brokers.
const ANSWER: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Ok,
    Warning,
    Error,
}

/// One line.
#[derive(Debug)]
struct Finding {
    level: Level,
    about: String,
    text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Ok => "ok",
            Level::Warning => "warn",
            Level::Error => "error",
        };
        write!(f, "{level:<6} {}: {}", self.about, self.text)
    }
}

fn finding(level: Level, about: impl Into<String>, text: impl Into<String>) -> Finding {
    Finding { level, about: about.into(), text: text.into() }
}

/// Asks, prints and says how to end.
pub(super) fn check(settings: &Settings) -> Exit {
    let mut worst = Level::Ok;
    let mut tell = |found: Finding| {
        worst = worst.max(found.level);
        print(&found.to_string());
    };
    brokers(settings).into_iter().for_each(&mut tell);
    models(settings).into_iter().for_each(&mut tell);
    if worst == Level::Error { Exit::Unavailable } else { Exit::Done }
}

fn brokers(settings: &Settings) -> Vec<Finding> {
    let kafka = &settings.kafka;
    let admin = match TopicAdmin::new(&client::admin_config(settings)) {
        Ok(admin) => admin,
        Err(error) => return vec![finding(Level::Error, "brokers", error.to_string())],
    };
    let mut findings = Vec::new();
    let input = match admin.describe(&kafka.input_topic) {
        Ok(input) => input,
        // Nobody answers, or not on this question: the others would only take their time too.
        Err(error) => return vec![finding(Level::Error, format!("brokers {}", kafka.brokers), error.to_string())],
    };
    findings.push(finding(Level::Ok, format!("brokers {}", kafka.brokers), "answer"));
    findings.push(match &input {
        Some(topic) => described("input topic", &kafka.input_topic, topic),
        None => finding(
            Level::Error,
            format!("input topic {}", kafka.input_topic),
            "does not exist, or this user may not describe it; create it, or correct kafka.input_topic",
        ),
    });
    for (what, name) in [("output topic", &kafka.output_topic), ("dead-letter topic", &kafka.dead_letter_topic)] {
        findings.push(match admin.describe(name) {
            Ok(Some(topic)) => described(what, name, &topic),
            Ok(None) if kafka.create_topics => {
                finding(Level::Ok, format!("{what} {name}"), "does not exist; will be created at start")
            }
            Ok(None) => {
                let text = "does not exist, or this user may not describe it; create it, or set kafka.create_topics";
                finding(Level::Error, format!("{what} {name}"), text)
            }
            Err(error) => finding(Level::Error, format!("{what} {name}"), error.to_string()),
        });
        if let (Some(input), Ok(Some(other))) = (&input, admin.describe(name)) {
            findings.extend(narrower(what, name, input, &other));
        }
    }
    findings.extend(input.map(|topic| group(settings, topic.partitions)));
    findings
}

fn described(what: &str, name: &str, topic: &Topic) -> Finding {
    let bytes = topic.max_message_bytes.map_or_else(
        || "; its max.message.bytes may not be asked for".to_owned(),
        |bytes| format!(", batches up to {}", size(bytes as usize)),
    );
    finding(Level::Ok, format!("{what} {name}"), format!("{} partitions{bytes}", topic.partitions))
}

/// What goes in must be able to go out: a dead letter holds its request, and an answer may be as large.
fn narrower(what: &str, name: &str, input: &Topic, other: &Topic) -> Option<Finding> {
    let (from, to) = (input.max_message_bytes?, other.max_message_bytes?);
    (to < from).then(|| {
        let text = format!(
            "its max.message.bytes, {to}, is below the input's, {from}: a record that comes in may be too large to go out",
        );
        finding(Level::Warning, format!("{what} {name}"), text)
    })
}

/// Asking for the group's offsets needs the right to describe it.
fn group(settings: &Settings, partitions: i32) -> Finding {
    let kafka = &settings.kafka;
    let about = format!("group {}", kafka.group_id);
    let mut asked = TopicPartitionList::new();
    asked.add_partition_range(&kafka.input_topic, 0, partitions - 1);
    let consumer = client::consumer_config(settings).create::<BaseConsumer>();
    match consumer.and_then(|consumer| consumer.committed_offsets(asked, ANSWER)) {
        Ok(found) => {
            let committed = found.elements().iter().filter(|at| matches!(at.offset(), Offset::Offset(_))).count();
            finding(Level::Ok, about, format!("has offsets in {committed} of {partitions} partitions"))
        }
        Err(error) => finding(Level::Error, about, error.to_string()),
    }
}

fn models(settings: &Settings) -> Vec<Finding> {
    // One arbiter is enough: a client's own limits bound each question.
    actix_rt::System::new().block_on(async {
        let asked = settings.nodes.values().map(|node| model(settings, node));
        futures_util::future::join_all(asked).await
    })
}

async fn model(settings: &Settings, node: &Node) -> Finding {
    let about = format!("node {} at {}", node.name, node.endpoint);
    let client = match RestClient::new(settings.protocol, node, settings.limits.reply_bytes) {
        Ok(client) => client,
        Err(error) => return finding(Level::Error, about, error.to_string()),
    };
    match client.probe().await {
        Ok(()) => finding(Level::Ok, about, "ready"),
        Err(error) => finding(Level::Error, about, format!("not ready: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(max_message_bytes: Option<u64>) -> Topic {
        Topic { partitions: 3, max_message_bytes, created: false }
    }

    #[test]
    fn a_topic_that_takes_less_than_the_input_is_told() {
        assert!(narrower("output topic", "o", &topic(Some(2)), &topic(Some(1))).is_some());
        assert!(narrower("output topic", "o", &topic(Some(2)), &topic(Some(2))).is_none());
        assert!(narrower("output topic", "o", &topic(Some(2)), &topic(None)).is_none());
    }

    #[test]
    fn a_finding_is_one_line() {
        let text = described("input topic", "requests", &topic(Some(1 << 20))).to_string();
        assert_eq!(text, "ok     input topic requests: 3 partitions, batches up to 1.0 MiB");
    }
}
