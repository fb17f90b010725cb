//! The numbers in a reply, whatever its protocol and encoding: named tensors with a shape and their values as doubles.
//!
//! Read for combining and comparing. What is put back stands in the reply's own encoding, and every other part of it
//! stays. Text, bytes and truth values are no numbers: a reply with such a tensor is refused. A double holds integers
//! up to 2^53 exactly; larger ones are rounded.

pub mod datatype;
pub mod half;
pub mod infer;
mod seldon;
mod tensorflow;
pub mod tfjson;
pub mod tfproto;
pub mod v2;

use crate::codec::json::tape::{Kind, Tape, Value};
use crate::codec::json::{SyntaxError, edit::Edits, number};
use crate::config::settings::Protocol;
use crate::record::{Form, Message};

/// Most elements that a tensor can have without being written one by one: lists that repeat their last value are short,
/// however large the tensor is that they stand for.
pub const MAX_REPEATED: usize = 1 << 22;

/// Numbers of a reply under one name.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Name of the output; `data` where the protocol has none.
    pub name: String,
    /// Names of the columns, if the protocol has them.
    pub columns: Vec<String>,
    /// Sizes of the dimensions.
    pub shape: Vec<usize>,
    /// Values row by row.
    pub values: Vec<f64>,
}

/// Why a reply's numbers cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Not JSON.
    #[error("it is not JSON: {0}")]
    NotJson(#[from] SyntaxError),
    /// Not the protobuf message that it is said to be.
    #[error("it is no {name}: {reason}")]
    NotProto {
        /// Full name of the message.
        name: &'static str,
        /// What the decoder says.
        reason: String,
    },
    /// Nothing in it that the protocol has numbers in.
    #[error("it has no numbers: {0}")]
    NoTensors(String),
    /// A tensor that is none, or not of numbers.
    #[error("'{name}': {reason}")]
    Tensor {
        /// Name of the output.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl ReadError {
    fn of(name: impl Into<String>) -> impl FnOnce(String) -> Self {
        move |reason| Self::Tensor { name: name.into(), reason }
    }
}

/// The tensors of a reply in their order.
pub fn read(protocol: Protocol, message: &Message) -> Result<Vec<Tensor>, ReadError> {
    match (protocol, &message.form) {
        (Protocol::V2, Form::Proto(name)) => v2::read_proto(name, message),
        (Protocol::V2, form) => v2::read_json(message, text_length(form, message)),
        (Protocol::Seldon, Form::Proto(name)) => seldon::read_proto(name, message),
        (Protocol::Tensorflow, Form::Proto(name)) => tensorflow::read_proto(name, message),
        (Protocol::Seldon, _) => seldon::read_json(message),
        (Protocol::Tensorflow, _) => places(tensorflow::places(Tape::parse(&message.body)?.root())?),
    }
}

/// The reply with other values in its tensors: as many tensors, in the order of [`read`], and as many values in each.
/// Integer types become doubles, floating point types stay.
pub fn replace(protocol: Protocol, message: &Message, values: Vec<Vec<f64>>) -> Result<Message, ReadError> {
    match (protocol, &message.form) {
        (Protocol::V2, Form::Proto(name)) => v2::replace_proto(name, message, values),
        (Protocol::V2, form) => v2::replace_json(message, text_length(form, message), values),
        (Protocol::Seldon, Form::Proto(name)) => seldon::replace_proto(name, message, values),
        (Protocol::Tensorflow, Form::Proto(name)) => tensorflow::replace_proto(name, message, values),
        (Protocol::Seldon, _) => seldon::replace_json(message, values),
        (Protocol::Tensorflow, _) => {
            let tape = Tape::parse(&message.body)?;
            Ok(replaced(message, tensorflow::places(tape.root())?, values))
        }
    }
}

/// Bytes of JSON text; the rest of the body is raw tensors.
fn text_length(form: &Form, message: &Message) -> usize {
    if let Form::Binary { json } = form { *json } else { message.body.len() }
}

/// A protobuf message of this type.
fn decode<M: millrace_proto::ProtoName>(name: &str, message: &Message) -> Result<M, ReadError> {
    if name != M::PROTO_NAME {
        return Err(ReadError::NoTensors(format!("a {name} is no {}", M::PROTO_NAME)));
    }
    M::decode(message.body.clone())
        .map_err(|error| ReadError::NotProto { name: M::PROTO_NAME, reason: error.to_string() })
}

/// Where a tensor's numbers stand in a JSON text.
struct Place<'t> {
    name: String,
    columns: Vec<String>,
    shape: Vec<usize>,
    leaves: Vec<Value<'t>>,
}

impl<'t> Place<'t> {
    /// Nested arrays of numbers.
    fn new(name: String, value: Value<'t>) -> Result<Self, ReadError> {
        let mut leaves = Vec::new();
        let shape = value.grid(|leaf| {
            leaves.push(leaf);
            number_of(leaf).map(|_| ())
        });
        let shape = shape.map_err(ReadError::of(name.as_str()))?;
        Ok(Self { name, columns: Vec::new(), shape, leaves })
    }
}

/// A number, or one that protobuf's JSON writes as a string because JSON has none.
fn number_of(leaf: Value<'_>) -> Result<f64, String> {
    let value = match leaf.kind() {
        Kind::Number => number::double(leaf.raw()),
        Kind::Text => leaf.string().and_then(|text| number::token(&text)),
        _ => None,
    };
    value.ok_or_else(|| format!("{} is no number", leaf.shown()))
}

fn places(places: Vec<Place<'_>>) -> Result<Vec<Tensor>, ReadError> {
    let tensor = |place: Place<'_>| {
        let values: Result<_, String> = place.leaves.iter().map(|leaf| number_of(*leaf)).collect();
        let values = values.map_err(ReadError::of(place.name.as_str()))?;
        Ok(Tensor { name: place.name, columns: place.columns, shape: place.shape, values })
    };
    places.into_iter().map(tensor).collect()
}

fn replaced(message: &Message, places: Vec<Place<'_>>, values: Vec<Vec<f64>>) -> Message {
    let mut edits = Edits::default();
    for (place, values) in places.into_iter().zip(values) {
        for (leaf, value) in place.leaves.into_iter().zip(values) {
            edits.put(leaf.span(), |out| number::print(out, value));
        }
    }
    Message { body: edits.apply(&message.body).into(), form: message.form.clone() }
}

/// Elements of a shape; nothing when a size is negative or there are too many to count.
fn product<'a>(sizes: impl IntoIterator<Item = &'a i64>) -> Option<usize> {
    sizes.into_iter().try_fold(1usize, |product, &size| product.checked_mul(usize::try_from(size).ok()?))
}

fn sizes(shape: &[i64]) -> Result<(Vec<usize>, usize), String> {
    let count = product(shape).ok_or_else(|| format!("its shape {shape:?} is no shape of data"))?;
    Ok((shape.iter().map(|&size| size as usize).collect(), count))
}

#[cfg(test)]
mod tests;
