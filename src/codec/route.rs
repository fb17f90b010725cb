//! The route in a router's answer: the first number of its data.
//!
//! Whether there is such a child is for the graph to say.

mod json;
mod number;
mod proto;

pub(super) use self::number::{of_int, of_text};

use super::error::RouteError;
use crate::config::settings::Protocol;
use crate::record::{Form, Message};

/// Which child goes on: its index, or -1 for all of them, or -2 for none.
///
/// The first number of the answer's data, which must be whole (`1.0` is 1). In JSON: the protocol's own answer, Seldon's
/// `data`, or a bare list.
pub fn route(protocol: Protocol, reply: &Message) -> Result<i32, RouteError> {
    match reply.form {
        Form::Json { .. } => json::route(protocol, &reply.body, &[]),
        Form::Binary { json } => match reply.body.split_at_checked(json) {
            Some((text, tensors)) => json::route(protocol, text, tensors),
            None => Err(RouteError::Message("body that is shorter than its JSON text")),
        },
        Form::Proto(name) => proto::route(name, &reply.body),
    }
}
