//! V2's requests over gRPC: the inputs' elements one after the other, typed or raw as they came.

use std::ops::Range;

use bytes::BytesMut;

use super::key::Key;
use super::list::List;
use super::proto::{copy, fields, once};
use super::rows::{Rows, rows};
use super::v2_tensor::{Tensor, parameters};
use super::{Found, Unsplit};
use crate::codec::v2::grpc::{MODEL_NAME, MODEL_VERSION, RAW_INPUTS, RAW_OUTPUTS, TENSORS};
use crate::codec::wire::{Wire, put_bytes, put_head};
use crate::record::Message;

const ID: u32 = 3;
const PARAMETERS: u32 = 4;
const ASKED_OUTPUTS: u32 = 6;

/// Where what is merged stands.
#[derive(Debug)]
pub(super) struct Places {
    /// Fields that requests have in common.
    common: Vec<Range<usize>>,
    id: Option<Range<usize>>,
    inputs: Vec<Tensor>,
    raw: bool,
}

pub(super) fn read(body: &[u8], key: Key) -> Option<Found> {
    let (mut name, mut version, mut id) = (None, None, None);
    let (mut common, mut inputs, mut raw) = (Vec::new(), Vec::new(), Vec::new());
    let (mut own, mut outputs) = (Vec::new(), Vec::new());
    for field in fields(body, &(0..body.len())).ok()? {
        match field.number {
            MODEL_NAME => once(&mut name, &field)?,
            MODEL_VERSION => once(&mut version, &field)?,
            ID => {
                once(&mut id, &field)?;
                continue;
            }
            PARAMETERS => own.push(field.clone()),
            ASKED_OUTPUTS if field.wire == Wire::Bytes => outputs.push(field.value.clone()),
            TENSORS if field.wire == Wire::Bytes => {
                inputs.push(field.value);
                continue;
            }
            RAW_INPUTS if field.wire == Wire::Bytes => {
                raw.push(field.value);
                continue;
            }
            _ => return None,
        }
        common.push(field.whole);
    }
    let inputs = tensors(body, &inputs, &raw)?;
    let mut key = key.bytes(body.get(name.unwrap_or_default())?).bytes(body.get(version.unwrap_or_default())?);
    key = parameters(key, body, &own)?;
    key = key.number(inputs.len() as u64);
    let first = inputs.first()?;
    let mut names: Vec<_> = inputs.iter().map(|input| input.name(body)).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return None;
    }
    for input in &inputs {
        let whole = rows(&input.shape, input.data.list.len) == first.shape.first().copied();
        if !whole || input.unknown {
            return None;
        }
        key = input.add_to(key, body)?;
    }
    key = key.number(outputs.len() as u64);
    for output in &outputs {
        key = asked(key, body, output)?;
    }
    let rows = *first.shape.first()?;
    let places = Places { common, id, inputs, raw: !raw.is_empty() };
    Some(Found { key, rows, places: super::Places::V2Grpc(places) })
}

/// The tensors of a message, each with its raw data if there is such at all.
fn tensors(body: &[u8], places: &[Range<usize>], raw: &[Range<usize>]) -> Option<Vec<Tensor>> {
    if !raw.is_empty() && raw.len() != places.len() {
        return None;
    }
    let tensor = |(at, place)| Tensor::read(body, place, raw.get(at));
    places.iter().enumerate().map(tensor).collect()
}

/// An output that is asked for.
fn asked(key: Key, body: &[u8], output: &Range<usize>) -> Option<Key> {
    let (mut name, mut entries) = (None, Vec::new());
    for field in fields(body, output).ok()? {
        match field.number {
            1 => once(&mut name, &field)?,
            2 => entries.push(field),
            _ => return None,
        }
    }
    parameters(key.bytes(body.get(name.unwrap_or_default())?), body, &entries)
}

pub(super) fn merge(parts: &[(&[u8], &Places)], rows: usize) -> BytesMut {
    let mut merged = BytesMut::with_capacity(parts.iter().map(|(body, _)| body.len()).sum());
    let Some((first, places)) = parts.first() else { return merged };
    copy(first, &places.common, &mut merged);
    let mut raw = Vec::new();
    for (at, input) in places.inputs.iter().enumerate() {
        let lists = parts.iter().filter_map(|(body, places)| Some((*body, &places.inputs.get(at)?.data.list)));
        let lists: Vec<(&[u8], &List)> = lists.collect();
        input.put(first, rows, &lists, &mut merged);
        if places.raw {
            let bytes = lists.iter().map(|(_, list)| list.bytes).sum();
            raw.push((bytes, at));
        }
    }
    for (bytes, at) in raw {
        put_head(&mut merged, RAW_INPUTS, bytes);
        for (body, places) in parts {
            if let Some(input) = places.inputs.get(at) {
                input.data.list.copy(body, &mut merged);
            }
        }
    }
    merged
}

pub(super) fn split(parts: &[(&[u8], &Places)], rows: &Rows, reply: &Message) -> Result<Vec<Message>, Unsplit> {
    let body = &reply.body[..];
    let broken = |what: &str| Unsplit::Unreadable(what.to_owned());
    let (mut common, mut outputs, mut raw) = (Vec::new(), Vec::new(), Vec::new());
    for field in fields(body, &(0..body.len())).map_err(|error| Unsplit::Unreadable(error.to_string()))? {
        match (field.number, field.wire) {
            (ID, _) => {}
            (TENSORS, Wire::Bytes) => outputs.push(field.value),
            (RAW_OUTPUTS, Wire::Bytes) => raw.push(field.value),
            (TENSORS | RAW_OUTPUTS, _) => return Err(broken("an output is no message")),
            _ => common.push(field.whole),
        }
    }
    let outputs = tensors(body, &outputs, &raw).ok_or_else(|| broken("its outputs and their contents do not fit"))?;
    if outputs.is_empty() {
        return Err(rows.unsplit("no outputs".to_owned()));
    }
    let mut shares = Vec::new();
    for output in &outputs {
        let elements = rows.elements(&output.shape)?;
        let cut = output.data.list.cut(body, elements);
        shares.push(cut.ok_or_else(|| broken("an output has other elements than its shape says"))?);
    }
    let common_bytes = common.iter().map(Range::len).sum::<usize>();
    let mut replies = Vec::with_capacity(parts.len());
    for (at, ((request, places), rows)) in parts.iter().zip(rows.each()).enumerate() {
        let mut own = BytesMut::with_capacity(common_bytes + body.len() / parts.len());
        copy(body, &common, &mut own);
        if let Some(id) = &places.id {
            put_bytes(&mut own, ID, request.get(id.clone()).unwrap_or_default());
        }
        let lists = || outputs.iter().zip(shares.iter().filter_map(|lists| lists.get(at)));
        for (output, list) in lists() {
            output.put(body, rows, &[(body, list)], &mut own);
        }
        for (_, list) in lists().take(raw.len()) {
            put_head(&mut own, RAW_OUTPUTS, list.bytes);
            list.copy(body, &mut own);
        }
        replies.push(Message { body: own.freeze(), form: reply.form.clone() });
    }
    Ok(replies)
}
