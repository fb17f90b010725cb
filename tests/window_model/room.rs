//! The room that the partitions of a schedule share.

use std::collections::VecDeque;

use millrace::kafka::partition::Room;

#[derive(Debug)]
pub(crate) struct SharedRoom {
    pub(crate) records: usize,
    pub(crate) running: usize,
    pub(crate) max_bytes: usize,
    pub(crate) bytes: usize,
    /// Something was given back that nobody had.
    pub(crate) overdrawn: bool,
    /// The partition that is talked to.
    pub(crate) who: usize,
    /// Partitions that want to run a record with nothing beside it, in the order of asking.
    pub(crate) loners: VecDeque<usize>,
}

impl SharedRoom {
    pub(crate) fn full(&self) -> bool {
        self.running >= self.records || self.loners.front().is_some_and(|first| *first != self.who)
    }

    /// True when the partition that is talked to cannot have the process to itself.
    pub(crate) fn busy(&self) -> bool {
        self.running > 0 || self.loners.front().is_some_and(|first| *first != self.who)
    }
}

impl Room for SharedRoom {
    fn take_record(&mut self) -> bool {
        let free = !self.full();
        self.running += usize::from(free);
        free
    }

    fn give_record(&mut self) {
        self.overdrawn |= self.running == 0;
        self.running = self.running.saturating_sub(1);
    }

    fn take_process(&mut self) -> bool {
        if !self.loners.contains(&self.who) {
            self.loners.push_back(self.who);
        }
        !self.busy()
    }

    fn give_process(&mut self) {
        self.overdrawn |= !self.loners.contains(&self.who);
        self.loners.retain(|other| *other != self.who);
    }

    fn take_bytes(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    fn give_bytes(&mut self, bytes: usize) {
        self.overdrawn |= self.bytes < bytes;
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    fn may_read(&mut self, held: usize) -> bool {
        held == 0 || self.bytes < self.max_bytes
    }

    fn hold(&mut self, _: usize) {}

    fn release(&mut self, _: usize) {}
}
