//! `millrace dlq`: dead letters listed, shown, counted and sent again.
//!
//! Not for the reading and writing itself: `kafka::replay` does it.

pub mod args;
mod count;
mod describe;
mod desk;
mod filter;
mod list;
mod pace;
mod progress;
mod replay;
mod show;
mod table;

use args::{DlqArgs, DlqVerb};

use super::exit::Exit;
use super::print_error;

/// What ends a command before its end, and the exit code for it.
struct Problem {
    exit: Exit,
    text: String,
}

impl Problem {
    fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self { exit, text: text.into() }
    }

    fn unavailable(error: impl std::fmt::Display) -> Self {
        Self::new(Exit::Unavailable, error.to_string())
    }
}

/// Does what the arguments say and returns the exit code.
pub(super) fn dlq(arguments: &DlqArgs) -> u8 {
    let done = match &arguments.verb {
        DlqVerb::List(arguments) => list::list(arguments),
        DlqVerb::Show(arguments) => show::show(arguments),
        DlqVerb::Count(arguments) => count::count(arguments),
        DlqVerb::Replay(arguments) => replay::replay(arguments),
    };
    match done {
        Ok(exit) => exit.into(),
        Err(problem) => {
            print_error(&format!("millrace: {}", problem.text));
            problem.exit.into()
        }
    }
}
