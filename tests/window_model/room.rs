//! The room that the partitions of a schedule share.

use millrace::kafka::partition::Room;

#[derive(Debug)]
pub(crate) struct SharedRoom {
    pub(crate) records: usize,
    pub(crate) running: usize,
    pub(crate) max_bytes: usize,
    pub(crate) bytes: usize,
    /// Something was given back that nobody had.
    pub(crate) overdrawn: bool,
}

impl SharedRoom {
    pub(crate) fn full(&self) -> bool {
        self.running >= self.records
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
