//! `millrace run`: the service until it is told to stop. `millrace demo`: the same in a nutshell.

use std::sync::Arc;

use prometheus::Registry;
use slog::info;

use super::args::{DemoArgs, HELP, Source};
use super::exit::Exit;
use super::{demo as nutshell, load, logging, print_error};
use crate::admin::Actors;
use crate::stream::service::{self, ServiceHandle};

/// Runs the service and returns its exit code.
pub(super) fn run(source: &Source) -> u8 {
    if load::is_nothing(source) {
        print_error(HELP);
        return Exit::Usage.into();
    }
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
    let options = nutshell::Options {
        seconds: arguments.seconds,
        rate: arguments.rate,
        crash: arguments.crash,
        http_port: arguments.http_port,
    };
    nutshell::run(options, |settings, log| match service::start(settings, log) {
        Ok(service) => Ok(Box::new(Demonstrated(service))),
        Err(error) => Err((error.exit_code(), error.to_string())),
    })
}

/// The service as the demo sees it.
struct Demonstrated(ServiceHandle);

impl nutshell::Service for Demonstrated {
    fn actors(&self) -> Arc<dyn Actors> {
        self.0.actors()
    }

    fn registry(&self) -> Registry {
        self.0.registry()
    }

    fn finished(&self) -> bool {
        self.0.is_finished()
    }

    fn drain(&self) {
        self.0.stopper().stop("the demo is over");
    }

    fn join(self: Box<Self>) -> u8 {
        self.0.join()
    }
}
