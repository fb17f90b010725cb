//! Runs the command line: arguments, configuration, run, exit code.

fn main() {}
