//! What an operator can see: every live actor as JSON, even if one of them is stuck.
//!
//! State, mailbox and restarts come from atomics; only an actor's own view is asked of it, within a time limit.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, OnceLock, Weak},
    time::Duration,
};

use futures_util::future::join_all;
use prometheus::Registry;
use serde::Serialize;
use serde_json::Value;
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

use crate::{
    metrics::{Metrics, Series},
    status::{Control, RestartCounts, State, Status, lock},
    supervisor_ref::{Desk, SupervisorRef},
    tree::SUPERVISOR,
};

/// Knows all live actors and supervisors by name.
#[derive(Clone, Default)]
pub struct Observer {
    directory: Arc<Directory>,
}

#[derive(Default)]
pub(crate) struct Directory {
    entries: Mutex<BTreeMap<String, Entry>>,
    desks: Mutex<HashMap<String, Desk>>,
    metrics: OnceLock<Metrics>,
}

struct Entry {
    status: Arc<Status>,
    series: Option<Series>,
}

/// One actor as an operator sees it.
#[derive(Clone, Debug, Serialize)]
pub struct ActorReport {
    /// Unique among live actors.
    pub name: String,
    /// The type of the actor, or `supervisor`.
    pub kind: &'static str,
    /// Who supervises it; none for the root.
    pub supervisor: Option<String>,
    /// Where it lives.
    pub arbiter: String,
    /// Where it is in its life.
    pub state: State,
    /// Lives begun.
    pub generation: u64,
    /// Restarts so far.
    pub restarts: RestartCounts,
    /// Places in use and in all.
    pub mailbox: Mailbox,
    /// Futures and timers of the present life.
    pub tasks: usize,
    /// Since something was finished or marked.
    pub last_progress_seconds: f64,
    /// Smoothed share of time in which it did not wait.
    pub busy_ratio: f64,
    /// The actor's own view; null if it did not answer in time.
    pub observed: Value,
}

/// The state of a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Mailbox {
    /// Places in use.
    pub depth: usize,
    /// Places in all.
    pub limit: usize,
}

/// One actor found by name.
#[derive(Clone)]
pub struct Found {
    status: Arc<Status>,
}

impl Found {
    /// Makes the actor panic at its next turn, with nothing at hand.
    pub fn crash(&self, text: impl Into<String>) {
        self.status.control.send(Control::Crash(text.into())).ok();
    }

    /// Where it is in its life.
    pub fn state(&self) -> State {
        self.status.state()
    }

    /// Lives begun.
    pub fn generation(&self) -> u64 {
        self.status.generation.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl Observer {
    /// All live actors. Each is given until `timeout` to say what it sees itself.
    pub fn snapshot(&self, timeout: Duration) -> impl Future<Output = Vec<ActorReport>> + Send + use<> {
        let deadline = Instant::now() + timeout;
        let all = self.statuses();
        join_all(all.into_iter().map(move |status| async move {
            let observed = ask(&status, deadline).await.unwrap_or(Value::Null);
            report(&status, observed)
        }))
    }

    /// The names of all live actors and supervisors.
    pub fn names(&self) -> Vec<String> {
        lock(&self.directory.entries).keys().cloned().collect()
    }

    /// A live actor by name.
    pub fn find(&self, name: &str) -> Option<Found> {
        lock(&self.directory.entries).get(name).map(|entry| Found { status: Arc::clone(&entry.status) })
    }

    /// A supervisor by name, whether or not it has started: what is asked of it until then waits.
    pub fn supervisor(&self, name: &str) -> SupervisorRef {
        SupervisorRef { name: name.into(), desk: self.desk(name) }
    }

    pub(crate) fn register_metrics(&self, registry: &Registry, prefix: &str) -> Result<(), prometheus::Error> {
        let metrics = Metrics::register(registry, prefix, Arc::downgrade(&self.directory))?;
        // Whoever registers twice has two registries; the first one goes on.
        self.directory.metrics.set(metrics).map_err(|_| prometheus::Error::AlreadyReg)
    }

    pub(crate) fn desk(&self, name: &str) -> Desk {
        lock(&self.directory.desks).entry(name.to_owned()).or_default().clone()
    }

    pub(crate) fn knows(&self, name: &str) -> bool {
        lock(&self.directory.entries).contains_key(name)
    }

    pub(crate) fn statuses(&self) -> Vec<Arc<Status>> {
        lock(&self.directory.entries).values().map(|entry| Arc::clone(&entry.status)).collect()
    }

    pub(crate) fn enter(&self, status: &Arc<Status>) {
        let mut entries = lock(&self.directory.entries);
        if entries.get(&status.name).is_some_and(|entry| Arc::ptr_eq(&entry.status, status)) {
            return;
        }
        let series = self.directory.metrics.get().map(|metrics| metrics.series(status));
        entries.insert(status.name.clone(), Entry { status: Arc::clone(status), series });
    }

    pub(crate) fn leave(&self, status: &Arc<Status>) {
        let mut entries = lock(&self.directory.entries);
        if entries.get(&status.name).is_some_and(|entry| Arc::ptr_eq(&entry.status, status))
            && let Some(Entry { series: Some(mut series), .. }) = entries.remove(&status.name)
        {
            // Names come back, so the series stay; this one only shows that it is down.
            series.refresh(status);
        }
    }
}

impl Directory {
    pub(crate) fn refresh_metrics(directory: &Weak<Self>) {
        let Some(directory) = directory.upgrade() else { return };
        for entry in lock(&directory.entries).values_mut() {
            if let Some(series) = &mut entry.series {
                series.refresh(&entry.status);
            }
        }
    }
}

async fn ask(status: &Status, deadline: Instant) -> Option<Value> {
    // A supervisor has no view of its own; others would not answer before they live again.
    if status.kind == SUPERVISOR || !matches!(status.state(), State::Running | State::Draining | State::Wedged) {
        return None;
    }
    let (reply, answer) = oneshot::channel();
    status.control.send(Control::Observe(reply)).ok()?;
    timeout_at(deadline, answer).await.ok()?.ok()
}

fn report(status: &Status, observed: Value) -> ActorReport {
    use std::sync::atomic::Ordering::Relaxed;
    ActorReport {
        name: status.name.clone(),
        kind: status.kind,
        supervisor: Some(status.supervisor()).filter(|name| !name.is_empty()),
        arbiter: status.arbiter(),
        state: status.state(),
        generation: status.generation.load(Relaxed),
        restarts: status.restarts(),
        mailbox: Mailbox { depth: status.gate.used(), limit: status.gate.limit() },
        tasks: status.in_flight.load(Relaxed),
        last_progress_seconds: status.progress_age().as_secs_f64(),
        busy_ratio: status.busy_ratio(),
        observed,
    }
}
