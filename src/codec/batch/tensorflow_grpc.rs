//! TensorFlow's `PredictRequest`: the inputs' elements one after the other, as content or as lists, as they came. The other
//! requests of the protocol go alone.

use std::ops::Range;

use bytes::BytesMut;

use super::key::Key;
use super::list::List;
use super::proto::{copy, fields, number_once, once};
use super::rows::{Rows, rows};
use super::tensorflow_tensor::Tensor;
use super::{Found, Unsplit};
use crate::codec::tensorflow::grpc::{INPUTS, MODEL_SPEC, OUTPUTS};
use crate::codec::wire::Wire;
use crate::record::Message;

const OUTPUT_FILTER: u32 = 3;

/// Where what is merged stands.
#[derive(Debug)]
pub(super) struct Places {
    /// Fields that requests have in common.
    common: Vec<Range<usize>>,
    /// In the order of their names.
    inputs: Vec<Tensor>,
}

pub(super) fn read(body: &[u8], key: Key) -> Option<Found> {
    let (mut model, mut wanted) = (None, Vec::new());
    let (mut common, mut inputs) = (Vec::new(), Vec::new());
    for field in fields(body, &(0..body.len())).ok()? {
        match field.number {
            MODEL_SPEC => once(&mut model, &field)?,
            OUTPUT_FILTER if field.wire == Wire::Bytes => wanted.push(field.value),
            INPUTS => {
                inputs.push(Tensor::read(body, &field)?);
                continue;
            }
            _ => return None,
        }
        common.push(field.whole);
    }
    // A map has no order.
    inputs.sort_by(|left, right| left.name(body).cmp(right.name(body)));
    if inputs.windows(2).any(|pair| pair[0].name(body) == pair[1].name(body)) {
        return None;
    }
    let first = *inputs.first()?.shape.first()?;
    // A list that leaves out repetitions of its last value has too few elements here.
    let whole = |input: &Tensor| rows(&input.shape, input.list.len) == Some(first) && !input.unknown;
    if !inputs.iter().all(whole) {
        return None;
    }
    let key = spec(key, body, model)?;
    let key = key.each(wanted.iter(), |key, name| key.bytes(body.get(name.clone()).unwrap_or_default()));
    let key = key.each(inputs.iter(), |key, input| input.add_to(key, body));
    Some(Found { key, rows: first, places: super::Places::TensorflowGrpc(Places { common, inputs }) })
}

/// Adds the model, its version and its signature, however they are written. Nothing for what nobody knows, or is said twice.
fn spec(key: Key, body: &[u8], place: Option<Range<usize>>) -> Option<Key> {
    let Some(place) = place else { return Some(key.number(0)) };
    let (mut name, mut version, mut signature, mut label) = (None, None, None, None);
    for field in fields(body, &place).ok()? {
        match field.number {
            1 => once(&mut name, &field)?,
            2 => once(&mut version, &field)?,
            3 => once(&mut signature, &field)?,
            4 => once(&mut label, &field)?,
            _ => return None,
        }
    }
    let text = |place: Option<Range<usize>>| body.get(place.unwrap_or_default());
    let key = key.number(1).bytes(text(name)?).bytes(text(signature)?);
    match (version, label) {
        (None, None) => Some(key.number(0)),
        (Some(version), None) => {
            let mut number = None;
            for field in fields(body, &version).ok()? {
                (field.number == 1).then_some(())?;
                number_once(&mut number, body, &field)?;
            }
            Some(key.number(1).number(number.unwrap_or(0)))
        }
        (None, Some(label)) => Some(key.number(2).bytes(body.get(label)?)),
        (Some(_), Some(_)) => None,
    }
}

pub(super) fn merge(parts: &[(&[u8], &Places)], rows: usize) -> BytesMut {
    let mut merged = BytesMut::with_capacity(parts.iter().map(|(body, _)| body.len()).sum());
    let Some((first, places)) = parts.first() else { return merged };
    copy(first, &places.common, &mut merged);
    for (at, input) in places.inputs.iter().enumerate() {
        let lists = parts.iter().filter_map(|(body, places)| Some((*body, &places.inputs.get(at)?.list)));
        let lists: Vec<(&[u8], &List)> = lists.collect();
        input.put(first, INPUTS, rows, &lists, &mut merged);
    }
    merged
}

pub(super) fn split(rows: &Rows, reply: &Message) -> Result<Vec<Message>, Unsplit> {
    let body = &reply.body[..];
    let broken = |what: &str| Unsplit::Unreadable(what.to_owned());
    let (mut common, mut outputs) = (Vec::new(), Vec::new());
    for field in fields(body, &(0..body.len())).map_err(|error| Unsplit::Unreadable(error.to_string()))? {
        match field.number {
            OUTPUTS => {
                outputs.push(Tensor::read(body, &field).ok_or_else(|| broken("an output does not fit together"))?);
            }
            _ => common.push(field.whole),
        }
    }
    if outputs.is_empty() {
        return Err(rows.unsplit("no outputs".to_owned()));
    }
    let mut names: Vec<_> = outputs.iter().map(|output| output.name(body)).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(broken("it has an output twice"));
    }
    let mut shares = Vec::new();
    for output in outputs {
        let elements = rows.elements(&output.shape)?;
        let output = output.complete(body).ok_or_else(|| broken("an output has other elements than its shape says"))?;
        let lists = if output.is_zeros() {
            vec![output.list.clone(); rows.each().count()]
        } else {
            let cut = output.list.cut(body, elements);
            cut.ok_or_else(|| broken("an output has other elements than its shape says"))?
        };
        shares.push((output, lists));
    }
    let about = body.len() / rows.each().count().max(1) + common.iter().map(Range::len).sum::<usize>();
    let reply_of = |(at, rows): (usize, usize)| {
        let mut own = BytesMut::with_capacity(about);
        copy(body, &common, &mut own);
        for (output, lists) in &shares {
            if let Some(list) = lists.get(at) {
                output.put(body, OUTPUTS, rows, &[(body, list)], &mut own);
            }
        }
        Message { body: own.freeze(), form: reply.form.clone() }
    };
    Ok(rows.each().enumerate().map(reply_of).collect())
}
