//! What an operator types: arguments to actions, one file a subcommand.
//!
//! Not for settings: what flags and files mean is decided in `config`.

pub mod args;
mod check;
mod check_online;
pub mod demo;
pub mod dlq;
pub mod exit;
mod graph;
mod load;
pub mod logging;
mod predict;
mod run;

use std::ffi::OsString;

use args::{Action, Parsed};
use exit::Exit;

/// Does what the arguments say and returns the exit code.
pub fn main(arguments: Vec<OsString>) -> u8 {
    match args::parse(arguments) {
        Parsed::Text { text, exit } => {
            if exit == Exit::Done {
                print(&text);
            } else {
                print_error(&text);
            }
            exit.into()
        }
        Parsed::Action(Action::Run(source)) => run::run(&source),
        Parsed::Action(Action::Check(arguments)) => check::check(&arguments),
        Parsed::Action(Action::Graph(arguments)) => graph::graph(&arguments),
        Parsed::Action(Action::Predict(arguments)) => predict::predict(&arguments),
        Parsed::Action(Action::Dlq(arguments)) => dlq::dlq(&arguments),
        Parsed::Action(Action::Demo(arguments)) => run::demo(&arguments),
    }
}

/// Writes to standard output. A reader that went away is no fault of ours.
fn print(text: &str) {
    use std::io::Write;
    writeln!(std::io::stdout().lock(), "{}", text.trim_end()).ok();
}

/// The same to standard error.
fn print_error(text: &str) {
    use std::io::Write;
    writeln!(std::io::stderr().lock(), "{}", text.trim_end()).ok();
}
