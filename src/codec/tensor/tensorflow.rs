//! The numbers in TensorFlow Serving's replies: `predictions` by row, `outputs` by column, and `PredictResponse`.

use std::collections::BTreeMap;

use bytes::Bytes;
use millrace_proto::tensorflow_serving::PredictResponse;
use prost::Message as _;

use super::{Place, ReadError, Tensor, decode, number_of, tfproto};
use crate::codec::json::tape::{Kind, Value};
use crate::record::Message;

/// JSON does not say what a server calls its only output.
const ONLY: &str = "data";

/// The tensors in a JSON reply.
pub(super) fn places(root: Value<'_>) -> Result<Vec<Place<'_>>, ReadError> {
    if let Some(rows) = root.get("predictions") {
        if rows.items().next().is_some_and(|row| row.kind() == Kind::Object) {
            return by_row(rows);
        }
        return Ok(vec![Place::new(ONLY.to_owned(), rows)?]);
    }
    let Some(outputs) = root.get("outputs") else {
        return Err(ReadError::NoTensors("a tensorflow reply has 'predictions' or 'outputs'".to_owned()));
    };
    if outputs.kind() != Kind::Object {
        return Ok(vec![Place::new(ONLY.to_owned(), outputs)?]);
    }
    let outputs = outputs.members().map(|(name, value)| Place::new(key(name), value));
    outputs.collect()
}

fn key(name: Value<'_>) -> String {
    name.string().unwrap_or_default().into_owned()
}

/// Rows that are objects: a tensor for each key, the row number its first dimension.
fn by_row(rows: Value<'_>) -> Result<Vec<Place<'_>>, ReadError> {
    let mut places: Vec<Place<'_>> = Vec::new();
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    for (at, row) in rows.items().enumerate() {
        if at > 0 && row.len() != places.len() {
            let reason = format!("row {at} has other outputs than row 0");
            return Err(ReadError::Tensor { name: "predictions".to_owned(), reason });
        }
        for (name, value) in row.members() {
            let name = key(name);
            let mut leaves = Vec::new();
            let shape = value.grid(|leaf| {
                leaves.push(leaf);
                number_of(leaf).map(|_| ())
            });
            let shape = shape.map_err(ReadError::of(name.as_str()))?;
            if at == 0 {
                let shape = [&[rows.len()], &shape[..]].concat();
                known.insert(name.clone(), places.len());
                places.push(Place { name, columns: Vec::new(), shape, leaves });
                continue;
            }
            // Each row has as many outputs as the first, so one that comes twice is one that is missing.
            match known.get(&name).map(|&place| &mut places[place]) {
                Some(place) if place.shape[1..] == shape => place.leaves.extend(leaves),
                _ => {
                    let reason = format!("row {at} has it and row 0 has not, or in another shape");
                    return Err(ReadError::Tensor { name, reason });
                }
            }
        }
    }
    for place in &places {
        if place.leaves.len() != place.shape.iter().product::<usize>() {
            let reason = "a row has it twice or not at all".to_owned();
            return Err(ReadError::Tensor { name: place.name.clone(), reason });
        }
    }
    Ok(places)
}

pub(super) fn read_proto(name: &str, message: &Message) -> Result<Vec<Tensor>, ReadError> {
    let reply: PredictResponse = decode(name, message)?;
    let tensor = |(name, tensor): (String, _)| -> Result<_, ReadError> {
        let (shape, values) = tfproto::read(&tensor).map_err(ReadError::of(name.as_str()))?;
        Ok(Tensor { name, columns: Vec::new(), shape, values })
    };
    let tensors: Vec<_> = reply.outputs.into_iter().map(tensor).collect::<Result<_, _>>()?;
    if tensors.is_empty() {
        return Err(ReadError::NoTensors("it has no outputs".to_owned()));
    }
    Ok(tensors)
}

pub(super) fn replace_proto(name: &str, message: &Message, values: Vec<Vec<f64>>) -> Result<Message, ReadError> {
    let mut reply: PredictResponse = decode(name, message)?;
    for (tensor, values) in reply.outputs.values_mut().zip(&values) {
        tfproto::replace(tensor, values);
    }
    Ok(Message { body: Bytes::from(reply.encode_to_vec()), form: message.form.clone() })
}
