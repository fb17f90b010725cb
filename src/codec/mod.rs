//! Bytes to requests and replies and back, per protocol. Pure.
//!
//! A body is checked and passed on as the bytes it came in; where the chaining rule of a protocol renames a key or a field,
//! only the bytes of that key or field change. Not for transport, and not for judging a reply: its status decides that.

mod aggregate;
pub mod average;
pub mod batch;
pub mod convert;
mod decode;
pub mod difference;
mod error;
mod feedback;
mod gzip;
pub mod json;
pub mod meta;
mod names;
mod prepare;
mod route;
mod seldon;
pub mod simple;
pub mod tensor;
mod tensorflow;
mod v2;
pub mod wire;

use bytes::{Bytes, BytesMut};

pub use self::aggregate::aggregate;
pub use self::decode::decode;
pub use self::error::{BinaryFault, ChainError, DecodeError, RouteError, TensorFault};
pub use self::feedback::{decode_feedback, feedback_route};
use self::json::{Member, Root, SyntaxError};
pub use self::names::{FEEDBACK, request_names};
pub use self::prepare::prepare;
pub use self::route::route;
use crate::config::settings::Protocol;

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
mod grpc_tests;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod rest_tests;
#[cfg(test)]
mod route_tests;
#[cfg(test)]
mod tests;
