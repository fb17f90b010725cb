//! The records of one partition that were read and not yet committed, in read order.
//!
//! Pure. Offsets have gaps (compaction, control records), so what is safe to commit is the end of the longest finished
//! prefix over records *read*, never the largest finished offset plus one. Not for deciding what to start: see `order`.
//! What a caller holds for a record (`T`) lives in its slot and is handed back when the record is finished.

use std::collections::VecDeque;
use std::time::Duration;

use crate::record::{NextOffset, Offset};

/// A record's place in the read order of one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Seq(pub u64);

#[derive(Debug)]
struct Slot<T> {
    /// What may be committed once this and all before it are finished.
    next: NextOffset,
    /// Gone once the record is finished.
    held: Option<T>,
    read_at: Duration,
}

/// The window of one epoch.
#[derive(Debug)]
pub struct Window<T> {
    slots: VecDeque<Slot<T>>,
    first: u64,
    finished: usize,
    safe: NextOffset,
}

impl<T> Window<T> {
    /// An empty window whose first record will be read at `start`.
    pub fn new(start: NextOffset) -> Self {
        Self { slots: VecDeque::new(), first: 0, finished: 0, safe: start }
    }

    /// Takes in the next record read. `None` when its offset was already read: a position only grows within an epoch.
    pub fn read(&mut self, offset: Offset, now: Duration, held: T) -> Option<Seq> {
        if offset.0 < self.position().0 {
            return None;
        }
        let seq = self.next_seq();
        self.slots.push_back(Slot { next: offset.next(), held: Some(held), read_at: now });
        Some(seq)
    }

    /// The log ends at `position`, past control records that are never delivered. Ignored unless it is ahead.
    pub fn ends_at(&mut self, position: NextOffset) {
        if position <= self.position() {
            return;
        }
        match self.slots.back_mut() {
            Some(last) => last.next = position,
            None => self.safe = position,
        }
    }

    /// The place that the next record read will have.
    pub fn next_seq(&self) -> Seq {
        Seq(self.first + self.slots.len() as u64)
    }

    /// Marks a record as finished and hands back what was held. `None` when it is unknown or was finished before.
    pub fn finish(&mut self, seq: Seq) -> Option<T> {
        let held = self.slot_mut(seq)?.held.take()?;
        self.finished += 1;
        while let Some(slot) = self.slots.pop_front_if(|slot| slot.held.is_none()) {
            self.safe = slot.next;
            self.first += 1;
            self.finished -= 1;
        }
        Some(held)
    }

    /// What is held for an unfinished record.
    pub fn get(&self, seq: Seq) -> Option<&T> {
        seq.0.checked_sub(self.first).and_then(|i| self.slots.get(i as usize)).and_then(|slot| slot.held.as_ref())
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, seq: Seq) -> Option<&mut T> {
        self.slot_mut(seq).and_then(|slot| slot.held.as_mut())
    }

    /// What may be committed now: everything below it is finished.
    pub fn safe(&self) -> NextOffset {
        self.safe
    }

    /// The offset that the next record has at least.
    pub fn position(&self) -> NextOffset {
        self.slots.back().map_or(self.safe, |slot| slot.next)
    }

    /// Records read and not finished.
    pub fn unfinished(&self) -> usize {
        self.slots.len() - self.finished
    }

    /// Finished records past the oldest unfinished one.
    pub fn span(&self) -> usize {
        self.finished
    }

    /// Slots in use: unfinished records and the finished ones past the oldest of them.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// True when nothing is held.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// When the oldest unfinished record was read: after each `finish` the front of the window is unfinished.
    pub fn oldest_unfinished(&self) -> Option<Duration> {
        self.slots.front().map(|slot| slot.read_at)
    }

    /// The oldest unfinished record.
    pub fn oldest_seq(&self) -> Option<Seq> {
        self.slots.front().map(|_| Seq(self.first))
    }

    /// What is held for the oldest unfinished record.
    pub fn oldest(&self) -> Option<&T> {
        self.slots.front().and_then(|slot| slot.held.as_ref())
    }

    /// What is still held, in read order.
    pub fn into_held(self) -> impl Iterator<Item = T> {
        self.slots.into_iter().filter_map(|slot| slot.held)
    }

    fn slot_mut(&mut self, seq: Seq) -> Option<&mut Slot<T>> {
        seq.0.checked_sub(self.first).and_then(|i| self.slots.get_mut(i as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const T: Duration = Duration::ZERO;

    #[test]
    fn a_gap_in_offsets_is_no_hole() {
        let mut window = Window::new(NextOffset(3));
        let a = window.read(Offset(3), T, ()).unwrap();
        let b = window.read(Offset(9), T, ()).unwrap();
        assert!(window.finish(b).is_some());
        assert_eq!(window.safe(), NextOffset(3));
        assert!(window.finish(a).is_some());
        assert_eq!(window.safe(), NextOffset(10));
    }

    #[test]
    fn the_end_of_the_log_counts_once_all_before_it_is_finished() {
        let mut window = Window::new(NextOffset(0));
        let a = window.read(Offset(0), T, ()).unwrap();
        window.ends_at(NextOffset(5));
        assert_eq!(window.safe(), NextOffset(0));
        window.finish(a);
        assert_eq!(window.safe(), NextOffset(5));
        window.ends_at(NextOffset(7));
        window.ends_at(NextOffset(6));
        assert_eq!(window.safe(), NextOffset(7));
    }

    #[test]
    fn a_record_is_read_once_and_finished_once() {
        let mut window = Window::new(NextOffset(5));
        assert_eq!(window.read(Offset(4), T, ()), None);
        let a = window.read(Offset(5), T, ()).unwrap();
        assert_eq!(window.read(Offset(5), T, ()), None);
        assert!(window.finish(a).is_some());
        assert!(window.finish(a).is_none());
        assert!(window.finish(Seq(77)).is_none());
    }

    proptest! {
        #[test]
        fn a_commit_never_passes_an_unfinished_record_under_any_completion_order(
            gaps in prop::collection::vec(1i64..5, 1..60), order in any::<prop::sample::Index>(), seed in any::<u64>()
        ) {
            let mut window = Window::new(NextOffset(0));
            let mut offset = -1;
            let mut open: Vec<(Seq, i64)> = gaps.iter().map(|gap| {
                offset += gap;
                (window.read(Offset(offset), T, ()).unwrap(), offset)
            }).collect();
            let last = open.last().unwrap().1;
            let mut draw = seed ^ order.index(usize::MAX) as u64;
            let mut before = window.safe();
            while !open.is_empty() {
                draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let (seq, _) = open.swap_remove((draw >> 33) as usize % open.len());
                prop_assert!(window.finish(seq).is_some());
                let lowest = open.iter().map(|(_, offset)| *offset).min();
                prop_assert!(lowest.is_none_or(|lowest| window.safe().0 <= lowest));
                prop_assert!(window.safe() >= before);
                prop_assert_eq!(window.unfinished(), open.len());
                before = window.safe();
            }
            prop_assert_eq!(window.safe(), Offset(last).next());
            prop_assert!(window.is_empty());
        }
    }
}
