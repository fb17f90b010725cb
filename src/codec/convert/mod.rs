//! A message in the other encoding: JSON for REST, protobuf for gRPC. Nothing is lost, or it is an error that says what
//! would be.
//!
//! For requests and replies alike, as a graph may mix nodes of both transports. Not for what JSON does not say:
//! TensorFlow Serving's tensors have types there that only the server knows.

mod seldon;
mod v2;

use super::json::SyntaxError;
use super::tensor::ReadError;
use crate::config::settings::{Protocol, Transport};
use crate::record::{Form, Message};

/// Why a message has no other encoding. It is the message, so no retry can help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// Messages of this protocol are never converted.
    #[error("{0}")]
    Impossible(&'static str),
    /// A protobuf message that JSON has no counterpart of.
    #[error("a {0} cannot be converted to JSON")]
    Unknown(&'static str),
    /// Not JSON.
    #[error("the message cannot be converted to protobuf, it is not JSON: {0}")]
    NotJson(#[from] SyntaxError),
    /// Not the protobuf message that it is said to be.
    #[error("the message cannot be converted to JSON, it is no {name}: {reason}")]
    NotProto {
        /// Full name of the message.
        name: &'static str,
        /// What the decoder says.
        reason: String,
    },
    /// Something in it that the other encoding has no place for.
    #[error("the message cannot be converted to {encoding} without loss: {what}")]
    Lossy {
        /// The other encoding.
        encoding: &'static str,
        /// Where and what.
        what: String,
    },
}

impl ConvertError {
    fn to_json(what: String) -> Self {
        Self::Lossy { encoding: "JSON", what }
    }

    fn to_proto(what: String) -> Self {
        Self::Lossy { encoding: "protobuf", what }
    }

    fn read(error: ReadError, encoding: &'static str) -> Self {
        match error {
            ReadError::NotJson(error) => Self::NotJson(error),
            ReadError::NotProto { name, reason } => Self::NotProto { name, reason },
            ReadError::NoTensors(what) => Self::Lossy { encoding, what },
            ReadError::Tensor { name, reason } => Self::Lossy { encoding, what: format!("'{name}': {reason}") },
        }
    }
}

/// Whether messages of a protocol can be converted at all, and if not, why.
pub fn possible(protocol: Protocol) -> Result<(), &'static str> {
    match protocol {
        Protocol::Seldon | Protocol::V2 => Ok(()),
        Protocol::Tensorflow => {
            Err("tensorflow messages cannot be converted between rest and grpc: JSON does not say \
                                     the types of tensors; give all nodes the transport of the records")
        }
    }
}

/// The same message for a transport. One that travels so already is given back as the same bytes.
pub fn to(protocol: Protocol, message: &Message, transport: Transport) -> Result<Message, ConvertError> {
    if message.transport() == transport {
        return Ok(message.clone());
    }
    possible(protocol).map_err(ConvertError::Impossible)?;
    match (&message.form, protocol) {
        (Form::Proto(name), Protocol::V2) => v2::to_json(name, &message.body),
        (Form::Proto(name), _) => seldon::to_json(name, &message.body),
        (Form::Binary { json }, Protocol::V2) => v2::to_proto(&message.body, *json),
        (Form::Json { .. }, Protocol::V2) => v2::to_proto(&message.body, message.body.len()),
        (Form::Json { .. } | Form::Binary { .. }, _) => seldon::to_proto(&message.body),
    }
}

#[cfg(test)]
mod tests;
