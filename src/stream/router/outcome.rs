//! How a request leaves the router: with an answer, or as a dead letter.

use millrace_actors::Ctx;

use super::RequestRouterActor;
use super::flight::Owner;
use crate::kafka::dead_letter::Keep;
use crate::kafka::outcome::{Failure, Outcome};
use crate::record::Message;
use crate::stream::messages::Finished;

impl RequestRouterActor {
    pub(super) fn answer(&mut self, id: u64, message: Message, ctx: &mut Ctx<'_, Self>) {
        self.finish(id, Ok(message), ctx);
    }

    pub(super) fn dead_letter(&mut self, id: u64, failure: Failure, ctx: &mut Ctx<'_, Self>) {
        self.finish(id, Err(failure), ctx);
    }

    fn finish(&mut self, id: u64, result: Result<Message, Failure>, ctx: &mut Ctx<'_, Self>) {
        let Some(flight) = self.remove(id, ctx) else { return };
        match flight.owner {
            Owner::Record(request) => {
                let (guard, record, puid) = (request.guard, request.record, request.puid);
                let outcome = match result {
                    Ok(_) if self.parts.rules.feedback => Outcome::Skipped,
                    Ok(answer) => Outcome::Answered(answer),
                    Err(failure) => Outcome::DeadLettered(failure),
                };
                self.finished.push_back(Finished { guard, record, puid, outcome, keep: Keep::Everything });
                self.hand_over(ctx);
            }
            Owner::Shadow(pair) => self.shadowed(&pair, result),
        }
    }

    /// Hands outcomes to the producer, in the order in which they came.
    pub(super) fn hand_over(&mut self, ctx: &mut Ctx<'_, Self>) {
        while let Some(finished) = self.finished.pop_front() {
            let Ok(place) = self.parts.producer.try_reserve() else {
                self.finished.push_front(finished);
                return self.plan(ctx);
            };
            // A producer that is gone drops the outcome, whose guard says so.
            drop(self.parts.producer.send_with(place, finished));
        }
    }
}
