//! Kafka without a broker: the client library's mock cluster, in this process.
//!
//! It keeps 5 MB a partition and gives no guarantees: for a look, never for a proof.

use rdkafka::ClientConfig;
use rdkafka::error::KafkaResult;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

pub(super) const INPUT: &str = "demo-requests";
pub(super) const OUTPUT: &str = "demo-answers";
pub(super) const DEAD_LETTERS: &str = "demo-requests.dlq";
pub(super) const PARTITIONS: i32 = 4;

/// The brokers; they end when this is dropped.
pub(super) struct Broker {
    _cluster: MockCluster<'static, DefaultProducerContext>,
    /// Addresses to connect to.
    pub(super) bootstrap: String,
}

impl Broker {
    pub(super) fn start() -> KafkaResult<Self> {
        let cluster = MockCluster::new(1)?;
        for topic in [INPUT, OUTPUT, DEAD_LETTERS] {
            cluster.create_topic(topic, PARTITIONS, 1)?;
        }
        let bootstrap = cluster.bootstrap_servers();
        Ok(Self { _cluster: cluster, bootstrap })
    }
}

/// Settings of a client of the demo itself.
pub(super) fn client(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("log_level", "3");
    config
}
