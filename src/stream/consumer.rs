//! ConsumerActor: reads one partition and owns each of its records until the broker has acknowledged the record's outcome.
//!
//! Why no record can be lost: what to read, start and commit is decided by the machine in `kafka::partition`; this actor
//! turns messages into its events and carries out its commands. For every record that was started, one of `Enqueued` then
//! `Acked`, `Lost`, `Refused` or `Undelivered` comes back, because the record travels with a guard that tells of its own
//! death. If this actor dies, its next life gets a new epoch that begins at what was finished.

use std::sync::{Arc, mpsc};

use bytes::Bytes;
use millrace_actors::{Actor, ActorRef, Ctx, Failure as Ended, Receive, Recipient};
use tokio::time::Instant;

use self::own::OwnPanics;
use super::assignment::Reread;
use super::messages::{Back, Link, item};
use crate::events::{Client, PartitionMetrics};
use crate::kafka::dead_letter::Keep;
use crate::kafka::outcome::Failure;
use crate::kafka::partition::{Command, Event, Partition as Machine};
use crate::kafka::permits::Share;
use crate::kafka::sink::{Owner, Settlements, Word};
use crate::kafka::source::{Assigned, ReadEnd};
use crate::record::{Epoch, NextOffset, Offset, Partition, Record};

mod dispatch;
mod end;
mod own;
mod pace;
mod parts;
mod settle;

pub use self::parts::Parts;

/// Records read at one wake-up, so that other actors of the thread get their turn.
const BATCH: usize = 256;

/// What becomes of the partition.
pub enum Life {
    /// It is this actor's, from this epoch on.
    Assign(Assigned),
    /// Finish what runs, then drop the sender.
    Drain(Epoch, mpsc::Sender<()>),
    /// It is no longer this actor's.
    End(Epoch),
    /// The log was read up to here.
    Position(Epoch, NextOffset),
}

/// Words on outcomes have come.
pub struct WordsCame;

/// There may be more to read.
struct ReadOn;

/// What is kept of a record while it is owned.
struct Held {
    record: Arc<Record>,
    puid: Option<Bytes>,
    read_at: Instant,
    attempt: u32,
    /// Set when no answer can come any more: what its dead letter says, and how much of the record it keeps.
    dead: Option<(Failure, Keep)>,
    /// A dead letter is under way in place of an outcome that the broker refused.
    replaced: bool,
}

/// One epoch.
struct Reign {
    assigned: Assigned,
    link: Arc<Link>,
    machine: Machine<Held>,
    share: Share,
    metrics: PartitionMetrics,
    /// The last record read.
    last: Option<Offset>,
    /// Reading stopped for want of room.
    unread: bool,
    at_end: bool,
    outside: bool,
    drained: Option<mpsc::Sender<()>>,
}

/// The actor.
pub struct ConsumerActor {
    partition: Partition,
    parts: Parts,
    settlements: Arc<Settlements>,
    back: Recipient<Back>,
    born: Instant,
    reign: Option<Reign>,
    orphaned: bool,
    /// What its own panics say of its records.
    own: OwnPanics,
    /// To be said to the machine after a pause.
    later: Vec<Event<Held>>,
    pump_planned: bool,
    commands: Vec<Command>,
    words: Vec<Word>,
    records: Vec<Record>,
}

impl ConsumerActor {
    /// An actor without its partition yet; if `orphaned`, it asks for it when it starts.
    pub fn new(partition: Partition, parts: Parts, address: &ActorRef<Self>, orphaned: bool) -> Self {
        let woken = address.clone();
        Self {
            partition,
            parts,
            settlements: Settlements::new(move || drop(woken.tell(WordsCame))),
            back: address.recipient(),
            born: Instant::now(),
            reign: None,
            orphaned,
            own: OwnPanics::default(),
            later: Vec::new(),
            pump_planned: false,
            commands: Vec::new(),
            words: Vec::new(),
            records: Vec::new(),
        }
    }

    fn assign(&mut self, assigned: Assigned, ctx: &mut Ctx<'_, Self>) {
        self.end_reign();
        let mut machine = Machine::new(assigned.epoch, assigned.start, self.parts.order, self.parts.bounds);
        if self.parts.transactor.is_some() {
            machine = machine.transactional();
        }
        let (epoch, settlements, marks) = (assigned.epoch, self.settlements.clone(), assigned.marks.clone());
        let link = Arc::new(Link {
            partition: self.partition,
            epoch,
            back: self.back.clone(),
            owner: Arc::new(Owner { epoch, settlements, marks: marks.clone() }),
            marks,
        });
        self.reign = Some(Reign {
            link,
            machine,
            share: self.parts.permits.share(),
            metrics: self.parts.events.partition(self.partition),
            assigned,
            last: None,
            unread: false,
            at_end: false,
            outside: false,
            drained: None,
        });
        self.wait_for_records(ctx);
        self.read(ctx);
    }

    fn end_reign(&mut self) {
        self.later.clear();
        if let Some(mut reign) = self.reign.take() {
            reign.machine.close(&mut reign.share);
        }
    }

    fn wait_for_records(&mut self, ctx: &mut Ctx<'_, Self>) {
        let Some(reign) = &self.reign else { return };
        let (filled, epoch) = (reign.assigned.source.filled(), reign.assigned.epoch);
        let next = filled.clone();
        ctx.spawn(async move { filled.notified().await }, move |actor: &mut Self, (), ctx| {
            if actor.reign.as_ref().is_some_and(|reign| reign.assigned.epoch == epoch) {
                actor.wait_for_records(ctx);
                actor.read(ctx);
            } else {
                // Meant for whoever reads the partition now.
                next.notify_one();
            }
        });
    }

    fn read(&mut self, ctx: &mut Ctx<'_, Self>) {
        let Some(reign) = &mut self.reign else { return };
        if reign.outside {
            return self.reread_when_empty();
        }
        let mut most = reign.machine.may_read(&mut reign.share).min(BATCH);
        if self.own.one_at_a_time() {
            most = most.min(1_usize.saturating_sub(reign.machine.unfinished()));
        }
        reign.unread = most == 0;
        if most == 0 {
            if reign.share.waits() {
                self.wait_for_room(ctx);
            }
            return;
        }
        let epoch = reign.assigned.epoch;
        reign.assigned.marks.set_idle_at_end(false);
        let mut records = std::mem::take(&mut self.records);
        let end = reign.assigned.source.read(epoch, most, &mut records);
        match end {
            ReadEnd::EndOfLog => reign.at_end = true,
            ReadEnd::OutsideLog => reign.outside = true,
            _ if !records.is_empty() => reign.at_end = false,
            _ => {}
        }
        self.parts.events.records_consumed.inc_by(records.len() as u64);
        for record in records.drain(..) {
            ctx.at_hand(item(&record));
            self.own.read(record.offset);
            if let Some(reign) = &mut self.reign {
                reign.last = Some(record.offset);
            }
            let (offset, key, bytes) = (record.offset, record.key.clone(), record.size());
            let item = Held {
                record: Arc::new(record),
                puid: None,
                read_at: Instant::now(),
                attempt: 0,
                dead: None,
                replaced: false,
            };
            self.step(epoch, Event::Read { offset, key, bytes, item }, ctx);
        }
        ctx.clear_at_hand();
        self.records = records;
        match end {
            ReadEnd::More => drop(ctx.address().tell(ReadOn)),
            ReadEnd::OutsideLog => self.reread_when_empty(),
            ReadEnd::Failed(code) => self.parts.events.client_error(Client::Consumer, &code),
            ReadEnd::Empty | ReadEnd::EndOfLog | ReadEnd::Retired => self.show_idle(),
        }
    }

    /// A position outside the log: what was read before it is finished first, then the partition is begun anew.
    fn reread_when_empty(&mut self) {
        if let Some(reign) = self.reign.as_ref().filter(|reign| reign.machine.unfinished() == 0) {
            self.ask_to_reread(Some(reign.assigned.epoch));
        }
    }

    fn ask_to_reread(&self, epoch: Option<Epoch>) {
        drop(self.parts.assignment.tell(Reread { partition: self.partition, epoch }));
    }

    /// Tells the machine what happened and carries out what it decides.
    fn step(&mut self, epoch: Epoch, event: Event<Held>, ctx: &mut Ctx<'_, Self>) {
        let now = self.born.elapsed();
        let Some(reign) = &mut self.reign else { return };
        if !reign.machine.step(epoch, event, now, &mut reign.share, &mut self.commands) {
            self.parts.events.late_results_dropped.inc();
            return;
        }
        let mut commands = std::mem::take(&mut self.commands);
        for command in commands.drain(..) {
            match command {
                Command::Start(seq) => self.run(seq, ctx),
                Command::GiveUp(seq, panic) => self.give_up(seq, &panic, ctx),
                Command::Commit(next) => {
                    if let Some(reign) = &self.reign {
                        reign.assigned.marks.set_safe(next);
                    }
                }
                Command::Starved => self.wait_for_room(ctx),
                Command::Drained => {
                    if let Some(reign) = &mut self.reign {
                        reign.drained = None;
                    }
                }
            }
        }
        self.commands = commands;
    }
}

impl Actor for ConsumerActor {
    fn started(&mut self, ctx: &mut Ctx<'_, Self>) {
        ctx.every(pace::TICK, Self::tick);
        if std::mem::take(&mut self.orphaned) {
            self.ask_to_reread(None);
        }
    }

    fn restarting(&mut self, why: &Ended) {
        self.pump_planned = false;
        self.later = Vec::new();
        self.commands = Vec::new();
        self.records = Vec::new();
        self.words = Vec::new();
        self.blame(why);
        self.ask_to_reread(None);
    }

    fn observe(&self) -> serde_json::Value {
        match &self.reign {
            None => serde_json::json!({"partition": self.partition.0, "assigned": false}),
            Some(reign) => serde_json::json!({
                "partition": self.partition.0,
                "assigned": true,
                "epoch": reign.assigned.epoch.0,
                "running": reign.machine.running(),
                "unfinished": reign.machine.unfinished(),
                "commit_span": reign.machine.span(),
                "next_offset": reign.machine.safe().0,
                "oldest_unfinished_seconds":
                    reign.machine.oldest_unfinished().map(|since| self.born.elapsed().saturating_sub(since).as_secs_f64()),
            }),
        }
    }
}

impl Receive<Life> for ConsumerActor {
    fn receive(&mut self, life: Life, ctx: &mut Ctx<'_, Self>) {
        match life {
            Life::Assign(assigned) => self.assign(assigned, ctx),
            Life::Drain(epoch, done) => {
                if let Some(reign) = self.reign.as_mut().filter(|reign| reign.assigned.epoch == epoch) {
                    reign.drained = Some(done);
                    self.step(epoch, Event::Drain, ctx);
                }
            }
            Life::End(epoch) => {
                if self.reign.as_ref().is_some_and(|reign| reign.assigned.epoch == epoch) {
                    self.end_reign();
                }
            }
            Life::Position(epoch, position) => self.ends_at(epoch, position, ctx),
        }
    }
}

impl Receive<Back> for ConsumerActor {
    fn receive(&mut self, back: Back, ctx: &mut Ctx<'_, Self>) {
        match back {
            Back::Halted(epoch, seq) => self.step(epoch, Event::Halted(seq), ctx),
            Back::Lost { epoch, seq, loss } => {
                let event = self.lost(seq, loss);
                self.step(epoch, event, ctx);
            }
        }
        if self.reign.as_ref().is_some_and(|reign| reign.unread) {
            self.read(ctx);
        }
    }
}

impl Receive<WordsCame> for ConsumerActor {
    fn receive(&mut self, _: WordsCame, ctx: &mut Ctx<'_, Self>) {
        self.settle(ctx);
    }
}

impl Receive<ReadOn> for ConsumerActor {
    fn receive(&mut self, _: ReadOn, ctx: &mut Ctx<'_, Self>) {
        self.read(ctx);
    }
}
