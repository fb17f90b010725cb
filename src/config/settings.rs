//! The typed tree of settings that the service runs on, complete and checked.
//!
//! Not for reading or checking: a value of these types was checked already. Names, units and defaults are explained in
//! `config/default.yaml`.

mod graph;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

pub use graph::{GraphNode, Implementation, Logger, LoggerMode, Method, NodeKind, Split};

/// Everything the service needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which guarantee holds from input to output.
    pub delivery: Delivery,
    /// What order outputs keep.
    pub order: Order,
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
    /// Security of the connections, as librdkafka properties; secret values are marked.
    pub security: Vec<(String, Secret)>,
    /// Further librdkafka properties of the consumer, checked against those the service owns.
    pub consumer_properties: BTreeMap<String, String>,
    /// The same of the producer.
    pub producer_properties: BTreeMap<String, String>,
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

/// Settings of one node.
#[derive(Clone, Debug)]
pub struct Node {
    /// Name in the graph; also the model's name in the protocols' paths.
    pub name: String,
    /// How it is called, whatever the encoding of a record: its messages are converted where they have the other one.
    /// Without it, each record is sent in the encoding that it has.
    pub transport: Option<Transport>,
    /// Where its server takes REST calls.
    pub rest: Option<Endpoint>,
    /// Where its server takes gRPC calls.
    pub grpc: Option<Endpoint>,
    /// Time for one attempt.
    pub timeout: Duration,
    /// Retries of a call.
    pub retry: Retry,
    /// Actors per worker that share the node's calls.
    pub clients: usize,
    /// Idle and busy connections of each of these actors: as many calls run at a time.
    pub connections: usize,
    /// What becomes of a record while the server is unavailable.
    pub when_unavailable: WhenUnavailable,
    /// Calls that run at the server at a time, from the whole process.
    pub limit: CallLimit,
    /// When calls stop because too many fail.
    pub breaker: Breaker,
    /// Image, for Seldon's metrics labels.
    pub image: String,
}

/// What becomes of a record while the server it needs is unavailable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum WhenUnavailable {
    /// It waits, and pays nothing.
    #[default]
    Wait,
    /// It pays attempts, and is dead-lettered when they are used up.
    DeadLetter,
}

/// Bounds of the calls that run at a server at a time, from the whole process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLimit {
    /// Whether the limit follows what the server can do; if not, it stays at its maximum.
    pub adaptive: bool,
    /// Never fewer.
    pub min: usize,
    /// Never more. Without one, as many as threads, clients and connections allow.
    pub max: Option<usize>,
}

impl Default for CallLimit {
    fn default() -> Self {
        Self { adaptive: true, min: 1, max: None }
    }
}

/// When calls of a server stop because too many of them fail.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Breaker {
    /// Share of failed calls, above 0 and at most 1.
    pub error_share: f64,
    /// The time that is looked at.
    pub window: Duration,
    /// Fewer calls in that time say nothing.
    pub min_calls: u32,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { error_share: 0.8, window: Duration::from_secs(10), min_calls: 20 }
    }
}

impl Node {
    /// Where its server takes calls of a transport.
    pub fn endpoint(&self, transport: Transport) -> Option<&Endpoint> {
        match transport {
            Transport::Rest => self.rest.as_ref(),
            Transport::Grpc => self.grpc.as_ref(),
        }
    }

    /// Where its server listens, for people: one address where it has one.
    pub fn addresses(&self) -> String {
        match (&self.rest, &self.grpc) {
            (Some(one), None) | (None, Some(one)) => one.to_string(),
            (Some(rest), Some(grpc)) => format!("{rest} (grpc {grpc})"),
            (None, None) => "no server".to_owned(),
        }
    }
}

/// Host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Retries of a call.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// Attempts in all, the first included.
    pub attempts: u32,
    /// Upper bound of the first wait; the real one is drawn between 0 and it.
    pub min_backoff: Duration,
    /// Upper bound of any wait.
    pub max_backoff: Duration,
}

/// Admin port.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Address to listen on.
    pub host: String,
    /// TCP port; 0 lets the system choose.
    pub port: u16,
    /// Lets `POST /api/actors/NAME/crash` crash an actor, for game days.
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
