//! How many of an endpoint's calls fail: a sliding window of the process, and the rule that opens the breaker.
//!
//! A ring of slices of time, each one word that all threads add to; no lock, no clock: time is a parameter. What being open
//! means (no call, a probe of readiness, a few calls to try) is in [`availability`](super::availability). Calls that a
//! server turned away because it is busy are not counted: they are the limit's.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::config::settings::Breaker as Rule;

/// Slices of the window. One more than these is kept, for the one that has just begun.
const SLICES: u64 = 10;
/// Calls and failures take so many bits of a word each; the number of the slice has the rest.
const BITS: u32 = 22;
const MASK: u64 = (1 << BITS) - 1;
const NUMBERS: u64 = 1 << (64 - 2 * BITS);

/// The latest calls of one endpoint, from every thread.
#[derive(Debug)]
pub struct Breaker {
    rule: Rule,
    slices: [AtomicU64; SLICES as usize + 1],
}

impl Breaker {
    /// No call yet.
    pub fn new(rule: Rule) -> Self {
        Self { rule, slices: std::array::from_fn(|_| AtomicU64::new(0)) }
    }

    /// A call ended: with an answer that can be used or blamed on the call alone, or with a failure.
    pub fn ended(&self, failed: bool, now: Duration) {
        self.count(1, u64::from(failed), now);
    }

    /// A call with the requests of so many records ended with answers to all. It counts as the calls that they would have had:
    /// a record that fails is called alone, and a few would outweigh all others otherwise.
    pub fn answered(&self, records: usize, now: Duration) {
        self.count(records as u64, 0, now);
    }

    fn count(&self, more: u64, failed: u64, now: Duration) {
        let number = self.number(now);
        let slice = &self.slices[(number % self.slices.len() as u64) as usize];
        let add = |word: u64| {
            let (calls, failures) =
                if word >> (2 * BITS) == number % NUMBERS { ((word >> BITS) & MASK, word & MASK) } else { (0, 0) };
            // A full slice has said enough.
            let room = more.min(MASK - calls);
            let (calls, failures) = (calls + room, failures + room.min(failed));
            Some((number % NUMBERS) << (2 * BITS) | calls << BITS | failures)
        };
        slice.fetch_update(Relaxed, Relaxed, add).ok();
    }

    /// Whether too many of the calls failed that ended in the window and in slices that began no earlier than `since`:
    /// what came before the endpoint was last found ready says nothing any more.
    pub fn trips(&self, since: Duration, now: Duration) -> bool {
        let last = self.number(now);
        let began = since.as_nanos().div_ceil(self.slice().as_nanos());
        let first = last.saturating_sub(SLICES - 1).max(u64::try_from(began).unwrap_or(u64::MAX));
        let (mut calls, mut failures) = (0, 0);
        for number in first..=last {
            let word = self.slices[(number % self.slices.len() as u64) as usize].load(Relaxed);
            if word >> (2 * BITS) == number % NUMBERS {
                calls += (word >> BITS) & MASK;
                failures += word & MASK;
            }
        }
        calls >= u64::from(self.rule.min_calls.max(1)) && failures as f64 >= self.rule.error_share * calls as f64
    }

    fn slice(&self) -> Duration {
        (self.rule.window / SLICES as u32).max(Duration::from_millis(1))
    }

    fn number(&self, now: Duration) -> u64 {
        u64::try_from(now.as_nanos() / self.slice().as_nanos()).unwrap_or(u64::MAX - SLICES)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn breaker(error_share: f64, min_calls: u32) -> Breaker {
        Breaker::new(Rule { error_share, window: ms(1_000), min_calls })
    }

    #[test]
    fn a_call_with_many_records_counts_as_theirs() {
        let breaker = breaker(0.5, 10);
        breaker.answered(20, ms(0));
        for _ in 0..19 {
            breaker.ended(true, ms(1));
        }
        assert!(!breaker.trips(ms(0), ms(2)));
        breaker.ended(true, ms(2));
        assert!(breaker.trips(ms(0), ms(3)));
        breaker.answered(usize::MAX, ms(4));
        assert!(!breaker.trips(ms(0), ms(5)), "a full slice goes over into nothing else");
    }

    #[test]
    fn it_trips_at_the_share_and_not_before_enough_calls() {
        let breaker = breaker(0.5, 10);
        for call in 0..9 {
            breaker.ended(true, ms(call * 10));
        }
        assert!(!breaker.trips(ms(0), ms(90)), "nine calls say nothing");
        breaker.ended(true, ms(90));
        assert!(breaker.trips(ms(0), ms(90)));
        for _ in 0..10 {
            breaker.ended(false, ms(95));
        }
        assert!(breaker.trips(ms(0), ms(99)), "half of them");
        breaker.ended(false, ms(99));
        assert!(!breaker.trips(ms(0), ms(99)));
    }

    #[test]
    fn what_is_older_than_the_window_or_the_last_good_probe_does_not_count() {
        let breaker = breaker(0.5, 1);
        breaker.ended(true, ms(50));
        assert!(breaker.trips(ms(0), ms(999)));
        assert!(!breaker.trips(ms(1), ms(999)), "the slice began before");
        assert!(!breaker.trips(ms(0), ms(1_000)));
        breaker.ended(true, ms(150));
        assert!(breaker.trips(ms(60), ms(200)));
        // The same place of the ring, a round later.
        breaker.ended(false, ms(1_250));
        assert!(!breaker.trips(ms(0), ms(1_250)));
    }

    proptest! {
        #[test]
        fn it_counts_as_a_list_would(
            calls in prop::collection::vec((0..400u64, any::<bool>()), 1..200), share in 0.01..1.0f64, min in 1..30u32,
        ) {
            let breaker = breaker(share, min);
            let (mut now, mut all) = (0, Vec::new());
            for (wait, failed) in calls {
                now += wait;
                breaker.ended(failed, ms(now));
                all.push((now / 100, failed));
                let window: Vec<_> = all.iter().filter(|(slice, _)| slice + 10 > now / 100).collect();
                let failures = window.iter().filter(|(_, failed)| *failed).count();
                let expected = window.len() >= min as usize && failures as f64 >= share * window.len() as f64;
                prop_assert_eq!(breaker.trips(ms(0), ms(now)), expected);
            }
        }

        /// Neighbours that succeed keep it closed, whatever the order.
        #[test]
        fn it_stays_closed_while_enough_succeed(order in prop::collection::vec(0..4u8, 40..400)) {
            let breaker = breaker(0.8, 20);
            for (at, kind) in order.into_iter().enumerate() {
                breaker.ended(kind < 3, ms(at as u64));
                breaker.ended(false, ms(at as u64));
                prop_assert!(!breaker.trips(ms(0), ms(at as u64)));
            }
        }
    }
}
