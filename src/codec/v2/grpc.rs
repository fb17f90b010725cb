//! V2 over gRPC: what can be said of a request's tensors without reading them, and a reply as the next request.

use bytes::{Bytes, BytesMut};

use super::super::error::TensorFault;
use super::super::wire::{Part, Wire, WireError, parts, put_bytes, put_head, put_tag};

/// Field numbers that requests and replies share.
pub(in crate::codec) const MODEL_NAME: u32 = 1;
pub(in crate::codec) const MODEL_VERSION: u32 = 2;
pub(in crate::codec) const TENSORS: u32 = 5;
/// Where each has what the other has not.
pub(in crate::codec) const RAW_INPUTS: u32 = 7;
pub(in crate::codec) const RAW_OUTPUTS: u32 = 6;
/// In a tensor.
pub(in crate::codec) const CONTENTS: u32 = 5;

/// What is wrong with a message, before it is known where it came from.
#[derive(Debug)]
pub(in crate::codec) enum Fault {
    Wire(WireError),
    Tensors(TensorFault),
}

impl From<WireError> for Fault {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

/// That a request's data is in one place, and for no more tensors than there are. What a tensor holds is the model's to
/// judge, and so is one without data: Triton's may lie in shared memory.
pub(in crate::codec) fn check_request(request: &[u8]) -> Result<(), Fault> {
    match has_raw(request, RAW_INPUTS) {
        Err(Fault::Tensors(TensorFault::RawCount { raw, tensors })) if raw < tensors => Ok(()),
        checked => checked.map(|_| ()),
    }
}

/// Whether the data is raw, with one entry for each tensor.
fn has_raw(message: &[u8], raw_field: u32) -> Result<bool, Fault> {
    let (mut raw, mut tensors, mut typed) = (0, 0, false);
    for part in parts(message) {
        let part = part?;
        if part.number == raw_field {
            raw += 1;
        } else if part.number == TENSORS {
            tensors += 1;
            typed |= has_contents(&message[part.value])?;
        }
    }
    match raw {
        0 => Ok(false),
        _ if typed => Err(Fault::Tensors(TensorFault::RawAndTyped)),
        _ if raw != tensors => Err(Fault::Tensors(TensorFault::RawCount { raw, tensors })),
        _ => Ok(true),
    }
}

fn is_empty_contents(part: &Part) -> bool {
    part.number == CONTENTS && part.value.is_empty()
}

/// Whether a tensor has typed contents with something in them.
fn has_contents(tensor: &[u8]) -> Result<bool, WireError> {
    for part in parts(tensor) {
        let part = part?;
        if part.number == CONTENTS && !is_empty_contents(&part) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A request for this model; the same bytes if it names one already.
pub(in crate::codec) fn named(request: &Bytes, model: &str) -> Result<Bytes, WireError> {
    let mut is_named = false;
    for part in parts(request) {
        let part = part?;
        if part.number == MODEL_NAME {
            // The last one counts.
            is_named = !part.value.is_empty();
        }
    }
    if is_named {
        return Ok(request.clone());
    }
    let mut named = BytesMut::with_capacity(request.len() + model.len() + 8);
    put_bytes(&mut named, MODEL_NAME, model.as_bytes());
    for part in parts(request) {
        let part = part?;
        if part.number != MODEL_NAME {
            named.extend_from_slice(&request[part.whole]);
        }
    }
    Ok(named.freeze())
}

/// A well-formed reply as a request for this model: outputs are inputs, with all that is known and unknown of them. The
/// name and version of the model that answered do not go on.
pub(in crate::codec) fn request(reply: &[u8], model: &str) -> Result<Bytes, Fault> {
    let raw = has_raw(reply, RAW_OUTPUTS)?;
    let mut request = BytesMut::with_capacity(reply.len() + model.len() + 8);
    put_bytes(&mut request, MODEL_NAME, model.as_bytes());
    for part in parts(reply) {
        let part = part?;
        match part.number {
            // In a reply nobody knows the last of these; in a request it would be data.
            MODEL_NAME | MODEL_VERSION | RAW_INPUTS => {}
            TENSORS if raw => put_raw_tensor(&mut request, &reply[part.value])?,
            RAW_OUTPUTS => {
                put_tag(&mut request, RAW_INPUTS, Wire::Bytes);
                request.extend_from_slice(&reply[part.tail]);
            }
            _ => request.extend_from_slice(&reply[part.whole]),
        }
    }
    Ok(request.freeze())
}

/// A tensor whose data is elsewhere. MLServer gives it empty contents, which stricter servers take for a second place.
fn put_raw_tensor(out: &mut BytesMut, tensor: &[u8]) -> Result<(), WireError> {
    let mut length = 0;
    for part in parts(tensor) {
        let part = part?;
        if !is_empty_contents(&part) {
            length += part.whole.len();
        }
    }
    put_head(out, TENSORS, length);
    for part in parts(tensor) {
        let part = part?;
        if !is_empty_contents(&part) {
            out.extend_from_slice(&tensor[part.whole]);
        }
    }
    Ok(())
}
