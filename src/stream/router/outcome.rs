//! How a request leaves the router: with an answer, or as a dead letter.

use bytes::Bytes;
use millrace_actors::Ctx;

use super::RequestRouterActor;
use crate::codec::ChainError;
use crate::graph::NodeId;
use crate::kafka::dead_letter::Keep;
use crate::kafka::outcome::{ErrorClass, Failure, Outcome};
use crate::model::error::CallError;
use crate::stream::journey::GaveUp;
use crate::stream::messages::Finished;

impl RequestRouterActor {
    pub(super) fn answer(&mut self, id: u64, ctx: &mut Ctx<'_, Self>) {
        let Some(flight) = self.flights.get_mut(&id) else { return };
        let answer = flight.message.clone();
        self.finish(id, Outcome::Answered(answer), ctx);
    }

    pub(super) fn dead_letter(
        &mut self,
        id: u64,
        node: NodeId,
        error: &CallError,
        why: GaveUp,
        ctx: &mut Ctx<'_, Self>,
    ) {
        let Some(flight) = self.flights.get(&id) else { return };
        let class = match error {
            CallError::Timeout(_) => ErrorClass::Timeout,
            CallError::ReplyTooLarge { .. } => ErrorClass::TooLarge,
            _ => ErrorClass::ModelError,
        };
        let attempts = flight.journey.failed_attempts();
        let why = match why {
            GaveUp::Permanent => "a retry cannot help",
            GaveUp::Attempts => "all attempts are used",
            GaveUp::Deadline => "the record's deadline has passed",
        };
        let body = match error {
            CallError::Status { body, .. } => Some(body.clone()),
            _ => None,
        };
        let failure = Failure {
            class,
            message: format!("node {}: {error}; {why}", self.endpoints[node.index()].parts.name),
            node: Some(self.endpoints[node.index()].parts.name.clone()),
            status: error.status().map(|status| status.into_owned().into()),
            attempts,
            body,
        };
        self.finish(id, Outcome::DeadLettered(failure), ctx);
    }

    pub(super) fn unchainable(&mut self, id: u64, node: NodeId, error: &ChainError, ctx: &mut Ctx<'_, Self>) {
        let Some(flight) = self.flights.get(&id) else { return };
        let name = self.endpoints[node.index()].parts.name.clone();
        let failure = Failure {
            class: ErrorClass::Unchainable,
            message: format!("node {name}: {error}"),
            node: Some(name),
            status: Some("200".into()),
            attempts: flight.journey.failed_attempts() + 1,
            body: Some(Bytes::clone(&flight.message.body)),
        };
        self.finish(id, Outcome::DeadLettered(failure), ctx);
    }

    fn finish(&mut self, id: u64, outcome: Outcome, ctx: &mut Ctx<'_, Self>) {
        let Some(flight) = self.flights.remove(&id) else { return };
        drop(flight.place);
        let (guard, record, puid) = (flight.request.guard, flight.request.record, flight.request.puid);
        let finished = Finished { guard, record, puid, outcome, keep: Keep::Everything };
        self.finished.push_back(finished);
        self.hand_over(ctx);
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
