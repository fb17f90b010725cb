//! What is asked of the thread of transactions, left by other threads without blocking and taken many at a time.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use super::Outgoing;
use crate::kafka::holdings::Marks;
use crate::record::{Epoch, NextOffset, Partition};

/// What the thread is asked for.
pub(super) enum Ask {
    /// Topics are there.
    Begin(Option<u64>),
    Outcome(Arc<Outgoing>),
    Assigned {
        partition: Partition,
        epoch: Epoch,
        start: NextOffset,
        commit: bool,
        marks: Arc<Marks>,
    },
    EndsAt(Partition, Epoch, NextOffset),
    /// Commit what can be, then drop the sender.
    Settle(Partition, Epoch, mpsc::Sender<()>),
    Gone(Partition, Epoch),
}

/// Its length is bounded by the records that run.
#[derive(Default)]
pub(super) struct Inbox {
    asks: Mutex<Vec<Ask>>,
    filled: Condvar,
}

impl Inbox {
    pub(super) fn put(&self, ask: Ask) {
        let mut asks = self.lock();
        let was_empty = asks.is_empty();
        asks.push(ask);
        drop(asks);
        if was_empty {
            self.filled.notify_one();
        }
    }

    /// Takes all there is. With a pace, after that time; without one as soon as there is something, or after `limit`.
    #[expect(clippy::disallowed_methods, reason = "the thread of transactions; no actor lives on it")]
    pub(super) fn take(&self, pace: Option<Duration>, limit: Duration, into: &mut Vec<Ask>) {
        if let Some(pace) = pace {
            std::thread::sleep(pace.min(limit));
        }
        let mut asks = self.lock();
        if asks.is_empty() && pace.is_none() && !limit.is_zero() {
            asks = self.filled.wait_timeout(asks, limit).unwrap_or_else(PoisonError::into_inner).0;
        }
        into.append(&mut asks);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Ask>> {
        self.asks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
