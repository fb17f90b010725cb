//! The Open Inference Protocol (V2, kfserving) over REST: `inputs` in, `outputs` out, all other keys kept.

pub(super) mod binary;
pub(super) mod grpc;

use bytes::Bytes;

use super::{Fault, object, rename};

/// A request as it is (its `outputs`, if any, only choose what is asked for); a reply with `outputs` renamed.
pub(super) fn request(body: &Bytes) -> Result<Bytes, Fault> {
    match object(body, ["inputs", "outputs"])? {
        [Some(_), _] => Ok(body.clone()),
        [None, Some(outputs)] => Ok(rename(body, &outputs, "inputs")),
        [None, None] => Err(Fault::Missing { protocol: "v2", request: "'inputs'", reply: "'outputs'" }),
    }
}
