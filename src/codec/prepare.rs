//! What a node is sent: the latest message, made a request where it is a reply of another node.

use bytes::Bytes;
use millrace_proto::{ProtoName, inference, tensorflow_serving as serving};

use super::error::ChainError;
use super::{Fault, names, request, tensorflow, v2, wire};
use crate::config::settings::Protocol;
use crate::record::{CallKind, Form, Message};

/// What the node `model` is sent in a call of this kind.
///
/// For predict and transform calls a reply becomes a request by the protocol's rule for chaining, and a V2 request over
/// gRPC that names no model names this one. All else goes as it is, and so does what needs no change: the same bytes.
pub fn prepare(protocol: Protocol, message: &Message, kind: CallKind, model: &str) -> Result<Message, ChainError> {
    match kind {
        CallKind::Predict | CallKind::TransformInput | CallKind::TransformOutput => {}
        CallKind::Route | CallKind::Aggregate | CallKind::SendFeedback => return Ok(message.clone()),
    }
    match (protocol, &message.form) {
        (Protocol::Seldon, _) => Ok(message.clone()),
        (_, form @ Form::Json { .. }) => Ok(Message { body: request(protocol, &message.body)?, form: form.clone() }),
        (Protocol::V2, Form::Binary { json }) => {
            let (body, json) = v2::binary::request(&message.body, *json).map_err(|fault| match fault {
                v2::binary::Fault::Json(fault) => fault.into(),
                v2::binary::Fault::Binary(fault) => ChainError::Binary(fault),
            })?;
            Ok(Message { body, form: Form::Binary { json } })
        }
        (Protocol::Tensorflow, Form::Binary { .. }) => {
            Err(ChainError::NotChainable { protocol: names::label(protocol), found: "JSON with binary tensors" })
        }
        (Protocol::Tensorflow, Form::Proto(name)) => tensorflow(message, name, model),
        (Protocol::V2, Form::Proto(name)) => v2(message, name, model),
    }
}

fn tensorflow(message: &Message, name: &'static str, model: &str) -> Result<Message, ChainError> {
    let protocol = Protocol::Tensorflow;
    if names::request_names(protocol).contains(&name) {
        return Ok(message.clone());
    }
    if name != serving::PredictResponse::PROTO_NAME {
        return Err(ChainError::NotChainable { protocol: names::label(protocol), found: name });
    }
    let refused = |error| ChainError::NotProto { name, error };
    well_formed(name, &message.body)?;
    let body = tensorflow::grpc::predict_request(&message.body, model).map_err(refused)?;
    Ok(Message::proto(serving::PredictRequest::PROTO_NAME, body))
}

fn v2(message: &Message, name: &'static str, model: &str) -> Result<Message, ChainError> {
    let wanted = inference::ModelInferRequest::PROTO_NAME;
    if name == wanted {
        let body = v2::grpc::named(&message.body, model).map_err(|error| ChainError::NotProto { name, error })?;
        return Ok(Message::proto(wanted, body));
    }
    if name != inference::ModelInferResponse::PROTO_NAME {
        return Err(ChainError::NotChainable { protocol: names::label(Protocol::V2), found: name });
    }
    well_formed(name, &message.body)?;
    let body = v2::grpc::request(&message.body, model).map_err(|fault| match fault {
        v2::grpc::Fault::Wire(error) => ChainError::NotProto { name, error },
        v2::grpc::Fault::Tensors(fault) => ChainError::Tensors(fault),
    })?;
    Ok(Message::proto(wanted, body))
}

fn well_formed(name: &'static str, reply: &Bytes) -> Result<(), ChainError> {
    match wire::schema(name) {
        Some(schema) => wire::check(schema, reply).map_err(|error| ChainError::NotProto { name, error }),
        None => Ok(()),
    }
}

impl From<Fault> for ChainError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Syntax(error) => Self::NotJson(error),
            Fault::Root(root) => Self::NotObject(root),
            Fault::Missing { protocol, reply, .. } => Self::MissingKey { protocol, expected: reply },
        }
    }
}
