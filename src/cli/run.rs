//! `millrace run`: the service until it is told to stop. `millrace demo`: the same in a nutshell.

use slog::{Level, info};

use super::args::{DemoArgs, Source};
use super::exit::Exit;
use super::{demo as nutshell, load, logging, print_error};
use crate::config::settings::{Log, LogFormat};
use crate::stream::service;

/// Runs the service and returns its exit code.
pub(super) fn run(source: &Source) -> u8 {
    let loaded = match load::settings(source) {
        Ok(loaded) => loaded,
        Err(faults) => {
            print_error(&load::report(&faults));
            return Exit::Configuration.into();
        }
    };
    let logging = logging::start(loaded.settings.log);
    for note in &loaded.notices {
        info!(logging.log, "about the configuration"; "note" => note);
    }
    service::run(loaded.settings, logging.log.clone())
}

/// Runs the demo and returns its exit code.
pub(super) fn demo(arguments: &DemoArgs) -> u8 {
    // The live view needs the terminal: only what is wrong is logged.
    let logging = logging::start(Log { level: Level::Error, format: LogFormat::Terminal });
    nutshell::run(arguments, &logging.log)
}
