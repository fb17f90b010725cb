//! The verdict: what became of every request that was sent.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::time::{Duration, Instant};

use super::collect::{Collector, Record};
use super::load::Sent;
use super::requests::read_answer;

/// How the requests ended, by id.
#[derive(Debug, Default)]
pub struct Report {
    pub sent: usize,
    pub answered: usize,
    pub dead_lettered: Vec<String>,
    /// Neither answered nor dead-lettered.
    pub lost: Vec<String>,
    /// Answered more than once.
    pub duplicated: Vec<String>,
    /// Answers beyond the first of each request.
    pub extra: usize,
    /// Answers that came for the first time after a later request of the same key had been answered.
    pub out_of_order: Vec<String>,
    /// Answers that are not what the models make of the request, and why.
    pub wrong: Vec<String>,
    /// Records of the output and dead-letter topic that belong to no request.
    pub unknown: Vec<String>,
}

/// What the chain of models makes of a request's number.
pub type Expected = fn(u64) -> u64;

/// Puts what was sent against what came out.
pub fn check(sent: &[Sent], output: &[Record], dead: &[Record], expected: Expected) -> Report {
    let by_id: HashMap<&str, &Sent> = sent.iter().map(|s| (s.id.as_str(), s)).collect();
    let mut report = Report { sent: sent.len(), ..Report::default() };

    let mut copies: HashMap<&str, usize> = HashMap::new();
    let mut partition_of_key: HashMap<&str, i32> = HashMap::new();
    let mut newest: HashMap<&str, u64> = HashMap::new();
    let mut ordered: Vec<&Record> = output.iter().collect();
    ordered.sort_by_key(|record| record.place);
    for record in ordered {
        let Some(request) = record.header("Seldon-Puid").and_then(|id| by_id.get(id.as_str()).copied()) else {
            report.unknown.push(format!("output {:?}: {:.120}", record.place, record.text()));
            continue;
        };
        let count = copies.entry(&request.id).or_default();
        *count += 1;
        if *count > 1 {
            report.extra += 1;
            if *count == 2 {
                report.duplicated.push(request.id.clone());
            }
            continue;
        }
        if let Err(why) = compare(request, record, expected) {
            report.wrong.push(format!("{}: {why}", request.id));
        }
        let home = *partition_of_key.entry(&request.key).or_insert(record.place.partition);
        if home != record.place.partition {
            report
                .out_of_order
                .push(format!("{} is in partition {} instead of {home}", request.id, record.place.partition));
        }
        let newest = newest.entry(&request.key).or_insert(request.seq);
        if request.seq < *newest {
            report.out_of_order.push(format!("{} came after number {newest} of key {}", request.id, request.key));
        }
        *newest = request.seq.max(*newest);
    }

    let mut buried: BTreeSet<&str> = BTreeSet::new();
    for record in dead {
        let id = record.header("Seldon-Puid").or_else(|| Some(read_answer(&record.text()).ok()?.id));
        match id.and_then(|id| by_id.get(id.as_str()).copied()) {
            Some(request) => {
                buried.insert(&request.id);
            }
            None => report.unknown.push(format!("dead letter {:?}: {:.120}", record.place, record.text())),
        }
    }

    report.answered = copies.len();
    report.dead_lettered = buried.iter().map(|id| (*id).to_owned()).collect();
    let is_lost = |s: &&Sent| !copies.contains_key(s.id.as_str()) && !buried.contains(s.id.as_str());
    report.lost = sent.iter().filter(is_lost).map(|s| format!("{} {:?}", s.id, s.place)).collect();
    report
}

/// Why a record is not the answer of a request, if so.
pub fn compare(request: &Sent, record: &Record, expected: Expected) -> Result<(), String> {
    let answer = read_answer(&record.text())?;
    let wanted = expected(request.n);
    if (answer.id.as_str(), answer.key.as_str(), answer.seq) != (&request.id, &request.key, request.seq) {
        Err(format!("answers {} with key {} and number {}", answer.id, answer.key, answer.seq))
    } else if answer.n != wanted {
        Err(format!("n is {} instead of {wanted}", answer.n))
    } else if !answer.changed.is_empty() {
        Err(format!("the text of {:?} has changed: {:.300}", answer.changed, record.text()))
    } else if record.key_text().as_ref() != Some(&request.key) {
        Err(format!("the record's key is {:?} instead of {}", record.key_text(), request.key))
    } else {
        Ok(())
    }
}

/// Reads the output until every request has an answer or a dead letter, then both topics to their ends.
#[track_caller]
pub fn gather(
    sent: &[Sent],
    output: &mut Collector,
    dead: &mut Collector,
    limit: Duration,
    expected: Expected,
) -> Report {
    let mut missing: HashSet<&str> = sent.iter().map(|s| s.id.as_str()).collect();
    let end = Instant::now() + limit;
    let (mut seen_output, mut seen_dead) = (0, 0);
    while !missing.is_empty() && Instant::now() < end {
        let known = (output.records.len(), dead.records.len());
        output.read_until(Duration::from_millis(200), |records| records.len() > known.0);
        dead.read_until(Duration::ZERO, |records| records.len() > known.1);
        for (collector, seen) in [(&*output, &mut seen_output), (&*dead, &mut seen_dead)] {
            for record in &collector.records[*seen..] {
                if let Some(id) = record.header("Seldon-Puid") {
                    missing.remove(id.as_str());
                }
            }
            *seen = collector.records.len();
        }
    }
    output.read_to_end();
    dead.read_to_end();
    check(sent, &output.records, &dead.records, expected)
}

impl Report {
    /// Every request answered or dead-lettered, answers right and nothing unknown.
    #[track_caller]
    pub fn none_lost(&self) -> &Self {
        let clean = self.lost.is_empty() && self.wrong.is_empty() && self.unknown.is_empty();
        assert!(clean, "requests were lost or answered wrongly\n{self}");
        self
    }

    #[track_caller]
    pub fn none_dead_lettered(&self) -> &Self {
        assert!(self.dead_lettered.is_empty(), "requests were dead-lettered\n{self}");
        self
    }

    #[track_caller]
    pub fn in_order(&self) -> &Self {
        assert!(self.out_of_order.is_empty(), "answers of a key are out of order\n{self}");
        self
    }

    #[track_caller]
    pub fn none_duplicated(&self) -> &Self {
        self.at_most_duplicated(0)
    }

    /// No more extra answers than what may have been under way.
    #[track_caller]
    pub fn at_most_duplicated(&self, bound: usize) -> &Self {
        assert!(self.extra <= bound, "more than {bound} extra answers\n{self}");
        self
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>9} sent\n{:>9} answered", self.sent, self.answered)?;
        writeln!(f, "{:>9} extra answers", self.extra)?;
        let lists = [
            ("lost", &self.lost),
            ("dead-lettered", &self.dead_lettered),
            ("duplicated", &self.duplicated),
            ("out of order", &self.out_of_order),
            ("wrong", &self.wrong),
            ("unknown", &self.unknown),
        ];
        for (name, list) in lists {
            write!(f, "{:>9} {name}", list.len())?;
            for item in list.iter().take(5) {
                write!(f, "\n{:12}{item}", "")?;
            }
            writeln!(f, "{}", if list.len() > 5 { "\n            ..." } else { "" })?;
        }
        Ok(())
    }
}
