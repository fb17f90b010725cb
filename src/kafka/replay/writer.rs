//! Replayed records and their markers in transactions: either both are there for readers of committed records, or neither.
//!
//! All replays of a group have one transactional id. Whoever begins ends what another has begun, so that no letter is
//! replayed by two; and whatever a process that died had committed is seen by all once [`ReplayWriter::open`] returns.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};

use crate::kafka::outcome::OutRecord;
use crate::kafka::sink::{base_record, is_refusal, smaller_batches};
use crate::kafka::transaction_call::{self, Broken, is_fence};

/// One call; it is repeated while the client library says that it may be.
const CALL: Duration = Duration::from_secs(1);
/// An earlier transaction is over by then: the brokers end it after its timeout, which they look for from time to time.
const OPEN: Duration = Duration::from_mins(2);
/// Then the client is given up.
const GIVE_UP: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(20);

/// Why records were not written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The broker refuses these for good: numbers in the list that was given, and why. The transaction was aborted.
    #[error("the broker refuses {} of the records", .0.len())]
    Refused(Vec<(usize, RDKafkaErrorCode)>),
    /// The transaction was aborted; nothing of it is seen.
    #[error("the transaction was aborted: {0}")]
    Aborted(String),
    /// Another replay of the group has begun.
    #[error("another replay of this group has begun and ended this one")]
    Fenced,
    /// The brokers did not answer before anything was written.
    #[error("no transaction can be begun: {0}")]
    Unavailable(String),
    /// Whether the last transaction was committed is not known.
    #[error("the end of the last transaction is unknown: {0}")]
    Unknown(String),
}

type Troubles = Arc<Mutex<Vec<(usize, RDKafkaErrorCode)>>>;

struct Context {
    troubles: Troubles,
}

impl ClientContext for Context {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}
    fn error(&self, _: KafkaError, _: &str) {}
}

impl ProducerContext for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        if let Err((error, _)) = result {
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
            self.troubles.lock().unwrap_or_else(PoisonError::into_inner).push((number, code));
        }
    }
}

/// The transactional client of a replay.
pub struct ReplayWriter {
    client: BaseProducer<Context>,
    troubles: Troubles,
}

impl ReplayWriter {
    /// Makes the client, ends the transactions of earlier ones and waits until their end is seen. No batch of several
    /// records is larger than `batch_bytes`.
    pub fn open(mut config: ClientConfig, batch_bytes: Option<u64>) -> Result<Self, Error> {
        if let Some(bytes) = batch_bytes {
            smaller_batches(&mut config, bytes);
        }
        let troubles = Troubles::default();
        let client: BaseProducer<Context> = config
            .create_with_context(Context { troubles: troubles.clone() })
            .map_err(|error| Error::Unavailable(error.to_string()))?;
        let writer = Self { client, troubles };
        let opened = writer.call(OPEN, |client| client.init_transactions(CALL * 5));
        opened.map_err(|error| match error {
            Error::Fenced => Error::Fenced,
            other => Error::Unavailable(other.to_string()),
        })?;
        Ok(writer)
    }

    /// Writes these in one transaction: a replayed record and its marker, each pair with the number of its place here.
    pub fn write(&self, pairs: &[(OutRecord, OutRecord)]) -> Result<(), Error> {
        self.client.begin_transaction().map_err(|error| failure(&error))?;
        let sent = self.send(pairs).and_then(|()| self.call(GIVE_UP, |client| client.commit_transaction(CALL)));
        let Err(error) = sent else { return Ok(()) };
        if matches!(error, Error::Fenced | Error::Unknown(_)) {
            return Err(error);
        }
        self.call(GIVE_UP, |client| client.abort_transaction(CALL))?;
        while self.client.in_flight_count() > 0 {
            self.client.poll(POLL);
        }
        let mut refused = self.take_troubles();
        refused.retain(|(_, code)| is_refusal(*code));
        refused.sort_unstable_by_key(|(number, _)| *number);
        refused.dedup_by_key(|(number, _)| *number);
        if refused.is_empty() { Err(error) } else { Err(Error::Refused(refused)) }
    }

    fn send(&self, pairs: &[(OutRecord, OutRecord)]) -> Result<(), Error> {
        let deadline = Instant::now() + GIVE_UP;
        for (number, (record, marker)) in pairs.iter().enumerate() {
            for out in [record, marker] {
                let mut base = base_record(out, number);
                while let Err((error, back)) = self.client.send(base) {
                    let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
                    if code != RDKafkaErrorCode::QueueFull || Instant::now() >= deadline {
                        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).push((number, code));
                        return Err(self.fatal().unwrap_or_else(|| Error::Aborted(error.to_string())));
                    }
                    self.client.poll(POLL);
                    base = back;
                }
            }
        }
        // What is not delivered makes the commit fail; seen before, it need not be tried.
        let flushed = self.call(GIVE_UP, |client| client.flush(CALL));
        match self.troubles.lock().unwrap_or_else(PoisonError::into_inner).first() {
            None => flushed,
            Some((_, code)) => {
                Err(self.fatal().unwrap_or_else(|| Error::Aborted(format!("a record was not delivered: {code}"))))
            }
        }
    }

    fn fatal(&self) -> Option<Error> {
        let (code, text) = self.client.client().fatal_error()?;
        Some(if is_fence(code) { Error::Fenced } else { Error::Unknown(text) })
    }

    fn take_troubles(&self) -> Vec<(usize, RDKafkaErrorCode)> {
        std::mem::take(&mut self.troubles.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes a call until it has an end.
    fn call(&self, limit: Duration, make: impl Fn(&BaseProducer<Context>) -> KafkaResult<()>) -> Result<(), Error> {
        transaction_call::call(&self.client, limit, || (), make).map_err(|broken| match (self.fatal(), broken) {
            (Some(error), _) => error,
            (None, Broken::Abort(error)) => Error::Aborted(error.to_string()),
            (None, Broken::Lost(error)) => failure(&error),
        })
    }
}

fn failure(error: &KafkaError) -> Error {
    match error {
        KafkaError::Transaction(inner) if is_fence(inner.code()) => Error::Fenced,
        _ => Error::Unknown(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::error::KafkaResult;
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::DefaultProducerContext;

    use super::*;
    use crate::record::Headers;

    fn out(topic: &str, value: &str) -> OutRecord {
        OutRecord {
            topic: topic.into(),
            partition: Some(0),
            key: Some("k".into()),
            value: Some(value.to_owned().into()),
            headers: Headers::default(),
        }
    }

    fn cluster() -> KafkaResult<(MockCluster<'static, DefaultProducerContext>, ClientConfig)> {
        let cluster = MockCluster::new(1)?;
        cluster.create_topic("in", 1, 1)?;
        cluster.create_topic("marks", 1, 1)?;
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", cluster.bootstrap_servers());
        config.set("transactional.id", "group.dlq-replay").set("partitioner", "murmur2_random");
        Ok((cluster, config))
    }

    #[test]
    fn a_record_that_is_too_large_is_named_and_the_others_can_be_written() {
        let (_cluster, mut config) = cluster().unwrap();
        config.set("message.max.bytes", "2000");
        let writer = ReplayWriter::open(config, None).unwrap();
        let pairs = [(out("in", "a"), out("marks", "{}")), (out("in", &"x".repeat(5000)), out("marks", "{}"))];
        match writer.write(&pairs).unwrap_err() {
            Error::Refused(which) => assert_eq!(which, [(1, RDKafkaErrorCode::MessageSizeTooLarge)]),
            error => panic!("{error}"),
        }
        writer.write(&pairs[..1]).unwrap();
    }
}
