//! Fields of protobuf messages for merging, with their places in the whole body.

use std::ops::Range;

use bytes::BytesMut;

use super::key::Key;
use crate::codec::wire::{Part as Field, Wire, WireError, parts, put_bytes, put_varint, varint};

/// The fields of the message that stands in this place.
pub(super) fn fields(body: &[u8], place: &Range<usize>) -> Result<Vec<Field>, WireError> {
    let shift = |range: Range<usize>| range.start + place.start..range.end + place.start;
    let message = body.get(place.clone()).unwrap_or_default();
    let found = parts(message).map(|part| {
        let part = part?;
        Ok(Field { whole: shift(part.whole), tail: shift(part.tail), value: shift(part.value), ..part })
    });
    found.collect()
}

/// Notes where a field of bytes stands that may be there once. Nothing if it is there again, or is none of bytes.
pub(super) fn once(place: &mut Option<Range<usize>>, field: &Field) -> Option<()> {
    (field.wire == Wire::Bytes && place.replace(field.value.clone()).is_none()).then_some(())
}

/// Reads a field of a number that may be there once. Nothing if it is there again, or is no number.
pub(super) fn number_once(into: &mut Option<u64>, body: &[u8], field: &Field) -> Option<()> {
    let number = (field.wire == Wire::Varint).then(|| varint(body.get(field.value.clone())?).ok())??;
    into.replace(number).is_none().then_some(())
}

/// Key and value of an entry of a map; an absent key is empty, an absent value is nothing.
pub(super) fn entry(body: &[u8], field: &Field) -> Option<(Range<usize>, Option<Field>)> {
    if field.wire != Wire::Bytes {
        return None;
    }
    let (mut key, mut value) = (None, None);
    for field in fields(body, &field.value).ok()? {
        match field.number {
            1 => once(&mut key, &field)?,
            2 if value.is_none() => value = Some(field),
            _ => return None,
        }
    }
    Some((key.unwrap_or_default(), value))
}

/// Adds the entries of a map in the order of their names. Nothing if one is there twice, or one that is not `fit`.
pub(super) fn map(
    key: Key,
    body: &[u8],
    entries: &[Field],
    fit: impl Fn(&[u8], Option<&Field>) -> bool,
) -> Option<Key> {
    let mut read = Vec::new();
    for field in entries {
        let (name, value) = entry(body, field)?;
        let name = body.get(name)?;
        if !fit(name, value.as_ref()) {
            return None;
        }
        read.push((name, body.get(value.map(|value| value.value).unwrap_or_default())?));
    }
    read.sort_unstable();
    let twice = read.windows(2).any(|pair| pair[0].0 == pair[1].0);
    (!twice).then(|| key.each(read.iter(), |key, (name, value)| key.bytes(name).bytes(value)))
}

/// Appends what stands in these places.
pub(super) fn copy<'p>(body: &[u8], places: impl IntoIterator<Item = &'p Range<usize>>, out: &mut BytesMut) {
    for place in places {
        out.extend_from_slice(body.get(place.clone()).unwrap_or_default());
    }
}

/// Sizes of dimensions, packed or not; nothing for what is none, or negative.
pub(super) fn sizes(body: &[u8], field: &Field, into: &mut Vec<usize>) -> Option<()> {
    let mut rest = body.get(field.value.clone())?;
    match field.wire {
        Wire::Varint | Wire::Bytes => {}
        _ => return None,
    }
    while !rest.is_empty() {
        let size = varint(rest).ok()?;
        // A negative size is a number with all its upper bits.
        into.push(usize::try_from(i64::try_from(size).ok()?).ok()?);
        let length = rest.iter().position(|byte| *byte < 0x80)? + 1;
        rest = rest.get(length..)?;
    }
    Some(())
}

/// Appends a field with the sizes of a shape, the first of them another.
pub(super) fn put_sizes(number: u32, rows: usize, shape: &[usize], out: &mut BytesMut) {
    let mut sizes = BytesMut::new();
    for size in std::iter::once(&rows).chain(shape.iter().skip(1)) {
        put_varint(&mut sizes, *size as u64);
    }
    put_bytes(out, number, &sizes);
}
