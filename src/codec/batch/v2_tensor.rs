//! A tensor of V2 over gRPC, of a request or of a reply, and one with other rows in its place.

use std::ops::Range;

use bytes::BytesMut;

use super::control::is_of_one;
use super::key::Key;
use super::list::{List, Unit};
use super::proto::{copy, entry, fields, map, once, put_sizes, sizes};
use crate::codec::tensor::datatype::Datatype;
use crate::codec::tensor::v2::BINARY_SIZE;
use crate::codec::v2::grpc::{CONTENTS, TENSORS};
use crate::codec::wire::{Part as Field, Wire, put_bytes, put_head, put_tag, put_varint};

const NAME: u32 = 1;
const DATATYPE: u32 = 2;
const SHAPE: u32 = 3;
const PARAMETERS: u32 = 4;
/// In a parameter.
const INTEGER: u32 = 2;

/// A tensor as it stands.
#[derive(Debug)]
pub(super) struct Tensor {
    name: Option<Range<usize>>,
    datatype: Datatype,
    pub(super) shape: Vec<usize>,
    parameters: Vec<Field>,
    /// Fields that are copied: all but the shape, the contents, and the size of the raw data.
    copied: Vec<Range<usize>>,
    /// There is a parameter that says how many bytes the raw data has.
    sized: bool,
    /// There is a field of contents, if an empty one: a reply with raw data keeps it.
    has_contents: bool,
    /// Whether there are fields that nobody knows.
    pub(super) unknown: bool,
    pub(super) data: Data,
}

/// The elements of a tensor.
#[derive(Debug)]
pub(super) struct Data {
    /// Field of the typed contents; nothing when they are raw.
    typed: Option<u32>,
    pub(super) list: List,
}

/// The field of typed contents for a datatype, and how its elements stand there. 16-bit floats have none.
fn typed(datatype: Datatype) -> Option<(u32, Unit)> {
    Some(match datatype {
        Datatype::Bool => (1, Unit::Varint),
        Datatype::Int(8) => (3, Unit::Varint),
        Datatype::Int(_) => (2, Unit::Varint),
        Datatype::Uint(8) => (5, Unit::Varint),
        Datatype::Uint(_) => (4, Unit::Varint),
        Datatype::Fp32 => (6, Unit::Fixed(4)),
        Datatype::Fp64 => (7, Unit::Fixed(8)),
        Datatype::Bytes => (8, Unit::Field),
        Datatype::Half(_) => return None,
    })
}

/// How elements stand in raw data.
pub(super) fn raw_unit(datatype: Datatype) -> Unit {
    datatype.size().map_or(Unit::Prefixed, Unit::Fixed)
}

impl Tensor {
    /// Reads a tensor; `raw` is its raw data, if the message has such. Nothing when what it says does not fit together.
    pub(super) fn read(body: &[u8], place: &Range<usize>, raw: Option<&Range<usize>>) -> Option<Self> {
        let (mut name, mut datatype, mut contents) = (None, None, None);
        let (mut shape, mut parameters, mut copied) = (Vec::new(), Vec::new(), Vec::new());
        let (mut sized, mut unknown) = (false, false);
        for field in fields(body, place).ok()? {
            match field.number {
                NAME => once(&mut name, &field)?,
                DATATYPE => once(&mut datatype, &field)?,
                SHAPE => {
                    sizes(body, &field, &mut shape)?;
                    continue;
                }
                PARAMETERS => {
                    if raw.is_some() && body.get(entry(body, &field)?.0) == Some(BINARY_SIZE.as_bytes()) {
                        sized = true;
                        continue;
                    }
                    parameters.push(field.clone());
                }
                CONTENTS => {
                    once(&mut contents, &field)?;
                    continue;
                }
                _ => unknown = true,
            }
            copied.push(field.whole);
        }
        let datatype = std::str::from_utf8(body.get(datatype?)?).ok()?;
        let datatype = Datatype::read(datatype).ok()?;
        let typed = || typed(datatype);
        let inside = fields(body, &contents.clone().unwrap_or_default()).ok()?;
        let data = match raw {
            Some(raw) if inside.is_empty() => {
                let list = List::of(raw_unit(datatype), body, std::iter::once(raw.clone()).collect())?;
                Data { typed: None, list }
            }
            Some(_) => return None,
            None => {
                let (number, unit) = typed()?;
                Data { typed: Some(number), list: List::of_fields(unit, number, body, &inside)? }
            }
        };
        let has_contents = contents.is_some();
        Some(Self { name, datatype, shape, parameters, copied, sized, has_contents, unknown, data })
    }

    /// Adds what tensors that are merged have in common. Nothing for parameters that are of one request.
    pub(super) fn add_to(&self, key: Key, body: &[u8]) -> Option<Key> {
        let key = key.bytes(self.name(body)).bytes(self.datatype.name().as_bytes());
        let key = key.each(self.shape.iter().skip(1), |key, size| key.number(*size as u64));
        let key = key.number(u64::from(self.sized)).number(u64::from(self.data.typed.unwrap_or(0)));
        parameters(key, body, &self.parameters)
    }

    pub(super) fn name<'b>(&self, body: &'b [u8]) -> &'b [u8] {
        body.get(self.name.clone().unwrap_or_default()).unwrap_or_default()
    }

    /// Appends the tensor to a message with this many rows, and those elements of each body. Raw data stands elsewhere.
    pub(super) fn put(&self, body: &[u8], rows: usize, lists: &[(&[u8], &List)], out: &mut BytesMut) {
        let bytes = lists.iter().fold(0, |sum: usize, (_, list)| sum.saturating_add(list.bytes));
        let mut head = BytesMut::new();
        copy(body, &self.copied, &mut head);
        if self.sized {
            put_size(bytes, &mut head);
        }
        put_sizes(SHAPE, rows, &self.shape, &mut head);
        let Some(number) = self.data.typed else {
            if self.has_contents {
                put_head(&mut head, CONTENTS, 0);
            }
            put_bytes(out, TENSORS, &head);
            return;
        };
        let list = lists.first().map(|(_, list)| list.head(number, bytes - list.bytes)).unwrap_or_default();
        put_head(&mut head, CONTENTS, list.len() + bytes);
        head.extend_from_slice(&list);
        put_head(out, TENSORS, head.len() + bytes);
        out.extend_from_slice(&head);
        for (body, list) in lists {
            list.copy(body, out);
        }
    }
}

/// The parameter that says how many bytes the raw data has.
fn put_size(bytes: usize, out: &mut BytesMut) {
    let (mut value, mut parameter) = (BytesMut::new(), BytesMut::new());
    put_tag(&mut value, INTEGER, Wire::Varint);
    put_varint(&mut value, bytes as u64);
    put_bytes(&mut parameter, 1, BINARY_SIZE.as_bytes());
    put_bytes(&mut parameter, 2, &value);
    put_bytes(out, PARAMETERS, &parameter);
}

/// Adds parameters in the order of their names. Nothing if one is there twice, is of one request, or is not known.
pub(super) fn parameters(key: Key, body: &[u8], entries: &[Field]) -> Option<Key> {
    let known = |value: &Field| {
        let inside = fields(body, &value.value);
        value.wire == Wire::Bytes && inside.is_ok_and(|all| all.iter().all(|field| (1..=5).contains(&field.number)))
    };
    map(key, body, entries, |name, value| value.is_none_or(known) && !is_of_one(name))
}
