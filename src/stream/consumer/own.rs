//! What an owner's own panics say of its records. Its next life reads them again, so this outlives the life.
//!
//! A record at hand in two panics is given up. With nothing at hand, any of the records that it owned may be the
//! culprit: its next life owns one of them at a time, and the one that it owned alone in such a panic is given up. Not for the
//! panics of other actors: see `kafka::suspects`.

use std::collections::HashMap;
use std::sync::Arc;

use millrace_actors::ItemId;

use crate::kafka::suspects::STRIKES;
use crate::record::Offset;

/// What is held against the records of one owner.
#[derive(Debug, Default)]
pub(super) struct OwnPanics {
    strikes: HashMap<ItemId, (u8, Arc<str>)>,
    /// Records up to here are owned one at a time.
    careful_to: Option<Offset>,
}

impl OwnPanics {
    /// A panic with this record at hand.
    pub(super) fn at_hand(&mut self, item: ItemId, panic: &str) {
        self.add(item, 1, panic);
    }

    /// A panic with nothing at hand, while so many records were owned, the last of them at this offset.
    pub(super) fn unseen(&mut self, owned: usize, first: ItemId, last: Offset, panic: &str) {
        if owned == 1 && self.is_careful(last) {
            self.add(first, STRIKES, panic);
        } else if !self.is_careful(last) {
            self.careful_to = Some(last);
        }
    }

    /// Whether a record may be read only while nothing else is owned.
    pub(super) fn one_at_a_time(&self) -> bool {
        self.careful_to.is_some()
    }

    /// A record was read.
    pub(super) fn read(&mut self, offset: Offset) {
        if !self.is_careful(offset) {
            self.careful_to = None;
        }
    }

    /// A record has its outcome.
    pub(super) fn finished(&mut self, item: ItemId) {
        if !self.strikes.is_empty() {
            self.strikes.remove(&item);
        }
    }

    /// The text of the panic, if the record is given up.
    pub(super) fn verdict(&self, item: ItemId) -> Option<Arc<str>> {
        self.strikes.get(&item).filter(|(strikes, _)| *strikes >= STRIKES).map(|(_, panic)| panic.clone())
    }

    fn is_careful(&self, offset: Offset) -> bool {
        self.careful_to.is_some_and(|to| offset <= to)
    }

    fn add(&mut self, item: ItemId, strikes: u8, panic: &str) {
        // An item holds the low bits of the offset: no partition holds records so far apart.
        let entry = self.strikes.entry(item).or_insert_with(|| (0, panic.into()));
        entry.0 = entry.0.saturating_add(strikes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_an_unseen_panic_records_are_owned_one_at_a_time_and_the_one_that_panics_alone_is_given_up() {
        let mut own = OwnPanics::default();
        own.unseen(1, ItemId(7), Offset(7), "boom");
        assert_eq!((own.verdict(ItemId(7)), own.one_at_a_time()), (None, true), "alone by chance proves nothing");
        own.unseen(3, ItemId(7), Offset(7), "boom");
        assert_eq!(own.verdict(ItemId(7)), None);
        own.unseen(1, ItemId(7), Offset(7), "boom");
        assert_eq!(own.verdict(ItemId(7)).as_deref(), Some("boom"));
        own.read(Offset(7));
        assert!(own.one_at_a_time());
        own.read(Offset(8));
        assert!(!own.one_at_a_time(), "past the records that were owned then");
    }

    #[test]
    fn a_record_at_hand_is_given_up_at_the_second_panic_and_forgotten_when_it_is_finished() {
        let mut own = OwnPanics::default();
        own.at_hand(ItemId(1), "boom");
        assert_eq!(own.verdict(ItemId(1)), None);
        own.at_hand(ItemId(1), "boom");
        assert_eq!(own.verdict(ItemId(1)).as_deref(), Some("boom"));
        own.finished(ItemId(1));
        assert_eq!(own.verdict(ItemId(1)), None);
    }
}
