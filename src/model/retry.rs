//! How often and when a failed call is tried again: full-jitter exponential back-off inside attempts and deadline.
//!
//! Only for failures that cost; what costs is decided in [`availability`](super::availability).

use std::time::Duration;

use crate::config::settings::Retry;

/// Attempts of one call that counted.
#[derive(Clone, Copy, Debug)]
pub struct Attempts {
    retry: Retry,
    failed: u32,
}

/// What to do after a failure that cost an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Try again after this time.
    RetryIn(Duration),
    /// All attempts are used.
    OutOfAttempts,
    /// Attempts are left, time is not.
    OutOfTime,
}

impl Attempts {
    /// None used.
    pub fn new(retry: Retry) -> Self {
        Self { retry, failed: 0 }
    }

    /// Counts a failed attempt and decides.
    ///
    /// `left` is what the record's deadline leaves; `asked` how long the server wants to be left alone, which is granted
    /// if the deadline allows; `random` is drawn from 0 to 1. An attempt that starts before the deadline gets its whole
    /// time: cut short, it would say nothing about the endpoint. So a record ends at most one call after its deadline.
    pub fn after_failure(&mut self, left: Duration, asked: Option<Duration>, random: f64) -> Decision {
        self.failed = self.failed.saturating_add(1);
        if self.failed >= self.retry.attempts {
            return Decision::OutOfAttempts;
        }
        let bound = backoff(self.retry.min_backoff, self.retry.max_backoff, self.failed - 1);
        let drawn = bound.mul_f64(random.clamp(0.0, 1.0));
        let wait = asked.filter(|asked| *asked < left).map_or(drawn, |asked| asked.max(drawn));
        if wait < left { Decision::RetryIn(wait) } else { Decision::OutOfTime }
    }

    /// Attempts that failed and counted.
    pub fn failed(&self) -> u32 {
        self.failed
    }
}

/// `min`, doubled `times` times, at most `max`.
pub(super) fn backoff(min: Duration, max: Duration, times: u32) -> Duration {
    min.saturating_mul(2_u32.saturating_pow(times)).min(max)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LONG: Duration = Duration::from_secs(1_000);

    fn attempts(attempts: u32) -> Attempts {
        let (min_backoff, max_backoff) = (Duration::from_millis(100), Duration::from_secs(1));
        Attempts::new(Retry { attempts, min_backoff, max_backoff })
    }

    #[test]
    fn the_bound_doubles_up_to_its_limit() {
        let mut tries = attempts(7);
        let waits: Vec<_> = (0..7).map(|_| tries.after_failure(LONG, None, 1.0)).collect();
        let expected = [100, 200, 400, 800, 1_000, 1_000].map(|ms| Decision::RetryIn(Duration::from_millis(ms)));
        assert_eq!(waits[..6], expected);
        assert_eq!(waits[6], Decision::OutOfAttempts);
        assert_eq!(tries.failed(), 7);
    }

    #[test]
    fn one_attempt_means_no_retry_and_none_means_one() {
        assert_eq!(attempts(1).after_failure(LONG, None, 0.5), Decision::OutOfAttempts);
        assert_eq!(attempts(0).after_failure(LONG, None, 0.5), Decision::OutOfAttempts);
    }

    #[test]
    fn no_attempt_starts_after_the_deadline() {
        let after = |left, random| attempts(3).after_failure(Duration::from_millis(left), None, random);
        assert_eq!(after(100, 1.0), Decision::OutOfTime);
        assert_eq!(after(101, 1.0), Decision::RetryIn(Duration::from_millis(100)));
        assert_eq!(after(0, 0.0), Decision::OutOfTime);
    }

    #[test]
    fn a_server_that_asks_for_time_gets_it_if_there_is_any() {
        let after =
            |left, asked| attempts(3).after_failure(Duration::from_secs(left), Some(Duration::from_secs(asked)), 1.0);
        assert_eq!(after(10, 5), Decision::RetryIn(Duration::from_secs(5)));
        assert_eq!(after(10, 0), Decision::RetryIn(Duration::from_millis(100)));
        assert_eq!(after(10, 10), Decision::RetryIn(Duration::from_millis(100)));
    }

    proptest! {
        #[test]
        fn attempts_and_deadline_are_never_exceeded(
            count in 0..20u32, randoms in proptest::collection::vec(any::<f64>(), 30), mut left in 0..10_000u64,
        ) {
            let mut tries = attempts(count);
            let mut made = 1;
            for random in randoms {
                match tries.after_failure(Duration::from_millis(left), None, random) {
                    Decision::RetryIn(wait) => {
                        prop_assert!(wait < Duration::from_millis(left) && wait <= Duration::from_secs(1));
                        left = left.saturating_sub(wait.as_millis() as u64);
                        made += 1;
                    }
                    Decision::OutOfAttempts | Decision::OutOfTime => break,
                }
            }
            prop_assert!(made <= count.max(1));
        }
    }
}
