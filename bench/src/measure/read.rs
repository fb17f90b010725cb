//! Reads the answers of a run back from its topic when all is over, so that reading takes no time of what is measured,
//! and holds them against the requests.

use std::collections::BTreeSet;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};

use crate::Result;
use crate::cells::{Cell, Subject};
use crate::check::{Check, Verdict};
use crate::format::{self, Format, PUID};
use crate::kafka::{PATIENCE, Topics, client};
use crate::load::key_of;

/// Reads a topic from its beginning to its end.
pub(super) struct Reader {
    consumer: BaseConsumer,
    partitions: i32,
}

impl Reader {
    pub(super) fn new(topics: &Topics<'_>, topic: &str, partitions: i32, committed_only: bool) -> Result<Self> {
        let isolation = if committed_only { "read_committed" } else { "read_uncommitted" };
        let consumer: BaseConsumer = client(topics.bootstrap())
            .set("group.id", "millrace-bench")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", isolation)
            .set("fetch.queue.backoff.ms", "10")
            .create()?;
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition_offset(topic, partition, rdkafka::Offset::Beginning)?;
        }
        consumer.assign(&list)?;
        Ok(Self { consumer, partitions })
    }

    /// Every record up to the end of each partition.
    pub(super) fn each(&self, mut take: impl FnMut(&BorrowedMessage<'_>)) -> Result<()> {
        let mut ended = BTreeSet::new();
        while ended.len() < self.partitions as usize {
            match self.consumer.poll(PATIENCE) {
                Some(Ok(message)) => take(&message),
                Some(Err(KafkaError::PartitionEOF(partition))) => drop(ended.insert(partition)),
                Some(Err(error)) => return Err(error.into()),
                None => return Err("the answers cannot be read".into()),
            }
        }
        Ok(())
    }

    /// The next record, if one comes in time.
    pub(super) fn next(&self, within: std::time::Duration) -> Option<BorrowedMessage<'_>> {
        self.consumer.poll(within)?.ok()
    }
}

/// The record that an answer belongs to; nothing if it is the answer to none, or a wrong one.
pub(super) fn seq_of(format: Format, message: &BorrowedMessage<'_>) -> Option<u64> {
    let headers = message.headers()?;
    let puid = headers.iter().find(|header| header.key.eq_ignore_ascii_case(PUID))?.value?;
    let seq = format::seq_of(puid)?;
    format::answers(format, message.payload()?, seq).then_some(seq)
}

/// The number of a message's key.
pub(super) fn key(message: &BorrowedMessage<'_>) -> u32 {
    message.key().and_then(key_of).unwrap_or_default()
}

/// Holds all answers against `records` requests. Also the times at which those to requests from `counted` on were stored.
pub(super) fn answers(
    topics: &Topics<'_>,
    cell: &Cell,
    subject: &Subject,
    records: u64,
    counted: u64,
) -> Result<(Verdict, Vec<i64>)> {
    let (mut check, mut times) = (Check::new(records), Vec::new());
    // A copy answers with the request.
    let format = if subject.program == crate::cells::Program::Copy { Format::SeldonRest } else { cell.format };
    Reader::new(topics, &topics.output, topics.partitions, subject.exactly_once)?.each(|message| {
        let seq = seq_of(format, message);
        if check.answer(key(message), seq)
            && let (Some(time), Some(seq)) = (message.timestamp().to_millis(), seq)
            && seq >= counted
        {
            times.push(time);
        }
    })?;
    Ok((check.verdict(), times))
}

/// Why the first dead letter is one.
pub(super) fn dead_letter(topics: &Topics<'_>) -> Result<Option<String>> {
    let mut why = None;
    Reader::new(topics, &topics.dead, 1, false)?.each(|message| {
        let header = message.headers().and_then(|headers| headers.iter().find(|h| h.key == "millrace-error-message"));
        let text = header.and_then(|header| header.value).unwrap_or(b"no reason given");
        why.get_or_insert_with(|| String::from_utf8_lossy(text).into_owned());
    })?;
    Ok(why)
}
