//! How many calls an endpoint is given at a time: additive increase, multiplicative decrease. Pure; time comes in windows.
//!
//! It starts at its maximum. It goes down when the server says that it is overloaded, or when answers take much longer than
//! they once did while the limit is in use: then calls wait inside the server. It never goes below what the server shows
//! that it works on (its rate times its usual latency). It goes up by a step that grows while nothing is wrong. Who may use
//! how much of it is in [`shares`](super::shares).

use std::time::Duration;

/// What is left after an overload answer.
const OVERLOAD: f64 = 0.7;
/// What is left after answers that took too long.
const SLOW: f64 = 0.8;
/// Answers are slow from so many times the usual latency on, and this much more: threads are not always run at once.
const SLOW_FROM: (f64, f64) = (2.0, 0.005);
/// More than what the server works on, so that it never runs out of calls.
const ROOM: f64 = 1.25;
/// After an overload the limit stays for a while: each try costs a record an attempt.
const HOLD: Duration = Duration::from_secs(1);

/// What happened in a stretch of time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Window {
    /// How long it was.
    pub took: Duration,
    /// Calls that were answered with success.
    pub answered: u64,
    /// Their mean latency.
    pub latency: Duration,
    /// The smallest.
    pub fastest: Duration,
    /// Calls begun under the present limit that the server turned away because it is busy.
    pub overloads: u64,
    /// The most calls that ran at a time.
    pub peak: usize,
    /// Whether more wanted to run than the limit let.
    pub short: bool,
    /// Whether all answered calls began under the present limit.
    pub settled: bool,
}

/// The limit of one endpoint.
#[derive(Clone, Debug)]
pub struct Limiter {
    min: f64,
    max: f64,
    limit: f64,
    /// The latency that is usual, in seconds; it adapts slowly.
    usual: Option<f64>,
    step: f64,
    hold: Duration,
}

impl Limiter {
    /// At its maximum. `min` is at least 1.
    pub fn new(min: usize, max: usize) -> Self {
        let min = min.max(1) as f64;
        let max = min.max(max as f64);
        Self { min, max, limit: max, usual: None, step: 1.0, hold: Duration::ZERO }
    }

    /// Calls that may run at a time.
    pub fn limit(&self) -> usize {
        self.limit as usize
    }

    /// Takes a window in; at most one change follows.
    pub fn window(&mut self, window: &Window) -> usize {
        let peak = window.peak.max(1) as f64;
        self.hold = self.hold.saturating_sub(window.took);
        if window.overloads > 0 {
            self.hold = HOLD;
            self.decrease(self.limit.min(peak) * OVERLOAD);
        } else if window.answered > 0 {
            self.answered(window, peak);
        }
        self.limit()
    }

    fn answered(&mut self, window: &Window, peak: f64) {
        let latency = window.latency.as_secs_f64();
        // The first answers of a busy start come before calls have to wait for each other.
        let usual = self.usual.get_or_insert(window.fastest.as_secs_f64());
        let in_use = window.short || 2.0 * peak >= self.limit;
        if latency < *usual {
            *usual += 0.3 * (latency - *usual);
        } else if !in_use {
            *usual += 0.05 * (latency - *usual);
        }
        if latency > SLOW_FROM.0 * *usual + SLOW_FROM.1 && in_use {
            let works_on = ROOM * *usual * window.answered as f64 / window.took.as_secs_f64().max(1e-6);
            let less = self.limit.min(peak) * SLOW;
            if less >= works_on.max(self.min) {
                self.decrease(less);
            } else if window.settled {
                // Fewer calls are not answered sooner: that is how long they take now.
                self.usual = Some(latency);
            }
        } else if (window.short || peak >= self.limit.floor()) && self.hold.is_zero() {
            self.limit = (self.limit + self.step).min(self.max);
            self.step += 1.0;
        }
    }

    fn decrease(&mut self, to: f64) {
        self.limit = self.limit.min(to).max(self.min);
        self.step = 1.0;
    }
}

#[cfg(test)]
#[path = "limiter_tests.rs"]
mod tests;
