//! Reading a whole topic from its start, without a group.

use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message};

use super::kafka::{Broker, PATIENCE};
use super::send::Place;
use super::topics::client;
use super::wait;

/// A record as it was read.
#[derive(Clone, Debug)]
pub struct Record {
    pub place: Place,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    pub timestamp: i64,
    pub seen: Instant,
}

impl Record {
    fn of(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers().into_iter().flat_map(Headers::iter);
        Self {
            place: Place { partition: message.partition(), offset: message.offset() },
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers.map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec))).collect(),
            timestamp: message.timestamp().to_millis().unwrap_or(-1),
            seen: Instant::now(),
        }
    }

    /// The value as text, lossy where it is none.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.value.as_deref().unwrap_or_default()).into_owned()
    }

    /// The key as text, lossy where it is none.
    pub fn key_text(&self) -> Option<String> {
        self.key.as_deref().map(|key| String::from_utf8_lossy(key).into_owned())
    }

    /// The first header of that name, whatever its case, as text.
    pub fn header(&self, name: &str) -> Option<String> {
        self.header_bytes(name).map(|value| String::from_utf8_lossy(value).into_owned())
    }

    /// The first header of that name as it is.
    pub fn header_bytes(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).and_then(|(_, value)| value.as_deref())
    }

    /// A header that has to be there.
    #[track_caller]
    pub fn must_have(&self, name: &str) -> String {
        self.header(name).unwrap_or_else(|| {
            let names: Vec<_> = self.headers.iter().map(|(key, _)| key.as_str()).collect();
            panic!("the record at {:?} has no header {name}, only {names:?}", self.place)
        })
    }
}

/// A reader of one topic that keeps all it has read.
pub struct Collector {
    topic: String,
    consumer: BaseConsumer,
    partitions: i32,
    pub records: Vec<Record>,
}

impl Collector {
    /// Waits until the topic exists and reads it from its start.
    #[track_caller]
    pub fn open(broker: &Broker, topic: &str) -> Self {
        let partitions = wait::until(PATIENCE, &format!("topic {topic} exists"), || broker.partitions(topic));
        Self::with(client(broker.bootstrap()), topic, partitions)
    }

    /// With other settings, such as those of a secured listener.
    pub fn with(mut config: ClientConfig, topic: &str, partitions: i32) -> Self {
        config
            .set("group.id", "reads-without-a-group")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", "50")
            .set("fetch.queue.backoff.ms", "10");
        let consumer: BaseConsumer = config.create().expect("the settings are right");
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            // Offset 0 or what is left after it; `Beginning` would cost a question and half a second.
            list.add_partition_offset(topic, partition, rdkafka::Offset::Offset(0)).expect("a sound list");
        }
        consumer.assign(&list).expect("a sound list");
        Self { topic: topic.to_owned(), consumer, partitions, records: Vec::new() }
    }

    /// Reads what is there, waiting for it until `end` at most; returns whether there was anything.
    fn step(&mut self, end: Instant) -> bool {
        let left = end.saturating_duration_since(Instant::now());
        let left = left.clamp(Duration::from_millis(1), Duration::from_millis(100));
        match self.consumer.poll(left) {
            Some(Ok(message)) => {
                self.records.push(Record::of(&message));
                true
            }
            // The end of a partition, or a broker that is away on purpose: the client goes on trying.
            Some(Err(_)) | None => false,
        }
    }

    /// Reads until `done` says so; returns whether it did before the limit.
    pub fn read_until(&mut self, limit: Duration, mut done: impl FnMut(&[Record]) -> bool) -> bool {
        let end = Instant::now() + limit;
        loop {
            if done(&self.records) {
                return true;
            }
            // One look at the condition for many records: it may be costly.
            while self.step(end) && !self.records.len().is_multiple_of(64) {}
            if Instant::now() >= end {
                return done(&self.records);
            }
        }
    }

    /// Reads until there are `count` records; fails the test when there are fewer in time.
    #[track_caller]
    pub fn expect(&mut self, count: usize, limit: Duration) -> &[Record] {
        let done = self.read_until(limit, |records| records.len() >= count);
        assert!(done, "{}: {} records instead of {count} in {limit:?}", self.topic, self.records.len());
        &self.records
    }

    /// Reads what is stored at this moment, to the end of every partition.
    #[track_caller]
    pub fn read_to_end(&mut self) -> &[Record] {
        let end = Instant::now() + PATIENCE;
        let marks = |p| self.consumer.fetch_watermarks(&self.topic, p, PATIENCE).expect("the broker answers");
        let marks: Vec<(i64, i64)> = (0..self.partitions).map(marks).collect();
        loop {
            let position = self.consumer.position().expect("it has an assignment");
            let behind = |(p, (first, end)): (usize, &(i64, i64))| {
                let element = position.find_partition(&self.topic, p as i32);
                first < end && element.and_then(|e| e.offset().to_raw()).unwrap_or(-1) < *end
            };
            if !marks.iter().enumerate().any(behind) {
                return &self.records;
            }
            assert!(Instant::now() < end, "{}: the end cannot be reached in {PATIENCE:?}", self.topic);
            while self.step(end) && !self.records.len().is_multiple_of(256) {}
        }
    }
}
