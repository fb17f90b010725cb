//! A tensor of TensorFlow over gRPC with its name, of a request or of a reply, and one with other rows in its place.

use std::ops::{Range, RangeInclusive};

use bytes::BytesMut;

use super::key::Key;
use super::list::{List, Unit};
use super::proto::{copy, entry, fields, number_once, once};
use super::rows::product;
use crate::codec::wire::{Part as Field, Wire, put_bytes, put_head, put_tag, put_varint};

/// Field numbers of `TensorProto`.
const DTYPE: u32 = 1;
const SHAPE: u32 = 2;
const VERSION: u32 = 3;
const CONTENT: u32 = 4;
/// Those with lists of elements.
const LISTS: RangeInclusive<u32> = 5..=18;
/// Of `TensorShapeProto` and of a dimension in it.
const DIM: u32 = 2;
const UNKNOWN_RANK: u32 = 3;
const SIZE: u32 = 1;
const NAME: u32 = 2;

/// Most bytes that repetitions of a value are written out to: a short list may stand for a tensor of any size.
const MOST_REPEATED: usize = 1 << 24;

/// A tensor as it stands.
#[derive(Debug)]
pub(super) struct Tensor {
    name: Range<usize>,
    dtype: u64,
    version: u64,
    /// Fields that are copied: all but the shape and the elements.
    copied: Vec<Range<usize>>,
    /// Sizes of the dimensions; none for a rank that is not known.
    pub(super) shape: Vec<usize>,
    dims: Vec<Dim>,
    /// Whether there are fields that nobody knows.
    pub(super) unknown: bool,
    /// Field of the elements.
    number: u32,
    pub(super) list: List,
}

#[derive(Debug)]
struct Dim {
    whole: Range<usize>,
    name: Option<Range<usize>>,
}

/// Bytes of an element in the content, if it can stand there; the field of the list of its type, and how it stands in that.
/// Nothing for types that are not merged.
fn layout(dtype: u64) -> Option<(Option<usize>, u32, Unit)> {
    Some(match dtype {
        1 => (Some(4), 5, Unit::Fixed(4)),
        2 => (Some(8), 6, Unit::Fixed(8)),
        // Integers of 32, 16 and 8 bits, quantized ones too.
        3 | 13 => (Some(4), 7, Unit::Varint),
        5 | 15 | 16 | 17 => (Some(2), 7, Unit::Varint),
        4 | 6 | 11 | 12 => (Some(1), 7, Unit::Varint),
        // Text in the content has no form that one could rely on.
        7 => (None, 8, Unit::Field),
        // Complex numbers, both parts together.
        8 => (Some(8), 9, Unit::Fixed(8)),
        18 => (Some(16), 12, Unit::Fixed(16)),
        9 => (Some(8), 10, Unit::Varint),
        10 => (Some(1), 11, Unit::Varint),
        14 | 19 => (Some(2), 13, Unit::Varint),
        22 => (Some(4), 16, Unit::Varint),
        23 => (Some(8), 17, Unit::Varint),
        _ => return None,
    })
}

impl Tensor {
    /// Reads an entry of the map of tensors. Nothing when what it says does not fit together.
    pub(super) fn read(body: &[u8], place: &Field) -> Option<Self> {
        let (name, tensor) = entry(body, place)?;
        let tensor = tensor.filter(|tensor| tensor.wire == Wire::Bytes)?;
        let (mut dtype, mut version, mut shape, mut content) = (None, None, None, None);
        let (mut copied, mut elements, mut unknown) = (Vec::new(), Vec::new(), false);
        for field in fields(body, &tensor.value).ok()? {
            match field.number {
                DTYPE => number_once(&mut dtype, body, &field)?,
                VERSION => number_once(&mut version, body, &field)?,
                SHAPE => {
                    once(&mut shape, &field)?;
                    continue;
                }
                CONTENT => {
                    once(&mut content, &field)?;
                    continue;
                }
                number if LISTS.contains(&number) => {
                    elements.push(field);
                    continue;
                }
                _ => unknown = true,
            }
            copied.push(field.whole);
        }
        let dtype = dtype?;
        let (size, listed, unit) = layout(dtype)?;
        let (number, list) = match content.filter(|content| !content.is_empty()) {
            Some(content) if elements.is_empty() => {
                (CONTENT, List::of(Unit::Fixed(size?), body, std::iter::once(content).collect())?)
            }
            Some(_) => return None,
            None => (listed, List::of_fields(unit, listed, body, &elements)?),
        };
        let (shape, dims) = sizes(body, &shape.unwrap_or_default())?;
        let version = version.unwrap_or(0);
        Some(Self { name, dtype, version, copied, shape, dims, unknown, number, list })
    }

    /// A reply's tensor, whose list may leave out repetitions of its last value: here it has them. Nothing if it has other
    /// elements than its shape says. A list without any value stands for zeros, and goes on doing so.
    pub(super) fn complete(mut self, body: &[u8]) -> Option<Self> {
        let all = product(&self.shape)?;
        if self.number != CONTENT && self.list.len > 0 {
            self.list = self.list.filled(body, all, MOST_REPEATED)?;
        }
        (self.list.len == all || self.is_zeros()).then_some(self)
    }

    /// Whether it has a list of no values.
    pub(super) fn is_zeros(&self) -> bool {
        self.number != CONTENT && self.list.len == 0
    }

    /// Adds what tensors that are merged have in common.
    pub(super) fn add_to(&self, key: Key, body: &[u8]) -> Key {
        let key = key.bytes(self.name(body)).number(self.dtype).number(self.version).number(u64::from(self.number));
        let key = key.each(self.shape.iter().skip(1), |key, size| key.number(*size as u64));
        let names = self.dims.iter().map(|dim| body.get(dim.name.clone()?));
        key.each(names, Key::optional)
    }

    pub(super) fn name<'b>(&self, body: &'b [u8]) -> &'b [u8] {
        body.get(self.name.clone()).unwrap_or_default()
    }

    /// Appends the tensor to a message, in this field, with this many rows and those elements of each body.
    pub(super) fn put(&self, body: &[u8], field: u32, rows: usize, lists: &[(&[u8], &List)], out: &mut BytesMut) {
        let bytes = lists.iter().fold(0, |sum: usize, (_, list)| sum.saturating_add(list.bytes));
        let mut head = BytesMut::new();
        copy(body, &self.copied, &mut head);
        self.put_shape(body, rows, &mut head);
        if let Some((_, list)) = lists.first() {
            head.extend_from_slice(&list.head(self.number, bytes - list.bytes));
        }
        let mut entry = BytesMut::new();
        put_bytes(&mut entry, 1, self.name(body));
        put_head(&mut entry, 2, head.len() + bytes);
        put_head(out, field, entry.len() + head.len() + bytes);
        out.extend_from_slice(&entry);
        out.extend_from_slice(&head);
        for (body, list) in lists {
            list.copy(body, out);
        }
    }

    fn put_shape(&self, body: &[u8], rows: usize, out: &mut BytesMut) {
        let Some((first, rest)) = self.dims.split_first() else { return };
        let (mut dim, mut shape) = (BytesMut::new(), BytesMut::new());
        put_tag(&mut dim, SIZE, Wire::Varint);
        put_varint(&mut dim, rows as u64);
        if let Some(name) = &first.name {
            put_bytes(&mut dim, NAME, body.get(name.clone()).unwrap_or_default());
        }
        put_bytes(&mut shape, DIM, &dim);
        copy(body, rest.iter().map(|dim| &dim.whole), &mut shape);
        put_bytes(out, SHAPE, &shape);
    }
}

/// Sizes of a shape, none for a rank that is not known, and its dimensions. Nothing for negative sizes and what nobody knows.
fn sizes(body: &[u8], shape: &Range<usize>) -> Option<(Vec<usize>, Vec<Dim>)> {
    let (mut sizes, mut dims, mut unknown) = (Vec::new(), Vec::new(), None);
    for field in fields(body, shape).ok()? {
        match field.number {
            DIM if field.wire == Wire::Bytes => {
                let (mut size, mut name) = (None, None);
                for field in fields(body, &field.value).ok()? {
                    match field.number {
                        SIZE => number_once(&mut size, body, &field)?,
                        NAME => once(&mut name, &field)?,
                        _ => return None,
                    }
                }
                // A negative size is a number with all its upper bits.
                sizes.push(usize::try_from(i64::try_from(size.unwrap_or(0)).ok()?).ok()?);
                dims.push(Dim { whole: field.whole, name });
            }
            UNKNOWN_RANK => number_once(&mut unknown, body, &field)?,
            _ => return None,
        }
    }
    if unknown.unwrap_or(0) != 0 {
        sizes.clear();
    }
    Some((sizes, dims))
}
