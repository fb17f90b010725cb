//! RequestRouterActor: takes each request through the graph, call by call, and hands its outcome on.
//!
//! What is decided per request is in `journey`, what is decided per endpoint in `model::availability`; this actor carries it
//! out. It owns nothing that cannot be had again: what it holds when it dies goes back to the owners through the guards.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use millrace_actors::{Actor, ActorRef, Ctx, Failure as Ended, Receive};
use tokio::time::Instant;

use self::flight::{Flight, Owner, Right};
use self::flights::Flights;
use super::blame::Blame;
use super::endpoint::{Endpoint, EndpointParts, Failed};
use super::game_day::{self, GameDay, Kind, Manner};
use super::journey::{Command, Event, Journey, Rules, Target};
use super::messages::{Finished, Request, item};
use super::model_client::{Called, End, Probed};
use super::producer::ProducerActor;
use crate::config::settings::Transport;
use crate::events::Events;
use crate::graph::NodeId;
use crate::kafka::suspects::Loss;
use crate::model::availability::Ticket;
use crate::model::batch;
use crate::model::error::CallError;
use crate::model::headers::call_headers;

mod calls;
mod flight;
mod flights;
mod merged;
mod outcome;
mod shadow;

/// Between questions to an endpoint that has not said that it is ready.
const READINESS: Duration = Duration::from_millis(500);
/// Before a call that nobody could take is tried again.
const PAUSE: Duration = Duration::from_millis(20);

/// What a RequestRouterActor works with.
#[derive(Clone)]
pub struct Parts {
    /// The graph and what requests go by.
    pub rules: Arc<Rules>,
    /// What nodes are called through, by [`Target`].
    pub endpoints: Vec<EndpointParts>,
    /// Writes outcomes.
    pub producer: ActorRef<ProducerActor>,
    /// Most requests that run for comparison only, at a time.
    pub shadows: usize,
    /// Whether records may ask for crashes.
    pub game_day: GameDay,
    /// Start of the time that all clients of an endpoint go by.
    pub began: Instant,
    /// Where happenings are told.
    pub events: Events,
}

/// The actor.
pub struct RequestRouterActor {
    parts: Parts,
    address: ActorRef<Self>,
    endpoints: Vec<Endpoint>,
    flights: Flights<Flight>,
    /// Calls with several requests that run, by their numbers.
    merged: HashMap<u64, merged::Running>,
    /// Of those, so far: counts on over lives, so that a late result meets no other call.
    next_merged: u64,
    /// A request that has come and is no flight yet: kept here, so that a panic meanwhile does not take it along.
    taken: Option<Request>,
    /// Flights for comparison only among them.
    shadows: usize,
    /// Requests whose outcome the producer had no place for.
    finished: VecDeque<Finished>,
    /// What a step has decided, until it is carried out. Kept for its memory.
    commands: Vec<Command>,
    planned: bool,
}

impl RequestRouterActor {
    /// A router with no request.
    pub fn new(parts: Parts, address: ActorRef<Self>) -> Self {
        let endpoints = parts.endpoints.iter().map(Endpoint::new).collect();
        Self {
            parts,
            address,
            endpoints,
            flights: Flights::default(),
            merged: HashMap::new(),
            next_merged: 0,
            taken: None,
            shadows: 0,
            finished: VecDeque::new(),
            commands: Vec::new(),
            planned: false,
        }
    }

    fn now(&self) -> Duration {
        self.parts.began.elapsed()
    }

    /// Tells the journey what happened and carries out what it decides. `failure` is what a failed call said.
    fn step(&mut self, id: u64, event: Event<'_>, failure: Option<(Target, &CallError)>, ctx: &mut Ctx<'_, Self>) {
        let now = self.now();
        let Some(flight) = self.flights.get_mut(id) else { return };
        let item = flight.item;
        // Carrying out a command may take a step of another request.
        let mut commands = std::mem::take(&mut self.commands);
        flight.journey.step(event, now, &mut fastrand::f64, &self.parts.rules, &mut commands);
        for command in commands.drain(..) {
            ctx.at_hand(item);
            self.carry_out(id, command, failure, ctx);
        }
        self.commands = commands;
    }

    fn carry_out(&mut self, id: u64, command: Command, failure: Option<(Target, &CallError)>, ctx: &mut Ctx<'_, Self>) {
        match command {
            Command::Call(node, target) => self.wait(id, node, target, ctx),
            Command::CallAfter(node, target, wait) => {
                if let Some((flight, (failed, error))) = self.flights.get(id).zip(failure) {
                    let attempt = flight.journey.failed_attempts(node);
                    self.parts.events.retry(&self.endpoints[failed.0].parts.metrics, attempt, wait, error);
                }
                ctx.later(wait, move |router, ctx| router.wait(id, node, target, ctx));
            }
            Command::Stop(node) => self.stop(id, node, ctx),
            Command::Shadow { node, child, message } => self.shadow(id, node, child, message, ctx),
            Command::Compare { node, message } => self.compare(id, node, message),
            Command::Answer(message) => self.answer(id, message, ctx),
            Command::Fail(failure) => self.dead_letter(id, failure, ctx),
        }
    }

    fn called(&mut self, called: Called, ctx: &mut Ctx<'_, Self>) {
        let id = called.id.flight;
        let Some(flight) = self.flights.get_mut(id) else {
            return self.parts.events.late_results_dropped.inc();
        };
        let Some(running) = flight.ended(called.id.call) else {
            return self.parts.events.late_results_dropped.inc();
        };
        ctx.at_hand(flight.item);
        if let Right::Own { ticket, .. } = running.right {
            self.ended(id, running.node, (running.target, ticket), called.end, ctx);
        }
    }

    /// The call of one request to a node has ended.
    fn ended(&mut self, id: u64, node: NodeId, (target, ticket): (Target, Ticket), end: End, ctx: &mut Ctx<'_, Self>) {
        let Some(flight) = self.flights.get_mut(id) else { return };
        let current = flight.is_current();
        let (now, endpoint) = (self.parts.began.elapsed(), &mut self.endpoints[target.0]);
        match end {
            End::Lost(Loss::Innocent) => {
                endpoint.dropped(ticket, now);
                self.step(id, Event::Lost(node), None, ctx);
            }
            End::Lost(loss) => {
                endpoint.dropped(ticket, now);
                self.lost(id, loss, ctx);
            }
            End::Result(Ok(reply)) => {
                endpoint.answered(ticket, now);
                flight.clear(node);
                if current {
                    self.step(id, Event::Replied(node, reply.message), None, ctx);
                } else {
                    self.forget(id, ctx);
                }
            }
            End::Result(Err(error)) => {
                let Failed { step, verdict, loss } = endpoint.failed(ticket, &error, now);
                let (suspicion, metrics) = (flight.suspicion(node), &endpoint.parts.metrics);
                let before = suspicion.strikes();
                let kills = loss.is_some_and(|(loss, alone)| suspicion.lost(loss, alone, now));
                let strikes = suspicion.strikes();
                if error.is_answer() {
                    flight.clear(node);
                }
                if endpoint.batch.is_some() && batch::failing(&error).halve {
                    flight.leave_alone(node);
                }
                if strikes > before {
                    self.parts.events.model_killed(metrics, strikes, &error);
                }
                self.follow(target, step, Some(&error), ctx);
                let event = if kills { Event::Kills(node, &error) } else { Event::Failed(node, &error, verdict) };
                self.step(id, event, Some((target, &error)), ctx);
            }
        }
        self.serve(target, ctx);
    }

    /// Looks again soon: at what nobody could take, and at how many calls each endpoint is given while some run.
    fn plan(&mut self, ctx: &mut Ctx<'_, Self>) {
        if !std::mem::replace(&mut self.planned, true) {
            ctx.later(PAUSE, |router, ctx| {
                router.planned = false;
                router.hand_over(ctx);
                let now = router.now();
                for target in 0..router.endpoints.len() {
                    let endpoint = &router.endpoints[target];
                    if let Some(limit) = endpoint.tick(now) {
                        router.parts.events.limit_changed(&endpoint.parts.metrics, limit);
                    }
                    router.serve(Target(target), ctx);
                }
                if router.endpoints.iter().any(Endpoint::is_busy) {
                    router.plan(ctx);
                }
            });
        }
    }
}

impl Actor for RequestRouterActor {
    fn started(&mut self, ctx: &mut Ctx<'_, Self>) {
        for target in 0..self.endpoints.len() {
            self.probe_unless_seen(Target(target), ctx);
        }
    }

    fn restarting(&mut self, why: &Ended) {
        self.endpoints = self.parts.endpoints.iter().map(Endpoint::new).collect();
        self.merged.clear();
        self.planned = false;
        self.shadows = 0;
        self.commands.clear();
        let (flights, finished) = (self.flights.take_all(), std::mem::take(&mut self.finished));
        let taken = self.taken.take();
        let outside = finished.iter().map(|it| &it.record).chain(taken.iter().map(|it| &it.record));
        let held = flights.iter().map(|flight| flight.item).chain(outside.map(|record| item(record)));
        let blame = Blame::new(why, held);
        for flight in flights {
            let loss = blame.loss(flight.item);
            flight.lost(loss);
        }
        let guards = finished.into_iter().map(|it| (item(&it.record), it.guard));
        for (item, guard) in guards.chain(taken.map(|it| (item(&it.record), it.guard))) {
            guard.lost(blame.loss(item));
        }
    }

    fn observe(&self) -> serde_json::Value {
        serde_json::json!({
            "requests": self.flights.len() - self.shadows,
            "shadows": self.shadows,
            "waiting_for_producer": self.finished.len(),
            "endpoints": self.endpoints.iter().map(Endpoint::observe).collect::<Vec<_>>(),
        })
    }
}

impl Receive<Request> for RequestRouterActor {
    fn receive(&mut self, request: Request, ctx: &mut Ctx<'_, Self>) {
        let item = item(&request.record);
        ctx.at_hand(item);
        let request = &*self.taken.insert(request);
        let puid = std::str::from_utf8(&request.puid).unwrap_or_default();
        let (headers, left_out) = call_headers(&request.record.headers, puid);
        let left_out = match request.message.transport() {
            Transport::Rest => left_out,
            Transport::Grpc => headers.not_metadata(),
        };
        if left_out + request.record.unreadable_headers > 0 {
            self.parts.events.headers_left_out(&request.record, left_out);
        }
        let journey = Journey::new(&self.parts.rules, &request.puid);
        let message = request.message.clone();
        let game_day = self.parts.game_day;
        let (crash, of_client) =
            (game_day.asks(&request.record, Kind::Router), game_day.asks(&request.record, Kind::Model));
        let Some(request) = self.taken.take() else { return };
        let mut flight = Flight::new(Owner::Record(request), journey, headers, item, ctx.take_permit());
        flight.crash = of_client;
        let id = self.flights.insert(flight);
        match crash {
            None => self.step(id, Event::Begin(message), None, ctx),
            Some(Manner::AtHand) => game_day::crash(Kind::Router),
            Some(Manner::Unseen) => drop(ctx.later(Duration::ZERO, |_, _| game_day::crash(Kind::Router))),
        }
    }
}

impl Receive<Called> for RequestRouterActor {
    fn receive(&mut self, called: Called, ctx: &mut Ctx<'_, Self>) {
        self.called(called, ctx);
    }
}

impl Receive<Probed> for RequestRouterActor {
    fn receive(&mut self, probed: Probed, ctx: &mut Ctx<'_, Self>) {
        self.probed(probed, ctx);
    }
}
