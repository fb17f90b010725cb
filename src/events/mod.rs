//! One function for each noteworthy happening, which logs it and counts it, so that logs and metrics cannot disagree.
//!
//! Not for what happens with every record: that is only counted, through handles of [`Metrics`] that are bound once.
//! Log messages are static text; everything variable is a key with a fixed name: `topic`, `partition`, `offset`,
//! `actor`, `node`, `attempt`, `error`.
//!
//! The functions stand in [`stream`] (partitions, commits, brokers), [`work`] (records, calls, endpoints), `shadow` (comparisons), [`batch`] (calls
//! with several records) and [`life`]
//! (start, actors, stop).

pub mod batch;
pub mod life;
pub mod limiter;
pub mod metrics;
pub mod names;
pub mod node;
pub mod partition;
mod seldon;
mod shadow;
pub mod stream;
mod summary;
pub mod work;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use slog::Logger;

pub use batch::BatchMetrics;
pub use limiter::Limiter;
pub use metrics::Metrics;
pub use node::{BreakerState, CallOutcome, NodeLabels, NodeMetrics};
pub use partition::PartitionMetrics;
pub use seldon::UNARY;
pub use shadow::Comparison;
pub use stream::Client;

/// Logger and metrics; cheap to clone. Dereferences to [`Metrics`].
#[derive(Clone)]
pub struct Events(Arc<Inner>);

struct Inner {
    log: Logger,
    metrics: Metrics,
    limits: Limiters,
}

/// One for each warning that a bad day repeats.
#[derive(Default)]
struct Limiters {
    dead_lettered: Limiter,
    failure_skipped: Limiter,
    redispatched: Limiter,
    headers_left_out: Limiter,
    produce_refused: Limiter,
    consumer_error: Limiter,
    producer_error: Limiter,
    commit_failed: Limiter,
    transaction_failed: Limiter,
    mixed_assignors: Limiter,
    shadow_skipped: Limiter,
    reply_not_split: Limiter,
}

impl Events {
    /// Events that are written to `log` and counted in `metrics`.
    pub fn new(log: Logger, metrics: Metrics) -> Self {
        Self(Arc::new(Inner { log, metrics, limits: Limiters::default() }))
    }

    /// The logger, for what only a developer reads (debug and below) and for the loggers of actors.
    pub fn log(&self) -> &Logger {
        &self.0.log
    }
}

impl Deref for Events {
    type Target = Metrics;

    fn deref(&self) -> &Metrics {
        &self.0.metrics
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Events")
    }
}

/// Partitions as one log value: `0,1,5`.
fn list<T: fmt::Display>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
pub(crate) mod tests;
