//! Copies records from one topic to another: what the client library alone can do on this machine.

use std::time::Duration;

use clap::Args;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;

use super::{Ends, produce};
use crate::Result;

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    ends: Ends,
}

/// Copies until it is killed.
pub(crate) fn run(options: &Options) -> Result<()> {
    let consumer: BaseConsumer = options.ends.consumer().create()?;
    consumer.subscribe(&[&options.ends.input])?;
    let producer = options.ends.producer()?;
    loop {
        if let Some(message) = consumer.poll(Duration::from_secs(1)) {
            let message = message?;
            produce(&producer, &options.ends.output, &message, message.payload().unwrap_or_default())?;
        }
    }
}
