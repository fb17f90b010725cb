//! Partitions come and go: the group's rebalances, and the consumer's thread of a replica that answers them.

use std::collections::BTreeSet;

use millrace::config::settings::Start;
use millrace::kafka::partition::{Event, Partition as Machine};
use millrace::kafka::start::{Beginning, Log, begin};
use millrace::kafka::transaction::Event as TxEvent;
use millrace::record::{Epoch, NextOffset, Partition};

use crate::broker::{Member, Rebalance};
use crate::happening::{Top, What};
use crate::replica::{Callback, Reign};
use crate::world::World;

const DEADLINE: u64 = 150;

fn number(p: usize) -> Partition {
    Partition(p as i32)
}

impl World {
    // ---- the coordinator ----

    pub(crate) fn join(&mut self, r: usize) {
        self.numbers += 1;
        let member = self.numbers;
        self.replicas[r].member = Some((member, 0));
        self.replicas[r].lost = false;
        let life = self.replicas[r].life;
        self.broker.members.insert(member, Member { replica: r, life, generation: 0 });
        self.queue.put(self.now + 1, Top::Rebalance);
    }

    pub(crate) fn rebalance(&mut self) {
        if self.broker.rebalance.is_some() {
            return self.queue.put(self.now + 10, Top::Rebalance);
        }
        if self.broker.members.is_empty() {
            return;
        }
        self.tally.rebalances += 1;
        self.numbers += 1;
        let members: Vec<u64> = self.broker.members.keys().copied().collect();
        let shift = self.rng.below(members.len());
        let target = |p: usize| members[(p + shift) % members.len()];
        let rebalance = Rebalance { number: self.numbers, waits_for: members.iter().copied().collect(), shift };
        self.broker.rebalance = Some(rebalance);
        for member in &members {
            let owned = self.broker.owners.iter().filter(|(p, owner)| *owner == member && target(**p) != *member);
            let partitions: Vec<usize> = owned.map(|(p, _)| *p).collect();
            let (r, life) = (self.broker.members[member].replica, self.broker.members[member].life);
            let at = self.now + self.rng.between(1, 5) as u64;
            let revoke = What::Revoke { member: *member, partitions, rebalance: self.numbers };
            self.queue.put(at, Top::Replica(r, life, revoke));
        }
        self.queue.put(self.now + DEADLINE, Top::RebalanceDeadline(self.numbers));
    }

    pub(crate) fn rebalance_deadline(&mut self, which: u64) {
        let Some(late) = self.broker.rebalance.as_ref().filter(|rebalance| rebalance.number == which) else { return };
        for member in late.waits_for.clone() {
            self.expel(member);
        }
        self.go_on();
    }

    fn expel(&mut self, member: u64) {
        let Some(gone) = self.broker.members.remove(&member) else { return };
        self.tally.expelled += 1;
        self.broker.owners.retain(|_, owner| *owner != member);
        let at = self.now + self.rng.between(1, 20) as u64;
        self.queue.put(at, Top::Replica(gone.replica, gone.life, What::Lost(member)));
        if let Some(rebalance) = &mut self.broker.rebalance {
            rebalance.waits_for.remove(&member);
        }
    }

    /// The session of a member ends if nobody has kept it alive.
    pub(crate) fn session_ends(&mut self, member: u64) {
        let Some(known) = self.broker.members.get(&member) else { return };
        let replica = &self.replicas[known.replica];
        if replica.up && replica.life == known.life && replica.asleep_until <= self.now {
            return;
        }
        self.expel(member);
        if self.broker.rebalance.is_some() { self.go_on() } else { self.queue.put(self.now, Top::Rebalance) }
    }

    /// A new generation, once everyone has given up what goes to others.
    fn go_on(&mut self) {
        let Some(rebalance) = &self.broker.rebalance else { return };
        if !rebalance.waits_for.is_empty() {
            return;
        }
        let shift = rebalance.shift;
        self.broker.rebalance = None;
        let members: Vec<u64> = self.broker.members.keys().copied().collect();
        if members.is_empty() {
            return;
        }
        self.broker.generation += 1;
        let generation = self.broker.generation;
        for (at, member) in members.iter().enumerate() {
            let free = (0..self.broker.input.len()).filter(|p| !self.broker.owners.contains_key(p));
            let partitions: Vec<usize> = free.filter(|p| (p + shift) % members.len() == at).collect();
            let Some(known) = self.broker.members.get_mut(member) else { continue };
            known.generation = generation;
            let (r, life) = (known.replica, known.life);
            for p in &partitions {
                self.broker.owners.insert(*p, *member);
            }
            let at = self.now + self.rng.between(1, 5) as u64;
            let assign = What::Assign { member: *member, generation, partitions };
            self.queue.put(at, Top::Replica(r, life, assign));
        }
    }

    // ---- the consumer's thread ----

    pub(crate) fn revoke(&mut self, r: usize, member: u64, partitions: Vec<usize>, rebalance: u64) {
        if self.replicas[r].member.is_none_or(|(own, _)| own != member) {
            return;
        }
        if self.replicas[r].callback.is_some() {
            return self.later(r, 2, What::Revoke { member, partitions, rebalance });
        }
        for p in &partitions {
            let Some(epoch) = self.replicas[r].reigns.get(p).map(|reign| reign.epoch) else { continue };
            self.step(r, *p, epoch, Event::Drain);
        }
        let deadline = self.now + self.rng.between(5, 60) as u64;
        self.replicas[r].callback = Some(Callback { partitions, deadline, settling: None, rebalance: Some(rebalance) });
        self.soon(r, What::Callback);
    }

    /// Looks how far the callback has come.
    pub(crate) fn callback(&mut self, r: usize) {
        let replica = &mut self.replicas[r];
        let Some(callback) = &mut replica.callback else { return };
        let late = self.now >= callback.deadline;
        let done = match &callback.settling {
            None => callback.partitions.iter().all(|p| replica.reigns.get(p).is_none_or(|reign| reign.drained)),
            Some(epochs) => epochs.is_empty(),
        };
        // A commit that is under way arrives before the one that ends the callback.
        if !(done || late) || replica.committing {
            return self.later(r, 2, What::Callback);
        }
        if callback.settling.is_none() && self.broker.exactly_once {
            let partitions: Vec<Partition> = callback.partitions.iter().copied().map(number).collect();
            let epochs = replica.holdings.epochs(&partitions);
            for (partition, epoch) in &epochs {
                replica.driver.inbox.push_back(TxEvent::Settle(*partition, *epoch));
            }
            callback.settling = Some(epochs.into_iter().map(|(p, epoch)| (p.0 as usize, epoch)).collect());
            callback.deadline = self.now + self.rng.between(20, 120) as u64;
            return self.later(r, 1, What::Callback);
        }
        self.tally.settled_late += u64::from(callback.settling.is_some() && !done);
        let Some(Callback { partitions, rebalance, .. }) = replica.callback.take() else { return };
        self.release(r, &partitions, false);
        if let Some((member, _)) = self.replicas[r].member {
            for p in &partitions {
                if self.broker.owners.get(p) == Some(&member) {
                    self.broker.owners.remove(p);
                }
            }
            if let Some(open) = self.broker.rebalance.as_mut().filter(|open| Some(open.number) == rebalance) {
                open.waits_for.remove(&member);
            }
            self.go_on();
        }
    }

    fn release(&mut self, r: usize, partitions: &[usize], lost: bool) {
        let mut due = Vec::new();
        for p in partitions {
            let replica = &mut self.replicas[r];
            if let Some((epoch, next)) = replica.holdings.release(number(*p), lost) {
                due.extend(next.map(|next| (*p, next.0)));
                replica.driver.inbox.push_back(TxEvent::Fence(number(*p), epoch));
            }
            if let Some(mut reign) = replica.reigns.remove(p) {
                reign.machine.close(&mut reign.share);
            }
            replica.resumes.retain(|(resumed, _)| resumed != p);
        }
        if !self.exactly_once() && !due.is_empty() {
            if self.chance(20) {
                self.tally.commits_failed += 1;
            } else if let Some((member, generation)) = self.replicas[r].member {
                self.broker.commit(member, generation, &due);
            }
        }
    }

    /// The group has gone on without it: nothing can be committed any more.
    pub(crate) fn lose(&mut self, r: usize, member: u64) {
        if self.replicas[r].member.is_none_or(|(own, _)| own != member) {
            return;
        }
        self.tally.lost += 1;
        self.replicas[r].callback = None;
        let all: BTreeSet<usize> = self.replicas[r].holdings.partitions().iter().map(|p| p.0 as usize).collect();
        self.release(r, &all.into_iter().collect::<Vec<_>>(), true);
        self.replicas[r].member = None;
        self.soon(r, What::Join);
    }

    pub(crate) fn assign(&mut self, r: usize, member: u64, generation: u64, partitions: Vec<usize>) {
        let Some((own, known)) = self.replicas[r].member else { return };
        if own != member {
            return;
        }
        self.replicas[r].member = Some((member, known.max(generation)));
        let mut later = Vec::new();
        // What it waited for may have been given up meanwhile.
        let held = |p: usize| self.replicas[r].holdings.marks_now(number(p)).is_some();
        let owned = partitions.into_iter().filter(|p| self.broker.owners.get(p) == Some(&member) && !held(*p));
        for p in owned.collect::<Vec<_>>() {
            match self.broker.stable(p) {
                Err(_) => later.push(p),
                Ok(committed) => {
                    let committed = committed.map(NextOffset);
                    if let Some(next) = committed {
                        self.replicas[r].holdings.confirm(number(p), next);
                    }
                    let beginning = self.beginning(p, committed);
                    self.reign(r, p, beginning);
                }
            }
        }
        if !later.is_empty() {
            self.later(r, 3, What::Assign { member, generation, partitions: later });
        }
    }

    fn beginning(&mut self, p: usize, committed: Option<NextOffset>) -> Beginning {
        let log = &self.broker.input[p];
        let beginning = begin(committed, Log { low: log.low, high: log.end }, Start::Earliest);
        self.tally.outside += u64::from(beginning.outside.is_some());
        beginning
    }

    fn reign(&mut self, r: usize, p: usize, beginning: Beginning) {
        self.epochs += 1;
        let epoch = Epoch(self.epochs);
        let replica = &mut self.replicas[r];
        if let Some(mut before) = replica.reigns.remove(&p) {
            before.machine.close(&mut before.share);
        }
        let marks = replica.holdings.take(number(p), epoch, beginning.at, beginning.commit);
        let mut machine = Machine::new(epoch, beginning.at, self.order, self.bounds);
        if self.broker.exactly_once {
            machine = machine.transactional();
            let (start, commit) = (beginning.at, beginning.commit);
            replica.driver.inbox.push_back(TxEvent::Assigned { partition: number(p), epoch, start, commit });
        }
        let share = replica.permits.share();
        let reign = Reign { epoch, machine, share, marks, position: beginning.at.0, outside: false, drained: false };
        replica.reigns.insert(p, reign);
        self.soon(r, What::Read(p));
    }

    /// An owner has no position any more.
    pub(crate) fn resume(&mut self, r: usize, p: usize, epoch: Epoch) {
        let Some(safe) = self.replicas[r].holdings.marks(number(p), epoch).map(|marks| marks.safe()) else { return };
        if self.replicas[r].callback.as_ref().is_some_and(|callback| callback.partitions.contains(&p)) {
            return self.later(r, 3, What::Resume(p, epoch));
        }
        if !self.exactly_once() {
            let beginning = self.beginning(p, Some(safe));
            return self.reign(r, p, beginning);
        }
        if !self.replicas[r].resumes.contains(&(p, epoch)) {
            self.replicas[r].resumes.push((p, epoch));
            self.replicas[r].driver.inbox.push_back(TxEvent::Settle(number(p), epoch));
        }
    }

    /// Nothing of the epoch is in a transaction any more.
    pub(crate) fn released(&mut self, r: usize, p: usize, epoch: Epoch) {
        let replica = &mut self.replicas[r];
        if let Some(settling) = replica.callback.as_mut().and_then(|callback| callback.settling.as_mut()) {
            settling.retain(|waits| *waits != (p, epoch));
        }
        if replica.resumes.contains(&(p, epoch)) {
            self.read_anew(r, p, epoch);
        }
    }

    pub(crate) fn read_anew(&mut self, r: usize, p: usize, epoch: Epoch) {
        if self.replicas[r].holdings.marks(number(p), epoch).is_none() {
            return;
        }
        match self.broker.stable(p) {
            Err(_) => self.later(r, 3, What::ReadAnew(p, epoch)),
            Ok(committed) => {
                self.replicas[r].resumes.retain(|resumed| *resumed != (p, epoch));
                let beginning = self.beginning(p, committed.map(NextOffset));
                self.reign(r, p, beginning);
            }
        }
    }

    // ---- commits at least once, and the ends of logs ----

    pub(crate) fn commit_due(&mut self, r: usize) {
        let mut idle = self.replicas[r].holdings.idle_at_end();
        idle.sort_unstable();
        for (partition, epoch) in idle {
            let p = partition.0 as usize;
            self.ends_at(r, p, epoch, self.broker.input[p].end);
        }
        if !self.exactly_once() && !self.replicas[r].committing {
            let mut due = self.replicas[r].holdings.due();
            due.sort_unstable();
            if let (Some((member, generation)), false) = (self.replicas[r].member, due.is_empty()) {
                self.replicas[r].committing = true;
                let offsets = due.into_iter().map(|(p, next)| (p.0 as usize, next.0)).collect();
                self.soon(r, What::CommitArrives { member, generation, offsets });
            }
        }
        let reigns: Vec<usize> = self.replicas[r].reigns.keys().copied().collect();
        for p in reigns {
            self.pump(r, p);
        }
        let after = self.rng.between(8, 25) as u64;
        self.later(r, after, What::CommitDue);
    }

    pub(crate) fn commit_arrives(&mut self, r: usize, member: u64, generation: u64, offsets: Vec<(usize, i64)>) {
        self.replicas[r].committing = false;
        if self.chance(10) || !self.broker.commit(member, generation, &offsets) {
            self.tally.commits_failed += 1;
            return;
        }
        let confirmed = offsets.into_iter().map(|(p, next)| (number(p), NextOffset(next))).collect();
        self.replicas[r].holdings.confirm_held(confirmed);
    }
}
