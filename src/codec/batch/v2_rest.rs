//! V2's requests over REST: the inputs' data one after the other as one flat list, and the raw data behind the text, if
//! that is where it is.

use std::ops::Range;

use super::key::Key;
use super::list::List;
use super::members::{inside, known, removal};
use super::rows::rows;
use super::shape::{put_number, put_shape, sizes};
use super::splice::Splice;
use super::v2_json::{Slot, Slots, Tail, flatten, parameters};
use super::v2_tensor::raw_unit;
use super::{Found, Places as AnyPlaces};
use crate::codec::json::tape::{Kind, Tape, Value};
use crate::codec::tensor::datatype::{Datatype, Element};
use crate::codec::tensor::v2::BINARY_SIZE;

/// Where what is merged stands.
#[derive(Debug)]
pub(super) struct Places {
    /// Bytes of JSON text.
    json: usize,
    /// The id as it is written.
    pub(super) id: Option<Range<usize>>,
    inputs: Vec<Input>,
    slots: Slots,
}

#[derive(Debug)]
struct Input {
    shape: Vec<usize>,
    data: Data,
}

#[derive(Debug)]
enum Data {
    /// Items of the array in the text, and whether there are arrays among them.
    Text { items: Range<usize>, nested: bool },
    /// Behind the text.
    Raw(List),
}

/// Reads a request whose first bytes are JSON text.
pub(super) fn read(body: &[u8], json: usize, key: Key) -> Option<Found> {
    let tape = Tape::parse(body.get(..json)?).ok()?;
    let names = ["id", "inputs", "parameters", "outputs", "model_name", "model_version"];
    let [id, inputs, own, outputs, name, version] = known(tape.root(), names)?;
    let mut slots = Slots::default();
    if let Some(id) = id {
        if !matches!(id.kind(), Kind::Text | Kind::Null) {
            return None;
        }
        slots.add(removal(tape.root(), "id")?, Slot::Id);
    }
    // A request that was a reply has these.
    let same = |key: Key, value: Option<Value<'_>>| key.optional(value.map(|value| value.raw().as_bytes()));
    let mut key = parameters(same(same(key, name), version), own, "")?;
    key = asked(key, outputs)?;
    let inputs = inputs.filter(|inputs| inputs.kind() == Kind::Array)?;
    key = key.number(inputs.len() as u64);
    let mut tail = Tail { rest: json..body.len() };
    let mut found: Vec<Input> = Vec::new();
    let mut names = Vec::new();
    for (at, input) in inputs.items().enumerate() {
        let [name, datatype, shape, own, data] = known(input, ["name", "datatype", "shape", "parameters", "data"])?;
        let (name, datatype) = (name?.string()?, Datatype::read(&datatype?.string()?).ok()?);
        let sizes = sizes(shape?)?;
        slots.add(shape?.span(), Slot::Shape(at));
        let size = own.and_then(|own| own.get(BINARY_SIZE));
        let data = match (data, size) {
            (Some(data), None) => {
                slots.add(data.span(), Slot::Data(at));
                text(datatype, &sizes, data)?
            }
            (None, Some(size)) => {
                slots.add(size.span(), Slot::Size(at));
                let list = tail.take(body, size, raw_unit(datatype))?;
                rows(&sizes, list.len)?;
                Data::Raw(list)
            }
            _ => return None,
        };
        let is_raw = matches!(data, Data::Raw(_));
        key = key.bytes(name.as_bytes()).bytes(datatype.name().as_bytes()).number(u64::from(is_raw));
        key = key.each(sizes.iter().skip(1), |key, size| key.number(*size as u64));
        key = parameters(key, own, BINARY_SIZE)?;
        if found.first().is_some_and(|first| first.shape.first() != sizes.first()) {
            return None;
        }
        names.push(name);
        found.push(Input { shape: sizes, data });
    }
    names.sort_unstable();
    if !tail.rest.is_empty() || names.windows(2).any(|pair| pair[0] == pair[1]) {
        return None;
    }
    let rows = *found.first()?.shape.first()?;
    let id = id.filter(|id| id.kind() == Kind::Text).map(Value::span);
    let places = Places { json, id, inputs: found, slots: slots.sorted() };
    Some(Found { key, rows, places: AnyPlaces::V2Rest(places) })
}

/// Data in the text: nested as the shape says, or flat, and each value one of the datatype.
fn text(datatype: Datatype, shape: &[usize], data: Value<'_>) -> Option<Data> {
    let mut elements = 0;
    let grid = data.grid(|leaf| {
        elements += 1;
        match datatype {
            Datatype::Bytes => leaf.string().map(drop).ok_or_else(String::new),
            _ => Element::of_json(datatype, leaf).map(drop),
        }
    });
    let grid = grid.ok()?;
    rows(shape, elements)?;
    let nested = grid.len() > 1;
    (grid == shape || grid == [elements]).then_some(Data::Text { items: inside(data)?, nested })
}

/// The outputs that are asked for.
fn asked(key: Key, outputs: Option<Value<'_>>) -> Option<Key> {
    let Some(outputs) = outputs else { return Some(key.number(0)) };
    if outputs.kind() != Kind::Array {
        return None;
    }
    let mut key = key.number(1).number(outputs.len() as u64);
    for output in outputs.items() {
        let [name, own] = known(output, ["name", "parameters"])?;
        key = parameters(key.bytes(name?.string()?.as_bytes()), own, "")?;
    }
    Some(key)
}

/// The merged body, and how much of it is text.
pub(super) fn merge(parts: &[(&[u8], &Places)], rows: usize) -> (Vec<u8>, usize) {
    let Some((first, places)) = parts.first() else { return (Vec::new(), 0) };
    let capacity = parts.iter().map(|(body, _)| body.len()).sum();
    let mut text = Splice::of(first.get(..places.json).unwrap_or_default(), capacity);
    for (place, slot) in places.slots.iter() {
        let out = text.at(place);
        match slot {
            Slot::Id => {}
            Slot::Shape(at) => put_shape(rows, places.inputs.get(at).map_or(&[], |input| &input.shape[..]), out),
            Slot::Data(at) => {
                for (index, (body, places)) in parts.iter().enumerate() {
                    out.push(if index == 0 { b'[' } else { b',' });
                    let Some(Data::Text { items, nested }) = places.inputs.get(at).map(|input| &input.data) else {
                        continue;
                    };
                    let items = body.get(items.clone()).unwrap_or_default();
                    if *nested { flatten(items, out) } else { out.extend_from_slice(items) }
                }
                out.push(b']');
            }
            Slot::Size(at) => put_number(raw(parts, at).map(|(_, list)| list.bytes).sum(), out),
        }
    }
    let mut merged = text.done();
    let json = merged.len();
    for at in 0..places.inputs.len() {
        for (body, list) in raw(parts, at) {
            list.each(body, |bytes| merged.extend_from_slice(bytes));
        }
    }
    (merged, json)
}

/// The raw data of one input of each request.
fn raw<'p>(parts: &'p [(&'p [u8], &'p Places)], at: usize) -> impl Iterator<Item = (&'p [u8], &'p List)> {
    parts.iter().filter_map(move |(body, places)| match &places.inputs.get(at)?.data {
        Data::Raw(list) => Some((*body, list)),
        Data::Text { .. } => None,
    })
}
