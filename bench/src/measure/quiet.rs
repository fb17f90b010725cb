//! What costs without records: the start, and doing nothing.

use std::time::Duration;

use super::Found;
use super::setup::Bench;
use crate::Result;
use crate::cells::{Cell, IDLE, PEAK, READY, SIZE, Subject};
use crate::process::pause;

/// Until the last of the start is over.
const SETTLED: Duration = Duration::from_secs(5);

/// Processor time while nothing comes.
pub(super) fn idle(bench: &Bench, cell: &Cell, subject: &Subject) -> Result<Found> {
    let models = bench.models(cell)?;
    let topics = bench.topics(cell, subject)?;
    let mut running = bench.start(cell, subject, &topics, &models)?;
    running.ready()?;
    pause(SETTLED);
    let (before, time) = (running.process.cpu()?, Duration::from_secs(bench.amount(subject)));
    pause(time);
    let cpu = running.process.cpu()?.saturating_sub(before);
    let mut found = Found::default();
    found.metrics.insert(IDLE, 100.0 * cpu.as_secs_f64() / time.as_secs_f64());
    found.metrics.insert(PEAK, running.process.memory()?.1 as f64 / 1e6);
    running.process.stop();
    Ok(found)
}

/// Time until ready, with a model that is up; and the size of the binary.
pub(super) fn start(bench: &Bench, cell: &Cell, subject: &Subject) -> Result<Found> {
    let models = bench.models(cell)?;
    let topics = bench.topics(cell, subject)?;
    let mut running = bench.start(cell, subject, &topics, &models)?;
    running.ready()?;
    let mut found = Found::default();
    found.metrics.insert(READY, running.process.age().as_secs_f64());
    found.metrics.insert(SIZE, std::fs::metadata(&bench.millrace)?.len() as f64 / 1e6);
    running.process.stop();
    Ok(found)
}
