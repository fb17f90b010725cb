//! The request in a record: which encoding it has, and that it is one.

use bytes::Bytes;

use super::error::{DecodeError, shown};
use super::{Fault, gzip, names, request, v2, wire};
use crate::config::settings::{Protocol, Transport};
use crate::record::{Form, Headers, Message};

/// The request in a record of a protocol.
///
/// A header `proto-name` makes it protobuf; else a `Content-Type` of JSON or an `Inference-Header-Content-Length` makes it
/// REST; else it is of the `default` transport. Bytes pass as they came, but for two changes: they are decompressed if the
/// record has `Content-Encoding: gzip`, to at most `limit` bytes; and in JSON, as in the predecessor, an answer is a
/// request too: its outputs become inputs, so that one deployment's output topic can be another's input topic.
pub fn decode(
    protocol: Protocol,
    default: Transport,
    headers: &Headers,
    value: Option<&Bytes>,
    limit: usize,
) -> Result<Message, DecodeError> {
    let value = value.ok_or(DecodeError::Null)?;
    let encoding = encoding(names::request_names(protocol), default, headers)?;
    let value = gzip::plain(headers, value, limit)?;
    let Encoding::Proto(name) = encoding else { return rest(protocol, headers, &value) };
    let message = proto(name, value)?;
    if protocol == Protocol::V2 {
        v2::grpc::check_request(&message.body).map_err(|fault| match fault {
            v2::grpc::Fault::Wire(error) => DecodeError::NotProto { name, error },
            v2::grpc::Fault::Tensors(fault) => DecodeError::Tensors(fault),
        })?;
    }
    Ok(message)
}

/// How a record is encoded.
pub(super) enum Encoding {
    /// JSON, perhaps with binary tensors behind it.
    Json,
    /// A protobuf message of this name.
    Proto(&'static str),
}

/// The encoding of a record that may carry messages of these names.
pub(super) fn encoding(
    accepted: &'static [&'static str],
    default: Transport,
    headers: &Headers,
) -> Result<Encoding, DecodeError> {
    let mut named = headers.0.iter().filter(|header| header.name.eq_ignore_ascii_case("proto-name"));
    if let Some(first) = named.next() {
        if named.any(|other| other.value != first.value) {
            return Err(DecodeError::ProtoNames);
        }
        let found = first.value.as_deref().unwrap_or_default();
        return match accepted.iter().find(|name| name.as_bytes() == found) {
            Some(name) => Ok(Encoding::Proto(name)),
            None => Err(DecodeError::ProtoName { found: shown(found), accepted }),
        };
    }
    let rest = headers.text("content-type").is_some_and(is_json) || headers.get(v2::binary::HEADER).is_some();
    match default {
        Transport::Grpc if !rest => Err(DecodeError::NoProtoName { accepted }),
        _ => Ok(Encoding::Json),
    }
}

/// Whether a content type, with or without parameters, is one of JSON.
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    ["application/json", "text/json"].contains(&essence.as_str())
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// A message that is known to be well formed.
pub(super) fn proto(name: &'static str, value: Bytes) -> Result<Message, DecodeError> {
    if value.is_empty() && !names::may_be_empty(name) {
        return Err(DecodeError::EmptyProto { name });
    }
    if let Some(schema) = wire::schema(name) {
        wire::check(schema, &value).map_err(|error| DecodeError::NotProto { name, error })?;
    }
    Ok(Message::proto(name, value))
}

fn rest(protocol: Protocol, headers: &Headers, value: &Bytes) -> Result<Message, DecodeError> {
    if value.is_empty() {
        return Err(DecodeError::Empty);
    }
    if protocol == Protocol::V2
        && let Some(length) = headers.get(v2::binary::HEADER)
    {
        let json = v2::binary::json_length(length, value)?;
        let (body, json) = v2::binary::request(value, json).map_err(|fault| match fault {
            v2::binary::Fault::Json(fault) => fault.into(),
            v2::binary::Fault::Binary(fault) => DecodeError::Binary(fault),
        })?;
        return Ok(Message { body, form: Form::Binary { json } });
    }
    Ok(Message { body: request(protocol, value)?, form: json_form(headers) })
}

/// JSON of the record's content type, which is not worth keeping where it says what everybody assumes.
pub(super) fn json_form(headers: &Headers) -> Form {
    let content_type = headers.get("content-type").filter(|value| value.as_ref() != b"application/json");
    Form::Json { content_type: content_type.cloned() }
}

impl From<Fault> for DecodeError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Syntax(error) => Self::NotJson(error),
            Fault::Root(root) => Self::NotObject(root),
            Fault::Missing { protocol, request, .. } => Self::MissingKey { protocol, expected: request },
        }
    }
}
