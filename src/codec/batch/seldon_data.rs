//! The data of a `SeldonMessage`, of a request or of a reply, and the same with other rows.

use std::ops::Range;

use bytes::BytesMut;

use super::list::{List, Unit};
use super::proto::{copy, fields, once, put_sizes, sizes};
use super::seldon_ndarray::VALUES;
use crate::codec::wire::{Wire, put_head};

/// Field number of the data in its message.
pub(super) const DATA: u32 = 3;
/// In the data.
const NAMES: u32 = 1;
const TENSOR: u32 = 2;
const NDARRAY: u32 = 3;
/// In a tensor; values have their number in a list too.
const SHAPE: u32 = 1;
const TENSOR_VALUES: u32 = 2;

/// Data with rows.
#[derive(Debug)]
pub(super) struct Data {
    /// Names of the columns.
    pub(super) names: Vec<Range<usize>>,
    /// Fields of the data that are copied: the names, and what nobody knows.
    copied: Vec<Range<usize>>,
    /// Where the list of rows stands, if it is no tensor.
    pub(super) ndarray: Option<Range<usize>>,
    /// Of a tensor.
    pub(super) shape: Vec<usize>,
    /// Fields of a tensor or a list that nobody knows.
    strange: Vec<Range<usize>>,
    /// Values of a tensor, or rows.
    pub(super) list: List,
    /// Whether there is anything that nobody knows.
    pub(super) unknown: bool,
}

impl Data {
    /// Reads data. Nothing for data without rows, with two kinds of them, or whose parts do not fit together.
    pub(super) fn read(body: &[u8], place: &Range<usize>) -> Option<Self> {
        let (mut names, mut copied) = (Vec::new(), Vec::new());
        let (mut tensor, mut ndarray, mut unknown) = (None, None, false);
        for field in fields(body, place).ok()? {
            match field.number {
                NAMES if field.wire == Wire::Bytes => names.push(field.value),
                TENSOR => {
                    once(&mut tensor, &field)?;
                    continue;
                }
                NDARRAY => {
                    once(&mut ndarray, &field)?;
                    continue;
                }
                _ => unknown = true,
            }
            copied.push(field.whole);
        }
        let (mut shape, mut values, mut strange) = (Vec::new(), Vec::new(), Vec::new());
        let (place, number, unit) = match (&tensor, &ndarray) {
            (Some(tensor), None) => (tensor, TENSOR_VALUES, Unit::Fixed(8)),
            (None, Some(list)) => (list, VALUES, Unit::Field),
            _ => return None,
        };
        for field in fields(body, place).ok()? {
            match field.number {
                found if found == number => values.push(field),
                SHAPE if tensor.is_some() => sizes(body, &field, &mut shape)?,
                _ => {
                    unknown = true;
                    strange.push(field.whole);
                }
            }
        }
        let list = List::of_fields(unit, number, body, &values)?;
        Some(Self { names, copied, ndarray, shape, strange, list, unknown })
    }

    /// Appends the data to a message with this many rows, and those values or rows of each body.
    pub(super) fn put(&self, body: &[u8], rows: usize, lists: &[(&[u8], &List)], out: &mut BytesMut) {
        let bytes = lists.iter().fold(0, |sum: usize, (_, list)| sum.saturating_add(list.bytes));
        let mut inside = BytesMut::new();
        let number = if self.ndarray.is_some() {
            NDARRAY
        } else {
            put_sizes(SHAPE, rows, &self.shape, &mut inside);
            TENSOR
        };
        copy(body, &self.strange, &mut inside);
        if let Some((_, list)) = lists.first() {
            inside.extend_from_slice(&list.head(TENSOR_VALUES, bytes - list.bytes));
        }
        let mut head = BytesMut::new();
        copy(body, &self.copied, &mut head);
        put_head(&mut head, number, inside.len() + bytes);
        put_head(out, DATA, head.len() + inside.len() + bytes);
        out.extend_from_slice(&head);
        out.extend_from_slice(&inside);
        for (body, list) in lists {
            list.copy(body, out);
        }
    }
}
