//! Why a call failed, and what that means for whoever decides about a retry.
//!
//! An error does not name its node or endpoint: who called knows both. Code that decides asks [`CallError::class`], never the
//! text.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use tonic::Code;

/// Bytes of an error answer's body that are kept.
pub const BODY_KEPT: usize = 4 * 1024;

/// The time after which a call may be tried again, if it may not be: a negative `grpc-retry-pushback-ms`.
pub const NEVER: Duration = Duration::MAX;

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
    /// An answer over gRPC that is not OK.
    #[error("status {}: {message}", code_name(*code))]
    Grpc {
        /// Its code.
        code: Code,
        /// The first [`BODY_KEPT`] bytes of what it says.
        message: String,
        /// How long the server asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// A reply longer than is read.
    #[error("the reply is larger than {limit} bytes; raise limits.reply_bytes if that is right")]
    ReplyTooLarge {
        /// The bound.
        limit: usize,
    },
    /// Bytes that are no reply of the transport, or one that cannot be taken as it is.
    #[error("unusable reply: {0}")]
    BadReply(String),
    /// Nothing was sent: the endpoint is known to be down, and the node is not to be waited for.
    #[error("the endpoint is down")]
    Down,
    /// A call that the protocol or the transport does not have; nothing was sent.
    #[error("no such call: {0}")]
    Unsupported(String),
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
    ///
    /// RESOURCE_EXHAUSTED is retryable: it says that a server is busy, but also that a request is larger than it takes, and
    /// only the words tell which.
    pub fn class(&self) -> Class {
        match self {
            Self::Refused(_) | Self::ConnectTimeout(_) | Self::Reset(_) | Self::Down => Class::Unavailable,
            Self::Timeout(_) => Class::TimedOut,
            Self::Status { code, .. } => match code {
                503 => Class::Unavailable,
                408 | 425 | 429 | 500..=599 => Class::Retryable,
                _ => Class::Permanent,
            },
            Self::Grpc { code, .. } => match code {
                Code::Unavailable => Class::Unavailable,
                Code::DeadlineExceeded => Class::TimedOut,
                Code::ResourceExhausted
                | Code::Aborted
                | Code::Unknown
                | Code::Internal
                | Code::Cancelled
                | Code::DataLoss => Class::Retryable,
                _ => Class::Permanent,
            },
            Self::ReplyTooLarge { .. } | Self::Unsupported(_) => Class::Permanent,
            Self::BadReply(_) => Class::Retryable,
        }
    }

    /// Whether the same call may succeed later, and the server does not ask for no further one.
    pub fn is_retryable(&self) -> bool {
        self.class() != Class::Permanent && self.retry_after() != Some(NEVER)
    }

    /// Whether the server turned the call away because it is busy, as far as it can be told.
    pub fn is_overload(&self) -> bool {
        match self {
            Self::Status { code, .. } => matches!(code, 429 | 503),
            Self::Grpc { code, .. } => matches!(code, Code::ResourceExhausted | Code::Unavailable),
            _ => false,
        }
    }

    /// Whether the failure shows that the server itself works on requests. A gateway's answer does not.
    pub fn is_answer(&self) -> bool {
        match self {
            Self::Status { code, .. } => !matches!(code, 502..=504),
            Self::Grpc { code, .. } => !matches!(code, Code::Unavailable | Code::DeadlineExceeded),
            Self::ReplyTooLarge { .. } => true,
            Self::Refused(_)
            | Self::ConnectTimeout(_)
            | Self::Reset(_)
            | Self::Timeout(_)
            | Self::BadReply(_)
            | Self::Down
            | Self::Unsupported(_) => false,
        }
    }

    /// Name for metrics and for the dead letter's `millrace-error-class`. Part of the contract on the topics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Refused(_)
            | Self::ConnectTimeout(_)
            | Self::Reset(_)
            | Self::Down
            | Self::Status { code: 503, .. }
            | Self::Grpc { code: Code::Unavailable, .. } => "unavailable",
            Self::Timeout(_) | Self::Grpc { code: Code::DeadlineExceeded, .. } => "timeout",
            Self::Status { .. } | Self::Grpc { .. } => "model_error",
            Self::ReplyTooLarge { .. } => "reply_too_large",
            Self::BadReply(_) => "bad_reply",
            Self::Unsupported(_) => "unsupported",
        }
    }

    /// Status of the answer as text, if there was one: `500`, `INVALID_ARGUMENT`.
    pub fn status(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Status { code, .. } => Some(code.to_string().into()),
            Self::Grpc { code, .. } => Some(code_name(*code).into()),
            _ => None,
        }
    }

    /// How long the server asks to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } | Self::Grpc { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// The name that gRPC gives a code.
pub fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
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

    fn grpc(code: Code) -> CallError {
        CallError::Grpc { code, message: "x".into(), retry_after: None }
    }

    #[test]
    fn each_code_has_its_name_and_class() {
        let names = [
            (Class::Permanent, "OK INVALID_ARGUMENT NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED FAILED_PRECONDITION"),
            (Class::Permanent, "OUT_OF_RANGE UNIMPLEMENTED UNAUTHENTICATED"),
            (Class::Retryable, "CANCELLED UNKNOWN RESOURCE_EXHAUSTED ABORTED INTERNAL DATA_LOSS"),
            (Class::TimedOut, "DEADLINE_EXCEEDED"),
            (Class::Unavailable, "UNAVAILABLE"),
        ];
        let mut seen = 0;
        for (class, names) in names {
            for name in names.split(' ') {
                let code = (0..=16).map(Code::from_i32).find(|code| code_name(*code) == name).unwrap();
                assert_eq!((grpc(code).class(), grpc(code).status().unwrap()), (class, name.into()));
                let answer = !matches!(class, Class::TimedOut | Class::Unavailable);
                assert_eq!(grpc(code).is_answer(), answer);
                seen += 1;
            }
        }
        assert_eq!(seen, 17);
        assert_eq!(grpc(Code::NotFound).to_string(), "status NOT_FOUND: x");
    }

    #[test]
    fn a_call_that_does_not_exist_is_not_tried_again() {
        let error = CallError::Unsupported("route".into());
        assert_eq!((error.class(), error.is_answer(), error.status()), (Class::Permanent, false, None));
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
