//! Which calls start when: requests wait in turn for an endpoint, which admits calls while it is up and has room.

use std::time::Duration;

use millrace_actors::Ctx;

use super::flight::{Flight, Owner, Right, Running};
use super::{PAUSE, READINESS, RequestRouterActor};
use crate::graph::NodeId;
use crate::kafka::outcome::{ErrorClass, Failure};
use crate::kafka::suspects::Loss;
use crate::model::availability::{Cause, Change, Step, Verdict};
use crate::model::error::CallError;
use crate::stream::journey::{Event, Target};
use crate::stream::model_client::{Probe, Probed};

/// What became of the first that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Served {
    /// It has left: the next one may be served.
    One,
    /// Nobody waits, or the endpoint takes no call now.
    Nobody,
    /// There is no place for its call.
    NoPlace,
}

impl RequestRouterActor {
    /// A request waits for a call to a node.
    pub(super) fn wait(&mut self, id: u64, node: NodeId, target: Target, ctx: &mut Ctx<'_, Self>) {
        let now = self.now();
        // Nothing is paid for waiting.
        if let Some(flight) = self.flights.get_mut(id)
            && flight.journey.waits(node, now)
            && !self.endpoints[target.0].collects(id, node, flight, now)
        {
            self.endpoints[target.0].wait(id, node);
        }
        self.serve(target, ctx);
    }

    /// Starts the calls that wait for an endpoint, as far as it admits them, in turn.
    pub(super) fn serve(&mut self, target: Target, ctx: &mut Ctx<'_, Self>) {
        let now = self.now();
        if self.endpoints[target.0].batch.is_some() {
            return self.serve_merging(target, now, ctx);
        }
        let served = loop {
            match self.serve_first(target, now, ctx) {
                Served::One => {}
                other => break other,
            }
        };
        if served == Served::Nobody {
            self.endpoints[target.0].no_longer_alone();
        }
    }

    /// Starts the call of the first request that waits for one of its own.
    pub(super) fn serve_first(&mut self, target: Target, now: Duration, ctx: &mut Ctx<'_, Self>) -> Served {
        let endpoint = &mut self.endpoints[target.0];
        let Some((id, node)) = endpoint.first() else { return Served::Nobody };
        let Some(flight) = self.flights.get_mut(id) else {
            endpoint.leave();
            return Served::One;
        };
        if !flight.is_current() {
            endpoint.leave();
            self.forget(id, ctx);
            return Served::One;
        }
        if endpoint.is_given_up() {
            endpoint.leave();
            let error = &CallError::Down;
            self.step(id, Event::Failed(node, error, Verdict::Costs), Some((target, error)), ctx);
            return Served::One;
        }
        if !endpoint.availability.admits() {
            return Served::Nobody;
        }
        let alone = flight.is_suspect(node);
        let Some((ticket, client, place)) = endpoint.start(alone, now) else {
            self.plan(ctx);
            return Served::NoPlace;
        };
        endpoint.leave();
        ctx.at_hand(flight.item);
        match flight.call(id, node, (target, ticket), (now, endpoint.parts.timeout), &self.address) {
            // A client that is gone drops the call, whose guard says so.
            Ok(call) => drop(client.send_with(place, call)),
            Err(ticket) => endpoint.dropped(ticket, now),
        }
        ctx.clear_at_hand();
        self.plan(ctx);
        Served::One
    }

    /// What was begun at a node is not needed any more: a call that runs is ended, one that waits finds nothing to send.
    pub(super) fn stop(&mut self, id: u64, node: NodeId, ctx: &mut Ctx<'_, Self>) {
        let now = self.now();
        if let Some(running) = self.flights.get_mut(id).and_then(|flight| flight.stop(node)) {
            self.give_back(running, now);
            self.plan(ctx);
        }
    }

    /// Nobody waits for a call any more.
    fn give_back(&mut self, running: Running, now: Duration) {
        match running.right {
            Right::Own { ticket, .. } => self.endpoints[running.target.0].dropped(ticket, now),
            Right::Merged(number) => self.leave_merged(number, now),
        }
    }

    /// Takes a request out, and ends its calls.
    pub(super) fn remove(&mut self, id: u64, ctx: &mut Ctx<'_, Self>) -> Option<Flight> {
        let mut flight = self.flights.remove(id)?;
        if matches!(flight.owner, Owner::Shadow(_)) {
            self.shadows -= 1;
        }
        let (now, running) = (self.now(), flight.stop_all());
        for running in running {
            self.give_back(running, now);
            // Not served here: that may take out the next one, and so on.
            self.plan(ctx);
        }
        Some(flight)
    }

    /// A request whose owner's life is over: whatever comes of it is late.
    pub(super) fn forget(&mut self, id: u64, ctx: &mut Ctx<'_, Self>) {
        if let Some(flight) = self.remove(id, ctx) {
            self.parts.events.late_results_dropped.inc();
            if let Owner::Record(request) = flight.owner {
                request.guard.disarm();
            }
        }
    }

    /// A call was lost with its client, and something speaks against the request: whether it is to run again is its owner's
    /// to say.
    pub(super) fn lost(&mut self, id: u64, loss: Loss, ctx: &mut Ctx<'_, Self>) {
        match self.flights.get(id) {
            Some(flight) if !flight.is_current() => self.forget(id, ctx),
            Some(flight) if flight.is_record() => {
                if let Some(flight) = self.remove(id, ctx) {
                    flight.lost(loss);
                }
            }
            Some(_) => {
                // A copy has no owner, and is not worth another life.
                let failure = Failure::of_record(ErrorClass::Poison, "an actor panicked while it held the copy");
                self.dead_letter(id, failure, ctx);
            }
            None => {}
        }
    }

    /// Does what an endpoint's machine has decided.
    pub(super) fn follow(&mut self, target: Target, step: Step, error: Option<&CallError>, ctx: &mut Ctx<'_, Self>) {
        let parts = &self.endpoints[target.0].parts;
        match step.change {
            Some(Change::WentDown(cause)) => {
                let why: &dyn std::fmt::Display = error.map_or(&"not ready", |error| error);
                let failing = format!("too many calls fail, the last with: {why}");
                let why: &dyn std::fmt::Display = if cause == Cause::Failing { &failing } else { why };
                parts.seen.unwell(why);
                self.parts.events.endpoint_down(&parts.metrics, why);
            }
            Some(Change::CameUp { after }) => self.parts.events.endpoint_up(&parts.metrics, Some(after)),
            None => {}
        }
        if let Some(wait) = step.probe_in {
            ctx.later(wait, move |router, ctx| router.probe(target, ctx));
        }
    }

    fn probe(&mut self, target: Target, ctx: &mut Ctx<'_, Self>) {
        let client = self.endpoints[target.0].parts.pool.pick();
        if client.is_none_or(|client| client.tell(Probe).is_err()) {
            ctx.later(PAUSE, move |router, ctx| router.probe(target, ctx));
        }
    }

    pub(super) fn probe_unless_seen(&mut self, target: Target, ctx: &mut Ctx<'_, Self>) {
        if self.endpoints[target.0].parts.primary && self.endpoints[target.0].parts.seen.state().is_err() {
            self.probe(target, ctx);
        }
    }

    pub(super) fn probed(&mut self, probed: Probed, ctx: &mut Ctx<'_, Self>) {
        let (now, target): (Duration, Target) = (self.now(), probed.target);
        let endpoint = &mut self.endpoints[target.0];
        let step = endpoint.probed(&probed.result, now);
        let is_down = endpoint.availability.down().is_some();
        if probed.result.is_err() && !is_down {
            // Not known to be down, so calls go there; readiness waits for its word.
            ctx.later(READINESS, move |router, ctx| router.probe_unless_seen(target, ctx));
        }
        self.follow(target, step, probed.result.as_ref().err(), ctx);
        self.serve(target, ctx);
    }
}
