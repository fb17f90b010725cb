//! One commit at a time: of two under way, the one that knows less may arrive last and take back what the other committed.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A commit that is not answered for so long is not waited for: brokers are away.
pub(super) const WAIT: Duration = Duration::from_secs(10);
/// How often whoever waits gives a sign of life.
const BEAT: Duration = Duration::from_millis(200);

/// Whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Turns {
    taken: Mutex<bool>,
    free: Condvar,
}

/// The right to commit; what is due is looked up while it is held. Ends with this value.
#[derive(Debug)]
pub(super) struct Turn<'a>(&'a Turns);

impl Turns {
    /// Waits until nobody commits. Nothing if that takes longer than `wait`. `meanwhile` is called again and again.
    pub(super) fn take(&self, wait: Duration, meanwhile: impl Fn()) -> Option<Turn<'_>> {
        let deadline = Instant::now() + wait;
        let mut taken = self.taken();
        while *taken {
            meanwhile();
            let left = deadline.checked_duration_since(Instant::now())?;
            let waited = self.free.wait_timeout(taken, left.min(BEAT));
            taken = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *taken = true;
        Some(Turn(self))
    }

    fn taken(&self) -> MutexGuard<'_, bool> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.taken() = false;
        self.0.free.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn a_commit_that_begins_later_arrives_later_and_knows_more() {
        let (turns, finished, committed) = (&Turns::default(), &AtomicI64::new(5), &AtomicI64::new(0));
        let (begun, has_begun) = mpsc::channel();
        let (go_on, held_up) = mpsc::channel::<()>();
        thread::scope(|scope| {
            scope.spawn(move || {
                let _turn = turns.take(WAIT, || {});
                let due = finished.load(SeqCst);
                begun.send(()).unwrap();
                held_up.recv().unwrap();
                committed.store(due, SeqCst);
            });
            has_begun.recv().unwrap();
            finished.store(9, SeqCst);
            scope.spawn(move || {
                // Let go of only by one who has to wait.
                let _turn = turns.take(WAIT, || _ = go_on.send(()));
                committed.store(finished.load(SeqCst), SeqCst);
                go_on.send(()).ok();
            });
        });
        assert_eq!(committed.load(SeqCst), 9);
    }

    #[test]
    fn a_commit_that_is_never_answered_is_not_waited_for_without_end() {
        let turns = Turns::default();
        let first = turns.take(Duration::ZERO, || {});
        assert!(first.is_some() && turns.take(Duration::from_millis(20), || {}).is_none());
        drop(first);
        assert!(turns.take(Duration::ZERO, || {}).is_some());
    }
}
