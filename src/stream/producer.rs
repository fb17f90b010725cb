//! ProducerActor: writes each outcome's record, in the order in which outcomes come.
//!
//! It holds an outcome only until the client library has taken it; from then on the library tells the owner. What it holds
//! when it dies comes back to the owner through the guards.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use millrace_actors::{Actor, Ctx, Failure as Ended, ItemId, Permit, Receive};

use super::messages::{Finished, Guard, item};
use crate::config::settings::Order;
use crate::events::Events;
use crate::kafka::dead_letter;
use crate::kafka::outcome::{OutRecord, Outcome, placement};
use crate::kafka::output::Answers;
use crate::kafka::sink::{Letter, NotTaken, Settled, Ticket};
use crate::kafka::transactor::{Outgoing, Transactor};
use crate::kafka::writer::Writer;
use crate::record::NextOffset;

/// Before the client library is asked again whether it has room.
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
    /// Where happenings are told.
    pub events: Events,
}

/// An outcome that the client library had no room for.
struct Pending {
    record: OutRecord,
    ticket: Box<Ticket>,
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
    pending: VecDeque<Pending>,
    planned: bool,
}

impl ProducerActor {
    /// An actor that holds nothing.
    pub fn new(parts: Parts) -> Self {
        let answers = Answers::new(parts.output_topic.clone());
        Self { parts, answers, pending: VecDeque::new(), planned: false }
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

    /// Hands an outcome over. What cannot be taken now comes back, to be kept first in line.
    fn send(&self, mut pending: Pending) -> Option<Pending> {
        let sink = match &self.parts.writer {
            Writer::AtOnce(sink) => sink,
            Writer::InTransactions(transactor) => {
                hand_over(transactor, pending.guard, *pending.ticket, pending.next, Some(pending.record));
                return None;
            }
        };
        match sink.send(&pending.record, pending.ticket) {
            Ok(()) => {
                pending.guard.enqueued();
                None
            }
            Err(NotTaken::Refused(ticket, code)) => {
                pending.guard.enqueued();
                ticket.settle(Settled::Refused(code));
                None
            }
            Err(NotTaken::NotNow(ticket, code)) => {
                self.parts.events.produce_failed(&pending.record.topic, &code);
                pending.ticket = ticket;
                Some(pending)
            }
            Err(NotTaken::Full(ticket)) => {
                pending.ticket = ticket;
                Some(pending)
            }
        }
    }

    fn retry(&mut self, ctx: &mut Ctx<'_, Self>) {
        while let Some(pending) = self.pending.pop_front() {
            if !pending.guard.is_current() {
                self.parts.events.late_results_dropped.inc();
                pending.guard.disarm();
                continue;
            }
            ctx.at_hand(pending.item);
            if let Some(pending) = self.send(pending) {
                self.pending.push_front(pending);
                break;
            }
        }
        ctx.clear_at_hand();
        self.plan(ctx);
    }

    fn plan(&mut self, ctx: &mut Ctx<'_, Self>) {
        if !self.pending.is_empty() && !std::mem::replace(&mut self.planned, true) {
            ctx.later(PAUSE, |actor, ctx| {
                actor.planned = false;
                actor.retry(ctx);
            });
        }
    }
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
        self.planned = false;
        let panic: Arc<str> = why.exit.to_string().into();
        for pending in std::mem::take(&mut self.pending) {
            if Some(pending.item) == why.at_hand {
                pending.guard.suspect(panic.clone());
            }
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
        let Some((record, letter)) = self.record(&finished) else {
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
        let Some(ticket) = finished.guard.ticket(letter) else { return };
        let next = finished.record.offset.next();
        let pending = Pending { record, ticket, next, guard: finished.guard, item, _permit: ctx.take_permit() };
        if self.pending.is_empty() {
            if let Some(pending) = self.send(pending) {
                self.pending.push_back(pending);
            }
        } else {
            self.pending.push_back(pending);
        }
        self.plan(ctx);
    }
}
