//! Happenings of the process and its actors.

use std::fmt::Display;
use std::time::Duration;

use slog::{crit, error, info, warn};

use super::Events;
use crate::config::Settings;
use crate::record::{Offset, Partition};

/// A record that failed, and why.
#[derive(Clone, Copy, Debug)]
pub struct Failed<'a> {
    /// Its topic.
    pub topic: &'a str,
    /// Its partition.
    pub partition: Partition,
    /// Its offset.
    pub offset: Offset,
    /// Kind of error.
    pub class: &'static str,
    /// The node that failed, if it was one.
    pub node: Option<&'a str>,
    /// What happened.
    pub message: &'a str,
}

impl Events {
    /// The service starts with these settings.
    pub fn started(&self, settings: &Settings) {
        info!(self.0.log, "started"; "version" => env!("CARGO_PKG_VERSION"), "deployment" => &settings.deployment.name,
            "group" => &settings.kafka.group_id, "topic" => &settings.kafka.input_topic,
            "output" => &settings.kafka.output_topic, "dead_letter" => &settings.kafka.dead_letter_topic,
            "nodes" => settings.nodes.len(), "threads" => settings.threads);
    }

    /// The admin port listens.
    pub fn admin_listens(&self, address: &dyn Display) {
        info!(self.0.log, "admin port listens"; "address" => %address);
    }

    /// An actor failed.
    pub fn actor_failed(&self, actor: &str, reason: &dyn Display) {
        error!(self.0.log, "actor failed"; "actor" => actor, "error" => %reason);
    }

    /// A failed actor runs again, for the `restarts`th time.
    pub fn actor_restarted(&self, actor: &str, restarts: u64) {
        info!(self.0.log, "actor restarted"; "actor" => actor, "restarts" => restarts);
    }

    /// An actor failed more often than its restart budget allows; the failure goes up.
    pub fn gave_up(&self, actor: &str, reason: &dyn Display) {
        crit!(self.0.log, "actor failed too often, giving up"; "actor" => actor, "error" => %reason);
    }

    /// An actor or a thread has made no progress for too long.
    pub fn wedged(&self, actor: &str, quiet_for: Duration) {
        error!(self.0.log, "no progress"; "actor" => actor, "seconds" => quiet_for.as_secs());
    }

    /// Reading has stopped; running work gets `budget` to finish.
    pub fn drain_started(&self, reason: &str, budget: Duration) {
        info!(self.0.log, "drain started"; "reason" => reason, "budget_ms" => budget.as_millis() as u64);
    }

    /// All running work is finished and committed.
    pub fn drained(&self, took: Duration) {
        info!(self.0.log, "drained"; "took_ms" => took.as_millis() as u64);
    }

    /// Work was left when the drain's time was over; those records are read again by their next owner.
    pub fn drain_deadline_passed(&self, unfinished: usize) {
        warn!(self.0.log, "drain deadline passed, unfinished records will be read again"; "unfinished" => unfinished);
    }

    /// The process has ended at a record that failed; what to do about it is said too.
    pub fn halted(&self, record: &Failed<'_>, remedy: &str) {
        crit!(self.0.log, "stopped at a record that failed"; "topic" => record.topic, "partition" => record.partition.0,
            "offset" => record.offset.0, "class" => record.class, "node" => record.node, "error" => record.message,
            "remedy" => remedy);
    }

    /// The process ends.
    pub fn stopped(&self, exit_code: u8) {
        info!(self.0.log, "stopped"; "exit_code" => exit_code);
    }
}
