//! Numbers made of many: medians, the rate of a drained backlog, quantiles of latencies, growth.

use std::time::Duration;

use hdrhistogram::Histogram;

/// The middle one, or the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    Some(if sorted.len().is_multiple_of(2) { f64::midpoint(sorted[middle - 1], upper) } else { upper })
}

/// Records a second from the times, in milliseconds, at which the answers to a backlog were stored. The first tenth is
/// the run-up and not counted.
pub(crate) fn rate(times: &mut [i64]) -> Option<f64> {
    times.sort_unstable();
    let begin = times.len() / 10;
    let (first, last) = (times.get(begin)?, times.last()?);
    let seconds = (last - first) as f64 / 1000.0;
    (seconds > 0.0).then(|| (times.len() - 1 - begin) as f64 / seconds)
}

/// How memory grew: the most in the last quarter of the time, divided by the most in the second quarter, when caches and
/// connections are there.
pub(crate) fn growth(memory: &[f64]) -> Option<f64> {
    let quarter = memory.len() / 4;
    let most = |part: &[f64]| part.iter().copied().max_by(f64::total_cmp);
    let (early, late) = (most(&memory[quarter..2 * quarter])?, most(&memory[memory.len() - quarter..])?);
    (early > 0.0).then(|| late / early)
}

/// Longer ones count as this.
const LONGEST: Duration = Duration::from_mins(5);

/// Latencies to a thousandth of their size.
pub(crate) struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        // One that grows by itself does not do so where it saturates, so the bounds are given.
        Self(Histogram::new_with_bounds(1, LONGEST.as_micros() as u64, 3).expect("the bounds are sound"))
    }
}

impl Latencies {
    pub(crate) fn add(&mut self, latency: Duration) {
        self.0.saturating_record(latency.as_micros() as u64);
    }

    /// The latency that this share of all does not exceed.
    pub(crate) fn milliseconds(&self, share: f64) -> f64 {
        self.0.value_at_quantile(share) as f64 / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_what_was_added() {
        let mut latencies = Latencies::default();
        (1..=1000).for_each(|ms| latencies.add(Duration::from_millis(ms)));
        latencies.add(Duration::from_hours(1));
        let near = |share, ms: f64| (latencies.milliseconds(share) - ms).abs() <= ms / 500.0;
        assert!(near(0.5, 501.0) && near(0.99, 991.0) && near(1.0, 300_000.0), "{}", latencies.milliseconds(0.5));
    }

    #[test]
    fn growth_is_that_of_the_later_time() {
        let memory = |early, late| [&[10.0; 5][..], &[early; 5], &[30.0; 5], &[late; 5]].concat();
        assert_eq!(growth(&memory(40.0, 40.0)), Some(1.0));
        assert_eq!(growth(&memory(40.0, 60.0)), Some(1.5));
        assert_eq!(growth(&[1.0, 2.0]), None);
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 20.0]), Some(3.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 20.0]), Some(3.0));
    }

    #[test]
    fn a_rate_leaves_out_the_run_up() {
        // A record every 2 ms, but the first ones came an hour before.
        let mut times: Vec<i64> = (0..1000).map(|n| if n < 50 { n } else { 3_600_000 + 2 * n }).rev().collect();
        assert_eq!(rate(&mut times), Some(500.0));
        assert_eq!(rate(&mut []), None);
        assert_eq!(rate(&mut [7, 7, 7]), None);
    }
}
