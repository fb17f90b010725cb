//! The record that a dead letter was made of, as it is sent again. Pure.
//!
//! Key, value and headers are the original's. What this service wrote about the failure is left out; where the record first
//! came from and how often it was replayed is added, and stays when it fails again.

use std::sync::Arc;

use bytes::Bytes;

use super::letter::{Letter, Missing, Origin};
use crate::kafka::dead_letter::is_of_earlier_failure;
use crate::kafka::outcome::OutRecord;
use crate::record::{Header, Offset, Partition, Record};

/// Where a replayed record first came from.
pub const ORIGIN_TOPIC: &str = "millrace-origin-topic";
/// Where a replayed record first came from.
pub const ORIGIN_PARTITION: &str = "millrace-origin-partition";
/// Where a replayed record first came from.
pub const ORIGIN_OFFSET: &str = "millrace-origin-offset";
/// Its timestamp there, in milliseconds since 1970.
pub const ORIGIN_TIMESTAMP: &str = "millrace-origin-timestamp";
/// How often a record was replayed.
pub const REPLAYS: &str = "millrace-replays";

const OWN: [&str; 5] = [ORIGIN_TOPIC, ORIGIN_PARTITION, ORIGIN_OFFSET, ORIGIN_TIMESTAMP, REPLAYS];

/// Why what stands at a letter's source is not its record.
pub fn mismatch(letter: &Record, told: &Letter, source: &Origin, found: &Record) -> Option<&'static str> {
    if told.missing != Missing::Everything && letter.key != found.key {
        return Some("another record stands there: it has another key");
    }
    if source.timestamp.is_some() && source.timestamp != found.timestamp {
        return Some("another record stands there: it has another timestamp");
    }
    None
}

/// The record as it stood at its source, with the headers of a replay. `found` is what stands at the source, for letters
/// that miss something.
pub fn restored(letter: &Record, told: &Letter, source: &Origin, found: Option<&Record>) -> Record {
    let whole = if told.missing == Missing::Everything { found.unwrap_or(letter) } else { letter };
    let value = if told.missing == Missing::Nothing { letter } else { found.unwrap_or(letter) };
    let is_own = |name: &str| OWN.iter().any(|own| own.eq_ignore_ascii_case(name));
    let mut headers = whole.headers.clone();
    headers.0.retain(|header| !is_of_earlier_failure(&header.name) && !is_own(&header.name));

    let known = |name| whole.headers.get(name).cloned();
    let first = match (known(ORIGIN_TOPIC), known(ORIGIN_PARTITION), known(ORIGIN_OFFSET)) {
        (topic @ Some(_), partition @ Some(_), offset @ Some(_)) => [topic, partition, offset, known(ORIGIN_TIMESTAMP)],
        _ => [
            Some(Bytes::copy_from_slice(source.topic.as_bytes())),
            Some(source.place.partition.to_string().into()),
            Some(source.place.offset.to_string().into()),
            source.timestamp.map(|timestamp| timestamp.to_string().into()),
        ],
    };
    let replays: u32 = whole.headers.text(REPLAYS).and_then(|count| count.parse().ok()).unwrap_or(0);
    let replays = Some(Bytes::from(replays.saturating_add(1).to_string()));
    for (name, value) in OWN.into_iter().zip(first.into_iter().chain([replays])) {
        if value.is_some() {
            headers.0.push(Header { name: name.into(), value });
        }
    }
    Record {
        topic: source.topic.clone(),
        partition: Partition(source.place.partition),
        offset: Offset(source.place.offset),
        key: whole.key.clone(),
        value: value.value.clone(),
        headers,
        unreadable_headers: whole.unreadable_headers,
        timestamp: source.timestamp,
    }
}

/// A restored record for the topic it is sent to again. For `partition` see [`placement`](crate::kafka::outcome::placement).
pub fn sent_again(record: Record, topic: Arc<str>, partition: Option<i32>) -> OutRecord {
    OutRecord { topic, partition, key: record.key, value: record.value, headers: record.headers }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::letter::tests::written;
    use super::*;
    use crate::kafka::dead_letter::Keep;
    use crate::kafka::output::tests::records;

    fn replayed(letter: &Record, found: Option<&Record>) -> Record {
        let told = Letter::of(letter);
        let source = told.source.clone().expect("it was written with one");
        restored(letter, &told, &source, found)
    }

    fn sound(mut record: Record) -> Record {
        record.partition = Partition(record.partition.0 & i32::MAX);
        record.offset = Offset(record.offset.0 & i64::MAX);
        record.headers.0.retain(|header| !header.name.to_ascii_lowercase().starts_with("millrace-"));
        record
    }

    proptest! {
        #[test]
        fn the_original_comes_back_however_much_of_it_the_letter_holds(original in records()) {
            let original = sound(original);
            let whole = replayed(&written(&original, Keep::Everything), None);
            prop_assert_eq!((&whole.key, &whole.value), (&original.key, &original.value));
            let count = original.headers.0.len();
            prop_assert_eq!(&whole.headers.0[..count], &original.headers.0[..]);
            prop_assert_eq!(whole.headers.0.len(), count + 4 + usize::from(original.timestamp.is_some()));
            for keep in [Keep::NoValue, Keep::PositionOnly] {
                let letter = written(&original, keep);
                let told = Letter::of(&letter);
                prop_assert_eq!(mismatch(&letter, &told, told.source.as_ref().unwrap(), &original), None);
                let fetched = replayed(&letter, Some(&original));
                prop_assert_eq!((&fetched.key, &fetched.value, &fetched.headers), (&whole.key, &whole.value, &whole.headers));
            }
        }

        #[test]
        fn the_first_origin_stays_and_replays_are_counted(original in records(), times in 1..4u32) {
            let original = sound(original);
            let mut record = original.clone();
            for time in 1..=times {
                record = replayed(&written(&record, Keep::Everything), None);
                // It is read at another place, where it fails again.
                record.offset = Offset(i64::from(time) + 1000);
                record.timestamp = Some(77);
            }
            let headers = &record.headers;
            let text = |name| headers.text(name).map(str::to_owned);
            prop_assert_eq!(text(REPLAYS), Some(times.to_string()));
            prop_assert_eq!(text(ORIGIN_OFFSET), Some(original.offset.to_string()));
            prop_assert_eq!(text(ORIGIN_TIMESTAMP), original.timestamp.map(|timestamp| timestamp.to_string()));
            prop_assert_eq!(headers.0.len(), original.headers.0.len() + 4 + usize::from(original.timestamp.is_some()));
        }

        #[test]
        fn another_record_is_seen(original in records(), key in proptest::option::of(Just(Bytes::from_static(b"a key of another record")))) {
            let original = sound(original);
            let letter = written(&original, Keep::NoValue);
            let told = Letter::of(&letter);
            let source = told.source.clone().unwrap();
            let other = Record { key: key.clone(), ..original.clone() };
            prop_assert_eq!(mismatch(&letter, &told, &source, &other).is_some(), key != original.key);
            if let Some(timestamp) = original.timestamp {
                let other = Record { timestamp: Some(timestamp.wrapping_add(1)), ..original.clone() };
                prop_assert!(mismatch(&letter, &told, &source, &other).is_some());
            }
        }
    }
}
