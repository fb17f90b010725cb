//! The record that is written for a record without an answer: all that is needed to understand and to replay it. Pure.
//!
//! The original's key, value and headers come first and untouched. Only what this service itself wrote about an earlier
//! failure is replaced, so that a replayed record that fails again does not collect headers. `millrace-origin-*` and
//! `millrace-replays`, which a replay adds, stay.

use std::fmt::Display;
use std::sync::Arc;

use bytes::Bytes;

use super::outcome::{Failure, OutRecord};
use super::output::{SOURCE_OFFSET, SOURCE_PARTITION, SOURCE_TIMESTAMP, SOURCE_TOPIC, source_values, starts_with};
use crate::record::{Header, Headers, Record};

/// Kind of error, one of the labels of [`ErrorClass`](super::outcome::ErrorClass).
pub const ERROR_CLASS: &str = "millrace-error-class";
/// What happened, for people.
pub const ERROR_MESSAGE: &str = "millrace-error-message";
/// The node that failed.
pub const ERROR_NODE: &str = "millrace-error-node";
/// Status of its response.
pub const ERROR_STATUS: &str = "millrace-error-status";
/// Attempts that were made.
pub const ERROR_ATTEMPTS: &str = "millrace-error-attempts";
/// The first bytes of its response.
pub const ERROR_BODY: &str = "millrace-error-body";
/// When it was given up, in milliseconds since 1970.
pub const FAILED_AT: &str = "millrace-failed-at";
/// `true` if the value is missing here although the original has one; it stands at the source position.
pub const VALUE_OMITTED: &str = "millrace-value-omitted";
/// `true` if key, value and headers are missing here; the record stands at the source position.
pub const RECORD_OMITTED: &str = "millrace-record-omitted";

const BODY_BYTES: usize = 4096;
const MESSAGE_BYTES: usize = 1024;

/// How much of the original is written. A smaller step is taken when the broker says that the record is too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Key, value and headers.
    Everything,
    /// Key and headers.
    NoValue,
    /// Only the source position: even key and headers are too large.
    PositionOnly,
}

impl Keep {
    /// The next smaller step, if there is one.
    pub fn smaller(self) -> Option<Self> {
        match self {
            Self::Everything => Some(Self::NoValue),
            Self::NoValue => Some(Self::PositionOnly),
            Self::PositionOnly => None,
        }
    }
}

/// The dead letter of `record` for `topic`. `failed_at` is in milliseconds since 1970; for `partition` see
/// [`placement`](super::outcome::placement).
pub fn record(
    topic: &Arc<str>,
    record: &Record,
    failure: &Failure,
    failed_at: i64,
    keep: Keep,
    partition: Option<i32>,
) -> OutRecord {
    let position_only = keep == Keep::PositionOnly;
    let mut headers = Headers::default();
    if !position_only {
        headers.0.extend(record.headers.0.iter().filter(|header| !is_of_earlier_failure(&header.name)).cloned());
    }

    let mut push = |name: &str, value: Option<Bytes>| {
        if value.is_some() {
            headers.0.push(Header { name: name.into(), value });
        }
    };
    push(ERROR_CLASS, Some(Bytes::from_static(failure.class.label().as_bytes())));
    push(ERROR_MESSAGE, Some(Bytes::copy_from_slice(cut(&failure.message, MESSAGE_BYTES).as_bytes())));
    push(ERROR_NODE, failure.node.as_ref().map(text));
    push(ERROR_STATUS, failure.status.as_ref().map(text));
    push(ERROR_ATTEMPTS, Some(text(&failure.attempts)));
    push(ERROR_BODY, failure.body.as_ref().map(|body| body.slice(..body.len().min(BODY_BYTES))));
    let source = [SOURCE_TOPIC, SOURCE_PARTITION, SOURCE_OFFSET, SOURCE_TIMESTAMP];
    for (name, value) in source.into_iter().zip(source_values(record)) {
        push(name, value);
    }
    push(FAILED_AT, Some(text(&failed_at)));
    if keep != Keep::Everything && record.value.is_some() {
        push(VALUE_OMITTED, Some(Bytes::from_static(b"true")));
    }
    if position_only {
        push(RECORD_OMITTED, Some(Bytes::from_static(b"true")));
    }

    OutRecord {
        topic: Arc::clone(topic),
        partition,
        key: record.key.clone().filter(|_| !position_only),
        value: record.value.clone().filter(|_| keep == Keep::Everything),
        headers,
    }
}

/// Whether a header was written about an earlier failure, or an earlier way through this service.
pub(super) fn is_of_earlier_failure(name: &str) -> bool {
    ["millrace-error-", "millrace-source-"].iter().any(|prefix| starts_with(name, prefix))
        || [FAILED_AT, VALUE_OMITTED, RECORD_OMITTED].iter().any(|own| own.eq_ignore_ascii_case(name))
}

fn text(value: &impl Display) -> Bytes {
    value.to_string().into()
}

/// At most `bytes` bytes of a text, cut between characters.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::outcome::ErrorClass;
    use super::super::output::tests::records;
    use super::*;
    use crate::record::{Offset, Partition};

    fn failure() -> Failure {
        Failure {
            class: ErrorClass::ModelError,
            message: "status 500".into(),
            node: Some("scorer".into()),
            status: Some("500".into()),
            attempts: 5,
            body: Some(Bytes::from(vec![b'x'; 5000])),
        }
    }

    fn letter(of: &Record, keep: Keep) -> OutRecord {
        record(&"in.dlq".into(), of, &failure(), 1_700_000_000_000, keep, None)
    }

    #[test]
    fn a_dead_letter_tells_what_happened_and_where_it_came_from() {
        let mut headers = Headers::default();
        headers.push("traceparent", "00-1");
        let original = Record {
            topic: "in".into(),
            partition: Partition(3),
            offset: Offset(7),
            key: Some("k".into()),
            value: Some("[]".into()),
            headers,
            unreadable_headers: 0,
            timestamp: Some(1),
        };
        let out = letter(&original, Keep::Everything);
        let shown: Vec<_> = out
            .headers
            .0
            .iter()
            .filter(|h| &*h.name != ERROR_BODY)
            .map(|h| format!("{}={}", h.name, String::from_utf8_lossy(h.value.as_ref().unwrap())))
            .collect();
        assert_eq!(
            shown,
            [
                "traceparent=00-1",
                "millrace-error-class=model_error",
                "millrace-error-message=status 500",
                "millrace-error-node=scorer",
                "millrace-error-status=500",
                "millrace-error-attempts=5",
                "millrace-source-topic=in",
                "millrace-source-partition=3",
                "millrace-source-offset=7",
                "millrace-source-timestamp=1",
                "millrace-failed-at=1700000000000",
            ]
        );
        assert_eq!(out.headers.get(ERROR_BODY).unwrap().len(), 4096);
        assert_eq!((out.key, out.value), (original.key, original.value));
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 3), "aé");
    }

    proptest! {
        #[test]
        fn a_second_failure_replaces_the_first(original in records()) {
            let first = letter(&original, Keep::Everything);
            let replayed = Record { headers: first.headers.clone(), ..original.clone() };
            prop_assert_eq!(letter(&replayed, Keep::Everything), first);
        }

        #[test]
        fn the_original_comes_first_and_untouched(original in records()) {
            let out = letter(&original, Keep::Everything);
            let kept: Vec<_> = original.headers.0.iter().filter(|h| !is_of_earlier_failure(&h.name)).cloned().collect();
            prop_assert_eq!(&out.headers.0[..kept.len()], &kept[..]);
            for header in &kept {
                prop_assert!(!starts_with(&header.name, "millrace-") || ["millrace-origin-topic", "millrace-replays"].contains(&&*header.name));
            }
            prop_assert_eq!((&out.key, &out.value), (&original.key, &original.value));
            prop_assert_eq!(out.headers.get(VALUE_OMITTED), None);
        }

        #[test]
        fn a_smaller_letter_says_what_it_leaves_out(original in records()) {
            let no_value = letter(&original, Keep::NoValue);
            prop_assert_eq!((&no_value.key, &no_value.value), (&original.key, &None));
            prop_assert_eq!(no_value.headers.text(VALUE_OMITTED), original.value.as_ref().map(|_| "true"));
            let bare = letter(&original, Keep::PositionOnly);
            prop_assert_eq!((&bare.key, &bare.value), (&None, &None));
            prop_assert_eq!(bare.headers.text(RECORD_OMITTED), Some("true"));
            prop_assert!(bare.size() < 6 * 1024);
            for out in [no_value, bare] {
                let offset = original.offset.to_string();
                prop_assert_eq!(out.headers.text(SOURCE_OFFSET), Some(offset.as_str()));
            }
        }
    }
}
