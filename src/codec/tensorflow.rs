//! TensorFlow Serving's REST protocol: `instances` (by row) or `inputs` (by column) in, `predictions` or `outputs` out.

pub(super) mod grpc;

use bytes::Bytes;

use super::json::{self, Root};
use super::{Fault, rename};

/// A request as it is; a reply with its result renamed to what the next server reads. The predecessor cannot chain a
/// reply by column.
pub(super) fn request(body: &Bytes) -> Result<Bytes, Fault> {
    let names = ["instances", "inputs", "predictions", "outputs"];
    // The server stops reading where the value ends, so what follows it is not ours to refuse.
    let found = match json::first_members(body, names).map_err(Fault::Syntax)? {
        (Root::Object, found) => found,
        (root, _) => return Err(Fault::Root(root)),
    };
    match found {
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
