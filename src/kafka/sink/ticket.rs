//! What goes with an outcome through the client library, and where its owner finds what became of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::error::RDKafkaErrorCode;

use super::lane::{Lane, Turn};
use crate::kafka::holdings::Marks;
use crate::kafka::offsets::Seq;
use crate::kafka::outcome::OutRecord;
use crate::record::Epoch;

/// What became of an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The broker has stored it.
    Acked,
    /// It will never be stored as it is.
    Refused(RDKafkaErrorCode),
    /// It was not stored, for a reason that passes.
    Undelivered(RDKafkaErrorCode),
}

/// What kind of outcome it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Letter {
    /// For the output topic.
    Answer,
    /// For the dead-letter topic.
    Dead,
    /// For no topic: nothing is written.
    Nothing,
}

impl Letter {
    /// For logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Dead => "dead letter",
            Self::Nothing => "nothing",
        }
    }
}

/// The end of one outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// The owner's epoch.
    pub epoch: Epoch,
    /// Which record.
    pub seq: Seq,
    /// Kind of outcome.
    pub letter: Letter,
    /// What became of it.
    pub settled: Settled,
}

/// What an owner hears of one of its outcomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// It was handed to the client library.
    Enqueued(Epoch, Seq),
    /// With so many bytes, it waits for its transaction.
    Held(Epoch, Seq, usize),
    /// It has come to its end.
    Settled(Settlement),
}

/// Where an owner finds what became of its outcomes, and where they wait for each other. Filled by the producer, whose actor
/// and thread tell of many at a time; emptied by the owner.
pub struct Settlements {
    list: Mutex<Vec<Word>>,
    lane: Mutex<Lane<Handed>>,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Settlements {
    /// `wake` is called when the list was empty and is so no longer.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { list: Mutex::default(), lane: Mutex::default(), wake: Box::new(wake) })
    }

    /// Takes all there is.
    pub fn take(&self, into: &mut Vec<Word>) {
        into.append(&mut self.list());
    }

    /// Adds one.
    pub fn put(&self, word: Word) {
        let mut list = self.list();
        let was_empty = list.is_empty();
        list.push(word);
        drop(list);
        if was_empty {
            (self.wake)();
        }
    }

    /// The owner's outcomes that are not settled.
    pub(super) fn lane(&self) -> MutexGuard<'_, Lane<Handed>> {
        self.lane.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn list(&self) -> MutexGuard<'_, Vec<Word>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One life of an owner, as those see it who write its outcomes.
pub struct Owner {
    /// Which life.
    pub epoch: Epoch,
    /// Where it is told what became of its outcomes.
    pub settlements: Arc<Settlements>,
    /// Tells when the life is over.
    pub marks: Arc<Marks>,
}

/// Travels through the client library with an outcome, so that its owner learns the end.
#[derive(Clone)]
pub struct Ticket {
    /// Whom to tell.
    pub owner: Arc<Owner>,
    /// Which record.
    pub seq: Seq,
    /// Kind of outcome.
    pub letter: Letter,
    /// Place among all that were handed to the client library.
    pub place: u64,
    /// Of the outcome, while it has room.
    pub bytes: usize,
}

impl Ticket {
    /// Tells the owner.
    pub fn settle(self, settled: Settled) {
        let Self { owner, seq, letter, .. } = self;
        owner.settlements.put(Word::Settled(Settlement { epoch: owner.epoch, seq, letter, settled }));
    }

    /// Tells the owner of an outcome that was in its lane. What becomes of what waits there.
    pub(super) fn leave(self, settled: Settled, busy: bool) -> (Arc<Owner>, Turn) {
        let Self { owner, seq, letter, .. } = self;
        let turn = owner.settlements.lane().settled(busy);
        owner.settlements.put(Word::Settled(Settlement { epoch: owner.epoch, seq, letter, settled }));
        (owner, turn)
    }
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ticket").field("epoch", &self.owner.epoch).field("seq", &self.seq).finish_non_exhaustive()
    }
}

/// An outcome on its way to the broker.
#[derive(Debug)]
pub(super) struct Handed {
    pub(super) record: OutRecord,
    pub(super) ticket: Box<Ticket>,
}
