//! The reader of the demo: takes every answer and dead letter down in the books.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

use super::broker::{DEAD_LETTERS, OUTPUT, PARTITIONS, client};
use super::load::{Books, number};
use super::models::rows;

const POLL: Duration = Duration::from_millis(50);

/// A running reader.
pub(super) struct Checker {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Checker {
    pub(super) fn start(bootstrap: &str, books: Books) -> io::Result<Self> {
        let mut config = client(bootstrap);
        config.set("group.id", "demo-checker").set("enable.auto.commit", "false").set("fetch.wait.max.ms", "5");
        let consumer: BaseConsumer = config.create().map_err(io::Error::other)?;
        let mut all = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            for topic in [OUTPUT, DEAD_LETTERS] {
                all.add_partition_offset(topic, partition, Offset::Beginning).map_err(io::Error::other)?;
            }
        }
        consumer.assign(&all).map_err(io::Error::other)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("demo-checker".to_owned()).spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if let Some(Ok(message)) = consumer.poll(POLL) {
                    take_down(&message, &books);
                }
            }
        })?;
        Ok(Self { stop, thread })
    }

    pub(super) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        // A panic in there was reported by the panic hook.
        self.thread.join().ok();
    }
}

fn take_down(message: &BorrowedMessage<'_>, books: &Books) {
    let now = Instant::now();
    let id = puid(message);
    if message.topic() == DEAD_LETTERS {
        books.lock().unwrap_or_else(PoisonError::into_inner).dead_lettered(id);
        return;
    }
    let value = message.payload().and_then(|body| serde_json::from_slice::<Value>(body).ok());
    let value = value.as_ref().and_then(rows).and_then(|rows| rows.first()?.first().copied());
    books.lock().unwrap_or_else(PoisonError::into_inner).answered(id, value, now);
}

fn puid(message: &BorrowedMessage<'_>) -> Option<u64> {
    let header = message.headers()?.iter().find(|header| header.key.eq_ignore_ascii_case("seldon-puid"))?;
    number(header.value?)
}
