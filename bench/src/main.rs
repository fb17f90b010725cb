//! The benchmark of millrace: against a loop written by hand and against the client library alone, on the same broker and
//! the same model servers. Model servers and what is measured are processes of their own, so that the processor time of
//! each can be told apart; all of them are sub-commands of this program. `docs/benchmarks.md` says how it measures.

#![forbid(unsafe_code)]

mod cells;
mod check;
mod format;
mod kafka;
mod keys;
mod load;
mod machine;
mod measure;
mod models;
#[path = "../../tests/support/ports.rs"]
#[allow(dead_code, unreachable_pub, reason = "the tests use the rest of it")]
mod ports;
mod process;
#[path = "../../tests/support/reaper.rs"]
#[allow(dead_code, unreachable_pub, reason = "the tests use the rest of it")]
mod reaper;
mod report;
mod run;
mod stats;
mod subject;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What can go wrong here is told to whoever ran the benchmark, and not acted upon.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[derive(Parser)]
#[command(about = "Measures millrace", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measures, prints a table and writes target/bench/results.json
    Run(run::Options),
    /// Model servers of all protocols that answer at once, or after a time
    Models(models::Options),
    /// Copies records from one topic to another: what the client library alone can do
    Copy(subject::copy::Options),
    /// The loop a good engineer writes in an afternoon: consume, call, produce
    Plain(subject::plain::Options),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run(options) => run::run(&options),
        Command::Models(options) => models::run(&options).map(|()| true),
        Command::Copy(options) => subject::copy::run(&options).map(|()| true),
        Command::Plain(options) => subject::plain::run(&options).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("millrace-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
