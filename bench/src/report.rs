//! What was found, as a table and as JSON.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cells::{Cell, Condition, Metric, Program, Subject};
use crate::check::Verdict;
use crate::measure::Found;
use crate::stats;

/// All measurements of a cell, by subject.
pub(crate) struct Results {
    pub(crate) cell: Cell,
    runs: Vec<Vec<Result<Found, String>>>,
}

impl Results {
    pub(crate) fn new(cell: Cell) -> Self {
        let runs = cell.subjects.iter().map(|_| Vec::new()).collect();
        Self { cell, runs }
    }

    /// Adds what was found of the cell's subject number `subject`.
    pub(crate) fn add(&mut self, subject: usize, found: Result<Found, String>) {
        self.runs[subject].push(found);
    }

    fn subjects(&self) -> impl Iterator<Item = (&Subject, &[Result<Found, String>])> {
        self.cell.subjects.iter().zip(self.runs.iter().map(Vec::as_slice))
    }

    fn median(&self, subject: &str, metric: Metric) -> Option<f64> {
        let (_, runs) = self.subjects().find(|(each, _)| each.name == subject)?;
        medians(runs).get(metric).copied()
    }

    /// What a guarantee of the service forbids.
    pub(crate) fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        for (subject, runs) in self.subjects().filter(|(subject, _)| subject.program == Program::Millrace) {
            for verdict in runs.iter().flatten().map(|found| found.verdict) {
                let disordered = if subject.order == "none" { 0 } else { verdict.disordered };
                if (Verdict { disordered, ..verdict }) != Verdict::default() {
                    broken.push(format!("{} {}: {}", self.cell.name, subject.name, counts(verdict)));
                }
            }
        }
        broken
    }

    /// The cell's part of the table.
    pub(crate) fn text(&self) -> String {
        let mut lines = vec![format!("{}: {}", self.cell.name, self.cell.about)];
        for (subject, runs) in self.subjects() {
            let mut words: Vec<_> =
                medians(runs).iter().map(|(metric, value)| format!("{metric} {}", short(*value))).collect();
            let verdicts = runs.iter().flatten().map(|found| found.verdict);
            words.extend(verdicts.filter(|verdict| *verdict != Verdict::default()).map(counts));
            lines.push(format!("  {:14} {}", subject.name, words.join("  ")));
            for error in runs.iter().filter_map(|run| run.as_ref().err()) {
                lines.push(format!("    failed: {}", error.lines().collect::<Vec<_>>().join("\n      ")));
            }
        }
        for target in &self.cell.targets {
            let conditions: Vec<_> = target.0.iter().map(|condition| self.condition(condition)).collect();
            lines.push(format!("  {:6} {}", word(self.met(target)), conditions.join(", or ")));
        }
        lines.join("\n") + "\n"
    }

    fn condition(&self, condition: &Condition) -> String {
        let value = self.value(condition);
        format!("{}: {}", condition.text(), value.map_or("not measured".to_owned(), short))
    }

    fn value(&self, condition: &Condition) -> Option<f64> {
        condition.value(&|subject: &str, metric| self.median(subject, metric))
    }

    fn met(&self, target: &crate::cells::Target) -> Option<bool> {
        let values = target.0.iter().map(|condition| Some(condition.bound.holds(self.value(condition)?)));
        let known: Vec<_> = values.flatten().collect();
        (!known.is_empty()).then(|| known.contains(&true))
    }

    /// All of it.
    pub(crate) fn json(&self) -> Value {
        let subjects = self.subjects().map(|(subject, runs)| {
            let runs_json = runs.iter().map(|run| match run {
                Ok(found) => json!({
                    "metrics": found.metrics,
                    "lost": found.verdict.lost,
                    "repeated": found.verdict.repeated,
                    "disordered": found.verdict.disordered,
                    "foreign": found.verdict.foreign,
                    "memory_mb": found.memory,
                }),
                Err(error) => json!({"error": error}),
            });
            let runs_json = runs_json.collect::<Vec<_>>();
            json!({
                "name": subject.name,
                "order": subject.order,
                "partitions": subject.partitions,
                "medians": medians(runs),
                "runs": runs_json,
            })
        });
        let subjects = subjects.collect::<Vec<_>>();
        let targets = self.cell.targets.iter().map(|target| {
            let conditions =
                target.0.iter().map(|condition| json!({"condition": condition.text(), "value": self.value(condition)}));
            json!({"any_of": conditions.collect::<Vec<_>>(), "met": self.met(target)})
        });
        let targets = targets.collect::<Vec<_>>();
        json!({
            "name": self.cell.name,
            "about": self.cell.about,
            "format": self.cell.format,
            "keys": self.cell.keys,
            "in_flight": self.cell.in_flight,
            "model": self.cell.model,
            "subjects": subjects,
            "targets": targets,
        })
    }
}

fn medians(runs: &[Result<Found, String>]) -> BTreeMap<Metric, f64> {
    let mut all: BTreeMap<Metric, Vec<f64>> = BTreeMap::new();
    for (metric, value) in runs.iter().flatten().flat_map(|found| &found.metrics) {
        all.entry(metric).or_default().push(*value);
    }
    all.into_iter().filter_map(|(metric, values)| Some((metric, stats::median(&values)?))).collect()
}

fn counts(verdict: Verdict) -> String {
    let Verdict { lost, repeated, disordered, foreign } = verdict;
    format!("[{lost} lost, {repeated} repeated, {disordered} out of order, {foreign} wrong]")
}

fn word(met: Option<bool>) -> &'static str {
    match met {
        Some(true) => "met",
        Some(false) => "MISSED",
        None => "-",
    }
}

/// A number with as many digits as say something.
fn short(value: f64) -> String {
    match value.abs() {
        large if large >= 1000.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cells::{RATE, cells};

    fn found(rate: f64, verdict: Verdict) -> Found {
        Found { metrics: [(RATE, rate)].into(), verdict, ..Found::default() }
    }

    fn results(name: &str) -> Results {
        Results::new(cells().into_iter().find(|cell| cell.name == name).unwrap())
    }

    #[test]
    fn targets_are_held_against_medians() {
        let mut results = results("v2-grpc");
        for (plain, millrace) in [(1000.0, 700.0), (1000.0, 900.0), (9000.0, 900.0)] {
            results.add(0, Ok(found(plain, Verdict::default())));
            results.add(1, Ok(found(millrace, Verdict::default())));
        }
        assert!(
            results.text().contains("met    millrace records_per_second / plain >= 0.8: 0.90"),
            "{}",
            results.text()
        );
        assert_eq!(results.json()["targets"][0]["met"], true);
        assert_eq!(results.json()["subjects"][1]["runs"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn a_failed_run_is_no_number() {
        let mut results = results("v2-grpc");
        results.add(0, Ok(found(1000.0, Verdict::default())));
        results.add(1, Err("ended\nat once".to_owned()));
        assert!(results.text().contains("failed: ended"), "{}", results.text());
        assert!(results.text().contains("-      millrace"), "{}", results.text());
        assert_eq!(results.json()["targets"][0]["met"], Value::Null);
    }

    #[test]
    fn only_the_service_promises_something() {
        let lost = Verdict { lost: 1, ..Verdict::default() };
        let disordered = Verdict { disordered: 3, ..Verdict::default() };
        let broken = |name: &str, subject, verdict| {
            let mut results = results(name);
            results.add(subject, Ok(found(1.0, verdict)));
            results.broken().len()
        };
        assert_eq!(broken("v2-grpc", 0, lost), 0);
        assert_eq!(broken("v2-grpc", 1, lost), 1);
        assert_eq!(broken("v2-grpc", 1, disordered), 1);
        assert_eq!(broken("model-10ms-none", 1, disordered), 0);
        assert_eq!(broken("model-10ms-none", 1, lost), 1);
        assert_eq!(broken("v2-grpc", 1, Verdict::default()), 0);
    }
}
