//! How a record leaves its owner: decoded to the router, or dead to the producer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millrace_actors::{Ctx, Failure as Ended};

use super::pace::PAUSE;
use super::{ConsumerActor, Held};
use crate::kafka::dead_letter::Keep;
use crate::kafka::offsets::Seq;
use crate::kafka::outcome::{ErrorClass, Failure, Outcome};
use crate::kafka::output::PUID;
use crate::kafka::partition::Event;
use crate::kafka::suspects::Loss;
use crate::record::Record;
use crate::stream::blame::Blame;
use crate::stream::game_day::{self, Kind, Manner};
use crate::stream::messages::{Finished, Guard, Request, item};

impl ConsumerActor {
    /// Runs a record: decodes it and hands it to the router, or to the producer if it is no request.
    pub(super) fn run(&mut self, seq: Seq, ctx: &mut Ctx<'_, Self>) {
        let Some(reign) = &mut self.reign else { return };
        let link = reign.link.clone();
        let Some(held) = reign.machine.item_mut(seq) else { return };
        ctx.at_hand(item(&held.record));
        held.attempt += 1;
        held.replaced = false;
        if held.attempt > 1 {
            self.parts.events.redispatched(self.partition, held.record.offset, held.attempt);
        }
        let record = held.record.clone();
        let puid = held.puid.get_or_insert_with(|| puid(&record)).clone();
        let known = held.dead.clone();
        let dead = known.or_else(|| self.verdict(&record).map(|failure| (failure, Keep::Everything)));
        if let Some(held) = self.reign.as_mut().and_then(|reign| reign.machine.item_mut(seq)) {
            held.dead.clone_from(&dead);
        }
        let guard = Guard::new(link, seq);
        match dead {
            Some((failure, keep)) => self.finish(Outcome::DeadLettered(failure), keep, guard, record, puid),
            None => match self.parts.decode(&record) {
                Ok(_) if self.crashes(&record, ctx) => guard.disarm(),
                Ok(message) => self.hand_over(Request { guard, record, puid, message }),
                Err(error) => {
                    guard.disarm();
                    let failure = Failure::of_record(ErrorClass::Undecodable, error.to_string());
                    self.dead_letter(seq, failure, ctx);
                }
            },
        }
        ctx.clear_at_hand();
        if !self.later.is_empty() {
            self.plan_pump(PAUSE, ctx);
        }
    }

    /// Does what a record asks for on a game day. True if it is kept here until then.
    fn crashes(&self, record: &Record, ctx: &mut Ctx<'_, Self>) -> bool {
        match self.parts.game_day.asks(record, Kind::Consumer) {
            None => false,
            Some(Manner::AtHand) => game_day::crash(Kind::Consumer),
            Some(Manner::Unseen) => {
                drop(ctx.later(Duration::ZERO, |_, _| game_day::crash(Kind::Consumer)));
                true
            }
        }
    }

    /// This actor's life has ended. The next one, which reads its records again, must know what speaks against them.
    pub(super) fn blame(&mut self, why: &Ended) {
        let Some(reign) = self.reign.take() else { return };
        if let Some(at_hand) = why.at_hand {
            self.own.at_hand(at_hand, &why.exit.to_string());
        }
        let Some((oldest, last)) = reign.machine.oldest().zip(reign.last) else { return };
        let first = item(&oldest.record);
        if let Loss::Unseen { panic, .. } = Blame::new(why, [first]).loss(first) {
            self.own.unseen(reign.machine.unfinished(), first, last, &panic);
        }
    }

    /// Why a record is not even tried.
    fn verdict(&self, record: &Record) -> Option<Failure> {
        if let Some(panic) = self.own.verdict(item(record)) {
            return Some(poison(&panic));
        }
        let bytes = record.value.as_ref().map_or(0, Bytes::len);
        let limit = self.parts.request_bytes;
        (bytes > limit).then(|| {
            let message = format!("the record's value has {bytes} bytes; limits.request_bytes allows {limit}");
            Failure::of_record(ErrorClass::TooLarge, message)
        })
    }

    fn hand_over(&mut self, request: Request) {
        let Ok(permit) = self.parts.router.try_reserve() else { return self.hold_back(request.guard) };
        if let Err(gone) = self.parts.router.send_with(permit, request) {
            self.hold_back(gone.0.guard);
        }
    }

    fn finish(&mut self, outcome: Outcome, keep: Keep, guard: Guard, record: Arc<Record>, puid: Bytes) {
        let Ok(permit) = self.parts.producer.try_reserve() else { return self.hold_back(guard) };
        let finished = Finished { guard, record, puid, outcome, keep };
        if let Err(gone) = self.parts.producer.send_with(permit, finished) {
            self.hold_back(gone.0.guard);
        }
    }

    /// Could not be handed over: the machine hears of it after a pause, so that nobody spins.
    fn hold_back(&mut self, guard: Guard) {
        let seq = guard.seq();
        guard.disarm();
        let event = self.lost(seq, Loss::Innocent);
        self.later.push(event);
    }

    /// What the loss of a record means: a dead letter that replaces a refused outcome had left its lane before.
    pub(super) fn lost(&self, seq: Seq, loss: Loss) -> Event<Held> {
        let replaced = self.reign.as_ref().and_then(|reign| reign.machine.item(seq)).is_some_and(|held| held.replaced);
        if replaced { Event::Undelivered(seq) } else { Event::Lost { seq, loss } }
    }

    pub(super) fn give_up(&mut self, seq: Seq, panic: &Arc<str>, ctx: &mut Ctx<'_, Self>) {
        self.dead_letter(seq, poison(panic), ctx);
    }

    /// Sends a dead letter for a record that is under way already.
    pub(super) fn dead_letter(&mut self, seq: Seq, failure: Failure, ctx: &mut Ctx<'_, Self>) {
        let Some(reign) = &mut self.reign else { return };
        let guard = Guard::new(reign.link.clone(), seq);
        let Some(held) = reign.machine.item_mut(seq) else { return guard.disarm() };
        held.dead.get_or_insert((failure, Keep::Everything));
        let Some((failure, keep)) = held.dead.clone() else { return guard.disarm() };
        let record = held.record.clone();
        let puid = held.puid.get_or_insert_with(|| puid(&record)).clone();
        self.finish(Outcome::DeadLettered(failure), keep, guard, record, puid);
        if !self.later.is_empty() {
            self.plan_pump(PAUSE, ctx);
        }
    }
}

pub(super) fn poison(panic: &Arc<str>) -> Failure {
    Failure::of_record(ErrorClass::Poison, format!("an actor panicked each time it handled the record: {panic}"))
}

/// The request id that came with the record, or a new one.
fn puid(record: &Record) -> Bytes {
    let sent = record.headers.get(PUID).filter(|value| !value.is_empty());
    sent.cloned().unwrap_or_else(|| uuid::Uuid::new_v4().to_string().into())
}
