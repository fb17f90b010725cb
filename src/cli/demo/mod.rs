//! `millrace demo`: the whole service in one process, with nothing to install.
//!
//! Mock brokers, two sample models, a producer of requests and a reader that holds every answer against its request; on the
//! terminal, what happens. It ends by itself or with Ctrl-C, and says whether anything was lost.

mod broker;
mod checker;
mod crash;
mod gauges;
mod ledger;
mod load;
mod log;
mod models;
mod screen;
mod service;
mod view;

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use slog::Logger;

use broker::Broker;
use checker::Checker;
use crash::Crasher;
use ledger::Ledger;
use load::{Books, Load};
use log::LogLines;
use models::Models;
use screen::{REDRAW, Screen};
pub use service::{Refusal, Service};
use view::Snapshot;

use crate::config::Settings;

/// Time for the group to form: the mock brokers wait three seconds for more members.
const JOIN: Duration = Duration::from_secs(20);
/// Time for the last answers once no more requests are sent.
const LAST_ANSWERS: Duration = Duration::from_secs(20);
/// Exit code when something was lost or is wrong.
const LOST: u8 = 70;
/// Exit code when the demo's own parts cannot start.
const UNAVAILABLE: u8 = 69;

/// What can be chosen.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Stop by itself after so many seconds of load.
    pub seconds: Option<u64>,
    /// Requests a second.
    pub rate: u32,
    /// Crash an actor every few seconds.
    pub crash: bool,
    /// Admin port.
    pub http_port: u16,
}

impl Default for Options {
    fn default() -> Self {
        Self { seconds: None, rate: 200, crash: false, http_port: 8000 }
    }
}

/// Runs the demo on the standard output until Ctrl-C or its time is over; the exit code. `start` starts the service.
pub fn run<F>(options: Options, start: F) -> u8
where
    F: FnOnce(Settings, Logger) -> Result<Box<dyn Service>, Refusal>,
{
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The second one ends the process at once.
        let second = signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop));
        if let Err(error) = second.and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop))) {
            return refuse((UNAVAILABLE, format!("demo: cannot watch for signals: {error}")));
        }
    }
    let log = LogLines::default();
    log.take_panics();
    match Demo::start(options, start, Screen::stdout(), log) {
        Ok(demo) => demo.run(&stop),
        Err(refusal) => refuse(refusal),
    }
}

fn refuse((code, why): Refusal) -> u8 {
    // Standard error may be closed; there is no other place to tell.
    writeln!(io::stderr(), "{why}").ok();
    code
}

#[expect(clippy::disallowed_methods, reason = "the demo's own threads; no actor lives on them")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Everything that runs.
struct Demo<W> {
    options: Options,
    screen: Screen<W>,
    log: LogLines,
    books: Books,
    service: Box<dyn Service>,
    checker: Checker,
    broker: Broker,
    models: Models,
    crashes: u64,
    /// When the load began; until then, when the demo did.
    began: Instant,
}

impl<W: Write> Demo<W> {
    fn start<F>(options: Options, start: F, screen: Screen<W>, log: LogLines) -> Result<Self, Refusal>
    where
        F: FnOnce(Settings, Logger) -> Result<Box<dyn Service>, Refusal>,
    {
        let own =
            |what: &str, error: &dyn std::fmt::Display| (UNAVAILABLE, format!("demo: cannot start {what}: {error}"));
        let broker = Broker::start().map_err(|error| own("its brokers", &error))?;
        let models = Models::start().map_err(|error| own("its models", &error))?;
        let books = Arc::new(Mutex::new(Ledger::new(Instant::now())));
        let checker =
            Checker::start(&broker.bootstrap, Arc::clone(&books)).map_err(|error| own("its reader", &error))?;
        let settings = service::settings(&options, &broker.bootstrap, &models.endpoints);
        let service = start(settings, log.logger())?;
        Ok(Self { options, screen, log, books, service, checker, broker, models, crashes: 0, began: Instant::now() })
    }

    fn run(mut self, stop: &AtomicBool) -> u8 {
        self.wait("waiting for the group", JOIN, |demo| {
            stop.load(Ordering::Relaxed) || gauges::read(&demo.service.registry()).assigned > 0
        });
        if let Err(refusal) = self.load(stop) {
            self.say(&[refusal.1]);
        }
        self.wait("waiting for the last answers", LAST_ANSWERS, |demo| demo.books().totals().open == 0);
        self.end()
    }

    /// Sends requests and shows how it stands, until it is time to stop.
    fn load(&mut self, stop: &AtomicBool) -> Result<(), Refusal> {
        self.began = Instant::now();
        let began = self.began;
        let own = |error: io::Error| (UNAVAILABLE, format!("demo: cannot send requests: {error}"));
        let load = Load::start(&self.broker.bootstrap, self.options.rate, Arc::clone(&self.books)).map_err(own)?;
        let mut crasher = Crasher::new(began).map_err(own)?;
        let time = self.options.seconds.map(Duration::from_secs);
        while !stop.load(Ordering::Relaxed) && !self.service.finished() {
            let now = Instant::now();
            if time.is_some_and(|time| now - began >= time) {
                break;
            }
            // While the group forms anew, nothing moves that a crash could lose.
            if self.options.crash && gauges::read(&self.service.registry()).assigned > 0 {
                crasher.tick(&self.service.actors(), now);
                self.crashes = crasher.crashes;
            }
            self.show("running", load.held_back());
            pause(REDRAW);
        }
        load.stop();
        Ok(())
    }

    fn wait(&mut self, phase: &'static str, limit: Duration, done: impl Fn(&mut Self) -> bool) {
        let deadline = Instant::now() + limit;
        while !done(self) && !self.service.finished() && Instant::now() < deadline {
            self.show(phase, false);
            pause(REDRAW);
        }
    }

    /// Stops everything in order and tells the result.
    fn end(mut self) -> u8 {
        self.show("stopping", false);
        let mut last = self.snapshot("stopped", false);
        self.service.drain();
        let code = self.service.join();
        // What was answered during the drain is read within a few polls.
        let deadline = Instant::now() + Duration::from_secs(2);
        let open = || self.books.lock().unwrap_or_else(PoisonError::into_inner).totals().open;
        while open() > 0 && Instant::now() < deadline {
            pause(Duration::from_millis(50));
        }
        self.checker.stop();
        drop(self.models);
        drop(self.broker);

        let books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        last.totals = books.totals();
        let totals = last.totals;
        let mut lines = view::summary(&last, &books.latency());
        if code != 0 {
            lines.push(format!("the service ended with exit code {code}"));
        }
        // Where nobody reads, the exit code still tells.
        self.screen.say(&lines).ok();
        match code {
            0 if totals.open + totals.dead_lettered + totals.wrong + totals.unknown > 0 => LOST,
            code => code,
        }
    }

    fn show(&mut self, phase: &'static str, held_back: bool) {
        let snapshot = self.snapshot(phase, held_back);
        // A view that nobody reads is no reason to stop.
        self.screen.show(&snapshot, &self.log, Instant::now()).ok();
    }

    fn say(&mut self, lines: &[String]) {
        self.screen.say(lines).ok();
    }

    fn snapshot(&self, phase: &'static str, held_back: bool) -> Snapshot {
        let now = Instant::now();
        let mut books = self.books();
        Snapshot {
            elapsed: now - self.began,
            seconds: self.options.seconds.filter(|_| phase == "running"),
            admin: format!("http://127.0.0.1:{}", self.options.http_port),
            phase,
            totals: books.totals(),
            recent: books.recent(now),
            gauges: gauges::read(&self.service.registry()),
            crashes: self.crashes,
            held_back,
            log: self.log.last(),
        }
    }

    fn books(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
