//! RequestRouterActor: takes each request through the graph, one call after the other, and hands its outcome on.
//!
//! What is decided per request is in `journey`, what is decided per endpoint in `model::availability`; this actor carries it
//! out. It owns nothing that cannot be had again: what it holds when it dies goes back to the owners through the guards.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use millrace_actors::{Actor, ActorRef, Ctx, Failure as Ended, ItemId, Permit, Receive};
use tokio::time::Instant;

use super::endpoint::{Endpoint, NodeParts};
use super::journey::{Command, Event, Journey, Rules};
use super::messages::{Finished, Request, item};
use super::model_client::{Call, CallGuard, CallId, Called, Probe, Probed, Suspect};
use super::producer::ProducerActor;
use crate::codec;
use crate::config::settings::Protocol;
use crate::events::Events;
use crate::graph::NodeId;
use crate::model::availability::{Change, Step, Ticket, Verdict};
use crate::model::call::{CallRequest, Reply};
use crate::model::error::CallError;
use crate::model::headers::{CallHeaders, call_headers};
use crate::record::{CallKind, Message};

mod outcome;

/// Between questions to an endpoint that has not said that it is ready.
const READINESS: Duration = Duration::from_millis(500);
/// Before a call that nobody could take is tried again.
const PAUSE: Duration = Duration::from_millis(20);

/// What a RequestRouterActor works with.
#[derive(Clone)]
pub struct Parts {
    /// The graph and what requests go by.
    pub rules: Arc<Rules>,
    /// Protocol of the requests.
    pub protocol: Protocol,
    /// What each node is called through, by its number.
    pub nodes: Vec<NodeParts>,
    /// Writes outcomes.
    pub producer: ActorRef<ProducerActor>,
    /// Start of the time that all clients of an endpoint go by.
    pub began: Instant,
    /// Where happenings are told.
    pub events: Events,
}

/// A request on its way.
struct Flight {
    request: Request,
    journey: Journey,
    headers: CallHeaders,
    /// The latest message: the request, or a node's reply to be passed on.
    message: Message,
    /// The call that runs, and the right to run it.
    running: Option<(NodeId, Ticket)>,
    calls: u32,
    item: ItemId,
    /// Its place in the mailbox, kept until it has an outcome.
    place: Option<Permit>,
}

/// The actor.
pub struct RequestRouterActor {
    parts: Parts,
    address: ActorRef<Self>,
    endpoints: Vec<Endpoint>,
    flights: HashMap<u64, Flight>,
    /// Counts on over lives, so that a late result of an earlier life meets no request.
    next_flight: u64,
    /// Requests whose outcome the producer had no place for.
    finished: VecDeque<Finished>,
    planned: bool,
}

impl RequestRouterActor {
    /// A router with no request.
    pub fn new(parts: Parts, address: ActorRef<Self>) -> Self {
        let endpoints = parts.nodes.iter().map(Endpoint::new).collect();
        Self {
            parts,
            address,
            endpoints,
            flights: HashMap::new(),
            next_flight: 0,
            finished: VecDeque::new(),
            planned: false,
        }
    }

    fn now(&self) -> Duration {
        self.parts.began.elapsed()
    }

    /// Tells the journey what happened and carries out what it decides. `failure` is what a failed call said.
    fn step(&mut self, id: u64, event: Event<'_>, failure: Option<(NodeId, &CallError)>, ctx: &mut Ctx<'_, Self>) {
        let now = self.now();
        let Some(flight) = self.flights.get_mut(&id) else { return };
        match flight.journey.step(event, now, fastrand::f64(), &self.parts.rules) {
            Command::Nothing => {}
            Command::Call(node) => self.wait(id, node, ctx),
            Command::CallAfter(node, wait) => {
                let attempt = flight.journey.failed_attempts() + 1;
                if let Some((_, error)) = failure {
                    self.parts.events.retry(&self.endpoints[node.index()].parts.metrics, attempt, wait, error);
                }
                ctx.later(wait, move |router, ctx| router.wait(id, node, ctx));
            }
            Command::Answer => self.answer(id, ctx),
            Command::Fail(why) => {
                if let Some((node, error)) = failure {
                    self.dead_letter(id, node, error, why, ctx);
                }
            }
        }
    }

    /// A request waits for a call to a node.
    fn wait(&mut self, id: u64, node: NodeId, ctx: &mut Ctx<'_, Self>) {
        let now = self.now();
        if let Some(flight) = self.flights.get_mut(&id) {
            // Nothing is paid for waiting.
            flight.journey.waits(now);
            self.endpoints[node.index()].wait(id);
        }
        self.serve(node, ctx);
    }

    /// Starts the calls that wait for a node, as far as it admits them, in turn.
    fn serve(&mut self, node: NodeId, ctx: &mut Ctx<'_, Self>) {
        let now = self.now();
        while let Some(id) = self.endpoints[node.index()].first() {
            let endpoint = &mut self.endpoints[node.index()];
            let Some(flight) = self.flights.get_mut(&id).filter(|flight| flight.request.guard.is_current()) else {
                endpoint.leave();
                self.forget(id);
                continue;
            };
            if !endpoint.availability.admits() {
                return;
            }
            let Some((client, place)) = endpoint.client() else { return self.plan(ctx) };
            let Some(ticket) = endpoint.availability.start(now) else { return };
            endpoint.leave();
            ctx.at_hand(flight.item);
            let call = flight.call(id, node, ticket, endpoint.parts.timeout, &self.address);
            flight.journey.step(Event::Started, now, 0.0, &self.parts.rules);
            // A client that is gone drops the call, whose guard says so.
            drop(client.send_with(place, call));
        }
    }

    fn called(&mut self, called: Called, ctx: &mut Ctx<'_, Self>) {
        let CallId { flight: id, call } = called.id;
        let Some(flight) = self.flights.get_mut(&id).filter(|flight| flight.calls == call) else {
            self.parts.events.late_results_dropped.inc();
            return;
        };
        ctx.at_hand(flight.item);
        let Some((node, ticket)) = flight.running.take() else { return };
        let current = flight.request.guard.is_current();
        let (now, endpoint) = (self.parts.began.elapsed(), &mut self.endpoints[node.index()]);
        match called.result {
            None => {
                endpoint.dropped(ticket, now);
                self.step(id, Event::Lost, None, ctx);
            }
            Some(Ok(reply)) => {
                endpoint.answered(ticket, now);
                if current { self.replied(id, node, reply, ctx) } else { self.forget(id) }
            }
            Some(Err(error)) => {
                let step = endpoint.failed(ticket, &error, now);
                let verdict = step.verdict.unwrap_or(Verdict::Costs);
                self.follow(node, step, Some(&error), ctx);
                self.step(id, Event::Failed(&error, verdict), Some((node, &error)), ctx);
            }
        }
        self.serve(node, ctx);
    }

    fn replied(&mut self, id: u64, node: NodeId, reply: Reply, ctx: &mut Ctx<'_, Self>) {
        let Some(flight) = self.flights.get_mut(&id) else { return };
        flight.message = reply.message;
        if !self.parts.rules.plan.node(node).children.is_empty() {
            match codec::chain(self.parts.protocol, &flight.message.body) {
                Ok(body) => flight.message.body = body,
                Err(error) => return self.unchainable(id, node, &error, ctx),
            }
        }
        self.step(id, Event::Replied, None, ctx);
    }

    /// Does what an endpoint's machine has decided.
    fn follow(&mut self, node: NodeId, step: Step, error: Option<&CallError>, ctx: &mut Ctx<'_, Self>) {
        let metrics = &self.endpoints[node.index()].parts.metrics;
        match step.change {
            Some(Change::WentDown(_)) => {
                let why: &dyn std::fmt::Display = error.map_or(&"not ready", |error| error);
                self.endpoints[node.index()].parts.seen.unwell(why);
                self.parts.events.endpoint_down(metrics, why);
            }
            Some(Change::CameUp { after }) => self.parts.events.endpoint_up(metrics, Some(after)),
            None => {}
        }
        if let Some(wait) = step.probe_in {
            ctx.later(wait, move |router, ctx| router.probe(node, ctx));
        }
    }

    fn probe(&mut self, node: NodeId, ctx: &mut Ctx<'_, Self>) {
        let client = self.endpoints[node.index()].parts.pool.pick();
        if client.is_none_or(|client| client.tell(Probe).is_err()) {
            ctx.later(PAUSE, move |router, ctx| router.probe(node, ctx));
        }
    }

    fn probe_unless_seen(&mut self, node: NodeId, ctx: &mut Ctx<'_, Self>) {
        if self.endpoints[node.index()].parts.seen.state().is_err() {
            self.probe(node, ctx);
        }
    }

    /// Tries again soon what nobody could take.
    fn plan(&mut self, ctx: &mut Ctx<'_, Self>) {
        if !std::mem::replace(&mut self.planned, true) {
            ctx.later(PAUSE, |router, ctx| {
                router.planned = false;
                router.hand_over(ctx);
                for node in router.parts.nodes.iter().map(|node| node.id).collect::<Vec<_>>() {
                    router.serve(node, ctx);
                }
            });
        }
    }

    /// A request whose owner's life is over: whatever comes of it is late.
    fn forget(&mut self, id: u64) {
        if let Some(flight) = self.flights.remove(&id) {
            self.parts.events.late_results_dropped.inc();
            flight.request.guard.disarm();
        }
    }
}

impl Flight {
    /// The call that is due now.
    fn call(
        &mut self,
        id: u64,
        node: NodeId,
        ticket: Ticket,
        timeout: Duration,
        router: &ActorRef<RequestRouterActor>,
    ) -> Call {
        self.calls += 1;
        self.running = Some((node, ticket));
        let (kind, headers, message) = (CallKind::Predict, self.headers.clone(), self.message.clone());
        let guard = CallGuard::new(CallId { flight: id, call: self.calls }, router.clone());
        Call { guard, item: self.item, request: CallRequest { kind, message, headers, timeout } }
    }
}

impl Actor for RequestRouterActor {
    fn started(&mut self, ctx: &mut Ctx<'_, Self>) {
        for node in 0..self.parts.nodes.len() {
            self.probe_unless_seen(self.parts.nodes[node].id, ctx);
        }
    }

    fn restarting(&mut self, why: &Ended) {
        let panic: Arc<str> = why.exit.to_string().into();
        self.endpoints = self.parts.nodes.iter().map(Endpoint::new).collect();
        self.planned = false;
        for (_, flight) in std::mem::take(&mut self.flights) {
            if why.at_hand == Some(flight.item) {
                flight.request.guard.suspect(panic.clone());
            }
        }
        self.finished.clear();
    }

    fn observe(&self) -> serde_json::Value {
        serde_json::json!({
            "requests": self.flights.len(),
            "waiting_for_producer": self.finished.len(),
            "endpoints": self.endpoints.iter().map(Endpoint::observe).collect::<Vec<_>>(),
        })
    }
}

impl Receive<Request> for RequestRouterActor {
    fn receive(&mut self, request: Request, ctx: &mut Ctx<'_, Self>) {
        let item = item(&request.record);
        ctx.at_hand(item);
        let puid = std::str::from_utf8(&request.puid).unwrap_or_default();
        let (headers, left_out) = call_headers(&request.record.headers, puid);
        if left_out + request.record.unreadable_headers > 0 {
            self.parts.events.headers_left_out(&request.record, left_out);
        }
        let flight = Flight {
            journey: Journey::new(&self.parts.rules),
            headers,
            message: Message::json(request.body.clone()),
            running: None,
            calls: 0,
            item,
            place: ctx.take_permit(),
            request,
        };
        let id = self.next_flight;
        self.next_flight += 1;
        self.flights.insert(id, flight);
        self.step(id, Event::Begin, None, ctx);
    }
}

impl Receive<Called> for RequestRouterActor {
    fn receive(&mut self, called: Called, ctx: &mut Ctx<'_, Self>) {
        self.called(called, ctx);
    }
}

impl Receive<Probed> for RequestRouterActor {
    fn receive(&mut self, probed: Probed, ctx: &mut Ctx<'_, Self>) {
        let now = self.now();
        let endpoint = &mut self.endpoints[probed.node.index()];
        let step = endpoint.probed(&probed.result, now);
        let is_down = endpoint.availability.down().is_some();
        if probed.result.is_err() && !is_down {
            // Not known to be down, so calls go there; readiness waits for its word.
            ctx.later(READINESS, move |router, ctx| router.probe_unless_seen(probed.node, ctx));
        }
        self.follow(probed.node, step, probed.result.as_ref().err(), ctx);
        self.serve(probed.node, ctx);
    }
}

impl Receive<Suspect> for RequestRouterActor {
    fn receive(&mut self, suspect: Suspect, ctx: &mut Ctx<'_, Self>) {
        let found = self.flights.iter().find(|(_, flight)| flight.item == suspect.item).map(|(id, _)| *id);
        if let Some(mut flight) = found.and_then(|id| self.flights.remove(&id)) {
            if let Some((node, ticket)) = flight.running.take() {
                let now = self.now();
                self.endpoints[node.index()].dropped(ticket, now);
                self.serve(node, ctx);
            }
            flight.request.guard.suspect(suspect.panic);
        }
    }
}
