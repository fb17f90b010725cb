//! Runs the command line: arguments, configuration, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(millrace::cli::main(std::env::args_os().collect()))
}
