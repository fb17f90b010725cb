//! A partition of the input topic as the broker has it: offsets with gaps, and the group's committed position.

use crate::rng::Rng;

#[derive(Debug)]
pub(crate) struct LogRecord {
    pub(crate) offset: i64,
    pub(crate) key: Option<u8>,
    pub(crate) bytes: usize,
    /// The broker has stored an outcome of it.
    pub(crate) acked: bool,
}

#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) records: Vec<LogRecord>,
    /// Records that were written so far.
    pub(crate) visible: usize,
    /// Where the log ends once all are written: past control records.
    pub(crate) end: i64,
    pub(crate) committed: i64,
}

impl Log {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let keys = rng.between(1, 3);
        let keyless = rng.pick(&[0, 25, 100]).unwrap_or(0);
        let start = rng.below(3) as i64;
        let mut offset = start;
        let records: Vec<LogRecord> = (0..rng.between(2, 12))
            .map(|_| {
                offset += if rng.percent(70) { 0 } else { rng.between(1, 4) as i64 };
                offset += 1;
                let key = if rng.percent(keyless) { None } else { Some(rng.below(keys) as u8) };
                LogRecord { offset: offset - 1, key, bytes: rng.below(4), acked: false }
            })
            .collect();
        let visible = rng.below(records.len() + 1);
        Self { visible, end: offset + rng.below(3) as i64, records, committed: start }
    }

    /// The index of the first record at or past a position.
    pub(crate) fn index_at(&self, position: i64) -> usize {
        self.records.iter().position(|record| record.offset >= position).unwrap_or(self.records.len())
    }

    /// An end that a reader may be told of who has read all that was written.
    pub(crate) fn some_end(&self, rng: &mut Rng) -> i64 {
        let low = self.visible.checked_sub(1).map_or(0, |last| self.records[last].offset + 1);
        let high = self.records.get(self.visible).map_or(self.end, |next| next.offset);
        rng.between(low as usize, high as usize) as i64
    }

    /// The first record below a position whose outcome the broker does not have.
    pub(crate) fn lost_below(&self, position: i64) -> Option<i64> {
        self.records.iter().find(|record| record.offset < position && !record.acked).map(|record| record.offset)
    }
}
