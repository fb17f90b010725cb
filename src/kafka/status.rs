//! What is known of the brokers and the group, for readiness: from the client library's errors and statistics.
//!
//! Answers come from memory; nothing here asks a broker.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;

use crate::record::Partition;

/// A sign of life of a thread that a watchdog watches.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    begun: Instant,
    last_ms: Arc<AtomicU64>,
}

impl Heartbeat {
    /// Alive now.
    pub fn new() -> Self {
        Self { begun: Instant::now(), last_ms: Arc::default() }
    }

    /// Still alive.
    pub fn beat(&self) {
        self.last_ms.store(self.begun.elapsed().as_millis() as u64, Relaxed);
    }

    /// Time since the last sign.
    pub fn age(&self) -> Duration {
        self.begun.elapsed().saturating_sub(Duration::from_millis(self.last_ms.load(Relaxed)))
    }
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self::new()
    }
}

/// One finding: whether it is well, and in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// True when the service can do its work as far as this goes.
    pub ok: bool,
    /// What is the case.
    pub detail: String,
}

#[derive(Debug, Default)]
struct Inner {
    brokers: Option<(usize, usize)>,
    assigned: Option<usize>,
    mixed_assignors: bool,
    last_error: Option<String>,
    failed: Option<String>,
    waits: Option<String>,
}

/// The state of the consumer's connections and group membership.
#[derive(Debug, Default)]
pub struct Status {
    inner: Mutex<Inner>,
}

impl Status {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The group has given so many partitions; none is a legitimate answer.
    pub fn joined(&self, partitions: usize) {
        let mut inner = self.inner();
        inner.assigned = Some(partitions);
        // One has answered, or there would be no answer of the group. The statistics tell how many some seconds later.
        let known = inner.brokers.map_or(1, |(_, known)| known.max(1));
        inner.brokers = inner.brokers.filter(|(up, _)| *up > 0).or(Some((1, known)));
        inner.waits = None;
        inner.mixed_assignors = false;
    }

    /// The group is not joined yet, because of this.
    pub fn waits(&self, why: String) {
        let mut inner = self.inner();
        inner.waits = Some(why);
        inner.assigned = None;
    }

    /// The client ended; a new one has not joined yet.
    pub fn left(&self, why: Option<String>) {
        let mut inner = self.inner();
        inner.assigned = None;
        inner.brokers = None;
        inner.failed = why;
    }

    /// An error that the client library goes on from.
    pub fn error(&self, error: &KafkaError) {
        let mut inner = self.inner();
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::InconsistentGroupProtocol) => inner.mixed_assignors = true,
            Some(RDKafkaErrorCode::AllBrokersDown) => {
                let known = inner.brokers.map_or(0, |(_, known)| known);
                inner.brokers = Some((0, known));
            }
            _ => {}
        }
        inner.last_error = Some(error.to_string());
    }

    /// Takes in the consumer's statistics.
    pub fn consumer(&self, statistics: &Statistics, topic: &str) {
        let known = statistics.brokers.values().filter(|broker| broker.nodeid >= 0);
        let (mut up, mut all) = (0, 0);
        for broker in known {
            all += 1;
            up += usize::from(broker.state == "UP");
        }
        let mut inner = self.inner();
        inner.brokers = Some((up, all));
        inner.failed = None;
        if let Some(group) = &statistics.cgrp
            && group.join_state == "steady"
        {
            let held = statistics.topics.get(topic).map_or(0, |topic| {
                topic.partitions.values().filter(|p| p.partition >= 0 && p.fetch_state == "active").count()
            });
            inner.assigned = Some(inner.assigned.unwrap_or(held));
            inner.mixed_assignors = false;
        }
    }

    /// The high watermarks that the statistics name.
    pub fn high_watermarks(statistics: &Statistics, topic: &str) -> Vec<(Partition, i64)> {
        let Some(topic) = statistics.topics.get(topic) else { return Vec::new() };
        let known = topic.partitions.values().filter(|p| p.partition >= 0 && p.hi_offset >= 0);
        known.map(|p| (Partition(p.partition), p.hi_offset)).collect()
    }

    /// Whether brokers answer.
    pub fn brokers(&self) -> Finding {
        let inner = self.inner();
        let because = inner.last_error.as_ref().map_or(String::new(), |error| format!("; last error: {error}"));
        match inner.brokers {
            Some((up, all)) if up > 0 => Finding { ok: true, detail: format!("{up} of {all} brokers connected") },
            Some((_, all)) => Finding { ok: false, detail: format!("none of {all} brokers connected{because}") },
            None => Finding { ok: false, detail: format!("no broker has answered yet{because}") },
        }
    }

    /// Whether the group has let this process in.
    pub fn group(&self) -> Finding {
        let inner = self.inner();
        if let Some(why) = &inner.failed {
            return Finding { ok: false, detail: format!("the consumer starts anew: {why}") };
        }
        if inner.mixed_assignors {
            let detail = "the group has members with another assignment strategy; joining is retried. To replace members \
                          that use range or roundrobin one by one, set kafka.assignment to range first";
            return Finding { ok: true, detail: detail.into() };
        }
        match inner.assigned {
            Some(0) => Finding { ok: true, detail: "joined; no partition is left for this member".into() },
            Some(n) => Finding { ok: true, detail: format!("joined; {n} partitions assigned") },
            None => {
                let why = inner.waits.as_ref().map_or(String::new(), |why| format!(": {why}"));
                Finding { ok: false, detail: format!("not joined yet{why}") }
            }
        }
    }

    /// Partitions assigned now.
    pub fn assigned(&self) -> usize {
        self.inner().assigned.unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mixed_group_is_shown_and_does_not_hold_readiness() {
        let status = Status::default();
        assert!(!status.group().ok);
        status.error(&KafkaError::MessageConsumption(RDKafkaErrorCode::InconsistentGroupProtocol));
        let finding = status.group();
        assert!(finding.ok && finding.detail.contains("kafka.assignment"));
        status.joined(3);
        assert_eq!(status.group().detail, "joined; 3 partitions assigned");
    }

    #[test]
    fn whoever_is_in_the_group_has_heard_of_a_broker() {
        let status = Status::default();
        assert!(!status.brokers().ok);
        status.joined(0);
        assert!(status.brokers().ok);
        status.error(&KafkaError::MessageConsumption(RDKafkaErrorCode::AllBrokersDown));
        assert!(!status.brokers().ok);
    }

    #[test]
    fn lost_brokers_are_not_well_and_say_why() {
        let status = Status::default();
        status.error(&KafkaError::MessageConsumption(RDKafkaErrorCode::AllBrokersDown));
        assert!(!status.brokers().ok && status.brokers().detail.contains("last error"));
    }
}
