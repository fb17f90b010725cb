//! The route in a protobuf answer, read from the wire: only the first number of a message is looked at.

use millrace_proto::{ProtoName, inference, seldon, tensorflow, tensorflow_serving as serving};

use super::super::error::{RouteError, shown};
use super::super::wire::{self, Part, Wire, WireError, parts};
use super::number::Number;

const EXPECTED: &str = "a number in the first tensor";

/// How the numbers of a repeated field are encoded.
#[derive(Clone, Copy)]
enum Element {
    Int32,
    Int64,
    Uint,
    Float,
    Double,
}

/// The route in a message of this name.
pub(super) fn route(name: &'static str, reply: &[u8]) -> Result<i32, RouteError> {
    let find = match name {
        seldon::SeldonMessage::PROTO_NAME => seldon_message,
        serving::PredictResponse::PROTO_NAME => predict_response,
        inference::ModelInferResponse::PROTO_NAME => infer_response,
        _ => return Err(RouteError::Message(name)),
    };
    let refused = |error| RouteError::NotProto { name, error };
    if let Some(schema) = wire::schema(name) {
        wire::check(schema, reply).map_err(refused)?;
    }
    match find(reply).map_err(refused)? {
        Found::Number(number) => number.route(),
        Found::Other(found) => Err(RouteError::NotRoute(found)),
        Found::Nothing(found) => Err(RouteError::Missing { expected: EXPECTED, found: found.to_owned() }),
    }
}

/// What stands where a route should be.
enum Found {
    Number(Number),
    /// A value that is no number.
    Other(String),
    /// No value, and what there is instead.
    Nothing(&'static str),
}

type Search = Result<Found, WireError>;

fn seldon_message(message: &[u8]) -> Search {
    let data = match only(message, 3..=7)? {
        Only::One(part) if part.number == 3 => &message[part.value],
        Only::One(part) if part.number == 5 => return Ok(Found::Other(shown(&message[part.value]))),
        Only::One(_) => return Ok(Found::Nothing("data of another kind")),
        Only::None => return Ok(Found::Nothing("no data")),
        Only::Several => return Ok(Found::Nothing("data more than once")),
    };
    match only(data, 2..=4)? {
        Only::One(part) => {
            let inner = &data[part.value];
            match part.number {
                2 => first_of(inner, 2, Element::Double),
                3 => list_value(inner),
                _ => tensor_proto(inner),
            }
        }
        Only::None => Ok(Found::Nothing("data without values")),
        Only::Several => Ok(Found::Nothing("data more than once")),
    }
}

/// The first number of a list, or of the first row of a list of rows.
fn list_value(list: &[u8]) -> Search {
    let mut value = list;
    for _ in 0..2 {
        let Some(first) = first(value, 1)? else { return Ok(Found::Nothing("an empty list")) };
        match only(first, 1..=6)? {
            Only::One(part) if part.number == 6 => value = &first[part.value],
            Only::One(part) if part.number == 2 => {
                return Ok(
                    number(Element::Double, &first[part.value])?.map_or(Found::Nothing("no number"), Found::Number)
                );
            }
            Only::One(part) if part.number == 3 => {
                return Ok(Found::Other(format!("\"{}\"", shown(&first[part.value]))));
            }
            Only::One(part) if part.number == 4 => return Ok(Found::Other("a bool".to_owned())),
            Only::One(part) if part.number == 1 => return Ok(Found::Other("null".to_owned())),
            Only::One(_) => return Ok(Found::Other("an object".to_owned())),
            Only::None => return Ok(Found::Nothing("a value of no kind")),
            Only::Several => return Ok(Found::Nothing("a value more than once")),
        }
    }
    Ok(Found::Other("a list in the first row".to_owned()))
}

fn predict_response(reply: &[u8]) -> Search {
    match only(reply, 1..=1)? {
        Only::One(part) => match first(&reply[part.value.clone()], 2)? {
            Some(tensor) => tensor_proto(tensor),
            None => Ok(Found::Nothing("an output without a tensor")),
        },
        Only::None => Ok(Found::Nothing("no output")),
        Only::Several => Ok(Found::Nothing("several outputs")),
    }
}

fn tensor_proto(tensor: &[u8]) -> Search {
    use tensorflow::DataType as Type;
    let mut dtype = 0;
    let mut content = &[][..];
    for part in parts(tensor) {
        let part = part?;
        match part.number {
            1 => dtype = wire::varint(&tensor[part.value])? as i32,
            4 => content = &tensor[part.value],
            _ => {}
        }
    }
    let (datatype, list, element) = match Type::try_from(dtype) {
        Ok(Type::DtFloat) => ("FP32", 5, Element::Float),
        Ok(Type::DtDouble) => ("FP64", 6, Element::Double),
        Ok(Type::DtInt32) => ("INT32", 7, Element::Int32),
        Ok(Type::DtInt16) => ("INT16", 7, Element::Int32),
        Ok(Type::DtInt8) => ("INT8", 7, Element::Int32),
        Ok(Type::DtUint8) => ("UINT8", 7, Element::Int32),
        Ok(Type::DtUint16) => ("UINT16", 7, Element::Int32),
        Ok(Type::DtInt64) => ("INT64", 10, Element::Int64),
        Ok(Type::DtUint32) => ("UINT32", 16, Element::Uint),
        Ok(Type::DtUint64) => ("UINT64", 17, Element::Uint),
        Ok(other) => return Ok(Found::Other(format!("a tensor of {}", other.as_str_name()))),
        Err(_) => return Ok(Found::Other(format!("a tensor of type {dtype}"))),
    };
    if content.is_empty() { first_of(tensor, list, element) } else { Ok(raw(datatype, content)) }
}

fn infer_response(reply: &[u8]) -> Search {
    let Some(output) = first(reply, 5)? else { return Ok(Found::Nothing("no output")) };
    let datatype = last(output, 2)?.and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default();
    if let Some(bytes) = first(reply, 6)? {
        return Ok(raw(datatype, bytes));
    }
    let Some(contents) = last(output, 5)? else { return Ok(Found::Nothing("an output without data")) };
    let lists = [
        (2, Element::Int32),
        (3, Element::Int64),
        (4, Element::Uint),
        (5, Element::Uint),
        (6, Element::Float),
        (7, Element::Double),
    ];
    for (number, element) in lists {
        if let found @ Found::Number(_) = first_of(contents, number, element)? {
            return Ok(found);
        }
    }
    Ok(Found::Other(format!(
        "an output of {}",
        if datatype.is_empty() { "no datatype".to_owned() } else { shown(datatype.as_bytes()) }
    )))
}

fn raw(datatype: &str, bytes: &[u8]) -> Found {
    match Number::first(datatype, bytes) {
        Some(number) => Found::Number(number),
        None if bytes.is_empty() => Found::Nothing("an empty tensor"),
        None => Found::Other(format!("{} bytes of {}", bytes.len(), shown(datatype.as_bytes()))),
    }
}

/// The first number of a repeated field, packed or not.
fn first_of(message: &[u8], field: u32, element: Element) -> Search {
    for part in parts(message) {
        let part = part?;
        if part.number == field
            && let Some(number) = number(element, &message[part.value])?
        {
            return Ok(Found::Number(number));
        }
    }
    Ok(Found::Nothing("an empty tensor"))
}

/// The number that stands first in these bytes.
fn number(element: Element, bytes: &[u8]) -> Result<Option<Number>, WireError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    Ok(match element {
        // A 32-bit number: what is above it does not count.
        Element::Int32 => Some(Number::Int((wire::varint(bytes)? as i32).into())),
        Element::Int64 => Some(Number::Int(wire::varint(bytes)? as i64)),
        Element::Uint => Some(Number::Uint(wire::varint(bytes)?)),
        Element::Float => Number::first("FP32", bytes),
        Element::Double => Number::first("FP64", bytes),
    })
}

/// The first value of a field of bytes.
fn first(message: &[u8], field: u32) -> Result<Option<&[u8]>, WireError> {
    for part in parts(message) {
        let part = part?;
        if part.number == field && part.wire == Wire::Bytes {
            return Ok(Some(&message[part.value]));
        }
    }
    Ok(None)
}

/// The last value of a field of bytes.
fn last(message: &[u8], field: u32) -> Result<Option<&[u8]>, WireError> {
    let mut found = None;
    for part in parts(message) {
        let part = part?;
        if part.number == field && part.wire == Wire::Bytes {
            found = Some(&message[part.value]);
        }
    }
    Ok(found)
}

/// How many fields of a range a message has.
enum Only {
    None,
    One(Part),
    Several,
}

/// The one field of a range. Protobuf would merge several, or take the last; an answer that needs it is refused, because
/// to guess a route is worse than to have none.
fn only(message: &[u8], range: std::ops::RangeInclusive<u32>) -> Result<Only, WireError> {
    let mut found = Only::None;
    for part in parts(message) {
        let part = part?;
        if range.contains(&part.number) {
            found = match found {
                Only::None => Only::One(part),
                Only::One(_) | Only::Several => return Ok(Only::Several),
            };
        }
    }
    Ok(found)
}
