//! The outcomes of one partition in one epoch, from their coming until they are known to be committed. Pure.

use std::collections::{BTreeMap, VecDeque};

use crate::kafka::offsets::Seq;
use crate::record::{Epoch, NextOffset};

/// An outcome.
#[derive(Debug)]
pub(super) struct Entry<T> {
    /// The offset after its record.
    pub(super) next: NextOffset,
    pub(super) bytes: usize,
    /// False if nothing is written for it.
    pub(super) writes: bool,
    /// The brokers will never take it as it is.
    pub(super) refused: bool,
    pub(super) item: T,
}

/// What to do about the outcome whose turn it is.
pub(super) enum Turn<T> {
    Write {
        item: T,
        bytes: usize,
    },
    /// It is part of the transaction by its offset alone.
    Nothing,
    /// It was committed before.
    Known(T),
}

/// The outcomes of one partition.
#[derive(Debug)]
pub(super) struct Book<T> {
    pub(super) epoch: Epoch,
    /// Those that have come and are not in the present transaction.
    waiting: BTreeMap<Seq, Entry<T>>,
    /// Those in the present transaction, in read order.
    written: VecDeque<(Seq, Entry<T>)>,
    /// The one whose turn it is.
    turn: Seq,
    /// What the brokers are known to have, if they have anything.
    committed: Option<NextOffset>,
    /// What may be committed beside outcomes: where reading begins, or where the log ends.
    position: NextOffset,
    /// What the present transaction commits.
    sent: Option<NextOffset>,
    bytes: usize,
    leaving: bool,
}

impl<T: Clone> Book<T> {
    pub(super) fn new(epoch: Epoch, start: NextOffset, commit: bool) -> Self {
        Self {
            epoch,
            waiting: BTreeMap::new(),
            written: VecDeque::new(),
            turn: Seq(0),
            committed: (!commit).then_some(start),
            position: start,
            sent: None,
            bytes: 0,
            leaving: false,
        }
    }

    /// Takes an outcome in. A second one of the same record, whose first was thought lost, is not needed.
    pub(super) fn take(&mut self, seq: Seq, entry: Entry<T>) {
        if !self.leaving && seq >= self.turn && !self.waiting.contains_key(&seq) {
            self.bytes += entry.bytes;
            self.waiting.insert(seq, entry);
        }
    }

    pub(super) fn ends_at(&mut self, position: NextOffset) {
        if self.held() == 0 && !self.leaving {
            self.position = self.position.max(position);
        }
    }

    /// Nothing more is taken in, and what waits for a predecessor that does not come is dropped.
    pub(super) fn leave(&mut self) {
        self.leaving = true;
        let mut end = self.turn;
        while self.waiting.contains_key(&end) {
            end = Seq(end.0 + 1);
        }
        let dropped = self.waiting.split_off(&end);
        self.bytes -= dropped.values().map(|entry| entry.bytes).sum::<usize>();
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving
    }

    /// Whether an outcome could be written now.
    pub(super) fn is_ready(&self) -> bool {
        self.waiting.first_key_value().is_some_and(|(seq, _)| *seq == self.turn)
    }

    /// Whether the present transaction, or one whose end is not known, has outcomes of it.
    pub(super) fn has_written(&self) -> bool {
        !self.written.is_empty()
    }

    /// The outcome whose turn it is, if it has come, goes into the transaction.
    pub(super) fn write_next(&mut self) -> Option<Turn<T>> {
        let entry = self.is_ready().then(|| self.waiting.pop_first())??.1;
        let seq = self.turn;
        self.turn = Seq(seq.0 + 1);
        if self.written.is_empty() && self.committed.is_some_and(|committed| entry.next <= committed) {
            self.bytes -= entry.bytes;
            return Some(Turn::Known(entry.item));
        }
        let turn =
            if entry.writes { Turn::Write { item: entry.item.clone(), bytes: entry.bytes } } else { Turn::Nothing };
        self.written.push_back((seq, entry));
        Some(turn)
    }

    /// The position to commit with the transaction, if it is ahead of what is committed.
    pub(super) fn due(&self) -> Option<NextOffset> {
        let next = self.written.back().map_or(self.position, |(_, entry)| entry.next.max(self.position));
        (self.committed.is_none_or(|committed| committed < next)).then_some(next)
    }

    /// The same, which the transaction commits now.
    pub(super) fn send_due(&mut self) -> Option<NextOffset> {
        self.sent = self.due();
        self.sent
    }

    /// The transaction is committed: what was in it.
    pub(super) fn committed(&mut self) -> impl Iterator<Item = T> {
        if let Some(next) = self.sent.take() {
            self.committed = Some(next);
            self.position = self.position.max(next);
        }
        let written = std::mem::take(&mut self.written);
        self.bytes -= written.iter().map(|(_, entry)| entry.bytes).sum::<usize>();
        written.into_iter().map(|(_, entry)| entry.item)
    }

    /// The transaction is aborted: all of it waits again, but what was refused comes back.
    pub(super) fn aborted(&mut self) -> Vec<T> {
        let mut refused = Vec::new();
        self.sent = None;
        if let Some((first, _)) = self.written.front() {
            self.turn = *first;
        }
        for (seq, entry) in std::mem::take(&mut self.written) {
            if entry.refused {
                self.bytes -= entry.bytes;
                refused.push(entry.item);
            } else {
                self.waiting.insert(seq, entry);
            }
        }
        refused
    }

    pub(super) fn refuse(&mut self, seq: Seq) {
        if let Some((_, entry)) = self.written.iter_mut().find(|(written, _)| *written == seq) {
            entry.refused = true;
        }
    }

    /// The position that the brokers have is known again. What lies below is done; the rest is written again.
    pub(super) fn resume(&mut self, committed: Option<NextOffset>) {
        self.committed = committed;
        for (_, entry) in &mut self.written {
            // Whether it would be refused is found out again.
            entry.refused = false;
        }
        self.aborted();
    }

    pub(super) fn held(&self) -> usize {
        self.waiting.len() + self.written.len()
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.bytes
    }
}
