//! What tensors of V2 in JSON have in requests and replies alike: parameters, data that is nested or flat, and the places in
//! a text where another number of rows shows.

use std::ops::Range;

use super::control::is_of_one;
use super::key::Key;
use super::list::List;
use super::members::map;
use crate::codec::json::tape::Value;

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

/// Adds parameters in the order of their names, but for one that is left out. Nothing when there is one twice, one that is
/// about one request, or no object.
pub(super) fn parameters(key: Key, parameters: Option<Value<'_>>, left_out: &str) -> Option<Key> {
    map(key, parameters, |name| (!is_of_one(name.as_bytes())).then_some(name != left_out))
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
