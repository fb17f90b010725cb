//! Requests of several records merged into one call, and its reply split into theirs. Pure.
//!
//! What may be merged stands in docs/protocols.md. Numbers are spliced as they were sent, never printed anew.

mod class;
mod control;
mod key;
mod list;
mod members;
mod proto;
mod rows;
mod seldon_data;
mod seldon_grpc;
mod seldon_grpc_reply;
mod seldon_ndarray;
mod seldon_rest;
mod seldon_rest_reply;
mod seldon_status;
mod shape;
mod splice;
mod tensorflow_grpc;
mod tensorflow_rest;
mod tensorflow_tensor;
mod v2_grpc;
mod v2_json;
mod v2_rest;
mod v2_rest_reply;
mod v2_tensor;

use std::sync::Arc;

use millrace_proto::{ProtoName, inference, seldon, tensorflow_serving as serving};

use self::key::Key;
use self::rows::Rows;
use crate::config::settings::Protocol;
use crate::record::{CallKind, Form, Message};

/// A request that may be merged with others of the same [`Part::key`].
#[derive(Clone, Debug)]
pub struct Part {
    key: Arc<[u8]>,
    rows: usize,
    bytes: usize,
    message: Message,
    places: Arc<Places>,
}

/// Why a reply cannot be given back to the requests it answers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsplit {
    /// Its outputs are no rows, or not as many as were sent: the model is not one that answers row by row.
    #[error("the reply has other rows than the {sent} that were sent: {found}")]
    Rows {
        /// Rows of the merged request.
        sent: usize,
        /// What the reply has.
        found: String,
    },
    /// It is about the call and not about its rows.
    #[error("the reply to a merged request says that it failed")]
    Failed,
    /// It cannot be read.
    #[error("the reply to a merged request cannot be read: {0}")]
    Unreadable(String),
}

/// Where in a request's bytes is what merging needs.
#[derive(Debug)]
enum Places {
    SeldonGrpc(seldon_grpc::Places),
    SeldonRest(seldon_rest::Places),
    TensorflowGrpc(tensorflow_grpc::Places),
    TensorflowRest(tensorflow_rest::Places),
    V2Grpc(v2_grpc::Places),
    V2Rest(v2_rest::Places),
}

/// Bodies and places of the parts of one kind.
macro_rules! alike {
    ($parts:expr, $kind:ident) => {{
        let places = $parts.iter().map(|part: &Part| (&part.message.body[..], &*part.places));
        let alike = places.filter_map(|(body, places)| match places {
            Places::$kind(places) => Some((body, places)),
            _ => None,
        });
        alike.collect::<Vec<_>>()
    }};
}

/// What reading a request found.
struct Found {
    key: Key,
    rows: usize,
    places: Places,
}

impl Part {
    /// Reads a request; nothing if it must be sent alone.
    pub fn of(protocol: Protocol, kind: CallKind, message: &Message) -> Option<Self> {
        if kind != CallKind::Predict {
            return None;
        }
        let body = &message.body[..];
        let found = match (protocol, &message.form) {
            (Protocol::Seldon, Form::Json { content_type }) => {
                seldon_rest::read(body, Key::new(5).optional(content_type.as_deref()))
            }
            (Protocol::Seldon, Form::Proto(seldon::SeldonMessage::PROTO_NAME)) => seldon_grpc::read(body, Key::new(6)),
            (Protocol::Tensorflow, Form::Json { content_type }) => {
                tensorflow_rest::read(body, Key::new(0).optional(content_type.as_deref()))
            }
            (Protocol::Tensorflow, Form::Proto(serving::PredictRequest::PROTO_NAME)) => {
                tensorflow_grpc::read(body, Key::new(4))
            }
            (Protocol::V2, Form::Json { content_type }) => {
                v2_rest::read(body, body.len(), Key::new(2).optional(content_type.as_deref()))
            }
            (Protocol::V2, Form::Binary { json }) => v2_rest::read(body, *json, Key::new(3)),
            (Protocol::V2, Form::Proto(inference::ModelInferRequest::PROTO_NAME)) => v2_grpc::read(body, Key::new(1)),
            _ => None,
        }?;
        let bytes = message.body.len();
        let (key, places) = (found.key.done(), Arc::new(found.places));
        Some(Self { key, rows: found.rows, bytes, message: message.clone(), places })
    }

    /// What requests that are merged have in common: all but their rows and their ids. Headers are not in it.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Rows of the request, one at least.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes that it adds to a merged request, at most: the merged body is no longer than the sum.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// The request of all parts, which have the same key, in this order.
pub fn merge(parts: &[Part]) -> Message {
    let Some(first) = parts.first() else { return Message::json("") };
    if parts.len() == 1 {
        return first.message.clone();
    }
    let rows = Rows::of(parts).sum();
    let body = match &*first.places {
        Places::SeldonGrpc(_) => seldon_grpc::merge(&alike!(parts, SeldonGrpc), rows).freeze(),
        Places::SeldonRest(_) => seldon_rest::merge(&alike!(parts, SeldonRest), rows).into(),
        Places::TensorflowRest(_) => tensorflow_rest::merge(&alike!(parts, TensorflowRest)).into(),
        Places::TensorflowGrpc(_) => tensorflow_grpc::merge(&alike!(parts, TensorflowGrpc), rows).freeze(),
        Places::V2Grpc(_) => v2_grpc::merge(&alike!(parts, V2Grpc), rows).freeze(),
        Places::V2Rest(_) => {
            let (body, json) = v2_rest::merge(&alike!(parts, V2Rest), rows);
            let form = match &first.message.form {
                Form::Binary { .. } => Form::Binary { json },
                other => other.clone(),
            };
            return Message { body: body.into(), form };
        }
    };
    Message { body, form: first.message.form.clone() }
}

/// The replies of the parts of a merged request, in their order.
pub fn split(parts: &[Part], reply: &Message) -> Result<Vec<Message>, Unsplit> {
    let [first, _, ..] = parts else { return Ok(parts.iter().map(|_| reply.clone()).collect()) };
    let rows = Rows::of(parts);
    match (&*first.places, &reply.form) {
        (Places::SeldonGrpc(_), Form::Proto(seldon::SeldonMessage::PROTO_NAME)) => {
            seldon_grpc_reply::split(&alike!(parts, SeldonGrpc), &rows, reply)
        }
        (Places::SeldonRest(_), Form::Json { .. }) => {
            seldon_rest_reply::split(&alike!(parts, SeldonRest), &rows, reply)
        }
        (Places::TensorflowRest(_), Form::Json { .. }) => tensorflow_rest::split(&rows, reply),
        (Places::TensorflowGrpc(_), Form::Proto(serving::PredictResponse::PROTO_NAME)) => {
            tensorflow_grpc::split(&rows, reply)
        }
        (Places::V2Grpc(_), Form::Proto(inference::ModelInferResponse::PROTO_NAME)) => {
            v2_grpc::split(&alike!(parts, V2Grpc), &rows, reply)
        }
        (Places::V2Rest(_), Form::Json { .. }) => {
            v2_rest_reply::split(&alike!(parts, V2Rest), &rows, reply, reply.body.len())
        }
        (Places::V2Rest(_), Form::Binary { json }) => v2_rest_reply::split(&alike!(parts, V2Rest), &rows, reply, *json),
        (_, form) => Err(Unsplit::Unreadable(format!("it is of another form than the request: {form:?}"))),
    }
}

#[cfg(test)]
mod tests;
