//! The decisions of exactly once: what is written in which transaction, what is committed with it, and what an end means that
//! nobody knows.
//!
//! Pure: `step(event, now, commands)`. Outcomes of a partition are written in read order; one that comes early waits here for
//! those before it, while models go on. An outcome is kept until its transaction is known to be committed: an aborted one is
//! written again, without a model. Whoever carries out the commands answers each of [`Command::Renew`],
//! [`Command::ReadPositions`], [`Command::SendOffsets`], [`Command::Commit`] and [`Command::Abort`] with an event, and gives
//! [`Event::Tick`] after events that need no answer. The rules of the brokers that this rests on are in
//! `docs/architecture.md`.

mod book;

use std::collections::BTreeMap;
use std::time::Duration;

use self::book::{Book, Entry};
use super::offsets::Seq;
use crate::record::{Epoch, NextOffset, Partition};

/// Before a transaction after one that failed, at first and at most.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// When a transaction is committed: whichever comes first.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Time since it was begun.
    pub interval: Duration,
    /// Outcomes in it.
    pub records: usize,
    /// Bytes of them.
    pub bytes: usize,
}

/// What happened.
#[derive(Debug)]
pub enum Event<T> {
    /// A partition is there to be read from `start` on. `commit` says that the group has no usable position there yet.
    Assigned { partition: Partition, epoch: Epoch, start: NextOffset, commit: bool },
    /// A record has its outcome. `writes` is false for one that writes nothing; `next` is the offset after the record.
    Outcome { partition: Partition, epoch: Epoch, seq: Seq, next: NextOffset, bytes: usize, writes: bool, item: T },
    /// All that was read is committed, and the log ends here, past control records.
    EndsAt { partition: Partition, epoch: Epoch, position: NextOffset },
    /// The partition's epoch is over: commit what can be committed now, drop the rest, and say [`Command::Released`].
    Settle(Partition, Epoch),
    /// The group has given the partition away, or may have: nothing of it may be committed from now on.
    Fence(Partition, Epoch),
    /// Time has passed.
    Tick,
    /// The client has initialised: earlier transactions of its id are over.
    Ready,
    /// It has not; ask again.
    NotReady,
    /// What is committed, stable, for the partitions that were asked for. None is the start of the log.
    Positions(Vec<(Partition, Option<NextOffset>)>),
    /// It could not be read; ask again.
    NotRead,
    /// The offsets are part of the transaction.
    OffsetsSent,
    /// The transaction is committed.
    Committed,
    /// The transaction is aborted.
    Aborted,
    /// An outcome of the transaction was not stored, for a reason that passes.
    Undelivered,
    /// An outcome of the transaction will never be stored as it is.
    Refused { partition: Partition, epoch: Epoch, seq: Seq },
    /// The command failed, and the transaction has to be aborted.
    Failed,
    /// The client cannot go on. Whether the transaction was committed is unknown if its commit was under way.
    Lost,
}

/// What is to be done, in this order.
#[derive(Debug, PartialEq, Eq)]
pub enum Command<T> {
    /// Make the client anew with the same transactional id, and initialise it.
    Renew,
    /// Ask for the group's committed positions, stable ones.
    ReadPositions(Vec<Partition>),
    /// Begin a transaction.
    Begin,
    /// Write an outcome in it.
    Send(T),
    /// Add positions to it, with the group's metadata of this moment.
    SendOffsets(Vec<(Partition, Epoch, NextOffset)>),
    /// Commit it, and all that was written in it.
    Commit,
    /// Abort it.
    Abort,
    /// The outcome is stored for good.
    Acked(T),
    /// The outcome will never be stored; another one for the same record may come.
    Refuse(T),
    /// Nothing of this epoch is held any more, and what of it was committed is known to the brokers.
    Released(Partition, Epoch),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No client may be used. `asked` while one is being made.
    Renewing {
        asked: bool,
    },
    /// A new client is ready, but not what was committed before it.
    Reading {
        asked: bool,
    },
    Idle,
    Open {
        since: Duration,
    },
    SendingOffsets,
    Committing,
    Aborting,
}

/// The transactions of one process.
#[derive(Debug)]
pub struct Transactions<T> {
    rules: Rules,
    phase: Phase,
    books: BTreeMap<Partition, Book<T>>,
    /// Outcomes in the present transaction, and their bytes.
    written: usize,
    written_bytes: usize,
    /// The present transaction holds what must not be committed.
    spoilt: bool,
    /// Nothing is begun before.
    rest_until: Duration,
    /// Transactions that failed since the last one that did not.
    failures: u32,
}

impl<T: Clone> Transactions<T> {
    /// No client yet: the first [`Event::Tick`] asks for one.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            phase: Phase::Renewing { asked: false },
            books: BTreeMap::new(),
            written: 0,
            written_bytes: 0,
            spoilt: false,
            rest_until: Duration::ZERO,
            failures: 0,
        }
    }

    /// Takes in what happened, and appends what is to be done.
    pub fn step(&mut self, event: Event<T>, now: Duration, commands: &mut Vec<Command<T>>) {
        match event {
            Event::Assigned { partition, epoch, start, commit } => {
                self.fence(partition);
                self.books.insert(partition, Book::new(epoch, start, commit));
            }
            Event::Outcome { partition, epoch, seq, next, bytes, writes, item } => {
                if let Some(book) = self.book(partition, epoch) {
                    book.take(seq, Entry { next, bytes, writes, refused: false, item });
                }
                return;
            }
            Event::EndsAt { partition, epoch, position } => {
                if let Some(book) = self.book(partition, epoch) {
                    book.ends_at(position);
                }
                return;
            }
            Event::Settle(partition, epoch) => match self.book(partition, epoch) {
                Some(book) => book.leave(),
                None => commands.push(Command::Released(partition, epoch)),
            },
            Event::Fence(partition, epoch) => {
                if self.book(partition, epoch).is_some() {
                    self.fence(partition);
                }
            }
            Event::Tick => {}
            Event::Ready => self.ready(),
            Event::NotReady => {
                self.phase = Phase::Renewing { asked: false };
                self.rest(now);
            }
            Event::Positions(positions) => self.positions(&positions),
            Event::NotRead => {
                self.phase = Phase::Reading { asked: false };
                self.rest(now);
            }
            // What could not be written is known only here: without it the transaction would be committed all the same.
            Event::OffsetsSent if self.spoilt => self.abort(commands),
            Event::OffsetsSent => {
                self.phase = Phase::Committing;
                commands.push(Command::Commit);
            }
            Event::Committed => self.committed(commands),
            Event::Aborted => self.aborted(now, commands),
            Event::Undelivered => self.spoilt = true,
            Event::Refused { partition, epoch, seq } => {
                self.spoilt = true;
                if let Some(book) = self.book(partition, epoch) {
                    book.refuse(seq);
                }
            }
            Event::Failed => self.abort(commands),
            Event::Lost => self.phase = Phase::Renewing { asked: false },
        }
        self.go_on(now, commands);
    }

    /// When [`Event::Tick`] is due at the latest, if nothing else happens.
    pub fn due(&self) -> Option<Duration> {
        match self.phase {
            Phase::Open { since } => Some(since + self.rules.interval),
            Phase::Renewing { asked: false } | Phase::Reading { asked: false } => Some(self.rest_until),
            Phase::Idle if self.has_work() => Some(self.rest_until),
            _ => None,
        }
    }

    /// Whether a transaction is open, or on its way to its end.
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open { .. } | Phase::SendingOffsets | Phase::Committing | Phase::Aborting)
    }

    /// Outcomes that are not known to be committed.
    pub fn held(&self) -> usize {
        self.books.values().map(Book::held).sum()
    }

    /// Their bytes.
    pub fn held_bytes(&self) -> usize {
        self.books.values().map(Book::held_bytes).sum()
    }

    fn book(&mut self, partition: Partition, epoch: Epoch) -> Option<&mut Book<T>> {
        self.books.get_mut(&partition).filter(|book| book.epoch == epoch)
    }

    /// Takes a partition out. What it has in an open transaction must not be committed without its offsets; once those are
    /// with the brokers, the transaction is right as it is.
    fn fence(&mut self, partition: Partition) {
        if let Some(book) = self.books.remove(&partition) {
            self.spoilt |= matches!(self.phase, Phase::Open { .. }) && book.has_written();
        }
    }

    fn go_on(&mut self, now: Duration, commands: &mut Vec<Command<T>>) {
        match self.phase {
            Phase::Renewing { asked: false } if now >= self.rest_until => {
                self.phase = Phase::Renewing { asked: true };
                commands.push(Command::Renew);
            }
            Phase::Reading { asked: false } if now >= self.rest_until => {
                self.phase = Phase::Reading { asked: true };
                let unknown = self.books.iter().filter(|(_, book)| book.has_written()).map(|(partition, _)| *partition);
                commands.push(Command::ReadPositions(unknown.collect()));
            }
            Phase::Idle => {
                self.release(commands);
                if now >= self.rest_until && self.has_work() {
                    commands.push(Command::Begin);
                    (self.written, self.written_bytes, self.spoilt) = (0, 0, false);
                    self.phase = Phase::Open { since: now };
                    self.write(now, now, commands);
                }
            }
            Phase::Open { since } => self.write(since, now, commands),
            _ => {}
        }
    }

    /// Writes all that is its partition's turn, and commits when it is time.
    fn write(&mut self, since: Duration, now: Duration, commands: &mut Vec<Command<T>>) {
        if self.spoilt {
            return self.abort(commands);
        }
        for book in self.books.values_mut() {
            while let Some(turn) = book.write_next() {
                match turn {
                    book::Turn::Write { item, bytes } => {
                        self.written += 1;
                        self.written_bytes += bytes;
                        commands.push(Command::Send(item));
                    }
                    book::Turn::Nothing => {}
                    // Whoever committed it, it is done.
                    book::Turn::Known(item) => commands.push(Command::Acked(item)),
                }
            }
        }
        let full = self.written >= self.rules.records || self.written_bytes >= self.rules.bytes;
        if full || now >= since + self.rules.interval || self.books.values().any(Book::is_leaving) {
            self.commit(commands);
        }
    }

    fn commit(&mut self, commands: &mut Vec<Command<T>>) {
        let offsets: Vec<_> = self
            .books
            .iter_mut()
            .filter_map(|(partition, book)| book.send_due().map(|next| (*partition, book.epoch, next)))
            .collect();
        if offsets.is_empty() {
            return self.abort(commands);
        }
        self.phase = Phase::SendingOffsets;
        commands.push(Command::SendOffsets(offsets));
    }

    fn abort(&mut self, commands: &mut Vec<Command<T>>) {
        self.phase = Phase::Aborting;
        commands.push(Command::Abort);
    }

    fn committed(&mut self, commands: &mut Vec<Command<T>>) {
        self.phase = Phase::Idle;
        self.failures = 0;
        for book in self.books.values_mut() {
            commands.extend(book.committed().map(Command::Acked));
        }
    }

    fn aborted(&mut self, now: Duration, commands: &mut Vec<Command<T>>) {
        self.phase = Phase::Idle;
        // One that was spoilt by a single outcome is begun anew at once, without it.
        let mut refused = false;
        for book in self.books.values_mut() {
            for item in book.aborted() {
                refused = true;
                commands.push(Command::Refuse(item));
            }
        }
        self.books.retain(|partition, book| {
            let stays = !book.is_leaving();
            if !stays {
                commands.push(Command::Released(*partition, book.epoch));
            }
            stays
        });
        if !refused && self.written > 0 {
            self.rest(now);
        }
    }

    fn ready(&mut self) {
        let unknown = self.books.values().any(Book::has_written);
        self.phase = if unknown { Phase::Reading { asked: false } } else { Phase::Idle };
        self.rest_until = Duration::ZERO;
    }

    /// After an end that nobody knows: what lies below the committed position is done, the rest is written again.
    fn positions(&mut self, positions: &[(Partition, Option<NextOffset>)]) {
        self.phase = Phase::Idle;
        self.failures = 0;
        for (partition, position) in positions {
            if let Some(book) = self.books.get_mut(partition) {
                book.resume(*position);
            }
        }
    }

    /// Something could be written, or a position committed.
    fn has_work(&self) -> bool {
        self.books.values().any(|book| book.is_ready() || book.due().is_some())
    }

    /// Lets go of partitions that are over and have nothing left to commit.
    fn release(&mut self, commands: &mut Vec<Command<T>>) {
        self.books.retain(|partition, book| {
            let stays = !book.is_leaving() || book.is_ready() || book.due().is_some();
            if !stays {
                commands.push(Command::Released(*partition, book.epoch));
            }
            stays
        });
    }

    fn rest(&mut self, now: Duration) {
        let pause = PAUSE_MIN.saturating_mul(2_u32.saturating_pow(self.failures)).min(PAUSE_MAX);
        self.failures = self.failures.saturating_add(1);
        self.rest_until = now + pause;
    }
}

#[cfg(test)]
mod tests;
