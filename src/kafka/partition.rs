//! The decisions of the actor that owns a partition: what to read, what to start, what to commit, when it is drained.
//!
//! Pure: `step(epoch, event, now, room, commands)`. A record is owned here from the moment it is read until the broker has
//! acknowledged its outcome; whatever happens right of here, one of `Acked`, `Lost`, `Undelivered` or `Halted` comes back for
//! it, or a new epoch begins at the committed offset. That is why no record can be lost. Who is suspect after a panic: see
//! `suspects`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::offsets::{Seq, Window};
use super::order::{LaneId, Lanes};
use super::suspects::{Loss, Suspects, Suspicion};
use crate::config::settings::Order;
use crate::record::{Epoch, NextOffset, Offset};

/// What happened.
#[derive(Debug)]
pub enum Event<T> {
    /// A record was read; `item` is what the caller keeps for it.
    Read { offset: Offset, key: Option<Bytes>, bytes: usize, item: T },
    /// The log ends here, past control records.
    EndsAt(NextOffset),
    /// The record's outcome was handed to the client library: those behind it in order may follow.
    Enqueued(Seq),
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
    /// The partition is taken away, or the service stops: finish what runs, start nothing.
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
    /// Nothing runs any more.
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
    stage: Stage,
    suspicion: Suspicion,
    item: T,
}

/// One partition in one epoch.
#[derive(Debug)]
pub struct Partition<T> {
    epoch: Epoch,
    bounds: Bounds,
    window: Window<Entry<T>>,
    lanes: Lanes,
    running: usize,
    enqueued: usize,
    /// Waiting records that are to run with nothing beside them.
    suspects: Suspects,
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
            window: Window::new(start),
            lanes: Lanes::new(order),
            running: 0,
            enqueued: 0,
            suspects: Suspects::default(),
            alone: false,
            draining: false,
        }
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
            Event::Enqueued(seq) => self.enqueued(seq, room),
            Event::Acked(seq) => self.finished(seq, room),
            Event::Lost { seq, loss } => self.lost(seq, loss, room, commands),
            Event::Undelivered(seq) => self.undelivered(seq),
            Event::Halted(seq) => self.halted(seq, room),
            Event::Pump => {}
            Event::Drain => self.draining = true,
        }
        // Before `Drained`: what is given up is committed first.
        if self.window.safe() != safe {
            commands.push(Command::Commit(self.window.safe()));
        }
        if !self.draining {
            self.start_what_may(room, commands);
            return true;
        }
        if !self.alone {
            self.suspects.give_back(room);
        }
        if self.running + self.enqueued == 0 {
            commands.push(Command::Drained);
        }
        true
    }

    /// How many records may be read now.
    pub fn may_read(&self, room: &mut impl Room) -> usize {
        if self.draining || !room.may_read(self.window.unfinished()) {
            return 0;
        }
        let window = self.bounds.window.saturating_sub(self.window.unfinished());
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

    /// What is kept for the oldest record that is not finished.
    pub fn oldest(&self) -> Option<&T> {
        self.window.oldest().map(|entry| &entry.item)
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
        self.suspects.give_back(room);
        for _ in 0..std::mem::take(&mut self.running) {
            room.give_record();
        }
        for entry in self.window.into_held() {
            room.give_bytes(entry.bytes);
        }
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
        let entry = Entry { lane: lane.clone(), bytes, stage: Stage::Waiting, suspicion: Suspicion::default(), item };
        if let Some(seq) = self.window.read(offset, now, entry) {
            room.take_bytes(bytes);
            self.lanes.push(lane, seq);
        }
    }

    fn enqueued(&mut self, seq: Seq, room: &mut impl Room) {
        let Some(entry) = self.window.get_mut(seq).filter(|entry| entry.stage == Stage::Running) else { return };
        entry.stage = Stage::Enqueued;
        let lane = entry.lane.clone();
        self.lanes.left(lane);
        self.stopped_running(room);
        self.enqueued += 1;
    }

    fn finished(&mut self, seq: Seq, room: &mut impl Room) {
        let Some(entry) = self.window.finish(seq) else { return };
        match entry.stage {
            Stage::Enqueued => self.enqueued -= 1,
            // The acknowledgement overtook the word that the outcome was handed over.
            Stage::Running => {
                self.lanes.left(entry.lane);
                self.stopped_running(room);
            }
            // The attempt was given up for lost, and yet the broker has its outcome: nothing is left to run.
            Stage::Waiting => {
                self.suspects.remove(seq);
                self.lanes.withdraw(&entry.lane, seq);
            }
        }
        room.give_bytes(entry.bytes);
    }

    fn lost(&mut self, seq: Seq, loss: Loss, room: &mut impl Room, commands: &mut Vec<Command>) {
        let sole = self.alone && self.suspects.has_asked();
        let Some(entry) = self.window.get_mut(seq).filter(|entry| entry.stage == Stage::Running) else { return };
        if let Some(panic) = entry.suspicion.hear(loss, sole) {
            // Still counts as running: its dead letter takes the same way out.
            return commands.push(Command::GiveUp(seq, panic));
        }
        self.stopped_running(room);
        self.again(seq, false);
    }

    fn undelivered(&mut self, seq: Seq) {
        if self.window.get(seq).is_some_and(|entry| entry.stage == Stage::Enqueued) {
            self.enqueued -= 1;
            self.again(seq, true);
        }
    }

    fn halted(&mut self, seq: Seq, room: &mut impl Room) {
        self.draining = true;
        match self.window.get(seq).map(|entry| entry.stage) {
            Some(Stage::Running) => {
                self.stopped_running(room);
                self.again(seq, false);
            }
            // What failed is the dead letter in place of an outcome that the broker refused.
            Some(Stage::Enqueued) => self.undelivered(seq),
            Some(Stage::Waiting) | None => {}
        }
    }

    /// Back in line; `left` tells whether its lane went on without it.
    fn again(&mut self, seq: Seq, left: bool) {
        let Some(entry) = self.window.get_mut(seq) else { return };
        entry.stage = Stage::Waiting;
        self.suspects.add(seq, &entry.suspicion);
        self.lanes.again(entry.lane.clone(), seq, left);
    }

    fn stopped_running(&mut self, room: &mut impl Room) {
        self.running -= 1;
        room.give_record();
        if self.running == 0 && std::mem::take(&mut self.alone) {
            // Another partition's suspect may come first now.
            self.suspects.give_back(room);
        }
    }

    fn start_what_may(&mut self, room: &mut impl Room, commands: &mut Vec<Command>) {
        while !self.alone {
            let suspect = self.suspects.first();
            // Asked for even while something of its own runs: until then, nothing else may begin in the process.
            let free = self.suspects.may_run(room);
            // The rest waits until the suspects have run, each alone.
            if suspect.is_some() && self.running > 0 || suspect.or_else(|| self.lanes.peek()).is_none() {
                return;
            }
            if !(free && room.take_record()) {
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
        self.alone = self.suspects.remove(seq);
        Some(seq)
    }

    fn run(&mut self, seq: Seq, commands: &mut Vec<Command>) {
        let Some(entry) = self.window.get_mut(seq) else { return };
        entry.stage = Stage::Running;
        self.running += 1;
        commands.push(entry.suspicion.verdict().map_or(Command::Start(seq), |text| Command::GiveUp(seq, text)));
    }
}

#[cfg(test)]
mod tests;
