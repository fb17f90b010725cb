//! The owner of a partition: reads, tells its machine what it hears, and carries out what the machine decides.

use millrace::kafka::offsets::Seq;
use millrace::kafka::partition::{Command, Event};
use millrace::kafka::permits::Share;
use millrace::kafka::suspects::Loss;
use millrace::kafka::transaction::Event as TxEvent;
use millrace::record::{Epoch, NextOffset, Offset, Partition};

use crate::happening::{How, What, Word};
use crate::replica::{Guard, Held, Outgoing};
use crate::world::{Defect, World};

/// As `kafka::partition` gives up after so many.
const STRIKES: u8 = 2;

fn loss(how: How) -> Loss {
    match how {
        How::Innocent => Loss::Innocent,
        How::AtHand => Loss::AtHand("panic".into()),
        How::Unseen(alone) => Loss::Unseen { panic: "panic".into(), alone },
    }
}

impl World {
    pub(crate) fn read(&mut self, r: usize, p: usize) {
        let low = self.broker.input[p].low;
        let Some(reign) = self.replicas[r].reigns.get_mut(&p) else { return };
        if reign.position < low {
            reign.outside = true;
        }
        if reign.outside {
            let (epoch, empty) = (reign.epoch, reign.machine.unfinished() == 0);
            if empty {
                self.soon(r, What::Resume(p, epoch));
            }
            return;
        }
        let most = reign.machine.may_read(&mut reign.share);
        let epoch = reign.epoch;
        reign.marks.set_idle_at_end(false);
        for _ in 0..self.rng.between(0, most) {
            let Some(reign) = self.replicas[r].reigns.get_mut(&p) else { return };
            let position = reign.position;
            let Some(input) = self.broker.input[p].records.iter().find(|i| i.offset >= position).cloned() else {
                break;
            };
            reign.position = input.offset + 1;
            let key = input.key.map(|key| vec![key].into());
            let item = Held { id: (p, input.offset), key: input.key, dead: None, replaced: false };
            self.step(r, p, epoch, Event::Read { offset: Offset(input.offset), key, bytes: input.bytes, item });
        }
        self.show_idle(r, p);
    }

    fn show_idle(&mut self, r: usize, p: usize) {
        let Some(reign) = self.replicas[r].reigns.get(&p) else { return };
        let last = self.broker.input[p].records.last().map_or(0, |last| last.offset);
        reign.marks.set_idle_at_end(reign.position > last && reign.machine.unfinished() == 0);
    }

    pub(crate) fn pump(&mut self, r: usize, p: usize) {
        let Some(epoch) = self.replicas[r].reigns.get(&p).map(|reign| reign.epoch) else { return };
        self.step(r, p, epoch, Event::Pump);
        self.read(r, p);
    }

    /// The log ends there, past control records.
    pub(crate) fn ends_at(&mut self, r: usize, p: usize, epoch: Epoch, end: i64) {
        let position = NextOffset(end);
        let idle = self.replicas[r].reigns.get(&p).is_some_and(|g| g.epoch == epoch && g.machine.unfinished() == 0);
        if idle && self.exactly_once() {
            let partition = Partition(p as i32);
            self.replicas[r].driver.inbox.push_back(TxEvent::EndsAt { partition, epoch, position });
        }
        self.step(r, p, epoch, Event::EndsAt(position));
    }

    pub(crate) fn step(&mut self, r: usize, p: usize, epoch: Epoch, event: Event<Held>) {
        let now = self.time();
        let mut commands = Vec::new();
        let Some(reign) = self.replicas[r].reigns.get_mut(&p) else { return };
        let share: &mut Share = &mut reign.share;
        if !reign.machine.step(epoch, event, now, share, &mut commands) {
            self.tally.late_results += 1;
            return;
        }
        for command in commands {
            match command {
                Command::Start(seq) => self.start_record(r, p, seq),
                Command::GiveUp(seq, _) => {
                    self.tally.poisoned += 1;
                    self.bury(r, p, seq, 0);
                }
                Command::Commit(next) => {
                    if let Some(reign) = self.replicas[r].reigns.get(&p) {
                        let kept = self.defect == Some(Defect::CommitMax) && reign.marks.safe() > next;
                        if !kept {
                            reign.marks.set_safe(next);
                        }
                    }
                }
                Command::Starved => self.later(r, 2, What::Pump(p)),
                Command::Drained => {
                    if let Some(reign) = self.replicas[r].reigns.get_mut(&p) {
                        reign.drained = true;
                    }
                }
            }
        }
    }

    fn outgoing(&mut self, r: usize, p: usize, seq: Seq) -> Option<Outgoing> {
        let reign = self.replicas[r].reigns.get_mut(&p)?;
        let epoch = reign.epoch;
        let held = reign.machine.item_mut(seq)?;
        let guard = Guard { partition: p, epoch, seq, id: held.id };
        Some(Outgoing { guard, key: held.key, dead: held.dead })
    }

    fn start_record(&mut self, r: usize, p: usize, seq: Seq) {
        let Some(held) = self.replicas[r].reigns.get_mut(&p).and_then(|reign| reign.machine.item_mut(seq)) else {
            return;
        };
        held.replaced = false;
        let id = held.id;
        if self.replicas[r].strikes.get(&id).is_some_and(|strikes| *strikes >= STRIKES) {
            return self.bury(r, p, seq, 0);
        }
        let Some(outgoing) = self.outgoing(r, p, seq) else { return };
        if self.defect == Some(Defect::OutOfOrder) && !self.exactly_once() {
            self.soon(r, What::Hear(p, outgoing.guard.epoch, seq, Word::Enqueued));
        }
        if outgoing.dead.is_some() {
            self.produce(r, outgoing);
        } else {
            self.soon(r, What::Request(outgoing));
        }
    }

    /// A dead letter takes the place of an answer.
    fn bury(&mut self, r: usize, p: usize, seq: Seq, left_out: u8) {
        if let Some(held) = self.replicas[r].reigns.get_mut(&p).and_then(|reign| reign.machine.item_mut(seq)) {
            held.dead = Some(held.dead.map_or(left_out, |dead| dead.max(left_out)));
        }
        if let Some(outgoing) = self.outgoing(r, p, seq) {
            self.produce(r, outgoing);
        }
    }

    pub(crate) fn hear(&mut self, r: usize, p: usize, epoch: Epoch, seq: Seq, word: Word) {
        let Some(reign) = self.replicas[r].reigns.get_mut(&p).filter(|reign| reign.epoch == epoch) else {
            self.tally.late_results += 1;
            return;
        };
        let held = reign.machine.item_mut(seq);
        let event = match word {
            Word::Enqueued => Event::Enqueued(seq),
            Word::Held(bytes) => Event::Held { seq, bytes },
            // A dead letter that replaces a refused outcome had left its lane before.
            Word::Lost(_) if held.as_ref().is_some_and(|held| held.replaced) => Event::Undelivered(seq),
            Word::Lost(how) => Event::Lost { seq, loss: loss(how) },
            Word::Acked => {
                if let Some(held) = reign.machine.item(seq)
                    && self.defect == Some(Defect::CommitMax)
                {
                    let next = NextOffset(held.id.1 + 1).max(reign.marks.safe());
                    reign.marks.set_safe(next);
                }
                Event::Acked(seq)
            }
            Word::Refused { dead } => {
                let Some(held) = held else { return };
                held.replaced = true;
                self.step(r, p, epoch, Event::Refused(seq));
                return self.bury(r, p, seq, dead.map_or(0, |dead| dead + 1));
            }
        };
        self.step(r, p, epoch, event);
        if word == Word::Enqueued && self.defect == Some(Defect::CommitBeforeAck) {
            self.step(r, p, epoch, Event::Acked(seq));
        }
        if self.replicas[r].reigns.get(&p).is_some_and(|reign| reign.epoch == epoch) {
            self.read(r, p);
        }
    }

    /// The owner's life ends; its next one begins when the consumer's thread has given it a position.
    pub(crate) fn owner_panics(&mut self, r: usize, p: usize) {
        let Some(reign) = self.replicas[r].reigns.remove(&p) else { return };
        self.tally.owner_panics += 1;
        let epoch = reign.epoch;
        drop(reign);
        self.soon(r, What::Resume(p, epoch));
    }
}
