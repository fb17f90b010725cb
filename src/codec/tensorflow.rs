//! TensorFlow Serving's REST protocol: `instances` (by row) or `inputs` (by column) in, `predictions` or `outputs` out.

pub(super) mod grpc;

use bytes::Bytes;

use super::{Fault, object, rename};

/// A request as it is; a reply with its result renamed to what the next server reads. The predecessor cannot chain a
/// reply by column.
pub(super) fn request(body: &Bytes) -> Result<Bytes, Fault> {
    match object(body, ["instances", "inputs", "predictions", "outputs"])? {
        [Some(_), ..] | [_, Some(_), ..] => Ok(body.clone()),
        [_, _, Some(predictions), _] => Ok(rename(body, &predictions, "instances")),
        [_, _, _, Some(outputs)] => Ok(rename(body, &outputs, "inputs")),
        [None, None, None, None] => Err(Fault::Missing {
            protocol: "tensorflow",
            request: "'instances' or 'inputs'",
            reply: "'predictions' or 'outputs'",
        }),
    }
}
