//! Why a call failed, and what that means for whoever decides about a retry.
//!
//! An error does not name its node or endpoint: who called knows both. Code that decides asks [`CallError::class`], never the
//! text.

use std::time::Duration;

use bytes::Bytes;

/// Bytes of an error answer's body that are kept.
pub const BODY_KEPT: usize = 4 * 1024;

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No connection: refused, unreachable, or a name that does not resolve.
    #[error("cannot connect: {0}")]
    Refused(String),
    /// No connection in time.
    #[error("no connection within {0:?}")]
    ConnectTimeout(Duration),
    /// A connection broke before the whole reply was there. The model may have seen the request.
    #[error("connection lost before the reply was complete: {0}")]
    Reset(String),
    /// No complete reply in time.
    #[error("no complete reply within {0:?}")]
    Timeout(Duration),
    /// An answer that is not 200, the only status that the predecessor takes as success.
    #[error("status {code}")]
    Status {
        /// HTTP status.
        code: u16,
        /// The first [`BODY_KEPT`] bytes of its body.
        body: Bytes,
        /// How long the server asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// A reply longer than is read.
    #[error("the reply is larger than {limit} bytes; raise limits.reply_bytes if that is right")]
    ReplyTooLarge {
        /// The bound.
        limit: usize,
    },
    /// Bytes that are no HTTP reply, or one that cannot be taken as it is.
    #[error("unusable reply: {0}")]
    BadReply(String),
}

/// What a failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The endpoint is not there: nobody's fault, costs a record nothing.
    Unavailable,
    /// No answer in time: the record's fault only if the endpoint answers others.
    TimedOut,
    /// The same call may succeed later.
    Retryable,
    /// The same call will fail again.
    Permanent,
}

impl CallError {
    /// What the failure means.
    ///
    /// Of the gateway statuses only 503 is *unavailable*: it says that of itself, and proxies and meshes send it when
    /// nothing is behind them. 502 and 504 are also what a gateway makes of one request that crashed or stalled its
    /// server; taken as unavailable, such a request would be tried for ever.
    pub fn class(&self) -> Class {
        match self {
            Self::Refused(_) | Self::ConnectTimeout(_) | Self::Reset(_) => Class::Unavailable,
            Self::Timeout(_) => Class::TimedOut,
            Self::Status { code, .. } => match code {
                503 => Class::Unavailable,
                408 | 425 | 429 | 500..=599 => Class::Retryable,
                _ => Class::Permanent,
            },
            Self::ReplyTooLarge { .. } => Class::Permanent,
            Self::BadReply(_) => Class::Retryable,
        }
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.class() != Class::Permanent
    }

    /// Whether the failure shows that the server itself works on requests. A gateway's answer does not.
    pub fn is_answer(&self) -> bool {
        match self {
            Self::Status { code, .. } => !matches!(code, 502..=504),
            Self::ReplyTooLarge { .. } => true,
            Self::Refused(_) | Self::ConnectTimeout(_) | Self::Reset(_) | Self::Timeout(_) | Self::BadReply(_) => false,
        }
    }

    /// Name for metrics and for the dead letter's `millrace-error-class`. Part of the contract on the topics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Refused(_) | Self::ConnectTimeout(_) | Self::Reset(_) | Self::Status { code: 503, .. } => {
                "unavailable"
            }
            Self::Timeout(_) => "timeout",
            Self::Status { .. } => "model_error",
            Self::ReplyTooLarge { .. } => "reply_too_large",
            Self::BadReply(_) => "bad_reply",
        }
    }

    /// HTTP status of the answer, if there was one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// How long the server asks to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16) -> CallError {
        CallError::Status { code, body: Bytes::new(), retry_after: None }
    }

    #[test]
    fn each_status_has_its_class() {
        for (code, class) in [
            (503, Class::Unavailable),
            (408, Class::Retryable),
            (425, Class::Retryable),
            (429, Class::Retryable),
            (500, Class::Retryable),
            (502, Class::Retryable),
            (504, Class::Retryable),
            (201, Class::Permanent),
            (204, Class::Permanent),
            (302, Class::Permanent),
            (400, Class::Permanent),
            (413, Class::Permanent),
        ] {
            assert_eq!(status(code).class(), class, "{code}");
            assert_eq!(status(code).is_retryable(), class != Class::Permanent);
        }
    }

    #[test]
    fn transport_failures_are_the_endpoints() {
        for error in [
            CallError::Refused("x".into()),
            CallError::ConnectTimeout(Duration::from_secs(2)),
            CallError::Reset("x".into()),
            status(503),
        ] {
            assert_eq!((error.class(), error.label(), error.is_answer()), (Class::Unavailable, "unavailable", false));
        }
        let timeout = CallError::Timeout(Duration::from_secs(1));
        assert_eq!((timeout.class(), timeout.label(), timeout.is_answer()), (Class::TimedOut, "timeout", false));
        assert_eq!(timeout.to_string(), "no complete reply within 1s");
    }

    #[test]
    fn only_the_server_itself_counts_as_an_answer() {
        assert!(status(500).is_answer() && status(400).is_answer());
        assert!(CallError::ReplyTooLarge { limit: 1 }.is_answer());
        assert!(!status(502).is_answer() && !status(504).is_answer());
        assert!(!CallError::BadReply("x".into()).is_answer());
    }
}
