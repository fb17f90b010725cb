//! A node's endpoint as one router sees it: who waits for it, whether it takes calls, and who makes them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millrace_actors::{ActorRef, Permit, Pool};

use super::model_client::ModelClientActor;
use crate::events::NodeMetrics;
use crate::graph::NodeId;
use crate::model::availability::{Availability, Event, Step, Ticket};
use crate::model::error::CallError;
use crate::model::health::EndpointStats;

/// What a node is called through over one transport.
#[derive(Clone)]
pub struct EndpointParts {
    /// Name of the node, with the transport where it is the second one.
    pub name: Arc<str>,
    /// Whether requests go there unless they choose otherwise: readiness waits for it.
    pub primary: bool,
    /// Its clients on this worker.
    pub pool: Arc<Pool<ModelClientActor>>,
    /// Time for one attempt.
    pub timeout: Duration,
    /// What all clients of the endpoint know together.
    pub stats: Arc<EndpointStats>,
    /// What is counted.
    pub metrics: NodeMetrics,
    /// What readiness shows of it.
    pub seen: Arc<Seen>,
}

/// What readiness shows of an endpoint: the latest word of any worker.
#[derive(Debug, Default)]
pub struct Seen {
    ready: AtomicBool,
    trouble: Mutex<Option<String>>,
}

impl Seen {
    /// It answered, or said that it is ready.
    pub fn well(&self) {
        if !self.ready.swap(true, Relaxed) {
            *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// It is down, or not ready.
    pub fn unwell(&self, why: &dyn std::fmt::Display) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.to_string());
        self.ready.store(false, Relaxed);
    }

    /// Ready, or why not.
    pub fn state(&self) -> Result<(), String> {
        if self.ready.load(Relaxed) {
            return Ok(());
        }
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        Err(trouble.clone().unwrap_or_else(|| "has not answered yet".into()))
    }
}

/// State of one endpoint.
pub struct Endpoint {
    /// What it is called through.
    pub parts: EndpointParts,
    /// Whether it takes calls.
    pub availability: Availability,
    waiting: VecDeque<(u64, NodeId)>,
    running: usize,
}

impl Endpoint {
    /// Up, and nobody waits.
    pub fn new(parts: &EndpointParts) -> Self {
        Self { parts: parts.clone(), availability: Availability::new(), waiting: VecDeque::new(), running: 0 }
    }

    /// A request waits for a call.
    pub fn wait(&mut self, flight: u64, node: NodeId) {
        self.waiting.push_back((flight, node));
        self.parts.metrics.waiting().inc();
    }

    /// The request whose turn it is, and the node it waits for.
    pub fn first(&self) -> Option<(u64, NodeId)> {
        self.waiting.front().copied()
    }

    /// The request whose turn it was waits no longer.
    pub fn leave(&mut self) {
        if self.waiting.pop_front().is_some() {
            self.parts.metrics.waiting().dec();
        }
    }

    /// A client that can take a call, and the place for it.
    pub fn client(&mut self) -> Option<(ActorRef<ModelClientActor>, Permit)> {
        let client = self.parts.pool.pick()?;
        let place = client.try_reserve().ok()?;
        self.running += 1;
        Some((client.clone(), place))
    }

    /// A call was answered.
    pub fn answered(&mut self, ticket: Ticket, now: Duration) {
        self.parts.seen.well();
        self.ended(Event::Answered(ticket), now);
    }

    /// A call was lost before it had a result.
    pub fn dropped(&mut self, ticket: Ticket, now: Duration) {
        self.ended(Event::Dropped(ticket), now);
    }

    /// A call failed.
    pub fn failed(&mut self, ticket: Ticket, error: &CallError, now: Duration) -> Step {
        let result: Result<(), CallError> = Err(error.clone());
        self.ended(Event::ended(ticket, &result, self.parts.stats.last_answer()), now)
    }

    /// Readiness was asked for.
    pub fn probed(&mut self, result: &Result<(), CallError>, now: Duration) -> Step {
        let event = match result {
            Ok(()) => {
                self.parts.seen.well();
                Event::ProbeOk
            }
            Err(error) => {
                self.parts.seen.unwell(error);
                Event::ProbeFailed
            }
        };
        self.availability.step(event, now, fastrand::f64())
    }

    /// What an operator may see.
    pub fn observe(&self) -> serde_json::Value {
        serde_json::json!({
            "endpoint": &*self.parts.name,
            "up": self.availability.down().is_none(),
            "down_because": self.availability.down().map(|(cause, _)| format!("{cause:?}").to_lowercase()),
            "running": self.running,
            "waiting": self.waiting.len(),
            "clients": self.parts.pool.observe(),
        })
    }

    fn ended(&mut self, event: Event, now: Duration) -> Step {
        self.running = self.running.saturating_sub(1);
        self.availability.step(event, now, fastrand::f64())
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        // A router that died leaves nobody waiting.
        self.parts.metrics.waiting().sub(self.waiting.len() as i64);
    }
}
