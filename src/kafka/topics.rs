//! Makes sure that the topics exist before the stream starts, and tells their size.
//!
//! Blocks on the broker: for a thread that may wait, never for an arbiter.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{
    AdminClient, AdminOptions, NewTopic, OwnedResourceSpecifier, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::runtime::{Builder, Runtime};

use crate::config::settings::Kafka;

/// Time for one question to the brokers.
const ANSWER: Duration = Duration::from_secs(10);
/// Time for a new topic to be seen.
const APPEAR: Duration = Duration::from_secs(10);
/// Kafka's default of `max.message.bytes`.
const DEFAULT_MAX_BYTES: u64 = 1_048_588;
/// Room for the headers that are added to a record: a dead letter's are below 8 KiB.
const HEADER_ROOM: u64 = 64 * 1024;
const MAX_BYTES: &str = "max.message.bytes";

/// What the stream has to know of its topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicFacts {
    /// Requests.
    pub input: Topic,
    /// Answers.
    pub output: Topic,
    /// Dead letters.
    pub dead_letter: Topic,
}

/// One topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Partitions.
    pub partitions: i32,
    /// Largest batch that the broker takes; absent if it was not asked for or not told.
    pub max_message_bytes: Option<u64>,
    /// Whether it was made just now.
    pub created: bool,
}

/// Why the topics are not ready. Each may pass by itself or by an operator's hand, so trying again is right.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No broker answers, or it refuses the question.
    #[error("cannot ask the brokers for topic {topic}: {source}")]
    Ask {
        /// Topic.
        topic: String,
        /// What the client says.
        source: KafkaError,
    },
    /// The input topic is never made: nobody could know how many partitions it needs.
    #[error(
        "input topic {topic} does not exist, or this user may not describe it; create it, or correct kafka.input_topic"
    )]
    NoInput {
        /// Topic.
        topic: String,
    },
    /// A topic is missing and must not be made.
    #[error(
        "topic {topic} does not exist, or this user may not describe it; create it with {partitions} partitions, or set kafka.create_topics"
    )]
    Missing {
        /// Topic.
        topic: String,
        /// Partitions it should have.
        partitions: i32,
    },
    /// The broker refused to make a topic.
    #[error("topic {topic} does not exist and the broker refused to create it: {reason}")]
    NotCreated {
        /// Topic.
        topic: String,
        /// What the broker says.
        reason: RDKafkaErrorCode,
    },
    /// A topic was made and is not seen yet.
    #[error("topic {topic} was created and no broker shows it yet")]
    NotSeen {
        /// Topic.
        topic: String,
    },
}

/// Asks for topics and makes them.
pub struct TopicAdmin {
    client: AdminClient<DefaultClientContext>,
    runtime: Runtime,
}

impl TopicAdmin {
    /// A client with these settings: brokers and security.
    pub fn new(config: &ClientConfig) -> Result<Self, KafkaError> {
        let mut config = config.clone();
        // Asking for a topic must not make it, with the broker's default of partitions.
        config.set("allow.auto.create.topics", "false");
        let client = config.create()?;
        let runtime = Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|error| KafkaError::ClientCreation(format!("no runtime for the admin client: {error}")))?;
        Ok(Self { client, runtime })
    }

    /// Makes the output and the dead-letter topic if they are missing and may be made: with the input's partitions, the
    /// broker's default of replicas, and room for records of `largest` bytes. Where nothing may be made, sizes of records
    /// are not asked for.
    pub fn ensure(&self, topics: &Kafka, largest: u64) -> Result<TopicFacts, Error> {
        let names = [&topics.input_topic, &topics.output_topic, &topics.dead_letter_topic];
        let [input, output, dead_letter] = names.map(|topic| self.partitions(topic));
        let input = input?.ok_or_else(|| Error::NoInput { topic: topics.input_topic.clone() })?;
        let sizes = if topics.create_topics { self.max_message_bytes(&names) } else { HashMap::new() };
        let size = |topic: &String| sizes.get(topic).copied();
        let room = size(&topics.input_topic).unwrap_or(0).max(DEFAULT_MAX_BYTES).max(largest) + HEADER_ROOM;
        let ensure = |topic: &String, found: Option<i32>| match found {
            Some(partitions) => Ok(Topic { partitions, max_message_bytes: size(topic), created: false }),
            None if topics.create_topics => self.create(topic, input, room),
            None => Err(Error::Missing { topic: topic.clone(), partitions: input }),
        };
        Ok(TopicFacts {
            input: ensure(&topics.input_topic, Some(input))?,
            output: ensure(&topics.output_topic, output?)?,
            dead_letter: ensure(&topics.dead_letter_topic, dead_letter?)?,
        })
    }

    /// A topic as the brokers describe it; nothing if there is none, or none that may be seen.
    pub fn describe(&self, topic: &str) -> Result<Option<Topic>, Error> {
        let Some(partitions) = self.partitions(topic)? else { return Ok(None) };
        let max_message_bytes = self.max_message_bytes(&[topic]).remove(topic);
        Ok(Some(Topic { partitions, max_message_bytes, created: false }))
    }

    /// Makes a topic that keeps the last record of each key, if it is missing and may be made.
    pub fn ensure_compacted(&self, topic: &str, partitions: i32, may_create: bool) -> Result<(), Error> {
        match self.partitions(topic)? {
            Some(_) => Ok(()),
            None if may_create => self.make(topic, partitions, &[("cleanup.policy", "compact")]).map(drop),
            None => Err(Error::Missing { topic: topic.to_owned(), partitions }),
        }
    }

    fn partitions(&self, topic: &str) -> Result<Option<i32>, Error> {
        let ask = |source| Error::Ask { topic: topic.to_owned(), source };
        let metadata = self.client.inner().fetch_metadata(Some(topic), ANSWER).map_err(ask)?;
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
            return Ok(None);
        };
        match found.error().map(RDKafkaErrorCode::from) {
            None => Ok(Some(found.partitions().len() as i32).filter(|&count| count > 0)),
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => Ok(None),
            Some(code) => Err(ask(KafkaError::MetadataFetch(code))),
        }
    }

    /// Asking may be forbidden, or unknown to the broker; that is no fault.
    fn max_message_bytes(&self, topics: &[impl AsRef<str>]) -> HashMap<String, u64> {
        let about: Vec<_> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic.as_ref())).collect();
        // Brokers that do not know the question leave it unanswered.
        let options = AdminOptions::new().request_timeout(Some(ANSWER / 2));
        let asked = self.client.describe_configs(&about, &options);
        let described = self.runtime.block_on(asked).unwrap_or_default();
        described
            .into_iter()
            .filter_map(|resource| {
                let resource = resource.ok()?;
                let bytes = resource.get(MAX_BYTES)?.value.as_ref()?.parse().ok()?;
                match resource.specifier {
                    OwnedResourceSpecifier::Topic(topic) => Some((topic, bytes)),
                    _ => None,
                }
            })
            .collect()
    }

    fn create(&self, topic: &str, partitions: i32, max_message_bytes: u64) -> Result<Topic, Error> {
        let max_message_bytes = max_message_bytes.min(i32::MAX as u64);
        let room = max_message_bytes.to_string();
        let (partitions, created) = self.make(topic, partitions, &[(MAX_BYTES, &room)])?;
        let max_message_bytes = created.then_some(max_message_bytes);
        Ok(Topic { partitions, max_message_bytes, created })
    }

    /// Makes a topic, waits until it is seen, and tells its partitions and whether it was made here.
    fn make(&self, topic: &str, partitions: i32, properties: &[(&str, &str)]) -> Result<(i32, bool), Error> {
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(-1));
        let new = properties.iter().fold(new, |new, (name, value)| new.set(name, value));
        let options = AdminOptions::new().request_timeout(Some(ANSWER)).operation_timeout(Some(APPEAR));
        let results = self
            .runtime
            .block_on(self.client.create_topics(&[new], &options))
            .map_err(|source| Error::Ask { topic: topic.to_owned(), source })?;
        let created = match results.into_iter().next() {
            // Another process of the group may have been quicker.
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => false,
            Some(Err((_, reason))) => return Err(Error::NotCreated { topic: topic.to_owned(), reason }),
            Some(Ok(_)) | None => true,
        };
        Ok((self.wait_for(topic)?, created))
    }

    fn pause(&self) {
        self.runtime.block_on(async { tokio::time::sleep(Duration::from_millis(100)).await });
    }

    fn wait_for(&self, topic: &str) -> Result<i32, Error> {
        let deadline = Instant::now() + APPEAR;
        loop {
            match self.partitions(topic) {
                Ok(Some(partitions)) => return Ok(partitions),
                Ok(None) | Err(_) if Instant::now() < deadline => self.pause(),
                Ok(None) => return Err(Error::NotSeen { topic: topic.to_owned() }),
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::DefaultProducerContext;

    use super::*;
    use crate::config::settings::{Assignment, Start, Transaction};

    fn topics(create_topics: bool) -> Kafka {
        Kafka {
            feedback_topic: None,
            brokers: String::new(),
            group_id: "group".into(),
            client_id: "millrace".into(),
            input_topic: "in".into(),
            output_topic: "out".into(),
            dead_letter_topic: "in.dlq".into(),
            create_topics,
            start: Start::Earliest,
            assignment: Assignment::CooperativeSticky,
            commit_interval: Duration::from_secs(5),
            transaction: Transaction {
                interval: Duration::from_millis(100),
                records: 1000,
                timeout: Duration::from_secs(10),
                instance: "one".into(),
            },
            security: Vec::new(),
            consumer_properties: std::collections::BTreeMap::new(),
            producer_properties: std::collections::BTreeMap::new(),
        }
    }

    type Mock = MockCluster<'static, DefaultProducerContext>;

    fn admin(cluster: &Mock) -> TopicAdmin {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", cluster.bootstrap_servers());
        TopicAdmin::new(&config).unwrap()
    }

    #[test]
    fn topics_that_exist_are_described() {
        let cluster = Mock::new(1).unwrap();
        for (topic, partitions) in [("in", 3), ("out", 5), ("in.dlq", 1)] {
            cluster.create_topic(topic, partitions, 1).unwrap();
        }
        let facts = admin(&cluster).ensure(&topics(false), 0).unwrap();
        let partitions = [&facts.input, &facts.output, &facts.dead_letter].map(|topic| topic.partitions);
        assert_eq!(partitions, [3, 5, 1]);
        assert!(!facts.output.created);
    }

    #[test]
    fn a_missing_input_is_named_and_asking_for_it_does_not_make_it() {
        let cluster = Mock::new(1).unwrap();
        let admin = admin(&cluster);
        for _ in 0..2 {
            let error = admin.ensure(&topics(true), 0).unwrap_err();
            assert!(matches!(&error, Error::NoInput { topic } if topic == "in"), "{error}");
        }
    }

    #[test]
    fn a_missing_output_that_must_not_be_made_is_named() {
        let cluster = Mock::new(1).unwrap();
        cluster.create_topic("in", 3, 1).unwrap();
        let error = admin(&cluster).ensure(&topics(false), 0).unwrap_err();
        assert!(matches!(&error, Error::Missing { topic, partitions: 3 } if topic == "out"), "{error}");
    }
}
