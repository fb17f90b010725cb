//! What is measured, and what is aimed at, as data.

mod list;

pub(crate) use list::cells;

use serde::Serialize;

use crate::format::Format;
use crate::keys::Keys;
use crate::models::Reply;

/// One question, measured within one run of the benchmark for all its subjects.
pub(crate) struct Cell {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) format: Format,
    pub(crate) keys: Keys,
    pub(crate) in_flight: u64,
    pub(crate) model: Model,
    pub(crate) measure: Measure,
    pub(crate) subjects: Vec<Subject>,
    pub(crate) targets: Vec<Target>,
    /// Whether it is part of the quick run.
    pub(crate) quick: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    /// A backlog is worked off.
    Drain,
    /// Records come at so many a second.
    Steady { per_second: u64 },
    /// Nothing comes.
    Idle,
    /// The process starts.
    Start,
}

/// The stub model server of a cell.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Model {
    pub(crate) reply: Reply,
    pub(crate) call_us: u64,
    pub(crate) row_us: u64,
    /// 0: as many as there are calls.
    pub(crate) workers: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Millrace,
    Plain,
    Copy,
}

/// A program with its settings.
#[derive(Clone, Copy)]
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) program: Program,
    pub(crate) partitions: i32,
    /// In the whole and in the quick run; seconds where the cell measures for a time.
    pub(crate) amount: [u64; 2],
    pub(crate) order: &'static str,
    pub(crate) exactly_once: bool,
    /// Rows that may be put into one call; 0: no batches.
    pub(crate) batch_rows: u64,
}

/// A number of a run, by its name in the results.
pub(crate) type Metric = &'static str;
pub(crate) const RATE: Metric = "records_per_second";
pub(crate) const CPU: Metric = "cpu_us_per_record";
pub(crate) const PEAK: Metric = "peak_mb";
pub(crate) const GROWTH: Metric = "memory_growth";
pub(crate) const P50: Metric = "p50_ms";
pub(crate) const P90: Metric = "p90_ms";
pub(crate) const P99: Metric = "p99_ms";
pub(crate) const P999: Metric = "p999_ms";
pub(crate) const IDLE: Metric = "idle_percent_of_core";
pub(crate) const READY: Metric = "ready_seconds";
pub(crate) const SIZE: Metric = "binary_mb";

/// What is aimed at: one of the conditions is enough.
pub(crate) struct Target(pub(crate) Vec<Condition>);

/// A number of a subject, itself or divided by the smallest of the bases, against a bound.
pub(crate) struct Condition {
    pub(crate) subject: &'static str,
    pub(crate) metric: Metric,
    pub(crate) over: Vec<Base>,
    pub(crate) bound: Bound,
}

#[derive(Clone, Copy)]
pub(crate) enum Base {
    /// The same number of another subject.
    Of(&'static str),
    Number(f64),
}

#[derive(Clone, Copy)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    pub(crate) fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }
}

impl Condition {
    /// Its value, where `median` knows the numbers.
    pub(crate) fn value(&self, median: &impl Fn(&str, Metric) -> Option<f64>) -> Option<f64> {
        let value = median(self.subject, self.metric)?;
        if self.over.is_empty() {
            return Some(value);
        }
        let mut base = f64::INFINITY;
        for each in &self.over {
            base = base.min(match each {
                Base::Of(subject) => median(subject, self.metric)?,
                Base::Number(number) => *number,
            });
        }
        Some(value / base)
    }

    /// As the table shows it.
    pub(crate) fn text(&self) -> String {
        let over = self.over.iter().map(|base| match base {
            Base::Of(subject) => (*subject).to_owned(),
            Base::Number(number) => number.to_string(),
        });
        let over = over.collect::<Vec<_>>();
        let over = match &over[..] {
            [] => String::new(),
            [one] => format!(" / {one}"),
            many => format!(" / min({})", many.join(", ")),
        };
        let (sign, bound) = match self.bound {
            Bound::AtLeast(bound) => (">=", bound),
            Bound::AtMost(bound) => ("<=", bound),
        };
        format!("{} {}{over} {sign} {bound}", self.subject, self.metric)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(subject: &str, metric: Metric) -> Option<f64> {
        (metric == RATE).then_some(())?;
        match subject {
            "millrace" => Some(900.0),
            "plain" => Some(1500.0),
            _ => None,
        }
    }

    #[test]
    fn a_ratio_is_to_the_smallest_base() {
        let over = vec![Base::Of("plain"), Base::Number(1000.0)];
        let condition = Condition { subject: "millrace", metric: RATE, over, bound: Bound::AtLeast(0.95) };
        assert_eq!(condition.value(&numbers), Some(0.9));
        assert!(!condition.bound.holds(0.9) && condition.bound.holds(0.95));
        assert_eq!(condition.text(), "millrace records_per_second / min(plain, 1000) >= 0.95");
    }

    #[test]
    fn what_was_not_measured_has_no_value() {
        let value =
            |subject, over| Condition { subject, metric: RATE, over, bound: Bound::AtMost(1.0) }.value(&numbers);
        assert_eq!(value("copy", vec![]), None);
        assert_eq!(value("plain", vec![Base::Of("copy")]), None);
        assert_eq!(value("plain", vec![]), Some(1500.0));
    }

    #[test]
    fn every_target_names_a_subject_of_its_cell() {
        for cell in cells() {
            let is_known = |name: &str| cell.subjects.iter().any(|subject| subject.name == name);
            for condition in cell.targets.iter().flat_map(|target| &target.0) {
                assert!(is_known(condition.subject), "{}: {}", cell.name, condition.text());
                for base in &condition.over {
                    assert!(!matches!(base, Base::Of(name) if !is_known(name)), "{}: {}", cell.name, condition.text());
                }
            }
        }
    }
}
