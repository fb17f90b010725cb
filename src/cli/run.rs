//! `millrace run`: the service until it is told to stop. `millrace demo`: the same with all that it needs around it.

use std::sync::Arc;

use prometheus::Registry;
use slog::info;

use super::args::{DemoArgs, HELP, Source};
use super::demo::{Options, Service};
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
    let DemoArgs { seconds, rate, crash, http_port } = *arguments;
    nutshell::run(Options { seconds, rate, crash, http_port }, |settings, log| match service::start(settings, log) {
        Ok(handle) => Ok(Box::new(Running(handle))),
        Err(error) => Err((error.exit_code(), format!("demo: {error}"))),
    })
}

/// The service as the demo sees it.
struct Running(ServiceHandle);

impl Service for Running {
    fn actors(&self) -> Arc<dyn Actors> {
        self.0.actors()
    }

    fn registry(&self) -> Registry {
        self.0.metrics_registry().clone()
    }

    fn finished(&self) -> bool {
        self.0.finished()
    }

    fn drain(&self) {
        self.0.stopper().stop("demo");
    }

    fn join(self: Box<Self>) -> u8 {
        self.0.join()
    }
}
