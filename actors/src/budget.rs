//! How often something may be restarted and how long to wait before: pure, time and chance are parameters.
//!
//! Not for retries of work: those belong to whoever owns the work.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// At most `max_restarts` within `window`; one more is giving up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// Restarts allowed within the window. None means that the first failure is final.
    pub max_restarts: u32,
    /// How long a failure counts.
    pub window: Duration,
    /// How long to wait before each restart.
    pub backoff: Backoff,
}

/// The n-th restart within the window waits `min * 2^(n-1)`, at most `max`, and up to `jitter` of that on top.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// The first wait.
    pub min: Duration,
    /// Bound of the doubling.
    pub max: Duration,
    /// Share of the wait that chance may add (0 to 1), so that a pool does not restart in step.
    pub jitter: f64,
}

/// Why a budget cannot work.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum BudgetError {
    /// Doubling from `min` cannot reach a smaller `max`.
    #[error("backoff.min {min:?} exceeds backoff.max {max:?}")]
    MinExceedsMax {
        /// The first wait.
        min: Duration,
        /// Bound of the doubling.
        max: Duration,
    },
    /// The share is not a share.
    #[error("backoff.jitter {jitter} is not between 0 and 1")]
    Jitter {
        /// The value given.
        jitter: f64,
    },
    /// By the time of the last failure the first one would no longer count, so the budget could never be exceeded.
    #[error(
        "window {window:?} must exceed {needed:?}, the sum of the back-offs before {max_restarts} restarts: \
         the budget could never be exceeded"
    )]
    WindowTooShort {
        /// The window given.
        window: Duration,
        /// What it must exceed.
        needed: Duration,
        /// Restarts allowed.
        max_restarts: u32,
    },
}

impl Budget {
    /// Checks the parts against each other.
    pub fn validate(&self) -> Result<(), BudgetError> {
        let Backoff { min, max, jitter } = self.backoff;
        if min > max {
            return Err(BudgetError::MinExceedsMax { min, max });
        }
        if !(0.0..=1.0).contains(&jitter) {
            return Err(BudgetError::Jitter { jitter });
        }
        let needed = self.longest_backoffs();
        if self.window <= needed {
            return Err(BudgetError::WindowTooShort { window: self.window, needed, max_restarts: self.max_restarts });
        }
        Ok(())
    }

    /// The waits before all allowed restarts, with all the jitter there can be.
    fn longest_backoffs(&self) -> Duration {
        let capped = self.backoff.longest(u32::MAX);
        let mut sum = Duration::ZERO;
        for restart in 1..=self.max_restarts {
            let wait = self.backoff.longest(restart);
            if wait == capped {
                let rest = self.max_restarts - restart + 1;
                return sum.saturating_add(capped.saturating_mul(rest));
            }
            sum = sum.saturating_add(wait);
        }
        sum
    }
}

impl Backoff {
    /// How long to wait before the n-th restart (from 1); `random` is in `[0, 1)`.
    pub fn before(&self, restart: u32, random: f64) -> Duration {
        let doublings = restart.saturating_sub(1);
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        let wait = self.min.saturating_mul(factor).min(self.max);
        let extra = wait.as_secs_f64() * self.jitter * random;
        wait.saturating_add(Duration::try_from_secs_f64(extra).unwrap_or_default())
    }

    fn longest(&self, restart: u32) -> Duration {
        self.before(restart, 1.0)
    }
}

/// What follows from a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Try again.
    Restart {
        /// But not before this has passed.
        after: Duration,
    },
    /// The budget is exceeded.
    GiveUp {
        /// Failures within the window, the last one included.
        count: u32,
    },
}

/// The failures of one thing, counted against its budget.
#[derive(Clone, Debug)]
pub struct Restarts {
    budget: Budget,
    failures: VecDeque<Instant>,
}

impl Restarts {
    /// Nothing has failed yet.
    pub fn new(budget: Budget) -> Self {
        Self { budget, failures: VecDeque::new() }
    }

    /// Counts a failure; `random` in `[0, 1)` spreads the back-off.
    pub fn on_failure(&mut self, now: Instant, random: f64) -> Decision {
        let window = self.budget.window;
        while self.failures.front().is_some_and(|at| now.saturating_duration_since(*at) >= window) {
            self.failures.pop_front();
        }
        self.failures.push_back(now);
        let count = u32::try_from(self.failures.len()).unwrap_or(u32::MAX);
        if count > self.budget.max_restarts {
            // One more than allowed is all there is to know, so memory stays bounded.
            self.failures.pop_front();
            return Decision::GiveUp { count };
        }
        Decision::Restart { after: self.budget.backoff.before(count, random) }
    }

    /// Forgets the failures, for a life under a restarted supervisor.
    pub fn reset(&mut self) {
        self.failures.clear();
    }
}
