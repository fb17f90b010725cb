//! A Prometheus summary: quantiles over a moving window, which the client library does not have.
//!
//! Only for Seldon's metric names; the service's own latencies are histograms.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use prometheus::core::{Collector, Desc};
use prometheus::proto;

use super::names;

const SLOTS: usize = 5;
const SLOT: Duration = Duration::from_mins(2);
/// Longest time told apart, in microseconds.
const LONGEST: u64 = 3_600_000_000;

/// Summaries of one name, told apart by labels.
#[derive(Clone)]
pub(super) struct SummaryVec(Arc<Family>);

struct Family {
    desc: Desc,
    children: Mutex<Vec<(Vec<String>, Arc<Summary>)>>,
}

impl SummaryVec {
    /// A family without members; the caller registers it.
    pub(super) fn new(metric: &names::Metric) -> prometheus::Result<Self> {
        let labels = metric.labels.iter().map(ToString::to_string).collect();
        let desc = Desc::new(metric.name.to_owned(), metric.help.to_owned(), labels, HashMap::new())?;
        Ok(Self(Arc::new(Family { desc, children: Mutex::default() })))
    }

    /// The member with these label values, in the order of the label names.
    pub(super) fn with(&self, values: &[&str]) -> Arc<Summary> {
        let mut children = self.0.children.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, found)) = children.iter().find(|(known, _)| known == values) {
            return Arc::clone(found);
        }
        let made = Arc::new(Summary::new(Instant::now()));
        children.push((values.iter().map(ToString::to_string).collect(), Arc::clone(&made)));
        made
    }
}

impl Collector for SummaryVec {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.desc]
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let children = self.0.children.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let members = children.iter().map(|(values, summary)| {
            let mut metric = proto::Metric::default();
            metric.set_label(pairs(&self.0.desc.variable_labels, values));
            metric.set_summary(summary.read(Instant::now()));
            metric
        });
        let mut family = proto::MetricFamily::default();
        family.set_name(self.0.desc.fq_name.clone());
        family.set_help(self.0.desc.help.clone());
        family.set_field_type(proto::MetricType::SUMMARY);
        family.set_metric(members.collect());
        vec![family]
    }
}

/// Labels sorted by name, as the library's own metrics have them.
pub(super) fn pairs(names: &[String], values: &[String]) -> Vec<proto::LabelPair> {
    let mut pairs: Vec<_> = names
        .iter()
        .zip(values)
        .map(|(name, value)| {
            let mut pair = proto::LabelPair::default();
            pair.set_name(name.clone());
            pair.set_value(value.clone());
            pair
        })
        .collect();
    pairs.sort_by(|a, b| a.name().cmp(b.name()));
    pairs
}

/// One summary: count and sum for ever, quantiles over the last ten minutes.
pub(super) struct Summary(Mutex<State>);

struct State {
    count: u64,
    sum: f64,
    /// The newest slot is the last.
    slots: [Histogram<u32>; SLOTS],
    newest_since: Instant,
}

impl Summary {
    fn new(now: Instant) -> Self {
        let slots = std::array::from_fn(|_| {
            Histogram::new_with_bounds(1, LONGEST, 2).expect("bounds and precision are constants in the allowed range")
        });
        Self(Mutex::new(State { count: 0, sum: 0.0, slots, newest_since: now }))
    }

    /// Adds one observation.
    pub(super) fn observe(&self, took: Duration) {
        self.observe_at(took, Instant::now());
    }

    fn observe_at(&self, took: Duration, now: Instant) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.turn(now);
        state.count += 1;
        state.sum += took.as_secs_f64();
        state.slots[SLOTS - 1].saturating_record((took.as_micros() as u64).max(1));
    }

    fn read(&self, now: Instant) -> proto::Summary {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.turn(now);
        let mut all = state.slots[0].clone();
        for slot in &state.slots[1..] {
            all.add(slot).expect("slots have the same bounds");
        }
        let quantiles = names::SELDON_QUANTILES.iter().map(|&q| {
            let mut quantile = proto::Quantile::default();
            quantile.set_quantile(q);
            quantile.set_value(if all.is_empty() { f64::NAN } else { all.value_at_quantile(q) as f64 / 1e6 });
            quantile
        });
        let mut summary = proto::Summary::default();
        summary.set_quantile(quantiles.collect());
        summary.set_sample_count(state.count);
        summary.set_sample_sum(state.sum);
        summary
    }
}

impl State {
    fn turn(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.newest_since).as_secs() / SLOT.as_secs();
        for _ in 0..passed.min(SLOTS as u64) {
            self.slots.rotate_left(1);
            self.slots[SLOTS - 1].reset();
        }
        self.newest_since += SLOT * passed as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_forget_after_ten_minutes_and_the_sum_does_not() {
        let start = Instant::now();
        let summary = Summary::new(start);
        for millis in 1..=100 {
            summary.observe_at(Duration::from_millis(millis), start);
        }
        let read = summary.read(start + Duration::from_mins(9));
        let value = |at: usize| read.get_quantile()[at].value();
        assert!((value(0) - 0.050).abs() < 0.001, "median {}", value(0));
        assert!((value(5) - 0.100).abs() < 0.002, "maximum {}", value(5));

        let later = summary.read(start + Duration::from_mins(11));
        assert!(later.get_quantile()[0].value().is_nan());
        assert_eq!(later.sample_count(), 100);
        assert!((later.sample_sum() - 5.05).abs() < 1e-9);
    }
}
