//! Which partitions this process holds, in which epoch, what of them is finished and what the brokers have confirmed: the
//! decisions of a rebalance and of commits.
//!
//! Pure. What is finished is published by each partition's owner through its [`Marks`]; nothing else is ever committed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::SeqCst};

use crate::record::{Epoch, NextOffset, Partition};

/// What a reader publishes for the committer: written on its worker, read on the consumer's thread.
#[derive(Debug)]
pub struct Marks {
    safe: AtomicI64,
    idle_at_end: AtomicBool,
    over: AtomicBool,
}

impl Marks {
    /// Nothing finished yet.
    pub fn new(start: NextOffset) -> Self {
        Self { safe: AtomicI64::new(start.0), idle_at_end: AtomicBool::new(false), over: AtomicBool::new(false) }
    }

    /// Everything below is finished.
    pub fn set_safe(&self, next: NextOffset) {
        self.safe.store(next.0, SeqCst);
    }

    /// What may be committed.
    pub fn safe(&self) -> NextOffset {
        NextOffset(self.safe.load(SeqCst))
    }

    /// True while the log was read to its end and nothing is held: the position past control records is worth asking for.
    pub fn set_idle_at_end(&self, idle: bool) {
        self.idle_at_end.store(idle, SeqCst);
    }

    /// As last set.
    pub fn idle_at_end(&self) -> bool {
        self.idle_at_end.load(SeqCst)
    }

    /// The epoch is over: its results are dropped wherever they are met.
    pub fn end(&self) {
        self.over.store(true, SeqCst);
    }

    /// True once the epoch is over.
    pub fn is_over(&self) -> bool {
        self.over.load(SeqCst)
    }
}

#[derive(Debug)]
struct Held {
    epoch: Epoch,
    marks: Arc<Marks>,
}

/// What this process holds.
#[derive(Debug, Default)]
pub struct Holdings {
    held: HashMap<Partition, Held>,
    /// What the brokers have confirmed.
    committed: HashMap<Partition, NextOffset>,
}

impl Holdings {
    /// Partitions held.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// True when none is.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// All partitions held.
    pub fn partitions(&self) -> Vec<Partition> {
        self.held.keys().copied().collect()
    }

    /// Those of these partitions that are held, with their epochs.
    pub fn epochs(&self, of: &[Partition]) -> Vec<(Partition, Epoch)> {
        of.iter().filter_map(|partition| self.held.get(partition).map(|held| (*partition, held.epoch))).collect()
    }

    /// The marks of a partition, if it is held in this epoch.
    pub fn marks(&self, partition: Partition, epoch: Epoch) -> Option<&Arc<Marks>> {
        self.held.get(&partition).filter(|held| held.epoch == epoch).map(|held| &held.marks)
    }

    /// The marks of a partition, if it is held.
    pub fn marks_now(&self, partition: Partition) -> Option<&Arc<Marks>> {
        self.held.get(&partition).map(|held| &held.marks)
    }

    /// The brokers have this position.
    pub fn confirm(&mut self, partition: Partition, next: NextOffset) {
        self.committed.insert(partition, next);
    }

    /// A new epoch of a partition begins at `start`; one before it is over. `commit` says that the brokers have no usable
    /// position, so that this one is due at once.
    pub fn take(&mut self, partition: Partition, epoch: Epoch, start: NextOffset, commit: bool) -> Arc<Marks> {
        let marks = Arc::new(Marks::new(start));
        if let Some(before) = self.held.insert(partition, Held { epoch, marks: marks.clone() }) {
            before.marks.end();
        }
        if commit {
            self.committed.remove(&partition);
        }
        marks
    }

    /// Positions that owners have finished and that the brokers have not confirmed.
    pub fn due(&self) -> Vec<(Partition, NextOffset)> {
        let safe = self.held.iter().map(|(partition, held)| (*partition, held.marks.safe()));
        safe.filter(|(partition, safe)| self.committed.get(partition) != Some(safe)).collect()
    }

    /// Owners that have read their log to its end and hold nothing.
    pub fn idle_at_end(&self) -> Vec<(Partition, Epoch)> {
        let idle = self.held.iter().filter(|(_, held)| held.marks.idle_at_end());
        idle.map(|(partition, held)| (*partition, held.epoch)).collect()
    }

    /// The brokers have answered a commit of these positions: those of partitions that are still held.
    pub fn confirm_held(&mut self, mut positions: Vec<(Partition, NextOffset)>) -> Vec<(Partition, NextOffset)> {
        positions.retain(|(partition, _)| self.held.contains_key(partition));
        self.committed.extend(positions.iter().copied());
        positions
    }

    /// Ends the epoch of a partition and forgets it: its epoch, and the position to commit, if one is due. Nothing that
    /// another member may have by now is due.
    pub fn release(&mut self, partition: Partition, lost: bool) -> Option<(Epoch, Option<NextOffset>)> {
        let confirmed = self.committed.remove(&partition);
        let held = self.held.remove(&partition)?;
        held.marks.end();
        let safe = held.marks.safe();
        Some((held.epoch, (!lost && confirmed != Some(safe)).then_some(safe)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: Partition = Partition(3);

    #[test]
    fn what_is_finished_and_not_confirmed_is_due() {
        let mut holdings = Holdings::default();
        holdings.confirm(P, NextOffset(5));
        let marks = holdings.take(P, Epoch(1), NextOffset(5), false);
        assert_eq!(holdings.due(), []);
        marks.set_safe(NextOffset(7));
        assert_eq!(holdings.due(), [(P, NextOffset(7))]);
        assert_eq!(holdings.confirm_held(vec![(P, NextOffset(7)), (Partition(4), NextOffset(1))]).len(), 1);
        assert_eq!(holdings.due(), []);
        marks.set_safe(NextOffset(9));
        assert_eq!(holdings.release(P, false), Some((Epoch(1), Some(NextOffset(9)))));
        assert!(marks.is_over() && holdings.is_empty());
        assert_eq!(holdings.release(P, false), None);
    }

    #[test]
    fn a_first_position_is_due_at_once_and_nothing_of_a_lost_partition_is() {
        let mut holdings = Holdings::default();
        let first = holdings.take(P, Epoch(1), NextOffset(5), true);
        assert_eq!(holdings.due(), [(P, NextOffset(5))]);
        let second = holdings.take(P, Epoch(2), NextOffset(5), false);
        assert!(first.is_over() && !second.is_over());
        assert!(holdings.marks(P, Epoch(1)).is_none() && holdings.marks(P, Epoch(2)).is_some());
        second.set_safe(NextOffset(6));
        assert_eq!(holdings.release(P, true), Some((Epoch(2), None)));
    }
}
