//! What the owner's machine hears and says, and the room that it asks for. Pure.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::kafka::offsets::Seq;
use crate::kafka::suspects::Loss;
use crate::record::{NextOffset, Offset};

/// What happened.
#[derive(Debug)]
pub enum Event<T> {
    /// A record was read; `item` is what the caller keeps for it.
    Read { offset: Offset, key: Option<Bytes>, bytes: usize, item: T },
    /// The log ends here, past control records.
    EndsAt(NextOffset),
    /// The record's outcome was handed to the client library: those behind it in order may follow.
    Enqueued(Seq),
    /// The same in a transactional partition: the outcome, with so many bytes, is held until its transaction is committed.
    Held { seq: Seq, bytes: usize },
    /// The broker will never take the record's outcome; a dead letter follows in its place.
    Refused(Seq),
    /// The broker has stored the record's outcome.
    Acked(Seq),
    /// The record's outcome will not come: an actor that had it died, or gave it up.
    Lost { seq: Seq, loss: Loss },
    /// The client library gave an enqueued outcome back for a reason that passes.
    Undelivered(Seq),
    /// The record failed, and a failure is to stop the service: it stays unfinished, and nothing more starts.
    Halted(Seq),
    /// Room may have become free.
    Pump,
    /// The partition is taken away, or the service stops: finish what runs and, without transactions, what was read before it.
    /// A finished record above one that is not would be answered again by whoever reads the partition next.
    Drain,
}

/// What the actor is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Run this record.
    Start(Seq),
    /// This record is to blame for panics, the last with this text: dead-letter it.
    GiveUp(Seq, Arc<str>),
    /// Everything below is finished.
    Commit(NextOffset),
    /// There was no room to start all that could start: pump again.
    Starved,
    /// Nothing runs any more, and nothing will.
    Drained,
}

/// Room shared with the other partitions of the process.
pub trait Room {
    /// Takes the right to run one record, if there is one.
    fn take_record(&mut self) -> bool;
    /// Gives it back.
    fn give_record(&mut self);
    /// Asks for the right to run a record with nothing beside it in the process: from now on only those start anything who
    /// asked before, one after the other. True once it is this partition's turn and nothing runs.
    fn take_process(&mut self) -> bool;
    /// Gives that right back, or asks for it no longer.
    fn give_process(&mut self);
    /// Counts bytes that are held.
    fn take_bytes(&mut self, bytes: usize);
    /// No longer held.
    fn give_bytes(&mut self, bytes: usize);
    /// True while further bytes may be read by a partition that holds `held` records.
    fn may_read(&mut self, held: usize) -> bool;
    /// Counts bytes of outcomes that wait for a transaction.
    fn hold(&mut self, bytes: usize);
    /// They do no longer.
    fn release(&mut self, bytes: usize);
}

/// Bounds of one partition.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Records read and not finished.
    pub window: usize,
    /// Records that could start at once if the process had room for them: at so many, no more are read.
    pub ready: usize,
    /// Finished records past the oldest unfinished one.
    pub commit_span: usize,
    /// A drain starts what is still to be finished for so long.
    pub drain_starts: Duration,
}
