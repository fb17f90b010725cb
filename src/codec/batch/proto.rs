//! Fields of protobuf messages for merging, with their places in the whole body.

use std::ops::Range;

use crate::codec::wire::{Part as Field, Wire, WireError, parts, varint};

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

/// Key and value of an entry of a map; an absent key is empty, an absent value is nothing.
pub(super) fn entry(body: &[u8], field: &Field) -> Option<(Range<usize>, Option<Range<usize>>)> {
    if field.wire != Wire::Bytes {
        return None;
    }
    let (mut key, mut value) = (None, None);
    for field in fields(body, &field.value).ok()? {
        match field.number {
            1 => once(&mut key, &field)?,
            2 => once(&mut value, &field)?,
            _ => return None,
        }
    }
    Some((key.unwrap_or_default(), value))
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
