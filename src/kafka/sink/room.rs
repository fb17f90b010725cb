//! How much the producer holds: bounded in bytes, counted in outcomes.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// So many outcomes at once that each can wait a little for others to share a batch with. At a thousand records a second there
/// are two or three.
const MANY: usize = 64;

/// Room for outcomes from the moment they are taken until they are settled.
#[derive(Debug)]
pub(super) struct Room {
    most: usize,
    bytes: AtomicUsize,
    outcomes: AtomicUsize,
}

impl Room {
    /// Room for so many bytes, or for one outcome that is larger.
    pub(super) fn new(most: usize) -> Self {
        Self { most, bytes: AtomicUsize::new(0), outcomes: AtomicUsize::new(0) }
    }

    /// Takes room for one outcome, if there is.
    pub(super) fn take(&self, bytes: usize) -> bool {
        let fits = |held: usize| (held == 0 || held + bytes <= self.most).then_some(held + bytes);
        let taken = self.bytes.fetch_update(SeqCst, SeqCst, fits).is_ok();
        if taken {
            self.outcomes.fetch_add(1, SeqCst);
        }
        taken
    }

    /// Gives back that of one outcome.
    pub(super) fn give(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, SeqCst);
        self.outcomes.fetch_sub(1, SeqCst);
    }

    /// Whether there is much to send.
    pub(super) fn is_busy(&self) -> bool {
        self.taken() >= MANY
    }

    /// Outcomes that have room.
    pub(super) fn taken(&self) -> usize {
        self.outcomes.load(SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_bounded_and_one_always_fits() {
        let room = Room::new(10);
        assert!(room.take(25) && !room.take(1));
        room.give(25);
        assert!(room.take(4) && room.take(6) && !room.take(1) && room.taken() == 2);
        room.give(4);
        assert!(room.take(3) && room.taken() == 2);
    }
}
