//! What the threads of the process share of one endpoint: its limit in shares, and the right to call it alone.
//!
//! Counters only: a call that starts or ends wakes no other thread. Each thread has a share of the limit. The shares are
//! moved on a tick, which whoever comes first carries out; who waits for more looks again on its own tick. No clock.

use std::sync::Mutex;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::time::Duration;

use super::limiter::{Limiter, Window};

/// Between two looks at demand.
pub const TICK: Duration = Duration::from_millis(20);
/// A window has so much time, and so many answers unless it lasts too long.
const WINDOW: (Duration, u64, Duration) = (Duration::from_millis(50), 8, Duration::from_secs(1));
/// Ticks that one thread keeps the last place of a small limit from another that waits for it.
const TURN: usize = 5;

/// How a call ended, as far as the limit goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With success.
    Answered,
    /// The server turned it away because it is busy.
    Overloaded,
    /// In a way that says nothing of how busy the server is.
    Other,
}

/// An endpoint's limit, shared by the threads.
#[derive(Debug)]
pub struct Shares {
    limit: AtomicUsize,
    places: Box<[Place]>,
    /// Who may call alone, counted from 1; 0 is nobody.
    alone: AtomicUsize,
    next_tick: AtomicU64,
    changed: AtomicU64,
    seen: Seen,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct Place {
    /// The share in the upper half, running calls in the lower: a call starts only while there is room for it.
    word: AtomicU64,
    waiting: AtomicUsize,
    /// Ticks since its last call began, while it runs none and some wait.
    idle: AtomicUsize,
}

/// What was seen since the last window.
#[derive(Debug, Default)]
struct Seen {
    answered: AtomicU64,
    nanos: AtomicU64,
    fastest: AtomicU64,
    oldest: AtomicU64,
    overloads: AtomicU64,
    peak: AtomicUsize,
    short: AtomicBool,
}

#[derive(Debug)]
struct State {
    limiter: Option<Limiter>,
    began: Duration,
}

const fn split(word: u64) -> (usize, usize) {
    ((word >> 32) as usize, (word & 0xFFFF_FFFF) as usize)
}

const fn joined(share: usize, running: usize) -> u64 {
    (share as u64) << 32 | running as u64
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Shares {
    /// Shares of `max` calls for so many threads. If it adapts, it never goes below `min`.
    pub fn new(threads: usize, adaptive: bool, min: usize, max: usize) -> Self {
        let limiter = adaptive.then(|| Limiter::new(min, max));
        let limit = limiter.as_ref().map_or(max.max(1), Limiter::limit);
        let shares = Self {
            limit: AtomicUsize::new(limit),
            places: (0..threads.max(1)).map(|_| Place::default()).collect(),
            alone: AtomicUsize::new(0),
            next_tick: AtomicU64::new(0),
            changed: AtomicU64::new(0),
            seen: Seen::default(),
            state: Mutex::new(State { limiter, began: Duration::ZERO }),
        };
        shares.seen.clear();
        shares.rebalance();
        shares
    }

    /// Calls that may run at a time.
    pub fn limit(&self) -> usize {
        self.limit.load(Relaxed)
    }

    /// The share of a thread.
    pub fn share(&self, thread: usize) -> usize {
        split(self.places[thread].word.load(Relaxed)).0
    }

    /// Calls that run, from all threads.
    pub fn running(&self) -> usize {
        self.places.iter().map(|place| split(place.word.load(SeqCst)).1).sum()
    }

    /// Starts a call, if the thread's share has room and nobody calls alone.
    pub fn start(&self, thread: usize) -> bool {
        let more = |word| {
            let (share, running) = split(word);
            (running < share).then(|| joined(share, running + 1))
        };
        if self.alone.load(SeqCst) != 0 {
            return false;
        }
        if self.places[thread].word.fetch_update(SeqCst, SeqCst, more).is_err() {
            self.seen.short.store(true, Relaxed);
            return false;
        }
        // Whoever takes the right to be alone looks at what runs after that: one of the two sees the other.
        if self.alone.load(SeqCst) != 0 {
            self.less(thread);
            return false;
        }
        self.places[thread].idle.store(0, Relaxed);
        true
    }

    /// Starts a call that must be alone: it takes the right to be, and starts once nothing runs. Until then, and until the
    /// right is given back, no other call starts.
    pub fn start_alone(&self, thread: usize) -> bool {
        let (me, place) = (thread + 1, &self.places[thread]);
        if self.alone.compare_exchange(0, me, SeqCst, SeqCst).is_err_and(|who| who != me) || self.running() > 0 {
            return false;
        }
        let more = |word| {
            let (share, running) = split(word);
            Some(joined(share, running + 1))
        };
        place.word.fetch_update(SeqCst, SeqCst, more).is_ok()
    }

    /// Gives the right to be alone back, if the thread has it.
    pub fn release(&self, thread: usize) {
        self.alone.compare_exchange(thread + 1, 0, SeqCst, SeqCst).ok();
    }

    /// A call ended that began then.
    pub fn ended(&self, thread: usize, end: End, began: Duration, now: Duration) {
        self.less(thread);
        let (seen, began, now) = (&self.seen, nanos(began), nanos(now));
        match end {
            End::Answered => {
                let took = now.saturating_sub(began);
                seen.answered.fetch_add(1, Relaxed);
                seen.nanos.fetch_add(took, Relaxed);
                seen.fastest.fetch_min(took, Relaxed);
                seen.oldest.fetch_min(began, Relaxed);
            }
            End::Overloaded if began >= self.changed.load(Relaxed) => {
                seen.overloads.fetch_add(1, Relaxed);
            }
            End::Overloaded | End::Other => {}
        }
    }

    /// So many calls of a thread wait.
    pub fn waits(&self, thread: usize, calls: usize) {
        self.places[thread].waiting.store(calls, Relaxed);
    }

    /// The thread's calls are gone: whoever made them died.
    pub fn leave(&self, thread: usize) {
        let none = |word| Some(joined(split(word).0, 0));
        self.places[thread].word.fetch_update(SeqCst, SeqCst, none).ok();
        self.waits(thread, 0);
        self.release(thread);
    }

    /// Looks at demand, if it is time to; the limit if it has changed. To be called while calls wait or run.
    pub fn tick(&self, now: Duration) -> Option<usize> {
        let (due, next) = (self.next_tick.load(Relaxed), nanos(now + TICK * 3 / 4));
        if nanos(now) < due || self.next_tick.compare_exchange(due, next, Relaxed, Relaxed).is_err() {
            return None;
        }
        let mut state = self.state.try_lock().ok()?;
        let before = self.limit();
        self.seen.peak.fetch_max(self.running(), Relaxed);
        self.window(&mut state, now);
        self.rebalance();
        let after = self.limit();
        (after != before).then_some(after)
    }

    fn window(&self, state: &mut State, now: Duration) {
        let (took, seen) = (now.saturating_sub(state.began), &self.seen);
        let Some(limiter) = &mut state.limiter else { return };
        let (answered, overloads) = (seen.answered.load(Relaxed), seen.overloads.load(Relaxed));
        if took < WINDOW.0 || (answered < WINDOW.1 && overloads == 0 && took < WINDOW.2) {
            return;
        }
        let before = limiter.limit();
        let after = limiter.window(&Window {
            took,
            answered,
            latency: Duration::from_nanos(seen.nanos.load(Relaxed) / answered.max(1)),
            fastest: Duration::from_nanos(seen.fastest.load(Relaxed)),
            overloads,
            peak: seen.peak.load(Relaxed),
            short: seen.short.load(Relaxed),
            settled: seen.oldest.load(Relaxed) >= self.changed.load(Relaxed),
        });
        if after < before {
            self.changed.store(nanos(now), Relaxed);
        }
        self.limit.store(after, Relaxed);
        seen.clear();
        state.began = now;
    }

    /// Moves the shares to where calls want to run. What a thread loses is given to another only once it does not run
    /// there any more, so that shares and running calls never add up to more than the limit.
    fn rebalance(&self) {
        let limit = self.limit();
        let targets = self.targets(limit);
        let mut left = limit;
        for (place, target) in self.places.iter().zip(&targets) {
            let lower = |word| Some(joined(split(word).0.min(*target), split(word).1));
            let word = place.word.fetch_update(SeqCst, SeqCst, lower).unwrap_or_default();
            left = left.saturating_sub(split(word).1.max(split(word).0.min(*target)));
        }
        for (place, target) in self.places.iter().zip(&targets) {
            let (mut share, running) = split(place.word.load(SeqCst));
            let more = target.saturating_sub(share.max(running)).min(left);
            if more > 0 || (running > share && share < *target) {
                left -= more;
                share = (share.max(running) + more).min(*target);
                place.word.fetch_update(SeqCst, SeqCst, |word| Some(joined(share, split(word).1))).ok();
            }
        }
    }

    /// What each thread should have: what it wants as far as that is fair, then an equal part of the rest. Where there is
    /// less than one for each, those that wait longest come first.
    fn targets(&self, limit: usize) -> Vec<usize> {
        let mut order: Vec<_> = (0..self.places.len()).collect();
        let wanted: Vec<_> =
            self.places.iter().map(|place| split(place.word.load(SeqCst)).1 + place.waiting.load(Relaxed)).collect();
        for place in &self.places {
            let idle = split(place.word.load(SeqCst)).1 == 0 && place.waiting.load(Relaxed) > 0;
            place.idle.store(if idle { place.idle.load(Relaxed).saturating_add(1) } else { 0 }, Relaxed);
        }
        order.sort_by_key(|at| {
            let place = &self.places[*at];
            let turns = place.idle.load(Relaxed) / TURN;
            (std::cmp::Reverse(turns), std::cmp::Reverse(split(place.word.load(SeqCst)).0))
        });
        let mut targets = vec![0; self.places.len()];
        let mut left = limit;
        for wants in [true, false] {
            let mut open: Vec<_> = order.iter().copied().filter(|at| !wants || targets[*at] < wanted[*at]).collect();
            while left > 0 && !open.is_empty() {
                let part = (left / open.len()).max(1);
                for at in &open {
                    let more = if wants { part.min(wanted[*at] - targets[*at]) } else { part }.min(left);
                    targets[*at] += more;
                    left -= more;
                }
                open.retain(|at| !wants || targets[*at] < wanted[*at]);
            }
        }
        targets
    }

    fn less(&self, thread: usize) {
        let less = |word| Some(joined(split(word).0, split(word).1.saturating_sub(1)));
        self.places[thread].word.fetch_update(SeqCst, SeqCst, less).ok();
    }
}

impl Seen {
    fn clear(&self) {
        for counter in [&self.answered, &self.nanos, &self.overloads] {
            counter.store(0, Relaxed);
        }
        self.fastest.store(u64::MAX, Relaxed);
        self.oldest.store(u64::MAX, Relaxed);
        self.peak.store(0, Relaxed);
        self.short.store(false, Relaxed);
    }
}

#[cfg(test)]
#[path = "shares_tests.rs"]
mod tests;
