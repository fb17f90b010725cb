//! Seldon's requests in JSON: the rows of `ndarray`, or the values of `tensor`, one after the other. What else a message can
//! carry goes alone.

use std::ops::Range;

use super::Found;
use super::class::Classes;
use super::key::Key;
use super::members::{inside, known, map, removal};
use super::rows::rows;
use super::shape::{put_shape, sizes};
use super::splice::Splice;
use crate::codec::json::tape::{Kind, Tape, Value};

/// Where what is merged stands.
#[derive(Debug)]
pub(super) struct Places {
    /// The id as it is written.
    pub(super) puid: Option<Range<usize>>,
    /// The id with its name and a comma, if it is there, null too.
    without_puid: Option<Range<usize>>,
    shape: Option<Shape>,
    /// Rows of an `ndarray`, or values of a `tensor`.
    items: Range<usize>,
}

/// The shape of a `tensor`.
#[derive(Debug)]
struct Shape {
    sizes: Vec<usize>,
    place: Range<usize>,
}

pub(super) fn read(body: &[u8], key: Key) -> Option<Found> {
    let tape = Tape::parse(body).ok()?;
    let [meta, data] = known(tape.root(), ["meta", "data"])?;
    let key = read_meta(key, meta)?;
    let puid = meta.and_then(|meta| meta.get("puid")).map(Value::span);
    let without_puid = meta.and_then(|meta| removal(meta, "puid"));
    let [names, ndarray, tensor] = known(data?, ["names", "ndarray", "tensor"])?;
    let key = key.optional(names.map(|names| names.raw().as_bytes()));
    let mut classes = Classes::default();
    let (key, sizes, place, items) = match (ndarray, tensor) {
        (Some(rows), None) => {
            // An object is bytes in other protocols only.
            let leaf = |leaf: Value<'_>| match leaf.kind() {
                Kind::Object => Err(String::new()),
                _ => classes.add(leaf).ok_or_else(String::new),
            };
            (key.number(0), rows.grid(leaf).ok()?, None, inside(rows)?)
        }
        (None, Some(tensor)) => {
            let [shape, values] = known(tensor, ["shape", "values"])?;
            let values = values.filter(|values| values.kind() == Kind::Array)?;
            for value in values.items() {
                (value.kind() == Kind::Number).then(|| classes.add(value))??;
            }
            let sizes = sizes(shape?)?;
            rows(&sizes, values.len())?;
            (key.number(1), sizes, Some(shape?.span()), inside(values)?)
        }
        _ => return None,
    };
    // Nothing tells a list of rows from a row.
    if sizes.len() < 2 || classes.is_empty() {
        return None;
    }
    let key = key.number(classes.code()).each(sizes.iter().skip(1), |key, size| key.number(*size as u64));
    let rows = *sizes.first()?;
    let shape = place.map(|place| Shape { sizes, place });
    let places = super::Places::SeldonRest(Places { puid, without_puid, shape, items });
    Some(Found { key, rows, places })
}

/// Adds the metadata but for the id, which is text or null.
fn read_meta(key: Key, meta: Option<Value<'_>>) -> Option<Key> {
    let Some(meta) = meta else { return Some(key.number(0)) };
    let [puid, tags, routing, paths, metrics] = known(meta, ["puid", "tags", "routing", "requestPath", "metrics"])?;
    if puid.is_some_and(|puid| !matches!(puid.kind(), Kind::Text | Kind::Null)) {
        return None;
    }
    let key = [tags, routing, paths].into_iter().try_fold(key.number(1), |key, part| map(key, part, |_| Some(true)))?;
    Some(key.optional(metrics.map(|metrics| metrics.raw().as_bytes())))
}

pub(super) fn merge(parts: &[(&[u8], &Places)], rows: usize) -> Vec<u8> {
    let Some(((first, places), rest)) = parts.split_first() else { return Vec::new() };
    let mut behind = Vec::new();
    for (body, places) in rest {
        behind.extend([&b","[..], body.get(places.items.clone()).unwrap_or_default()]);
    }
    let shape = places.shape.as_ref().map(|shape| shaped(rows, &shape.sizes)).unwrap_or_default();
    let end = places.items.end;
    let mut edits: Vec<(Range<usize>, Vec<&[u8]>)> = vec![(end..end, behind)];
    edits.extend(places.without_puid.clone().map(|place| (place, Vec::new())));
    edits.extend(places.shape.as_ref().map(|old| (old.place.clone(), vec![&shape[..]])));
    edits.sort_by_key(|(place, _)| place.start);
    let mut merged = Splice::of(first, parts.iter().map(|(body, _)| body.len()).sum());
    for (place, texts) in edits {
        let out = merged.at(&place);
        for text in texts {
            out.extend_from_slice(text);
        }
    }
    merged.done()
}

/// A shape with another first size.
pub(super) fn shaped(rows: usize, sizes: &[usize]) -> Vec<u8> {
    let mut text = Vec::new();
    put_shape(rows, sizes, &mut text);
    text
}
