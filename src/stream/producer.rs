//! ProducerActor: writes each outcome's record, in the order in which outcomes come.
//!
//! It holds an outcome only until the producer client has room for it; from then on its ticket tells the owner. What it holds
//! when it dies comes back to the owner through the guards.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use millrace_actors::{Actor, Ctx, Failure as Ended, ItemId, Permit, Receive};

use super::blame::Blame;
use super::game_day::{self, GameDay, Kind, Manner};
use super::halt::{Halt, Halted};
use super::messages::{Finished, Guard, item};
use crate::config::settings::{OnFailure, Order};
use crate::events::Events;
use crate::kafka::dead_letter;
use crate::kafka::outcome::{OutRecord, Outcome, placement};
use crate::kafka::output::Answers;
use crate::kafka::sink::{Full, LINGER, Letter, Settled, Ticket};
use crate::kafka::transactor::{Outgoing, Transactor};
use crate::kafka::writer::Writer;
use crate::record::NextOffset;

/// Before the producer is asked again whether it has room.
const PAUSE: Duration = Duration::from_millis(10);

/// How many partitions the two topics have, once known.
#[derive(Debug, Default)]
pub struct Partitions {
    /// Of the output topic.
    pub output: AtomicI32,
    /// Of the dead-letter topic.
    pub dead_letter: AtomicI32,
}

/// What a ProducerActor works with.
#[derive(Clone)]
pub struct Parts {
    /// The way to the brokers.
    pub writer: Writer,
    /// For answers.
    pub output_topic: Arc<str>,
    /// For records without an answer.
    pub dead_letter_topic: Arc<str>,
    /// Order of the outputs.
    pub order: Order,
    /// Partitions of the topics.
    pub partitions: Arc<Partitions>,
    /// What becomes of a record that failed.
    pub on_failure: OnFailure,
    /// Told of a record that stops the service.
    pub halt: Arc<Halt>,
    /// Whether records may ask for crashes.
    pub game_day: GameDay,
    /// Where happenings are told.
    pub events: Events,
}

/// An outcome that the producer had no room for.
struct Pending {
    /// Absent only while the sink is asked.
    outgoing: Option<(OutRecord, Box<Ticket>)>,
    /// The offset after the record's.
    next: NextOffset,
    guard: Guard,
    item: ItemId,
    /// Its place in the mailbox, so that what is pending stays bounded.
    _permit: Option<Permit>,
}

/// The actor.
pub struct ProducerActor {
    parts: Parts,
    answers: Answers,
    /// An outcome that has come and is not pending yet: kept here, so that a panic meanwhile does not take it along.
    taken: Option<Finished>,
    pending: VecDeque<Pending>,
    planned: bool,
    lingers: bool,
}

impl ProducerActor {
    /// An actor that holds nothing.
    pub fn new(parts: Parts) -> Self {
        let answers = Answers::new(parts.output_topic.clone());
        Self { parts, answers, taken: None, pending: VecDeque::new(), planned: false, lingers: false }
    }

    fn record(&self, finished: &Finished) -> Option<(OutRecord, Letter)> {
        let Finished { record, puid, outcome, keep, .. } = finished;
        let place = |partitions: &AtomicI32| {
            placement(self.parts.order, record.key.as_ref(), record.partition, partitions.load(Relaxed))
        };
        match outcome {
            Outcome::Answered(message) => {
                let place = place(&self.parts.partitions.output);
                let out = self.answers.record(record, puid.clone(), message.clone(), place);
                Some((out, Letter::Answer))
            }
            Outcome::DeadLettered(failure) if self.parts.on_failure == OnFailure::Skip => {
                let (class, node) = (failure.class.label(), failure.node.as_deref());
                self.parts.events.failure_skipped(record, class, node, &failure.message);
                None
            }
            Outcome::DeadLettered(failure) => {
                self.parts.events.dead_lettered(
                    record,
                    failure.class.label(),
                    failure.node.as_deref(),
                    &failure.message,
                );
                let place = place(&self.parts.partitions.dead_letter);
                let topic = &self.parts.dead_letter_topic;
                Some((dead_letter::record(topic, record, failure, now_ms(), *keep, place), Letter::Dead))
            }
            Outcome::Skipped => None,
        }
    }

    /// Hands the first in line over. False while it has to wait.
    fn send_first(&mut self) -> bool {
        let sink = match &self.parts.writer {
            Writer::AtOnce(sink) => sink.clone(),
            Writer::InTransactions(transactor) => return hand_over_first(transactor, &mut self.pending),
        };
        // Its guard stays in line until it is taken: a panic here must find it.
        let Some(first) = self.pending.front_mut() else { return false };
        let Some((record, ticket)) = first.outgoing.take() else { return false };
        if let Err(Full(record, ticket)) = sink.send(record, ticket) {
            first.outgoing = Some((record, ticket));
            return false;
        }
        if let Some(first) = self.pending.pop_front() {
            first.guard.enqueued();
        }
        true
    }

    fn retry(&mut self, ctx: &mut Ctx<'_, Self>) {
        while let Some(first) = self.pending.front() {
            if first.guard.is_current() {
                ctx.at_hand(first.item);
                if !self.send_first() {
                    break;
                }
            } else if let Some(late) = self.pending.pop_front() {
                self.parts.events.late_results_dropped.inc();
                late.guard.disarm();
            }
        }
        ctx.clear_at_hand();
        self.plan(ctx);
    }

    /// Whether the outcome stops the service, and then whatever is to be done about it.
    fn halts(&mut self) -> bool {
        let Some(Finished { record, outcome: Outcome::DeadLettered(failure), .. }) = &self.taken else { return false };
        if self.parts.on_failure != OnFailure::Stop {
            return false;
        }
        self.parts.halt.tell(Halted::new(record, failure));
        if let Some(finished) = self.taken.take() {
            finished.guard.halted();
        }
        true
    }

    fn crash_asked(&self) -> Option<Manner> {
        let finished = self.taken.as_ref()?;
        // A failure is written whatever the record asks for.
        let failed = matches!(finished.outcome, Outcome::DeadLettered(_));
        self.parts.game_day.asks(&finished.record, Kind::Producer).filter(|_| !failed)
    }

    fn plan(&mut self, ctx: &mut Ctx<'_, Self>) {
        self.linger(ctx);
        if !self.pending.is_empty() && !std::mem::replace(&mut self.planned, true) {
            ctx.later(PAUSE, |actor, ctx| {
                actor.planned = false;
                actor.retry(ctx);
            });
        }
    }
}

impl ProducerActor {
    /// Lets go, after a while, what the sink has put into line, as long as there is such.
    fn linger(&mut self, ctx: &mut Ctx<'_, Self>) {
        let Writer::AtOnce(sink) = &self.parts.writer else { return };
        if !self.lingers && sink.waits() {
            self.lingers = true;
            ctx.later(LINGER, |actor, ctx| {
                actor.lingers = false;
                if let Writer::AtOnce(sink) = &actor.parts.writer {
                    sink.go_on();
                }
                actor.linger(ctx);
            });
        }
    }
}

/// The first in line waits for its transaction from now on. False if there is none.
fn hand_over_first(transactor: &Transactor, pending: &mut VecDeque<Pending>) -> bool {
    let Some(Pending { outgoing, next, guard, .. }) = pending.pop_front() else { return false };
    let Some((record, ticket)) = outgoing else { return false };
    hand_over(transactor, guard, *ticket, next, Some(record));
    true
}

/// The outcome waits for its transaction from now on.
fn hand_over(transactor: &Transactor, guard: Guard, ticket: Ticket, next: NextOffset, record: Option<OutRecord>) {
    let Some(partition) = guard.partition() else { return };
    let outgoing = Outgoing { partition, next, record, ticket };
    let bytes = outgoing.bytes();
    transactor.offer(outgoing);
    guard.held(bytes);
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

impl Actor for ProducerActor {
    fn restarting(&mut self, why: &Ended) {
        (self.planned, self.lingers) = (false, false);
        let (pending, taken) = (std::mem::take(&mut self.pending), self.taken.take());
        let taken = taken.map(|finished| (item(&finished.record), finished.guard));
        let held = pending.into_iter().map(|pending| (pending.item, pending.guard)).chain(taken);
        let held: Vec<(ItemId, Guard)> = held.collect();
        let blame = Blame::new(why, held.iter().map(|(item, _)| *item));
        for (item, guard) in held {
            guard.lost(blame.loss(item));
        }
    }

    fn observe(&self) -> serde_json::Value {
        serde_json::json!({"pending": self.pending.len(), "unsettled_in_client": self.parts.writer.unsettled()})
    }
}

impl Receive<Finished> for ProducerActor {
    fn receive(&mut self, finished: Finished, ctx: &mut Ctx<'_, Self>) {
        if !finished.guard.is_current() {
            self.parts.events.late_results_dropped.inc();
            return finished.guard.disarm();
        }
        let item = item(&finished.record);
        ctx.at_hand(item);
        self.taken = Some(finished);
        if self.halts() {
            return;
        }
        let crash = self.crash_asked();
        if crash == Some(Manner::AtHand) {
            game_day::crash(Kind::Producer);
        }
        let made = self.taken.as_ref().and_then(|finished| self.record(finished));
        let Some(finished) = self.taken.take() else { return };
        let Some((record, letter)) = made else {
            let Some(ticket) = finished.guard.ticket(Letter::Nothing) else { return };
            match &self.parts.writer {
                // Nothing is written, so it is settled as soon as it comes.
                Writer::AtOnce(_) => {
                    finished.guard.enqueued();
                    ticket.settle(Settled::Acked);
                }
                Writer::InTransactions(transactor) => {
                    hand_over(transactor, finished.guard, *ticket, finished.record.offset.next(), None);
                }
            }
            return;
        };
        let outgoing = finished.guard.ticket(letter).map(|ticket| (record, ticket));
        let next = finished.record.offset.next();
        let pending = Pending { outgoing, next, guard: finished.guard, item, _permit: ctx.take_permit() };
        self.pending.push_back(pending);
        if crash.is_some() {
            drop(ctx.later(Duration::ZERO, |_, _| game_day::crash(Kind::Producer)));
        } else if self.pending.len() == 1 {
            self.send_first();
        }
        self.plan(ctx);
    }
}
