//! One random schedule: partitions that share room, each with its log, its lives, and the words that come too late.

use std::collections::VecDeque;
use std::time::Duration;

use millrace::config::settings::Order;
use millrace::kafka::partition::{Bounds, Command};

use crate::life::{Act, Life, Told};
use crate::log::Log;
use crate::rng::Rng;
use crate::room::SharedRoom;
use crate::tally::Tally;
use crate::truth::{Check, State, Word};

const WORDS: [Word; 8] = [
    Word::Enqueued,
    Word::Acked,
    Word::Lost,
    Word::Panicked,
    Word::Unseen,
    Word::UnseenAlone,
    Word::Undelivered,
    Word::Halted,
];

/// A word that comes later than what it tells of: the record may be finished by then, or the epoch over.
#[derive(Clone, Copy, Debug)]
struct Late {
    epoch: u64,
    seq: usize,
    word: Word,
}

#[derive(Debug)]
struct Part {
    log: Log,
    life: Option<Life>,
    late: Vec<Late>,
}

#[derive(Debug)]
pub(crate) struct World {
    rng: Rng,
    parts: Vec<Part>,
    room: SharedRoom,
    order: Order,
    bounds: Bounds,
    now: u64,
    epochs: u64,
    panics: u64,
    commands: Vec<Command>,
    pub(crate) tally: Tally,
    trace: bool,
}

impl World {
    pub(crate) fn new(seed: u64, trace: bool) -> Self {
        let mut rng = Rng(seed);
        let order = rng.pick(&[Order::Partition, Order::Key, Order::None]).unwrap_or(Order::Key);
        let drain_starts = Duration::from_millis(rng.between(0, 40) as u64);
        let (window, commit_span) = (rng.between(1, 6), rng.between(1, 6));
        let bounds = Bounds { window, ready: 1 + (window + commit_span) % 4, commit_span, drain_starts };
        let parts: Vec<Part> =
            (0..rng.between(2, 4)).map(|_| Part { log: Log::new(&mut rng), life: None, late: Vec::new() }).collect();
        let room = SharedRoom {
            records: rng.between(1, 6),
            running: 0,
            max_bytes: rng.between(1, 20),
            bytes: 0,
            overdrawn: false,
            who: 0,
            loners: VecDeque::new(),
        };
        if trace {
            eprintln!("order {order:?}, {bounds:?}, {room:?}");
        }
        let (commands, tally) = (Vec::new(), Tally::default());
        Self { rng, parts, room, order, bounds, now: 0, epochs: 0, panics: 0, commands, tally, trace }
    }

    /// Random steps, then everything heals and the work is finished.
    pub(crate) fn run(&mut self) -> Check {
        for _ in 0..self.rng.between(40, 80) {
            let p = self.rng.below(self.parts.len());
            self.now += self.rng.below(3) as u64;
            self.random_step(p)?;
        }
        for round in 0.. {
            let mut done = true;
            for p in 0..self.parts.len() {
                done &= self.heal(p)?;
            }
            if done {
                break;
            }
            if round > 1000 {
                return Err("work is left that nobody takes up".into());
            }
        }
        for p in 0..self.parts.len() {
            self.write_commit(p)?;
            self.close(p)?;
            let log = &self.parts[p].log;
            if log.committed != log.end {
                return Err(format!("all is finished, committed is {} and the end {}", log.committed, log.end));
            }
        }
        if self.room.running + self.room.bytes + self.room.loners.len() > 0 {
            return Err(format!("all is closed, and held is {:?}", self.room));
        }
        Ok(())
    }

    fn random_step(&mut self, p: usize) -> Check {
        if self.parts[p].life.is_none() {
            if self.rng.percent(70) {
                self.assign(p);
            }
            return Ok(());
        }
        match self.rng.below(100) {
            0..25 => self.read(p),
            25..66 => self.answer(p),
            66..76 => self.late(p),
            76..80 => self.stray(p),
            80..87 => self.act(p, Act::Pump).map(drop),
            87..92 => {
                let log = &mut self.parts[p].log;
                log.visible = log.records.len().min(log.visible + 2);
                Ok(())
            }
            92..95 => self.write_commit(p),
            95..97 => {
                self.tally.drains += 1;
                self.act(p, Act::Drain).map(drop)
            }
            97..99 => self.revoke(p),
            _ => {
                self.tally.crashes += 1;
                self.close(p)
            }
        }
    }

    fn assign(&mut self, p: usize) {
        self.epochs += 1;
        let part = &mut self.parts[p];
        let start = part.log.committed;
        part.life = Some(Life::new(self.epochs, self.order, self.bounds, start, part.log.index_at(start)));
        if self.trace {
            eprintln!("partition {p}: assigned from {start} as epoch {}", self.epochs);
        }
    }

    fn read(&mut self, p: usize) -> Check {
        let Part { log, life: Some(life), .. } = &mut self.parts[p] else { return Ok(()) };
        let may = life.may_read(&mut self.room)?;
        if life.next >= log.visible {
            let end = log.some_end(&mut self.rng);
            return self.act(p, Act::EndsAt(end)).map(drop);
        }
        let count = self.rng.between(0, may).min(log.visible - life.next);
        for _ in 0..count {
            let Part { log, life: Some(life), .. } = &mut self.parts[p] else { return Ok(()) };
            let record = &log.records[life.next];
            life.next += 1;
            let act = Act::Read { offset: record.offset, key: record.key, bytes: record.bytes };
            self.act(p, act)?;
        }
        Ok(())
    }

    /// A record in one of these states, by its place in the read order.
    fn some_record(&mut self, p: usize, of: impl Fn(State) -> bool) -> Option<usize> {
        let recs = &self.parts[p].life.as_ref()?.truth.recs;
        let count = recs.iter().filter(|rec| of(rec.state)).count();
        if count == 0 {
            return None;
        }
        let nth = self.rng.below(count);
        recs.iter().enumerate().filter(|(_, rec)| of(rec.state)).nth(nth).map(|(seq, _)| seq)
    }

    /// Something comes back for a record that is out.
    fn answer(&mut self, p: usize) -> Check {
        let out = |state| matches!(state, State::Running | State::Enqueued);
        let Some(seq) = self.some_record(p, out) else { return Ok(()) };
        let Some(life) = &self.parts[p].life else { return Ok(()) };
        let epoch = life.epoch;
        let draw = self.rng.below(100);
        let word = match (life.truth.recs[seq].state, draw) {
            (State::Running, 0..45) => Word::Enqueued,
            (State::Running, 55..65) => Word::Lost,
            (State::Running, 65..80) => Word::Panicked,
            (State::Running, 80..87) => Word::Unseen,
            (State::Running, 87..99) => Word::UnseenAlone,
            (State::Running, 45..55) | (State::Enqueued, 0..75) => Word::Acked,
            (State::Enqueued, 75..99) => Word::Undelivered,
            (_, _) => Word::Halted,
        };
        let late = &mut self.parts[p].late;
        match (word, draw % 3) {
            // The acknowledgement overtook the word that the outcome was handed over.
            (Word::Acked, _) if draw >= 45 => late.push(Late { epoch, seq, word: Word::Enqueued }),
            // The attempt died after its outcome was handed over, and the broker stored it.
            (Word::Lost | Word::Panicked | Word::Unseen | Word::UnseenAlone | Word::Undelivered, 0) => {
                late.push(Late { epoch, seq, word: Word::Acked });
            }
            _ => {}
        }
        self.hear(p, seq, word)
    }

    fn late(&mut self, p: usize) -> Check {
        let part = &mut self.parts[p];
        if part.late.is_empty() {
            return Ok(());
        }
        let Late { epoch, seq, word } = part.late.swap_remove(self.rng.below(part.late.len()));
        let Some(life) = &mut part.life else { return Ok(()) };
        if epoch != life.epoch {
            self.tally.stale += 1;
            let act = Act::Hear { seq, word, panic: 0 };
            if self.trace {
                eprintln!("partition {p}: {act:?} of epoch {epoch}");
            }
            return life.stale_step(epoch, act, self.now, &mut self.room, &mut self.commands);
        }
        if word != Word::Acked && (life.truth.heeds(seq, word) || word == Word::Halted) {
            return Ok(());
        }
        self.tally.late += 1;
        self.hear(p, seq, word)
    }

    /// A word that does not fit the state of its record changes nothing.
    fn stray(&mut self, p: usize) -> Check {
        let Some(life) = &self.parts[p].life else { return Ok(()) };
        let seq = self.rng.below(life.truth.recs.len() + 2);
        let word = WORDS[self.rng.below(WORDS.len())];
        // One that halts is never a stray: nothing starts from then on.
        if life.truth.heeds(seq, word) || word == Word::Halted {
            return Ok(());
        }
        self.tally.strays += 1;
        self.hear(p, seq, word)
    }

    fn hear(&mut self, p: usize, seq: usize, word: Word) -> Check {
        self.panics += 1;
        self.tally.halted += u64::from(word == Word::Halted);
        let Part { log, life: Some(life), .. } = &mut self.parts[p] else { return Ok(()) };
        if let (Word::Acked, Some(rec)) = (word, life.truth.recs.get(seq)) {
            let index = log.index_at(rec.offset);
            log.records[index].acked = true;
            self.tally.acked_waiting += u64::from(rec.state == State::Waiting);
        }
        self.act(p, Act::Hear { seq, word, panic: self.panics }).map(drop)
    }

    fn act(&mut self, p: usize, act: Act) -> Result<Told, String> {
        let Some(life) = &mut self.parts[p].life else { return Ok(Told::default()) };
        self.room.who = p;
        if self.trace {
            eprintln!("partition {p}: {act:?}");
        }
        let told = life.step(act, self.now, &mut self.room, &mut self.commands);
        if self.trace {
            eprintln!("    {:?}", self.commands);
        }
        let told = told?;
        life.drained = told.drained;
        self.tally.steps += 1;
        self.tally.starved += u64::from(told.starved);
        self.tally.given_up += u64::from(told.gave_up);
        self.tally.given_up_unseen += u64::from(told.gave_up_unseen);
        self.tally.sole += u64::from(told.sole);
        self.tally.drain_starts += u64::from(told.started_in_drain);
        self.tally.waited_for_process += u64::from(told.waits_for_process);
        if let Some(lost) = self.parts[p].log.lost_below(self.parts[p].life.as_ref().map_or(0, |l| l.truth.committed)) {
            return Err(format!("offset {lost} is below what may be committed, and its outcome was never stored"));
        }
        self.check_room()?;
        Ok(told)
    }

    fn check_room(&self) -> Check {
        let (mut running, mut bytes) = (0, 0);
        for life in self.parts.iter().filter_map(|part| part.life.as_ref()) {
            let holds = life.holds();
            running += holds.0;
            bytes += holds.1;
        }
        let sole = self.parts.iter().filter_map(|part| part.life.as_ref()).any(|life| life.truth.runs_sole());
        if sole && running > 1 {
            return Err(format!("a suspect should run alone in the process, but {running} records run"));
        }
        if (running, bytes) != (self.room.running, self.room.bytes) || self.room.overdrawn {
            return Err(format!("{running} run and {bytes} bytes are held, but the room says {:?}", self.room));
        }
        Ok(())
    }

    /// The commit on a timer.
    fn write_commit(&mut self, p: usize) -> Check {
        let Part { log, life: Some(life), .. } = &mut self.parts[p] else { return Ok(()) };
        if life.truth.committed < log.committed {
            return Err(format!("committed {} after {}", life.truth.committed, log.committed));
        }
        log.committed = life.truth.committed;
        Ok(())
    }

    /// The partition goes: in peace once it is drained, at the drain deadline otherwise.
    fn revoke(&mut self, p: usize) -> Check {
        self.act(p, Act::Drain)?;
        self.tally.revokes += 1;
        self.write_commit(p)?;
        self.close(p)
    }

    /// The epoch ends. What runs goes on running, and what comes of it comes too late.
    fn close(&mut self, p: usize) -> Check {
        let part = &mut self.parts[p];
        let Some(life) = part.life.take() else { return Ok(()) };
        for (seq, rec) in life.truth.recs.iter().enumerate() {
            if matches!(rec.state, State::Running | State::Enqueued) {
                let word = WORDS[self.rng.below(WORDS.len())];
                part.late.push(Late { epoch: life.epoch, seq, word });
            }
        }
        self.room.who = p;
        life.machine.close(&mut self.room);
        if self.trace {
            eprintln!("partition {p}: closed");
        }
        self.check_room()
    }

    /// Nothing fails any more: one round of reading, running and finishing. True when the partition has nothing left.
    fn heal(&mut self, p: usize) -> Result<bool, String> {
        self.parts[p].log.visible = self.parts[p].log.records.len();
        if self.parts[p].life.is_none() {
            self.assign(p);
        }
        self.act(p, Act::Pump)?;
        while let Some(seq) = self.some_record(p, |state| state == State::Running) {
            self.hear(p, seq, Word::Enqueued)?;
        }
        while let Some(seq) = self.some_record(p, |state| state == State::Enqueued) {
            self.hear(p, seq, Word::Acked)?;
        }
        let Some(life) = &self.parts[p].life else { return Ok(false) };
        if life.truth.draining() {
            if !life.drained {
                // What goes before a record that was started has still to run, unless the time for that ends first.
                self.now += 1;
                return Ok(false);
            }
            self.write_commit(p)?;
            self.close(p)?;
            return Ok(false);
        }
        if life.next < self.parts[p].log.records.len() {
            self.read(p)?;
            return Ok(false);
        }
        let end = self.parts[p].log.end;
        self.act(p, Act::EndsAt(end))?;
        Ok(self.parts[p].life.as_ref().is_some_and(|life| life.truth.unfinished().next().is_none()))
    }
}
