//! RequestRouterActor: takes each request through the graph, one call after the other, and hands its outcome on.
//!
//! What is decided per request is in `journey`, what is decided per endpoint in `model::availability`; this actor carries it
//! out. It owns nothing that cannot be had again: what it holds when it dies goes back to the owners through the guards.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millrace_actors::{Actor, ActorRef, Ctx, Failure as Ended, Full, ItemId, Permit, Pool, Receive};
use tokio::time::Instant;

use super::endpoint::{Endpoint, NodeParts};
use super::journey::{Command, Event, Journey, Rules};
use super::messages::{Finished, Request, item};
use super::model_client::{Call, CallGuard, CallId, Called, Probe, Probed, Suspect};
use super::producer::ProducerActor;
use crate::config::settings::Protocol;
use crate::events::Events;
use crate::graph::NodeId;
use crate::kafka::dead_letter::Keep;
use crate::kafka::outcome::Outcome;
use crate::model::availability::{Ticket, Verdict};
use crate::model::error::CallError;
use crate::model::headers::{CallHeaders, call_headers};
use crate::model::rest::{CallRequest, Reply};

mod outcome;

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
    body: Bytes,
    content_type: Option<awc::http::header::HeaderValue>,
    /// The call that runs, and the right to run it.
    running: Option<(NodeId, Ticket)>,
    calls: u32,
    item: ItemId,
    /// Its place in the mailbox, kept until it has an outcome.
    _place: Option<Permit>,
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

    fn step(&mut self, id: u64, event: Event<'_>, ctx: &mut Ctx<'_, Self>) {
        let now = self.now();
        let Some(flight) = self.flights.get_mut(&id) else { return };
        match flight.journey.step(event, now, fastrand::f64(), &self.parts.rules) {
            Command::Nothing => {}
            Command::Call(node) => {
                self.endpoints[node.index()].wait(id);
                self.serve(node, ctx);
            }
            Command::CallAfter(node, wait) => {
                let attempt = flight.journey.failed_attempts() + 1;
                self.parts.events.retry(&self.endpoints[node.index()].parts.metrics, attempt, wait, &"");
                ctx.later(wait, move |router, ctx| {
                    if router.flights.contains_key(&id) {
                        router.endpoints[node.index()].wait(id);
                        router.serve(node, ctx);
                    }
                });
            }
            Command::Answer => self.answer(id, ctx),
            // Failures are seen where the error is at hand.
            Command::Fail(_) => {}
        }
    }

    /// Starts the calls that wait for a node, as far as it admits them, in turn.
    fn serve(&mut self, node: NodeId, ctx: &mut Ctx<'_, Self>) {
        let now = self.now();
        while let Some(id) = self.endpoints[node.index()].next() {
            let Some(flight) = self.flights.get_mut(&id) else {
                self.endpoints[node.index()].leave();
                continue;
            };
            flight.journey.waits(now);
            if !flight.request.guard.is_current() {
                self.endpoints[node.index()].leave();
                self.forget(id);
                continue;
            }
            let endpoint = &mut self.endpoints[node.index()];
            if !endpoint.availability.admits() {
                return;
            }
            let place = endpoint.parts.pool.pick().map(|client| (client.clone(), client.try_reserve()));
            let Some((client, Ok(place))) = place else { return self.plan(ctx) };
            let Some(ticket) = endpoint.availability.start(now) else { return };
            endpoint.leave();
            ctx.at_hand(flight.item);
            flight.calls += 1;
            flight.running = Some((node, ticket));
            let id = CallId { flight: id, call: flight.calls };
            let headers = match &flight.content_type {
                Some(content_type) => flight.headers.with_content_type(content_type.clone()),
                None => flight.headers.clone(),
            };
            let request = CallRequest { body: flight.body.clone(), headers, timeout: endpoint.parts.timeout };
            let guard = CallGuard::new(id, self.address.clone());
            flight.journey.step(Event::Started, now, 0.0, &self.parts.rules);
            // A client that is gone drops the call, whose guard says so.
            drop(client.send_with(place, Call { guard, item: flight.item, request }));
        }
    }

    fn called(&mut self, called: Called, ctx: &mut Ctx<'_, Self>) {
        let id = called.id.flight;
        let Some(flight) = self.flights.get_mut(&id).filter(|flight| flight.calls == called.id.call) else {
            self.parts.events.late_results_dropped.inc();
            return;
        };
        ctx.at_hand(flight.item);
        let Some((node, ticket)) = flight.running.take() else { return };
        if !flight.request.guard.is_current() {
            self.dropped(node, ticket, ctx);
            self.forget(id);
            return self.serve(node, ctx);
        }
        match called.result {
            None => {
                self.dropped(node, ticket, ctx);
                self.step(id, Event::Lost, ctx);
            }
            Some(Ok(reply)) => {
                let now = self.now();
                self.endpoints[node.index()].answered(ticket, now);
                self.replied(id, node, reply, ctx);
            }
            Some(Err(error)) => self.failed(id, node, ticket, &error, ctx),
        }
        self.serve(node, ctx);
    }

    fn replied(&mut self, id: u64, node: NodeId, reply: Reply, ctx: &mut Ctx<'_, Self>) {
        let Some(flight) = self.flights.get_mut(&id) else { return };
        flight.body = reply.body;
        flight.content_type = reply.content_type;
        let is_last = self.parts.rules.plan.node(node).children.is_empty();
        if !is_last {
            match crate::codec::chain(self.parts.protocol, &flight.body) {
                Ok(body) => flight.body = body,
                Err(error) => return self.unchainable(id, node, &error, ctx),
            }
        }
        self.step(id, Event::Replied, ctx);
    }

    fn failed(&mut self, id: u64, node: NodeId, ticket: Ticket, error: &CallError, ctx: &mut Ctx<'_, Self>) {
        let (now, random) = (self.now(), fastrand::f64());
        let endpoint = &mut self.endpoints[node.index()];
        let step = endpoint.failed(ticket, error, now, random);
        self.follow(node, step, error, ctx);
        let verdict = step.verdict.unwrap_or(Verdict::Costs);
        let Some(flight) = self.flights.get_mut(&id) else { return };
        match flight.journey.step(Event::Failed(error, verdict), now, random, &self.parts.rules) {
            Command::Fail(why) => self.dead_letter(id, node, error, why, ctx),
            Command::Call(node) => {
                self.endpoints[node.index()].wait(id);
                self.serve(node, ctx);
            }
            Command::CallAfter(node, wait) => self.call_after(id, node, wait, error, ctx),
            Command::Answer | Command::Nothing => {}
        }
    }
}
