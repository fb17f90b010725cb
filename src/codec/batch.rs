//! Requests of several records merged into one call, and its reply split into theirs. Pure.
//!
//! What may be merged stands in docs/protocols.md. Numbers are spliced as they were sent, never printed anew.

use std::sync::Arc;

use crate::config::settings::Protocol;
use crate::record::{CallKind, Message};

/// A request that may be merged with others of the same [`Part::key`].
#[derive(Clone, Debug)]
pub struct Part {
    key: Arc<[u8]>,
    rows: usize,
    bytes: usize,
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
    /// It cannot be read.
    #[error("the reply to a merged request cannot be read: {0}")]
    Unreadable(String),
}

impl Part {
    /// Reads a request; nothing if it must be sent alone.
    pub fn of(protocol: Protocol, kind: CallKind, message: &Message) -> Option<Self> {
        let _ = (protocol, kind, message);
        None
    }

    /// What requests that are merged have in common: all but their rows and their ids.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Rows of the request, one at least.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes that it adds to a merged request.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// The request of all parts, which have the same key, in this order.
pub fn merge(parts: &[Part]) -> Message {
    let _ = parts;
    Message::json("")
}

/// The replies of the parts of a merged request, in their order.
pub fn split(parts: &[Part], reply: &Message) -> Result<Vec<Message>, Unsplit> {
    let _ = (parts, reply);
    Err(Unsplit::Unreadable(String::new()))
}
