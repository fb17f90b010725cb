//! Records come at a rate. Each answer's time is counted from when its request was due, so that a request that had to be
//! written late counts as late too.

use std::thread;
use std::time::{Duration, Instant};

use super::Found;
use super::read::{Reader, key, seq_of};
use super::setup::Bench;
use crate::Result;
use crate::cells::{CPU, Cell, P50, P90, P99, P999, PEAK, Subject};
use crate::check::Check;
use crate::kafka::{PATIENCE, Topics};
use crate::load::Load;
use crate::stats::Latencies;

/// Written before the subject starts, to see that it answers.
const FIRST: u64 = 100;
/// Seconds at the rate that are not counted.
const RUN_UP: u64 = 3;

pub(super) fn steady(bench: &Bench, cell: &Cell, subject: &Subject, per_second: u64) -> Result<Found> {
    let run_up = RUN_UP * per_second;
    let records = run_up + bench.amount(subject) * per_second;
    let models = bench.models(cell)?;
    let topics = bench.topics(cell, subject)?;
    let mut load = Load::new(&topics, cell.format, cell.keys, 0)?;
    load.backlog(FIRST)?;
    let mut running = bench.start(cell, subject, &topics, &models)?;
    let mut answers = Answers::new(&topics, cell, subject, FIRST + records)?;
    answers.take_until(FIRST, Instant::now() + PATIENCE, |_| {});
    running.process.must_run()?;

    let before = running.process.cpu()?;
    let begun = Instant::now();
    let end = begun + Duration::from_secs(records / per_second) + PATIENCE;
    let mut latencies = Latencies::default();
    let sent = thread::scope(|scope| {
        // Errors are told as texts, which may cross threads.
        let load = &mut load;
        let sending = scope.spawn(move || load.steady(records, per_second, begun).map_err(|error| error.to_string()));
        answers.take_until(FIRST + records, end, |seq| {
            if let Some(number) = seq.checked_sub(FIRST).filter(|number| *number >= run_up) {
                let due = begun + Duration::from_nanos(number * 1_000_000_000 / per_second);
                latencies.add(due.elapsed());
            }
        });
        sending.join()
    });
    sent.map_err(|_| "the load panicked")??;

    let cpu = running.process.cpu()?.saturating_sub(before);
    let mut found = Found { verdict: answers.check.verdict(), ..Found::default() };
    found.metrics.insert(CPU, cpu.as_secs_f64() * 1e6 / records as f64);
    found.metrics.insert(PEAK, running.process.memory()?.1 as f64 / 1e6);
    for (metric, quantile) in [(P50, 0.5), (P90, 0.9), (P99, 0.99), (P999, 0.999)] {
        found.metrics.insert(metric, latencies.milliseconds(quantile));
    }
    running.process.stop();
    Ok(found)
}

/// The answers as they arrive.
struct Answers<'a> {
    reader: Reader,
    check: Check,
    cell: &'a Cell,
}

impl<'a> Answers<'a> {
    fn new(topics: &Topics<'_>, cell: &'a Cell, subject: &Subject, records: u64) -> Result<Self> {
        let reader = Reader::new(topics, &topics.output, topics.partitions, subject.exactly_once)?;
        Ok(Self { reader, check: Check::new(records), cell })
    }

    /// Takes answers until so many records have one, or it is too late.
    fn take_until(&mut self, answered: u64, end: Instant, mut first: impl FnMut(u64)) {
        while self.check.answered() < answered && Instant::now() < end {
            if let Some(message) = self.reader.next(Duration::from_millis(100)) {
                let seq = seq_of(self.cell.format, &message);
                if self.check.answer(key(&message), seq)
                    && let Some(seq) = seq
                {
                    first(seq);
                }
            }
        }
    }
}
