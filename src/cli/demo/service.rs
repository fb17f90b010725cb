//! What the demo needs of the service, and the settings that it runs it with.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;

use super::Options;
use super::broker::{DEAD_LETTERS, INPUT, OUTPUT};
use crate::admin::Actors;
use crate::config::settings::{
    Admin, Assignment, Breaker, CallLimit, Delivery, Deployment, Endpoint, GraphNode, Kafka, Limits, Log, LogFormat,
    Node, NodeKind, OnFailure, Order, Protocol, Retry, Settings, Start, Stream, Transaction, Transport,
    WhenUnavailable,
};

/// A running service.
pub trait Service {
    /// Its actors.
    fn actors(&self) -> Arc<dyn Actors>;
    /// Its metrics.
    fn registry(&self) -> Registry;
    /// Whether it has ended by itself.
    fn finished(&self) -> bool;
    /// Asks it to finish what it has and to end.
    fn drain(&self);
    /// Waits for its end; the exit code.
    fn join(self: Box<Self>) -> u8;
}

/// Why the demo cannot start: exit code and what to tell the user.
pub type Refusal = (u8, String);

/// Settings of the service in the demo: a chain of the sample models, on the mock brokers.
pub(super) fn settings(options: &Options, brokers: &str, models: &[(&'static str, SocketAddr); 2]) -> Settings {
    // The mock brokers answer an empty fetch only when its time is over, and a group that a member has left forms anew
    // only when the session of that member is over.
    let quick = [("fetch.wait.max.ms", "5"), ("session.timeout.ms", "6000"), ("heartbeat.interval.ms", "500")];
    let quick = quick.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let graph = models
        .iter()
        .rev()
        .fold(Vec::new(), |children, (name, _)| vec![GraphNode::new(*name, NodeKind::Model, children)]);
    Settings {
        delivery: Delivery::AtLeastOnce,
        order: Order::Key,
        on_failure: OnFailure::DeadLetter,
        protocol: Protocol::Seldon,
        transport: Transport::Rest,
        stream: Stream::Requests,
        inject_routing: false,
        threads: 1,
        kafka: Kafka {
            brokers: brokers.to_owned(),
            group_id: "model.demo.default".to_owned(),
            client_id: "millrace-demo".to_owned(),
            input_topic: INPUT.to_owned(),
            feedback_topic: None,
            output_topic: OUTPUT.to_owned(),
            dead_letter_topic: DEAD_LETTERS.to_owned(),
            create_topics: false,
            start: Start::Earliest,
            assignment: Assignment::CooperativeSticky,
            commit_interval: Duration::from_secs(1),
            transaction: Transaction {
                interval: Duration::from_millis(100),
                records: 1000,
                timeout: Duration::from_secs(10),
                instance: "one".into(),
            },
            security: Vec::new(),
            consumer_properties: BTreeMap::from(quick),
            producer_properties: BTreeMap::new(),
        },
        limits: Limits {
            in_flight_records: 1000,
            in_flight_bytes: 64 << 20,
            window: 2000,
            held_bytes: 64 << 20,
            commit_span: 10_000,
            prefetch_bytes: 1 << 20,
            request_bytes: 1 << 20,
            reply_bytes: 1 << 20,
            record_deadline: Duration::from_mins(1),
            drain: Duration::from_secs(10),
            termination_grace: Duration::from_secs(30),
        },
        nodes: models.iter().map(|(name, address)| ((*name).to_owned(), node(name, *address))).collect(),
        graph: graph.into_iter().next().expect("there are two models"),
        admin: Admin { host: "127.0.0.1".to_owned(), port: options.http_port, allow_crash: true },
        log: Log { level: slog::Level::Warning, format: LogFormat::Terminal },
        deployment: Deployment {
            name: "demo".to_owned(),
            namespace: "default".to_owned(),
            predictor: "main".to_owned(),
            predictor_version: String::new(),
            file: None,
        },
    }
}

fn node(name: &str, address: SocketAddr) -> Node {
    Node {
        name: name.to_owned(),
        transport: None,
        rest: Some(Endpoint { host: address.ip().to_string(), port: address.port() }),
        grpc: None,
        timeout: Duration::from_secs(5),
        retry: Retry { attempts: 5, min_backoff: Duration::from_millis(50), max_backoff: Duration::from_secs(1) },
        clients: 1,
        connections: 64,
        when_unavailable: WhenUnavailable::Wait,
        limit: CallLimit::default(),
        breaker: Breaker::default(),
        batch: None,
        image: format!("millrace/demo-{name}:1"),
    }
}
