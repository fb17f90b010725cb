//! What a combiner is sent: the replies of all children, as one message.

use bytes::{Bytes, BytesMut};
use millrace_proto::{ProtoName, seldon};

use super::error::ChainError;
use super::wire::{put_bytes, schema};
use super::{json, names, wire};
use crate::config::settings::Protocol;
use crate::record::{Form, Message};

/// Field number of the messages in a list of them.
const MESSAGES: u32 = 1;
const JSON: &str = "JSON";
const BINARY: &str = "JSON with binary tensors";

/// The replies as one message, in this order: a JSON list of them, or Seldon's message for several. Each stands in it as
/// the bytes it came in. All must be of the first one's transport.
pub fn aggregate(protocol: Protocol, messages: &[Message]) -> Result<Message, ChainError> {
    match (messages.first().map(|message| &message.form), protocol) {
        (None, _) => Err(ChainError::NoReply),
        (Some(Form::Json { .. } | Form::Binary { .. }), _) => list(messages),
        (Some(Form::Proto(_)), Protocol::Seldon) => seldon_list(messages),
        (Some(Form::Proto(_)), _) => Err(ChainError::NoList { protocol: names::label(protocol) }),
    }
}

fn list(messages: &[Message]) -> Result<Message, ChainError> {
    for (child, message) in messages.iter().enumerate() {
        let form = |found| ChainError::ChildForm { child, found, expected: JSON };
        match message.form {
            Form::Json { .. } => {}
            Form::Binary { .. } => return Err(form(BINARY)),
            Form::Proto(name) => return Err(form(name)),
        }
        json::scan(&message.body, |_| {}).map_err(|error| ChainError::ChildNotJson { child, error })?;
    }
    let mut all = BytesMut::with_capacity(bytes(messages) + messages.len() + 1);
    for (child, message) in messages.iter().enumerate() {
        all.extend_from_slice(if child == 0 { b"[" } else { b"," });
        all.extend_from_slice(&message.body);
    }
    all.extend_from_slice(b"]");
    Ok(Message::json(all))
}

fn seldon_list(messages: &[Message]) -> Result<Message, ChainError> {
    let name = seldon::SeldonMessage::PROTO_NAME;
    for (child, message) in messages.iter().enumerate() {
        let form = |found| ChainError::ChildForm { child, found, expected: name };
        match message.form {
            Form::Proto(found) if found == name => {}
            Form::Proto(found) => return Err(form(found)),
            Form::Json { .. } => return Err(form(JSON)),
            Form::Binary { .. } => return Err(form(BINARY)),
        }
        if let Some(schema) = schema(name) {
            wire::check(schema, &message.body).map_err(|error| ChainError::ChildNotProto { child, name, error })?;
        }
    }
    // A tag and a length that fits in nine bytes.
    let mut all = BytesMut::with_capacity(bytes(messages) + 10 * messages.len());
    for message in messages {
        put_bytes(&mut all, MESSAGES, &message.body);
    }
    Ok(Message::proto(seldon::SeldonMessageList::PROTO_NAME, Bytes::from(all)))
}

fn bytes(messages: &[Message]) -> usize {
    messages.iter().map(|message| message.body.len()).sum()
}
