//! The simulated cluster: input logs, the output log, the group's offsets, and the coordinator of transactions. It knows what
//! Kafka promises and nothing of the service.

use std::collections::{BTreeMap, BTreeSet};

use crate::rng::Rng;

/// Partition and offset of an input record.
pub(crate) type Id = (usize, i64);

/// A record of the input.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    pub(crate) offset: i64,
    pub(crate) key: Option<u8>,
    pub(crate) bytes: usize,
    /// Whoever handles it panics.
    pub(crate) poison: bool,
    /// Its answer is larger than the output topic takes.
    pub(crate) large: bool,
    /// The models refuse it.
    pub(crate) refused: bool,
    /// Outcomes that a reader of committed records sees.
    pub(crate) seen: u32,
}

#[derive(Debug)]
pub(crate) struct InputLog {
    pub(crate) records: Vec<Input>,
    /// Oldest offset that retention has left.
    pub(crate) low: i64,
    /// Where the log ends, past control records.
    pub(crate) end: i64,
    pub(crate) committed: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Open,
    Committed,
    Aborted,
}

/// A record of the output or the dead-letter topic.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) id: Id,
    pub(crate) key: Option<u8>,
    /// Of the dead-letter topic.
    dead: bool,
    transaction: Option<(usize, u64)>,
    pub(crate) state: State,
}

/// A transactional id.
#[derive(Debug, Default)]
pub(crate) struct Producer {
    /// Grows with every initialisation, and when the coordinator aborts by itself.
    epoch: u64,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    deadline: u64,
    offsets: BTreeMap<usize, i64>,
}

/// A member of the group.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) replica: usize,
    pub(crate) life: u64,
    /// Of the group when it joined last.
    pub(crate) generation: u64,
}

/// A rebalance under way.
#[derive(Debug)]
pub(crate) struct Rebalance {
    pub(crate) number: u64,
    /// Who has still to give partitions up.
    pub(crate) waits_for: BTreeSet<u64>,
    /// Which member gets which partition.
    pub(crate) shift: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Broker {
    pub(crate) input: Vec<InputLog>,
    pub(crate) output: Vec<Output>,
    pub(crate) producers: BTreeMap<usize, Producer>,
    pub(crate) members: BTreeMap<u64, Member>,
    /// Who has each partition, as the group sees it.
    pub(crate) owners: BTreeMap<usize, u64>,
    pub(crate) generation: u64,
    pub(crate) rebalance: Option<Rebalance>,
    pub(crate) transaction_timeout: u64,
    /// What must never be, once it was.
    pub(crate) fault: Option<String>,
    pub(crate) exactly_once: bool,
}

/// An offset that a transaction may still commit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending;

/// What the brokers say to a request of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Done,
    /// The transaction has to be aborted.
    Abort,
    /// The producer's epoch is over.
    Fenced,
}

impl Broker {
    pub(crate) fn logs(rng: &mut Rng) -> Vec<InputLog> {
        let order_keys = rng.between(1, 3) as u8;
        (0..rng.between(1, 3))
            .map(|partition| {
                let (mut offset, low) = (rng.below(3) as i64, 0);
                let records = (0..rng.between(2, 14)).map(|_| {
                    offset += if rng.percent(75) { 1 } else { rng.between(2, 4) as i64 };
                    Input {
                        offset: offset - 1,
                        key: (!rng.percent(20)).then(|| partition as u8 * 10 + rng.below(order_keys as usize) as u8),
                        bytes: rng.below(5),
                        poison: rng.percent(3),
                        large: rng.percent(5),
                        refused: rng.percent(5),
                        seen: 0,
                    }
                });
                let records = records.collect();
                InputLog { records, low, end: offset + rng.below(3) as i64, committed: None }
            })
            .collect()
    }

    fn fail(&mut self, what: String) {
        self.fault.get_or_insert(what);
    }

    pub(crate) fn record(&self, (partition, offset): Id) -> Option<&Input> {
        let records = &self.input[partition].records;
        records.binary_search_by_key(&offset, |record| record.offset).ok().map(|at| &records[at])
    }

    fn see(&mut self, (partition, offset): Id) {
        let records = &mut self.input[partition].records;
        let Ok(at) = records.binary_search_by_key(&offset, |record| record.offset) else { return };
        records[at].seen += 1;
        if self.exactly_once && records[at].seen > 1 {
            self.fail(format!("partition {partition} offset {offset} has two outcomes"));
        }
    }

    /// An outcome of at least once.
    pub(crate) fn append(&mut self, id: Id, key: Option<u8>, dead: bool) {
        self.output.push(Output { id, key, dead, transaction: None, state: State::Committed });
        self.see(id);
    }

    /// A commit of an offset: everything below must have its outcome, or be gone by retention.
    fn set_committed(&mut self, partition: usize, offset: i64) {
        let log = &self.input[partition];
        let missing = log.records.iter().find(|r| r.offset < offset && r.offset >= log.low && r.seen == 0);
        if let Some(missing) = missing {
            let told = format!("committed {offset} of partition {partition}, and {} has no outcome", missing.offset);
            self.fail(told);
        }
        self.input[partition].committed = Some(offset);
    }

    /// The answer is false when member or generation are not the group's; whether the member owns the partitions is not asked.
    pub(crate) fn is_current(&self, member: u64, generation: u64) -> bool {
        self.members.get(&member).is_some_and(|known| known.generation == generation && generation == self.generation)
    }

    pub(crate) fn commit(&mut self, member: u64, generation: u64, offsets: &[(usize, i64)]) -> bool {
        if !self.is_current(member, generation) {
            return false;
        }
        for (partition, offset) in offsets {
            // Within a generation a partition's owner never goes back.
            if self.input[*partition].committed.is_some_and(|now| now > *offset && now <= self.input[*partition].end) {
                self.fail(format!("partition {partition} went back to {offset}"));
            }
            self.set_committed(*partition, *offset);
        }
        true
    }

    /// The committed position; an error while a transaction is pending on it.
    pub(crate) fn stable(&self, partition: usize) -> Result<Option<i64>, Pending> {
        let pending = |producer: &Producer| producer.open.as_ref().is_some_and(|o| o.offsets.contains_key(&partition));
        if self.producers.values().any(pending) { Err(Pending) } else { Ok(self.input[partition].committed) }
    }

    // ---- transactions ----

    /// A new producer under an id: what was open is aborted.
    pub(crate) fn init(&mut self, id: usize) -> u64 {
        self.end(id, false);
        let producer = self.producers.entry(id).or_default();
        producer.epoch += 1;
        producer.epoch
    }

    fn open(&mut self, id: usize, epoch: u64, now: u64) -> Option<&mut Open> {
        let deadline = now + self.transaction_timeout;
        let producer = self.producers.get_mut(&id).filter(|producer| producer.epoch == epoch)?;
        Some(producer.open.get_or_insert_with(|| Open { deadline, offsets: BTreeMap::new() }))
    }

    pub(crate) fn write(
        &mut self,
        (id, epoch): (usize, u64),
        of: Id,
        key: Option<u8>,
        dead: bool,
        now: u64,
    ) -> Verdict {
        if self.open(id, epoch, now).is_none() {
            return Verdict::Fenced;
        }
        self.output.push(Output { id: of, key, dead, transaction: Some((id, epoch)), state: State::Open });
        Verdict::Done
    }

    pub(crate) fn add_offsets(
        &mut self,
        (id, epoch): (usize, u64),
        (member, generation): (u64, u64),
        offsets: &[(usize, i64)],
        now: u64,
    ) -> Verdict {
        let current = self.is_current(member, generation);
        match self.open(id, epoch, now) {
            None => Verdict::Fenced,
            Some(_) if !current => Verdict::Abort,
            Some(open) => {
                open.offsets.extend(offsets.iter().copied());
                Verdict::Done
            }
        }
    }

    pub(crate) fn end_transaction(&mut self, id: usize, epoch: u64, commit: bool) -> Verdict {
        if self.producers.get(&id).is_none_or(|producer| producer.epoch != epoch) {
            return Verdict::Fenced;
        }
        self.end(id, commit);
        Verdict::Done
    }

    /// Transactions that are open for too long are aborted, and their producers fenced.
    pub(crate) fn time_out(&mut self, now: u64) -> usize {
        let late = |(id, producer): (&usize, &Producer)| {
            producer.open.as_ref().is_some_and(|open| open.deadline <= now).then_some(*id)
        };
        let late: Vec<usize> = self.producers.iter().filter_map(late).collect();
        for id in &late {
            self.end(*id, false);
            if let Some(producer) = self.producers.get_mut(id) {
                producer.epoch += 1;
            }
        }
        late.len()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.producers.values().any(|producer| producer.open.is_some())
    }

    fn end(&mut self, id: usize, commit: bool) {
        let Some(producer) = self.producers.get_mut(&id) else { return };
        let (epoch, Some(open)) = (producer.epoch, producer.open.take()) else { return };
        let mut seen = Vec::new();
        for output in self.output.iter_mut().filter(|o| o.transaction == Some((id, epoch)) && o.state == State::Open) {
            output.state = if commit { State::Committed } else { State::Aborted };
            if commit {
                seen.push(output.id);
            }
        }
        for id in seen {
            self.see(id);
        }
        if commit {
            for (partition, offset) in open.offsets {
                self.set_committed(partition, offset);
            }
        }
    }

    // ---- the end ----

    /// What must hold when everything has come to rest.
    pub(crate) fn verdict(&self, ordered: bool) -> Result<(), String> {
        let mut newest: BTreeMap<(u8, bool), i64> = BTreeMap::new();
        let mut first: BTreeSet<Id> = BTreeSet::new();
        for output in self.output.iter().filter(|output| output.state == State::Committed) {
            let is_first = first.insert(output.id);
            // At least once, a key goes on once its outcome is handed over; that the brokers refuse it is heard later.
            let late = !self.exactly_once && self.record(output.id).is_some_and(|input| input.large);
            // What retention took is reported as lost; that someone still had it does not count.
            let taken = output.id.1 < self.input[output.id.0].low;
            let Some(key) = output.key.filter(|_| ordered && is_first && !late && !taken) else { continue };
            if let Some(before) = newest.insert((key, output.dead), output.id.1)
                && before > output.id.1
            {
                return Err(format!("key {key}: offset {} has its outcome after {before}", output.id.1));
            }
        }
        for (partition, log) in self.input.iter().enumerate() {
            if let Some(lost) = log.records.iter().find(|record| record.seen == 0 && record.offset >= log.low) {
                return Err(format!("partition {partition} offset {} has no outcome", lost.offset));
            }
            if log.committed != Some(log.end) {
                return Err(format!(
                    "partition {partition}: committed {:?}, and the end is {}",
                    log.committed, log.end
                ));
            }
        }
        if self.is_open() { Err("a transaction is open".into()) } else { Ok(()) }
    }
}
