//! Seldon's `SeldonMessage`: the values of its tensor, or the rows of its `ndarray`, one after the other.

use std::ops::Range;

use bytes::BytesMut;

use super::Found;
use super::key::Key;
use super::list::List;
use super::proto::{copy, fields, map, once};
use super::rows::rows;
use super::seldon_data::{DATA, Data};
use super::seldon_ndarray::grid;
use crate::codec::wire::{Part as Field, Wire, put_bytes};

/// Field numbers of `SeldonMessage` and of its metadata.
pub(super) const META: u32 = 2;
pub(super) const PUID: u32 = 1;
const TAGS: u32 = 2;
const ROUTING: u32 = 3;
const PATHS: u32 = 4;
const METRICS: u32 = 5;

/// Where what is merged stands.
#[derive(Debug)]
pub(super) struct Places {
    /// The id, if there is one that is not empty.
    pub(super) puid: Option<Range<usize>>,
    meta: Option<Vec<Field>>,
    data: Data,
}

pub(super) fn read(body: &[u8], key: Key) -> Option<Found> {
    let (mut metas, mut data) = (Vec::new(), None);
    for field in fields(body, &(0..body.len())).ok()? {
        match field.number {
            // Metadata that was put together has come in several.
            META if field.wire == Wire::Bytes => metas.push(field.value),
            DATA => once(&mut data, &field)?,
            _ => return None,
        }
    }
    let (meta, puid) = read_meta(body, &metas)?;
    let data = Data::read(body, &data?).filter(|data| !data.unknown)?;
    let mut key = key.number(u64::from(!metas.is_empty()));
    for number in [TAGS, ROUTING, PATHS] {
        let entries: Vec<Field> = meta.iter().filter(|field| field.number == number).cloned().collect();
        key = map(key, body, &entries, |_, _| true)?;
    }
    let metrics: Vec<_> =
        meta.iter().filter(|field| field.number == METRICS).map(|field| field.value.clone()).collect();
    key = key.each(metrics.into_iter(), |key, metric| key.bytes(body.get(metric).unwrap_or_default()));
    if meta.iter().any(|field| !(TAGS..=METRICS).contains(&field.number) || field.wire != Wire::Bytes) {
        return None;
    }
    key = key.each(data.names.iter(), |key, name| key.bytes(body.get(name.clone()).unwrap_or_default()));
    // A list has a class at least, so that no tensor has its key.
    let (shape, classes) = if let Some(list) = &data.ndarray {
        let (shape, classes) = grid(body, list)?;
        (shape, classes.code())
    } else {
        rows(&data.shape, data.list.len)?;
        (data.shape.clone(), 0)
    };
    // Nothing tells a list of rows from a row.
    if shape.len() < 2 {
        return None;
    }
    key = key.number(classes).each(shape.iter().skip(1), |key, size| key.number(*size as u64));
    let meta = (!metas.is_empty()).then_some(meta);
    Some(Found { key, rows: *shape.first()?, places: super::Places::SeldonGrpc(Places { puid, meta, data }) })
}

/// Fields of metadata but for the id, out of all places where such stand, and the id. Nothing if it cannot be read.
pub(super) fn read_meta(body: &[u8], metas: &[Range<usize>]) -> Option<(Vec<Field>, Option<Range<usize>>)> {
    let (mut read, mut puid) = (Vec::new(), None);
    for meta in metas {
        for field in fields(body, meta).ok()? {
            match (field.number, field.wire) {
                // The last one counts.
                (PUID, Wire::Bytes) => puid = Some(field.value),
                (PUID, _) => return None,
                _ => read.push(field),
            }
        }
    }
    Some((read, puid.filter(|puid| !puid.is_empty())))
}

/// Appends metadata with this id, or without one.
pub(super) fn put_meta(body: &[u8], meta: &[Field], puid: Option<&[u8]>, out: &mut BytesMut) {
    let mut inside = BytesMut::new();
    if let Some(puid) = puid {
        put_bytes(&mut inside, PUID, puid);
    }
    copy(body, meta.iter().map(|field| &field.whole), &mut inside);
    put_bytes(out, META, &inside);
}

pub(super) fn merge(parts: &[(&[u8], &Places)], rows: usize) -> BytesMut {
    let mut merged = BytesMut::with_capacity(parts.iter().map(|(body, _)| body.len()).sum());
    let Some((first, places)) = parts.first() else { return merged };
    if let Some(meta) = &places.meta {
        put_meta(first, meta, None, &mut merged);
    }
    let lists: Vec<(&[u8], &List)> = parts.iter().map(|(body, places)| (*body, &places.data.list)).collect();
    places.data.put(first, rows, &lists, &mut merged);
    merged
}
