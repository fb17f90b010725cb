//! What is shown of each assigned partition: collected when asked, so that an age grows without anybody setting it.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use prometheus::core::{Collector, Desc};
use prometheus::proto;

use super::names::{self, Metric};
use super::summary::pairs;
use crate::record::{NextOffset, Partition};

const UNKNOWN: i64 = -1;

/// Handle to what is shown of one partition. A handle of a revoked partition may be used on; nobody sees it.
#[derive(Clone, Debug)]
pub struct PartitionMetrics(Arc<Cells>);

#[derive(Debug)]
struct Cells {
    start: Instant,
    window: AtomicI64,
    commit_span: AtomicI64,
    lag: AtomicI64,
    committed: AtomicI64,
    /// Milliseconds after `start`.
    oldest_since: AtomicI64,
}

impl PartitionMetrics {
    fn new(start: Instant) -> Self {
        Self(Arc::new(Cells {
            start,
            window: AtomicI64::new(0),
            commit_span: AtomicI64::new(0),
            lag: AtomicI64::new(UNKNOWN),
            committed: AtomicI64::new(UNKNOWN),
            oldest_since: AtomicI64::new(UNKNOWN),
        }))
    }

    /// Records read and not finished.
    pub fn set_window(&self, records: usize) {
        self.0.window.store(records as i64, Ordering::Relaxed);
    }

    /// Finished records past the oldest unfinished one.
    pub fn set_commit_span(&self, records: usize) {
        self.0.commit_span.store(records as i64, Ordering::Relaxed);
    }

    /// Records between the committed offset and the end of the partition.
    pub fn set_lag(&self, records: u64) {
        self.0.lag.store(records as i64, Ordering::Relaxed);
    }

    /// The committed offset.
    pub fn set_committed(&self, offset: NextOffset) {
        self.0.committed.store(offset.0, Ordering::Relaxed);
    }

    /// When the oldest record that is not finished was read.
    pub fn set_oldest_unfinished(&self, since: Option<Instant>) {
        let since = since.map_or(UNKNOWN, |at| at.saturating_duration_since(self.0.start).as_millis() as i64);
        self.0.oldest_since.store(since, Ordering::Relaxed);
    }

    /// Age of the oldest record that is not finished, in seconds.
    fn oldest_seconds(&self, now: Instant) -> f64 {
        match self.0.oldest_since.load(Ordering::Relaxed) {
            UNKNOWN => 0.0,
            since => (now.saturating_duration_since(self.0.start).as_millis() as i64 - since).max(0) as f64 / 1e3,
        }
    }
}

/// The handles of all assigned partitions.
#[derive(Clone)]
pub(super) struct Partitions(Arc<Inner>);

struct Inner {
    start: Instant,
    descs: Vec<Desc>,
    cells: Mutex<BTreeMap<Partition, PartitionMetrics>>,
}

type Read = fn(&PartitionMetrics, Instant) -> Option<f64>;
const SHOWN: [(Metric, Read); 5] = [
    (names::WINDOW_RECORDS, |m, _| Some(m.0.window.load(Ordering::Relaxed) as f64)),
    (names::COMMIT_SPAN_RECORDS, |m, _| Some(m.0.commit_span.load(Ordering::Relaxed) as f64)),
    (names::OLDEST_UNFINISHED_SECONDS, |m, now| Some(m.oldest_seconds(now))),
    (names::LAG, |m, _| known(&m.0.lag)),
    (names::COMMITTED_OFFSET, |m, _| known(&m.0.committed)),
];

fn known(cell: &AtomicI64) -> Option<f64> {
    Some(cell.load(Ordering::Relaxed)).filter(|&value| value != UNKNOWN).map(|value| value as f64)
}

impl Partitions {
    pub(super) fn new() -> prometheus::Result<Self> {
        let desc = |metric: &Metric| {
            let labels = metric.labels.iter().map(ToString::to_string).collect();
            Desc::new(metric.name.to_owned(), metric.help.to_owned(), labels, HashMap::new())
        };
        let descs = SHOWN.iter().map(|(metric, _)| desc(metric)).collect::<Result<_, _>>()?;
        Ok(Self(Arc::new(Inner { start: Instant::now(), descs, cells: Mutex::default() })))
    }

    pub(super) fn get(&self, partition: Partition) -> PartitionMetrics {
        let mut cells = self.0.cells.lock().unwrap_or_else(PoisonError::into_inner);
        cells.entry(partition).or_insert_with(|| PartitionMetrics::new(self.0.start)).clone()
    }

    pub(super) fn remove(&self, partition: Partition) {
        self.0.cells.lock().unwrap_or_else(PoisonError::into_inner).remove(&partition);
    }
}

impl Collector for Partitions {
    fn desc(&self) -> Vec<&Desc> {
        self.0.descs.iter().collect()
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let now = Instant::now();
        let cells = self.0.cells.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let family = |(metric, read): &(Metric, Read)| {
            let members = cells.iter().filter_map(|(partition, handle)| {
                let mut gauge = proto::Gauge::default();
                gauge.set_value(read(handle, now)?);
                let mut member = proto::Metric::from_gauge(gauge);
                member.set_label(pairs(&["partition".to_owned()], &[partition.to_string()]));
                Some(member)
            });
            let mut family = proto::MetricFamily::default();
            family.set_name(metric.name.to_owned());
            family.set_help(metric.help.to_owned());
            family.set_field_type(proto::MetricType::GAUGE);
            family.set_metric(members.collect());
            family
        };
        SHOWN.iter().map(family).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_age_grows_by_itself_and_a_revoked_partition_is_not_shown() {
        let partitions = Partitions::new().unwrap();
        let handle = partitions.get(Partition(3));
        let start = Instant::now();
        handle.set_oldest_unfinished(Some(start));
        assert!(handle.oldest_seconds(start + Duration::from_secs(5)) > 4.9);
        handle.set_oldest_unfinished(None);
        assert!(handle.oldest_seconds(start + Duration::from_secs(5)) < 0.001);

        let shown = || partitions.collect().iter().map(|f| f.get_metric().len()).collect::<Vec<_>>();
        assert_eq!(shown(), [1, 1, 1, 0, 0], "lag and committed offset are not known yet");
        partitions.get(Partition(3)).set_lag(0);
        handle.set_committed(NextOffset(7));
        assert_eq!(shown(), [1; 5]);
        partitions.remove(Partition(3));
        handle.set_lag(1);
        assert_eq!(shown(), [0; 5]);
    }
}
