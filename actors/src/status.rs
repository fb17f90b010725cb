//! What others may know of an actor while it is busy, stuck or gone: atomics that outlive its lives.
//!
//! Each field has one writer (the actor's own thread) unless said otherwise, so plain stores suffice.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicBool, AtomicU8, AtomicU64, AtomicUsize,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    time::Duration,
};

use serde::Serialize;
use tokio::{
    sync::{
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
        oneshot,
    },
    time::Instant,
};

use crate::{exit::Exit, gate::Gate};

/// Where an actor is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not yet up.
    Starting,
    /// Up.
    Running,
    /// Failed, and waiting for its restart.
    BackingOff,
    /// Well, but waiting for an older sibling that failed.
    Held,
    /// Finishing what it has.
    Draining,
    /// Gone for good.
    Stopped,
    /// Up by its own account, but the watchdog sees no progress.
    Wedged,
}

const STATES: [State; 7] =
    [State::Starting, State::Running, State::BackingOff, State::Held, State::Draining, State::Stopped, State::Wedged];

/// Requests that go past the mailbox.
pub(crate) enum Control {
    Observe(oneshot::Sender<serde_json::Value>),
    Crash(String),
}

/// How often an actor was restarted, and why.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RestartCounts {
    /// In all.
    pub count: u64,
    /// By [`Exit::reason`].
    pub by_reason: BTreeMap<&'static str, u64>,
    /// The last reason in words.
    pub last: Option<String>,
    /// Lives that ended in a panic, restarted or not.
    #[serde(skip)]
    pub panics: u64,
}

pub(crate) struct Status {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) gate: Arc<Gate>,
    pub(crate) control: UnboundedSender<Control>,
    /// Waits here while no life uses it.
    pub(crate) inbox: Mutex<Option<UnboundedReceiver<Control>>>,
    state: AtomicU8,
    /// Written by the watchdog.
    pub(crate) wedged: AtomicBool,
    pub(crate) generation: AtomicU64,
    /// Odd while the actor is being polled.
    pub(crate) turn: AtomicU64,
    pub(crate) messages: AtomicU64,
    /// Messages and tasks that were finished.
    pub(crate) work: AtomicU64,
    pub(crate) in_flight: AtomicUsize,
    /// Written by whoever holds a [`crate::Progress`].
    pub(crate) touches: AtomicU64,
    pub(crate) protected: AtomicUsize,
    last_progress: AtomicU64,
    busy_share: AtomicU64,
    left_at: AtomicU64,
    backoff: AtomicU64,
    arbiter: Mutex<String>,
    supervisor: Mutex<String>,
    restarts: Mutex<RestartCounts>,
    born: Instant,
}

impl Status {
    pub(crate) fn new(name: String, kind: &'static str, limit: usize) -> Arc<Self> {
        let (control, inbox) = unbounded_channel();
        Arc::new(Self {
            name,
            kind,
            gate: Gate::new(limit),
            control,
            inbox: Mutex::new(Some(inbox)),
            state: AtomicU8::new(State::Starting as u8),
            wedged: AtomicBool::new(false),
            generation: AtomicU64::new(0),
            turn: AtomicU64::new(0),
            messages: AtomicU64::new(0),
            work: AtomicU64::new(0),
            in_flight: AtomicUsize::new(0),
            touches: AtomicU64::new(0),
            protected: AtomicUsize::new(0),
            last_progress: AtomicU64::new(0),
            busy_share: AtomicU64::new(0),
            left_at: AtomicU64::new(0),
            backoff: AtomicU64::new(0),
            arbiter: Mutex::default(),
            supervisor: Mutex::default(),
            restarts: Mutex::default(),
            born: Instant::now(),
        })
    }

    pub(crate) fn state(&self) -> State {
        let state = self.own_state();
        let up = matches!(state, State::Running | State::Draining);
        if up && self.wedged.load(Relaxed) { State::Wedged } else { state }
    }

    /// The state without the watchdog's opinion.
    pub(crate) fn own_state(&self) -> State {
        STATES[usize::from(self.state.load(Acquire))]
    }

    pub(crate) fn set_state(&self, state: State) {
        self.state.store(state as u8, Release);
        if state != State::BackingOff {
            self.backoff.store(0, Relaxed);
        }
    }

    pub(crate) fn set_backing_off(&self, after: Duration) {
        self.set_state(State::BackingOff);
        self.backoff.store(nanos(after), Relaxed);
    }

    pub(crate) fn backoff(&self) -> Duration {
        Duration::from_nanos(self.backoff.load(Relaxed))
    }

    pub(crate) fn is_available(&self) -> bool {
        matches!(self.state(), State::Starting | State::Running)
    }

    pub(crate) fn is_being_polled(&self) -> bool {
        self.turn.load(Acquire) % 2 == 1
    }

    pub(crate) fn mark_progress(&self) {
        self.last_progress.store(self.nanos_now(), Relaxed);
    }

    /// Time since something was finished; since birth when nothing was.
    pub(crate) fn progress_age(&self) -> Duration {
        Duration::from_nanos(self.nanos_now().saturating_sub(self.last_progress.load(Relaxed)))
    }

    /// Smoothed share of time in which the actor did not wait.
    pub(crate) fn busy_ratio(&self) -> f64 {
        let share = f64::from_bits(self.busy_share.load(Relaxed));
        let since = Duration::from_nanos(self.nanos_now().saturating_sub(self.left_at.load(Relaxed)));
        if self.is_being_polled() { risen(share, since) } else { fallen(share, since) }
    }

    pub(crate) fn arbiter(&self) -> String {
        lock(&self.arbiter).clone()
    }

    pub(crate) fn supervisor(&self) -> String {
        lock(&self.supervisor).clone()
    }

    pub(crate) fn set_supervisor(&self, name: &str) {
        name.clone_into(&mut lock(&self.supervisor));
    }

    pub(crate) fn set_arbiter(&self, name: &str) {
        name.clone_into(&mut lock(&self.arbiter));
    }

    pub(crate) fn restarts(&self) -> RestartCounts {
        lock(&self.restarts).clone()
    }

    pub(crate) fn count_panic(&self) {
        lock(&self.restarts).panics += 1;
    }

    pub(crate) fn count_restart(&self, exit: &Exit) {
        let mut restarts = lock(&self.restarts);
        restarts.count += 1;
        *restarts.by_reason.entry(exit.reason()).or_default() += 1;
        restarts.last = Some(exit.to_string());
    }

    fn nanos_now(&self) -> u64 {
        self.nanos_at(Instant::now())
    }

    fn nanos_at(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.born))
    }
}

/// The smoothing's memory.
const MEMORY: f64 = 5.0;

// 1 / (1 + x) for exp(-x): the same for short steps, and cheap enough for every poll.
fn fallen(share: f64, idle: Duration) -> f64 {
    share / (1.0 + idle.as_secs_f64() / MEMORY)
}

fn risen(share: f64, busy: Duration) -> f64 {
    1.0 - (1.0 - share) / (1.0 + busy.as_secs_f64() / MEMORY)
}

/// The writing side of a [`Status`] around each poll of an actor.
pub(crate) struct Meter {
    status: Arc<Status>,
    turn: u64,
    work: u64,
    share: f64,
    entered: Instant,
    left: Instant,
}

impl Meter {
    pub(crate) fn new(status: Arc<Status>) -> Self {
        // The last life may have been dropped in the middle of a poll.
        let turn = status.turn.load(Relaxed).next_multiple_of(2);
        status.turn.store(turn, Release);
        let now = Instant::now();
        Self { turn, work: status.work.load(Relaxed), share: 0.0, entered: now, left: now, status }
    }

    pub(crate) fn enter(&mut self) {
        self.entered = Instant::now();
        self.share = fallen(self.share, self.entered.saturating_duration_since(self.left));
        self.turn += 1;
        self.status.turn.store(self.turn, Release);
    }

    /// `messages` and `tasks` were finished in this poll.
    pub(crate) fn leave(&mut self, messages: u64, tasks: u64, in_flight: usize) {
        let status = &self.status;
        self.left = Instant::now();
        self.share = risen(self.share, self.left.saturating_duration_since(self.entered));
        let at = status.nanos_at(self.left);
        status.busy_share.store(self.share.to_bits(), Relaxed);
        status.left_at.store(at, Relaxed);
        status.in_flight.store(in_flight, Relaxed);
        if messages + tasks > 0 {
            self.work += messages + tasks;
            status.work.store(self.work, Relaxed);
            status.messages.store(status.messages.load(Relaxed) + messages, Relaxed);
            status.last_progress.store(at, Relaxed);
        }
        self.turn += 1;
        status.turn.store(self.turn, Release);
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The data behind these locks is valid after any panic, so poison says nothing.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
