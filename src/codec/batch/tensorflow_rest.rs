//! TensorFlow's requests by row: `instances` one after the other, and `predictions` given back.
//!
//! Requests by column go alone: nothing tells a list of rows from the columns of one row.

use std::borrow::Cow;
use std::ops::Range;

use super::class::Classes;
use super::key::Key;
use super::members::{inside, known, only, shares};
use super::rows::Rows;
use super::splice::Splice;
use super::{Found, Unsplit};
use crate::codec::json::tape::{Kind, Tape, Value};
use crate::record::Message;

/// Where the items of `instances` stand.
#[derive(Debug)]
pub(super) struct Places(Range<usize>);

pub(super) fn read(body: &[u8], key: Key) -> Option<Found> {
    let tape = Tape::parse(body).ok()?;
    let [signature, instances] = known(tape.root(), ["signature_name", "instances"])?;
    let signature = match signature {
        Some(name) => Some(name.string()?),
        None => None,
    };
    let instances = instances.filter(|instances| instances.kind() == Kind::Array)?;
    let columns = columns(instances)?;
    let key = key.optional(signature.as_deref().map(str::as_bytes)).each(columns.iter(), |key, column| {
        let key = key.optional(column.name.as_deref().map(str::as_bytes)).number(column.classes.code());
        key.each(column.shape.iter(), |key, size| key.number(*size as u64))
    });
    let places = super::Places::TensorflowRest(Places(inside(instances)?));
    Some(Found { key, rows: instances.len(), places })
}

/// What the rows have under one name; plain rows have no name.
struct Column<'t> {
    name: Option<Cow<'t, str>>,
    /// Of one row.
    shape: Vec<usize>,
    classes: Classes,
}

/// The columns of all rows by name; nothing when the rows differ.
fn columns(rows: Value<'_>) -> Option<Vec<Column<'_>>> {
    let mut columns: Vec<Column<'_>> = Vec::new();
    for (at, row) in rows.items().enumerate() {
        // A row that is an object has a value for each input, but for one with bytes in it.
        let mut scalar = Classes::default();
        let plain = row.kind() != Kind::Object || scalar.add(row).is_some();
        let mut values: Vec<(Option<Cow<'_, str>>, Value<'_>)> = Vec::new();
        if plain {
            values.push((None, row));
        } else {
            for (name, value) in row.members() {
                values.push((Some(name.string()?), value));
            }
            values.sort_by(|(left, _), (right, _)| left.cmp(right));
            if values.windows(2).any(|pair| pair[0].0 == pair[1].0) {
                return None;
            }
        }
        if at > 0 && values.len() != columns.len() {
            return None;
        }
        for (index, (name, value)) in values.into_iter().enumerate() {
            let mut classes = Classes::default();
            let shape = value.grid(|leaf| classes.add(leaf).ok_or_else(String::new)).ok()?;
            if at == 0 {
                columns.push(Column { name, shape, classes });
                continue;
            }
            let column = columns.get_mut(index).filter(|column| column.name == name && column.shape == shape)?;
            column.classes.join(classes);
        }
    }
    let sound = |column: &Column<'_>| !column.classes.is_empty() && !column.classes.is_odd();
    (!columns.is_empty() && columns.iter().all(sound)).then_some(columns)
}

pub(super) fn merge(parts: &[(&[u8], &Places)]) -> Vec<u8> {
    let Some(((first, Places(place)), rest)) = parts.split_first() else { return Vec::new() };
    let mut merged = Splice::of(first, parts.iter().map(|(body, _)| body.len()).sum());
    let end = merged.at(&(place.end..place.end));
    for (body, Places(place)) in rest {
        end.push(b',');
        end.extend_from_slice(body.get(place.clone()).unwrap_or_default());
    }
    merged.done()
}

pub(super) fn split(rows: &Rows, reply: &Message) -> Result<Vec<Message>, Unsplit> {
    let tape = Tape::parse(&reply.body).map_err(|error| Unsplit::Unreadable(error.to_string()))?;
    let predictions = only(tape.root(), "predictions").map_err(Unsplit::Unreadable)?;
    let predictions = predictions.filter(|predictions| predictions.kind() == Kind::Array);
    let predictions = predictions.ok_or_else(|| rows.unsplit("no array of predictions".to_owned()))?;
    let shares = shares(predictions, rows.each());
    let shares = shares.ok_or_else(|| rows.unsplit(format!("{} predictions", predictions.len())))?;
    let all = inside(predictions).unwrap_or_default();
    let around = reply.body.len() - all.len();
    let reply_of = |share: Range<usize>| {
        let mut body = Splice::of(&reply.body, around + share.len());
        body.at(&all).extend_from_slice(reply.body.get(share).unwrap_or_default());
        Message { body: body.done().into(), form: reply.form.clone() }
    };
    Ok(shares.into_iter().map(reply_of).collect())
}
