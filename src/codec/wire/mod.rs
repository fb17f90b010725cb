//! Protobuf on the wire: whether bytes are a well-formed message of a type, and its fields as they stand.
//!
//! Nothing is decoded, so nothing can be lost: a message that passes travels on as the bytes it came in, and a rule that
//! changes one writes new bytes around the old. What passes here is what prost decodes; the tests hold both together.

mod check;
mod reader;
mod schema;
mod write;

pub use check::check;
pub use reader::{Fault, MAX_DEPTH, Part, Wire, WireError, parts, varint};
pub use schema::{Kind, Schema, schema};
pub(super) use write::{put_bytes, put_head, put_tag, put_varint};

#[cfg(test)]
mod agreement_tests;
#[cfg(test)]
mod tests;
