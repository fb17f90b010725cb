//! What the end of an actor's life says of the records that it held.
//!
//! Not for what follows from it: the owner decides that, see `kafka::suspects`.

use std::sync::Arc;

use millrace_actors::{Exit, Failure, ItemId, Phase};

use crate::kafka::suspects::Loss;

/// Who is to blame for the end of a life.
#[derive(Debug)]
pub struct Blame {
    /// Text of the panic, if it was one that a record can have caused.
    panic: Option<Arc<str>>,
    at_hand: Option<ItemId>,
    alone: bool,
}

impl Blame {
    /// Looks at the end of a life of an actor that held these records.
    pub fn new(why: &Failure, held: impl IntoIterator<Item = ItemId>) -> Self {
        // A crash that an operator asked for says nothing of any record.
        let is_panic = matches!(&why.exit, Exit::Panicked { phase, .. } if *phase != Phase::Crash);
        let mut held = held.into_iter();
        let first = held.next();
        let alone = held.all(|item| Some(item) == first);
        Self { panic: is_panic.then(|| why.exit.to_string().into()), at_hand: why.at_hand, alone }
    }

    /// How this record was lost there.
    pub fn loss(&self, item: ItemId) -> Loss {
        match (&self.panic, self.at_hand) {
            (Some(panic), Some(at_hand)) if at_hand == item => Loss::AtHand(panic.clone()),
            (Some(panic), None) => Loss::Unseen { panic: panic.clone(), alone: self.alone },
            _ => Loss::Innocent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(exit: Exit, at_hand: Option<u64>, held: &[u64]) -> Loss {
        let why = Failure { exit, at_hand: at_hand.map(ItemId) };
        Blame::new(&why, held.iter().copied().map(ItemId)).loss(ItemId(1))
    }

    fn panicked(phase: Phase) -> Exit {
        Exit::Panicked { text: "boom".into(), phase }
    }

    #[test]
    fn only_what_was_at_hand_is_to_blame_and_without_it_all_that_was_held() {
        let text: Arc<str> = panicked(Phase::Receive).to_string().into();
        assert_eq!(loss(panicked(Phase::Receive), Some(1), &[1, 2]), Loss::AtHand(text.clone()));
        assert_eq!(loss(panicked(Phase::Receive), Some(2), &[1, 2]), Loss::Innocent);
        let unseen = |alone| Loss::Unseen { panic: text.clone(), alone };
        assert_eq!(loss(panicked(Phase::Receive), None, &[1, 2]), unseen(false));
        assert_eq!(loss(panicked(Phase::Receive), None, &[1, 1]), unseen(true));
    }

    #[test]
    fn what_no_record_can_have_caused_is_nobodys_fault() {
        let sibling = Exit::SiblingFailed { child: "other".into() };
        for exit in [panicked(Phase::Crash), sibling, Exit::ArbiterLost, Exit::Failed { text: "no".into() }] {
            assert_eq!(loss(exit, None, &[1]), Loss::Innocent);
        }
    }
}
