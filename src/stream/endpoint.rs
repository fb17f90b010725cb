//! A node's endpoint as one router sees it: who waits for it, whether it takes calls, and who makes them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millrace_actors::{ActorRef, Permit, Pool};

use self::batching::{BatchParts, Batching};
use super::model_client::ModelClientActor;
use crate::config::settings::WhenUnavailable;
use crate::events::{BreakerState, NodeMetrics};
use crate::graph::NodeId;
use crate::model::availability::{Availability, Event, Step, Ticket, Verdict};
use crate::model::breaker::Breaker;
use crate::model::error::{CallError, Class};
use crate::model::health::EndpointStats;
use crate::model::shares::{End, Shares};
use crate::model::suspects::Loss;

pub mod batching;

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
    /// Number of the worker.
    pub worker: usize,
    /// What becomes of records while it is unavailable.
    pub when_unavailable: WhenUnavailable,
    /// How many calls may run, and who may call alone.
    pub shares: Arc<Shares>,
    /// How many calls fail.
    pub breaker: Arc<Breaker>,
    /// What is counted.
    pub metrics: NodeMetrics,
    /// What readiness shows of it.
    pub seen: Arc<Seen>,
    /// Calls with several records, if it gets any.
    pub batch: Option<BatchParts>,
}

/// What follows from a call that failed.
pub struct Failed {
    /// For the endpoint.
    pub step: Step,
    /// Whether it costs its record anything.
    pub verdict: Verdict,
    /// If the endpoint died under the call: how, and whether nothing else could be the reason.
    pub loss: Option<(Loss, bool)>,
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
    /// Calls with several records, if it gets any.
    pub batch: Option<Box<Batching>>,
    waiting: VecDeque<(u64, NodeId)>,
    running: usize,
    /// The only call that runs in the process is one of this router that must be alone.
    alone: bool,
    shown: BreakerState,
}

impl Endpoint {
    /// Up, and nobody waits.
    pub fn new(parts: &EndpointParts) -> Self {
        let (parts, availability, waiting) = (parts.clone(), Availability::new(), VecDeque::new());
        let batch = parts.batch.as_ref().map(|parts| Box::new(Batching::new(parts)));
        Self { parts, availability, batch, waiting, running: 0, alone: false, shown: BreakerState::Closed }
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

    /// Whether it is down and requests are not to wait for it.
    pub fn is_given_up(&self) -> bool {
        self.parts.when_unavailable != WhenUnavailable::Wait && self.availability.down().is_some()
    }

    /// Starts a call, if the endpoint admits one, there is a client for it and a share of the limit: the right to run, and
    /// the place for it. One that must be `alone` starts when nothing else runs, and nothing starts beside it.
    pub fn start(&mut self, alone: bool, now: Duration) -> Option<(Ticket, ActorRef<ModelClientActor>, Permit)> {
        let client = self.parts.pool.pick()?;
        let place = client.try_reserve().ok()?;
        let (shares, worker) = (&self.parts.shares, self.parts.worker);
        let started = if alone {
            shares.start_alone(worker)
        } else {
            self.no_longer_alone();
            shares.start(worker)
        };
        if !started {
            return None;
        }
        let Some(ticket) = self.availability.start(now) else {
            shares.ended(worker, End::Other, now, now);
            return None;
        };
        self.running += 1;
        self.alone = alone;
        Some((ticket, client.clone(), place))
    }

    /// Nobody here waits to be alone: others may call.
    pub fn no_longer_alone(&self) {
        if !self.alone {
            self.parts.shares.release(self.parts.worker);
        }
    }

    /// Requests that wait, each for itself or for a call with others.
    fn waiting(&self) -> usize {
        self.waiting.len() + self.batch.as_ref().map_or(0, |batch| batch.collector.len())
    }

    /// Calls run or wait, so that demand is to be looked at again.
    pub fn is_busy(&self) -> bool {
        self.running > 0 || self.waiting() > 0
    }

    /// Tells what waits here and looks at demand; the limit if it has changed.
    pub fn tick(&self, now: Duration) -> Option<usize> {
        let ready = self.batch.as_ref().map_or(0, |batch| batch.collector.ready());
        self.parts.shares.waits(self.parts.worker, self.waiting.len() + ready);
        self.parts.shares.tick(now)
    }

    /// A call was answered.
    pub fn answered(&mut self, ticket: Ticket, now: Duration) {
        self.answered_all(1, ticket, now);
    }

    /// A call was answered that had the requests of so many records.
    pub fn answered_all(&mut self, records: usize, ticket: Ticket, now: Duration) {
        self.parts.seen.well();
        self.parts.breaker.answered(records, now);
        let began = ticket.started();
        self.ended(Event::Answered(ticket), End::Answered, began, now);
    }

    /// A call was lost before it had a result.
    pub fn dropped(&mut self, ticket: Ticket, now: Duration) {
        let began = ticket.started();
        self.ended(Event::Dropped(ticket), End::Other, began, now);
    }

    /// A call failed.
    pub fn failed(&mut self, ticket: Ticket, error: &CallError, now: Duration) -> Failed {
        let (class, began) = (error.class(), ticket.started());
        let blamed = self.alone && ticket.is_after_probe();
        let last_answer = self.parts.stats.last_answer();
        // What is unavailable goes down at once, and what is busy is the limit's; neither needs to be counted.
        let failed = matches!(class, Class::TimedOut | Class::Retryable) && !error.is_overload();
        if failed || class == Class::Permanent {
            self.parts.breaker.ended(failed, now);
        }
        let tripped = failed && self.parts.breaker.trips(self.availability.up_since(), now);
        let end = if error.is_overload() { End::Overloaded } else { End::Other };
        let step = self.ended(Event::failed(ticket, error, last_answer, tripped), end, began, now);
        let free = step.verdict == Some(Verdict::Free);
        let loss = match error {
            CallError::Reset(_) => Some(Loss::Reset),
            _ if free && class == Class::TimedOut => Some(Loss::Hang { last_answer }),
            _ => None,
        };
        let waits = self.parts.when_unavailable == WhenUnavailable::Wait;
        let verdict = if free && waits { Verdict::Free } else { Verdict::Costs };
        Failed { step, verdict, loss: loss.map(|loss| (loss, blamed)) }
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
        let step = self.availability.step(event, now, fastrand::f64());
        self.show();
        step
    }

    /// What an operator may see.
    pub fn observe(&self) -> serde_json::Value {
        serde_json::json!({
            "endpoint": &*self.parts.name,
            "up": self.availability.down().is_none(),
            "down_because": self.availability.down().map(|(cause, _)| format!("{cause:?}").to_lowercase()),
            "breaker": self.shown.label(),
            "limit": self.parts.shares.limit(),
            "share": self.parts.shares.share(self.parts.worker),
            "alone": self.alone,
            "running": self.running,
            "waiting": self.waiting(),
            "batching": self.batch.as_ref().map(|batch| batch.observe()),
            "clients": self.parts.pool.observe(),
        })
    }

    fn ended(&mut self, event: Event, end: End, began: Duration, now: Duration) -> Step {
        self.running = self.running.saturating_sub(1);
        self.parts.shares.ended(self.parts.worker, end, began, now);
        if std::mem::take(&mut self.alone) {
            self.no_longer_alone();
        }
        let step = self.availability.step(event, now, fastrand::f64());
        self.show();
        step
    }

    fn show(&mut self) {
        let state = match self.availability.down() {
            Some(_) => BreakerState::Open,
            None if self.availability.is_tried() => BreakerState::HalfOpen,
            None => BreakerState::Closed,
        };
        if std::mem::replace(&mut self.shown, state) != state {
            self.parts.metrics.set_breaker(state);
        }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        // A router that died leaves nobody waiting.
        self.parts.metrics.waiting().sub(self.waiting() as i64);
        self.parts.shares.leave(self.parts.worker);
    }
}
