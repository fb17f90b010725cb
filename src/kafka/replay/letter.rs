//! A dead letter as its headers tell it. Pure.
//!
//! [`dead_letter`](crate::kafka::dead_letter) writes what is read here. Anything may stand in the topic: a record without
//! these headers is a letter too, one that tells nothing.

use std::sync::Arc;

use super::marks::Place;
use super::restore::REPLAYS;
use crate::kafka::dead_letter::{
    ERROR_ATTEMPTS, ERROR_CLASS, ERROR_MESSAGE, ERROR_NODE, ERROR_STATUS, FAILED_AT, RECORD_OMITTED, VALUE_OMITTED,
};
use crate::kafka::output::{SOURCE_OFFSET, SOURCE_PARTITION, SOURCE_TIMESTAMP, SOURCE_TOPIC};
use crate::record::{Headers, Record};

/// Where a record was read before it became a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition and offset there.
    pub place: Place,
    /// Its time there, in milliseconds since 1970.
    pub timestamp: Option<i64>,
}

/// How much of the record is missing in the letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Nothing.
    Nothing,
    /// The value.
    Value,
    /// Key, value and headers.
    Everything,
}

/// What a dead letter says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Where it stands in the dead-letter topic.
    pub place: Place,
    /// Kind of error.
    pub class: Option<String>,
    /// What happened.
    pub message: Option<String>,
    /// The node that failed.
    pub node: Option<String>,
    /// Status of its response.
    pub status: Option<String>,
    /// Attempts that were made.
    pub attempts: Option<u32>,
    /// When it was given up, in milliseconds since 1970; without the header, the time of the record.
    pub failed_at: Option<i64>,
    /// Where the record was read.
    pub source: Option<Origin>,
    /// What is missing here and stands at the source.
    pub missing: Missing,
    /// How often it was replayed before it failed again.
    pub replays: u32,
}

impl Letter {
    /// Reads the headers.
    pub fn of(record: &Record) -> Self {
        let headers = &record.headers;
        let text = |name| headers.get(name).map(|value| String::from_utf8_lossy(value).into_owned());
        let is_true = |name| headers.text(name) == Some("true");
        let missing = match (is_true(RECORD_OMITTED), is_true(VALUE_OMITTED)) {
            (true, _) => Missing::Everything,
            (false, true) => Missing::Value,
            (false, false) => Missing::Nothing,
        };
        Self {
            place: Place { partition: record.partition.0, offset: record.offset.0 },
            class: text(ERROR_CLASS),
            message: text(ERROR_MESSAGE),
            node: text(ERROR_NODE),
            status: text(ERROR_STATUS),
            attempts: number(headers, ERROR_ATTEMPTS),
            failed_at: number(headers, FAILED_AT).or(record.timestamp),
            source: source(headers),
            missing,
            replays: number(headers, REPLAYS).unwrap_or(0),
        }
    }
}

fn number<T: std::str::FromStr>(headers: &Headers, name: &str) -> Option<T> {
    headers.text(name).and_then(|text| text.parse().ok())
}

fn source(headers: &Headers) -> Option<Origin> {
    let place = Place { partition: number(headers, SOURCE_PARTITION)?, offset: number(headers, SOURCE_OFFSET)? };
    let topic = headers.text(SOURCE_TOPIC).filter(|topic| !topic.is_empty())?;
    let timestamp = number(headers, SOURCE_TIMESTAMP);
    (place.partition >= 0 && place.offset >= 0).then(|| Origin { topic: topic.into(), place, timestamp })
}

#[cfg(test)]
pub(in crate::kafka::replay) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kafka::dead_letter::{Keep, record as dead_letter};
    use crate::kafka::outcome::{ErrorClass, Failure};
    use crate::kafka::output::tests::records;
    use crate::record::{Offset, Partition};

    /// The letter of a record as it is read again.
    pub(in crate::kafka::replay) fn written(original: &Record, keep: Keep) -> Record {
        let failure = Failure {
            class: ErrorClass::ModelError,
            message: "status 500".into(),
            node: Some("scorer".into()),
            status: Some("500".into()),
            attempts: 5,
            body: None,
        };
        let out = dead_letter(&"in.dlq".into(), original, &failure, 1_700_000_000_000, keep, None);
        Record {
            topic: out.topic,
            partition: Partition(2),
            offset: Offset(9),
            key: out.key,
            value: out.value,
            headers: out.headers,
            unreadable_headers: 0,
            timestamp: Some(5),
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(mut original in records(), keep in 0..3usize) {
            original.partition = Partition(original.partition.0 & i32::MAX);
            original.offset = Offset(original.offset.0 & i64::MAX);
            let keep = [Keep::Everything, Keep::NoValue, Keep::PositionOnly][keep];
            let letter = Letter::of(&written(&original, keep));
            let told = (letter.class.as_deref(), letter.node.as_deref(), letter.status.as_deref(), letter.attempts);
            prop_assert_eq!(told, (Some("model_error"), Some("scorer"), Some("500"), Some(5)));
            prop_assert_eq!(letter.failed_at, Some(1_700_000_000_000));
            let place = Place { partition: original.partition.0, offset: original.offset.0 };
            prop_assert_eq!(letter.source, Some(Origin { topic: "in".into(), place, timestamp: original.timestamp }));
            prop_assert_eq!(letter.missing, match keep {
                Keep::PositionOnly => Missing::Everything,
                Keep::NoValue if original.value.is_some() => Missing::Value,
                _ => Missing::Nothing,
            });
        }

        #[test]
        fn any_record_is_a_letter(record in records()) {
            let letter = Letter::of(&record);
            prop_assert!(letter.failed_at.is_some() || record.timestamp.is_none());
        }
    }
}
