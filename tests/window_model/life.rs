//! One partition in one epoch: the machine beside the truth, compared after every step.

use std::time::Duration;

use bytes::Bytes;
use millrace::config::settings::Order;
use millrace::kafka::offsets::Seq;
use millrace::kafka::partition::{Bounds, Command, Event, Partition};
use millrace::kafka::suspects::Loss;
use millrace::record::{Epoch, NextOffset, Offset};

use crate::room::SharedRoom;
use crate::truth::{Check, State, Truth, Word};

static KEYS: [&[u8]; 3] = [b"a", b"b", b"c"];

/// What is done to the machine.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    Read { offset: i64, key: Option<u8>, bytes: usize },
    EndsAt(i64),
    Hear { seq: usize, word: Word, panic: u64 },
    Pump,
    Drain,
}

/// What a step led to, for the schedule to go on with.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) starved: bool,
    pub(crate) drained: bool,
    pub(crate) gave_up: bool,
    pub(crate) gave_up_unseen: bool,
    pub(crate) sole: bool,
    pub(crate) started_in_drain: bool,
    pub(crate) waits_for_process: bool,
}

#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) epoch: u64,
    pub(crate) machine: Partition<i64>,
    pub(crate) truth: Truth,
    bounds: Bounds,
    /// Index in the log of the record to read next.
    pub(crate) next: usize,
    pub(crate) drained: bool,
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(what()) }
}

impl Life {
    pub(crate) fn new(epoch: u64, order: Order, bounds: Bounds, start: i64, next: usize) -> Self {
        Self {
            epoch,
            machine: Partition::new(Epoch(epoch), NextOffset(start), order, bounds),
            truth: Truth::new(order, start),
            bounds,
            next,
            drained: false,
        }
    }

    /// An event of this epoch: into the truth, into the machine, and compared.
    pub(crate) fn step(
        &mut self,
        act: Act,
        now: u64,
        room: &mut SharedRoom,
        commands: &mut Vec<Command>,
    ) -> Result<Told, String> {
        self.truth.now = now;
        match act {
            Act::Read { offset, key, bytes } => self.truth.read(offset, key, bytes, now),
            Act::EndsAt(position) => self.truth.ends_at(position),
            Act::Hear { seq, word, panic } => self.truth.hear(seq, word, panic),
            Act::Pump => {}
            Act::Drain => self.truth.drain(self.bounds.drain_starts.as_millis() as u64),
        }
        commands.clear();
        let taken = self.machine.step(Epoch(self.epoch), event(act), Duration::from_millis(now), room, commands);
        ensure(taken, || "an event of the current epoch was dropped".into())?;
        let mut told = self.obey(commands)?;
        self.compare()?;
        let (drained, startable) = (self.truth.drained(), self.truth.could_start());
        let alone = self.truth.wants_process();
        told.waits_for_process = startable && alone;
        ensure(told.drained == drained, || format!("drained: {}; it is: {drained}", told.drained))?;
        if drained {
            self.truth.halt();
        }
        ensure(!startable || room.full() || alone && room.busy(), || {
            "there is room, and what could start was not started".into()
        })?;
        ensure(told.starved == startable, || format!("starved: {}; something could start: {startable}", told.starved))?;
        self.truth.note_turns();
        Ok(told)
    }

    /// An event of another epoch: it must change nothing.
    pub(crate) fn stale_step(
        &mut self,
        epoch: u64,
        act: Act,
        now: u64,
        room: &mut SharedRoom,
        commands: &mut Vec<Command>,
    ) -> Check {
        commands.clear();
        let before = (room.running, room.bytes);
        let taken = self.machine.step(Epoch(epoch), event(act), Duration::from_millis(now), room, commands);
        ensure(!taken, || "an event of another epoch was taken".into())?;
        ensure(commands.is_empty(), || format!("an event of another epoch led to {commands:?}"))?;
        ensure(before == (room.running, room.bytes), || "an event of another epoch moved room".into())?;
        self.compare()
    }

    fn obey(&mut self, commands: &[Command]) -> Result<Told, String> {
        let mut told = Told::default();
        for command in commands {
            match command {
                Command::Start(seq) => {
                    let seq = seq.0 as usize;
                    self.truth.start(seq)?;
                    told.started_in_drain |= self.truth.draining();
                    let rec = &self.truth.recs[seq];
                    ensure(rec.verdict.is_none(), || format!("{seq} runs again and was given up"))?;
                    told.sole |= rec.sole;
                    let item = self.machine.item(Seq(seq as u64));
                    ensure(item == Some(&rec.offset), || format!("{seq} is {item:?}, not offset {}", rec.offset))?;
                }
                Command::GiveUp(seq, text) => {
                    let seq = seq.0 as usize;
                    if self.truth.to_give_up.take() != Some(seq) {
                        self.truth.start(seq)?;
                    }
                    let rec = &self.truth.recs[seq];
                    let Some(verdict) = rec.verdict else { return Err(format!("{seq} given up without a verdict")) };
                    ensure(**text == panic_text(verdict), || format!("{seq} given up with another text: {text}"))?;
                    told.gave_up |= rec.strikes >= 2;
                    told.gave_up_unseen |= rec.strikes < 2;
                }
                Command::Commit(position) => {
                    ensure(!told.drained, || "drained was said before the commit".into())?;
                    self.truth.commit(position.0)?;
                }
                Command::Starved => told.starved = true,
                Command::Drained => told.drained = true,
            }
        }
        let forgot = self.truth.to_give_up;
        ensure(forgot.is_none(), || format!("{forgot:?} was not given up and should be"))?;
        Ok(told)
    }

    /// Everything that must hold after every step.
    fn compare(&self) -> Check {
        let (machine, truth) = (&self.machine, &self.truth);
        ensure(machine.safe().0 == truth.safe(), || format!("{} said safe, {} is", machine.safe(), truth.safe()))?;
        ensure(truth.committed == truth.safe(), || format!("{} is safe, commit not said", truth.safe()))?;
        let unfinished = truth.unfinished().count();
        ensure(machine.unfinished() == unfinished, || {
            format!("{unfinished} unfinished, not {}", machine.unfinished())
        })?;
        ensure(unfinished <= self.bounds.window, || format!("window {unfinished} > {}", self.bounds.window))?;
        let span = truth.span();
        ensure(machine.span() == span, || format!("span is {span}, not {}", machine.span()))?;
        ensure(span <= self.bounds.commit_span, || format!("span {span} > {}", self.bounds.commit_span))?;
        let running = truth.count(State::Running);
        ensure(machine.running() == running, || format!("{running} running, not {}", machine.running()))?;
        let oldest = truth.unfinished().next().map(|rec| Duration::from_millis(rec.read_at));
        ensure(machine.oldest_unfinished() == oldest, || format!("oldest unfinished is of {oldest:?}"))?;
        Ok(())
    }

    /// What the machine lets the schedule read now.
    pub(crate) fn may_read(&self, room: &mut SharedRoom) -> Result<usize, String> {
        let count = self.machine.may_read(room);
        ensure(!self.truth.draining() || count == 0, || "a draining partition may read".into())?;
        let stuck = count == 0 && !self.truth.draining() && self.truth.unfinished().next().is_none();
        ensure(!stuck, || "nothing is held and nothing may be read".into())?;
        Ok(count)
    }

    /// Running records and bytes that this epoch holds of the room.
    pub(crate) fn holds(&self) -> (usize, usize) {
        (self.truth.count(State::Running), self.truth.unfinished().map(|rec| rec.bytes).sum())
    }
}

fn panic_text(panic: u64) -> String {
    format!("panic {panic}")
}

fn event(act: Act) -> Event<i64> {
    match act {
        Act::Read { offset, key, bytes } => Event::Read {
            offset: Offset(offset),
            key: key.map(|key| Bytes::from_static(KEYS[key as usize])),
            bytes,
            item: offset,
        },
        Act::EndsAt(position) => Event::EndsAt(NextOffset(position)),
        Act::Hear { seq, word, panic } => {
            let seq = Seq(seq as u64);
            match word {
                Word::Enqueued => Event::Enqueued(seq),
                Word::Acked => Event::Acked(seq),
                Word::Lost => Event::Lost { seq, loss: Loss::Innocent },
                Word::Panicked => Event::Lost { seq, loss: Loss::AtHand(panic_text(panic).into()) },
                Word::Unseen | Word::UnseenAlone => {
                    let loss = Loss::Unseen { panic: panic_text(panic).into(), alone: word == Word::UnseenAlone };
                    Event::Lost { seq, loss }
                }
                Word::Undelivered => Event::Undelivered(seq),
                Word::Halted => Event::Halted(seq),
            }
        }
        Act::Pump => Event::Pump,
        Act::Drain => Event::Drain,
    }
}
