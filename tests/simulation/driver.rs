//! The driver of a replica's transactions: carries out what their machine decides, and answers from the simulated brokers.

use millrace::kafka::transaction::{Command, Event};
use millrace::record::{NextOffset, Partition};

use crate::broker::Verdict;
use crate::happening::{What, Word};
use crate::replica::Outgoing;
use crate::world::{Defect, World};

impl World {
    pub(crate) fn transactional_id(&self, r: usize) -> usize {
        // A name that was configured outlives the process; one that was drawn does not.
        if self.fixed_name { r } else { r + 10 * self.replicas[r].life as usize }
    }

    pub(crate) fn tell(&mut self, r: usize, event: Event<Outgoing>) {
        let now = self.time();
        let driver = &mut self.replicas[r].driver;
        let mut out = std::mem::take(&mut driver.out);
        driver.machine.step(event, now, &mut out);
        driver.commands.extend(out.drain(..));
        driver.out = out;
    }

    /// What has come is taken in and what is due is done, until a call blocks.
    pub(crate) fn tick_transactions(&mut self, r: usize) {
        self.drive(r);
        if !self.replicas[r].driver.busy {
            self.tell(r, Event::Tick);
            self.drive(r);
        }
        self.later(r, 4, What::TxTick);
    }

    fn drive(&mut self, r: usize) {
        while !self.replicas[r].driver.busy {
            if let Some(command) = self.replicas[r].driver.commands.pop_front() {
                if self.trace {
                    eprintln!("       replica {r}     {command:?}");
                }
                self.obey(r, command);
            } else if let Some(event) = self.replicas[r].driver.inbox.pop_front() {
                self.tell(r, event);
            } else {
                return;
            }
        }
    }

    pub(crate) fn answered(&mut self, r: usize, event: Event<Outgoing>) {
        self.replicas[r].driver.busy = false;
        self.tell(r, event);
        self.drive(r);
    }

    /// The call blocks; its answer comes later.
    fn block(&mut self, r: usize, what: What) {
        self.replicas[r].driver.busy = true;
        let after = self.rng.between(1, 8) as u64;
        self.later(r, after, what);
    }

    fn obey(&mut self, r: usize, command: Command<Outgoing>) {
        let id = self.transactional_id(r);
        match command {
            Command::Renew if self.chance(15) => {
                self.tally.renew_failed += 1;
                self.block(r, What::TxAnswer(Event::NotReady));
            }
            Command::Renew => {
                self.replicas[r].driver.epoch = self.broker.init(id);
                self.block(r, What::TxAnswer(Event::Ready));
            }
            Command::ReadPositions(of) => {
                let read = |p: &Partition| Some((*p, self.broker.stable(p.0 as usize).ok()?.map(NextOffset)));
                let answer = of.iter().map(read).collect::<Option<Vec<_>>>();
                self.block(r, What::TxAnswer(answer.map_or(Event::NotRead, Event::Positions)));
            }
            Command::Begin => self.tally.transactions += 1,
            Command::Send(outgoing) => self.send(r, outgoing),
            Command::SendOffsets(offsets) => {
                let holdings = &self.replicas[r].holdings;
                let over = |p, epoch| holdings.marks(p, epoch).is_none_or(|marks| marks.is_over());
                let fenced = offsets.iter().any(|(p, epoch, _)| over(*p, *epoch));
                let offsets = offsets.iter().map(|(p, _, next)| (p.0 as usize, next.0)).collect();
                match self.replicas[r].member {
                    Some((member, generation)) if !fenced => {
                        self.block(r, What::OffsetsArrive { member, generation, offsets });
                    }
                    _ => {
                        self.tally.fences_met += 1;
                        self.tell(r, Event::Failed);
                    }
                }
            }
            Command::Commit => self.block(r, What::EndArrives),
            Command::Abort => {
                self.tally.aborted += 1;
                let epoch = self.replicas[r].driver.epoch;
                let answer = match self.broker.end_transaction(id, epoch, false) {
                    _ if self.chance(5) => Event::Lost,
                    Verdict::Fenced => Event::Lost,
                    _ => Event::Aborted,
                };
                self.block(r, What::TxAnswer(answer));
            }
            Command::Acked(outgoing) => self.say(r, outgoing, Word::Acked),
            Command::Refuse(outgoing) => self.say(r, outgoing, Word::Refused { dead: outgoing.dead }),
            Command::Released(partition, epoch) => self.released(r, partition.0 as usize, epoch),
        }
    }

    fn say(&mut self, r: usize, outgoing: Outgoing, word: Word) {
        let guard = outgoing.guard;
        self.soon(r, What::Hear(guard.partition, guard.epoch, guard.seq, word));
    }

    fn send(&mut self, r: usize, outgoing: Outgoing) {
        let (guard, id, epoch) = (outgoing.guard, self.transactional_id(r), self.replicas[r].driver.epoch);
        if self.is_refused(guard, outgoing.dead) {
            let (partition, seq) = (Partition(guard.partition as i32), guard.seq);
            return self.tell(r, Event::Refused { partition, epoch: guard.epoch, seq });
        }
        if self.chance(2) {
            self.tally.undelivered += 1;
            return self.tell(r, Event::Undelivered);
        }
        if self.broker.write((id, epoch), guard.id, outgoing.key, outgoing.dead.is_some(), self.now) == Verdict::Fenced
        {
            self.tell(r, Event::Undelivered);
        }
    }

    pub(crate) fn offsets_arrive(&mut self, r: usize, member: u64, generation: u64, offsets: &[(usize, i64)]) {
        let id = (self.transactional_id(r), self.replicas[r].driver.epoch);
        let answer = match self.broker.add_offsets(id, (member, generation), offsets, self.now) {
            _ if self.chance(3) => Event::Failed,
            _ if self.chance(2) => Event::Lost,
            Verdict::Done => Event::OffsetsSent,
            Verdict::Abort => {
                self.tally.offsets_refused += 1;
                Event::Failed
            }
            Verdict::Fenced => {
                self.tally.fenced += 1;
                Event::Lost
            }
        };
        self.answered(r, answer);
    }

    /// The end of a transaction reaches its coordinator; the answer may be lost.
    pub(crate) fn end_arrives(&mut self, r: usize) {
        let (id, epoch) = (self.transactional_id(r), self.replicas[r].driver.epoch);
        if self.chance(4) {
            return self.answered(r, Event::Failed);
        }
        if self.chance(5) {
            self.tally.unknown_not_applied += 1;
            return self.unknown(r);
        }
        match self.broker.end_transaction(id, epoch, true) {
            Verdict::Done if self.chance(6) => {
                self.tally.unknown_applied += 1;
                self.unknown(r);
            }
            Verdict::Done => self.answered(r, Event::Committed),
            _ => {
                self.tally.fenced += 1;
                self.unknown(r);
            }
        }
    }

    fn unknown(&mut self, r: usize) {
        let resends = self.defect == Some(Defect::ResendUnknown);
        self.answered(r, if resends { Event::Aborted } else { Event::Lost });
    }
}
