//! What tensors of V2 in JSON have in requests and replies alike: sizes, parameters, data that is nested or flat, and the
//! places in a text where another number of rows shows.

use std::ops::Range;

use super::control::is_of_one;
use super::key::Key;
use super::list::List;
use crate::codec::json::tape::{Kind, Value};

/// What stands in a place when there are other rows.
#[derive(Clone, Copy, Debug)]
pub(super) enum Slot {
    /// The request's own id.
    Id,
    /// The shape of the tensor of this index.
    Shape(usize),
    /// Its data in the text.
    Data(usize),
    /// How many bytes its raw data has.
    Size(usize),
}

/// Places in a text, none in another.
#[derive(Debug, Default)]
pub(super) struct Slots(Vec<(Range<usize>, Slot)>);

impl Slots {
    pub(super) fn add(&mut self, place: Range<usize>, slot: Slot) {
        self.0.push((place, slot));
    }

    /// The places in their order.
    pub(super) fn sorted(mut self) -> Self {
        self.0.sort_by_key(|(place, _)| place.start);
        self
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Range<usize>, Slot)> {
        self.0.iter().map(|(place, slot)| (place, *slot))
    }
}

/// Sizes of dimensions; nothing for what is no array of whole numbers.
pub(super) fn sizes(shape: Value<'_>) -> Option<Vec<usize>> {
    let size = |size: Value<'_>| match size.kind() {
        Kind::Number => size.raw().parse().ok(),
        _ => None,
    };
    if shape.kind() == Kind::Array { shape.items().map(size).collect() } else { None }
}

/// Appends a shape with another first size.
pub(super) fn put_shape(rows: usize, shape: &[usize], out: &mut Vec<u8>) {
    out.push(b'[');
    put_number(rows, out);
    for size in shape.iter().skip(1) {
        out.push(b',');
        put_number(*size, out);
    }
    out.push(b']');
}

pub(super) fn put_number(number: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(number.to_string().as_bytes());
}

/// Adds parameters in the order of their names, but for one that is left out. Nothing when there is one twice, one that is
/// about one request, or no object.
pub(super) fn parameters(key: Key, parameters: Option<Value<'_>>, left_out: &str) -> Option<Key> {
    let Some(parameters) = parameters else { return Some(key.number(0)) };
    match parameters.kind() {
        Kind::Null => return Some(key.number(1)),
        Kind::Object => {}
        _ => return None,
    }
    let mut read = Vec::new();
    for (name, value) in parameters.members() {
        let name = name.string()?;
        if is_of_one(name.as_bytes()) {
            return None;
        }
        read.push((name, value.raw()));
    }
    read.sort_unstable();
    if read.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return None;
    }
    read.retain(|(name, _)| name != left_out);
    Some(key.number(2).each(read.iter(), |key, (name, value)| key.bytes(name.as_bytes()).bytes(value.as_bytes())))
}

/// Appends nested arrays without their brackets. Rows that are not empty have all the commas that a flat list needs.
pub(super) fn flatten(nested: &[u8], out: &mut Vec<u8>) {
    let (mut text, mut escaped) = (false, false);
    for byte in nested {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => text = !text,
            b'[' | b']' if !text => continue,
            _ => {}
        }
        out.push(*byte);
    }
}

/// Raw data behind a text: each tensor takes its own from there.
pub(super) struct Tail {
    pub(super) rest: Range<usize>,
}

impl Tail {
    /// As many bytes as the value of `binary_data_size` says, as elements; nothing if they are not there.
    pub(super) fn take(&mut self, body: &[u8], size: Value<'_>, unit: super::list::Unit) -> Option<List> {
        let size: usize = size.raw().parse().ok().filter(|size| *size <= self.rest.len())?;
        let start = self.rest.start;
        self.rest.start += size;
        List::of(unit, body, std::iter::once(start..self.rest.start).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_text_are_text() {
        let mut out = Vec::new();
        flatten(br#"["a]\"[", "\\"], [ 1 ,[2.50]]"#, &mut out);
        assert_eq!(out, br#""a]\"[", "\\",  1 ,2.50"#);
    }
}
