//! What is measured beside the service: the client library alone, and a loop written by hand.

pub(crate) mod copy;
mod grpc;
mod http;
pub(crate) mod plain;

use clap::Args;
use rdkafka::ClientConfig;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;

use rdkafka::error::KafkaError;

use crate::kafka::client;
use crate::{Result, process};

/// Where records come from and go to.
#[derive(Args)]
pub(crate) struct Ends {
    #[arg(long)]
    brokers: String,
    #[arg(long)]
    group: String,
    #[arg(long)]
    input: String,
    #[arg(long)]
    output: String,
    /// Milliseconds that the producer waits for more records
    #[arg(long, default_value_t = 5)]
    linger: u32,
}

impl Ends {
    /// A consumer that commits by itself.
    fn consumer(&self) -> ClientConfig {
        let mut config = client(&self.brokers);
        config.set("group.id", &self.group).set("auto.offset.reset", "earliest");
        // Its default lets a partition whose queue was full once stand still for a second.
        config.set("fetch.queue.backoff.ms", "10");
        config
    }

    fn producer(&self) -> Result<ThreadedProducer<DefaultProducerContext>> {
        let mut config = client(&self.brokers);
        config.set("acks", "all").set("linger.ms", self.linger.to_string()).set("partitioner", "murmur2_random");
        Ok(config.create()?)
    }
}

/// Hands an answer to the client library, under the key and with the headers of its request. Waits while there is no room.
fn produce(
    producer: &ThreadedProducer<DefaultProducerContext>,
    topic: &str,
    request: &BorrowedMessage<'_>,
    answer: &[u8],
) -> Result<()> {
    let mut record = BaseRecord::<[u8], [u8]>::to(topic).payload(answer);
    if let Some(key) = request.key() {
        record = record.key(key);
    }
    if let Some(headers) = request.headers() {
        record = record.headers(headers.detach());
    }
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                record = back;
                process::pause(std::time::Duration::from_millis(1));
            }
            Err((error, _)) => return Err(error.into()),
        }
    }
}
