//! Seldon's messages, lists of them and feedback: protobuf's JSON mapping as the predecessor's wrapper writes it, to and
//! from protobuf.
//!
//! Numbers in `ndarray`, `jsonData` and tags are doubles in protobuf: `1` and `1.0` are the same there, and what no double
//! stands for is refused. A metric's value and a reward are floats, by the type of their fields. `customData` is of types
//! that only its users know and is refused.

mod dynamic;
mod json;
mod proto;

pub(super) use json::to_json;
pub(super) use proto::to_proto;

#[cfg(test)]
mod tests;
