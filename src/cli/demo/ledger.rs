//! What was sent and what came back: whether anything is lost, and how long it took. Pure.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// Seconds over which the shown rates and latencies are taken.
const WINDOW: u64 = 10;
/// Longest time told apart, in microseconds.
const LONGEST: u64 = 600_000_000;

/// The books of the demo.
pub(super) struct Ledger {
    start: Instant,
    open: HashMap<u64, (Instant, f64)>,
    /// Numbers below were given out.
    next: u64,
    unsent: u64,
    totals: Totals,
    all: Histogram<u64>,
    seconds: VecDeque<Second>,
    /// The second of the first request, which is not a full one; rates begin after it.
    first: Option<u64>,
}

/// How it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) sent: u64,
    pub(super) answered: u64,
    pub(super) dead_lettered: u64,
    /// Answers after the first.
    pub(super) duplicated: u64,
    /// Answers with another value than the models give.
    pub(super) wrong: u64,
    /// Records on the output that answer nothing.
    pub(super) unknown: u64,
    /// Neither answered nor dead-lettered yet; at the end: lost.
    pub(super) open: u64,
}

struct Second {
    /// Number of the second since the start.
    at: u64,
    sent: u64,
    latencies: Histogram<u64>,
}

/// Median, 90th and 99th percentile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Latency {
    pub(super) p50: Duration,
    pub(super) p90: Duration,
    pub(super) p99: Duration,
    pub(super) max: Duration,
}

/// What is shown of the last seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Recent {
    pub(super) sent_per_second: f64,
    pub(super) answered_per_second: f64,
    pub(super) latency: Latency,
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, 3).expect("bounds and precision are constants in the allowed range")
}

impl Ledger {
    pub(super) fn new(start: Instant) -> Self {
        Self {
            start,
            open: HashMap::new(),
            next: 0,
            unsent: 0,
            totals: Totals::default(),
            all: histogram(),
            seconds: VecDeque::new(),
            first: None,
        }
    }

    /// A request is about to be sent, whose answer should be `expected`. Its number.
    pub(super) fn send(&mut self, expected: f64, now: Instant) -> u64 {
        let id = self.next;
        self.next += 1;
        self.open.insert(id, (now, expected));
        let second = self.second(now);
        second.sent += 1;
        let at = second.at;
        self.first.get_or_insert(at);
        id
    }

    /// It was not sent after all.
    pub(super) fn take_back(&mut self, id: u64) {
        if self.open.remove(&id).is_some() {
            self.unsent += 1;
        }
    }

    /// A record on the output topic. `id` and `value` as far as they could be read.
    pub(super) fn answered(&mut self, id: Option<u64>, value: Option<f64>, now: Instant) {
        let Some(id) = id.filter(|&id| id < self.next) else {
            self.totals.unknown += 1;
            return;
        };
        let Some((sent, expected)) = self.open.remove(&id) else {
            self.totals.duplicated += 1;
            return;
        };
        self.totals.answered += 1;
        // Sums of few small numbers: exact but for the last digits.
        if value.is_none_or(|value| (value - expected).abs() > 1e-6) {
            self.totals.wrong += 1;
        }
        let micros = (now.saturating_duration_since(sent).as_micros() as u64).max(1);
        self.all.saturating_record(micros);
        self.second(now).latencies.saturating_record(micros);
    }

    /// A record on the dead-letter topic.
    pub(super) fn dead_lettered(&mut self, id: Option<u64>) {
        match id {
            Some(id) if self.open.remove(&id).is_some() => self.totals.dead_lettered += 1,
            Some(id) if id < self.next => self.totals.duplicated += 1,
            _ => self.totals.unknown += 1,
        }
    }

    /// How it stands.
    pub(super) fn totals(&self) -> Totals {
        Totals { sent: self.next - self.unsent, open: self.open.len() as u64, ..self.totals }
    }

    /// Latency of everything that was answered.
    pub(super) fn latency(&self) -> Latency {
        latency(&self.all)
    }

    /// The last full seconds before `now`.
    pub(super) fn recent(&mut self, now: Instant) -> Recent {
        self.second(now);
        let first = self.first.unwrap_or(u64::MAX);
        let full = self.seconds.iter().rev().skip(1).take_while(|second| second.at > first);
        let mut all = histogram();
        let (mut seconds, mut sent) = (0.0, 0.0);
        for second in full {
            seconds += 1.0;
            sent += second.sent as f64;
            all.add(&second.latencies).expect("both have the same bounds");
        }
        let per = |count: f64| if seconds > 0.0 { count / seconds } else { 0.0 };
        Recent { sent_per_second: per(sent), answered_per_second: per(all.len() as f64), latency: latency(&all) }
    }

    /// The books of this second; those before the window are closed.
    fn second(&mut self, now: Instant) -> &mut Second {
        let at = now.saturating_duration_since(self.start).as_secs();
        let oldest = at.saturating_sub(WINDOW);
        let next = self.seconds.back().map_or(at, |newest| newest.at + 1);
        for at in next.max(oldest)..=at {
            self.seconds.push_back(Second { at, sent: 0, latencies: histogram() });
        }
        self.seconds.retain(|second| second.at >= oldest);
        self.seconds.back_mut().expect("the newest one is never closed")
    }
}

fn latency(histogram: &Histogram<u64>) -> Latency {
    let at = |quantile| Duration::from_micros(histogram.value_at_quantile(quantile));
    Latency { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: Duration::from_micros(histogram.max()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_is_answered_dead_lettered_or_open() {
        let now = Instant::now();
        let mut ledger = Ledger::new(now);
        let ids: Vec<_> = (0..5).map(|n| ledger.send(f64::from(n), now)).collect();
        ledger.answered(Some(ids[0]), Some(0.0), now);
        ledger.answered(Some(ids[0]), Some(0.0), now);
        ledger.answered(Some(ids[1]), Some(7.0), now);
        ledger.dead_lettered(Some(ids[2]));
        ledger.take_back(ids[3]);
        ledger.answered(Some(99), None, now);
        ledger.answered(None, None, now);
        let expected = Totals { sent: 4, answered: 2, dead_lettered: 1, duplicated: 1, wrong: 1, unknown: 2, open: 1 };
        assert_eq!(ledger.totals(), expected);
    }

    #[test]
    fn rates_and_latencies_are_of_the_last_seconds() {
        let start = Instant::now();
        let mut ledger = Ledger::new(start);
        for tick in 0..300_u32 {
            let now = start + Duration::from_millis(100) * tick;
            let id = ledger.send(1.0, now);
            let took = if tick < 100 { 900 } else { 20 };
            ledger.answered(Some(id), Some(1.0), now + Duration::from_millis(took));
        }
        let recent = ledger.recent(start + Duration::from_millis(29_950));
        assert!((recent.sent_per_second - 10.0).abs() < 0.01, "{recent:?}");
        assert!((recent.answered_per_second - 10.0).abs() < 0.2, "{recent:?}");
        assert!(recent.latency.p99 < Duration::from_millis(21), "{recent:?}");
        assert!(ledger.latency().p90 > Duration::from_millis(800));
        let quiet = ledger.recent(start + Duration::from_mins(2));
        assert_eq!(quiet, Recent::default());
    }
}
