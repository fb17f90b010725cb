//! The route in a JSON answer.

use std::ops::Range;

use super::super::error::{RouteError, shown};
use super::super::json::{Root, first, members, path};
use super::super::v2::binary::binary_size;
use super::number::{Number, of_text};
use crate::config::settings::Protocol;

const SELDON: &str = "a number in data.ndarray, data.tensor.values or data.tftensor, or a list of one";
const TENSORFLOW: &str = "a number in 'predictions', 'outputs' or 'data', or a list of one";
const V2: &str = "a number in the data of the first of 'outputs', or in 'data', or a list of one";

/// Lists of numbers of a tensor of TensorFlow's, each under its two names, and whether its numbers may stand in quotes.
const LISTS: [([&str; 2], bool); 6] = [
    (["intVal", "int_val"], false),
    (["int64Val", "int64_val"], true),
    (["uint32Val", "uint32_val"], false),
    (["uint64Val", "uint64_val"], true),
    (["floatVal", "float_val"], false),
    (["doubleVal", "double_val"], false),
];

/// The route in JSON text, and in V2's tensors behind it.
pub(super) fn route(protocol: Protocol, text: &[u8], tensors: &[u8]) -> Result<i32, RouteError> {
    let expected = match protocol {
        Protocol::Seldon => SELDON,
        Protocol::Tensorflow => TENSORFLOW,
        Protocol::V2 => V2,
    };
    let missing = |found: &[u8]| Err(RouteError::Missing { expected, found: shown(found) });
    let (root, [data, predictions, outputs]) = members(text, ["data", "predictions", "outputs"])?;
    let own = match protocol {
        Protocol::Seldon => None,
        Protocol::Tensorflow => predictions.or(outputs),
        Protocol::V2 => outputs,
    };
    let found = match (root, own, data) {
        (Root::Array, ..) => first_number(text)?,
        (_, Some(own), _) if protocol == Protocol::V2 => return v2(&text[own.value], tensors, expected),
        // A column of one number may stand without a list.
        (_, Some(own), _) if text[own.value.start] != b'[' => Some(&text[own.value]),
        (_, Some(own), _) => first_number(&text[own.value])?,
        (_, None, Some(data)) => return seldon(&text[data.value], expected),
        (_, None, None) => return missing(text),
    };
    found.map_or_else(|| missing(text), of_text)
}

/// The first number of a list, or of the first row of a list of rows; nothing if there is none.
fn first_number(list: &[u8]) -> Result<Option<&[u8]>, RouteError> {
    let Some(element) = first(list)? else { return Ok(None) };
    let element = &list[element];
    match element.first() {
        Some(b'[') => Ok(first(element)?.map(|place| &element[place])),
        _ => Ok(Some(element)),
    }
}

fn seldon(data: &[u8], expected: &'static str) -> Result<i32, RouteError> {
    let missing = |found: &[u8]| Err(RouteError::Missing { expected, found: shown(found) });
    let list = |place: Option<Range<usize>>| place.map(|place| &data[place]);
    if let Some(list) = list(path(data, &["ndarray"])?) {
        return first_number(list)?.map_or_else(|| missing(data), of_text);
    }
    if let Some(list) = list(path(data, &["tensor", "values"])?) {
        return first_number(list)?.map_or_else(|| missing(data), of_text);
    }
    for (names, quoted) in LISTS {
        for name in names {
            let Some(list) = list(path(data, &["tftensor", name])?) else { continue };
            let Some(number) = first_number(list)? else { continue };
            // In JSON a 64-bit integer of protobuf is a string.
            let bare = number.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).filter(|_| quoted);
            return of_text(bare.unwrap_or(number));
        }
    }
    missing(data)
}

fn v2(outputs: &[u8], tensors: &[u8], expected: &'static str) -> Result<i32, RouteError> {
    let missing = |found: &[u8]| Err(RouteError::Missing { expected, found: shown(found) });
    let Some(output) = first(outputs)? else { return missing(outputs) };
    let output = &outputs[output];
    if let Some(data) = path(output, &["data"])? {
        return first_number(&output[data])?.map_or_else(|| missing(output), of_text);
    }
    // The first output's bytes are the first behind the text.
    let bytes = binary_size(output).ok().flatten().and_then(|size| tensors.get(..usize::try_from(size).ok()?));
    let datatype = path(output, &["datatype"])?.and_then(|place| std::str::from_utf8(&output[place]).ok());
    match (bytes, datatype) {
        (Some(bytes), Some(datatype)) => match Number::first(datatype.trim_matches('"'), bytes) {
            Some(number) => number.route(),
            None => missing(output),
        },
        _ => missing(output),
    }
}
