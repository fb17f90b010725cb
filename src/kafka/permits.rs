//! Room for running records and held bytes, shared by all partitions of the process.
//!
//! Counters only: taking and giving back never wakes another thread. A partition that found no room asks again on its own
//! events and on a short tick. While somebody waits, nobody takes more than an equal share. While somebody wants to run a
//! record with nothing beside it in the process, nobody else begins anything.

use std::collections::VecDeque;
use std::sync::atomic::{
    AtomicU64, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::partition::Room;

/// The room of the process.
#[derive(Debug)]
pub struct Permits {
    records: Pool,
    bytes: Pool,
    /// Bytes of outcomes that wait for a transaction.
    held: Pool,
    partitions: AtomicUsize,
    loners: Loners,
}

/// Who wants to run a record with nothing beside it, in the order of asking. The first has the right once nothing runs.
#[derive(Debug, Default)]
struct Loners {
    /// Names shares; 0 names none.
    names: AtomicU64,
    /// The first in line: what everybody looks at before taking a record.
    first: AtomicU64,
    line: Mutex<VecDeque<u64>>,
}

impl Loners {
    fn line(&self) -> MutexGuard<'_, VecDeque<u64>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(&self, name: u64) {
        let mut line = self.line();
        line.push_back(name);
        self.first.store(line.front().copied().unwrap_or(0), SeqCst);
    }

    fn leave(&self, name: u64) {
        let mut line = self.line();
        line.retain(|other| *other != name);
        self.first.store(line.front().copied().unwrap_or(0), SeqCst);
    }
}

#[derive(Debug)]
struct Pool {
    limit: usize,
    used: AtomicUsize,
    waiting: AtomicUsize,
}

impl Pool {
    fn new(limit: usize) -> Self {
        Self { limit, used: AtomicUsize::new(0), waiting: AtomicUsize::new(0) }
    }

    /// True when one who holds `held` and waits or not may take more.
    fn is_open_to(&self, held: usize, waits: bool, sharers: usize) -> bool {
        let others = self.waiting.load(Relaxed).saturating_sub(usize::from(waits));
        others == 0 || held < (self.limit / sharers.max(1)).max(1)
    }
}

impl Permits {
    /// Room for so many running records, and so many bytes of them.
    pub fn new(records: usize, bytes: usize) -> Arc<Self> {
        Self::with_held(records, bytes, usize::MAX)
    }

    /// The same, and so many bytes of outcomes that wait for a transaction.
    pub fn with_held(records: usize, bytes: usize, held: usize) -> Arc<Self> {
        let [records, bytes, held] = [records, bytes, held].map(Pool::new);
        Arc::new(Self { records, bytes, held, partitions: AtomicUsize::new(0), loners: Loners::default() })
    }

    /// Records that run now.
    pub fn records_used(&self) -> usize {
        self.records.used.load(Relaxed)
    }

    /// Bytes held now. Each partition may pass the limit by the batch it has just read.
    pub fn bytes_used(&self) -> usize {
        self.bytes.used.load(Relaxed)
    }

    /// Bytes of outcomes that wait for a transaction.
    pub fn held_used(&self) -> usize {
        self.held.used.load(Relaxed)
    }

    /// A partition's part in the room.
    pub fn share(self: &Arc<Self>) -> Share {
        self.partitions.fetch_add(1, Relaxed);
        let name = self.loners.names.fetch_add(1, Relaxed) + 1;
        Share {
            permits: self.clone(),
            name,
            records: 0,
            bytes: 0,
            held: 0,
            waits_for_record: false,
            waits_for_bytes: false,
            in_line: false,
        }
    }
}

/// What one partition holds of the room. Gives everything back when dropped.
#[derive(Debug)]
pub struct Share {
    permits: Arc<Permits>,
    name: u64,
    records: usize,
    bytes: usize,
    held: usize,
    waits_for_record: bool,
    waits_for_bytes: bool,
    /// Among those who want the process for themselves.
    in_line: bool,
}

impl Share {
    /// True when the last request for room was refused.
    pub fn waits(&self) -> bool {
        self.waits_for_record || self.waits_for_bytes
    }

    /// One half of the room for outcomes is for whoever comes, the other is dealt in equal shares: a partition that holds much
    /// because one record takes long leaves the others theirs.
    fn may_hold(&self) -> bool {
        let pool = &self.permits.held;
        let (half, sharers) = (pool.limit / 2, self.permits.partitions.load(Relaxed).max(1));
        self.held <= half / sharers || pool.used.load(Relaxed) <= half
    }

    fn wait(flag: &mut bool, pool: &Pool, waits: bool) {
        if *flag != waits {
            *flag = waits;
            if waits {
                pool.waiting.fetch_add(1, Relaxed)
            } else {
                pool.waiting.fetch_sub(1, Relaxed)
            };
        }
    }
}

impl Room for Share {
    fn take_record(&mut self) -> bool {
        let pool = &self.permits.records;
        // Whoever wants to be alone holds nothing, and nobody else gets anything, so shares do not matter to it.
        let open =
            self.in_line || pool.is_open_to(self.records, self.waits_for_record, self.permits.partitions.load(Relaxed));
        let barred = || {
            let first = self.permits.loners.first.load(SeqCst);
            first != 0 && first != self.name
        };
        let mut taken = open
            && !barred()
            && pool.used.fetch_update(SeqCst, Relaxed, |used| (used < pool.limit).then_some(used + 1)).is_ok();
        // Looked at again after taking: either this sees the one who wants to be alone, or that one sees the record.
        if taken && barred() {
            pool.used.fetch_sub(1, SeqCst);
            taken = false;
        }
        Self::wait(&mut self.waits_for_record, pool, !taken);
        self.records += usize::from(taken);
        taken
    }

    fn give_record(&mut self) {
        self.records -= 1;
        self.permits.records.used.fetch_sub(1, SeqCst);
    }

    fn take_process(&mut self) -> bool {
        let loners = &self.permits.loners;
        if !std::mem::replace(&mut self.in_line, true) {
            loners.join(self.name);
        }
        loners.first.load(SeqCst) == self.name && self.permits.records.used.load(SeqCst) == 0
    }

    fn give_process(&mut self) {
        if std::mem::take(&mut self.in_line) {
            self.permits.loners.leave(self.name);
        }
    }

    fn take_bytes(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.permits.bytes.used.fetch_add(bytes, Relaxed);
    }

    fn give_bytes(&mut self, bytes: usize) {
        self.bytes -= bytes;
        self.permits.bytes.used.fetch_sub(bytes, Relaxed);
    }

    fn may_read(&mut self, held: usize) -> bool {
        let pool = &self.permits.bytes;
        let open = pool.is_open_to(self.bytes, self.waits_for_bytes, self.permits.partitions.load(Relaxed));
        // One record at least, or a partition that came last would never move.
        let may = held == 0 || (open && pool.used.load(Relaxed) < pool.limit && self.may_hold());
        Self::wait(&mut self.waits_for_bytes, pool, !may);
        may
    }

    fn hold(&mut self, bytes: usize) {
        self.held += bytes;
        self.permits.held.used.fetch_add(bytes, Relaxed);
    }

    fn release(&mut self, bytes: usize) {
        self.held -= bytes;
        self.permits.held.used.fetch_sub(bytes, Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        Self::wait(&mut self.waits_for_record, &self.permits.records, false);
        Self::wait(&mut self.waits_for_bytes, &self.permits.bytes, false);
        self.permits.records.used.fetch_sub(self.records, SeqCst);
        self.give_process();
        self.permits.bytes.used.fetch_sub(self.bytes, Relaxed);
        self.permits.held.used.fetch_sub(self.held, Relaxed);
        self.permits.partitions.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_records_than_the_limit_run_and_a_drop_gives_back() {
        let permits = Permits::new(2, 10);
        let (mut a, mut b) = (permits.share(), permits.share());
        assert!(a.take_record() && a.take_record() && !b.take_record());
        drop(a);
        assert_eq!(permits.records_used(), 0);
        assert!(b.take_record());
    }

    #[test]
    fn while_another_waits_nobody_takes_more_than_its_share() {
        let permits = Permits::new(4, 10);
        let (mut a, mut b) = (permits.share(), permits.share());
        assert!((0..4).all(|_| a.take_record()));
        assert!(!b.take_record() && b.waits());
        a.give_record();
        a.give_record();
        assert!(!a.take_record(), "a holds its share and b waits");
        assert!(b.take_record());
        assert!(!b.waits());
        assert!(a.waits());
        assert!(b.take_record(), "b has not its share yet");
    }

    #[test]
    fn a_partition_whose_outcomes_wait_long_leaves_the_others_their_share() {
        let permits = Permits::with_held(4, 1000, 80);
        let (mut stuck, mut other) = (permits.share(), permits.share());
        stuck.hold(41);
        assert!(!stuck.may_read(1), "it holds more than the common half");
        other.hold(20);
        assert!(other.may_read(1));
        other.hold(1);
        assert!(!other.may_read(1) && other.may_read(0));
        stuck.release(41);
        assert!(other.may_read(1) && permits.held_used() == 21);
        drop(other);
        assert_eq!(permits.held_used(), 0);
    }

    #[test]
    fn who_wants_to_be_alone_waits_for_what_runs_and_nobody_else_begins() {
        let permits = Permits::new(4, 10);
        let (mut a, mut b, mut c) = (permits.share(), permits.share(), permits.share());
        assert!(c.take_record());
        assert!(!a.take_process(), "a record of another partition runs");
        assert!(!c.take_record() && !b.take_process() && !b.take_record());
        c.give_record();
        assert!(!b.take_process(), "a asked first");
        assert!(a.take_process() && a.take_record());
        assert!(!a.take_process(), "its own record runs");
        a.give_record();
        a.give_process();
        assert!(!a.take_process(), "it is the turn of b");
        assert!(b.take_process() && b.take_record());
        drop(b);
        assert!(a.take_process(), "a drop gives the right back, and the record");
        a.give_process();
        assert!(c.take_record() && a.take_record());
    }

    #[test]
    fn a_partition_that_holds_nothing_may_always_read_one_record() {
        let permits = Permits::new(4, 10);
        let (mut a, mut b) = (permits.share(), permits.share());
        a.take_bytes(50);
        assert!(!a.may_read(1));
        assert!(b.may_read(0));
        b.take_bytes(5);
        assert!(!b.may_read(1));
        a.give_bytes(50);
        assert!(a.may_read(0) && permits.bytes_used() == 5);
    }
}
