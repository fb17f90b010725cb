//! Unavailable is not failed: whether an endpoint takes calls, and whether a failed call costs its record anything.
//!
//! One machine per client of an endpoint. It is up until a call fails for reasons that are the endpoint's (refused, reset,
//! 503, or no answer while nobody gets one), or too many calls fail ([`breaker`](super::breaker)); then down until its readiness is good again; while down no call starts, so
//! records wait and pay nothing. After it came up few calls are let in, one more with each answer, so that a server that
//! is ready but hangs, or that just started, is not flooded. Retries of what does cost are in [`retry`](super::retry).
//!
//! Times are since any one start, the same for all machines of an endpoint.

use std::time::Duration;

use super::error::{CallError, Class, NEVER};
use super::retry::backoff;

/// Calls let in after an endpoint came up, until one is answered. More than one, so that a single request that hangs
/// cannot shut out all others.
pub const TRIAL_CALLS: usize = 2;
/// So many calls let in are as good as no bound.
const ALL_CALLS: usize = 512;
/// The longest time that a server is left alone because it asks for it (`Retry-After` of a 503).
pub const MAX_ASKED: Duration = Duration::from_mins(1);
const PROBE_MIN: Duration = Duration::from_millis(100);
const PROBE_MAX: Duration = Duration::from_secs(5);

/// Right of one call to run. Given back in the [`Event`] that ends the call.
#[derive(Debug)]
#[must_use = "a call that ends without an event counts as running for ever"]
pub struct Ticket {
    life: u64,
    started: Duration,
    /// It started before the endpoint was known to answer in this life.
    trial: bool,
}

impl Ticket {
    /// When the call started.
    pub fn started(&self) -> Duration {
        self.started
    }

    /// Whether the endpoint had said that it is ready, after it was down.
    pub fn is_after_probe(&self) -> bool {
        self.life > 0
    }
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// A call was answered: with success, or with an error that is the request's.
    Answered(Ticket),
    /// A call was answered with an error that another attempt may mend.
    Erred {
        /// Of the call.
        ticket: Ticket,
        /// Whether too many calls fail lately.
        tripped: bool,
    },
    /// A call failed without an answer of the server.
    Failed {
        /// Of the call.
        ticket: Ticket,
        /// Of the failure.
        class: Class,
        /// When the endpoint last answered any call of the process.
        last_answer: Option<Duration>,
        /// How long the server asks to be left alone.
        retry_after: Option<Duration>,
        /// Whether too many calls fail lately.
        tripped: bool,
    },
    /// A call was given up before it had a result.
    Dropped(Ticket),
    /// Readiness is good.
    ProbeOk,
    /// Readiness is bad, or cannot be asked.
    ProbeFailed,
}

impl Event {
    /// The end of a call that failed. An answer must have been noted in [`EndpointStats`](super::health::EndpointStats)
    /// before. `tripped` says whether too many calls fail lately.
    pub fn failed(ticket: Ticket, error: &CallError, last_answer: Option<Duration>, tripped: bool) -> Self {
        let class = error.class();
        if !error.is_answer() {
            // Who asks for no further call says that of this one, not when the endpoint is back.
            let retry_after = error.retry_after().filter(|time| *time != NEVER);
            Self::Failed { ticket, class, last_answer, retry_after, tripped }
        } else if class == Class::Retryable {
            Self::Erred { ticket, tripped }
        } else {
            Self::Answered(ticket)
        }
    }
}

/// Whether a failed call costs its record an attempt and the time it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Costs,
    /// It does not: call again when the endpoint is up, and forgive the time.
    Free,
}

/// Why an endpoint went down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Refused, reset, or 503.
    Unavailable,
    /// Calls get no answer, and no call got one lately.
    Hanging,
    /// It is there, and too many calls fail.
    Failing,
}

/// A change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// No call may start.
    WentDown(Cause),
    /// Calls may start again.
    CameUp {
        /// Time it was down.
        after: Duration,
    },
}

/// What follows from an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Of the call that ended, if it failed without an answer. An answer that is an error always costs.
    pub verdict: Option<Verdict>,
    /// If the state changed.
    pub change: Option<Change>,
    /// Probe readiness after this time. There is never more than one probe to wait for.
    pub probe_in: Option<Duration>,
}

/// Availability of an endpoint, as one of its clients sees it.
#[derive(Debug)]
pub struct Availability {
    state: State,
    /// Counts the times it came up; a ticket of an earlier life changes nothing.
    life: u64,
    /// Calls of this life.
    running: usize,
    /// Whether the endpoint is known to answer in this life.
    proven: bool,
    /// Times it went down or was found down since the last answer.
    troubles: u32,
    /// When this life began.
    up_since: Duration,
    /// Calls that may still fail before one succeeds, if it went down because too many failed.
    chances: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Up { admitted: Option<usize> },
    Down { since: Duration, cause: Cause },
}

impl Default for Availability {
    fn default() -> Self {
        Self::new()
    }
}

impl Availability {
    /// Up, without a bound: that an endpoint is down must be seen first.
    pub fn new() -> Self {
        Self {
            state: State::Up { admitted: None },
            life: 0,
            running: 0,
            proven: false,
            troubles: 0,
            up_since: Duration::ZERO,
            chances: None,
        }
    }

    /// Whether a call may start.
    pub fn admits(&self) -> bool {
        match self.state {
            State::Up { admitted } => admitted.is_none_or(|admitted| self.running < admitted),
            State::Down { .. } => false,
        }
    }

    /// Starts a call, if one may start. Callers that wait must be served in turn.
    pub fn start(&mut self, now: Duration) -> Option<Ticket> {
        self.admits().then(|| {
            self.running += 1;
            Ticket { life: self.life, started: now, trial: !self.proven }
        })
    }

    /// Why and since when it is down, if it is.
    pub fn down(&self) -> Option<(Cause, Duration)> {
        match self.state {
            State::Up { .. } => None,
            State::Down { since, cause } => Some((cause, since)),
        }
    }

    /// When it last came up: what was seen before says nothing of it any more.
    pub fn up_since(&self) -> Duration {
        self.up_since
    }

    /// Whether it is up for a few calls only, until more are answered.
    pub fn is_tried(&self) -> bool {
        matches!(self.state, State::Up { admitted: Some(_) })
    }

    /// Takes an event in. `random` is drawn from 0 to 1.
    pub fn step(&mut self, event: Event, now: Duration, random: f64) -> Step {
        match event {
            Event::Answered(ticket) => {
                if self.end(&ticket) {
                    self.answered();
                }
                Step::default()
            }
            Event::Dropped(ticket) => {
                self.end(&ticket);
                Step::default()
            }
            Event::Erred { ticket, tripped } => {
                let current = self.end(&ticket);
                self.proven |= current;
                if current && self.fails(tripped) {
                    return self.go_down(Cause::Failing, None, now, random);
                }
                Step::default()
            }
            Event::Failed { ticket, class, last_answer, retry_after, tripped } => {
                let current = self.end(&ticket);
                let cause = match class {
                    Class::Unavailable => Some(Cause::Unavailable),
                    Class::TimedOut if hangs(&ticket, last_answer, now) => Some(Cause::Hanging),
                    Class::TimedOut | Class::Retryable | Class::Permanent => None,
                };
                // A server that comes back may have lost what it took while it hung. Who tried it then is not to blame;
                // but others were answered, so whoever starts now has no such excuse.
                let excused = ticket.trial && class == Class::TimedOut;
                self.proven |= current && excused && cause.is_none();
                let verdict = Some(if cause.is_some() || excused { Verdict::Free } else { Verdict::Costs });
                // A failure of an earlier life says nothing about this one: connections break after their server is back.
                let cause = cause.or_else(|| (current && !excused && self.fails(tripped)).then_some(Cause::Failing));
                match cause {
                    Some(cause) if current => Step { verdict, ..self.go_down(cause, retry_after, now, random) },
                    _ => Step { verdict, ..Step::default() },
                }
            }
            Event::ProbeOk => match self.state {
                State::Up { .. } => Step::default(),
                State::Down { since, .. } => {
                    self.state = State::Up { admitted: Some(TRIAL_CALLS) };
                    self.life += 1;
                    self.running = 0;
                    self.proven = false;
                    self.up_since = now;
                    let after = now.saturating_sub(since);
                    Step { change: Some(Change::CameUp { after }), ..Step::default() }
                }
            },
            Event::ProbeFailed => match self.state {
                State::Up { .. } => Step::default(),
                State::Down { .. } => Step { probe_in: Some(self.probe_in(random)), ..Step::default() },
            },
        }
    }

    /// Whether the call was of this life.
    fn end(&mut self, ticket: &Ticket) -> bool {
        let current = ticket.life == self.life;
        if current {
            self.running -= 1;
        }
        current
    }

    /// Nothing if it is down already.
    fn go_down(&mut self, cause: Cause, asked: Option<Duration>, now: Duration, random: f64) -> Step {
        if self.down().is_some() {
            return Step::default();
        }
        self.state = State::Down { since: now, cause };
        self.chances = (cause == Cause::Failing).then_some(TRIAL_CALLS);
        let probe_in = self.probe_in(random).max(asked.unwrap_or_default().min(MAX_ASKED));
        Step { change: Some(Change::WentDown(cause)), probe_in: Some(probe_in), ..Step::default() }
    }

    /// A call failed, and it was not the endpoint that was not there. Whether no more calls should go there.
    fn fails(&mut self, tripped: bool) -> bool {
        if let Some(chances) = &mut self.chances {
            *chances = chances.saturating_sub(1);
        }
        tripped || self.chances == Some(0)
    }

    fn answered(&mut self) {
        if let State::Up { admitted } = &mut self.state {
            self.troubles = 0;
            self.proven = true;
            self.chances = None;
            *admitted = admitted.map(|admitted| admitted + 1).filter(|admitted| *admitted < ALL_CALLS);
        }
    }

    /// Probes back off over all times down since the last answer, not only within this one: a server that is ready but
    /// answers nothing would be tried without pause otherwise. Half of the time is fixed, for the same reason.
    fn probe_in(&mut self, random: f64) -> Duration {
        let bound = backoff(PROBE_MIN, PROBE_MAX, self.troubles);
        self.troubles = self.troubles.saturating_add(1);
        bound.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
    }
}

/// Whether a call that timed out did so because the endpoint hangs for all.
///
/// It does if nobody was answered in the later half of the call's time. Answers in the earlier half prove nothing: when a
/// server stops, calls that run at that moment have all seen others answered. The call must have had its whole time.
fn hangs(ticket: &Ticket, last_answer: Option<Duration>, now: Duration) -> bool {
    let half = now.saturating_sub(ticket.started) / 2;
    last_answer.is_none_or(|at| at <= ticket.started + half)
}

#[cfg(test)]
#[path = "availability_tests.rs"]
mod tests;
