//! So many a second. Pure: time is a parameter.

use std::time::Duration;

/// Says how long to wait before the next one.
#[derive(Debug)]
pub(super) struct Pace {
    between: Duration,
    next: Duration,
}

impl Pace {
    /// Without a rate, nothing waits.
    pub(super) fn new(rate: Option<u32>) -> Self {
        Self { between: rate.map_or(Duration::ZERO, |rate| Duration::from_secs(1) / rate.max(1)), next: Duration::ZERO }
    }

    /// How long the next one has to wait. Time that was not used is not made up for.
    pub(super) fn wait(&mut self, now: Duration) -> Duration {
        let at = self.next.max(now);
        self.next = at + self.between;
        at.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_second_has_more_than_its_share(rate in 1..50u32, pauses in proptest::collection::vec(0..300u64, 1..200)) {
            let mut pace = Pace::new(Some(rate));
            let mut now = Duration::ZERO;
            let mut sent = Vec::new();
            for pause in pauses {
                now += Duration::from_millis(pause);
                now += pace.wait(now);
                sent.push(now);
            }
            for (at, begin) in sent.iter().enumerate() {
                let within = sent[at..].iter().take_while(|time| time.saturating_sub(*begin) < Duration::from_secs(1)).count();
                // A rate that does not divide a second is rounded down to nanoseconds.
                prop_assert!(within as u32 <= rate + 1, "{within} in a second");
            }
        }
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        assert_eq!(Pace::new(None).wait(Duration::from_secs(1)), Duration::ZERO);
    }
}
