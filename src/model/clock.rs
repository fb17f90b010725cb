//! A record's deadline: a clock that runs only while its endpoint is available, and can be turned back.
//!
//! Stopped while a call waits for an endpoint, limit or permit, and turned back over a call that turns out to have cost
//! nothing. Times are since any one start, the same for all calls.

use std::time::Duration;

/// What a record has cost of its time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    budget: Duration,
    spent: Duration,
    running_since: Option<Duration>,
}

/// A reading to turn the clock back to.
#[derive(Clone, Copy, Debug)]
pub struct Mark(Duration);

impl Clock {
    /// A stopped clock with this much time.
    pub fn new(budget: Duration) -> Self {
        Self { budget, spent: Duration::ZERO, running_since: None }
    }

    /// A stopped clock of which this much is spent.
    pub fn at(budget: Duration, spent: Duration) -> Self {
        Self { spent, ..Self::new(budget) }
    }

    /// Lets it run. A running clock goes on.
    pub fn resume(&mut self, now: Duration) {
        self.running_since.get_or_insert(now);
    }

    /// Stops it. A stopped clock stays stopped.
    pub fn pause(&mut self, now: Duration) {
        self.spent = self.spent(now);
        self.running_since = None;
    }

    /// Reads it, at the start of a call.
    pub fn mark(&self, now: Duration) -> Mark {
        Mark(self.spent(now))
    }

    /// Turns it back to a reading: what was spent since does not count. It goes on running, or stays stopped.
    pub fn forgive(&mut self, mark: Mark, now: Duration) {
        self.spent = self.spent(now).min(mark.0);
        self.running_since = self.running_since.map(|_| now);
    }

    /// Time that was spent.
    pub fn spent(&self, now: Duration) -> Duration {
        self.spent + self.running_since.map_or(Duration::ZERO, |since| now.saturating_sub(since))
    }

    /// Time that is left.
    pub fn left(&self, now: Duration) -> Duration {
        self.budget.saturating_sub(self.spent(now))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn it_runs_only_between_resume_and_pause() {
        let mut clock = Clock::new(s(60));
        assert_eq!(clock.left(s(100)), s(60));
        clock.resume(s(100));
        clock.resume(s(105));
        assert_eq!(clock.left(s(110)), s(50));
        clock.pause(s(120));
        clock.pause(s(500));
        assert_eq!(clock.left(s(1_000)), s(40));
        clock.resume(s(1_000));
        assert_eq!(clock.left(s(1_041)), s(0));
        assert_eq!(clock.spent(s(1_041)), s(61));
    }

    #[test]
    fn a_call_that_cost_nothing_takes_no_time() {
        let mut clock = Clock::new(s(60));
        clock.resume(s(0));
        let mark = clock.mark(s(10));
        clock.forgive(mark, s(40));
        assert_eq!(clock.left(s(40)), s(50));
        assert_eq!(clock.left(s(45)), s(45), "it goes on running");
        clock.pause(s(45));
        clock.forgive(mark, s(50));
        assert_eq!(clock.left(s(99)), s(50), "it stays stopped");
    }

    proptest! {
        #[test]
        fn it_shows_the_time_that_was_run_and_not_forgiven(steps in proptest::collection::vec((0..4u8, 0..100u64), 0..50)) {
            let mut clock = Clock::new(s(1_000_000));
            let (mut now, mut running, mut spent) = (0, false, 0);
            let mut marked = (clock.mark(s(0)), 0);
            for (step, seconds) in steps {
                now += seconds;
                spent += if running { seconds } else { 0 };
                match step {
                    0 => { clock.resume(s(now)); running = true; }
                    1 => { clock.pause(s(now)); running = false; }
                    2 => marked = (clock.mark(s(now)), spent),
                    _ => { clock.forgive(marked.0, s(now)); spent = spent.min(marked.1); }
                }
                prop_assert_eq!(clock.spent(s(now)), s(spent));
                prop_assert_eq!(clock.left(s(now)), s(1_000_000 - spent));
            }
        }
    }
}
