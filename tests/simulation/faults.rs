//! What goes wrong, and when it stops to.

use crate::happening::{Top, What};
use crate::replica::Guard;
use crate::world::{Mood, World};

impl World {
    /// Whether something goes wrong that goes wrong so often in a hundred times; never once all has healed.
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        !self.calm && self.rng.percent(percent)
    }

    pub(crate) fn replica_happens(&mut self, r: usize, what: What) {
        match what {
            What::Read(p) => self.read(r, p),
            What::Pump(p) => self.pump(r, p),
            What::Hear(p, epoch, seq, word) => self.hear(r, p, epoch, seq, word),
            What::Request(outgoing) => self.request(r, outgoing),
            What::CallEnds { flight, call, ending } => self.call_ends(r, flight, call, ending),
            What::CallAgain { flight, node } => self.wait(r, flight, node),
            What::Probe(node) => self.probe(r, node),
            What::Produce => self.hand_over(r),
            What::Arrive => self.arrive(r),
            What::Ack => self.ack(r),
            What::Drop(Guard { partition, epoch, seq, .. }, how) => {
                self.hear(r, partition, epoch, seq, crate::happening::Word::Lost(how));
            }
            What::CommitDue => self.commit_due(r),
            What::CommitArrives { member, generation, offsets } => self.commit_arrives(r, member, generation, offsets),
            What::TxTick if self.exactly_once() => self.tick_transactions(r),
            What::TxTick => {}
            What::TxAnswer(event) => self.answered(r, event),
            What::OffsetsArrive { member, generation, offsets } => self.offsets_arrive(r, member, generation, &offsets),
            What::EndArrives => self.end_arrives(r),
            What::Join => self.join(r),
            What::Assign { member, generation, partitions } => self.assign(r, member, generation, partitions),
            What::Revoke { member, partitions, rebalance } => self.revoke(r, member, partitions, rebalance),
            What::Callback => self.callback(r),
            What::Lost(member) => self.lose(r, member),
            What::Resume(p, epoch) => self.resume(r, p, epoch),
            What::ReadAnew(p, epoch) => self.read_anew(r, p, epoch),
        }
    }

    pub(crate) fn fault(&mut self) {
        if self.calm {
            return;
        }
        let r = self.rng.below(self.replicas.len());
        let up = self.replicas[r].up && self.replicas[r].asleep_until <= self.now;
        let draw = self.rng.below(100);
        if self.trace {
            eprintln!("{:6} fault {draw} at replica {r}", self.now);
        }
        match draw {
            0..10 if up => self.crash(r),
            10..18 if up => self.put_to_sleep(r),
            18..34 => self.queue.put(self.now, Top::Rebalance),
            34..44 if up => {
                let p = self.rng.below(self.broker.input.len());
                self.owner_panics(r, p);
            }
            44..52 if up => {
                let flights: Vec<Guard> = self.replicas[r].flights.values().map(|flight| flight.guard).collect();
                let at_hand = if self.rng.percent(70) { self.rng.pick(&flights) } else { None };
                // Whatever was at hand is gone from the rest.
                self.replicas[r].flights.retain(|_, flight| Some(flight.guard) != at_hand);
                self.router_panics(r, at_hand);
            }
            52..58 if up => {
                let node = self.rng.below(2);
                self.model_panics(r, node);
            }
            58..64 if up => self.producer_panics(r),
            64..68 if up && !self.exactly_once() => self.client_is_replaced(r),
            68..72 => self.retain(),
            72.. => {
                let node = self.rng.below(2);
                let moods = [Mood::Well, Mood::Well, Mood::Failing, Mood::Hanging, Mood::Slow, Mood::Gone];
                self.moods[node] = self.rng.pick(&moods).unwrap_or(Mood::Well);
                self.tally.mood_changes += 1;
            }
            _ => {}
        }
        let at = self.now + self.rng.between(4, 60) as u64;
        self.queue.put(at, Top::Fault);
    }

    fn session(&mut self, r: usize) {
        if let Some((member, _)) = self.replicas[r].member {
            let at = self.now + self.rng.between(30, 100) as u64;
            self.queue.put(at, Top::Session(member));
        }
    }

    fn crash(&mut self, r: usize) {
        self.tally.crashes += 1;
        self.session(r);
        self.replicas[r].up = false;
        let at = self.now + self.rng.between(5, 150) as u64;
        self.queue.put(at, Top::Restart(r));
    }

    fn put_to_sleep(&mut self, r: usize) {
        self.tally.sleeps += 1;
        self.session(r);
        self.replicas[r].asleep_until = self.now + self.rng.between(20, 300) as u64;
    }

    /// Retention takes the head of a log.
    fn retain(&mut self) {
        let p = self.rng.below(self.broker.input.len());
        let log = &mut self.broker.input[p];
        let at = self.rng.below(log.records.len());
        log.low = log.low.max(log.records[at].offset);
        self.tally.retention += 1;
    }

    pub(crate) fn heal(&mut self) {
        self.calm = true;
        self.moods = [Mood::Well; 2];
        for replica in &mut self.replicas {
            replica.asleep_until = replica.asleep_until.min(self.now);
        }
    }
}
