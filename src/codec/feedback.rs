//! Feedback: how good an answer was, for the nodes that gave it.

use bytes::Bytes;

use super::decode::{Encoding, encoding, json_form, proto};
use super::error::{DecodeError, RouteError};
use super::wire::{Wire, WireError, parts};
use super::{gzip, json, names, object, route, wire};
use crate::config::settings::Transport;
use crate::record::{Form, Headers, Message};

/// The feedback in a record, of Seldon's protocol. Encodings and `limit` are those of [`decode`](super::decode()).
pub fn decode_feedback(
    default: Transport,
    headers: &Headers,
    value: Option<&Bytes>,
    limit: usize,
) -> Result<Message, DecodeError> {
    let value = value.ok_or(DecodeError::Null)?;
    let encoding = encoding(&[names::FEEDBACK], default, headers)?;
    let value = gzip::plain(headers, value, limit)?;
    match encoding {
        Encoding::Proto(name) => proto(name, value),
        Encoding::Json if value.is_empty() => Err(DecodeError::Empty),
        Encoding::Json => {
            let keys = object(&value, ["request", "response", "reward", "truth"])?;
            if keys.iter().all(Option::is_none) {
                let expected = "'request', 'response', 'reward' or 'truth'";
                return Err(DecodeError::MissingKey { protocol: "feedback", expected });
            }
            Ok(Message { body: value, form: json_form(headers) })
        }
    }
}

/// Which of a node's children gave the answer that this feedback is about: `response.meta.routing` of the node, or -1,
/// which is all of them, if it says nothing of the node.
pub fn feedback_route(message: &Message, node: &str) -> Result<i32, RouteError> {
    match message.form {
        Form::Json { .. } | Form::Binary { .. } => {
            match json::path(&message.body, &["response", "meta", "routing", node])? {
                Some(place) => route::of_text(&message.body[place]),
                None => Ok(-1),
            }
        }
        Form::Proto(name) => {
            let number = routing(&message.body, node).map_err(|error| RouteError::NotProto { name, error })?;
            number.map_or(Ok(-1), route::of_int)
        }
    }
}

/// Field numbers: in feedback, in a Seldon message, in its meta, in an entry of a map.
const RESPONSE: u32 = 2;
const META: u32 = 2;
const ROUTING: u32 = 3;
const KEY: u32 = 1;
const VALUE: u32 = 2;

/// What the routing says of a node. A message that stands twice is one message with the fields of both, so the last entry
/// of a node counts, wherever it stands.
fn routing(feedback: &[u8], node: &str) -> Result<Option<i64>, WireError> {
    let mut found = None;
    each(feedback, RESPONSE, &mut |response| {
        each(response, META, &mut |meta| {
            each(meta, ROUTING, &mut |entry| {
                let (mut key, mut value) = (&[][..], 0);
                for part in parts(entry) {
                    let part = part?;
                    match (part.number, part.wire) {
                        (KEY, Wire::Bytes) => key = &entry[part.value],
                        // A 32-bit number: what is above it does not count.
                        (VALUE, Wire::Varint) => value = wire::varint(&entry[part.value])? as i32,
                        _ => {}
                    }
                }
                if key == node.as_bytes() {
                    found = Some(i64::from(value));
                }
                Ok(())
            })
        })
    })?;
    Ok(found)
}

/// Shows each value of a field of messages.
fn each(message: &[u8], number: u32, visit: &mut dyn FnMut(&[u8]) -> Result<(), WireError>) -> Result<(), WireError> {
    for part in parts(message) {
        let part = part?;
        if part.number == number && part.wire == Wire::Bytes {
            visit(&message[part.value])?;
        }
    }
    Ok(())
}
