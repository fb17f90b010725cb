//! Settings of one node: where its server is, and how calls of it are made, bounded and tried again.

use std::fmt;
use std::time::Duration;

use super::Transport;

/// Settings of one node.
#[derive(Clone, Debug)]
pub struct Node {
    /// Name in the graph; also the model's name in the protocols' paths.
    pub name: String,
    /// How it is called, whatever the encoding of a record: its messages are converted where they have the other one.
    /// Without it, each record is sent in the encoding that it has.
    pub transport: Option<Transport>,
    /// Where its server takes REST calls.
    pub rest: Option<Endpoint>,
    /// Where its server takes gRPC calls.
    pub grpc: Option<Endpoint>,
    /// Time for one attempt.
    pub timeout: Duration,
    /// Retries of a call.
    pub retry: Retry,
    /// Actors per worker that share the node's calls.
    pub clients: usize,
    /// Idle and busy connections of each of these actors: as many calls run at a time.
    pub connections: usize,
    /// What becomes of a record while the server is unavailable.
    pub when_unavailable: WhenUnavailable,
    /// Calls that run at the server at a time, from the whole process.
    pub limit: CallLimit,
    /// When calls stop because too many fail.
    pub breaker: Breaker,
    /// How requests of several records are sent in one call, if they are.
    pub batch: Option<Batch>,
    /// Image, for Seldon's metrics labels.
    pub image: String,
}

/// What becomes of a record while the server it needs is unavailable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum WhenUnavailable {
    /// It waits, and pays nothing.
    #[default]
    Wait,
    /// It pays attempts, and is dead-lettered when they are used up.
    DeadLetter,
}

/// Bounds of the calls that run at a server at a time, from the whole process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLimit {
    /// Whether the limit follows what the server can do; if not, it stays at its maximum.
    pub adaptive: bool,
    /// Never fewer.
    pub min: usize,
    /// Never more. Without one, as many as threads, clients and connections allow.
    pub max: Option<usize>,
}

impl Default for CallLimit {
    fn default() -> Self {
        Self { adaptive: true, min: 1, max: None }
    }
}

/// How requests of several records are sent to a server in one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Most rows of a call.
    pub rows: usize,
    /// Most bytes of a call.
    pub bytes: usize,
    /// The longest time that a record waits for others while a call could be made.
    pub wait: Duration,
    /// Calls of one kind that run at a time, from the whole process: records collect meanwhile.
    pub calls: usize,
}

/// When calls of a server stop because too many of them fail.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Breaker {
    /// Share of failed calls, above 0 and at most 1.
    pub error_share: f64,
    /// The time that is looked at.
    pub window: Duration,
    /// Fewer calls in that time say nothing.
    pub min_calls: u32,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { error_share: 0.8, window: Duration::from_secs(10), min_calls: 20 }
    }
}

impl Node {
    /// Where its server takes calls of a transport.
    pub fn endpoint(&self, transport: Transport) -> Option<&Endpoint> {
        match transport {
            Transport::Rest => self.rest.as_ref(),
            Transport::Grpc => self.grpc.as_ref(),
        }
    }

    /// Where its server listens, for people: one address where it has one.
    pub fn addresses(&self) -> String {
        match (&self.rest, &self.grpc) {
            (Some(one), None) | (None, Some(one)) => one.to_string(),
            (Some(rest), Some(grpc)) => format!("{rest} (grpc {grpc})"),
            (None, None) => "no server".to_owned(),
        }
    }
}

/// Host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Retries of a call.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// Attempts in all, the first included.
    pub attempts: u32,
    /// Upper bound of the first wait; the real one is drawn between 0 and it.
    pub min_backoff: Duration,
    /// Upper bound of any wait.
    pub max_backoff: Duration,
}
