//! What the actors of one record's way tell each other, and the guard that tells its owner when one of them dies.

use std::sync::Arc;

use bytes::Bytes;
use millrace_actors::{ItemId, Recipient};

use crate::kafka::dead_letter::Keep;
use crate::kafka::holdings::Marks;
use crate::kafka::offsets::Seq;
use crate::kafka::outcome::Outcome;
use crate::kafka::sink::{Letter, Owner, Ticket, Word};
use crate::kafka::suspects::Loss;
use crate::record::{Epoch, Message, Partition, Record};

/// One life of an owner, as those see it who hold its records.
pub struct Link {
    /// Which partition.
    pub partition: Partition,
    /// Which life.
    pub epoch: Epoch,
    /// The owner.
    pub back: Recipient<Back>,
    /// The same life, as those see it who write its outcomes.
    pub owner: Arc<Owner>,
    /// Tells when the life is over.
    pub marks: Arc<Marks>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Link({}, {})", self.partition, self.epoch)
    }
}

/// What comes back to the owner of a record that has no outcome. Of outcomes it hears by [`Word`]s.
#[derive(Clone, Debug)]
pub enum Back {
    /// Whoever held the record died, or gave it up.
    Lost {
        /// Which life of the owner.
        epoch: Epoch,
        /// Which record.
        seq: Seq,
        /// How it was held there.
        loss: Loss,
    },
    /// The record failed, which is to stop the service.
    Halted(Epoch, Seq),
}

/// Goes with a record wherever it is handled. Dropped without a word, it tells the owner that the record was lost there.
#[derive(Debug)]
pub struct Guard {
    link: Option<Arc<Link>>,
    seq: Seq,
}

impl Guard {
    /// A guard for a record of the link's owner.
    pub fn new(link: Arc<Link>, seq: Seq) -> Self {
        Self { link: Some(link), seq }
    }

    /// Place of the record in its owner's read order.
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// The partition of the record.
    pub fn partition(&self) -> Option<Partition> {
        self.link.as_ref().map(|link| link.partition)
    }

    /// False once the owner's life is over: whatever comes of the record is late.
    pub fn is_current(&self) -> bool {
        self.link.as_ref().is_some_and(|link| !link.marks.is_over())
    }

    /// What goes with the outcome through the client library.
    pub fn ticket(&self, letter: Letter) -> Option<Box<Ticket>> {
        let link = self.link.as_ref()?;
        Some(Box::new(Ticket { owner: link.owner.clone(), seq: self.seq, letter, place: 0, bytes: 0 }))
    }

    /// The outcome is with the client library, which tells the rest.
    pub fn enqueued(mut self) {
        if let Some(link) = self.link.take() {
            // An owner that is gone has no use for it: its next life reads the record again.
            link.owner.settlements.put(Word::Enqueued(link.epoch, self.seq));
        }
    }

    /// The outcome, with so many bytes, waits for its transaction, whose end is told.
    pub fn held(mut self, bytes: usize) {
        if let Some(link) = self.link.take() {
            link.owner.settlements.put(Word::Held(link.epoch, self.seq, bytes));
        }
    }

    /// Whoever held the record died.
    pub fn lost(mut self, loss: Loss) {
        self.tell_lost(loss);
    }

    /// The record failed, which is to stop the service.
    pub fn halted(mut self) {
        if let Some(link) = self.link.take() {
            drop(link.back.tell(Back::Halted(link.epoch, self.seq)));
        }
    }

    /// The owner knows already.
    pub fn disarm(mut self) {
        self.link = None;
    }

    fn tell_lost(&mut self, loss: Loss) {
        if let Some(link) = self.link.take() {
            drop(link.back.tell(Back::Lost { epoch: link.epoch, seq: self.seq, loss }));
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.tell_lost(Loss::Innocent);
    }
}

/// The record as an item at hand: unique among all that are held.
pub fn item(record: &Record) -> ItemId {
    ItemId((record.partition.0 as u64) << 48 | (record.offset.0 as u64 & 0xFFFF_FFFF_FFFF))
}

/// A record to be run through the graph.
#[derive(Debug)]
pub struct Request {
    /// Tells the owner when it is lost.
    pub guard: Guard,
    /// As it was read.
    pub record: Arc<Record>,
    /// Request id.
    pub puid: Bytes,
    /// The request in it.
    pub message: Message,
}

/// A record that has an outcome.
#[derive(Debug)]
pub struct Finished {
    /// Tells the owner when it is lost, and that it was handed over.
    pub guard: Guard,
    /// As it was read.
    pub record: Arc<Record>,
    /// Request id.
    pub puid: Bytes,
    /// How it ended.
    pub outcome: Outcome,
    /// How much of the record a dead letter keeps.
    pub keep: Keep,
}
