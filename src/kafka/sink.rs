//! The producer client of the process and the thread that polls it.
//!
//! Outcomes are handed over from worker threads without blocking; what became of each comes back to its owner in batches. Of
//! each owner only so much is with the client library as went together: what comes meanwhile waits in its lane and goes when the last
//! of it is settled, or, when there is much to send, at the next [`Sink::go_on`]. A record that comes alone goes at once, batches fill
//! under load, and nothing of an owner overtakes. A client that met a fatal error is replaced; what it had not settled is given to its
//! successor in the same order.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext, PurgeConfig};

use super::outcome::OutRecord;
use super::status::Heartbeat;
use crate::events::{Client, Events};

mod lane;
mod library;
mod lingering;
mod room;
mod ticket;

use self::lane::Turn;
pub use self::library::is_refusal;
pub(super) use self::library::{base_record, smaller_batches};
use self::library::{is_of_the_client, record};
use self::lingering::Lingering;
use self::room::Room;
use self::ticket::Handed;
pub use self::ticket::{Letter, Owner, Settled, Settlement, Settlements, Ticket, Word};

/// The wrapper of the client library spends the last millisecond of each poll on asking for the time.
const POLL: Duration = Duration::from_millis(500);
/// The same while something is held up.
const SHORT: Duration = Duration::from_millis(50);
const REPLACE_PAUSE: Duration = Duration::from_secs(1);

/// While there is much to send, outcomes wait so long for others, or a few times that.
pub const LINGER: Duration = Duration::from_millis(10);

/// There is no room for an outcome: try again.
#[derive(Debug)]
pub struct Full(pub OutRecord, pub Box<Ticket>);

type KafkaProducer = BaseProducer<Context>;

/// What a client that is being replaced did not deliver.
type Returned = Arc<Mutex<Vec<Handed>>>;

#[derive(Clone)]
struct Context {
    events: Events,
    fatal: Arc<AtomicBool>,
    returned: Returned,
    room: Arc<Room>,
    /// Set once, after the first client was made.
    sink: Arc<OnceLock<Weak<Sink>>>,
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
                    return locked(&self.returned).push(Handed { record: record(message), ticket });
                }
                if is_refusal(code) { Settled::Refused(code) } else { Settled::Undelivered(code) }
            }
        };
        self.room.give(ticket.bytes);
        let (owner, turn) = ticket.leave(settled, self.room.is_busy());
        if let (Turn::Go | Turn::Lingers, Some(sink)) = (turn, self.sink.get().and_then(Weak::upgrade)) {
            sink.take_turn(&owner.settlements, turn);
        }
    }
}

/// The producer.
pub struct Sink {
    client: RwLock<Arc<KafkaProducer>>,
    context: Context,
    /// A successor is given what the client before it had not settled.
    replacing: AtomicBool,
    places: AtomicU64,
    /// Owners whose lanes could not go on for a reason that passes.
    held_up: Mutex<Vec<Arc<Settlements>>>,
    /// Owners whose lanes wait for the next [`Sink::go_on`].
    lingering: Mutex<Lingering<Arc<Settlements>>>,
    /// Outcomes in lanes that are not under way.
    waiting: AtomicUsize,
    began: Instant,
    stop: AtomicBool,
    config: RwLock<ClientConfig>,
    heartbeat: Heartbeat,
}

/// Why an outcome is still in its lane.
struct HeldUp(Handed, RDKafkaErrorCode);

impl Sink {
    /// Makes the client and starts its thread. Brokers need not answer yet. It holds `most` bytes of outcomes, or one outcome.
    pub fn start(
        config: ClientConfig,
        most: usize,
        events: Events,
        heartbeat: Heartbeat,
    ) -> Result<(Arc<Self>, JoinHandle<()>), KafkaError> {
        let context = Context {
            events,
            fatal: Arc::default(),
            returned: Returned::default(),
            room: Arc::new(Room::new(most)),
            sink: Arc::default(),
        };
        let client = Arc::new(config.create_with_context(context.clone())?);
        let sink = Arc::new(Self {
            client: RwLock::new(client),
            context,
            replacing: AtomicBool::new(false),
            places: AtomicU64::new(0),
            held_up: Mutex::default(),
            lingering: Mutex::default(),
            waiting: AtomicUsize::new(0),
            began: Instant::now(),
            stop: AtomicBool::new(false),
            config: RwLock::new(config),
            heartbeat,
        });
        sink.context.sink.get_or_init(|| Arc::downgrade(&sink));
        let polled = sink.clone();
        let thread = std::thread::Builder::new().name("kafka-producer".into()).spawn(move || polled.run());
        let thread = thread.map_err(|error| KafkaError::ClientCreation(format!("no thread: {error}")))?;
        Ok((sink, thread))
    }

    /// Takes an outcome; its owner learns the end from the ticket. Never blocks. Whoever calls this has to call [`Sink::go_on`] again and
    /// again, [`LINGER`] apart, while [`Sink::waits`].
    pub fn send(&self, record: OutRecord, mut ticket: Box<Ticket>) -> Result<(), Full> {
        ticket.bytes = record.size();
        if !self.context.room.take(ticket.bytes) {
            return Err(Full(record, ticket));
        }
        let owner = ticket.owner.clone();
        self.waiting.fetch_add(1, SeqCst);
        let turn = owner.settlements.lane().offer(Handed { record, ticket }, self.context.room.is_busy());
        self.take_turn(&owner.settlements, turn);
        Ok(())
    }

    /// Whether any outcome is still in its lane.
    pub fn waits(&self) -> bool {
        self.waiting.load(SeqCst) > 0
    }

    /// Hands over what has lingered for long enough.
    pub fn go_on(&self) {
        let (waiting, unsettled) = (self.waiting.load(SeqCst), self.unsettled());
        let due = locked(&self.lingering).due(waiting, unsettled, self.began.elapsed());
        for owner in &due {
            self.pump(owner);
        }
    }

    /// Outcomes that are not settled.
    pub fn unsettled(&self) -> usize {
        self.context.room.taken()
    }

    /// Goes on with other settings, such as renewed certificates. What the old client held is sent by the new one.
    pub fn reopen(&self, config: ClientConfig) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        self.context.fatal.store(true, SeqCst);
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

    fn take_turn(&self, owner: &Arc<Settlements>, turn: Turn) {
        match turn {
            Turn::Go => self.pump(owner),
            Turn::Lingers => locked(&self.lingering).push(owner.clone(), self.began.elapsed()),
            Turn::Known => {}
        }
    }

    /// Hands over what waits in an owner's lane, unless something of it is under way.
    fn pump(&self, owner: &Arc<Settlements>) {
        loop {
            let mut going = owner.lane().go();
            if going.is_empty() {
                return;
            }
            self.waiting.fetch_sub(going.len(), SeqCst);
            while let Some(first) = going.pop_front() {
                if let Err(held_up) = self.hand_over(first) {
                    let HeldUp(first, code) = *held_up;
                    self.context.events.produce_failed(&first.record.topic, &code);
                    going.push_front(first);
                    self.waiting.fetch_add(going.len(), SeqCst);
                    owner.lane().back(going);
                    return locked(&self.held_up).push(owner.clone());
                }
            }
        }
    }

    /// Hands an outcome to the client library, or settles it if that can never take it.
    fn hand_over(&self, Handed { record, mut ticket }: Handed) -> Result<(), Box<HeldUp>> {
        if ticket.owner.marks.is_over() {
            // Whoever has the partition now answers the record.
            self.context.events.late_results_dropped.inc();
            self.context.room.give(ticket.bytes);
            // Whoever hands over looks for more by itself.
            ticket.owner.settlements.lane().settled(false);
            return Ok(());
        }
        // Held to the end: nothing reaches a client that was replaced meanwhile.
        let client = self.client.read().unwrap_or_else(PoisonError::into_inner);
        if self.replacing.load(SeqCst) || self.context.fatal.load(SeqCst) {
            return Err(Box::new(HeldUp(Handed { record, ticket }, RDKafkaErrorCode::Fatal)));
        }
        ticket.place = self.places.fetch_add(1, SeqCst);
        let Err((error, base)) = client.send(base_record(&record, ticket)) else { return Ok(()) };
        let ticket = base.delivery_opaque;
        match error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown) {
            code if is_refusal(code) => {
                self.context.room.give(ticket.bytes);
                ticket.leave(Settled::Refused(code), false);
                Ok(())
            }
            code => Err(Box::new(HeldUp(Handed { record, ticket }, code))),
        }
    }

    fn run(&self) {
        while !self.stop.load(SeqCst) {
            self.heartbeat.beat();
            let client = self.client();
            let held_up = !locked(&self.held_up).is_empty();
            client.poll(if held_up { SHORT } else { POLL });
            self.context.events.produce_queue.set(i64::try_from(self.unsettled()).unwrap_or(i64::MAX));
            if self.context.fatal.load(SeqCst) {
                self.replace(&client);
            }
            // Not locked meanwhile: whoever is held up again is put there again.
            let held_up = std::mem::take(&mut *locked(&self.held_up));
            for owner in &held_up {
                self.pump(owner);
            }
            // The net under those who should have called it.
            self.go_on();
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the producer's own thread; no actor lives on it")]
    fn replace(&self, old: &KafkaProducer) {
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner).clone();
        match config.create_with_context(self.context.clone()) {
            Ok(client) => {
                self.replacing.store(true, SeqCst);
                *self.client.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(client);
                old.purge(PurgeConfig::default().queue().inflight());
                while old.in_flight_count() > 0 {
                    self.heartbeat.beat();
                    old.poll(SHORT);
                }
                self.context.fatal.store(false, SeqCst);
                self.send_again();
                self.replacing.store(false, SeqCst);
            }
            Err(error) => {
                self.context.events.client_error(Client::Producer, &error);
                std::thread::sleep(REPLACE_PAUSE);
            }
        }
    }

    /// Gives the client what the one before it returned, in the order in which that was handed over.
    fn send_again(&self) {
        let mut returned = std::mem::take(&mut *locked(&self.context.returned));
        returned.sort_by_key(|handed| handed.ticket.place);
        let client = self.client();
        for Handed { record, mut ticket } in returned {
            loop {
                self.heartbeat.beat();
                let Err((error, back)) = client.send(base_record(&record, ticket)) else { break };
                match error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown) {
                    RDKafkaErrorCode::QueueFull => {
                        client.poll(SHORT);
                        ticket = back.delivery_opaque;
                    }
                    code => {
                        let settled =
                            if is_refusal(code) { Settled::Refused(code) } else { Settled::Undelivered(code) };
                        let ticket = back.delivery_opaque;
                        self.context.room.give(ticket.bytes);
                        let (owner, turn) = ticket.leave(settled, false);
                        if turn == Turn::Go {
                            locked(&self.held_up).push(owner.settlements.clone());
                        }
                        break;
                    }
                }
            }
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
