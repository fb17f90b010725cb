//! One partition's queue: records as they come from the client library, read by whoever owns the current epoch.
//!
//! The queue object is split off once per partition and outlives every reader: dropping one would silence the next. Reading
//! takes the lock for the length of one batch, so that a reader of an old epoch can never take a record from the new one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rdkafka::consumer::ConsumerContext;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use tokio::sync::Notify;

use super::holdings::Marks;
use crate::record::{Epoch, Header, Headers, NextOffset, Offset, Partition, Record};

/// Large records are read a few at a time, so that the room they take is seen before more are read.
pub const BATCH_BYTES: usize = 1 << 20;

/// How a batch of reading ended.
#[derive(Debug, PartialEq, Eq)]
pub enum ReadEnd {
    /// There may be more at once.
    More,
    /// Nothing more for now; [`Source::filled`] tells when.
    Empty,
    /// Nothing more for now, and the log ends here.
    EndOfLog,
    /// The position lies outside the log: nothing will come until it is set anew.
    OutsideLog,
    /// The reader's epoch is over.
    Retired,
    /// The client library reported an error; reading may go on.
    Failed(RDKafkaErrorCode),
}

/// Something to read a partition from. The service reads Kafka; tests may read what they like.
pub trait Source: Send + Sync {
    /// Appends up to `max` records, in order, if `epoch` is current. Ends early after [`BATCH_BYTES`].
    fn read(&self, epoch: Epoch, max: usize, records: &mut Vec<Record>) -> ReadEnd;
    /// Told when records come after the source was empty. A slow tick of the reader is the net under a lost wake-up.
    fn filled(&self) -> Arc<Notify>;
}

/// A partition's queue of the client library.
pub struct KafkaSource<C: ConsumerContext + 'static> {
    topic: Arc<str>,
    partition: Partition,
    filled: Arc<Notify>,
    queue: Mutex<(Epoch, PartitionQueue<C>)>,
}

impl<C: ConsumerContext + 'static> KafkaSource<C> {
    /// Takes the queue over. Nobody may read until [`KafkaSource::hand_to`].
    pub fn new(topic: Arc<str>, partition: Partition, mut queue: PartitionQueue<C>) -> Self {
        let filled = Arc::new(Notify::new());
        let wake = filled.clone();
        // Runs inside the client library with the queue's lock held: it may wake, and nothing else.
        queue.set_nonempty_callback(move || wake.notify_one());
        Self { topic, partition, filled, queue: Mutex::new((Epoch(0), queue)) }
    }

    /// From now on only this epoch may read.
    pub fn hand_to(&self, epoch: Epoch) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).0 = epoch;
        self.filled.notify_one();
    }
}

impl<C: ConsumerContext + 'static> Source for KafkaSource<C> {
    fn read(&self, epoch: Epoch, max: usize, records: &mut Vec<Record>) -> ReadEnd {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.0 != epoch {
            return ReadEnd::Retired;
        }
        let mut end = ReadEnd::Empty;
        let mut bytes = 0;
        for _ in 0..max {
            if bytes >= BATCH_BYTES {
                break;
            }
            match queue.1.poll(Duration::ZERO) {
                None => return end,
                Some(Ok(message)) => {
                    let record = record(self.topic.clone(), self.partition, &message);
                    bytes += record.size();
                    records.push(record);
                    end = ReadEnd::Empty;
                }
                Some(Err(KafkaError::PartitionEOF(_))) => end = ReadEnd::EndOfLog,
                Some(Err(error)) => match error.rdkafka_error_code() {
                    Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                        return ReadEnd::OutsideLog;
                    }
                    code => return ReadEnd::Failed(code.unwrap_or(RDKafkaErrorCode::Unknown)),
                },
            }
        }
        ReadEnd::More
    }

    fn filled(&self) -> Arc<Notify> {
        self.filled.clone()
    }
}

/// A message as a record of its own, which holds nothing of the client library.
pub(super) fn record(topic: Arc<str>, partition: Partition, message: &BorrowedMessage<'_>) -> Record {
    let (headers, unreadable_headers) = headers(message);
    Record {
        topic,
        partition,
        offset: Offset(message.offset()),
        key: message.key().map(Bytes::copy_from_slice),
        value: message.payload().map(Bytes::copy_from_slice),
        headers,
        unreadable_headers,
        timestamp: message.timestamp().to_millis(),
    }
}

/// Headers that can be read, and how many cannot.
fn headers(message: &BorrowedMessage<'_>) -> (Headers, usize) {
    let Some(borrowed) = message.headers() else { return (Headers::default(), 0) };
    let mut read = Headers(Vec::with_capacity(borrowed.count()));
    let mut unreadable = 0;
    for index in 0..borrowed.count() {
        // The client library panics on a name that is no UTF-8; the record must survive it.
        match catch_unwind(AssertUnwindSafe(|| {
            let header = borrowed.get(index);
            Header { name: header.key.into(), value: header.value.map(Bytes::copy_from_slice) }
        })) {
            Ok(header) => read.0.push(header),
            Err(_) => unreadable += 1,
        }
    }
    (read, unreadable)
}

/// A partition given to an owner.
#[derive(Clone)]
pub struct Assigned {
    /// Which one.
    pub partition: Partition,
    /// The owner's epoch.
    pub epoch: Epoch,
    /// First offset to read.
    pub start: NextOffset,
    /// Where to read.
    pub source: Arc<dyn Source>,
    /// Where to publish what is finished.
    pub marks: Arc<Marks>,
}

/// Who owns the partitions of this process. Called on the consumer's thread; must not block.
pub trait Owners: Send + Sync + 'static {
    /// A partition is there to be read.
    fn assign(&self, assigned: Assigned);
    /// Finish what runs, publish it, and drop `done`.
    fn drain(&self, partition: Partition, epoch: Epoch, done: std::sync::mpsc::Sender<()>);
    /// The epoch is over: another process may own the partition already.
    fn end(&self, partition: Partition, epoch: Epoch);
    /// The log was read up to here, past control records.
    fn position(&self, partition: Partition, epoch: Epoch, position: NextOffset);
}
