//! TensorFlow Serving over gRPC: a reply as the next request.

use bytes::{Bytes, BytesMut};

use super::super::wire::{WireError, parts, put_bytes, put_head, put_tag};

/// Field numbers of `PredictRequest`.
pub(in crate::codec) const MODEL_SPEC: u32 = 1;
pub(in crate::codec) const INPUTS: u32 = 2;
const REQUEST_FIELDS: std::ops::RangeInclusive<u32> = 1..=7;
/// Field numbers of `PredictResponse`, where they are the other way round.
pub(in crate::codec) const OUTPUTS: u32 = 1;
/// In `ModelSpec`.
const NAME: u32 = 1;

/// A well-formed `PredictResponse` as a `PredictRequest` for this model: outputs are inputs, tensors stay as they are.
/// Version and signature were those of the model that answered, so they do not go on; nor do fields that nobody knows in
/// a reply and that would mean something in a request.
pub(in crate::codec) fn predict_request(reply: &[u8], model: &str) -> Result<Bytes, WireError> {
    let mut spec = BytesMut::with_capacity(model.len() + 8);
    put_bytes(&mut spec, NAME, model.as_bytes());
    let mut request = BytesMut::with_capacity(reply.len() + spec.len() + 8);
    put_head(&mut request, MODEL_SPEC, spec.len());
    request.extend_from_slice(&spec);
    for part in parts(reply) {
        let part = part?;
        if part.number == OUTPUTS {
            put_tag(&mut request, INPUTS, part.wire);
            request.extend_from_slice(&reply[part.tail]);
        } else if !REQUEST_FIELDS.contains(&part.number) {
            request.extend_from_slice(&reply[part.whole]);
        }
    }
    Ok(request.freeze())
}
