//! Keeps a repeated warning to one line a second.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const PERIOD: Duration = Duration::from_secs(1);

/// Lets one event a second through and counts the others. One for each kind of event.
#[derive(Debug)]
pub struct Limiter {
    start: Instant,
    /// Milliseconds after `start` from which the next line may be written.
    next: AtomicU64,
    suppressed: AtomicU64,
}

impl Default for Limiter {
    fn default() -> Self {
        Self::new(Instant::now())
    }
}

impl Limiter {
    /// Lets the first event through.
    pub fn new(start: Instant) -> Self {
        Self { start, next: AtomicU64::new(0), suppressed: AtomicU64::new(0) }
    }

    /// The number of events suppressed since the last line, if this one may be written.
    pub fn pass(&self, now: Instant) -> Option<u64> {
        let now = now.saturating_duration_since(self.start).as_millis() as u64;
        let next = self.next.load(Ordering::Relaxed);
        let after = now + PERIOD.as_millis() as u64;
        // Of several threads that come at once, the one that moves the mark writes the line.
        if now >= next && self.next.compare_exchange(next, after, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            return Some(self.suppressed.swap(0, Ordering::Relaxed));
        }
        self.suppressed.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second_with_the_count_of_what_was_suppressed() {
        let start = Instant::now();
        let limiter = Limiter::new(start);
        assert_eq!(limiter.pass(start), Some(0));
        for _ in 0..5 {
            assert_eq!(limiter.pass(start + Duration::from_millis(999)), None);
        }
        assert_eq!(limiter.pass(start + Duration::from_secs(1)), Some(5));
        assert_eq!(limiter.pass(start + Duration::from_millis(1001)), None);
        assert_eq!(limiter.pass(start + Duration::from_secs(9)), Some(1));
    }
}
