//! Bytes to requests and replies and back, per protocol. Pure.
//!
//! A body is checked and passed on as the bytes it came in; where the chaining rule of a protocol renames a key, only the
//! bytes of that key change. Not for transport, and not for judging a reply: HTTP 200 decides that.

pub mod average;
pub mod convert;
pub mod difference;
pub mod json;
pub mod meta;
mod seldon;
pub mod simple;
pub mod tensor;
mod tensorflow;
mod v2;

use bytes::{Bytes, BytesMut};

use self::json::{Member, Root, SyntaxError};
use crate::config::settings::Protocol;

/// Why a record's value is no request. Class `undecodable`: no retry can help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Kafka's null: a tombstone.
    #[error("the record has no value (null); a request must be a JSON object")]
    Null,
    /// Zero bytes.
    #[error("the record's value is empty; a request must be a JSON object")]
    Empty,
    /// Not JSON.
    #[error("the record's value is not JSON: {0}")]
    NotJson(#[from] SyntaxError),
    /// JSON, but no object.
    #[error("the record's value is a JSON {}; a request must be an object", kind(*.0))]
    NotObject(Root),
    /// An object of another protocol, or of none.
    #[error("the record's value lacks {expected}, which a {protocol} request must have")]
    MissingKey {
        /// Protocol that was expected.
        protocol: &'static str,
        /// The key or keys that would do.
        expected: &'static str,
    },
}

/// Why a node's reply cannot be the next node's request. It is an answer, so no retry can help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// Not JSON.
    #[error("the reply cannot be passed to the next node, it is not JSON: {0}")]
    NotJson(#[from] SyntaxError),
    /// JSON, but no object.
    #[error("the reply cannot be passed to the next node, it is a JSON {}, not an object", kind(*.0))]
    NotObject(Root),
    /// Nothing that the protocol's chaining rule could use.
    #[error("the reply cannot be passed to the next node, it lacks {expected}, which a {protocol} reply must have")]
    MissingKey {
        /// Protocol of the graph.
        protocol: &'static str,
        /// The key or keys that would do.
        expected: &'static str,
    },
}

fn kind(root: Root) -> &'static str {
    match root {
        Root::Object => "object",
        Root::Array => "array",
        Root::Scalar => "scalar",
    }
}

/// The request in a record's value.
///
/// As in the predecessor, an answer of the same protocol is a request too: its outputs become inputs, so that one
/// deployment's output topic can be another's input topic.
pub fn check(protocol: Protocol, value: Option<&Bytes>) -> Result<Bytes, DecodeError> {
    let value = value.ok_or(DecodeError::Null)?;
    if value.is_empty() {
        return Err(DecodeError::Empty);
    }
    request(protocol, value).map_err(|fault| match fault {
        Fault::Syntax(error) => DecodeError::NotJson(error),
        Fault::Root(root) => DecodeError::NotObject(root),
        Fault::Missing { protocol, request, .. } => DecodeError::MissingKey { protocol, expected: request },
    })
}

/// A node's reply as the next node's request.
pub fn chain(protocol: Protocol, reply: &Bytes) -> Result<Bytes, ChainError> {
    if protocol == Protocol::Seldon {
        return Ok(reply.clone());
    }
    request(protocol, reply).map_err(|fault| match fault {
        Fault::Syntax(error) => ChainError::NotJson(error),
        Fault::Root(root) => ChainError::NotObject(root),
        Fault::Missing { protocol, reply, .. } => ChainError::MissingKey { protocol, expected: reply },
    })
}

fn request(protocol: Protocol, body: &Bytes) -> Result<Bytes, Fault> {
    match protocol {
        Protocol::Seldon => seldon::request(body),
        Protocol::Tensorflow => tensorflow::request(body),
        Protocol::V2 => v2::request(body),
    }
}

/// What is wrong with a body, before it is known where the body came from.
#[derive(Debug)]
enum Fault {
    Syntax(SyntaxError),
    Root(Root),
    /// Keys that would make it a request, and those that would make it a reply that can be chained.
    Missing {
        protocol: &'static str,
        request: &'static str,
        reply: &'static str,
    },
}

/// The members of these names, if the body is a JSON object.
fn object<const N: usize>(body: &Bytes, names: [&str; N]) -> Result<[Option<Member>; N], Fault> {
    match json::members(body, names).map_err(Fault::Syntax)? {
        (Root::Object, found) => Ok(found),
        (root, _) => Err(Fault::Root(root)),
    }
}

/// The body with another name for one member. Every other byte stays.
fn rename(body: &Bytes, member: &Member, name: &str) -> Bytes {
    let mut renamed = BytesMut::with_capacity(body.len() + name.len());
    renamed.extend_from_slice(&body[..member.key.start]);
    renamed.extend_from_slice(b"\"");
    renamed.extend_from_slice(name.as_bytes());
    renamed.extend_from_slice(b"\"");
    renamed.extend_from_slice(&body[member.key.end..]);
    renamed.freeze()
}

#[cfg(test)]
mod tests;
