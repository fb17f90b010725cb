//! The metrics as handles that are bound to their labels once, at start.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use super::batch::BatchMetrics;
use super::names;
use super::node::{CallOutcome, Inner as NodeInner, NodeLabels, NodeMetrics};
use super::partition::{PartitionMetrics, Partitions};
use super::seldon::SeldonMetrics;
use crate::config::settings::{Deployment, Limits};
use crate::record::Partition;

/// Every metric of the service. Made once; shared through [`Events`](super::Events).
pub struct Metrics {
    /// Records read from the input topic.
    pub records_consumed: IntCounter,
    /// Records answered and acknowledged.
    pub answered: IntCounter,
    /// Records dead-lettered and acknowledged.
    pub dead_lettered: IntCounter,
    /// Records skipped by policy.
    pub skipped: IntCounter,
    /// Requests running through the graph.
    pub in_flight_records: IntGauge,
    /// Bytes of records dispatched and not acknowledged.
    pub in_flight_bytes: IntGauge,
    /// Bytes of records and outcomes that wait for a transaction.
    pub held_bytes: IntGauge,
    /// Results of an old epoch that were dropped.
    pub late_results_dropped: IntCounter,
    /// Records handed to the producer and not acknowledged.
    pub produce_queue: IntGauge,
    /// Partitions that this process reads.
    pub assigned_partitions: IntGauge,
    pub(super) commits_ok: IntCounter,
    pub(super) commits_failed: IntCounter,
    pub(super) transactions_committed: IntCounter,
    pub(super) transactions_aborted: IntCounter,
    pub(super) transactions_renewed: IntCounter,
    pub(super) assignments: IntCounter,
    pub(super) revocations: IntCounter,
    pub(super) losses: IntCounter,
    pub(super) lost_positions: IntCounter,
    pub(super) redispatched: IntCounter,
    pub(super) headers_left_out: IntCounter,
    pub(super) produce_errors: IntCounter,
    pub(super) consumer_errors: IntCounter,
    pub(super) producer_errors: IntCounter,
    pub(super) dead_letters: IntCounterVec,
    pub(super) shadows: IntCounterVec,
    record_seconds: Histogram,
    calls: IntCounterVec,
    call_seconds: HistogramVec,
    retries: IntCounterVec,
    endpoint_up: IntGaugeVec,
    endpoint_waiting: IntGaugeVec,
    endpoint_limit: IntGaugeVec,
    endpoint_breaker: IntGaugeVec,
    model_kills: IntCounterVec,
    batch_rows: HistogramVec,
    batch_records: IntCounterVec,
    batch_target: IntGaugeVec,
    batch_halvings: IntCounterVec,
    batch_unsplit: IntCounterVec,
    batch_stopped: IntGaugeVec,
    partitions: Partitions,
    seldon: SeldonMetrics,
}

impl Metrics {
    /// Registers every metric. A second call with the same registry is an error.
    pub fn register(registry: &Registry, deployment: &Deployment, limits: &Limits) -> prometheus::Result<Self> {
        let make = Make(registry);
        make.gauge(&names::IN_FLIGHT_RECORDS_LIMIT)?.set(limits.in_flight_records as i64);
        make.gauge(&names::IN_FLIGHT_BYTES_LIMIT)?.set(limits.in_flight_bytes as i64);
        make.gauge(&names::HELD_BYTES_LIMIT)?.set(limits.held_bytes as i64);
        make.gauge(&names::WINDOW_RECORDS_LIMIT)?.set(limits.window as i64);
        make.gauge(&names::COMMIT_SPAN_RECORDS_LIMIT)?.set(limits.commit_span as i64);
        make.gauges(&names::BUILD_INFO)?.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);

        let outcomes = make.counters(&names::OUTCOMES)?;
        let commits = make.counters(&names::COMMITS)?;
        let transactions = make.counters(&names::TRANSACTIONS)?;
        let rebalances = make.counters(&names::REBALANCES)?;
        let kafka_errors = make.counters(&names::KAFKA_ERRORS)?;
        let dead_letters = make.counters(&names::DEAD_LETTERS)?;
        for class in names::ERROR_CLASSES {
            dead_letters.with_label_values(&[class]);
        }
        let opts =
            |metric: &names::Metric| HistogramOpts::new(metric.name, metric.help).buckets(names::BUCKETS.to_vec());

        Ok(Self {
            records_consumed: make.counter(&names::RECORDS_CONSUMED)?,
            answered: outcomes.with_label_values(&["answered"]),
            dead_lettered: outcomes.with_label_values(&["dead_lettered"]),
            skipped: outcomes.with_label_values(&["skipped"]),
            in_flight_records: make.gauge(&names::IN_FLIGHT_RECORDS)?,
            in_flight_bytes: make.gauge(&names::IN_FLIGHT_BYTES)?,
            held_bytes: make.gauge(&names::HELD_BYTES)?,
            late_results_dropped: make.counter(&names::LATE_RESULTS_DROPPED)?,
            produce_queue: make.gauge(&names::PRODUCE_QUEUE)?,
            assigned_partitions: make.gauge(&names::ASSIGNED_PARTITIONS)?,
            commits_ok: commits.with_label_values(&["ok"]),
            commits_failed: commits.with_label_values(&["failed"]),
            transactions_committed: transactions.with_label_values(&["committed"]),
            transactions_aborted: transactions.with_label_values(&["aborted"]),
            transactions_renewed: transactions.with_label_values(&["renewed"]),
            assignments: rebalances.with_label_values(&["assigned"]),
            revocations: rebalances.with_label_values(&["revoked"]),
            losses: rebalances.with_label_values(&["lost"]),
            lost_positions: make.counter(&names::LOST_POSITIONS)?,
            redispatched: make.counter(&names::REDISPATCHED)?,
            headers_left_out: make.counter(&names::HEADERS_LEFT_OUT)?,
            produce_errors: make.counter(&names::PRODUCE_ERRORS)?,
            consumer_errors: kafka_errors.with_label_values(&["consumer"]),
            producer_errors: kafka_errors.with_label_values(&["producer"]),
            dead_letters,
            shadows: make.counters(&names::SHADOWS)?,
            record_seconds: make.keep(Histogram::with_opts(opts(&names::RECORD_SECONDS))?)?,
            calls: make.counters(&names::CALLS)?,
            call_seconds: make.keep(HistogramVec::new(opts(&names::CALL_SECONDS), names::CALL_SECONDS.labels)?)?,
            retries: make.counters(&names::RETRIES)?,
            endpoint_up: make.gauges(&names::ENDPOINT_UP)?,
            endpoint_waiting: make.gauges(&names::ENDPOINT_WAITING)?,
            endpoint_limit: make.gauges(&names::ENDPOINT_LIMIT)?,
            endpoint_breaker: make.gauges(&names::ENDPOINT_BREAKER)?,
            model_kills: make.counters(&names::MODEL_KILLS)?,
            batch_rows: make.keep(HistogramVec::new(
                HistogramOpts::new(names::BATCH_ROWS.name, names::BATCH_ROWS.help).buckets(names::ROWS.to_vec()),
                names::BATCH_ROWS.labels,
            )?)?,
            batch_records: make.counters(&names::BATCH_RECORDS)?,
            batch_target: make.gauges(&names::BATCH_TARGET)?,
            batch_halvings: make.counters(&names::BATCH_HALVINGS)?,
            batch_unsplit: make.counters(&names::BATCH_UNSPLIT)?,
            batch_stopped: make.gauges(&names::BATCH_STOPPED)?,
            partitions: make.keep(Partitions::new()?)?,
            seldon: SeldonMetrics::register(registry, deployment)?,
        })
    }

    /// Handle to a node's metrics; the same series for the same labels.
    pub fn node(&self, labels: &NodeLabels<'_>) -> NodeMetrics {
        NodeMetrics::new(NodeInner {
            name: labels.node.into(),
            calls: CallOutcome::ALL.map(|outcome| self.calls.with_label_values(&[labels.node, outcome.label()])),
            seconds: self.call_seconds.with_label_values(&[labels.node]),
            retries: self.retries.with_label_values(&[labels.node]),
            up: self.endpoint_up.with_label_values(&[labels.node]),
            waiting: self.endpoint_waiting.with_label_values(&[labels.node]),
            limit: self.endpoint_limit.with_label_values(&[labels.node]),
            breaker: self.endpoint_breaker.with_label_values(&[labels.node]),
            kills: self.model_kills.with_label_values(&[labels.node]),
            seldon: self.seldon.client(labels),
        })
    }

    /// Handle to the metrics of a node's calls with several records, which only a node has that makes them.
    pub fn batch(&self, node: &str) -> BatchMetrics {
        BatchMetrics {
            name: node.into(),
            rows: self.batch_rows.with_label_values(&[node]),
            records: self.batch_records.with_label_values(&[node]),
            target: self.batch_target.with_label_values(&[node]),
            halvings: self.batch_halvings.with_label_values(&[node]),
            unsplit: self.batch_unsplit.with_label_values(&[node]),
            stopped: self.batch_stopped.with_label_values(&[node]),
        }
    }

    /// Handle to what is shown of a partition. Every caller gets the same one until the partition is revoked.
    pub fn partition(&self, partition: Partition) -> PartitionMetrics {
        self.partitions.get(partition)
    }

    /// Stops showing a partition. The events of revoke and loss do it.
    pub(super) fn remove_partition(&self, partition: Partition) {
        self.partitions.remove(partition);
    }

    /// Time from reading a record to the acknowledgement of its outcome.
    pub fn record_took(&self, took: Duration) {
        self.record_seconds.observe(took.as_secs_f64());
    }
}

struct Make<'a>(&'a Registry);

impl Make<'_> {
    fn keep<C: Collector + Clone + 'static>(&self, collector: C) -> prometheus::Result<C> {
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    fn counter(&self, metric: &names::Metric) -> prometheus::Result<IntCounter> {
        self.keep(IntCounter::new(metric.name, metric.help)?)
    }

    fn counters(&self, metric: &names::Metric) -> prometheus::Result<IntCounterVec> {
        self.keep(IntCounterVec::new(Opts::new(metric.name, metric.help), metric.labels)?)
    }

    fn gauge(&self, metric: &names::Metric) -> prometheus::Result<IntGauge> {
        self.keep(IntGauge::new(metric.name, metric.help)?)
    }

    fn gauges(&self, metric: &names::Metric) -> prometheus::Result<IntGaugeVec> {
        self.keep(IntGaugeVec::new(Opts::new(metric.name, metric.help), metric.labels)?)
    }
}
