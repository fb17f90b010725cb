//! The decisions of the actor that owns a partition: what to read, what to start, what to commit, when it is drained.
//!
//! Pure: `step(epoch, event, now, room, commands)`. A record is owned here from the moment it is read until the broker has
//! acknowledged its outcome; whatever happens right of here, one of `Acked`, `Lost` or `Undelivered` comes back for it, or
//! a new epoch begins at the committed offset. That is why no record can be lost.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::offsets::{Seq, Window};
use super::order::{LaneId, Lanes};
use crate::config::settings::Order;
use crate::record::{Epoch, NextOffset, Offset};

/// A record that was at hand in so many panics is dead-lettered.
pub const STRIKES: u8 = 2;

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
    /// The broker has stored the record's outcome.
    Acked(Seq),
    /// The record's outcome will not come: an actor that had it died. `panic` is set when it was at hand in a panic.
    Lost { seq: Seq, panic: Option<Arc<str>> },
    /// The client library gave an enqueued outcome back for a reason that passes.
    Undelivered(Seq),
    /// Room may have become free.
    Pump,
    /// The partition is taken away, or the service stops: finish what runs, start nothing.
    Drain,
}

/// What the actor is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Run this record.
    Start(Seq),
    /// This record was at hand in panics again and again, the last with this text: dead-letter it.
    GiveUp(Seq, Arc<str>),
    /// Everything below is finished.
    Commit(NextOffset),
    /// There was no room to start all that could start: pump again.
    Starved,
    /// Nothing runs any more.
    Drained,
}

/// Room shared with the other partitions of the process.
pub trait Room {
    /// Takes the right to run one record, if there is one.
    fn take_record(&mut self) -> bool;
    /// Gives it back.
    fn give_record(&mut self);
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
    /// Finished records past the oldest unfinished one.
    pub commit_span: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    Running,
    /// Its outcome is with the client library.
    Enqueued,
}

#[derive(Debug)]
struct Entry<T> {
    lane: LaneId,
    bytes: usize,
    /// Bytes of the outcome, while it waits for its transaction.
    outcome: usize,
    stage: Stage,
    /// Panics at which it was at hand: it is suspect from the first on.
    strikes: u8,
    /// The text of the panic that gave it up.
    verdict: Option<Arc<str>>,
    item: T,
}

/// One partition in one epoch.
#[derive(Debug)]
pub struct Partition<T> {
    epoch: Epoch,
    bounds: Bounds,
    /// Outcomes are stored in read order, in transactions.
    transactional: bool,
    window: Window<Entry<T>>,
    lanes: Lanes,
    running: usize,
    enqueued: usize,
    /// Waiting records that are to run with nothing beside them.
    suspects: BTreeSet<Seq>,
    /// A suspect runs, so nothing else may.
    alone: bool,
    draining: bool,
}

impl<T> Partition<T> {
    /// A partition that will be read from `start` on.
    pub fn new(epoch: Epoch, start: NextOffset, order: Order, bounds: Bounds) -> Self {
        Self {
            epoch,
            bounds,
            transactional: false,
            window: Window::new(start),
            lanes: Lanes::new(order),
            running: 0,
            enqueued: 0,
            suspects: BTreeSet::new(),
            alone: false,
            draining: false,
        }
    }

    /// The same partition, whose outcomes are stored in read order, in transactions: its drain does not wait for what cannot
    /// be stored any more, and an outcome that waits for its predecessors counts against the span, not the window.
    pub fn transactional(mut self) -> Self {
        self.transactional = true;
        self
    }

    /// Takes in what happened, and appends what is to be done. `false` when the event is of another epoch and was dropped.
    pub fn step(
        &mut self,
        epoch: Epoch,
        event: Event<T>,
        now: Duration,
        room: &mut impl Room,
        commands: &mut Vec<Command>,
    ) -> bool {
        if epoch != self.epoch {
            return false;
        }
        let safe = self.window.safe();
        match event {
            Event::Read { offset, key, bytes, item } => self.take_in(offset, key, bytes, item, now, room),
            Event::EndsAt(position) => self.window.ends_at(position),
            Event::Enqueued(seq) => self.enqueued(seq, 0, room),
            Event::Held { seq, bytes } => self.enqueued(seq, bytes, room),
            Event::Acked(seq) => self.finished(seq, room),
            Event::Lost { seq, panic } => self.lost(seq, panic, room, commands),
            Event::Undelivered(seq) => self.undelivered(seq, room),
            Event::Pump => {}
            Event::Drain => self.draining = true,
        }
        // Before `Drained`: what is given up is committed first.
        if self.window.safe() != safe {
            commands.push(Command::Commit(self.window.safe()));
        }
        if !self.draining {
            self.start_what_may(room, commands);
        } else if self.is_drained() {
            commands.push(Command::Drained);
        }
        true
    }

    /// How many records may be read now.
    pub fn may_read(&self, room: &mut impl Room) -> usize {
        if self.draining || !room.may_read(self.window.unfinished()) {
            return 0;
        }
        let held = if self.transactional { self.enqueued } else { 0 };
        let window = self.bounds.window.saturating_sub(self.window.unfinished() - held);
        // The span cannot pass its bound when no more than it and one unfinished record are held.
        window.min((self.bounds.commit_span + 1).saturating_sub(self.window.len()))
    }

    /// What is kept for a record that is not finished.
    pub fn item(&self, seq: Seq) -> Option<&T> {
        self.window.get(seq).map(|entry| &entry.item)
    }

    /// The same, to change it.
    pub fn item_mut(&mut self, seq: Seq) -> Option<&mut T> {
        self.window.get_mut(seq).map(|entry| &mut entry.item)
    }

    /// The epoch whose events are taken.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Everything below is finished.
    pub fn safe(&self) -> NextOffset {
        self.window.safe()
    }

    /// Records read and not finished.
    pub fn unfinished(&self) -> usize {
        self.window.unfinished()
    }

    /// Finished records past the oldest unfinished one.
    pub fn span(&self) -> usize {
        self.window.span()
    }

    /// Records that run, their outcome not yet with the client library.
    pub fn running(&self) -> usize {
        self.running
    }

    /// When the oldest unfinished record was read.
    pub fn oldest_unfinished(&self) -> Option<Duration> {
        self.window.oldest_unfinished()
    }

    /// Gives all room back: the epoch ends here.
    pub fn close(mut self, room: &mut impl Room) {
        for _ in 0..std::mem::take(&mut self.running) {
            room.give_record();
        }
        for entry in self.window.into_held() {
            give_back(&entry, self.transactional, room);
        }
    }

    /// Without transactions, nothing runs any more. With them, the oldest record does not run: what comes after it cannot be
    /// stored in this epoch.
    fn is_drained(&self) -> bool {
        let oldest_waits = || self.window.oldest().is_none_or(|entry| entry.stage == Stage::Waiting);
        if self.transactional { oldest_waits() } else { self.running + self.enqueued == 0 }
    }

    fn take_in(
        &mut self,
        offset: Offset,
        key: Option<Bytes>,
        bytes: usize,
        item: T,
        now: Duration,
        room: &mut impl Room,
    ) {
        let lane = self.lanes.lane_of(self.window.next_seq(), key.as_ref());
        let entry =
            Entry { lane: lane.clone(), bytes, outcome: 0, stage: Stage::Waiting, strikes: 0, verdict: None, item };
        if let Some(seq) = self.window.read(offset, now, entry) {
            room.take_bytes(bytes);
            self.lanes.push(lane, seq);
        }
    }

    fn enqueued(&mut self, seq: Seq, bytes: usize, room: &mut impl Room) {
        let transactional = self.transactional;
        let Some(entry) = self.window.get_mut(seq).filter(|entry| entry.stage == Stage::Running) else { return };
        entry.stage = Stage::Enqueued;
        entry.outcome = bytes;
        if transactional {
            room.give_bytes(entry.bytes);
            room.hold(entry.bytes + bytes);
        }
        let lane = entry.lane.clone();
        self.lanes.left(lane);
        self.stopped_running(room);
        self.enqueued += 1;
    }

    fn finished(&mut self, seq: Seq, room: &mut impl Room) {
        let Some(entry) = self.window.finish(seq) else { return };
        give_back(&entry, self.transactional, room);
        match entry.stage {
            Stage::Enqueued => self.enqueued -= 1,
            // The acknowledgement overtook the word that the outcome was handed over.
            Stage::Running => {
                self.lanes.left(entry.lane);
                self.stopped_running(room);
            }
            // The attempt was given up for lost, and yet the broker has its outcome: nothing is left to run.
            Stage::Waiting => {
                self.suspects.remove(&seq);
                self.lanes.withdraw(&entry.lane, seq);
            }
        }
    }

    fn lost(&mut self, seq: Seq, panic: Option<Arc<str>>, room: &mut impl Room, commands: &mut Vec<Command>) {
        let Some(entry) = self.window.get_mut(seq).filter(|entry| entry.stage == Stage::Running) else { return };
        if let Some(text) = panic {
            entry.strikes = entry.strikes.saturating_add(1);
            if entry.strikes >= STRIKES {
                // Still counts as running: its dead letter takes the same way out.
                entry.verdict = Some(text.clone());
                commands.push(Command::GiveUp(seq, text));
                return;
            }
        }
        self.stopped_running(room);
        self.again(seq, false);
    }

    fn undelivered(&mut self, seq: Seq, room: &mut impl Room) {
        if let Some(entry) = self.window.get(seq).filter(|entry| entry.stage == Stage::Enqueued) {
            give_back(entry, self.transactional, room);
            room.take_bytes(entry.bytes);
            self.enqueued -= 1;
            self.again(seq, true);
        }
    }

    /// Back in line; `left` tells whether its lane went on without it.
    fn again(&mut self, seq: Seq, left: bool) {
        let Some(entry) = self.window.get_mut(seq) else { return };
        entry.stage = Stage::Waiting;
        if entry.strikes > 0 {
            self.suspects.insert(seq);
        }
        self.lanes.again(entry.lane.clone(), seq, left);
    }

    fn stopped_running(&mut self, room: &mut impl Room) {
        self.running -= 1;
        if self.running == 0 {
            self.alone = false;
        }
        room.give_record();
    }

    fn start_what_may(&mut self, room: &mut impl Room, commands: &mut Vec<Command>) {
        while !self.alone {
            let suspect = self.suspects.first().copied();
            // The rest waits until the suspects have run, each alone.
            if suspect.is_some() && self.running > 0 || suspect.or_else(|| self.lanes.peek()).is_none() {
                return;
            }
            if !room.take_record() {
                commands.push(Command::Starved);
                return;
            }
            let started = match suspect {
                Some(seq) => self.start_suspect(seq),
                None => self.lanes.start(),
            };
            let Some(seq) = started else { return room.give_record() };
            self.run(seq, commands);
        }
    }

    /// The suspect, or what goes before it in its lane.
    fn start_suspect(&mut self, suspect: Seq) -> Option<Seq> {
        let lane = &self.window.get(suspect)?.lane;
        let seq = self.lanes.start_in(lane, suspect)?;
        self.alone = self.suspects.remove(&seq);
        Some(seq)
    }

    fn run(&mut self, seq: Seq, commands: &mut Vec<Command>) {
        let Some(entry) = self.window.get_mut(seq) else { return };
        entry.stage = Stage::Running;
        self.running += 1;
        commands.push(entry.verdict.clone().map_or(Command::Start(seq), |text| Command::GiveUp(seq, text)));
    }
}

/// An entry that is held no longer gives back what it had.
fn give_back<T>(entry: &Entry<T>, transactional: bool, room: &mut impl Room) {
    match entry.stage {
        Stage::Enqueued if transactional => room.release(entry.bytes + entry.outcome),
        _ => room.give_bytes(entry.bytes),
    }
}

#[cfg(test)]
mod tests;
