//! Records that a panic throws suspicion on: what is held against each, and which of them has to run with nothing beside it.
//!
//! Pure. A record that was *at hand* in a panic is the only one suspect, so it runs again alone in its partition. When nothing
//! was at hand, each record that the dead actor held may be the culprit, and so may one of another partition: each of them
//! runs again with nothing beside it in the whole process, and only what panics then is given up.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::offsets::Seq;
use super::partition::Room;

/// A record that was at hand in so many panics is given up.
pub const STRIKES: u8 = 2;

/// How a record was held by whoever lost it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing speaks against it: another record was at hand, or nobody panicked.
    Innocent,
    /// It was at hand in a panic with this text.
    AtHand(Arc<str>),
    /// It was held in a panic with nothing at hand.
    Unseen {
        /// Text of the panic.
        panic: Arc<str>,
        /// Nothing else was held there.
        alone: bool,
    },
}

/// What is held against one record.
#[derive(Debug, Default)]
pub(super) struct Suspicion {
    strikes: u8,
    unseen: bool,
    /// The text of the panic that gave it up.
    verdict: Option<Arc<str>>,
}

impl Suspicion {
    /// Takes a loss in. `sole`: it ran with nothing beside it in the process. The text of the panic if it is given up now.
    pub(super) fn hear(&mut self, loss: Loss, sole: bool) -> Option<Arc<str>> {
        let guilty = match loss {
            Loss::Innocent => return None,
            Loss::AtHand(panic) => {
                self.strikes = self.strikes.saturating_add(1);
                (self.strikes >= STRIKES).then_some(panic)
            }
            Loss::Unseen { panic, alone } => {
                let known = std::mem::replace(&mut self.unseen, true);
                // What is given up has had its trial: it is its dead letter that was lost.
                (known && sole && alone && self.verdict.is_none()).then_some(panic)
            }
        };
        if guilty.is_some() {
            self.verdict.clone_from(&guilty);
        }
        guilty
    }

    /// The text of the panic that it was given up for.
    pub(super) fn verdict(&self) -> Option<Arc<str>> {
        self.verdict.clone()
    }

    fn is_any(&self) -> bool {
        self.strikes > 0 || self.unseen
    }
}

/// The suspects among the waiting records of one partition.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    /// With each, whether nothing else in the process may run beside it.
    waiting: BTreeMap<Seq, bool>,
    /// The process's right to run alone was asked for, and perhaps given.
    asked: bool,
}

impl Suspects {
    /// A record waits: is it one of them?
    pub(super) fn add(&mut self, seq: Seq, suspicion: &Suspicion) {
        if suspicion.is_any() {
            self.waiting.insert(seq, suspicion.unseen);
        }
    }

    /// A record waits no longer. True if it was one of them.
    pub(super) fn remove(&mut self, seq: Seq) -> bool {
        self.waiting.remove(&seq).is_some()
    }

    /// The one to run next.
    pub(super) fn first(&self) -> Option<Seq> {
        self.waiting.first_key_value().map(|(seq, _)| *seq)
    }

    /// Asks for what the next one needs of the process. False while others stand in the way.
    pub(super) fn may_run(&mut self, room: &mut impl Room) -> bool {
        if self.waiting.first_key_value().is_some_and(|(_, unseen)| *unseen) {
            self.asked = true;
            room.take_process()
        } else {
            self.give_back(room);
            true
        }
    }

    /// Whether the right to run alone in the process was asked for. What then runs as a suspect has it.
    pub(super) fn has_asked(&self) -> bool {
        self.asked
    }

    /// Others may have the process.
    pub(super) fn give_back(&mut self, room: &mut impl Room) {
        if std::mem::take(&mut self.asked) {
            room.give_process();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unseen(alone: bool) -> Loss {
        Loss::Unseen { panic: "boom".into(), alone }
    }

    #[test]
    fn at_hand_twice_is_given_up_and_merely_held_never() {
        let mut suspicion = Suspicion::default();
        assert_eq!(suspicion.hear(Loss::AtHand("one".into()), false), None);
        assert_eq!(suspicion.hear(Loss::Innocent, false), None);
        assert_eq!(suspicion.hear(Loss::AtHand("two".into()), false).as_deref(), Some("two"));

        let mut held = Suspicion::default();
        for (alone, sole) in [(true, true), (false, true), (true, false), (false, false)] {
            assert_eq!(held.hear(unseen(alone), sole), None, "alone {alone}, sole {sole}");
        }
        assert_eq!(held.hear(unseen(true), true).as_deref(), Some("boom"));
        assert_eq!(held.verdict().as_deref(), Some("boom"));
        assert_eq!(held.hear(unseen(true), true), None, "it was given up before");
    }
}
