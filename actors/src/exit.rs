//! Why a life of an actor ended: the words that logs, metrics, supervisors and the next life share.
//!
//! What to do about an exit is not decided here but in [`crate::plan`].

use std::{
    any::Any,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Names the piece of work an actor is busy with, so that it can be suspected after a panic.
///
/// The number means something only to the actor that sets it (an offset, an index into a table).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ItemId(pub u64);

/// What an actor was doing when it panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// In the factory that makes the actor.
    Build,
    /// In [`crate::Actor::started`].
    Started,
    /// In [`crate::Receive::receive`].
    Receive,
    /// In a future given to [`crate::Ctx::spawn`], or in what was to be done with its result.
    Task,
    /// In [`crate::Actor::drain`].
    Drain,
    /// In [`crate::Actor::restarting`]: the state may be half rebuilt.
    Restarting,
    /// Told to by [`crate::ActorRef::crash`].
    Crash,
    /// In the framework itself.
    Supervisor,
}

impl Phase {
    /// The phase in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Started => "started",
            Self::Receive => "receive",
            Self::Task => "task",
            Self::Drain => "drain",
            Self::Restarting => "restarting",
            Self::Crash => "crash",
            Self::Supervisor => "supervisor",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a life ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exit {
    /// It ended by itself ([`crate::Ctx::stop`]).
    Stopped,
    /// It was asked to finish, and did.
    Drained,
    /// It was ended from outside, finished or not.
    Killed,
    /// It declared this life a failure ([`crate::Ctx::fail`]).
    Failed {
        /// What the actor said.
        text: String,
    },
    /// It panicked.
    Panicked {
        /// The panic's message.
        text: String,
        /// Where.
        phase: Phase,
    },
    /// It was well, but its supervisor restarted it together with one that was not.
    SiblingFailed {
        /// Who was not well.
        child: String,
    },
    /// It failed more often than its budget allows.
    TooManyRestarts {
        /// The failure that was one too many.
        last: Box<Exit>,
        /// Failures within the window, that one included.
        count: u32,
    },
    /// A supervisor failed because one of its children gave up.
    ChildGaveUp {
        /// Which child.
        child: String,
        /// How.
        exit: Box<Exit>,
    },
    /// The thread it lived on ended.
    ArbiterLost,
    /// It could not be restarted in place, because no address of it was left.
    RestartRefused,
}

impl Exit {
    /// A short label, of which there are few: for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Drained => "drained",
            Self::Killed => "killed",
            Self::Failed { .. } => "failed",
            Self::Panicked { phase: Phase::Restarting, .. } => "panicked_restarting",
            Self::Panicked { .. } => "panicked",
            Self::SiblingFailed { .. } => "sibling_failed",
            Self::TooManyRestarts { .. } => "too_many_restarts",
            Self::ChildGaveUp { .. } => "child_gave_up",
            Self::ArbiterLost => "arbiter_lost",
            Self::RestartRefused => "restart_refused",
        }
    }

    /// False for the ways to end that were somebody's intention.
    pub fn is_failure(&self) -> bool {
        !matches!(self, Self::Stopped | Self::Drained | Self::Killed)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("stopped by itself"),
            Self::Drained => f.write_str("drained"),
            Self::Killed => f.write_str("killed"),
            Self::Failed { text } => write!(f, "failed: {text}"),
            Self::Panicked { text, phase } => write!(f, "panicked in {phase}: {text}"),
            Self::SiblingFailed { child } => write!(f, "was restarted with {child}, which failed"),
            Self::TooManyRestarts { last, count } => {
                write!(f, "failed once too often ({count} in its window), last: {last}")
            }
            Self::ChildGaveUp { child, exit } => write!(f, "failed with its child {child}, which gave up: {exit}"),
            Self::ArbiterLost => f.write_str("lost its arbiter"),
            Self::RestartRefused => f.write_str("had no address left to be restarted under"),
        }
    }
}

/// The end of a life as the next life sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How the life ended.
    pub exit: Exit,
    /// What the actor had at hand when it ended: the only item that is suspect.
    pub at_hand: Option<ItemId>,
}

/// Runs `f`; a panic becomes its text.
///
/// Callers must not look at what `f` may have left half done, or must rebuild it: that makes `AssertUnwindSafe` honest.
pub(crate) fn caught<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(f)).map_err(panic_text)
}

fn panic_text(payload: Box<dyn Any + Send>) -> String {
    let payload = match payload.downcast::<String>() {
        Ok(text) => return *text,
        Err(other) => other,
    };
    let text = payload.downcast_ref::<&str>().map_or_else(|| "no text".to_owned(), |text| (*text).to_owned());
    // A payload whose own drop panics must not undo the catching.
    catch_unwind(AssertUnwindSafe(|| drop(payload))).ok();
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_gives_its_text_whatever_its_payload() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("drop of a payload");
            }
        }
        assert_eq!(caught(|| panic!("plain")).unwrap_err(), "plain");
        assert_eq!(caught(|| panic!("with {}", 1)).unwrap_err(), "with 1");
        assert_eq!(caught(|| std::panic::panic_any(Bomb)).unwrap_err(), "no text");
    }

    #[test]
    fn an_escalated_exit_names_the_first_cause() {
        let first = Exit::Panicked { text: "poison".into(), phase: Phase::Receive };
        let gave_up = Exit::TooManyRestarts { last: Box::new(first), count: 4 };
        let exit = Exit::ChildGaveUp { child: "router".into(), exit: Box::new(gave_up) };
        assert_eq!(
            exit.to_string(),
            "failed with its child router, which gave up: \
             failed once too often (4 in its window), last: panicked in receive: poison"
        );
        assert_eq!(exit.reason(), "child_gave_up");
    }
}
