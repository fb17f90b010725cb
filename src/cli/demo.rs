//! `millrace demo`.

use slog::Logger;

use super::args::DemoArgs;
use super::exit::Exit;

/// Runs the demo and returns the exit code.
pub fn run(_arguments: &DemoArgs, _log: &Logger) -> u8 {
    Exit::Done.into()
}
