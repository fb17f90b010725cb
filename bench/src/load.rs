//! Writing requests: a backlog as fast as the broker takes it, or a steady stream at its times.

use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

use crate::format::{Bodies, Format, PUID, puid};
use crate::kafka::{Topics, client};
use crate::keys::{Chooser, Keys};
use crate::{Result, process};

/// How long a whole backlog may take to be stored.
const STORED: Duration = Duration::from_mins(5);

/// The requests of one run, numbered from 0.
pub(crate) struct Load {
    producer: ThreadedProducer<DefaultProducerContext>,
    topic: String,
    format: Format,
    bodies: Bodies,
    keys: Chooser,
    sent: u64,
}

impl Load {
    pub(crate) fn new(topics: &Topics<'_>, format: Format, keys: Keys, linger_ms: u32) -> Result<Self> {
        let producer = client(topics.bootstrap())
            .set("linger.ms", linger_ms.to_string())
            .set("partitioner", "murmur2_random")
            .set("enable.idempotence", "true")
            .set("queue.buffering.max.kbytes", "262144")
            .create()?;
        let topic = topics.input.clone();
        Ok(Self { producer, topic, format, bodies: format.bodies(), keys: Chooser::new(keys), sent: 0 })
    }

    /// Writes so many more and returns when all of them are stored.
    pub(crate) fn backlog(&mut self, records: u64) -> Result<()> {
        (0..records).try_for_each(|_| self.one())?;
        Ok(self.producer.flush(STORED)?)
    }

    /// Writes the next one.
    fn one(&mut self) -> Result<()> {
        let seq = self.sent;
        let (key, puid) = (key_text(self.keys.key(seq)), puid(seq));
        let mut headers = OwnedHeaders::new().insert(Header { key: PUID, value: Some(&puid) });
        if let Some(name) = self.format.proto_name() {
            headers = headers.insert(Header { key: "proto-name", value: Some(name) });
        }
        let body = self.bodies.body(seq);
        let mut record = BaseRecord::to(&self.topic).key(&key).payload(body).headers(headers);
        loop {
            match self.producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    process::pause(Duration::from_millis(1));
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
        self.sent += 1;
        Ok(())
    }

    /// Writes so many at so many a second. `begun` tells when the first was due: number n of them was due n intervals later,
    /// whether or not the broker was quick enough then.
    pub(crate) fn steady(&mut self, records: u64, per_second: u64, begun: Instant) -> Result<()> {
        for number in 0..records {
            let due = begun + Duration::from_nanos(number * 1_000_000_000 / per_second);
            process::pause(due.saturating_duration_since(Instant::now()));
            self.one()?;
        }
        Ok(self.producer.flush(STORED)?)
    }
}

fn key_text(key: u32) -> String {
    format!("k{key:07}")
}

/// The key that a record's key text names.
pub(crate) fn key_of(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok()?.strip_prefix('k')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_names_its_key() {
        assert_eq!(key_of(key_text(12).as_bytes()), Some(12));
        assert_eq!(key_of(b"12"), None);
    }
}
