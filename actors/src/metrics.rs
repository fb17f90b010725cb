//! The numbers of all actors on a registry that is passed in.
//!
//! Actors write atomics; the numbers are read off them when the registry is gathered, so no actor ever looks up a label.

use std::{
    collections::HashMap,
    sync::{Weak, atomic::Ordering::Relaxed},
    time::Duration,
};

use prometheus::{
    Counter, CounterVec, Gauge, GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use crate::{
    observe::Directory,
    status::{State, Status},
    tree::SUPERVISOR,
};

/// The label of [`crate::Exit::Panicked`].
const PANICKED: &str = "panicked";

#[derive(Clone)]
pub(crate) struct Metrics {
    up: IntGaugeVec,
    generation: IntGaugeVec,
    restarts: IntCounterVec,
    panics: IntCounterVec,
    backoff: GaugeVec,
    depth: IntGaugeVec,
    limit: IntGaugeVec,
    backpressure: CounterVec,
    messages: IntCounterVec,
    busy: GaugeVec,
    progress_age: GaugeVec,
}

impl Metrics {
    pub(crate) fn register(
        registry: &Registry,
        prefix: &str,
        directory: Weak<Directory>,
    ) -> Result<Self, prometheus::Error> {
        let opts = |name: &str, help: &str| Opts::new(format!("{prefix}{name}"), help);
        let actor = &["actor"];
        let metrics = Self {
            up: IntGaugeVec::new(opts("actor_up", "1 while the actor is up, 0 while it is not."), actor)?,
            generation: IntGaugeVec::new(opts("actor_generation", "Lives the actor has begun."), actor)?,
            restarts: IntCounterVec::new(
                opts("actor_restarts_total", "Restarts of the actor, by the reason its last life ended."),
                &["actor", "reason"],
            )?,
            panics: IntCounterVec::new(opts("actor_panics_total", "Lives of the actor that ended in a panic."), actor)?,
            backoff: GaugeVec::new(
                opts("actor_backoff_seconds", "The back-off the actor is in; 0 while it is in none."),
                actor,
            )?,
            depth: IntGaugeVec::new(opts("mailbox_depth", "Places of the actor's mailbox in use."), actor)?,
            limit: IntGaugeVec::new(opts("mailbox_limit", "Places of the actor's mailbox."), actor)?,
            backpressure: CounterVec::new(
                opts("backpressure_seconds_total", "Time senders have waited for a place in the actor's mailbox."),
                actor,
            )?,
            messages: IntCounterVec::new(opts("messages_total", "Messages the actor has received."), actor)?,
            busy: GaugeVec::new(opts("busy_ratio", "Smoothed share of time in which the actor did not wait."), actor)?,
            progress_age: GaugeVec::new(
                opts("last_progress_age_seconds", "Time since the actor last finished something."),
                actor,
            )?,
        };
        registry.register(Box::new(Gatherer { metrics: metrics.clone(), directory }))?;
        Ok(metrics)
    }

    fn all(&self) -> [&dyn Collector; 11] {
        [
            &self.up,
            &self.generation,
            &self.restarts,
            &self.panics,
            &self.backoff,
            &self.depth,
            &self.limit,
            &self.backpressure,
            &self.messages,
            &self.busy,
            &self.progress_age,
        ]
    }

    /// The series of one actor. What its name has counted before goes on.
    pub(crate) fn series(&self, status: &Status) -> Series {
        let name = &[status.name.as_str()];
        // There from the start, so that the first panic is seen as an increase.
        self.restarts.with_label_values(&[status.name.as_str(), PANICKED]).inc_by(0);
        // A supervisor has no mailbox and does not work.
        let work = (status.kind != SUPERVISOR).then(|| WorkSeries {
            depth: self.depth.with_label_values(name),
            limit: self.limit.with_label_values(name),
            backpressure: self.backpressure.with_label_values(name),
            messages: self.messages.with_label_values(name),
            busy: self.busy.with_label_values(name),
            progress_age: self.progress_age.with_label_values(name),
            seen_waited: Duration::ZERO,
            seen_messages: 0,
        });
        Series {
            up: self.up.with_label_values(name),
            generation: self.generation.with_label_values(name),
            restarts: self.restarts.clone(),
            panics: self.panics.with_label_values(name),
            backoff: self.backoff.with_label_values(name),
            seen_restarts: HashMap::new(),
            seen_panics: 0,
            work,
        }
    }
}

/// One actor's handles, bound once, and what was already counted.
pub(crate) struct Series {
    up: IntGauge,
    generation: IntGauge,
    restarts: IntCounterVec,
    panics: IntCounter,
    backoff: Gauge,
    seen_restarts: HashMap<&'static str, u64>,
    seen_panics: u64,
    work: Option<WorkSeries>,
}

struct WorkSeries {
    depth: IntGauge,
    limit: IntGauge,
    backpressure: Counter,
    messages: IntCounter,
    busy: Gauge,
    progress_age: Gauge,
    seen_waited: Duration,
    seen_messages: u64,
}

impl Series {
    pub(crate) fn refresh(&mut self, status: &Status) {
        self.up.set(i64::from(matches!(status.own_state(), State::Running | State::Draining)));
        self.generation.set(status.generation.load(Relaxed) as i64);
        self.backoff.set(status.backoff().as_secs_f64());
        let restarts = status.restarts();
        self.panics.inc_by(restarts.panics - std::mem::replace(&mut self.seen_panics, restarts.panics));
        for (reason, count) in restarts.by_reason {
            let seen = self.seen_restarts.insert(reason, count).unwrap_or(0);
            // Rare enough for a look-up.
            self.restarts.with_label_values(&[status.name.as_str(), reason]).inc_by(count - seen);
        }
        if let Some(work) = &mut self.work {
            work.refresh(status);
        }
    }
}

impl WorkSeries {
    fn refresh(&mut self, status: &Status) {
        self.depth.set(status.gate.used() as i64);
        self.limit.set(status.gate.limit() as i64);
        self.busy.set(status.busy_ratio());
        self.progress_age.set(status.progress_age().as_secs_f64());
        let messages = status.messages.load(Relaxed);
        self.messages.inc_by(messages.saturating_sub(std::mem::replace(&mut self.seen_messages, messages)));
        let waited = status.gate.waited();
        let more = waited.saturating_sub(std::mem::replace(&mut self.seen_waited, waited));
        self.backpressure.inc_by(more.as_secs_f64());
    }
}

struct Gatherer {
    metrics: Metrics,
    directory: Weak<Directory>,
}

impl Collector for Gatherer {
    fn desc(&self) -> Vec<&Desc> {
        self.metrics.all().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        Directory::refresh_metrics(&self.directory);
        self.metrics.all().into_iter().flat_map(Collector::collect).collect()
    }
}
