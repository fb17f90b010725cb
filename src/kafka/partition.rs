//! The decisions of the actor that owns a partition: what to read, what to start, what to commit, when it is drained.
//!
//! Pure: `step(epoch, event, now, room, commands)`. A record is owned here from the moment it is read until the broker has
//! acknowledged its outcome; whatever happens right of here, one of `Acked`, `Lost`, `Undelivered` or `Halted` comes back for
//! it, or a new epoch begins at the committed offset. That is why no record can be lost. Who is suspect after a panic: see
//! `suspects`.

use std::time::Duration;

use bytes::Bytes;

use super::offsets::{Seq, Window};
use super::order::{LaneId, Lanes};
use super::suspects::{Loss, Suspects, Suspicion};
mod words;

pub use self::words::{Bounds, Command, Event, Room};
use crate::config::settings::Order;
use crate::record::{Epoch, NextOffset, Offset};

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
    suspicion: Suspicion,
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
    suspects: Suspects,
    /// A suspect runs, so nothing else may.
    alone: bool,
    /// The latest record in read order that was ever started.
    latest: Option<Seq>,
    /// Set while it drains: when the last record may be started.
    drain: Option<Duration>,
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
            suspects: Suspects::default(),
            alone: false,
            latest: None,
            drain: None,
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
            // The refusal may overtake the word that the outcome was handed over, and the dead letter is given back as one that was.
            Event::Refused(seq) => {
                if !self.transactional {
                    self.enqueued(seq, 0, room);
                }
            }
            Event::Acked(seq) => self.finished(seq, room),
            Event::Lost { seq, loss } => self.lost(seq, loss, room, commands),
            Event::Undelivered(seq) => self.undelivered(seq, room),
            Event::Halted(seq) => self.halted(seq, room),
            Event::Pump => {}
            Event::Drain => _ = self.drain.get_or_insert(now + self.bounds.drain_starts),
        }
        // Before `Drained`: what is given up is committed first.
        if self.window.safe() != safe {
            commands.push(Command::Commit(self.window.safe()));
        }
        let Some(until) = self.drain else {
            self.start_what_may(room, commands);
            return true;
        };
        let end = self.latest.filter(|_| now < until && !self.transactional && self.suspects.first().is_none());
        if let Some(end) = end {
            self.lanes.only_before(end);
            self.start_what_may(room, commands);
        }
        if !self.alone {
            self.suspects.give_back(room);
        }
        if self.is_drained(end) {
            // Whoever waited for it goes on.
            self.drain = Some(Duration::ZERO);
            commands.push(Command::Drained);
        }
        true
    }

    /// How many records may be read now.
    pub fn may_read(&self, room: &mut impl Room) -> usize {
        if self.drain.is_some() || !room.may_read(self.window.unfinished()) {
            return 0;
        }
        let ready = self.bounds.ready.saturating_sub(self.lanes.ready());
        let held = if self.transactional { self.enqueued } else { 0 };
        let window = self.bounds.window.saturating_sub(self.window.unfinished() - held);
        // The span cannot pass its bound when no more than it and one unfinished record are held.
        window.min(ready).min((self.bounds.commit_span + 1).saturating_sub(self.window.len()))
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
            give_back(&entry, self.transactional, room);
        }
    }

    /// Without transactions, nothing runs any more, and nothing before `end` waits. With them, the oldest record does not run:
    /// what comes after it cannot be stored in this epoch.
    fn is_drained(&self, end: Option<Seq>) -> bool {
        if self.transactional {
            return self.window.oldest().is_none_or(|entry| entry.stage == Stage::Waiting);
        }
        let waits = self.window.oldest_seq().zip(end).is_some_and(|(oldest, end)| oldest < end);
        self.running + self.enqueued == 0 && !waits
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
        let suspicion = Suspicion::default();
        let entry = Entry { lane: lane.clone(), bytes, outcome: 0, stage: Stage::Waiting, suspicion, item };
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
                self.suspects.remove(seq);
                self.lanes.withdraw(&entry.lane, seq);
            }
        }
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

    fn undelivered(&mut self, seq: Seq, room: &mut impl Room) {
        if let Some(entry) = self.window.get(seq).filter(|entry| entry.stage == Stage::Enqueued) {
            give_back(entry, self.transactional, room);
            room.take_bytes(entry.bytes);
            self.enqueued -= 1;
            self.again(seq, true);
        }
    }

    fn halted(&mut self, seq: Seq, room: &mut impl Room) {
        self.drain = Some(Duration::ZERO);
        match self.window.get(seq).map(|entry| entry.stage) {
            Some(Stage::Running) => {
                self.stopped_running(room);
                self.again(seq, false);
            }
            // What failed is the dead letter in place of an outcome that the broker refused.
            Some(Stage::Enqueued) => self.undelivered(seq, room),
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
            if suspect.is_some() && self.running > 0 || suspect.is_none() && !self.lanes.any_ready() {
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
        self.latest = self.latest.max(Some(seq));
        commands.push(entry.suspicion.verdict().map_or(Command::Start(seq), |text| Command::GiveUp(seq, text)));
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
