//! The typed tree of settings that the service runs on, complete and checked.
//!
//! Not for reading or checking: a value of these types was checked already. Names, units and defaults are explained in
//! `config/default.yaml`.

mod graph;
mod node;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

pub use graph::{GraphNode, Implementation, Logger, LoggerMode, Method, NodeKind, Split};
pub use node::{Batch, Breaker, CallLimit, Endpoint, Node, Retry, WhenUnavailable};

/// Everything the service needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which guarantee holds from input to output.
    pub delivery: Delivery,
    /// What order outputs keep.
    pub order: Order,
    /// What becomes of a record that failed.
    pub on_failure: OnFailure,
    /// Protocol of the requests and of every node.
    pub protocol: Protocol,
    /// How requests are encoded and nodes are called where neither a record nor a node says otherwise.
    pub transport: Transport,
    /// What is read from the input topic.
    pub stream: Stream,
    /// Write the route that a request took into the answer's `meta.routing`. Protocol seldon only.
    pub inject_routing: bool,
    /// Worker arbiters.
    pub threads: usize,
    /// Brokers, topics, group.
    pub kafka: Kafka,
    /// Bounds.
    pub limits: Limits,
    /// The nodes in graph order, each with all its settings; the graph is `graph`.
    pub nodes: BTreeMap<String, Node>,
    /// The inference graph.
    pub graph: GraphNode,
    /// Admin port.
    pub admin: Admin,
    /// Logging.
    pub log: Log,
    /// Names for metrics and the group rule.
    pub deployment: Deployment,
}

/// Guarantee from input to output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Every record has an outcome; after a crash some have it twice.
    AtLeastOnce,
    /// Outcomes and offsets are written in transactions: readers of committed records see each outcome once.
    ExactlyOnce,
}

/// What order outputs keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// One record of a partition at a time.
    Partition,
    /// Records of one key in order, different keys concurrently; no key, no order.
    Key,
    /// No order.
    None,
}

/// What becomes of a record that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// It goes to the dead-letter topic with the reason.
    DeadLetter,
    /// It is counted and logged, and nothing is written for it.
    Skip,
    /// It stays uncommitted, and the service drains and ends with exit code 65.
    Stop,
}

/// Prediction protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Seldon's own messages.
    Seldon,
    /// TensorFlow Serving.
    Tensorflow,
    /// Open Inference Protocol, also called kfserving.
    V2,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Seldon => "seldon",
            Self::Tensorflow => "tensorflow",
            Self::V2 => "v2",
        })
    }
}

/// What is read from a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Requests, which are answered.
    Requests,
    /// Feedback, which teaches the graph's nodes and has no answer.
    Feedback,
}

/// How a message travels: which encoding it has, and how a node is called with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// JSON over HTTP.
    Rest,
    /// Protobuf over gRPC.
    Grpc,
}

impl Transport {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Rest, Self::Grpc];
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rest => "rest",
            Self::Grpc => "grpc",
        })
    }
}

/// Brokers, topics, group.
#[derive(Clone, Debug)]
pub struct Kafka {
    /// Bootstrap servers, comma separated.
    pub brokers: String,
    /// Consumer group.
    pub group_id: String,
    /// Client id shown in broker logs and quotas.
    pub client_id: String,
    /// Requests.
    pub input_topic: String,
    /// Feedback, if it is read too.
    pub feedback_topic: Option<String>,
    /// Answers.
    pub output_topic: String,
    /// Records that could not be answered.
    pub dead_letter_topic: String,
    /// Create output and dead-letter topics that do not exist.
    pub create_topics: bool,
    /// Where to start without a usable committed offset.
    pub start: Start,
    /// How the group shares partitions.
    pub assignment: Assignment,
    /// Time between commits.
    pub commit_interval: Duration,
    /// Transactions, where delivery is exactly once.
    pub transaction: Transaction,
    /// Security of the connections, as librdkafka properties; secret values are marked.
    pub security: Vec<(String, Secret)>,
    /// Further librdkafka properties of the consumer, checked against those the service owns.
    pub consumer_properties: BTreeMap<String, String>,
    /// The same of the producer.
    pub producer_properties: BTreeMap<String, String>,
}

/// Transactions of exactly once.
#[derive(Clone, Debug)]
pub struct Transaction {
    /// Time from the begin of a transaction to its commit.
    pub interval: Duration,
    /// Outcomes after which it is committed earlier.
    pub records: usize,
    /// After this time the brokers abort it.
    pub timeout: Duration,
    /// Name of this process among those of its group, unique; the transactional id is `<group>.<instance>`.
    pub instance: String,
}

/// Where to start without a usable committed offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The oldest record.
    Earliest,
    /// Only what comes from now on.
    Latest,
}

/// How the group shares partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignment {
    /// Partitions move one by one.
    CooperativeSticky,
    /// Eager; for a rolling replacement of the predecessor, whose members use it.
    Range,
}

/// Bounds. Each has a gauge.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Requests running through the graph, in the process.
    pub in_flight_records: usize,
    /// Bytes of records dispatched and not acknowledged, in the process.
    pub in_flight_bytes: usize,
    /// Records read and not finished, per partition.
    pub window: usize,
    /// Finished records past the oldest unfinished one, per partition.
    pub commit_span: usize,
    /// Bytes of records and outcomes that wait for a transaction, in the process.
    pub held_bytes: usize,
    /// Bytes read ahead by the client library, per partition.
    pub prefetch_bytes: usize,
    /// Largest value of a record that is sent to a model.
    pub request_bytes: usize,
    /// Largest reply that is read from a model.
    pub reply_bytes: usize,
    /// Time a record may cost while its endpoints work.
    pub record_deadline: Duration,
    /// Time for running work to finish at stop or revoke.
    pub drain: Duration,
    /// Time between SIGTERM and SIGKILL; the drain and what follows it fit in.
    pub termination_grace: Duration,
}

/// Admin port.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Address to listen on.
    pub host: String,
    /// TCP port; 0 lets the system choose.
    pub port: u16,
    /// Lets `POST /api/actors/NAME/crash`, and the header `millrace-crash` of a record, crash an actor, for game days.
    pub allow_crash: bool,
}

/// Logging.
#[derive(Clone, Copy, Debug)]
pub struct Log {
    /// Least severe level that is written.
    pub level: slog::Level,
    /// Shape of a line.
    pub format: LogFormat,
}

/// Shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Terminal,
}

/// Names for metrics and the group rule.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// Name of the SeldonDeployment, or of the configuration.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// Name of the predictor.
    pub predictor: String,
    /// Its version annotation, may be empty.
    pub predictor_version: String,
    /// The file it came from, if any.
    pub file: Option<PathBuf>,
}

/// A value that must not be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
