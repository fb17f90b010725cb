//! V2's binary extension over REST: JSON text, and behind it the bytes of those tensors that have a `binary_data_size`.

use bytes::{Bytes, BytesMut};

use super::super::error::{BinaryFault, shown};
use super::super::{Fault as JsonFault, json};

/// The header that says how many bytes of the body are JSON text.
pub(in crate::codec) const HEADER: &str = "inference-header-content-length";

/// What is wrong with a body, before it is known where the body came from.
#[derive(Debug)]
pub(in crate::codec) enum Fault {
    Json(JsonFault),
    Binary(BinaryFault),
}

/// Bytes of JSON text that the header's value announces for this body.
pub(in crate::codec) fn json_length(header: &[u8], body: &[u8]) -> Result<usize, BinaryFault> {
    let length = whole_number(header.trim_ascii()).ok_or_else(|| BinaryFault::Header(shown(header)))?;
    match usize::try_from(length) {
        Ok(0) => Err(BinaryFault::Raw),
        Ok(json) if json <= body.len() => Ok(json),
        other => Err(BinaryFault::Short { json: other.unwrap_or(usize::MAX), body: body.len() }),
    }
}

/// The body as a request, and the bytes of its JSON text: an answer's outputs become inputs.
pub(in crate::codec) fn request(body: &Bytes, json: usize) -> Result<(Bytes, usize), Fault> {
    if json > body.len() {
        return Err(Fault::Binary(BinaryFault::Short { json, body: body.len() }));
    }
    let (text, tensors) = (body.slice(..json), body.slice(json..));
    let request = super::request(&text).map_err(Fault::Json)?;
    let sum = binary_bytes(&request)?;
    if usize::try_from(sum) != Ok(tensors.len()) {
        return Err(Fault::Binary(BinaryFault::Sum { sum, rest: tensors.len() }));
    }
    if request.as_ptr() == text.as_ptr() {
        return Ok((body.clone(), json));
    }
    let mut renamed = BytesMut::with_capacity(request.len() + tensors.len());
    renamed.extend_from_slice(&request);
    renamed.extend_from_slice(&tensors);
    Ok((renamed.freeze(), request.len()))
}

/// The sum of what the inputs' `binary_data_size` say.
fn binary_bytes(text: &[u8]) -> Result<u64, Fault> {
    let Some(inputs) = json::path(text, &["inputs"]).map_err(syntax)? else { return Ok(0) };
    let inputs = &text[inputs];
    let mut sum = Ok(0u64);
    let root = json::items(inputs, |input| {
        if let Ok(so_far) = sum {
            sum = binary_size(&inputs[input]).map(|size| so_far.saturating_add(size.unwrap_or(0)));
        }
    });
    match root.map_err(syntax)? {
        json::Root::Array => sum.map_err(Fault::Binary),
        _ => Err(Fault::Binary(BinaryFault::NotList)),
    }
}

/// Bytes of a tensor behind the JSON text, if that is where its data is.
pub(in crate::codec) fn binary_size(tensor: &[u8]) -> Result<Option<u64>, BinaryFault> {
    // The document was scanned as a whole: a part of it has no fault.
    let Ok(Some(size)) = json::path(tensor, &["parameters", "binary_data_size"]) else { return Ok(None) };
    let size = &tensor[size];
    whole_number(size).map(Some).ok_or_else(|| BinaryFault::Size(shown(size)))
}

/// Digits as a number; no sign, no fraction, no more than 64 bits.
fn whole_number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn syntax(error: json::SyntaxError) -> Fault {
    Fault::Json(JsonFault::Syntax(error))
}
