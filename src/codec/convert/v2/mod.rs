//! V2: JSON, with or without the binary extension, to and from `ModelInferRequest` and `ModelInferResponse`.
//!
//! What has `inputs` is a request, else what has `outputs` is a reply. Raw contents become plain JSON, because stock
//! servers do not know the binary extension. The parameter that says how many raw bytes a tensor has describes an
//! encoding and is not taken over; every other parameter is.

mod json;
mod proto;

pub(super) use json::to_json;
pub(super) use proto::to_proto;

#[cfg(test)]
mod tests;
