//! A backlog is worked off. The subject warms up on a small backlog, stands still while the whole one is written, and goes
//! on: so that all of it is there before the first record is read, for every subject alike.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::setup::{Bench, Running};
use super::{Found, read};
use crate::Result;
use crate::cells::{CPU, Cell, GROWTH, PEAK, RATE, Subject};
use crate::kafka::Topics;
use crate::load::Load;
use crate::process::pause;
use crate::stats;

/// Without a new answer for so long, no more will come.
const STALLED: Duration = Duration::from_mins(1);
/// Transactions write markers among the answers, so the number of answers is not known until nothing more comes.
const STILL: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(20);
const LOOK_AT_MEMORY: Duration = Duration::from_millis(250);

/// What was seen while answers came.
struct Seen {
    /// Processor time at the last answer.
    cpu: Duration,
    memory: Vec<f64>,
    stalled: bool,
}

pub(super) fn drain(bench: &Bench, cell: &Cell, subject: &Subject) -> Result<Found> {
    let records = bench.amount(subject);
    let warm = (records / 10).max(1);
    let models = bench.models(cell)?;
    let topics = bench.topics(cell, subject)?;
    let mut load = Load::new(&topics, cell.format, cell.keys, 5)?;
    load.backlog(warm)?;
    let mut running = bench.start(cell, subject, &topics, &models)?;
    if watch(&mut running, subject, &topics, warm)?.stalled {
        return Err(why(&running, &topics, "it does not answer the first records"));
    }

    running.process.signal(Signal::STOP)?;
    load.backlog(records)?;
    let before = running.process.cpu()?;
    running.process.signal(Signal::CONT)?;
    let seen = watch(&mut running, subject, &topics, warm + records)?;
    let cpu = seen.cpu.saturating_sub(before);
    let (_, most) = running.process.memory()?;

    let (verdict, mut times) = read::answers(&topics, cell, subject, warm + records, warm)?;
    if verdict.lost > 0 {
        eprintln!("{}", why(&running, &topics, &format!("{} records have no answer", verdict.lost)));
    }
    let mut found = Found { verdict, memory: seen.memory, ..Found::default() };
    found.metrics.insert(CPU, cpu.as_secs_f64() * 1e6 / records as f64);
    found.metrics.insert(PEAK, megabytes(most));
    if let Some(rate) = stats::rate(&mut times) {
        found.metrics.insert(RATE, rate);
    }
    if let Some(growth) = stats::growth(&found.memory) {
        found.metrics.insert(GROWTH, growth);
    }
    running.process.stop();
    Ok(found)
}

/// Waits until so many answers are stored, or no more come.
fn watch(running: &mut Running, subject: &Subject, topics: &Topics<'_>, goal: u64) -> Result<Seen> {
    let (mut last, mut changed) = (0, Instant::now());
    let mut looked = Instant::now();
    let mut seen = Seen { cpu: running.process.cpu()?, memory: Vec::new(), stalled: false };
    loop {
        pause(LOOK);
        running.process.must_run()?;
        let answered = topics.answered()?;
        if answered != last {
            (last, changed) = (answered, Instant::now());
            seen.cpu = running.process.cpu()?;
        }
        if looked.elapsed() >= LOOK_AT_MEMORY {
            looked = Instant::now();
            seen.memory.push(megabytes(running.process.memory()?.0));
        }
        if answered >= goal as i64 && (!subject.exactly_once || changed.elapsed() >= STILL) {
            return Ok(seen);
        }
        if changed.elapsed() >= STALLED {
            seen.stalled = true;
            return Ok(seen);
        }
    }
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn why(running: &Running, topics: &Topics<'_>, what: &str) -> Box<dyn std::error::Error> {
    let dead = topics.dead_lettered().unwrap_or_default();
    let reason = read::dead_letter(topics).ok().flatten().unwrap_or_default();
    format!("{what}; {dead} dead letters {reason}; it said: {}", running.process.last_words()).into()
}
