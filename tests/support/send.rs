//! Writing records to a topic: any key, value, header, timestamp and partition, and where each one ended up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};

use super::kafka::{Broker, PATIENCE};
use super::topics::client;
use super::wait;

/// A record to be written.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    pub timestamp: Option<i64>,
    pub partition: Option<i32>,
}

impl Draft {
    pub fn value(value: impl Into<Vec<u8>>) -> Self {
        Self { value: Some(value.into()), ..Self::default() }
    }

    /// A tombstone: no value at all, which is not the empty value.
    pub fn null() -> Self {
        Self::default()
    }

    pub fn key(mut self, key: &str) -> Self {
        self.key = Some(key.as_bytes().to_vec());
        self
    }

    pub fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.to_owned(), Some(value.into())));
        self
    }

    pub fn timestamp(mut self, milliseconds: i64) -> Self {
        self.timestamp = Some(milliseconds);
        self
    }

    pub fn partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }
}

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    pub partition: i32,
    pub offset: i64,
}

/// Delivery reports by number of the record.
#[derive(Default)]
struct Reports(Mutex<Vec<Option<Result<Place, KafkaError>>>>);

#[derive(Clone, Default)]
struct Context(Arc<Reports>);

impl ClientContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        let outcome = match result {
            Ok(message) => Ok(Place { partition: message.partition(), offset: message.offset() }),
            Err((error, _)) => Err(error.clone()),
        };
        self.0.0.lock().expect("no test panics while it holds the reports")[number] = Some(outcome);
    }
}

/// A producer that never gives up and knows what became of every record.
pub struct Sender {
    topic: String,
    producer: ThreadedProducer<Context>,
    reports: Arc<Reports>,
}

impl Sender {
    /// For a broker that stays up.
    pub fn new(broker: &Broker, topic: &str) -> Self {
        Self::with(client(broker.bootstrap()), topic)
    }

    /// For a broker that may go away meanwhile: no record twice and none out of order. Takes a second to begin.
    pub fn steadfast(broker: &Broker, topic: &str) -> Self {
        let mut config = client(broker.bootstrap());
        config.set("enable.idempotence", "true");
        Self::with(config, topic)
    }

    /// With other settings, such as those of a secured listener.
    pub fn with(mut config: ClientConfig, topic: &str) -> Self {
        config
            .set("message.timeout.ms", "0")
            .set("linger.ms", "5")
            // A new topic may refuse its first batch; what is tried again must not end up behind its successors.
            .set("max.in.flight.requests.per.connection", "1")
            .set("message.max.bytes", "20000000")
            .set("partitioner", "murmur2_random");
        let context = Context::default();
        let reports = Arc::clone(&context.0);
        let producer = config.create_with_context(context).expect("the settings are right");
        Self { topic: topic.to_owned(), producer, reports }
    }

    /// Hands a record over; returns its number.
    pub fn send(&self, draft: &Draft) -> usize {
        let number = {
            let mut reports = self.reports.0.lock().expect("no test panics while it holds the reports");
            reports.push(None);
            reports.len() - 1
        };
        let mut headers = OwnedHeaders::new_with_capacity(draft.headers.len());
        for (key, value) in &draft.headers {
            headers = headers.insert(Header { key, value: value.as_deref() });
        }
        let mut record: BaseRecord<'_, [u8], [u8], usize> =
            BaseRecord::with_opaque_to(&self.topic, number).headers(headers);
        record.key = draft.key.as_deref();
        record.payload = draft.value.as_deref();
        record.timestamp = draft.timestamp;
        record.partition = draft.partition;
        let mut waiting = Some(record);
        wait::until_true(Duration::from_mins(5), "the producer has room", || {
            match self.producer.send(waiting.take().expect("put back when it was refused")) {
                Ok(()) => true,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), record)) => {
                    waiting = Some(record);
                    false
                }
                Err((error, _)) => panic!("{} cannot be written to: {error}", self.topic),
            }
        });
        number
    }

    /// Waits until the broker has everything; the places in the order of sending, which in each partition is that of
    /// the offsets: a test that looks for order must not be the one that broke it.
    pub fn places(&self, limit: Duration) -> Vec<Place> {
        self.producer.flush(limit).expect("the broker takes the records");
        let reports = self.reports.0.lock().expect("no test panics while it holds the reports");
        let place = |r: &Option<Result<Place, KafkaError>>| match r {
            Some(Ok(place)) => *place,
            Some(Err(error)) => panic!("a record for {} was refused: {error}", self.topic),
            None => panic!("a record for {} has no report after the flush", self.topic),
        };
        let places: Vec<Place> = reports.iter().map(place).collect();
        assert!(in_order(&places), "{} holds records in another order than they were sent in", self.topic);
        places
    }
}

/// Whether the offsets of each partition ascend.
pub fn in_order(places: &[Place]) -> bool {
    let mut newest: HashMap<i32, i64> = HashMap::new();
    places.iter().all(|place| newest.insert(place.partition, place.offset).is_none_or(|before| before < place.offset))
}

impl Broker {
    /// Writes records and waits until they are stored.
    pub fn send(&self, topic: &str, drafts: &[Draft]) -> Vec<Place> {
        let sender = Sender::new(self, topic);
        for draft in drafts {
            sender.send(draft);
        }
        sender.places(PATIENCE)
    }
}
