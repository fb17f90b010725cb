//! How one subject of one cell is measured once.

mod drain;
mod quiet;
mod read;
mod setup;
mod steady;

pub(crate) use setup::Bench;

use std::collections::BTreeMap;

use crate::Result;
use crate::cells::{Cell, Measure, Metric, Subject};
use crate::check::Verdict;

/// What one measurement found.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) metrics: BTreeMap<Metric, f64>,
    pub(crate) verdict: Verdict,
    /// Resident megabytes over time, where they are looked at.
    pub(crate) memory: Vec<f64>,
}

pub(crate) fn measure(bench: &Bench, cell: &Cell, subject: &Subject) -> Result<Found> {
    match cell.measure {
        Measure::Drain => drain::drain(bench, cell, subject),
        Measure::Steady { per_second } => steady::steady(bench, cell, subject, per_second),
        Measure::Idle => quiet::idle(bench, cell, subject),
        Measure::Start => quiet::start(bench, cell, subject),
    }
}
