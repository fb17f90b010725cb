//! Named worker threads, each replaced by a fresh one when it is lost.
//!
//! Who lives where is said in the specification of each actor; moving them is the tree's work.

use std::{
    fmt, io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use actix_rt::Arbiter;

use crate::status::lock;

/// Where an actor lives.
#[derive(Clone, Debug)]
pub enum Place {
    /// On the system arbiter, with the supervisors. Only for actors that never take long.
    System,
    /// On a worker arbiter; many actors can share one.
    On(ArbiterRef),
}

impl Place {
    /// The name of the arbiter.
    pub fn name(&self) -> &str {
        match self {
            Self::System => "system",
            Self::On(arbiter) => arbiter.name(),
        }
    }
}

/// The worker arbiters of a process.
#[derive(Clone, Debug)]
pub struct Arbiters {
    seats: Arc<[ArbiterRef]>,
}

/// Names one worker arbiter for good, whichever thread it is at present.
#[derive(Clone)]
pub struct ArbiterRef {
    seat: Arc<Seat>,
}

struct Seat {
    name: String,
    /// None once stopped on purpose.
    current: Mutex<Option<Arbiter>>,
    generation: AtomicU64,
    /// Pings answered.
    beats: Arc<AtomicU64>,
}

impl Arbiters {
    /// No workers: every actor lives on the system arbiter.
    pub fn none() -> Self {
        Self { seats: Arc::new([]) }
    }

    /// Starts `worker-0` and so on. An actix system must run on this thread.
    pub fn start(count: usize) -> io::Result<Self> {
        let seat = |index| {
            let seat = Seat {
                name: format!("worker-{index}"),
                current: Mutex::new(Some(Arbiter::try_new()?)),
                generation: AtomicU64::new(1),
                beats: Arc::default(),
            };
            Ok(ArbiterRef { seat: Arc::new(seat) })
        };
        Ok(Self { seats: (0..count).map(seat).collect::<io::Result<_>>()? })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.seats.len()
    }

    /// True if every actor lives on the system arbiter.
    pub fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    /// The workers in order.
    pub fn iter(&self) -> impl Iterator<Item = &ArbiterRef> {
        self.seats.iter()
    }

    /// The place for the `index`-th of many actors: workers in turn, or the system arbiter if there are none.
    pub fn place(&self, index: usize) -> Place {
        match self.seats.len() {
            0 => Place::System,
            count => Place::On(self.seats[index % count].clone()),
        }
    }

    /// Stops all threads and waits for them; none is replaced any more. Blocks, so end the tree first.
    pub fn stop(&self) {
        let ended: Vec<Arbiter> = self.seats.iter().filter_map(|arbiter| lock(&arbiter.seat.current).take()).collect();
        for arbiter in &ended {
            arbiter.stop();
        }
        for arbiter in ended {
            // A thread that panicked while it ended has ended too.
            arbiter.join().ok();
        }
    }
}

impl ArbiterRef {
    /// The name: `worker-0` and so on.
    pub fn name(&self) -> &str {
        &self.seat.name
    }

    /// How many threads have had this name.
    pub fn generation(&self) -> u64 {
        self.seat.generation.load(Relaxed)
    }

    /// Ends the present thread, as if it had been lost: for tests and game days. Its actors move to a fresh one.
    pub fn lose(&self) {
        if let Some(arbiter) = &*lock(&self.seat.current) {
            arbiter.stop();
        }
    }

    /// Runs `f` there, on a fresh thread if the old one is lost. `f` is dropped if there can be none.
    pub(crate) fn run(&self, f: impl FnOnce() + Send + 'static) {
        let mut current = lock(&self.seat.current);
        if let Some(arbiter) = current.as_mut() {
            if !arbiter.alive() {
                let Ok(fresh) = Arbiter::try_new() else { return };
                *arbiter = fresh;
                self.seat.generation.fetch_add(1, Relaxed);
            }
            arbiter.spawn_fn(f);
        }
    }

    /// Asks the thread to count a beat; it will when it comes round to it.
    pub(crate) fn ping(&self) {
        let beats = Arc::clone(&self.seat.beats);
        if let Some(arbiter) = &*lock(&self.seat.current) {
            arbiter.spawn_fn(move || {
                beats.fetch_add(1, Relaxed);
            });
        }
    }

    pub(crate) fn beats(&self) -> u64 {
        self.seat.beats.load(Relaxed)
    }
}

impl fmt::Debug for ArbiterRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
