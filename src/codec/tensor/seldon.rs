//! The numbers in Seldon's replies: `ndarray`, `tensor` and `tftensor`, as JSON and as protobuf.

use bytes::Bytes;
use millrace_proto::seldon::default_data::DataOneof as Numbers;
use millrace_proto::seldon::seldon_message::DataOneof;
use millrace_proto::seldon::{DefaultData, SeldonMessage};
use millrace_proto::well_known::value::Kind as Known;
use millrace_proto::well_known::{ListValue, Value as Dynamic};
use prost::Message as _;

use super::{Place, ReadError, Tensor, decode, number_of, places, replaced, sizes, tfjson, tfproto};
use crate::codec::json::edit::Edits;
use crate::codec::json::number;
use crate::codec::json::tape::{Tape, Value};
use crate::record::Message;

/// A message has one tensor, without a name.
const NAME: &str = "data";

fn none() -> ReadError {
    ReadError::NoTensors("a seldon reply has 'data' with 'ndarray', 'tensor' or 'tftensor'".to_owned())
}

fn data(root: Value<'_>) -> Result<(Value<'_>, Vec<String>), ReadError> {
    let data = root.get("data").ok_or_else(none)?;
    let names = data.get("names").into_iter().flat_map(Value::items);
    let columns: Option<_> = names.map(|name| name.string().map(std::borrow::Cow::into_owned)).collect();
    let columns = columns.ok_or_else(|| ReadError::of(NAME)("its 'names' are no strings".to_owned()))?;
    Ok((data, columns))
}

/// Where the numbers of an `ndarray` or a `tensor` stand.
fn place(data: Value<'_>, columns: Vec<String>) -> Result<Place<'_>, ReadError> {
    if let Some(array) = data.get("ndarray") {
        return Ok(Place { columns, ..Place::new(NAME.to_owned(), array)? });
    }
    let tensor = data.get("tensor").ok_or_else(none)?;
    let shape = tensor.get("shape").into_iter().flat_map(Value::items).map(|size| {
        let size = number::integer(size.raw()).and_then(|size| i64::try_from(size).ok());
        size.ok_or_else(|| ReadError::of(NAME)("its 'shape' is not of integers".to_owned()))
    });
    let (shape, count) = sizes(&shape.collect::<Result<Vec<_>, _>>()?).map_err(ReadError::of(NAME))?;
    let leaves: Vec<_> = tensor.get("values").into_iter().flat_map(Value::items).collect();
    leaves.iter().try_for_each(|leaf| number_of(*leaf).map(|_| ())).map_err(ReadError::of(NAME))?;
    complete(leaves.len(), count)?;
    Ok(Place { name: NAME.to_owned(), columns, shape, leaves })
}

fn complete(values: usize, count: usize) -> Result<(), ReadError> {
    if values == count {
        return Ok(());
    }
    Err(ReadError::of(NAME)(format!("it has {values} values, its shape takes {count}")))
}

pub(super) fn read_json(message: &Message) -> Result<Vec<Tensor>, ReadError> {
    let tape = Tape::parse(&message.body)?;
    let (data, columns) = data(tape.root())?;
    if let Some(tensor) = data.get("tftensor") {
        let read = tfjson::read(tensor).and_then(|tensor| tfproto::read(&tensor));
        let (shape, values) = read.map_err(ReadError::of(NAME))?;
        return Ok(vec![Tensor { name: NAME.to_owned(), columns, shape, values }]);
    }
    places(vec![place(data, columns)?])
}

pub(super) fn replace_json(message: &Message, values: Vec<Vec<f64>>) -> Result<Message, ReadError> {
    let tape = Tape::parse(&message.body)?;
    let (data, columns) = data(tape.root())?;
    let Some(place_of_tensor) = data.get("tftensor") else {
        return Ok(replaced(message, vec![place(data, columns)?], values));
    };
    let mut tensor = tfjson::read(place_of_tensor).map_err(ReadError::of(NAME))?;
    tfproto::replace(&mut tensor, values.first().map_or(&[], Vec::as_slice));
    let mut text = String::new();
    tfjson::print(&mut text, &tensor).map_err(ReadError::of(NAME))?;
    let mut edits = Edits::default();
    edits.put(place_of_tensor.span(), |out| out.push_str(&text));
    Ok(Message { body: edits.apply(&message.body).into(), form: message.form.clone() })
}

pub(super) fn read_proto(name: &str, message: &Message) -> Result<Vec<Tensor>, ReadError> {
    let reply: SeldonMessage = decode(name, message)?;
    let Some(DataOneof::Data(DefaultData { names, data_oneof: Some(numbers) })) = reply.data_oneof else {
        return Err(none());
    };
    let (shape, values) = match numbers {
        Numbers::Ndarray(mut list) => grid(&mut list, |value| *value).map_err(ReadError::of(NAME))?,
        Numbers::Tensor(tensor) => {
            let shape: Vec<i64> = tensor.shape.iter().copied().map(i64::from).collect();
            let (shape, count) = sizes(&shape).map_err(ReadError::of(NAME))?;
            complete(tensor.values.len(), count)?;
            (shape, tensor.values)
        }
        Numbers::Tftensor(tensor) => tfproto::read(&tensor).map_err(ReadError::of(NAME))?,
    };
    Ok(vec![Tensor { name: NAME.to_owned(), columns: names, shape, values }])
}

pub(super) fn replace_proto(name: &str, message: &Message, values: Vec<Vec<f64>>) -> Result<Message, ReadError> {
    let mut reply: SeldonMessage = decode(name, message)?;
    let values = values.into_iter().next().unwrap_or_default();
    let Some(DataOneof::Data(DefaultData { data_oneof: Some(numbers), .. })) = &mut reply.data_oneof else {
        return Err(none());
    };
    match numbers {
        Numbers::Ndarray(list) => {
            let mut values = values.into_iter();
            grid(list, |old| values.next().unwrap_or(*old)).map_err(ReadError::of(NAME))?;
        }
        Numbers::Tensor(tensor) => tensor.values = values,
        Numbers::Tftensor(tensor) => tfproto::replace(tensor, &values),
    }
    Ok(Message { body: Bytes::from(reply.encode_to_vec()), form: message.form.clone() })
}

/// Follows nested lists to the numbers in them and puts what `put` makes of each in its place; gives shape and numbers.
fn grid(list: &mut ListValue, mut put: impl FnMut(&f64) -> f64) -> Result<(Vec<usize>, Vec<f64>), String> {
    let ragged = || "its rows differ in length or depth".to_owned();
    let mut shape = vec![list.values.len()];
    let mut first = list.values.first();
    while let Some(Dynamic { kind: Some(Known::ListValue(inner)) }) = first {
        shape.push(inner.values.len());
        first = inner.values.first();
    }
    let mut open = vec![list.values.iter_mut()];
    let mut values = Vec::new();
    while let Some(row) = open.last_mut() {
        let Some(value) = row.next() else {
            open.pop();
            continue;
        };
        match &mut value.kind {
            Some(Known::ListValue(inner)) if shape.get(open.len()) == Some(&inner.values.len()) => {
                open.push(inner.values.iter_mut());
            }
            Some(Known::NumberValue(value)) if open.len() == shape.len() => {
                *value = put(value);
                values.push(*value);
            }
            Some(Known::ListValue(_) | Known::NumberValue(_)) => return Err(ragged()),
            Some(Known::StringValue(text)) => return Err(format!("\"{text}\" is no number")),
            Some(Known::BoolValue(_)) => return Err("a truth value is no number".to_owned()),
            Some(Known::StructValue(_)) => return Err("an object is no number".to_owned()),
            Some(Known::NullValue(_)) | None => return Err("null is no number".to_owned()),
        }
    }
    Ok((shape, values))
}
