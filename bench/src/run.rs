//! The run: cell by cell, its subjects taking turns, so that whatever else the machine does meets them alike.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use serde_json::json;

use crate::Result;
use crate::cells::{Cell, cells};
use crate::machine::Machine;
use crate::measure::{Bench, measure};
use crate::report::Results;

#[derive(Args)]
pub(crate) struct Options {
    /// Only cells whose names begin with one of these, comma separated
    #[arg(long, value_delimiter = ',')]
    cells: Vec<String>,
    /// Only these subjects of the cells, comma separated
    #[arg(long, value_delimiter = ',')]
    subjects: Vec<String>,
    /// How often each subject is measured; the medians count
    #[arg(long, default_value_t = 3)]
    runs: u32,
    /// Fewer records and fewer cells
    #[arg(long)]
    quick: bool,
    /// The service's program
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/release/millrace"))]
    millrace: PathBuf,
    /// Where the results go
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bench/results.json"))]
    out: PathBuf,
    /// Lists the cells and ends
    #[arg(long)]
    list: bool,
}

/// Says whether no guarantee was broken; a target that was missed is only shown.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let chosen = chosen(options)?;
    if options.list {
        for cell in &chosen {
            println!("{:20} {}", cell.name, cell.about);
        }
        return Ok(true);
    }
    let machine = Machine::look(&options.millrace);
    println!("{}\n", machine.text());
    let bench = Bench::new(options.millrace.clone(), options.quick)?;
    let begun = Instant::now();
    let (mut done, mut broken) = (Vec::new(), Vec::new());
    for cell in chosen {
        let results = one(&bench, cell, options.runs);
        println!("{}", results.text());
        broken.extend(results.broken());
        done.push(results.json());
        let all = json!({"machine": machine, "quick": options.quick, "runs": options.runs, "cells": done});
        write(&options.out, &all)?;
    }
    println!("took {} s; results in {}", begun.elapsed().as_secs(), options.out.display());
    for each in &broken {
        println!("BROKEN {each}");
    }
    Ok(broken.is_empty())
}

fn chosen(options: &Options) -> Result<Vec<Cell>> {
    let all = cells();
    let names = |name: &str| options.cells.iter().any(|begin| name.starts_with(begin.as_str()));
    if let Some(unknown) = options.cells.iter().find(|begin| !all.iter().any(|c| c.name.starts_with(begin.as_str()))) {
        let known: Vec<_> = all.iter().map(|cell| cell.name).collect();
        return Err(format!("no cell begins with {unknown}; there are {}", known.join(", ")).into());
    }
    let wanted = |cell: &Cell| if options.cells.is_empty() { cell.quick || !options.quick } else { names(cell.name) };
    let mut chosen: Vec<_> = all.into_iter().filter(wanted).collect();
    if !options.subjects.is_empty() {
        for cell in &mut chosen {
            cell.subjects.retain(|subject| options.subjects.iter().any(|name| name == subject.name));
        }
        chosen.retain(|cell| !cell.subjects.is_empty());
    }
    Ok(chosen)
}

fn one(bench: &Bench, cell: Cell, runs: u32) -> Results {
    let mut results = Results::new(cell);
    for run in 1..=runs {
        for at in 0..results.cell.subjects.len() {
            let (cell, subject) = (&results.cell, &results.cell.subjects[at]);
            let begun = Instant::now();
            let found = measure(bench, cell, subject).map_err(|error| error.to_string());
            let state = if found.is_ok() { "done" } else { "failed" };
            let seconds = begun.elapsed().as_secs_f64();
            eprintln!("{} {} run {run} of {runs}: {state} in {seconds:.1} s", cell.name, subject.name);
            results.add(at, found);
        }
    }
    results
}

fn write(path: &Path, value: &serde_json::Value) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(fs::write(path, serde_json::to_string_pretty(value)? + "\n")?)
}
