//! The producer client of the process and the thread that polls it.
//!
//! Outcomes are handed over from worker threads without blocking; what became of each comes back to its owner in batches. A
//! client that met a fatal error is replaced; what it had not settled is given to its successor first, in the same order, before
//! anything new: what runs behind it in its lane must not overtake it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, DeliveryResult, Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext, PurgeConfig};
use rdkafka::util::IntoOpaque;

use super::offsets::Seq;
use super::outcome::OutRecord;
use super::status::Heartbeat;
use crate::events::{Client, Events};
use crate::record::{Epoch, Header as Owned, Headers};

const POLL: Duration = Duration::from_millis(100);
/// The client library's default of `batch.size`.
const BATCH_SIZE: u64 = 1_000_000;
/// What a batch takes beside its records.
const BATCH_OVERHEAD: u64 = 512;
const REPLACE_PAUSE: Duration = Duration::from_secs(1);

/// What became of an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The broker has stored it.
    Acked,
    /// It will never be stored as it is.
    Refused(RDKafkaErrorCode),
    /// It was not stored, for a reason that passes.
    Undelivered(RDKafkaErrorCode),
}

/// What kind of outcome it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Letter {
    /// For the output topic.
    Answer,
    /// For the dead-letter topic.
    Dead,
    /// For no topic: nothing is written.
    Nothing,
}

impl Letter {
    /// For logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Dead => "dead letter",
            Self::Nothing => "nothing",
        }
    }
}

/// The end of one outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// The owner's epoch.
    pub epoch: Epoch,
    /// Which record.
    pub seq: Seq,
    /// Kind of outcome.
    pub letter: Letter,
    /// What became of it.
    pub settled: Settled,
}

/// Where an owner finds what became of its outcomes. Filled on the producer's thread, emptied on the owner's.
pub struct Settlements {
    list: Mutex<Vec<Settlement>>,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Settlements {
    /// `wake` is called when the list was empty and is so no longer.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { list: Mutex::default(), wake: Box::new(wake) })
    }

    /// Takes all there is.
    pub fn take(&self, into: &mut Vec<Settlement>) {
        into.append(&mut self.list());
    }

    /// Adds one.
    pub fn put(&self, settlement: Settlement) {
        let mut list = self.list();
        let was_empty = list.is_empty();
        list.push(settlement);
        drop(list);
        if was_empty {
            (self.wake)();
        }
    }

    fn list(&self) -> MutexGuard<'_, Vec<Settlement>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Travels through the client library with an outcome, so that its owner learns the end.
#[derive(Clone)]
pub struct Ticket {
    /// Whom to tell.
    pub settlements: Arc<Settlements>,
    /// The owner's epoch.
    pub epoch: Epoch,
    /// Which record.
    pub seq: Seq,
    /// Kind of outcome.
    pub letter: Letter,
    /// Place among all that were handed to the client library.
    pub place: u64,
}

impl Ticket {
    /// Tells the owner.
    pub fn settle(self, settled: Settled) {
        let Self { settlements, epoch, seq, letter, .. } = self;
        settlements.put(Settlement { epoch, seq, letter, settled });
    }
}

/// Why an outcome was not taken.
#[derive(Debug)]
pub enum NotTaken {
    /// The client library's queue is full: try again.
    Full(Box<Ticket>),
    /// It will never be taken as it is.
    Refused(Box<Ticket>, RDKafkaErrorCode),
    /// The client is being replaced, or for another reason that passes: try again.
    NotNow(Box<Ticket>, RDKafkaErrorCode),
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ticket").field("epoch", &self.epoch).field("seq", &self.seq).finish_non_exhaustive()
    }
}

type KafkaProducer = BaseProducer<Context>;

/// What a client that is being replaced did not deliver.
type Returned = Arc<Mutex<Vec<(OutRecord, Box<Ticket>)>>>;

struct Context {
    events: Events,
    fatal: Arc<AtomicBool>,
    returned: Returned,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        self.events.client_log(Client::Producer, level, fac, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
            self.fatal.store(true, SeqCst);
        }
        self.events.client_error(Client::Producer, &format_args!("{error}: {reason}"));
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        let settled = match result {
            Ok(_) => Settled::Acked,
            Err((error, message)) => {
                let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
                if is_of_the_client(code) || self.fatal.load(SeqCst) {
                    self.fatal.store(true, SeqCst);
                    return self
                        .returned
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((record(message), ticket));
                }
                if is_refusal(code) { Settled::Refused(code) } else { Settled::Undelivered(code) }
            }
        };
        ticket.settle(settled);
    }
}

/// True for an error that only says that this client is at its end.
fn is_of_the_client(code: RDKafkaErrorCode) -> bool {
    matches!(code, RDKafkaErrorCode::Fatal | RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight)
}

/// An undelivered message as the record that it was.
fn record(message: &BorrowedMessage<'_>) -> OutRecord {
    let mut headers = Headers::default();
    for header in message.headers().into_iter().flat_map(|headers| headers.iter()) {
        headers.0.push(Owned { name: header.key.into(), value: header.value.map(Bytes::copy_from_slice) });
    }
    OutRecord {
        topic: message.topic().into(),
        partition: Some(message.partition()).filter(|partition| *partition >= 0),
        key: message.key().map(Bytes::copy_from_slice),
        value: message.payload().map(Bytes::copy_from_slice),
        headers,
    }
}

/// True for an error that the same record will meet again whenever it is sent.
pub fn is_refusal(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{InvalidMessage, InvalidMessageSize, InvalidRecord, InvalidTimestamp, MessageSizeTooLarge};
    // A batch that is too large holds one record: see `Sink::batches_within`.
    matches!(code, MessageSizeTooLarge | InvalidMessage | InvalidMessageSize | InvalidRecord | InvalidTimestamp)
}

/// An outcome's record as the client library takes it.
pub(super) fn base_record<O: IntoOpaque>(record: &OutRecord, opaque: O) -> BaseRecord<'_, [u8], [u8], O> {
    let mut headers = OwnedHeaders::new_with_capacity(record.headers.0.len());
    for header in &record.headers.0 {
        headers = headers.insert(Header { key: &header.name, value: header.value.as_deref() });
    }
    let mut base = BaseRecord::with_opaque_to(&record.topic, opaque).headers(headers);
    base.partition = record.partition;
    base.key = record.key.as_deref();
    base.payload = record.value.as_deref();
    base
}

/// Lets no batch of several records be larger than `bytes`. False if none would be anyway.
pub(super) fn smaller_batches(config: &mut ClientConfig, bytes: u64) -> bool {
    let now = config.get("batch.size").and_then(|size| size.parse().ok()).unwrap_or(BATCH_SIZE);
    let within = bytes.saturating_sub(BATCH_OVERHEAD).max(1);
    if within < now {
        config.set("batch.size", within.to_string());
    }
    within < now
}

/// The producer.
pub struct Sink {
    client: RwLock<Arc<KafkaProducer>>,
    fatal: Arc<AtomicBool>,
    returned: Returned,
    /// A successor is given what the client before it had not settled.
    replacing: AtomicBool,
    places: AtomicU64,
    stop: AtomicBool,
    config: RwLock<ClientConfig>,
    events: Events,
    heartbeat: Heartbeat,
}

impl Sink {
    /// Makes the client and starts its thread. Brokers need not answer yet.
    pub fn start(
        config: ClientConfig,
        events: Events,
        heartbeat: Heartbeat,
    ) -> Result<(Arc<Self>, JoinHandle<()>), KafkaError> {
        let (fatal, returned) = (Arc::new(AtomicBool::new(false)), Returned::default());
        let context = Context { events: events.clone(), fatal: fatal.clone(), returned: returned.clone() };
        let client = Arc::new(config.create_with_context(context)?);
        let sink = Arc::new(Self {
            client: RwLock::new(client),
            fatal,
            returned,
            replacing: AtomicBool::new(false),
            places: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            config: RwLock::new(config),
            events,
            heartbeat,
        });
        let polled = sink.clone();
        let thread = std::thread::Builder::new().name("kafka-producer".into()).spawn(move || polled.run());
        let thread = thread.map_err(|error| KafkaError::ClientCreation(format!("no thread: {error}")))?;
        Ok((sink, thread))
    }

    /// Hands an outcome over. Never blocks.
    pub fn send(&self, record: &OutRecord, mut ticket: Box<Ticket>) -> Result<(), NotTaken> {
        // Held to the end: nothing reaches a client that was replaced meanwhile.
        let client = self.client.read().unwrap_or_else(PoisonError::into_inner);
        if self.replacing.load(SeqCst) || self.fatal.load(SeqCst) {
            return Err(NotTaken::NotNow(ticket, RDKafkaErrorCode::Fatal));
        }
        ticket.place = self.places.fetch_add(1, SeqCst);
        client.send(base_record(record, ticket)).map_err(|(error, base)| {
            match error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown) {
                RDKafkaErrorCode::QueueFull => NotTaken::Full(base.delivery_opaque),
                code if is_refusal(code) => NotTaken::Refused(base.delivery_opaque, code),
                code => NotTaken::NotNow(base.delivery_opaque, code),
            }
        })
    }

    /// Outcomes that are not settled.
    pub fn unsettled(&self) -> usize {
        usize::try_from(self.client().in_flight_count()).unwrap_or(0)
    }

    /// Goes on with other settings, such as renewed certificates. What the old client held is sent by the new one.
    pub fn reopen(&self, config: ClientConfig) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        self.fatal.store(true, SeqCst);
    }

    /// Lets no batch of several records be larger than a topic takes: the broker refuses a batch as a whole, and records
    /// that are well would be refused with one that is not.
    pub fn batches_within(&self, bytes: u64) {
        let mut config = self.config.read().unwrap_or_else(PoisonError::into_inner).clone();
        if smaller_batches(&mut config, bytes) {
            self.reopen(config);
        }
    }

    /// Ends the thread.
    pub fn stop(&self) {
        self.stop.store(true, SeqCst);
    }

    fn client(&self) -> Arc<KafkaProducer> {
        self.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn run(&self) {
        while !self.stop.load(SeqCst) {
            self.heartbeat.beat();
            let client = self.client();
            client.poll(POLL);
            self.events.produce_queue.set(i64::from(client.in_flight_count()));
            if self.fatal.load(SeqCst) {
                self.replace(&client);
            }
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the producer's own thread; no actor lives on it")]
    fn replace(&self, old: &KafkaProducer) {
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner).clone();
        let (events, fatal, returned) = (self.events.clone(), self.fatal.clone(), self.returned.clone());
        match config.create_with_context(Context { events, fatal, returned }) {
            Ok(client) => {
                self.replacing.store(true, SeqCst);
                *self.client.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(client);
                old.purge(PurgeConfig::default().queue().inflight());
                while old.in_flight_count() > 0 {
                    self.heartbeat.beat();
                    old.poll(POLL);
                }
                self.fatal.store(false, SeqCst);
                self.send_again();
                self.replacing.store(false, SeqCst);
            }
            Err(error) => {
                self.events.client_error(Client::Producer, &error);
                std::thread::sleep(REPLACE_PAUSE);
            }
        }
    }

    /// Gives the client what the one before it returned, in the order in which that was handed over.
    fn send_again(&self) {
        let mut returned = std::mem::take(&mut *self.returned.lock().unwrap_or_else(PoisonError::into_inner));
        returned.sort_by_key(|(_, ticket)| ticket.place);
        let client = self.client();
        for (record, mut ticket) in returned {
            loop {
                self.heartbeat.beat();
                let Err((error, back)) = client.send(base_record(&record, ticket)) else { break };
                match error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown) {
                    RDKafkaErrorCode::QueueFull => {
                        client.poll(POLL);
                        ticket = back.delivery_opaque;
                    }
                    code if is_refusal(code) => break back.delivery_opaque.settle(Settled::Refused(code)),
                    code => break back.delivery_opaque.settle(Settled::Undelivered(code)),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
