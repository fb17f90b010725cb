//! Reads topics from end to end, beside the group: nothing is joined, nothing committed.
//!
//! Only what is committed is seen, up to the end as it was when reading began: what comes later is for the next time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, DefaultConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::metadata::MetadataPartition;
use rdkafka::topic_partition_list::Offset;

use super::marks::{Marks, Place};
use crate::config::settings::Settings;
use crate::kafka::client::browsing_config;
use crate::kafka::source;
use crate::record::{Partition, Record};

/// Time for one question to the brokers.
const ANSWER: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(100);
/// The brokers are given up when nothing was heard for this long.
const SILENCE: Duration = Duration::from_secs(30);

/// Why a topic cannot be read. Trying again is right once the brokers answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No broker answers, or it refuses the question.
    #[error("cannot read topic {topic}: {reason}")]
    Read {
        /// Topic.
        topic: String,
        /// What the client says.
        reason: String,
    },
    /// The client cannot be made.
    #[error("no Kafka client: {0}")]
    Client(#[from] KafkaError),
}

/// Offsets of one partition that are read: from `first` up to, and without, `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Partition.
    pub partition: i32,
    /// First offset.
    pub first: i64,
    /// The offset after the last one.
    pub end: i64,
}

impl Span {
    /// Offsets in it, of which some may be of no record.
    pub fn len(&self) -> u64 {
        u64::try_from(self.end - self.first).unwrap_or(0)
    }

    /// Whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A consumer that reads what it is told to.
pub struct Browser {
    consumer: BaseConsumer,
}

impl Browser {
    /// A client with the consumer's settings. Brokers are not asked yet.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        let mut config = browsing_config(settings);
        config.set_log_level(RDKafkaLogLevel::Emerg);
        Ok(Self { consumer: config.create_with_context(DefaultConsumerContext)? })
    }

    /// The partitions of a topic from their first offset to the end of what is committed; nothing if there is no such topic.
    pub fn spans(&self, topic: &str) -> Result<Option<Vec<Span>>, Error> {
        let failed = |error: KafkaError| read_error(topic, &error);
        let metadata = self.consumer.fetch_metadata(Some(topic), ANSWER).map_err(failed)?;
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else { return Ok(None) };
        match found.error().map(RDKafkaErrorCode::from) {
            None => {}
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => return Ok(None),
            Some(code) => return Err(failed(KafkaError::MetadataFetch(code))),
        }
        let mut partitions: Vec<i32> = found.partitions().iter().map(MetadataPartition::id).collect();
        partitions.sort_unstable();
        let span = |partition| {
            let (first, end) = self.consumer.fetch_watermarks(topic, partition, ANSWER).map_err(failed)?;
            Ok(Span { partition, first, end })
        };
        let spans = partitions.into_iter().map(span).collect::<Result<Vec<_>, Error>>()?;
        Ok(Some(spans).filter(|spans| !spans.is_empty()))
    }

    /// Reads these, one partition after the other.
    pub fn read(&self, topic: &str, spans: Vec<Span>) -> Reading<'_> {
        let total = spans.iter().map(Span::len).sum();
        Reading { browser: self, topic: topic.into(), waiting: spans.into(), current: None, left: total }
    }

    /// The record at a place; nothing if retention or compaction has removed it, or the topic is gone.
    pub fn fetch(&self, topic: &str, place: Place) -> Result<Option<Record>, Error> {
        let found = self.spans(topic)?.unwrap_or_default();
        let there = |span: &&Span| span.partition == place.partition && (span.first..span.end).contains(&place.offset);
        if !found.iter().any(|span| there(&span)) {
            return Ok(None);
        }
        let one = Span { partition: place.partition, first: place.offset, end: place.offset + 1 };
        self.read(topic, vec![one]).next()
    }

    /// Which letters the markers topic says are replayed, of those that still exist. Without the topic, none.
    pub fn marks(&self, markers_topic: &str, letters: &[Span]) -> Result<Marks, Error> {
        let mut marks = Marks::keeping(letters.iter().map(|span| (span.partition, span.first)));
        let mut reading = self.read(markers_topic, self.spans(markers_topic)?.unwrap_or_default());
        while let Some(record) = reading.next()? {
            marks.take(record.key.as_deref(), record.value.is_some());
        }
        Ok(marks)
    }
}

fn read_error(topic: &str, error: &dyn std::fmt::Display) -> Error {
    Error::Read { topic: topic.to_owned(), reason: error.to_string() }
}

/// Records of spans, as they come.
pub struct Reading<'a> {
    browser: &'a Browser,
    topic: Arc<str>,
    waiting: VecDeque<Span>,
    /// What is left of the span that is read.
    current: Option<Span>,
    left: u64,
}

impl Reading<'_> {
    /// Offsets that are still to be read.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// The next record; nothing at the end.
    #[expect(clippy::should_implement_trait, reason = "an iterator of results would go on after an error")]
    pub fn next(&mut self) -> Result<Option<Record>, Error> {
        let mut heard = Instant::now();
        let mut reason = "no broker sends anything".to_owned();
        loop {
            let Some(span) = self.current else {
                let Some(next) = self.waiting.pop_front() else { return Ok(None) };
                self.begin(next)?;
                continue;
            };
            if span.is_empty() {
                self.current = None;
                continue;
            }
            match self.browser.consumer.poll(POLL) {
                // What an earlier assignment left behind.
                Some(Ok(message)) if message.partition() != span.partition || message.offset() < span.first => {}
                Some(Ok(message)) if message.offset() >= span.end => self.pass(span, span.end),
                Some(Ok(message)) => {
                    let record = source::record(self.topic.clone(), Partition(span.partition), &message);
                    self.pass(span, message.offset() + 1);
                    return Ok(Some(record));
                }
                Some(Err(KafkaError::PartitionEOF(partition))) if partition == span.partition => {
                    self.pass(span, span.end);
                    heard = Instant::now();
                }
                Some(Err(error)) => reason = error.to_string(),
                None => {}
            }
            if heard.elapsed() >= SILENCE {
                return Err(read_error(&self.topic, &reason));
            }
        }
    }

    fn begin(&mut self, span: Span) -> Result<(), Error> {
        if !span.is_empty() {
            let mut list = TopicPartitionList::new();
            let added = list.add_partition_offset(&self.topic, span.partition, Offset::Offset(span.first));
            added
                .and_then(|()| self.browser.consumer.assign(&list))
                .map_err(|error| read_error(&self.topic, &error))?;
        }
        self.current = Some(span);
        Ok(())
    }

    fn pass(&mut self, span: Span, next: i64) {
        self.left = self.left.saturating_sub(u64::try_from(next - span.first).unwrap_or(0));
        self.current = Some(Span { first: next, ..span });
    }
}
