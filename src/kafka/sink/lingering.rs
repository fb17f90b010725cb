//! Owners whose outcomes linger for others, and how long they do.
//!
//! Pure. A batch costs the broker about the same whether it holds four records or forty. With a few owners one tick fills batches;
//! with many, and much to send, a tick brings each of them too little, and they wait for a few more.

use std::time::Duration;

/// Outcomes of an owner that are worth a batch.
const BATCH: usize = 32;
/// So long none of them lingers for more.
const LONGEST: Duration = Duration::from_millis(40);
/// So many outcomes are unsettled only where the rate is all that counts: at 5,000 records a second there are a hundred.
const MUCH: usize = 256;

/// Those who linger.
#[derive(Debug)]
pub(super) struct Lingering<T> {
    owners: Vec<T>,
    /// When the first of them began.
    since: Option<Duration>,
}

impl<T> Default for Lingering<T> {
    fn default() -> Self {
        Self { owners: Vec::new(), since: None }
    }
}

impl<T> Lingering<T> {
    /// One more lingers.
    pub(super) fn push(&mut self, owner: T, now: Duration) {
        self.since.get_or_insert(now);
        self.owners.push(owner);
    }

    /// Those who need not linger any more: all or none. `waiting` outcomes are theirs, `unsettled` are those of everybody.
    pub(super) fn due(&mut self, waiting: usize, unsettled: usize, now: Duration) -> Vec<T> {
        let filled = unsettled < MUCH || waiting >= BATCH * self.owners.len();
        if filled || self.since.is_some_and(|since| now.saturating_sub(since) >= LONGEST) {
            self.since = None;
            return std::mem::take(&mut self.owners);
        }
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_much_to_send_many_owners_linger_until_their_batches_fill_but_not_for_long() {
        let (mut lingering, began, after) = (Lingering::default(), Duration::ZERO, Duration::from_millis);
        let linger = |lingering: &mut Lingering<u8>, at| (0..4).for_each(|owner| lingering.push(owner, at));
        linger(&mut lingering, began);
        assert_eq!(lingering.due(20, MUCH - 1, after(1)), [0, 1, 2, 3], "there is little to send");
        linger(&mut lingering, began);
        assert!(lingering.due(4 * BATCH - 1, MUCH, after(39)).is_empty());
        assert_eq!(lingering.due(4 * BATCH, MUCH, after(39)), [0, 1, 2, 3], "their batches are full");
        linger(&mut lingering, after(39));
        assert!(lingering.due(4, MUCH, after(78)).is_empty());
        assert_eq!(lingering.due(4, MUCH, after(79)), [0, 1, 2, 3], "they have waited for long enough");
        assert!(lingering.due(0, 0, after(200)).is_empty());
    }
}
