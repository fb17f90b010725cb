//! Happenings of calls with several records.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Instant;

use prometheus::{Histogram, IntCounter, IntGauge};
use slog::{debug, warn};

use super::Events;

/// What is counted of a node's calls with several records, bound to its label once.
#[derive(Clone, Debug)]
pub struct BatchMetrics {
    pub(super) name: Arc<str>,
    pub(super) rows: Histogram,
    pub(super) records: IntCounter,
    pub(super) target: IntGauge,
    pub(super) halvings: IntCounter,
    pub(super) unsplit: IntCounter,
    pub(super) stopped: IntGauge,
}

impl BatchMetrics {
    /// A call begins.
    pub fn begun(&self, records: usize, rows: usize) {
        self.rows.observe(rows as f64);
        self.records.inc_by(records as u64);
    }

    /// Rows that a call should have.
    pub fn set_target(&self, rows: usize) {
        self.target.set(rows as i64);
    }
}

impl Events {
    /// A call with several records failed, and is made again in two halves. Counted, and logged for developers only.
    pub fn call_halved(&self, metrics: &BatchMetrics, records: usize, error: &dyn Display) {
        metrics.halvings.inc();
        debug!(self.0.log, "call with several records failed, its halves are sent"; "node" => &*metrics.name,
            "records" => records, "error" => %error);
    }

    /// The reply to a call with several records could not be split.
    pub fn reply_not_split(&self, metrics: &BatchMetrics, why: &dyn Display) {
        metrics.unsplit.inc();
        if let Some(suppressed) = self.0.limits.reply_not_split.pass(Instant::now()) {
            warn!(self.0.log, "reply cannot be split"; "node" => &*metrics.name, "error" => %why,
                "suppressed" => suppressed);
        }
    }

    /// The model does not answer row by row: it gets no call with several records any more.
    pub fn batching_stopped(&self, metrics: &BatchMetrics, why: &dyn Display) {
        metrics.stopped.set(1);
        warn!(self.0.log, "batching stopped: the model does not answer row by row"; "node" => &*metrics.name,
            "error" => %why);
    }
}
