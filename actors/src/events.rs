//! What happens in a tree, told to whoever logs it. Counting is done elsewhere ([`crate::metrics`]).

use std::{fmt, sync::Arc, time::Duration};

use crate::exit::{Exit, Failure};

/// Something worth a line in a log. `actor` names an actor or a supervisor.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Happening {
    /// Up, for the first time or again.
    Running {
        /// Who.
        actor: String,
        /// Its how-manieth life this is.
        generation: u64,
    },
    /// A life ended, and another one follows.
    Restarting {
        /// Who.
        actor: String,
        /// Why.
        why: Failure,
        /// The back-off.
        after: Duration,
    },
    /// Its budget is exceeded: its supervisor fails with it.
    GaveUp {
        /// Who.
        actor: String,
        /// `Exit::TooManyRestarts`.
        exit: Exit,
    },
    /// Ended for good.
    Ended {
        /// Who.
        actor: String,
        /// How.
        exit: Exit,
    },
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running { actor, generation } => write!(f, "{actor} is up, life {generation}"),
            Self::Restarting { actor, why, after } => write!(f, "{actor} {}; restart after {after:?}", why.exit),
            Self::GaveUp { actor, exit } => write!(f, "{actor} gave up: {exit}"),
            Self::Ended { actor, exit } => write!(f, "{actor} ended: {exit}"),
        }
    }
}

/// Called on the system arbiter, so it must not block.
pub type Listener = Arc<dyn Fn(&Happening) + Send + Sync>;
