//! Supervised actors on actix.
//!
//! An actor that panics is restarted in place: its address and the messages queued behind it live on, its state is built
//! anew. How often, how soon, and who is restarted with it is data ([`ChildSpec`], [`SupervisorSpec`]).
//!
//! ```text
//!   Root ── supervisor (system arbiter) ── Child: catch_unwind ── Host: pacing, tasks ── your Actor
//!             Plan: who, when               back-off, obituary      at hand, permits
//! ```
//!
//! - [`Actor`], [`Receive`], [`Ctx`]: what you write.
//! - [`ActorRef`], [`Recipient`], [`Pool`]: how messages get there; mailboxes are bounded by [`Permit`]s.
//! - [`Root`], [`RootHandle`], [`SupervisorRef`]: how a tree is started, changed and ended.
//! - [`Observer`], [`Watchdog`], [`Happening`]: how it is seen.
//!
//! Panics must unwind: with `panic = "abort"` there is nothing to supervise.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod actor;
mod address;
mod arbiters;
mod budget;
mod child;
mod ctx;
mod events;
mod exit;
mod gate;
mod host;
mod metrics;
mod observe;
mod plan;
#[cfg(test)]
mod plan_tests;
mod pool;
mod post;
mod progress;
mod root;
mod slot;
mod spec;
mod status;
mod supervisor_ref;
mod tree;
mod watchdog;

pub use actor::{Actor, Receive};
pub use address::{ActorRef, Gone, Recipient, TrySendError};
pub use arbiters::{ArbiterRef, Arbiters, Place};
pub use budget::{Backoff, Budget, BudgetError, Decision, Restarts};
pub use ctx::{Ctx, Timer};
pub use events::{Happening, Listener};
pub use exit::{Exit, Failure, ItemId, Phase};
pub use gate::{Full, Permit};
pub use observe::{ActorReport, Found, Mailbox, Observer};
pub use pool::Pool;
pub use progress::{Progress, Protected};
pub use root::{Env, Root, RootHandle};
pub use spec::{ChildSpec, How, RestartPolicy, SpecError, Strategy, SupervisorSpec, actor, supervisor};
pub use status::{RestartCounts, State};
pub use supervisor_ref::{StartError, SupervisorRef};
pub use watchdog::{Limits, Sighting, Subject, Watchdog};
