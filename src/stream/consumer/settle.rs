//! What became of outcomes: acknowledged, refused for good, or not delivered this time.

use std::sync::Arc;

use millrace_actors::Ctx;
use rdkafka::types::RDKafkaErrorCode;

use super::ConsumerActor;
use crate::kafka::offsets::Seq;
use crate::kafka::outcome::{ErrorClass, Failure};
use crate::kafka::partition::Event;
use crate::kafka::sink::{Letter, Settled, Settlement, Word};
use crate::record::Epoch;
use crate::stream::messages::item;

impl ConsumerActor {
    pub(super) fn settle(&mut self, ctx: &mut Ctx<'_, Self>) {
        let mut words = std::mem::take(&mut self.words);
        self.settlements.take(&mut words);
        for word in words.drain(..) {
            match word {
                Word::Enqueued(epoch, seq) => self.step(epoch, Event::Enqueued(seq), ctx),
                Word::Held(epoch, seq, bytes) => self.step(epoch, Event::Held { seq, bytes }, ctx),
                Word::Settled(settlement) => self.settled(settlement, ctx),
            }
        }
        self.words = words;
        self.read_if_waiting(ctx);
    }

    fn settled(&mut self, Settlement { epoch, seq, letter, settled }: Settlement, ctx: &mut Ctx<'_, Self>) {
        match settled {
            Settled::Acked => self.acked(epoch, seq, letter, ctx),
            Settled::Refused(code) => self.refused(epoch, seq, letter, code, ctx),
            Settled::Undelivered(code) => {
                self.parts.events.produce_failed(self.topic(letter), &code);
                self.after_pause(epoch, Event::Undelivered(seq), ctx);
            }
        }
    }

    /// Brings the partition's gauges up to date.
    pub(super) fn show(&self) {
        if let Some(reign) = &self.reign {
            let machine = &reign.machine;
            reign.metrics.set_window(machine.unfinished());
            reign.metrics.set_commit_span(machine.span());
            let oldest = machine.oldest_unfinished().map(|since| (self.born + since).into_std());
            reign.metrics.set_oldest_unfinished(oldest);
        }
    }

    fn topic(&self, letter: Letter) -> &Arc<str> {
        match letter {
            Letter::Answer | Letter::Nothing => &self.parts.output_topic,
            Letter::Dead => &self.parts.dead_letter_topic,
        }
    }

    fn acked(&mut self, epoch: Epoch, seq: Seq, letter: Letter, ctx: &mut Ctx<'_, Self>) {
        let held = self.reign.as_ref().filter(|reign| reign.assigned.epoch == epoch);
        if let Some(held) = held.and_then(|reign| reign.machine.item(seq)) {
            match letter {
                Letter::Answer => self.parts.events.answered.inc(),
                Letter::Dead => self.parts.events.dead_lettered.inc(),
                Letter::Nothing => self.parts.events.skipped.inc(),
            }
            self.parts.events.record_took(held.read_at.elapsed());
            self.own.finished(item(&held.record));
        }
        self.step(epoch, Event::Acked(seq), ctx);
    }

    /// The broker will never take it as it is: a dead letter instead, and if that is too large, less of it.
    fn refused(&mut self, epoch: Epoch, seq: Seq, letter: Letter, code: RDKafkaErrorCode, ctx: &mut Ctx<'_, Self>) {
        self.step(epoch, Event::Refused(seq), ctx);
        let topic = self.topic(letter).clone();
        let Some(reign) = self.reign.as_mut().filter(|reign| reign.assigned.epoch == epoch) else { return };
        let Some(held) = reign.machine.item_mut(seq) else { return };
        self.parts.events.produce_refused(&held.record, &topic, &code);
        if let (Letter::Dead, Some((_, keep))) = (letter, &mut held.dead) {
            let Some(smaller) = keep.smaller() else {
                // A dead letter that cannot be written holds the offset.
                return self.after_pause(epoch, Event::Undelivered(seq), ctx);
            };
            *keep = smaller;
        }
        held.replaced = true;
        let too_large = code == RDKafkaErrorCode::MessageSizeTooLarge;
        let class = if too_large { ErrorClass::TooLarge } else { ErrorClass::RefusedByBroker };
        let failure = Failure::of_record(class, format!("topic {topic} refused the output: {code}"));
        self.dead_letter(seq, failure, ctx);
    }
}
