//! The broker of the benchmark, started as the tests start theirs, and its topics.

use std::future::Future;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::{Result, ports, reaper};

/// The tests' script.
pub(crate) const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/kafka/kafka");
/// How long a question to the broker may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running broker; dropping it ends it.
pub(crate) struct Broker {
    folder: PathBuf,
    bootstrap: String,
    admin: AdminClient<DefaultClientContext>,
    observer: BaseConsumer,
}

/// Settings that every client here starts from.
pub(crate) fn client(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("broker.address.family", "v4");
    config
}

impl Broker {
    pub(crate) fn start() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("millrace-bench-kafka-").tempdir()?.keep();
        reaper::broker(&folder);
        // The tests' broker compiles little, to start soon; here it runs for long.
        let output = Command::new(SCRIPT)
            .env("KAFKA_OPTS", "-XX:TieredStopAtLevel=4")
            .args(["start", "--port", &ports::block().to_string(), "--data"])
            .arg(&folder)
            .args(["--set", "group.initial.rebalance.delay.ms=0"])
            // The records of a run leave the disk before the next run needs it.
            .args(["--set", "log.segment.delete.delay.ms=1000"])
            .output()?;
        if !output.status.success() {
            return Err(format!("the broker does not start: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let bootstrap = printed.lines().find_map(|line| line.strip_prefix("KAFKA_PLAINTEXT="));
        let bootstrap = bootstrap.ok_or("the broker's script prints no address")?.to_owned();
        let (admin, observer) = (client(&bootstrap).create()?, client(&bootstrap).create()?);
        Ok(Self { folder, bootstrap, admin, observer })
    }

    /// Input, output and dead-letter topic of one run. What is written to the output has the time of the broker.
    pub(crate) fn create(&self, name: &str, partitions: i32) -> Result<Topics<'_>> {
        let topics = Topics {
            broker: self,
            input: format!("{name}.in"),
            output: format!("{name}.out"),
            dead: format!("{name}.in.dlq"),
            group: format!("{name}.group"),
            partitions,
        };
        let new = |name, partitions| NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        let output = new(&topics.output, partitions).set("message.timestamp.type", "LogAppendTime");
        let wanted = [new(&topics.input, partitions), output, new(&topics.dead, 1)];
        for result in block_on(self.admin.create_topics(&wanted, &options()))?? {
            result.map_err(|(name, code)| format!("topic {name}: {code}"))?;
        }
        Ok(topics)
    }

    /// How many records, and markers of transactions, were ever written to a topic.
    pub(crate) fn written(&self, topic: &str, partitions: i32) -> Result<i64> {
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition_offset(topic, partition, rdkafka::Offset::End)?;
        }
        let ends = self.observer.offsets_for_times(list, PATIENCE)?;
        Ok(ends.elements().iter().filter_map(|element| element.offset().to_raw()).sum())
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE))
}

fn block_on<T>(future: impl Future<Output = T>) -> Result<T> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future))
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Nobody reads this data again, so the end need not be orderly.
        let done = Command::new(SCRIPT).args(["stop", "--wait", "0", "--data"]).arg(&self.folder).output();
        drop(done.and_then(|_| std::fs::remove_dir_all(&self.folder)));
    }
}

/// The topics of one run; deleted with it.
pub(crate) struct Topics<'a> {
    broker: &'a Broker,
    pub(crate) input: String,
    pub(crate) output: String,
    pub(crate) dead: String,
    pub(crate) group: String,
    pub(crate) partitions: i32,
}

impl Topics<'_> {
    /// How much was written to the output.
    pub(crate) fn answered(&self) -> Result<i64> {
        self.broker.written(&self.output, self.partitions)
    }

    pub(crate) fn dead_lettered(&self) -> Result<i64> {
        self.broker.written(&self.dead, 1)
    }

    pub(crate) fn bootstrap(&self) -> &str {
        &self.broker.bootstrap
    }
}

impl Drop for Topics<'_> {
    fn drop(&mut self) {
        let names = [self.input.as_str(), &self.output, &self.dead];
        // A topic that stays costs some room in the broker's folder, which is removed at the end.
        drop(block_on(self.broker.admin.delete_topics(&names, &options())));
    }
}
