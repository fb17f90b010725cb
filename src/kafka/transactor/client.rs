//! The transactional client: its blocking calls, and what their errors mean.
//!
//! What their ends mean in general is in [`transaction_call`].

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::{ClientConfig, Offset};

use super::{Item, Outgoing};
use crate::events::{Client as Which, Events};
use crate::kafka::offsets::Seq;
use crate::kafka::sink::{base_record, smaller_batches};
use crate::kafka::status::Heartbeat;
use crate::kafka::transaction::Event;
use crate::kafka::transaction_call::{self, Broken};
use crate::record::{Epoch, NextOffset, Partition};

/// One call; it is repeated while the client library says that it may be.
const CALL: Duration = Duration::from_secs(1);
/// An abort waits for words of undelivered outcomes to be heard, which is done between two calls.
const ABORT: Duration = Duration::from_millis(50);
/// Then the client is given up: an open transaction is over by then.
const GIVE_UP: Duration = Duration::from_secs(20);
const ASK: Duration = Duration::from_secs(5);
const FULL: Duration = Duration::from_millis(10);

/// An outcome that was not delivered.
pub(super) struct Trouble {
    pub(super) partition: Partition,
    pub(super) epoch: Epoch,
    pub(super) seq: Seq,
    pub(super) code: RDKafkaErrorCode,
}

/// Goes through the client library with an outcome.
pub(super) struct Tag {
    partition: Partition,
    epoch: Epoch,
    seq: Seq,
}

type Troubles = Arc<Mutex<Vec<Trouble>>>;

struct Context {
    troubles: Troubles,
    events: Events,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        self.events.client_log(Which::Producer, level, fac, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.events.client_error(Which::Producer, &format_args!("{error}: {reason}"));
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<Tag>;

    fn delivery(&self, result: &DeliveryResult<'_>, tag: Box<Tag>) {
        if let Err((error, _)) = result {
            let Tag { partition, epoch, seq } = *tag;
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
            let trouble = Trouble { partition, epoch, seq, code };
            self.troubles.lock().unwrap_or_else(PoisonError::into_inner).push(trouble);
        }
    }
}

/// The client, once there is one.
pub(super) struct TransactionClient {
    producer: ClientConfig,
    positions: ClientConfig,
    topic: Arc<str>,
    client: Option<BaseProducer<Context>>,
    troubles: Troubles,
    events: Events,
    heartbeat: Heartbeat,
}

impl TransactionClient {
    pub(super) fn new(
        producer: ClientConfig,
        positions: ClientConfig,
        topic: Arc<str>,
        events: Events,
        heartbeat: Heartbeat,
    ) -> Self {
        Self { producer, positions, topic, client: None, troubles: Troubles::default(), events, heartbeat }
    }

    /// From the next client on.
    pub(super) fn batches_within(&mut self, bytes: Option<u64>) {
        if let Some(bytes) = bytes {
            smaller_batches(&mut self.producer, bytes);
        }
    }

    /// Undelivered outcomes, of which the client library has told since.
    pub(super) fn troubles(&mut self) -> Vec<Trouble> {
        if let Some(client) = &self.client {
            client.poll(Duration::ZERO);
        }
        std::mem::take(&mut self.troubles.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A new client under the same id: whatever an earlier one had begun is over when it has initialised.
    pub(super) fn renew(&mut self) -> bool {
        if self.client.is_some() {
            self.events.transaction_client_renewed();
        }
        self.close();
        // Not shared with the old client's, whose last words must not spoil what the new one begins.
        self.troubles = Troubles::default();
        let context = Context { troubles: self.troubles.clone(), events: self.events.clone() };
        let made = self.producer.create_with_context::<_, BaseProducer<Context>>(context).and_then(|client| {
            client.init_transactions(ASK)?;
            Ok(client)
        });
        match made {
            Ok(client) => self.client = Some(client),
            Err(error) => self.events.transaction_failed("initialise", &error),
        }
        self.client.is_some()
    }

    /// What is committed, once no transaction is pending on it.
    pub(super) fn read_positions(&self, of: &[Partition]) -> Option<Vec<(Partition, Option<NextOffset>)>> {
        let asked = || -> KafkaResult<TopicPartitionList> {
            let consumer: BaseConsumer = self.positions.create()?;
            let mut list = TopicPartitionList::new();
            for partition in of {
                list.add_partition(&self.topic, partition.0);
            }
            consumer.committed_offsets(list, ASK)
        };
        if of.is_empty() {
            return Some(Vec::new());
        }
        self.heartbeat.beat();
        match asked() {
            Ok(list) => {
                let position = |partition: &Partition| {
                    let entry = list.find_partition(&self.topic, partition.0)?;
                    entry.offset().to_raw().filter(|raw| *raw >= 0).map(NextOffset)
                };
                Some(of.iter().map(|partition| (*partition, position(partition))).collect())
            }
            Err(error) => {
                self.events.transaction_failed("read positions", &error);
                None
            }
        }
    }

    pub(super) fn begin(&self) -> Option<Event<Item>> {
        let client = self.client.as_ref()?;
        match client.begin_transaction() {
            Ok(()) => None,
            Err(error) => {
                self.events.transaction_failed("begin", &error);
                Some(Event::Lost)
            }
        }
    }

    /// Hands an outcome to the client library. Waits for room in it.
    pub(super) fn send(&self, item: &Outgoing) {
        let (Some(client), Some(record)) = (&self.client, &item.record) else { return };
        let (partition, epoch, seq) = (item.partition, item.ticket.owner.epoch, item.ticket.seq);
        let mut base = base_record(record, Box::new(Tag { partition, epoch, seq }));
        loop {
            let Err((error, back)) = client.send(base) else { return };
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
            if code != RDKafkaErrorCode::QueueFull {
                let trouble = Trouble { partition, epoch, seq, code };
                return self.troubles.lock().unwrap_or_else(PoisonError::into_inner).push(trouble);
            }
            self.heartbeat.beat();
            client.poll(FULL);
            base = back;
        }
    }

    pub(super) fn send_offsets(
        &self,
        positions: &[(Partition, NextOffset)],
        metadata: &ConsumerGroupMetadata,
    ) -> Event<Item> {
        let mut list = TopicPartitionList::with_capacity(positions.len());
        for (partition, next) in positions {
            if list.add_partition_offset(&self.topic, partition.0, Offset::Offset(next.0)).is_err() {
                return Event::Failed;
            }
        }
        self.call("send offsets", Event::OffsetsSent, |client| {
            client.send_offsets_to_transaction(&list, metadata, CALL)
        })
    }

    pub(super) fn commit(&self) -> Event<Item> {
        self.call("commit", Event::Committed, |client| client.commit_transaction(CALL))
    }

    /// Aborts, and waits until nothing of the transaction is left in the client library.
    pub(super) fn abort(&self) -> Event<Item> {
        self.events.transaction_aborted();
        let event = self.call("abort", Event::Aborted, |client| client.abort_transaction(ABORT));
        if let Some(client) = &self.client {
            let deadline = Instant::now() + GIVE_UP;
            while client.in_flight_count() > 0 && Instant::now() < deadline {
                self.heartbeat.beat();
                client.poll(FULL);
            }
        }
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).clear();
        event
    }

    /// Lets go of the client. What it had begun is aborted by the brokers.
    pub(super) fn close(&mut self) {
        self.client = None;
    }

    /// Makes a call until it has an end.
    fn call(
        &self,
        what: &'static str,
        done: Event<Item>,
        make: impl Fn(&BaseProducer<Context>) -> KafkaResult<()>,
    ) -> Event<Item> {
        let Some(client) = &self.client else { return Event::Lost };
        let Err(broken) = transaction_call::call(client, GIVE_UP, || self.heartbeat.beat(), make) else { return done };
        self.events.transaction_failed(what, broken.error());
        match broken {
            Broken::Abort(_) => Event::Failed,
            Broken::Lost(_) => Event::Lost,
        }
    }
}
