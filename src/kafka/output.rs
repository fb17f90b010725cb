//! The record that carries an answer. Pure.
//!
//! Headers of the input are passed on as they are, `traceparent` and `millrace-origin-*` among them; those that describe
//! the input's own framing or errors are not, and those that this service sets take the place of any sent to it.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::outcome::OutRecord;
use crate::record::{Form, Header, Headers, Message, Record};

/// Request id.
pub const PUID: &str = "Seldon-Puid";
/// Media type of the value.
pub const CONTENT_TYPE: &str = "Content-Type";
/// Full name of the value's protobuf message.
pub const PROTO_NAME: &str = "proto-name";
/// Bytes of the JSON text at the value's beginning, in V2's binary extension.
pub const JSON_LENGTH: &str = "Inference-Header-Content-Length";
/// Where the record was read.
pub const SOURCE_TOPIC: &str = "millrace-source-topic";
/// Where the record was read.
pub const SOURCE_PARTITION: &str = "millrace-source-partition";
/// Where the record was read.
pub const SOURCE_OFFSET: &str = "millrace-source-offset";
/// Its timestamp there, in milliseconds since 1970.
pub const SOURCE_TIMESTAMP: &str = "millrace-source-timestamp";

/// Headers of the input that an answer does not carry, apart from those that start with `millrace-error-`.
const NOT_PASSED_ON: &[&str] = &[
    PUID,
    CONTENT_TYPE,
    "Content-Length",
    "Content-Encoding",
    "Transfer-Encoding",
    PROTO_NAME,
    JSON_LENGTH,
    SOURCE_TOPIC,
    SOURCE_PARTITION,
    SOURCE_OFFSET,
    SOURCE_TIMESTAMP,
    "millrace-failed-at",
    "millrace-value-omitted",
    "millrace-record-omitted",
];

/// Makes the records of answers. Keep one per thread: it shares the names of headers with the records it makes.
#[derive(Debug)]
pub struct Answers {
    topic: Arc<str>,
    puid: Arc<str>,
    content_type: Arc<str>,
    json_length: Arc<str>,
    proto_name: Arc<str>,
    source: [Arc<str>; 4],
}

impl Answers {
    /// Answers that go to `topic`.
    pub fn new(topic: impl Into<Arc<str>>) -> Self {
        Self {
            topic: topic.into(),
            puid: PUID.into(),
            content_type: CONTENT_TYPE.into(),
            json_length: JSON_LENGTH.into(),
            proto_name: PROTO_NAME.into(),
            source: [SOURCE_TOPIC, SOURCE_PARTITION, SOURCE_OFFSET, SOURCE_TIMESTAMP].map(Into::into),
        }
    }

    /// The record that answers `record`. For `partition` see [`placement`](super::outcome::placement).
    pub fn record(&self, record: &Record, puid: Bytes, answer: Message, partition: Option<i32>) -> OutRecord {
        let mut headers = Vec::with_capacity(record.headers.0.len() + 6);
        headers.extend(record.headers.0.iter().filter(|header| is_passed_on(&header.name)).cloned());
        let mut json_bytes = None;
        let mut proto_name = None;
        let content_type = match answer.form {
            Form::Json { content_type } => content_type.unwrap_or(Bytes::from_static(b"application/json")),
            Form::Binary { json } => {
                json_bytes = Some(Bytes::from(json.to_string()));
                Bytes::from_static(b"application/octet-stream")
            }
            Form::Proto(name) => {
                proto_name = Some(Bytes::from_static(name.as_bytes()));
                Bytes::from_static(b"application/protobuf")
            }
        };
        headers.push(Header { name: Arc::clone(&self.puid), value: Some(puid) });
        headers.push(Header { name: Arc::clone(&self.content_type), value: Some(content_type) });
        for (name, value) in [(&self.json_length, json_bytes), (&self.proto_name, proto_name)] {
            if value.is_some() {
                headers.push(Header { name: Arc::clone(name), value });
            }
        }
        for (name, value) in self.source.iter().zip(source_values(record)) {
            if value.is_some() {
                headers.push(Header { name: Arc::clone(name), value });
            }
        }
        OutRecord {
            topic: Arc::clone(&self.topic),
            partition,
            key: record.key.clone(),
            value: Some(answer.body),
            headers: Headers(headers),
        }
    }
}

fn is_passed_on(name: &str) -> bool {
    !(NOT_PASSED_ON.iter().any(|own| own.eq_ignore_ascii_case(name)) || starts_with(name, "millrace-error-"))
}

pub(super) fn starts_with(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Topic, partition, offset and timestamp of a record as text, in one allocation.
pub(super) fn source_values(record: &Record) -> [Option<Bytes>; 4] {
    let mut text = BytesMut::with_capacity(record.topic.len() + 64);
    text.extend_from_slice(record.topic.as_bytes());
    let topic = text.split().freeze();
    let mut number = |value: i64| {
        write!(text, "{value}").expect("the buffer grows as needed");
        text.split().freeze()
    };
    let partition = number(i64::from(record.partition.0));
    let offset = number(record.offset.0);
    let timestamp = record.timestamp.map(number);
    [Some(topic), Some(partition), Some(offset), timestamp]
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::{Offset, Partition};

    const NAMES: &[&str] = &[
        "traceparent",
        "x-tenant",
        "SELDON-PUID",
        "seldon-puid",
        "content-type",
        "Content-Length",
        "proto-name",
        "millrace-source-offset",
        "Millrace-Error-Class",
        "millrace-error-body",
        "millrace-failed-at",
        "millrace-value-omitted",
        "millrace-origin-topic",
        "millrace-replays",
        "",
        "é",
    ];

    pub(in crate::kafka) fn records() -> impl Strategy<Value = Record> {
        let bytes = || proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from));
        let header =
            (proptest::sample::select(NAMES), bytes()).prop_map(|(name, value)| Header { name: name.into(), value });
        let headers = proptest::collection::vec(header, 0..12).prop_map(Headers);
        (any::<i32>(), any::<i64>(), bytes(), bytes(), headers, proptest::option::of(any::<i64>())).prop_map(
            |(partition, offset, key, value, headers, timestamp)| Record {
                topic: "in".into(),
                partition: Partition(partition),
                offset: Offset(offset),
                key,
                value,
                headers,
                unreadable_headers: 0,
                timestamp,
            },
        )
    }

    fn answer(record: &Record) -> OutRecord {
        Answers::new("out").record(record, "p1".into(), Message::json("{}"), None)
    }

    proptest! {
        #[test]
        fn what_is_not_ours_is_passed_on_in_order_and_ours_is_there_once(record in records()) {
            let out = answer(&record);
            prop_assert_eq!(&out.key, &record.key);
            let ours = 5 + usize::from(record.timestamp.is_some());
            let (passed, set) = out.headers.0.split_at(out.headers.0.len() - ours);
            let others: Vec<_> = record.headers.0.iter()
                .filter(|h| ["traceparent", "x-tenant", "millrace-origin-topic", "millrace-replays", "", "é"].contains(&&*h.name))
                .cloned().collect();
            prop_assert_eq!(passed, &others[..]);
            for header in set {
                let same = out.headers.0.iter().filter(|h| h.name.eq_ignore_ascii_case(&header.name)).count();
                prop_assert_eq!(same, 1, "{}", header.name);
            }
            let partition = record.partition.to_string();
            let offset = record.offset.to_string();
            let timestamp = record.timestamp.map(|t| t.to_string());
            prop_assert_eq!(out.headers.text(PUID), Some("p1"));
            prop_assert_eq!(out.headers.text("content-type"), Some("application/json"));
            prop_assert_eq!(out.headers.text(SOURCE_TOPIC), Some("in"));
            prop_assert_eq!(out.headers.text(SOURCE_PARTITION), Some(partition.as_str()));
            prop_assert_eq!(out.headers.text(SOURCE_OFFSET), Some(offset.as_str()));
            prop_assert_eq!(out.headers.text(SOURCE_TIMESTAMP), timestamp.as_deref());
        }
    }
}
