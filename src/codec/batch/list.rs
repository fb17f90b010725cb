//! Elements of a tensor as they stand in a protobuf message or in raw bytes: counted, and cut without being read.

use std::ops::Range;

use bytes::BytesMut;

use crate::codec::wire::{Part as Field, Wire, put_head};

/// How one element is told from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// A number of one to ten bytes.
    Varint,
    /// So many bytes.
    Fixed(usize),
    /// A length in four bytes, and as many.
    Prefixed,
    /// A field of its own, tag and length included.
    Field,
}

/// Elements one after the other, perhaps in several pieces of a body.
#[derive(Clone, Debug)]
pub(super) struct List {
    unit: Unit,
    pieces: Vec<Piece>,
    /// How many elements there are.
    pub(super) len: usize,
    /// Bytes of all pieces.
    pub(super) bytes: usize,
}

#[derive(Clone, Debug)]
struct Piece {
    place: Range<usize>,
    /// More than once only if it is one element.
    times: usize,
}

impl List {
    /// The elements in these pieces; nothing if a piece ends in the middle of one.
    pub(super) fn of(unit: Unit, body: &[u8], pieces: Vec<Range<usize>>) -> Option<Self> {
        let (mut len, mut bytes) = (0, 0);
        for piece in &pieces {
            let inside = body.get(piece.clone())?;
            len += count(unit, inside)?;
            bytes += inside.len();
        }
        let pieces = pieces.into_iter().map(|place| Piece { place, times: 1 }).collect();
        Some(Self { unit, pieces, len, bytes })
    }

    /// A repeated field of a message, packed or not. Nothing if one of the fields is of another number or encoding.
    pub(super) fn of_fields(unit: Unit, number: u32, body: &[u8], fields: &[Field]) -> Option<Self> {
        let piece = |field: &Field| match (unit, field.wire) {
            _ if field.number != number => None,
            (Unit::Field, Wire::Bytes) => Some(field.whole.clone()),
            (Unit::Varint, Wire::Bytes | Wire::Varint)
            | (Unit::Fixed(_), Wire::Bytes)
            | (Unit::Fixed(4), Wire::Fixed32)
            | (Unit::Fixed(8), Wire::Fixed64) => Some(field.value.clone()),
            _ => None,
        };
        Self::of(unit, body, fields.iter().map(piece).collect::<Option<_>>()?)
    }

    /// The elements as a repeated field with a head of its own, packed where that is possible: bytes of it.
    pub(super) fn head(&self, number: u32, more: usize) -> BytesMut {
        let mut head = BytesMut::new();
        let bytes = self.bytes.saturating_add(more);
        if self.unit != Unit::Field && bytes > 0 {
            put_head(&mut head, number, bytes);
        }
        head
    }

    /// Appends the elements.
    pub(super) fn copy(&self, body: &[u8], out: &mut BytesMut) {
        self.each(body, |bytes| out.extend_from_slice(bytes));
    }

    /// Shows the bytes of the elements, piece by piece.
    pub(super) fn each(&self, body: &[u8], mut show: impl FnMut(&[u8])) {
        for piece in &self.pieces {
            let bytes = body.get(piece.place.clone()).unwrap_or_default();
            (0..piece.times).for_each(|_| show(bytes));
        }
    }

    /// This list with its last element again until there are so many; nothing if there is none, or if these are no more
    /// than `most` bytes.
    pub(super) fn filled(self, body: &[u8], len: usize, most: usize) -> Option<Self> {
        let more = len.checked_sub(self.len).filter(|more| *more > 0);
        let Some(more) = more else { return Some(self) };
        let ends = self.cut(body, [self.len.checked_sub(1)?, 1].into_iter())?;
        let last = ends.last()?;
        let bytes = more.checked_mul(last.bytes).filter(|bytes| *bytes <= most)?;
        let place = last.pieces.first()?.place.clone();
        let mut filled = self;
        filled.pieces.push(Piece { place, times: more });
        (filled.len, filled.bytes) = (len, filled.bytes + bytes);
        Some(filled)
    }

    /// Lists of so many elements each, if together they are as many as there are.
    pub(super) fn cut(&self, body: &[u8], counts: impl Iterator<Item = usize>) -> Option<Vec<Self>> {
        let mut pieces = self.pieces.iter().cloned();
        let mut rest = Piece { place: 0..0, times: 1 };
        let mut taken = 0;
        let mut lists = Vec::new();
        for count in counts {
            let mut list = Self { unit: self.unit, pieces: Vec::new(), len: count, bytes: 0 };
            let mut wanted = count;
            while wanted > 0 {
                if rest.place.is_empty() || rest.times == 0 {
                    rest = pieces.next()?;
                    continue;
                }
                if rest.times > 1 {
                    let taken = Piece { times: rest.times.min(wanted), ..rest.clone() };
                    list.bytes += taken.times * taken.place.len();
                    (rest.times, wanted) = (rest.times - taken.times, wanted - taken.times);
                    list.pieces.push(taken);
                    continue;
                }
                let (elements, bytes) = first(self.unit, body.get(rest.place.clone())?, wanted)?;
                let start = rest.place.start;
                rest.place.start += bytes;
                list.pieces.push(Piece { place: start..rest.place.start, times: 1 });
                list.bytes += bytes;
                wanted -= elements;
            }
            taken += count;
            lists.push(list);
        }
        (taken == self.len).then_some(lists)
    }
}

/// Elements in these bytes; nothing if they end in the middle of one.
fn count(unit: Unit, bytes: &[u8]) -> Option<usize> {
    match unit {
        Unit::Field => Some(1),
        Unit::Fixed(size) => bytes.len().is_multiple_of(size).then(|| bytes.len() / size),
        Unit::Varint | Unit::Prefixed => {
            let (elements, taken) = first(unit, bytes, usize::MAX)?;
            (taken == bytes.len()).then_some(elements)
        }
    }
}

/// As many of the first elements as there are, at most so many, and their bytes. Nothing for what is no element.
fn first(unit: Unit, bytes: &[u8], wanted: usize) -> Option<(usize, usize)> {
    const LONGEST_VARINT: usize = 10;
    match unit {
        Unit::Field => Some((1, bytes.len())),
        Unit::Fixed(size) => {
            let elements = (bytes.len() / size).min(wanted);
            Some((elements, elements * size))
        }
        Unit::Varint => {
            let (mut elements, mut start) = (0, 0);
            for (at, byte) in bytes.iter().enumerate() {
                if *byte < 0x80 {
                    (elements, start) = (elements + 1, at + 1);
                    if elements == wanted {
                        break;
                    }
                } else if at - start + 1 == LONGEST_VARINT {
                    return None;
                }
            }
            (elements > 0 || bytes.is_empty()).then_some((elements, start))
        }
        Unit::Prefixed => {
            let (mut elements, mut at) = (0, 0);
            while elements < wanted && at < bytes.len() {
                let length = bytes.get(at..)?.first_chunk::<4>()?;
                let end = (at + 4).checked_add(u32::from_le_bytes(*length) as usize)?;
                if end > bytes.len() {
                    return None;
                }
                (elements, at) = (elements + 1, end);
            }
            Some((elements, at))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(body: &[u8]) -> Vec<Range<usize>> {
        std::iter::once(0..body.len()).collect()
    }

    fn cut(unit: Unit, body: &[u8], counts: &[usize]) -> Option<Vec<Vec<u8>>> {
        // In two pieces, if the middle is between two elements.
        let (half, end) = (body.len() / 2, body.len());
        let list = List::of(unit, body, vec![0..half, half..end]).or_else(|| List::of(unit, body, whole(body)))?;
        let lists = list.cut(body, counts.iter().copied())?;
        let copied = lists.iter().map(|list| {
            let mut out = BytesMut::new();
            list.copy(body, &mut out);
            assert_eq!(out.len(), list.bytes);
            out.to_vec()
        });
        Some(copied.collect())
    }

    #[test]
    fn elements_are_cut_where_they_end() {
        assert_eq!(cut(Unit::Fixed(2), b"aabbcc", &[1, 2]).unwrap(), [b"aa".to_vec(), b"bbcc".to_vec()]);
        assert_eq!(
            cut(Unit::Varint, b"\x80\x01\x02\xff\x03\x04", &[1, 0, 3]).unwrap(),
            [b"\x80\x01".to_vec(), vec![], b"\x02\xff\x03\x04".to_vec()]
        );
        let prefixed = b"\x01\0\0\0a\0\0\0\0\x02\0\0\0bc";
        assert_eq!(cut(Unit::Prefixed, prefixed, &[2, 1]).unwrap(), [prefixed[..9].to_vec(), prefixed[9..].to_vec()]);
        for counts in [&[2][..], &[4], &[1, 1], &[3, 1]] {
            assert_eq!(cut(Unit::Fixed(2), b"aabbcc", counts), None, "{counts:?}");
        }
        assert_eq!(cut(Unit::Fixed(2), b"", &[0, 0]).unwrap(), [b""; 2]);
    }

    #[test]
    fn what_ends_in_the_middle_of_an_element_is_no_list() {
        for (unit, body) in [
            (Unit::Fixed(4), &b"12345"[..]),
            (Unit::Varint, b"\x01\x80"),
            (Unit::Varint, &[0xff; 30]),
            (Unit::Prefixed, b"\x01\0\0"),
            (Unit::Prefixed, b"\x02\0\0\0a"),
            (Unit::Prefixed, b"\xff\xff\xff\xffa"),
        ] {
            assert!(List::of(unit, body, whole(body)).is_none(), "{unit:?} {body:?}");
        }
    }
}
