//! A plain thread that notices actors and arbiters that are stuck: nobody on a stuck thread could.
//!
//! It only reports. A thread cannot be killed, so the cure (most likely an exit) is the program's decision.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

use crate::{
    exit::caught,
    root::Env,
    status::{State, Status},
    tree::SUPERVISOR,
};

/// From when on something counts as stuck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// An actor in one poll (one handler, or up to 64 short ones) for so long, without [`crate::Progress::touch`].
    pub blocked: Duration,
    /// An actor that is up and holds mailbox places, but finishes nothing for so long, outside of protected zones.
    pub stalled: Duration,
    /// An arbiter that does not get round to a new task for so long.
    pub arbiter: Duration,
}

/// Who is stuck.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// An actor, by name.
    Actor(String),
    /// An arbiter, by name; `system` is where the supervisors live.
    Arbiter(String),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Actor(name) => write!(f, "actor {name}"),
            Self::Arbiter(name) => write!(f, "arbiter {name}"),
        }
    }
}

/// What the watchdog sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// Its limit was passed.
    Wedged {
        /// Who.
        subject: Subject,
        /// For how long already.
        since: Duration,
    },
    /// Seen before, and still so: reported at every look, so that the program can give up on it.
    StillWedged {
        /// Who.
        subject: Subject,
        /// For how long already.
        since: Duration,
    },
    /// It goes on.
    Recovered {
        /// Who.
        subject: Subject,
        /// For how long it was stuck.
        lasted: Duration,
    },
}

/// The thread; it ends when this is dropped.
pub struct Watchdog {
    stop: Arc<AtomicBool>,
    thread: Thread,
}

impl Watchdog {
    /// Starts watching. `callback` runs on the watchdog's thread. An actix system must run on this thread.
    pub fn start(env: &Env, limits: Limits, callback: impl FnMut(&Sighting) + Send + 'static) -> std::io::Result<Self> {
        let system = System { arbiter: actix_rt::System::current().arbiter().clone(), beats: Arc::default() };
        let stop = Arc::new(AtomicBool::new(false));
        let mut watch = Watch { env: env.clone(), system, limits, seen: HashMap::new(), callback };
        // A quarter of the limit is how late a sighting may be.
        let shortest = limits.blocked.min(limits.stalled).min(limits.arbiter);
        let pause = (shortest / 4).max(Duration::from_millis(1));
        let ended = Arc::clone(&stop);
        let handle = thread::Builder::new().name("watchdog".into()).spawn(move || {
            while !ended.load(Acquire) {
                watch.look();
                thread::park_timeout(pause);
            }
        })?;
        Ok(Self { stop, thread: handle.thread().clone() })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.stop.store(true, Release);
        self.thread.unpark();
    }
}

struct System {
    arbiter: actix_rt::ArbiterHandle,
    beats: Arc<AtomicU64>,
}

struct Watch<C> {
    env: Env,
    system: System,
    limits: Limits,
    seen: HashMap<Subject, Seen>,
    callback: C,
}

/// When a subject was last seen to move.
struct Seen {
    mark: [u64; 3],
    moved: Instant,
    wedged: bool,
    /// Of the present look; those not seen are gone.
    fresh: bool,
}

impl<C: FnMut(&Sighting)> Watch<C> {
    fn look(&mut self) {
        let now = Instant::now();
        self.look_at_actors(now);
        self.look_at_arbiters(now);
        self.seen.retain(|_, seen| std::mem::take(&mut seen.fresh));
    }

    fn look_at_actors(&mut self, now: Instant) {
        for status in self.env.observer.statuses().iter().filter(|status| status.kind != SUPERVISOR) {
            let subject = Subject::Actor(status.name.clone());
            let (mark, limit) = self.judge(status);
            let wedged = self.note(subject, now, mark, limit);
            status.wedged.store(wedged, Relaxed);
        }
    }

    /// What must change, and within which time; no limit if nothing is expected.
    fn judge(&self, status: &Status) -> ([u64; 3], Option<Duration>) {
        let touches = status.touches.load(Relaxed);
        let turn = status.turn.load(Acquire);
        let protected = status.protected.load(Relaxed) > 0;
        if turn % 2 == 1 {
            return ([1, turn, touches], (!protected).then_some(self.limits.blocked));
        }
        let up = matches!(status.own_state(), State::Running | State::Draining);
        let expected = up && !protected && status.gate.used() > 0;
        let generation = status.generation.load(Relaxed);
        ([generation << 1, status.work.load(Relaxed), touches], expected.then_some(self.limits.stalled))
    }

    fn look_at_arbiters(&mut self, now: Instant) {
        for arbiter in self.env.arbiters.clone().iter() {
            let subject = Subject::Arbiter(arbiter.name().to_owned());
            self.note(subject, now, [arbiter.beats(), arbiter.generation(), 0], Some(self.limits.arbiter));
            arbiter.ping();
        }
        let beats = self.system.beats.load(Relaxed);
        self.note(Subject::Arbiter("system".to_owned()), now, [beats, 0, 0], Some(self.limits.arbiter));
        let counter = Arc::clone(&self.system.beats);
        self.system.arbiter.spawn_fn(move || {
            counter.fetch_add(1, Relaxed);
        });
    }

    /// Compares with the last look and reports; true if stuck.
    fn note(&mut self, subject: Subject, now: Instant, mark: [u64; 3], limit: Option<Duration>) -> bool {
        let seen = self.seen.entry(subject.clone()).or_insert(Seen { mark, moved: now, wedged: false, fresh: true });
        seen.fresh = true;
        let since = now.saturating_duration_since(seen.moved);
        let was_wedged = seen.wedged;
        if seen.mark != mark || limit.is_none() {
            (seen.mark, seen.moved, seen.wedged) = (mark, now, false);
        } else {
            seen.wedged = limit.is_some_and(|limit| since >= limit);
        }
        let wedged = seen.wedged;
        let sighting = match (was_wedged, wedged) {
            (false, false) => return false,
            (false, true) => Sighting::Wedged { subject, since },
            (true, true) => Sighting::StillWedged { subject, since },
            (true, false) => Sighting::Recovered { subject, lasted: since },
        };
        // The watch must go on, whatever its audience does.
        caught(|| (self.callback)(&sighting)).ok();
        wedged
    }
}
