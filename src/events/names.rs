//! Every metric of the service: name, kind, labels and help text. The one place where they are written.
//!
//! Not here: metrics of the actors themselves, which the supervision crate registers on the same registry.
//! `docs/guide/metrics.md` lists the same; a test compares them.

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts in buckets.
    Histogram,
    /// Quantiles over the last ten minutes.
    Summary,
}

/// A metric as it is documented.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Full name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Label names.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($constant:ident = $name:literal $kind:ident [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: Metric =
                Metric { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };
        )*
        /// All of them, in the order of the documentation.
        pub const ALL: &[Metric] = &[$($constant),*];
    };
}

metrics! {
    RECORDS_CONSUMED = "millrace_records_consumed_total" Counter [] "Records read from the input topic.";
    OUTCOMES = "millrace_outcomes_total" Counter ["outcome"] "Records that ended, by outcome; counted when the broker has acknowledged.";
    DEAD_LETTERS = "millrace_dead_letters_total" Counter ["class"] "Dead letters by class of error.";
    RECORD_SECONDS = "millrace_record_seconds" Histogram [] "Time from reading a record to the acknowledgement of its outcome.";
    IN_FLIGHT_RECORDS = "millrace_in_flight_records" Gauge [] "Requests running through the graph.";
    IN_FLIGHT_RECORDS_LIMIT = "millrace_in_flight_records_limit" Gauge [] "Bound of millrace_in_flight_records.";
    IN_FLIGHT_BYTES = "millrace_in_flight_bytes" Gauge [] "Bytes of records dispatched and not acknowledged.";
    IN_FLIGHT_BYTES_LIMIT = "millrace_in_flight_bytes_limit" Gauge [] "Bound of millrace_in_flight_bytes.";
    HELD_BYTES = "millrace_held_bytes" Gauge [] "Bytes of records and outcomes that wait for a transaction.";
    HELD_BYTES_LIMIT = "millrace_held_bytes_limit" Gauge [] "Bound of millrace_held_bytes.";
    WINDOW_RECORDS = "millrace_window_records" Gauge ["partition"] "Records read and not finished.";
    WINDOW_RECORDS_LIMIT = "millrace_window_records_limit" Gauge [] "Bound of millrace_window_records, per partition.";
    COMMIT_SPAN_RECORDS = "millrace_commit_span_records" Gauge ["partition"] "Finished records past the oldest unfinished one.";
    COMMIT_SPAN_RECORDS_LIMIT = "millrace_commit_span_records_limit" Gauge [] "Bound of millrace_commit_span_records, per partition.";
    OLDEST_UNFINISHED_SECONDS = "millrace_oldest_unfinished_seconds" Gauge ["partition"] "Age of the oldest record read and not finished, 0 if there is none.";
    LAG = "millrace_lag" Gauge ["partition"] "Records between the committed offset and the end of the partition; absent until known.";
    COMMITTED_OFFSET = "millrace_committed_offset" Gauge ["partition"] "Committed offset; absent until known.";
    COMMITS = "millrace_commits_total" Counter ["result"] "Commits of offsets by result.";
    TRANSACTIONS = "millrace_transactions_total" Counter ["result"] "Transactions by result: committed, aborted, or renewed where the client had to be made anew to learn it.";
    ASSIGNED_PARTITIONS = "millrace_assigned_partitions" Gauge [] "Partitions of the input topic that this process reads.";
    REBALANCES = "millrace_rebalances_total" Counter ["kind"] "Changes of the assignment by kind.";
    LOST_POSITIONS = "millrace_lost_positions_total" Counter [] "Offsets that retention removed before they were read.";
    REDISPATCHED = "millrace_redispatched_total" Counter [] "Records dispatched again because whoever held them failed.";
    LATE_RESULTS_DROPPED = "millrace_late_results_dropped_total" Counter [] "Results of an old epoch that were dropped.";
    HEADERS_LEFT_OUT = "millrace_headers_left_out_total" Counter [] "Headers of records that calls do not carry: the name is no UTF-8, or the transport cannot carry it.";
    CALLS = "millrace_calls_total" Counter ["node", "outcome"] "Attempts of calls to a node by outcome.";
    CALL_SECONDS = "millrace_call_seconds" Histogram ["node"] "Time of an attempt.";
    RETRIES = "millrace_retries_total" Counter ["node"] "Attempts after the first.";
    ENDPOINT_UP = "millrace_endpoint_up" Gauge ["node"] "Whether the node's endpoint takes calls.";
    ENDPOINT_WAITING = "millrace_endpoint_waiting" Gauge ["node"] "Calls that wait for the endpoint.";
    ENDPOINT_LIMIT = "millrace_endpoint_limit" Gauge ["node"] "Calls that may run at the endpoint at a time, from the whole process.";
    ENDPOINT_BREAKER = "millrace_endpoint_breaker" Gauge ["node"] "Whether calls go to the endpoint: 0 closed, they do; 1 half-open, a few; 2 open, none.";
    MODEL_KILLS = "millrace_model_kills_total" Counter ["node"] "Times that the endpoint went down under one record that was called alone.";
    BATCH_ROWS = "millrace_batch_rows" Histogram ["node"] "Rows of a call that may have several records.";
    BATCH_RECORDS = "millrace_batch_records_total" Counter ["node"] "Records in such calls.";
    BATCH_TARGET = "millrace_batch_target_rows" Gauge ["node"] "Rows that such a call should have, learned from how the server takes them.";
    BATCH_HALVINGS = "millrace_batch_halvings_total" Counter ["node"] "Calls with several records that failed and were made again in two halves.";
    BATCH_UNSPLIT = "millrace_batch_unsplit_total" Counter ["node"] "Replies to calls with several records that could not be split.";
    BATCH_STOPPED = "millrace_batch_stopped" Gauge ["node"] "1 if the model answered other rows than it was sent: every record has a call of its own until the next start.";
    SHADOWS = "millrace_shadows_total" Counter ["node", "result"] "Answers of shadow children by how they compare: equal, different, failed, or skipped for want of room.";
    PRODUCE_ERRORS = "millrace_produce_errors_total" Counter [] "Records that the broker refused or that were not delivered.";
    PRODUCE_QUEUE = "millrace_produce_queue" Gauge [] "Records handed to the producer and not acknowledged.";
    KAFKA_ERRORS = "millrace_kafka_errors_total" Counter ["client"] "Errors that a Kafka client reported.";
    BUILD_INFO = "millrace_build_info" Gauge ["version"] "Always 1; the label tells the version.";
    SERVER_SECONDS = "seldon_api_executor_server_requests_seconds" Histogram ["deployment_name", "predictor_name", "predictor_version", "service", "method", "code"] "Seldon's name for requests to the service; stays 0, requests come from Kafka.";
    SERVER_SUMMARY = "seldon_api_executor_server_requests_seconds_summary" Summary ["deployment_name", "predictor_name", "predictor_version", "service", "method", "code"] "Seldon's name for requests to the service; stays 0, requests come from Kafka.";
    CLIENT_SECONDS = "seldon_api_executor_client_requests_seconds" Histogram ["deployment_name", "predictor_name", "predictor_version", "service", "model_name", "model_image", "model_version", "method", "code"] "Seldon's name for calls of model servers that were answered.";
    CLIENT_SUMMARY = "seldon_api_executor_client_requests_seconds_summary" Summary ["deployment_name", "predictor_name", "predictor_version", "service", "model_name", "model_image", "model_version", "method", "code"] "Seldon's name for calls of model servers that were answered.";
}

/// Labels of `millrace_dead_letters_total`, there from the start so that a rate sees the first one.
pub const ERROR_CLASSES: &[&str] = &[
    "undecodable",
    "model_error",
    "timeout",
    "too_large",
    "unchainable",
    "bad_route",
    "poison",
    "refused_by_broker",
    "unavailable",
    "kills_model",
];

/// Buckets of the service's own histograms, in seconds.
pub const BUCKETS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0, 120.0,
];

/// Buckets of rows.
pub const ROWS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0];

/// Buckets of Seldon's histograms, in seconds.
pub const SELDON_BUCKETS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Quantiles of Seldon's summaries.
pub const SELDON_QUANTILES: &[f64] = &[0.5, 0.75, 0.9, 0.98, 0.99, 1.0];
