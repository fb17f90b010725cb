//! Topics seen from outside: made, described, cut, measured.

use std::future::Future;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::kafka::{Broker, PATIENCE};
use super::wait;

/// Settings that every client of the tests starts from.
pub fn client(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("broker.address.family", "v4");
    // A broker that is away on purpose should be found again at once.
    config.set("reconnect.backoff.ms", "50").set("reconnect.backoff.max.ms", "500");
    config
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE))
}

/// A name that no other test of this broker uses.
pub fn unique(stem: &str) -> String {
    format!("{stem}-{:08x}", fastrand::u32(..))
}

/// Clients for questions, kept as long as the broker.
pub struct Clients {
    admin: AdminClient<DefaultClientContext>,
    observer: BaseConsumer,
}

impl Broker {
    fn clients(&self) -> &Clients {
        self.clients.get_or_init(|| Clients {
            admin: client(self.bootstrap()).create().expect("the settings are right"),
            // Ends are those of the log, as a scaler sees them, not of the last finished transaction.
            observer: client(self.bootstrap())
                .set("isolation.level", "read_uncommitted")
                .create()
                .expect("the settings are right"),
        })
    }

    fn admin(&self) -> &AdminClient<DefaultClientContext> {
        &self.clients().admin
    }

    fn observer(&self) -> &BaseConsumer {
        &self.clients().observer
    }

    /// Creates a topic and waits until every partition has a leader.
    pub fn create_topic(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        self.create_topics(&[name], partitions, settings);
    }

    /// Creates topics that are alike.
    pub fn create_topics(&self, names: &[&str], partitions: i32, settings: &[(&str, &str)]) {
        let new = |name| {
            let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(-1));
            settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value))
        };
        let topics: Vec<_> = names.iter().copied().map(new).collect();
        let results = block_on(self.admin().create_topics(&topics, &options())).expect("the broker answers");
        for result in results {
            result.unwrap_or_else(|(name, code)| panic!("topic {name}: {code}"));
        }
        for name in names {
            wait::until_true(PATIENCE, "a new topic has leaders", || self.partitions(name) == Some(partitions));
        }
    }

    /// How many partitions a topic has, all of them with a leader; `None` when there is no such topic yet.
    pub fn partitions(&self, topic: &str) -> Option<i32> {
        let metadata = self.observer().fetch_metadata(Some(topic), Duration::from_secs(5)).ok()?;
        let topic = metadata.topics().first()?;
        let led = topic.partitions().iter().all(|p| p.leader() >= 0 && p.error().is_none());
        (topic.error().is_none() && led && !topic.partitions().is_empty()).then(|| topic.partitions().len() as i32)
    }

    /// Whether the cluster knows the topic. Asks for all topics, so that the question cannot create one.
    pub fn topic_exists(&self, name: &str) -> bool {
        let metadata = self.observer().fetch_metadata(None, PATIENCE).expect("the broker answers");
        metadata.topics().iter().any(|t| t.name() == name)
    }

    /// The value of a topic's setting.
    pub fn topic_setting(&self, topic: &str, key: &str) -> String {
        let asked = [ResourceSpecifier::Topic(topic)];
        let answer = block_on(self.admin().describe_configs(&asked, &options())).expect("the broker answers");
        let resource = answer.into_iter().next().expect("one answer a question").expect("the topic exists");
        resource.get(key).and_then(|entry| entry.value.clone()).unwrap_or_else(|| panic!("no setting {key}"))
    }

    /// First offset and end offset (one past the last record or control record) of each partition.
    pub fn watermarks(&self, topic: &str) -> Vec<(i64, i64)> {
        let observer = self.observer();
        let count = self.partitions(topic).unwrap_or_else(|| panic!("topic {topic} does not exist"));
        let of = |p| observer.fetch_watermarks(topic, p, PATIENCE).expect("the broker answers");
        (0..count).map(of).collect()
    }

    /// Removes what lies before `offset`, as retention would.
    pub fn delete_records(&self, topic: &str, partition: i32, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, rdkafka::Offset::Offset(offset)).expect("a sound list");
        let done = block_on(self.admin().delete_records(&list, &options())).expect("the broker answers");
        for element in done.elements() {
            element.error().expect("the records are removed");
        }
    }
}
