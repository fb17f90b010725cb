//! Signs of life that an actor gives, and zones in which none is to be expected.
//!
//! Only marks are made here; [`crate::Watchdog`] judges them.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use crate::status::Status;

/// An actor's marks. A clone may go into a task of the actor.
#[derive(Clone)]
pub struct Progress(pub(crate) Arc<Status>);

impl Progress {
    /// Shows that work goes on, in a handler or task that takes long.
    pub fn touch(&self) {
        self.0.touches.fetch_add(1, Relaxed);
        self.0.mark_progress();
    }

    /// Until the guard is dropped, no progress is no fault: for waits on something that may rightly be full or slow.
    pub fn protected(&self) -> Protected {
        self.0.protected.fetch_add(1, Relaxed);
        Protected(Arc::clone(&self.0))
    }
}

/// A zone in which the watchdog expects no progress.
#[must_use = "the zone ends when this is dropped"]
pub struct Protected(Arc<Status>);

impl Drop for Protected {
    fn drop(&mut self) {
        // Leaving the zone counts as progress: the wait inside must not be held against what follows.
        self.0.touches.fetch_add(1, Relaxed);
        self.0.mark_progress();
        self.0.protected.fetch_sub(1, Relaxed);
    }
}
