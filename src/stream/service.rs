//! The service from start to stop.

use slog::Logger;

use crate::config::Settings;

/// Runs until it is told to stop, and returns the exit code.
pub fn run(_settings: Settings, _log: Logger) -> u8 {
    0
}
