//! Runs the command line: arguments, configuration, run, exit code.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// For the client library in C too. A call's buffers are larger than what the C library's allocator takes the quick way, and
/// what a burst needed goes back to the system when it is over.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    ExitCode::from(millrace::cli::main(std::env::args_os().collect()))
}
