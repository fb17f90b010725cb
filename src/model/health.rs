//! What all calls to one endpoint, from every thread, say together. Shared; a few atomics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Shared state of one endpoint in the process.
#[derive(Debug, Default)]
pub struct EndpointStats {
    /// Nanoseconds of the last answer, plus one; 0 is none. Nothing else is published with it, so relaxed order will do.
    last_answer: AtomicU64,
}

impl EndpointStats {
    /// No answer yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The endpoint answered a call.
    pub fn answered(&self, now: Duration) {
        let nanos = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        self.last_answer.fetch_max(nanos.saturating_add(1), Ordering::Relaxed);
    }

    /// When it last answered a call, from any thread.
    pub fn last_answer(&self) -> Option<Duration> {
        self.last_answer.load(Ordering::Relaxed).checked_sub(1).map(Duration::from_nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_answer_counts_whoever_reports_it() {
        let stats = EndpointStats::new();
        assert_eq!(stats.last_answer(), None);
        stats.answered(Duration::ZERO);
        assert_eq!(stats.last_answer(), Some(Duration::ZERO));
        stats.answered(Duration::from_secs(5));
        stats.answered(Duration::from_secs(4));
        assert_eq!(stats.last_answer(), Some(Duration::from_secs(5)));
    }
}
