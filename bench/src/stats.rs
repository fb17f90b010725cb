//! Pure. Numbers made of many: medians, and the rate of a drained backlog.

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

#[cfg(test)]
mod tests {
    use super::*;

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
