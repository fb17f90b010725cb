//! Happenings of the topics: assignments, positions, commits, brokers.

use std::fmt::Display;
use std::time::Instant;

use rdkafka::config::RDKafkaLogLevel;
use slog::{debug, error, info, trace, warn};

use super::{Events, list};
use crate::record::{NextOffset, Partition};

/// Which of the two Kafka clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// Reads the input and commits.
    Consumer,
    /// Writes answers and dead letters.
    Producer,
}

impl Client {
    /// Value of the log key and of the label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Consumer => "consumer",
            Self::Producer => "producer",
        }
    }
}

impl Events {
    /// The group gave partitions to this process; it now reads `total`. Nothing is a legitimate assignment.
    pub fn assigned(&self, partitions: &[Partition], total: usize) {
        self.assignments.inc();
        self.assigned_partitions.set(total as i64);
        for &partition in partitions {
            self.partition(partition);
        }
        info!(self.0.log, "partitions assigned"; "partitions" => list(partitions), "total" => total);
    }

    /// Partitions were given back in order, after their commit; `total` remain.
    pub fn revoked(&self, partitions: &[Partition], total: usize) {
        self.revocations.inc();
        self.gone(partitions, total);
        info!(self.0.log, "partitions revoked"; "partitions" => list(partitions), "total" => total);
    }

    /// Partitions were lost: another member may have them already, nothing can be committed for them.
    pub fn lost_partitions(&self, partitions: &[Partition], total: usize) {
        self.losses.inc();
        self.gone(partitions, total);
        warn!(self.0.log, "partitions lost, their unfinished records are read again by their new owner";
            "partitions" => list(partitions), "total" => total);
    }

    fn gone(&self, partitions: &[Partition], total: usize) {
        self.assigned_partitions.set(total as i64);
        for &partition in partitions {
            self.remove_partition(partition);
        }
    }

    /// Reading of a partition starts.
    pub fn reading_from(&self, partition: Partition, from: NextOffset) {
        debug!(self.0.log, "reading"; "partition" => partition.0, "offset" => from.0);
    }

    /// The committed position `from` is outside the log. Reading goes on at `to`; `lost` offsets between were never read.
    pub fn resumed_outside_log(&self, partition: Partition, from: NextOffset, to: NextOffset, lost: u64) {
        self.lost_positions.inc_by(lost);
        error!(self.0.log, "committed position is outside the log";
            "partition" => partition.0, "offset" => from.0, "resumed_at" => to.0, "lost" => lost);
    }

    /// The broker stored these positions.
    pub fn committed(&self, positions: &[(Partition, NextOffset)]) {
        self.commits_ok.inc();
        for &(partition, offset) in positions {
            self.partition(partition).set_committed(offset);
            trace!(self.0.log, "committed"; "partition" => partition.0, "offset" => offset.0);
        }
    }

    /// The broker did not store positions; they are sent again with the next commit.
    pub fn commit_failed(&self, partitions: &[Partition], error: &dyn Display) {
        self.commits_failed.inc();
        if let Some(suppressed) = self.0.limits.commit_failed.pass(Instant::now()) {
            warn!(self.0.log, "commit failed"; "partitions" => list(partitions), "error" => %error,
                "suppressed" => suppressed);
        }
    }

    /// A transaction is committed.
    pub fn transaction_committed(&self) {
        self.transactions_committed.inc();
    }

    /// A transaction is aborted; what was in it is written again.
    pub fn transaction_aborted(&self) {
        self.transactions_aborted.inc();
    }

    /// The client of the transactions is made anew, to learn how the last one ended.
    pub fn transaction_client_renewed(&self) {
        self.transactions_renewed.inc();
    }

    /// A step of a transaction failed. What follows is decided by the machine; nothing is lost.
    pub fn transaction_failed(&self, step: &'static str, error: &dyn Display) {
        self.producer_errors.inc();
        if let Some(suppressed) = self.0.limits.transaction_failed.pass(Instant::now()) {
            warn!(self.0.log, "transaction failed"; "step" => step, "error" => %error, "suppressed" => suppressed);
        }
    }

    /// A client reported an error that it goes on after.
    pub fn client_error(&self, client: Client, error: &dyn Display) {
        let (counter, limiter) = match client {
            Client::Consumer => (&self.consumer_errors, &self.0.limits.consumer_error),
            Client::Producer => (&self.producer_errors, &self.0.limits.producer_error),
        };
        counter.inc();
        if let Some(suppressed) = limiter.pass(Instant::now()) {
            warn!(self.0.log, "kafka client error"; "client" => client.label(), "error" => %error,
                "suppressed" => suppressed);
        }
    }

    /// A line of the client library's own log. Its errors are told apart by [`Events::client_error`], so nothing here warns.
    pub fn client_log(&self, client: Client, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Debug => trace!(self.0.log, "kafka client"; "client" => client.label(),
                "facility" => facility, "message" => message),
            _ => debug!(self.0.log, "kafka client"; "client" => client.label(), "facility" => facility,
                "message" => message),
        }
    }

    /// No broker can be reached. The service waits.
    pub fn brokers_down(&self, client: Client, brokers: &str) {
        warn!(self.0.log, "no broker can be reached, waiting"; "client" => client.label(), "brokers" => brokers);
    }

    /// Brokers can be reached (again).
    pub fn brokers_up(&self, client: Client) {
        info!(self.0.log, "brokers reached"; "client" => client.label());
    }

    /// The group has members with another kind of assignor; this one cannot join until they have left.
    pub fn group_mixed_assignors(&self, group: &str) {
        if let Some(suppressed) = self.0.limits.mixed_assignors.pass(Instant::now()) {
            warn!(self.0.log, "group has members with another kind of assignor, waiting until they have left";
                "group" => group, "hint" => "set kafka.assignment to range while old members run",
                "suppressed" => suppressed);
        }
    }
}
