//! What Seldon's messages carry beside their data: an answer gets the tags, paths and metrics of the replies before it,
//! and the routes that its request took.
//!
//! Nothing of a message is written anew but what is put in: JSON gets text spliced in, protobuf gets a further `meta`
//! field, since readers merge those. Protocol seldon only; what has no place for it is left as it is.

mod grpc;
mod rest;

use bytes::Bytes;
use millrace_proto::ProtoName;
use millrace_proto::seldon::SeldonMessage;

use super::convert::{self, ConvertError};
use super::json::SyntaxError;
use crate::config::settings::Protocol;
use crate::record::{Form, Message};

/// Why the metadata of replies cannot be put together. They are answers, so no retry can help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetaError {
    /// Not JSON.
    #[error("the metadata of replies cannot be merged, a reply is not JSON: {0}")]
    NotJson(#[from] SyntaxError),
    /// Not the protobuf message that it is said to be.
    #[error("the metadata of replies cannot be merged, a reply is no seldon.protos.SeldonMessage: {0}")]
    NotProto(String),
    /// Replies of the other encoding, with metadata that this one cannot hold.
    #[error("the metadata of replies cannot be merged: {0}")]
    Convert(#[from] ConvertError),
}

/// The answer with what earlier replies said of the request: tags and request paths of a name that it has not (of these
/// the last reply's), and metrics before its own, but for those that it repeats. The same bytes if there is nothing.
pub fn merge(into: &Message, from: &[&Message]) -> Result<Message, MetaError> {
    let transport = into.transport();
    let mut metas = Vec::new();
    for earlier in from {
        let Some(meta) = meta(earlier)? else { continue };
        metas.push(convert::to(Protocol::Seldon, &meta, transport)?.body);
    }
    if metas.is_empty() {
        return Ok(into.clone());
    }
    let body = match into.form {
        Form::Json { .. } => rest::merge(&into.body, &metas)?,
        Form::Proto(name) if name == SeldonMessage::PROTO_NAME => grpc::merge(&into.body, &metas)?,
        Form::Proto(_) | Form::Binary { .. } => None,
    };
    Ok(changed(into, body))
}

/// The message with the route that was taken at each of these nodes; a route that it has for one is replaced. What is no
/// message, or has no place for routes, is given back as it is.
pub fn with_routing(message: &Message, routes: &[(&str, i32)]) -> Message {
    if routes.is_empty() {
        return message.clone();
    }
    let body = match message.form {
        Form::Json { .. } => rest::with_routing(&message.body, routes),
        Form::Proto(name) if name == SeldonMessage::PROTO_NAME => grpc::with_routing(&message.body, routes),
        Form::Proto(_) | Form::Binary { .. } => None,
    };
    changed(message, body)
}

fn changed(message: &Message, body: Option<Vec<u8>>) -> Message {
    let body = body.map_or_else(|| message.body.clone(), Bytes::from);
    Message { body, form: message.form.clone() }
}

/// A message that has nothing but the parts of a reply's metadata that are handed on; nothing when it has none.
fn meta(reply: &Message) -> Result<Option<Message>, MetaError> {
    match reply.form {
        Form::Json { .. } => Ok(rest::handed_on(&reply.body)?.map(Message::json)),
        Form::Proto(name) if name == SeldonMessage::PROTO_NAME => {
            Ok(grpc::handed_on(&reply.body)?.map(|body| Message::proto(SeldonMessage::PROTO_NAME, body)))
        }
        Form::Proto(_) | Form::Binary { .. } => Ok(None),
    }
}

#[cfg(test)]
mod tests;
