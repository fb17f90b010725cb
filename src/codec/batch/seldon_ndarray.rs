//! Nested lists of protobuf's dynamic values: their shape and the classes of what is in them.

use std::ops::Range;

use super::class::Classes;
use crate::codec::wire::{Part as Field, Wire, parts};

/// Field number of the values in a `ListValue`.
pub(super) const VALUES: u32 = 1;
/// Of what a `Value` is.
const NUMBER: u32 = 2;
const TEXT: u32 = 3;
const TRUTH: u32 = 4;
const LIST: u32 = 6;

/// A list that is being read.
struct Open {
    rest: Range<usize>,
    len: usize,
}

/// The shape of a list and the classes of the values in it. Nothing for rows of different lengths or depths, for null and
/// objects, and for what nobody knows.
pub(super) fn grid(body: &[u8], list: &Range<usize>) -> Option<(Vec<usize>, Classes)> {
    let mut classes = Classes::default();
    let (mut shape, mut depth) = (Vec::new(), None);
    let mut open = vec![Open { rest: list.clone(), len: 0 }];
    while let Some(top) = open.last_mut() {
        if top.rest.is_empty() {
            let (len, at) = (top.len, open.len() - 1);
            open.pop();
            if shape.len() <= at {
                shape.resize(at + 1, None);
            }
            if shape.get_mut(at)?.replace(len).is_some_and(|other| other != len) {
                return None;
            }
            continue;
        }
        let item = first(body, &top.rest).filter(|item| item.number == VALUES && item.wire == Wire::Bytes)?;
        (top.rest.start, top.len) = (item.whole.end, top.len + 1);
        // One of the kinds, once.
        let value = first(body, &item.value).filter(|value| value.whole == item.value)?;
        match (value.number, value.wire) {
            (LIST, Wire::Bytes) => {
                open.push(Open { rest: value.value, len: 0 });
                continue;
            }
            (NUMBER, Wire::Fixed64) => classes.join(Classes::FLOATS),
            (TEXT, Wire::Bytes) => classes.join(Classes::TEXTS),
            (TRUTH, Wire::Varint) => classes.join(Classes::TRUTHS),
            _ => return None,
        }
        if *depth.get_or_insert(open.len()) != open.len() {
            return None;
        }
    }
    let shape: Vec<usize> = shape.into_iter().collect::<Option<_>>()?;
    (depth == Some(shape.len())).then_some((shape, classes))
}

/// The first field in this place.
fn first(body: &[u8], place: &Range<usize>) -> Option<Field> {
    let field = parts(body.get(place.clone())?).next()?.ok()?;
    let shift = |range: Range<usize>| range.start + place.start..range.end + place.start;
    Some(Field { whole: shift(field.whole), tail: shift(field.tail), value: shift(field.value), ..field })
}
