//! One request's way through the graph: which nodes are called next and with what, what a failed call costs, when it is given
//! up, what its answer is.
//!
//! Pure: `step(event, now, random, rules, commands)`. What is done in the process (a draw, a mean, a fixed answer, a change of
//! encoding) is done here; calls are commands. Times are since any one start.

mod active;
mod rules;

use std::time::Duration;

use crate::codec::{self, convert, meta};
use crate::config::settings::{Protocol, Split, Transport};
use crate::graph::plan::Branch;
use crate::graph::{Next, NodeId, Walk};
use crate::kafka::outcome::{ErrorClass, Failure};
use crate::model::availability::Verdict;
use crate::model::error::CallError;
use crate::model::retry::Decision;
use crate::record::{CallKind, Message};
use active::{Active, Carried};
pub use rules::{NodeRules, Rules, Target};

/// What happened to the request.
#[derive(Debug)]
pub enum Event<'a> {
    /// It came.
    Begin(Message),
    /// The node answered.
    Replied(NodeId, Message),
    /// The call failed. `Verdict` says whether that costs the record anything.
    Failed(NodeId, &'a CallError, Verdict),
    /// The endpoint went down once more under this call alone: no further one.
    Kills(NodeId, &'a CallError),
    /// The call was lost in an actor that died: nobody's fault.
    Lost(NodeId),
}

/// What to do.
#[derive(Debug, PartialEq)]
pub enum Command {
    /// Call this node as soon as its endpoint admits a call; [`Journey::start`] gives what to send.
    Call(NodeId, Target),
    /// The same, after this time.
    CallAfter(NodeId, Target, Duration),
    /// The call to this node, begun or waiting, is not needed any more.
    Stop(NodeId),
    /// Send the message through this child of the node too, for comparison; this request hears no more of it.
    Shadow {
        /// The node.
        node: NodeId,
        /// Its child.
        child: NodeId,
        /// What the child gets.
        message: Message,
    },
    /// The first child of this node has answered, which the others are compared with.
    Compare {
        /// The node.
        node: NodeId,
        /// The answer.
        message: Message,
    },
    /// It is answered.
    Answer(Message),
    /// Dead-letter it.
    Fail(Failure),
}

/// State of one request.
#[derive(Debug)]
pub struct Journey {
    walk: Walk<Carried>,
    /// Calls that wait or run. A handful at most, so a list.
    active: Vec<Active>,
    failures: Vec<(NodeId, Failure)>,
    /// What routers answered: their `meta` is the answer's too.
    routers: Vec<Message>,
    /// The record's encoding, which its answer has too.
    encoding: Transport,
    /// What a seeded draw goes by.
    identity: u64,
    pending: Vec<Next<Carried>>,
}

impl Journey {
    /// A request at the start of its way, with this id.
    pub fn new(rules: &Rules, id: &[u8]) -> Self {
        Self::at(rules, rules.plan.root(), id)
    }

    /// A request that goes only through this node and those below it.
    pub fn at(rules: &Rules, root: NodeId, id: &[u8]) -> Self {
        Self {
            walk: Walk::at(&rules.plan, root),
            active: Vec::new(),
            failures: Vec::new(),
            routers: Vec::new(),
            encoding: Transport::Rest,
            identity: hash(id),
            pending: Vec::new(),
        }
    }

    /// The call to a node starts now; it had waited without cost. Nothing if it is not needed any more.
    pub fn start(&mut self, node: NodeId, now: Duration) -> Option<(CallKind, Message)> {
        let active = self.active.iter_mut().find(|active| active.node == node)?;
        active.start(now);
        Some((active.kind, active.message.clone()))
    }

    /// What a node is asked in the call to it; nothing if it is not needed any more.
    pub fn asks(&self, node: NodeId) -> Option<(CallKind, &Message)> {
        self.active.iter().find(|active| active.node == node).map(|active| (active.kind, &active.message))
    }

    /// The call to a node failed with others, and is made again at no cost. False if it is not needed any more.
    pub fn again(&mut self, node: NodeId, now: Duration) -> bool {
        let active = self.active.iter_mut().find(|active| active.node == node);
        active.map(|active| active.forgive(now)).is_some()
    }

    /// The call to a node waits for an endpoint, a limit or a permit: that costs no time. False if it is not needed any more.
    pub fn waits(&mut self, node: NodeId, now: Duration) -> bool {
        let active = self.active.iter_mut().find(|active| active.node == node);
        active.is_some_and(|active| {
            active.clock.pause(now);
            true
        })
    }

    /// Attempts of the present call to a node that failed and counted.
    pub fn failed_attempts(&self, node: NodeId) -> u32 {
        self.active.iter().find(|active| active.node == node).map_or(0, |active| active.attempts.failed())
    }

    /// Node and route of every node that the request has reached.
    pub fn routes(&self) -> &[(NodeId, i32)] {
        self.walk.routes()
    }

    /// Takes an event in and says what to do, in order. `random` draws from 0 to 1.
    pub fn step(
        &mut self,
        event: Event<'_>,
        now: Duration,
        random: &mut dyn FnMut() -> f64,
        rules: &Rules,
        commands: &mut Vec<Command>,
    ) {
        match event {
            Event::Begin(message) => {
                self.encoding = message.transport();
                let carried = Carried { message, spent: Duration::ZERO, by: None };
                self.walk.begin(&rules.plan, carried, &mut self.pending);
            }
            Event::Replied(node, message) => self.replied(node, message, now, rules),
            Event::Failed(node, error, verdict) => self.failed(node, error, verdict, now, random(), rules, commands),
            Event::Kills(node, error) => {
                if let Some(active) = self.take(node) {
                    self.fail(node, active.kills(error, rules), rules);
                }
            }
            Event::Lost(node) => self.again_for_free(node, now, commands),
        }
        self.follow(random, rules, commands);
    }

    fn take(&mut self, node: NodeId) -> Option<Active> {
        let at = self.active.iter().position(|active| active.node == node)?;
        Some(self.active.swap_remove(at))
    }

    fn replied(&mut self, node: NodeId, reply: Message, now: Duration, rules: &Rules) {
        let Some(mut active) = self.take(node) else { return };
        active.clock.pause(now);
        if active.kind == CallKind::Route {
            let route = codec::route(rules.protocol, &reply).map_err(|error| error.to_string());
            self.routed(node, route, Some((&active, &reply)), rules);
            if rules.protocol == Protocol::Seldon {
                self.routers.push(reply);
            }
            return;
        }
        let message = match active.inherited(reply) {
            Ok(message) => message,
            Err(reason) => {
                let failure = active.unusable(&reason, rules);
                return self.fail(node, failure, rules);
            }
        };
        let carried = Carried { message, spent: active.clock.spent(now), by: Some(node) };
        self.walk.replied(&rules.plan, node, carried, &mut self.pending);
    }

    /// `reply` is the answer that the route was read from, if a node was asked.
    fn routed(&mut self, node: NodeId, route: Result<i32, String>, reply: Option<(&Active, &Message)>, rules: &Rules) {
        let checked = route.and_then(|route| {
            let routed = self.walk.routed(&rules.plan, node, route, &mut self.pending);
            routed.map_err(|error| error.to_string())
        });
        if let Err(reason) = checked {
            let failure = Failure {
                class: ErrorClass::BadRoute,
                message: format!("node {}: {reason}", rules.name(node)),
                node: Some(rules.plan.node(node).name.clone()),
                status: None,
                attempts: reply.map_or(0, |(active, _)| active.attempts.failed() + 1),
                body: reply.map(|(_, reply)| reply.body.clone()),
            };
            self.fail(node, failure, rules);
        }
    }

    #[allow(clippy::too_many_arguments, reason = "a step's own arguments")]
    fn failed(
        &mut self,
        node: NodeId,
        error: &CallError,
        verdict: Verdict,
        now: Duration,
        random: f64,
        rules: &Rules,
        commands: &mut Vec<Command>,
    ) {
        if verdict == Verdict::Free {
            return self.again_for_free(node, now, commands);
        }
        let Some(active) = self.active.iter_mut().find(|active| active.node == node) else { return };
        let decision = active.attempts.after_failure(active.clock.left(now), error.retry_after(), random);
        let why = match decision {
            _ if !error.is_retryable() => "a retry cannot help",
            Decision::RetryIn(wait) => return commands.push(Command::CallAfter(node, active.target, wait)),
            Decision::OutOfAttempts => "all attempts are used",
            Decision::OutOfTime => "the record's deadline has passed",
        };
        let failure = active.failure(error, why, rules);
        self.active.retain(|active| active.node != node);
        self.fail(node, failure, rules);
    }

    fn again_for_free(&mut self, node: NodeId, now: Duration, commands: &mut Vec<Command>) {
        if let Some(active) = self.active.iter_mut().find(|active| active.node == node) {
            active.forgive(now);
            commands.push(Command::Call(node, active.target));
        }
    }

    fn fail(&mut self, node: NodeId, failure: Failure, rules: &Rules) {
        self.failures.push((node, failure));
        self.walk.failed(&rules.plan, node, &mut self.pending);
    }

    /// Does what the walk asks for until only calls are left to wait for.
    fn follow(&mut self, random: &mut dyn FnMut() -> f64, rules: &Rules, commands: &mut Vec<Command>) {
        let mut at = 0;
        while at < self.pending.len() {
            // Taken in order; what follows from one comes after those that are there.
            let next = std::mem::replace(&mut self.pending[at], Next::Stop(rules.plan.root()));
            at += 1;
            match next {
                Next::Call(node, kind, carried) => self.call(node, kind, &[carried], rules, commands),
                Next::Route(node, carried) => self.call(node, CallKind::Route, &[carried], rules, commands),
                Next::Aggregate(node, all) => self.call(node, CallKind::Aggregate, &all, rules, commands),
                Next::Average(node, all) => self.average(node, &all, rules),
                Next::Fixed(node, mut carried) => {
                    carried.message = codec::simple::answer(rules.protocol, &carried.message);
                    carried.by = Some(node);
                    self.walk.replied(&rules.plan, node, carried, &mut self.pending);
                }
                Next::Draw(node) => {
                    let Branch::Draw(split) = &rules.plan.node(node).branch else { continue };
                    let place = split
                        .seed
                        .map_or_else(&mut *random, |seed| unit(seed, self.identity.wrapping_add(node.index() as u64)));
                    self.routed(node, Ok(draw(split, place)), None, rules);
                }
                Next::Told(node, carried) => {
                    let route = codec::feedback_route(&carried.message, rules.name(node));
                    self.routed(node, route.map_err(|error| error.to_string()), None, rules);
                }
                Next::Shadow(node, child, Carried { message, .. }) => {
                    commands.push(Command::Shadow { node, child, message });
                }
                Next::Compare(node, Carried { message, .. }) => commands.push(Command::Compare { node, message }),
                Next::Stop(node) => {
                    self.active.retain(|active| active.node != node);
                    commands.push(Command::Stop(node));
                }
                Next::Done(carried) => commands.push(self.answer(&carried.message, rules)),
                Next::Failed(node) => {
                    let at = self.failures.iter().position(|(failed, _)| *failed == node);
                    commands.extend(at.map(|at| Command::Fail(self.failures.swap_remove(at).1)));
                }
            }
        }
        self.pending.clear();
    }

    fn call(&mut self, node: NodeId, kind: CallKind, from: &[Carried], rules: &Rules, commands: &mut Vec<Command>) {
        match Active::new(node, kind, from, rules) {
            Ok(active) => {
                commands.push(Command::Call(node, active.target));
                self.active.push(active);
            }
            Err(failure) => self.fail(node, failure, rules),
        }
    }

    fn average(&mut self, node: NodeId, all: &[Carried], rules: &Rules) {
        let mean = active::alike(all, rules).and_then(|messages| {
            let mean = codec::average::average(rules.protocol, &messages);
            mean.map_err(|error| error.to_string())
        });
        match mean {
            Ok(message) => {
                let carried = Carried { message, spent: active::longest(all), by: Some(node) };
                self.walk.replied(&rules.plan, node, carried, &mut self.pending);
            }
            Err(reason) => {
                let failure = active::unchainable(node, &reason, rules, all.first());
                self.fail(node, failure, rules);
            }
        }
    }

    /// The answer, in the record's encoding.
    fn answer(&self, message: &Message, rules: &Rules) -> Command {
        let merged = active::inherit(message, &self.routers);
        let message = match merged
            .and_then(|merged| convert::to(rules.protocol, &merged, self.encoding).map_err(|error| error.to_string()))
        {
            Ok(message) => message,
            Err(error) => {
                let message =
                    format!("the answer cannot be given in the request's encoding, {}: {error}", self.encoding);
                return Command::Fail(Failure::of_record(ErrorClass::Unchainable, message));
            }
        };
        if !rules.inject_routing || rules.protocol != Protocol::Seldon {
            return Command::Answer(message);
        }
        let routes: Vec<(&str, i32)> =
            self.walk.routes().iter().map(|(node, route)| (rules.name(*node), *route)).collect();
        Command::Answer(meta::with_routing(&message, &routes))
    }
}

/// The child at this place, from 0 to 1, of the weights laid end to end.
fn draw(split: &Split, place: f64) -> i32 {
    let mut left = place * split.weights.iter().sum::<f64>();
    for (child, weight) in split.weights.iter().enumerate() {
        if left < *weight {
            return child as i32;
        }
        left -= weight;
    }
    // Rounding: the last one that can be drawn.
    split.weights.iter().rposition(|weight| *weight > 0.0).unwrap_or(0) as i32
}

/// A number from 0 to 1 that a seed and a request's id alone decide.
fn unit(seed: u64, identity: u64) -> f64 {
    // The finalizer of SplitMix64 (Steele, Lea, Flood 2014): every bit of the input reaches every bit of the output.
    let mut mixed = identity ^ seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (mixed ^ (mixed >> 31)) as f64 / (u64::MAX as f64 + 1.0)
}

/// FNV-1a.
fn hash(bytes: &[u8]) -> u64 {
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, mix)
}

#[cfg(test)]
mod tests;
