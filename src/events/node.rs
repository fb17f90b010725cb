//! What is counted of the calls to one node, bound to its labels once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntGauge};

use super::seldon::ClientMetrics;

/// How an attempt of a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// With a reply that can be used.
    Answered,
    /// The model refused the request or failed on it.
    ModelError,
    /// Not inside its time.
    Timeout,
    /// The endpoint could not be reached or said that it is not ready.
    Unavailable,
    /// The reply is larger than allowed.
    TooLarge,
    /// The reply is not of the protocol.
    BadReply,
}

impl CallOutcome {
    /// All, in the order of their discriminants.
    pub const ALL: [Self; 6] =
        [Self::Answered, Self::ModelError, Self::Timeout, Self::Unavailable, Self::TooLarge, Self::BadReply];

    /// Value of the label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::ModelError => "model_error",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::TooLarge => "too_large",
            Self::BadReply => "bad_reply",
        }
    }
}

/// Whether an endpoint takes calls, as the latest worker to see a change sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// It does.
    Closed,
    /// A few, to find out.
    HalfOpen,
    /// None.
    Open,
}

impl BreakerState {
    /// The word for it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

/// What tells a node's calls apart in metrics.
#[derive(Clone, Copy, Debug)]
pub struct NodeLabels<'a> {
    /// Name in the graph.
    pub node: &'a str,
    /// Image with its version, may be empty.
    pub image: &'a str,
    /// Seldon's `service`: the path that is called.
    pub service: &'a str,
    /// Seldon's `method`: `post` or `unary`.
    pub method: &'a str,
}

/// Handle to a node's metrics; cheap to clone, no label is looked up when it is used.
#[derive(Clone)]
pub struct NodeMetrics(Arc<Inner>);

pub(super) struct Inner {
    pub(super) name: Arc<str>,
    pub(super) calls: [IntCounter; CallOutcome::ALL.len()],
    pub(super) seconds: Histogram,
    pub(super) retries: IntCounter,
    pub(super) up: IntGauge,
    pub(super) waiting: IntGauge,
    pub(super) limit: IntGauge,
    pub(super) breaker: IntGauge,
    pub(super) kills: IntCounter,
    pub(super) seldon: ClientMetrics,
}

impl NodeMetrics {
    pub(super) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// Name in the graph.
    pub fn name(&self) -> &Arc<str> {
        &self.0.name
    }

    /// Counts an attempt. `code` is the HTTP status or gRPC's word, if there was a response; Seldon's metrics count only those.
    pub fn call(&self, outcome: CallOutcome, code: Option<&str>, took: Duration) {
        self.0.calls[outcome as usize].inc();
        self.0.seconds.observe(took.as_secs_f64());
        if let Some(code) = code {
            self.0.seldon.observe(code, took);
        }
    }

    /// Calls that wait for the endpoint: `inc` when one starts to wait, `dec` when it stops.
    pub fn waiting(&self) -> &IntGauge {
        &self.0.waiting
    }

    /// Calls that may run at the endpoint at a time.
    pub fn set_limit(&self, limit: usize) {
        self.0.limit.set(limit as i64);
    }

    /// Whether the endpoint takes calls.
    pub fn set_breaker(&self, state: BreakerState) {
        self.0.breaker.set(state as i64);
    }

    /// Times that the endpoint went down under one record that was called alone.
    pub fn kills(&self) -> &IntCounter {
        &self.0.kills
    }

    /// Attempts after the first.
    pub fn retries(&self) -> &IntCounter {
        &self.0.retries
    }

    /// Whether the endpoint takes calls.
    pub fn set_up(&self, up: bool) {
        self.0.up.set(i64::from(up));
    }
}

impl fmt::Debug for NodeMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NodeMetrics").field(&self.0.name).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_discriminant_of_an_outcome_is_its_place() {
        for (place, outcome) in CallOutcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, place);
        }
    }
}
