//! The thread of exactly once: it owns the transactional client, whose calls block, and carries out what `transaction` decides.
//!
//! Outcomes are left in its inbox from worker threads without blocking; what became of each comes back to its owner when its
//! transaction is committed. The consumer's thread tells it which partitions are there, and waits for it before it gives one
//! up. Between a look at the epochs and the group's metadata nothing may be given up: that is what the fence is for.

mod client;
mod inbox;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode;

use self::client::{TransactionClient, Trouble};
use self::inbox::{Ask, Inbox};
use super::assignment::Client;
use super::holdings::Marks;
use super::outcome::OutRecord;
use super::sink::{Settled, Ticket, is_refusal};
use super::status::Heartbeat;
use super::transaction::{Command, Event, Rules, Transactions};
use crate::events::Events;
use crate::record::{Epoch, NextOffset, Partition};

/// The longest sleep, so that the watchdog sees signs of life.
const IDLE: Duration = Duration::from_millis(100);
/// While a transaction is open, what comes is taken in so often, many at a time.
const PACE: Duration = Duration::from_millis(2);

/// An outcome on its way into a transaction.
pub struct Outgoing {
    /// The partition of its record.
    pub partition: Partition,
    /// The offset after its record.
    pub next: NextOffset,
    /// What is written, if anything is.
    pub record: Option<OutRecord>,
    /// Whom to tell of its end.
    pub ticket: Ticket,
}

impl Outgoing {
    /// Bytes that are held for it.
    pub fn bytes(&self) -> usize {
        self.record.as_ref().map_or(0, OutRecord::size)
    }
}

/// Settings of the two clients that the thread makes, and when it commits.
pub struct Setup {
    /// Of the producer.
    pub producer: ClientConfig,
    /// Of a consumer that only asks what is committed.
    pub positions: ClientConfig,
    /// Input topic.
    pub topic: Arc<str>,
    /// When a transaction is committed.
    pub rules: Rules,
    /// Where happenings are told.
    pub events: Events,
    /// What the watchdog watches.
    pub heartbeat: Heartbeat,
}

/// The handle to the thread.
pub struct Transactor {
    inbox: Inbox,
    /// Held while epochs are ended, and while it is looked which of them are over.
    fence: Mutex<()>,
    group: Mutex<Weak<Client>>,
    stop: AtomicBool,
    ready: AtomicBool,
    failed: AtomicBool,
    held: AtomicUsize,
}

impl Transactor {
    /// Starts the thread. It makes its client once [`Transactor::begin`] says that topics are there.
    pub fn start(setup: Setup) -> std::io::Result<(Arc<Self>, JoinHandle<()>)> {
        let transactor = Arc::new(Self {
            inbox: Inbox::default(),
            fence: Mutex::default(),
            group: Mutex::default(),
            stop: AtomicBool::new(false),
            ready: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            held: AtomicUsize::new(0),
        });
        let handle = transactor.clone();
        let run = move || {
            let worker = Worker::new(setup, handle.clone());
            if catch_unwind(AssertUnwindSafe(|| worker.run())).is_err() {
                handle.failed.store(true, SeqCst);
            }
        };
        Ok((transactor, std::thread::Builder::new().name("kafka-transactions".into()).spawn(run)?))
    }

    /// Topics are there; no batch of several records may be larger than `batch_bytes`.
    pub fn begin(&self, batch_bytes: Option<u64>) {
        self.inbox.put(Ask::Begin(batch_bytes));
    }

    /// Takes an outcome in. Never blocks.
    pub fn offer(&self, outgoing: Outgoing) {
        self.inbox.put(Ask::Outcome(Arc::new(outgoing)));
    }

    /// This client is the group's member from now on.
    pub fn member(&self, client: Weak<Client>) {
        *self.group.lock().unwrap_or_else(PoisonError::into_inner) = client;
    }

    /// A partition is there to be read from `start` on; `commit` says that this position is to be committed at once.
    pub fn assigned(&self, partition: Partition, epoch: Epoch, start: NextOffset, commit: bool, marks: Arc<Marks>) {
        self.inbox.put(Ask::Assigned { partition, epoch, start, commit, marks });
    }

    /// All that was read of a partition is committed, and its log ends here.
    pub fn ends_at(&self, partition: Partition, epoch: Epoch, position: NextOffset) {
        self.inbox.put(Ask::EndsAt(partition, epoch, position));
    }

    /// Commits what can be committed of these epochs, and waits for it. False when it takes longer than `limit`.
    pub fn settle(&self, epochs: &[(Partition, Epoch)], limit: Duration, heartbeat: &Heartbeat) -> bool {
        let (done, all_done) = mpsc::channel();
        for (partition, epoch) in epochs {
            self.inbox.put(Ask::Settle(*partition, *epoch, done.clone()));
        }
        drop(done);
        let deadline = Instant::now() + limit;
        loop {
            heartbeat.beat();
            let wait = deadline.saturating_duration_since(Instant::now()).min(IDLE);
            match all_done.recv_timeout(wait) {
                // Nobody sends: the channel closes when the last of them is settled.
                Err(mpsc::RecvTimeoutError::Disconnected) => return !self.failed.load(SeqCst),
                _ if Instant::now() >= deadline => return false,
                _ => {}
            }
        }
    }

    /// While this is held, no transaction takes positions in. Epochs are ended under it.
    pub fn fence(&self) -> MutexGuard<'_, ()> {
        self.fence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These epochs are over.
    pub fn gone(&self, epochs: &[(Partition, Epoch)]) {
        for (partition, epoch) in epochs {
            self.inbox.put(Ask::Gone(*partition, *epoch));
        }
    }

    /// Outcomes that are not committed.
    pub fn held(&self) -> usize {
        self.held.load(SeqCst)
    }

    /// Whether transactions can be begun.
    pub fn is_ready(&self) -> bool {
        self.ready.load(SeqCst)
    }

    /// Whether the thread is gone for good.
    pub fn has_failed(&self) -> bool {
        self.failed.load(SeqCst)
    }

    /// Ends the thread.
    pub fn stop(&self) {
        self.stop.store(true, SeqCst);
    }

    fn group_client(&self) -> Option<Arc<Client>> {
        self.group.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }
}

type Item = Arc<Outgoing>;

/// What the thread has.
struct Worker {
    handle: Arc<Transactor>,
    client: TransactionClient,
    machine: Transactions<Item>,
    marks: HashMap<Partition, (Epoch, Arc<Marks>)>,
    waiting: Vec<(Partition, Epoch, mpsc::Sender<()>)>,
    /// Why outcomes of the present transaction were refused.
    refusals: HashMap<(Partition, u64), RDKafkaErrorCode>,
    /// What the present transaction commits.
    positions: Vec<(Partition, NextOffset)>,
    begun: bool,
    born: Instant,
    commands: Vec<Command<Item>>,
    events: Events,
    heartbeat: Heartbeat,
}

impl Worker {
    fn new(setup: Setup, handle: Arc<Transactor>) -> Self {
        let Setup { producer, positions, topic, rules, events, heartbeat } = setup;
        Self {
            handle,
            client: TransactionClient::new(producer, positions, topic, events.clone(), heartbeat.clone()),
            machine: Transactions::new(rules),
            marks: HashMap::new(),
            waiting: Vec::new(),
            refusals: HashMap::new(),
            positions: Vec::new(),
            begun: false,
            born: Instant::now(),
            commands: Vec::new(),
            events,
            heartbeat,
        }
    }

    fn run(mut self) {
        let mut asks = Vec::new();
        while !self.handle.stop.load(SeqCst) {
            self.heartbeat.beat();
            let pace = if self.machine.is_open() { Some(PACE) } else { None };
            let due = self.machine.due().map(|due| due.saturating_sub(self.born.elapsed()));
            self.handle.inbox.take(pace, due.unwrap_or(IDLE).min(IDLE), &mut asks);
            asks.drain(..).for_each(|ask| self.take(ask));
            self.troubles();
            if self.begun {
                self.step(Event::Tick);
                self.carry_out();
            }
            self.handle.held.store(self.machine.held(), SeqCst);
            self.events.produce_queue.set(self.machine.held() as i64);
        }
        self.client.close();
    }

    fn take(&mut self, ask: Ask) {
        match ask {
            Ask::Begin(batch_bytes) => {
                self.begun = true;
                self.client.batches_within(batch_bytes);
            }
            Ask::Outcome(item) => {
                let (partition, next, bytes, writes) = (item.partition, item.next, item.bytes(), item.record.is_some());
                let (epoch, seq) = (item.ticket.owner.epoch, item.ticket.seq);
                self.step(Event::Outcome { partition, epoch, seq, next, bytes, writes, item });
            }
            Ask::Assigned { partition, epoch, start, commit, marks } => {
                self.marks.insert(partition, (epoch, marks));
                self.step(Event::Assigned { partition, epoch, start, commit });
            }
            Ask::EndsAt(partition, epoch, position) => self.step(Event::EndsAt { partition, epoch, position }),
            Ask::Settle(partition, epoch, done) => {
                self.waiting.push((partition, epoch, done));
                self.step(Event::Settle(partition, epoch));
            }
            Ask::Gone(partition, epoch) => self.step(Event::Fence(partition, epoch)),
        }
    }

    fn step(&mut self, event: Event<Item>) {
        self.machine.step(event, self.born.elapsed(), &mut self.commands);
    }

    /// What the client library has to tell of outcomes that it could not deliver.
    fn troubles(&mut self) {
        for Trouble { partition, epoch, seq, code } in self.client.troubles() {
            if is_refusal(code) {
                self.refusals.insert((partition, seq.0), code);
                self.step(Event::Refused { partition, epoch, seq });
            } else {
                self.events.produce_failed("in a transaction", &code);
                self.step(Event::Undelivered);
            }
        }
    }

    fn carry_out(&mut self) {
        let mut at = 0;
        while at < self.commands.len() {
            // Taken in order; what follows from one comes after those that are there.
            let command = std::mem::replace(&mut self.commands[at], Command::Begin);
            at += 1;
            self.heartbeat.beat();
            let answer = self.obey(command);
            self.troubles();
            if let Some(event) = answer {
                self.step(event);
            }
        }
        self.commands.clear();
    }

    fn obey(&mut self, command: Command<Item>) -> Option<Event<Item>> {
        match command {
            Command::Renew => {
                self.handle.ready.store(false, SeqCst);
                let ready = self.client.renew();
                self.handle.ready.store(ready, SeqCst);
                self.refusals.clear();
                Some(if ready { Event::Ready } else { Event::NotReady })
            }
            Command::ReadPositions(partitions) => {
                Some(self.client.read_positions(&partitions).map_or(Event::NotRead, Event::Positions))
            }
            Command::Begin => self.client.begin(),
            Command::Send(item) => {
                self.client.send(&item);
                None
            }
            Command::SendOffsets(offsets) => Some(self.send_offsets(&offsets)),
            Command::Commit => {
                let event = self.client.commit();
                if matches!(event, Event::Committed) {
                    self.events.transaction_committed();
                    self.events.committed(&self.positions);
                }
                Some(event)
            }
            Command::Abort => Some(self.client.abort()),
            Command::Acked(item) => {
                item.ticket.clone().settle(Settled::Acked);
                None
            }
            Command::Refuse(item) => {
                let code = self.refusals.remove(&(item.partition, item.ticket.seq.0));
                item.ticket.clone().settle(Settled::Refused(code.unwrap_or(RDKafkaErrorCode::Unknown)));
                None
            }
            Command::Released(partition, epoch) => {
                self.waiting.retain(|waits| (waits.0, waits.1) != (partition, epoch));
                None
            }
        }
    }

    fn send_offsets(&mut self, offsets: &[(Partition, Epoch, NextOffset)]) -> Event<Item> {
        self.positions = offsets.iter().map(|(partition, _, next)| (*partition, *next)).collect();
        let fence = self.handle.fence();
        let is_over = |(partition, epoch, _): &(Partition, Epoch, NextOffset)| {
            self.marks.get(partition).is_none_or(|(known, marks)| known != epoch || marks.is_over())
        };
        if offsets.iter().any(is_over) {
            return Event::Failed;
        }
        // Read while nothing is given up: the brokers refuse it once the group has gone on without it.
        let metadata = self.handle.group_client().and_then(|client| client.group_metadata());
        drop(fence);
        match metadata {
            Some(metadata) => self.client.send_offsets(&self.positions, &metadata),
            None => Event::Failed,
        }
    }
}
