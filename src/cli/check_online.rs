//! `millrace check --online`: asks the brokers and the models. One line a finding; every question has its time.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;
use rdkafka::{ClientContext, TopicPartitionList};

use super::check::size;
use super::exit::Exit;
use super::print;
use crate::config::settings::{Settings, Transport};
use crate::kafka::client;
use crate::kafka::topics::{Topic, TopicAdmin};
use crate::model::client::{Bounds, Client};
use crate::stream::setting;
use crate::stream::targets::{NodeTarget, targets};

/// Time for one question to the brokers.
const ANSWER: Duration = Duration::from_secs(10);
/// Time to take in what the client library has to say of its connections.
const HEARING: Duration = Duration::from_millis(500);

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

/// Keeps what the client library says of its connections: the only place where it tells why there is none.
#[derive(Default)]
struct Heard {
    errors: Mutex<Vec<String>>,
    /// Some reasons are only logged.
    failures: Mutex<Vec<String>>,
}

impl ClientContext for Heard {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == "FAIL" {
            // Between brackets stands the name of the thread.
            let text = message.split_once("]: ").map_or(message, |(_, text)| text);
            keep(&self.failures, text);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            keep(&self.errors, reason);
        }
    }
}

/// Keeps a reason once, without the time it took.
fn keep(list: &Mutex<Vec<String>>, reason: &str) {
    let reason = reason.split(" (after ").next().unwrap_or(reason).trim().to_owned();
    let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
    if !reason.is_empty() && !list.contains(&reason) {
        list.push(reason);
    }
}

impl Heard {
    fn reasons(&self) -> String {
        let text = |list: &Mutex<Vec<String>>| list.lock().unwrap_or_else(PoisonError::into_inner).join("; ");
        let errors = text(&self.errors);
        if errors.is_empty() { text(&self.failures) } else { errors }
    }
}

impl ConsumerContext for Heard {}

type Asking = BaseConsumer<Heard>;

/// Why no broker answers; nothing if one does.
fn silent(consumer: &Asking, topic: &str) -> Option<String> {
    let error = consumer.fetch_metadata(Some(topic), ANSWER).err()?;
    // What was said in the meantime is handed over here.
    let until = Instant::now() + HEARING;
    while Instant::now() < until {
        consumer.poll(HEARING / 10);
    }
    let reasons = consumer.context().reasons();
    Some(match reasons.as_str() {
        "" => error.to_string(),
        text if text.contains("Disconnected") => {
            format!("{text} (is kafka.security.protocol what this listener expects?)")
        }
        text => text.to_owned(),
    })
}

fn brokers(settings: &Settings) -> Vec<Finding> {
    let kafka = &settings.kafka;
    let at = format!("brokers {}", kafka.brokers);
    let mut config = client::consumer_config(settings);
    config.set_log_level(RDKafkaLogLevel::Info);
    let made = config.create_with_context::<_, Asking>(Heard::default());
    let made = made.and_then(|consumer| Ok((consumer, TopicAdmin::new(&client::admin_config(settings))?)));
    let (consumer, admin) = match made {
        Ok(made) => made,
        Err(error) => return vec![finding(Level::Error, at, error.to_string())],
    };
    if let Some(why) = silent(&consumer, &kafka.input_topic) {
        // The other questions would only take their time too.
        return vec![finding(Level::Error, at, why)];
    }
    let mut findings = vec![finding(Level::Ok, at, "answer")];
    let (input, found) = topic(&admin, "input topic", &kafka.input_topic, None);
    findings.push(found);
    for (what, name) in [("output topic", &kafka.output_topic), ("dead-letter topic", &kafka.dead_letter_topic)] {
        let (other, found) = topic(&admin, what, name, Some(kafka.create_topics));
        findings.push(found);
        if let (Some(input), Some(other)) = (&input, &other) {
            findings.extend(narrower(what, name, input, other));
        }
    }
    findings.extend(input.map(|topic| group(settings, &consumer, topic.partitions)));
    findings
}

/// Asks for a topic. `made` says whether one that is missing is made at start; the input topic never is.
fn topic(admin: &TopicAdmin, what: &str, name: &str, made: Option<bool>) -> (Option<Topic>, Finding) {
    let about = format!("{what} {name}");
    match (admin.describe(name), made) {
        (Ok(Some(topic)), _) => {
            let found = described(&about, &topic);
            (Some(topic), found)
        }
        (Ok(None), Some(true)) => (None, finding(Level::Ok, about, "does not exist; it is created at start")),
        (Ok(None), made) => {
            let way = if made.is_some() {
                "create it, or set kafka.create_topics"
            } else {
                "create it, or correct kafka.input_topic"
            };
            let text = format!("does not exist, or this user may not describe it; {way}");
            (None, finding(Level::Error, about, text))
        }
        (Err(error), _) => (None, finding(Level::Error, about, error.to_string())),
    }
}

fn described(about: &str, topic: &Topic) -> Finding {
    let bytes = topic.max_message_bytes.map_or_else(
        || "; its max.message.bytes may not be asked for".to_owned(),
        |bytes| format!(", batches up to {}", size(bytes as usize)),
    );
    finding(Level::Ok, about, format!("{} partitions{bytes}", topic.partitions))
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
fn group(settings: &Settings, consumer: &Asking, partitions: i32) -> Finding {
    let kafka = &settings.kafka;
    let about = format!("group {}", kafka.group_id);
    let mut asked = TopicPartitionList::new();
    asked.add_partition_range(&kafka.input_topic, 0, partitions - 1);
    match consumer.committed_offsets(asked, ANSWER) {
        Ok(found) => {
            let committed = found.elements().iter().filter(|at| matches!(at.offset(), Offset::Offset(_))).count();
            finding(Level::Ok, about, format!("has offsets in {committed} of {partitions} partitions"))
        }
        Err(error) => finding(Level::Error, about, error.to_string()),
    }
}

fn models(settings: &Settings) -> Vec<Finding> {
    let wired = setting::plan(settings).and_then(|plan| targets(settings, plan));
    let targets = match wired {
        Ok((_, targets)) => targets,
        Err(problem) => return vec![finding(Level::Error, "graph", problem)],
    };
    // Requests may choose the other transport; who offers only one is no fault.
    let asked = targets.iter().filter(|target| target.primary).map(|target| model(settings, target));
    // One arbiter is enough: a client's own limits bound each question.
    actix_rt::System::new().block_on(futures_util::future::join_all(asked))
}

async fn model(settings: &Settings, target: &NodeTarget) -> Finding {
    let (node, transport) = (&target.node, target.transport);
    let at = node.endpoint(transport).map_or_else(|| node.addresses(), ToString::to_string);
    let by = if transport == Transport::Grpc { " (grpc)" } else { "" };
    let about = format!("node {} at {at}{by}", node.name);
    let bounds = Bounds { request_bytes: settings.limits.request_bytes, reply_bytes: settings.limits.reply_bytes };
    let client = match Client::new(settings.protocol, node, transport, bounds) {
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

    fn with(max_message_bytes: Option<u64>) -> Topic {
        Topic { partitions: 3, max_message_bytes, created: false }
    }

    #[test]
    fn a_topic_that_takes_less_than_the_input_is_told() {
        assert!(narrower("output topic", "o", &with(Some(2)), &with(Some(1))).is_some());
        assert!(narrower("output topic", "o", &with(Some(2)), &with(Some(2))).is_none());
        assert!(narrower("output topic", "o", &with(Some(2)), &with(None)).is_none());
    }

    #[test]
    fn a_reason_is_told_once() {
        let heard = Heard::default();
        for milliseconds in [3, 5] {
            heard.log(
                RDKafkaLogLevel::Info,
                "FAIL",
                &format!("[thrd:b]: b: refused (after {milliseconds}ms in state X)"),
            );
        }
        assert_eq!(heard.reasons(), "b: refused");
        heard.error(KafkaError::Global(RDKafkaErrorCode::SSL), "b: handshake failed (after 1ms)");
        heard.error(KafkaError::Global(RDKafkaErrorCode::AllBrokersDown), "1/1 brokers are down");
        assert_eq!(heard.reasons(), "b: handshake failed");
    }

    #[test]
    fn a_finding_is_one_line() {
        let text = described("input topic requests", &with(Some(1 << 20))).to_string();
        assert_eq!(text, "ok     input topic requests: 3 partitions, batches up to 1.0 MiB");
    }
}
