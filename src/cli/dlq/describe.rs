//! A dead letter in words and as JSON.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use serde_json::{Map, Value, json};

use super::desk::Found;
use crate::kafka::replay::letter::Missing;
use crate::record::Headers;

/// A time in milliseconds since 1970 as RFC 3339.
pub(super) fn time(milliseconds: Option<i64>) -> Option<String> {
    let since = Duration::from_millis(u64::try_from(milliseconds?).ok()?);
    // Beyond the year 9999 there is no text for it.
    let time = SystemTime::UNIX_EPOCH.checked_add(since).filter(|_| since.as_secs() < 253_402_300_800)?;
    Some(humantime::format_rfc3339_millis(time).to_string())
}

/// Bytes as a person reads them: text, or hexadecimal digits as `--key-hex` takes them.
pub(super) fn bytes(value: Option<&[u8]>) -> String {
    match value.map(|value| (value, std::str::from_utf8(value))) {
        None => "-".into(),
        Some((_, Ok(text))) => text.to_owned(),
        Some((value, Err(_))) => value.iter().fold("0x".into(), |text, byte| format!("{text}{byte:02x}")),
    }
}

/// Puts bytes into an object: as text where they are text, else in base64 under another name.
fn put(object: &mut Map<String, Value>, name: &str, value: Option<&[u8]>) {
    match value.map(|value| (value, std::str::from_utf8(value))) {
        None => object.insert(name.into(), Value::Null),
        Some((_, Ok(text))) => object.insert(name.into(), text.into()),
        Some((value, Err(_))) => {
            object.insert(format!("{name}_base64"), base64::engine::general_purpose::STANDARD.encode(value).into())
        }
    };
}

/// What a letter says, without its value.
pub(super) fn object(found: &Found) -> Map<String, Value> {
    let letter = &found.letter;
    let mut object = Map::new();
    let source = letter.source.as_ref().map(|source| {
        json!({"topic": &*source.topic, "partition": source.place.partition, "offset": source.place.offset,
            "timestamp": source.timestamp})
    });
    let missing = match letter.missing {
        Missing::Nothing => None,
        Missing::Value => Some("value"),
        Missing::Everything => Some("record"),
    };
    let facts = [
        ("partition", json!(letter.place.partition)),
        ("offset", json!(letter.place.offset)),
        ("failed_at", json!(time(letter.failed_at))),
        ("class", json!(letter.class)),
        ("node", json!(letter.node)),
        ("status", json!(letter.status)),
        ("attempts", json!(letter.attempts)),
        ("message", json!(letter.message)),
        ("source", json!(source)),
        ("missing", json!(missing)),
        ("value_bytes", json!(found.record.value.as_ref().map(bytes::Bytes::len))),
        ("replays", json!(letter.replays)),
        ("replayed", json!(found.replayed)),
    ];
    object.extend(facts.map(|(name, value)| (name.to_owned(), value)));
    put(&mut object, "key", found.record.key.as_deref());
    object
}

/// The same with headers and value.
pub(super) fn whole(found: &Found) -> Map<String, Value> {
    let mut whole = object(found);
    whole.insert("headers".into(), headers(&found.record.headers));
    put(&mut whole, "value", found.record.value.as_deref());
    whole
}

/// Headers in their order; names may repeat.
fn headers(headers: &Headers) -> Value {
    let one = |header: &crate::record::Header| {
        let mut object = Map::new();
        object.insert("name".into(), (&*header.name).into());
        put(&mut object, "value", header.value.as_deref());
        Value::Object(object)
    };
    headers.0.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_have_no_text_have_none() {
        assert_eq!(time(Some(0)).as_deref(), Some("1970-01-01T00:00:00.000Z"));
        assert_eq!((time(None), time(Some(-1)), time(Some(i64::MAX))), (None, None, None));
    }

    #[test]
    fn bytes_are_text_or_digits() {
        assert_eq!([bytes(None), bytes(Some(b"k")), bytes(Some(b"\xff\x00"))], ["-", "k", "0xff00"]);
        let mut object = Map::new();
        put(&mut object, "key", Some(b"\xff"));
        put(&mut object, "value", None);
        assert_eq!(Value::Object(object), json!({"key_base64": "/w==", "value": null}));
    }
}
