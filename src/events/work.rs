//! Happenings of the work: records, calls, endpoints.

use std::fmt::Display;
use std::time::{Duration, Instant};

use slog::{debug, info, trace, warn};

use super::{Events, NodeMetrics};
use crate::record::{Offset, Partition, Record};

impl Events {
    /// A record becomes a dead letter. Counted as an outcome only when the broker has acknowledged it.
    pub fn dead_lettered(&self, record: &Record, class: &'static str, node: Option<&str>, message: &str) {
        self.dead_letters.with_label_values(&[class]).inc();
        if let Some(suppressed) = self.0.limits.dead_lettered.pass(Instant::now()) {
            warn!(self.0.log, "record dead-lettered"; "topic" => &*record.topic, "partition" => record.partition.0,
                "offset" => record.offset.0, "class" => class, "node" => node, "error" => message,
                "suppressed" => suppressed);
        }
    }

    /// A record failed and is skipped, as the policy for failures says. Counted as an outcome when it is settled.
    pub fn failure_skipped(&self, record: &Record, class: &'static str, node: Option<&str>, message: &str) {
        if let Some(suppressed) = self.0.limits.failure_skipped.pass(Instant::now()) {
            warn!(self.0.log, "record failed and is skipped"; "topic" => &*record.topic, "partition" => record.partition.0,
                "offset" => record.offset.0, "class" => class, "node" => node, "error" => message,
                "suppressed" => suppressed);
        }
    }

    /// Whoever held a record failed; it is dispatched again.
    pub fn redispatched(&self, partition: Partition, offset: Offset, attempt: u32) {
        self.redispatched.inc();
        if let Some(suppressed) = self.0.limits.redispatched.pass(Instant::now()) {
            warn!(self.0.log, "record dispatched again after a failure"; "partition" => partition.0,
                "offset" => offset.0, "attempt" => attempt, "suppressed" => suppressed);
        }
    }

    /// Headers of a record stay behind in its calls: their names are no UTF-8, or their transport cannot carry them.
    pub fn headers_left_out(&self, record: &Record, of_calls: usize) {
        let headers = record.unreadable_headers + of_calls;
        self.headers_left_out.inc_by(headers as u64);
        if let Some(suppressed) = self.0.limits.headers_left_out.pass(Instant::now()) {
            warn!(self.0.log, "headers left out that calls cannot carry"; "topic" => &*record.topic,
                "partition" => record.partition.0, "offset" => record.offset.0, "headers" => headers,
                "suppressed" => suppressed);
        }
    }

    /// A call is tried again after `wait`. Counted, and logged for developers only.
    pub fn retry(&self, node: &NodeMetrics, attempt: u32, wait: Duration, error: &dyn Display) {
        node.retries().inc();
        trace!(self.0.log, "call is tried again"; "node" => &**node.name(), "attempt" => attempt,
            "wait_ms" => wait.as_millis() as u64, "error" => %error);
    }

    /// An endpoint stopped taking calls; its records wait.
    pub fn endpoint_down(&self, node: &NodeMetrics, reason: &dyn Display) {
        node.set_up(false);
        warn!(self.0.log, "endpoint down, its records wait"; "node" => &**node.name(), "error" => %reason);
    }

    /// An endpoint takes calls (again), after `down_for` if it was down.
    pub fn endpoint_up(&self, node: &NodeMetrics, down_for: Option<Duration>) {
        node.set_up(true);
        let down_ms = down_for.map(|time| time.as_millis() as u64);
        info!(self.0.log, "endpoint up"; "node" => &**node.name(), "down_ms" => down_ms);
    }

    /// An endpoint's limit was changed: calls wait inside it, or do so no more.
    pub fn limit_changed(&self, node: &NodeMetrics, limit: usize) {
        node.set_limit(limit);
        debug!(self.0.log, "limit of running calls changed"; "node" => &**node.name(), "limit" => limit);
    }

    /// An endpoint went down under one record that was called alone, for the `strikes`-th time.
    pub fn model_killed(&self, node: &NodeMetrics, strikes: u32, error: &dyn Display) {
        node.kills().inc();
        warn!(self.0.log, "endpoint went down under one record called alone"; "node" => &**node.name(),
            "times" => strikes, "error" => %error);
    }

    /// The broker refused an output for good; it becomes a dead letter, or a dead letter without its value.
    pub fn produce_refused(&self, record: &Record, topic: &str, error: &dyn Display) {
        self.produce_errors.inc();
        if let Some(suppressed) = self.0.limits.produce_refused.pass(Instant::now()) {
            warn!(self.0.log, "broker refused an output"; "topic" => topic, "partition" => record.partition.0,
                "offset" => record.offset.0, "error" => %error, "suppressed" => suppressed);
        }
    }

    /// An output was not delivered and is sent again.
    pub fn produce_failed(&self, topic: &str, error: &dyn Display) {
        self.produce_errors.inc();
        if let Some(suppressed) = self.0.limits.produce_refused.pass(Instant::now()) {
            warn!(self.0.log, "output not delivered, it is sent again"; "topic" => topic, "error" => %error,
                "suppressed" => suppressed);
        }
    }

    /// A topic was made.
    pub fn topic_created(&self, topic: &str, partitions: i32) {
        info!(self.0.log, "topic created"; "topic" => topic, "partitions" => partitions);
    }

    /// Topics cannot be prepared yet; it is tried again.
    pub fn topics_not_ready(&self, error: &dyn Display) {
        debug!(self.0.log, "topics are not ready"; "error" => %error);
        if let Some(suppressed) = self.0.limits.consumer_error.pass(Instant::now()) {
            warn!(self.0.log, "topics are not ready, trying again"; "error" => %error, "suppressed" => suppressed);
        }
    }
}
