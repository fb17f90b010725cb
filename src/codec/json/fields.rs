//! Protobuf's fields in JSON, as its own JSON mapping writes and reads them: every key is known, numbers may be strings,
//! enums may be numbers, bytes are base64, and null is absent.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;

use super::number;
use super::tape::{Kind, Value, shortened};

/// Shows each member of an object to `take`, which says whether it knows the key. A key that it does not know or that
/// comes twice is an error; null is skipped but for the keys in `nulls`. Errors name the key.
pub fn each<'t>(
    object: Value<'t>,
    nulls: &[&str],
    mut take: impl FnMut(&str, Value<'t>) -> Result<bool, String>,
) -> Result<(), String> {
    if object.kind() != Kind::Object {
        return Err(format!("{} is no object", object.shown()));
    }
    let mut seen: Vec<String> = Vec::new();
    for (name, value) in object.members() {
        let key = key(name)?;
        if value.kind() == Kind::Null && !nulls.contains(&key.as_str()) {
            continue;
        }
        if seen.contains(&key) {
            return Err(format!("the key '{}' is there twice", shortened(&key)));
        }
        if !take(&key, value).map_err(|reason| format!("{}: {reason}", shortened(&key)))? {
            return Err(format!("the key '{}' has no place in the protobuf message", shortened(&key)));
        }
        seen.push(key);
    }
    Ok(())
}

/// Shows each member of a map to `take`; keys are free, each comes once.
pub fn map<'t, V>(
    object: Value<'t>,
    mut read: impl FnMut(Value<'t>) -> Result<V, String>,
) -> Result<BTreeMap<String, V>, String> {
    if object.kind() != Kind::Object {
        return Err(format!("{} is no object", object.shown()));
    }
    let mut read_all = BTreeMap::new();
    for (name, value) in object.members() {
        let key = key(name)?;
        let value = read(value).map_err(|reason| format!("{}: {reason}", shortened(&key)))?;
        if read_all.contains_key(&key) {
            return Err(format!("the key '{}' is there twice", shortened(&key)));
        }
        read_all.insert(key, value);
    }
    Ok(read_all)
}

fn key(name: Value<'_>) -> Result<String, String> {
    let key = name.string().ok_or_else(|| format!("the key {} is not Unicode", name.shown()))?;
    Ok(key.into_owned())
}

/// The items of an array, each read.
pub fn list<'t, T>(array: Value<'t>, mut read: impl FnMut(Value<'t>) -> Result<T, String>) -> Result<Vec<T>, String> {
    if array.kind() != Kind::Array {
        return Err(format!("{} is no array", array.shown()));
    }
    let read = |(at, item)| read(item).map_err(|reason| format!("item {at}: {reason}"));
    array.items().enumerate().map(read).collect()
}

/// A string.
pub fn text(value: Value<'_>) -> Result<String, String> {
    let text = value.string().ok_or_else(|| format!("{} is no string, or not Unicode", value.shown()))?;
    Ok(text.into_owned())
}

/// `true` or `false`.
pub fn flag(value: Value<'_>) -> Result<bool, String> {
    match value.kind() {
        Kind::True => Ok(true),
        Kind::False => Ok(false),
        _ => Err(format!("{} is neither true nor false", value.shown())),
    }
}

/// Text of a number, which may stand in a string.
fn digits(value: Value<'_>) -> Option<Cow<'_, str>> {
    match value.kind() {
        Kind::Number => Some(Cow::Borrowed(value.raw())),
        Kind::Text => value.string(),
        _ => None,
    }
}

/// An integer in the range of its type.
pub fn int<T: TryFrom<i128>>(value: Value<'_>) -> Result<T, String> {
    let read = digits(value).and_then(|text| number::integer(&text));
    let fits = read.and_then(|read| T::try_from(read).ok());
    fits.ok_or_else(|| format!("{} is no {}", value.shown(), std::any::type_name::<T>()))
}

/// A double that stands for the text without loss.
pub fn double(value: Value<'_>) -> Result<f64, String> {
    let read = digits(value).and_then(|text| number::kept(&text));
    read.ok_or_else(|| format!("{} is no number that a double can hold", value.shown()))
}

/// The float nearest to a number, as the field's type says.
pub fn float(value: Value<'_>) -> Result<f32, String> {
    let read = digits(value).and_then(|text| number::float(&text));
    read.ok_or_else(|| format!("{} is no number in the range of a float", value.shown()))
}

/// An enum's number, by name or as it is.
pub fn named(value: Value<'_>, number: impl Fn(&str) -> Option<i32>) -> Result<i32, String> {
    match value.string() {
        Some(name) => number(&name).ok_or_else(|| format!("{} is none of the names", value.shown())),
        None => int(value),
    }
}

/// Bytes from base64, of either alphabet, padded or not.
pub fn bytes(value: Value<'_>) -> Result<Bytes, String> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let text = text(value)?;
    let alphabet = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    let decoded = GeneralPurpose::new(alphabet, config).decode(&text);
    decoded.map(Bytes::from).map_err(|error| format!("{} is not base64: {error}", value.shown()))
}

/// Bytes as base64 in quotes.
pub fn print_bytes(out: &mut String, bytes: &[u8]) {
    out.push('"');
    base64::engine::general_purpose::STANDARD.encode_string(bytes, out);
    out.push('"');
}

/// Writes an object: members with commas between them.
pub struct Object<'o> {
    out: &'o mut String,
    empty: bool,
}

impl<'o> Object<'o> {
    /// Opens an object.
    pub fn open(out: &'o mut String) -> Self {
        out.push('{');
        Self { out, empty: true }
    }

    /// Begins a member; what is appended to the text is its value.
    pub fn key(&mut self, key: &str) -> &mut String {
        if !self.empty {
            self.out.push(',');
        }
        self.empty = false;
        super::edit::quote(self.out, key);
        self.out.push(':');
        self.out
    }

    /// Closes the object.
    pub fn close(self) {
        self.out.push('}');
    }
}
