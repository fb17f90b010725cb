//! One call to one node, and what comes of it.

use std::time::Duration;

use super::headers::CallHeaders;
use crate::record::{CallKind, Message};

/// One call.
#[derive(Clone, Debug)]
pub struct CallRequest {
    /// What the node is asked to do.
    pub kind: CallKind,
    /// What it is sent.
    pub message: Message,
    /// What is said besides.
    pub headers: CallHeaders,
    /// Time until the whole reply is there.
    pub timeout: Duration,
}

/// What a node answered with success.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The reply.
    pub message: Message,
    /// Time from the start of the call to the last byte.
    pub elapsed: Duration,
}
