//! The usual case: an input topic, a chain of two models whose arithmetic shows that both ran and in which order, and the
//! configuration for them.

use std::time::Duration;

use super::check::{Report, gather};
use super::collect::Collector;
use super::config::Config;
use super::kafka::Broker;
use super::load::{Requests, Sent};
use super::models::Model;
use super::requests::Protocol;
use super::topics::unique;

/// Topics, group and models of one test.
pub struct Scenario<'a> {
    pub broker: &'a Broker,
    pub name: String,
    pub input: String,
    pub output: String,
    pub dead: String,
    pub group: String,
    pub protocol: Protocol,
    /// The first node: doubles.
    pub double: Model,
    /// The second node: adds one.
    pub add_one: Model,
}

/// What the chain makes of a number. The other way round it would be 2·(n+1).
pub fn chained(n: u64) -> u64 {
    2 * n + 1
}

impl<'a> Scenario<'a> {
    /// Creates the three topics.
    pub fn new(broker: &'a Broker, stem: &str, partitions: i32) -> Self {
        let scenario = Self::without_topics(broker, stem);
        broker.create_topics(&[&scenario.input, &scenario.output, &scenario.dead], partitions, &[]);
        scenario
    }

    /// Creates the input topic only; the service has to make the others.
    pub fn with_input_only(broker: &'a Broker, stem: &str, partitions: i32) -> Self {
        let scenario = Self::without_topics(broker, stem);
        broker.create_topic(&scenario.input, partitions, &[]);
        scenario
    }

    pub fn without_topics(broker: &'a Broker, stem: &str) -> Self {
        let name = unique(stem);
        Self {
            broker,
            input: format!("{name}.in"),
            output: format!("{name}.out"),
            dead: format!("{name}.in.dlq"),
            group: format!("{name}.group"),
            name,
            protocol: Protocol::Tensorflow,
            double: Model::calculating("double", |n| 2 * n),
            add_one: Model::calculating("add-one", |n| n + 1),
        }
    }

    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// A configuration with the times of a test: the group notices a dead member soon, commits are frequent.
    pub fn config(&self) -> Config {
        Config::default()
            .set("protocol", self.protocol.name())
            .set("kafka/brokers", self.broker.bootstrap())
            .set("kafka/group_id", self.group.as_str())
            .set("kafka/input_topic", self.input.as_str())
            .set("kafka/output_topic", self.output.as_str())
            .set("kafka/commit_interval", "500ms")
            .consumer("session.timeout.ms", 3000)
            .consumer("heartbeat.interval.ms", 500)
            .consumer("max.poll.interval.ms", 10_000)
            .set("limits/drain", "5s")
            .set("nodes/double/endpoint", self.double.endpoint())
            .set("nodes/add-one/endpoint", self.add_one.endpoint())
            .set("graph/name", "double")
            .set("graph/type", "MODEL")
            .set("graph/children", serde_json::json!([{"name": "add-one", "type": "MODEL"}]))
            .set("admin/allow_crash", true)
            .set("log/level", "info")
            .set("log/format", "terminal")
    }

    pub fn requests(&self) -> Requests {
        Requests::new(&self.name).protocol(self.protocol)
    }

    pub fn outputs(&self) -> Collector {
        Collector::open(self.broker, &self.output)
    }

    pub fn dead_letters(&self) -> Collector {
        Collector::open(self.broker, &self.dead)
    }

    /// Waits for the end of every request and reports.
    #[track_caller]
    pub fn gather(&self, sent: &[Sent], limit: Duration) -> Report {
        gather(sent, &mut self.outputs(), &mut self.dead_letters(), limit, chained)
    }
}
