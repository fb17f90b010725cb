//! When a call to a model is done: it costs a time, each of its rows costs a time, and only so many are worked on
//! at once; the others wait in line.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// The workers of a model and the line before them.
pub(super) struct Desk {
    call: Duration,
    row: Duration,
    /// When each worker is free; none if there is one for every call.
    free: BinaryHeap<Reverse<Duration>>,
}

impl Desk {
    /// `workers` 0: one for every call.
    pub(super) fn new(call: Duration, row: Duration, workers: usize) -> Self {
        Self { call, row, free: vec![Reverse(Duration::ZERO); workers].into() }
    }

    /// When a call with so many rows that arrives now will be done. The worker is taken from then on.
    pub(super) fn done(&mut self, now: Duration, rows: u64) -> Duration {
        let cost = self.call + self.row * rows as u32;
        let Some(Reverse(free)) = self.free.pop() else { return now + cost };
        let done = free.max(now) + cost;
        self.free.push(Reverse(done));
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn without_workers_nobody_waits() {
        let mut desk = Desk::new(10 * MS, MS, 0);
        assert_eq!(desk.done(5 * MS, 3), 18 * MS);
        assert_eq!(desk.done(5 * MS, 0), 15 * MS);
    }

    #[test]
    fn two_workers_take_two_calls_at_a_time() {
        let mut desk = Desk::new(10 * MS, MS, 2);
        let done: Vec<_> = (0..5).map(|_| desk.done(100 * MS, 0)).collect();
        assert_eq!(done, [110 * MS, 110 * MS, 120 * MS, 120 * MS, 130 * MS]);
        assert_eq!(desk.done(125 * MS, 5), 140 * MS);
        assert_eq!(desk.done(500 * MS, 0), 510 * MS);
    }
}
