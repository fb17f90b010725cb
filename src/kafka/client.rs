//! Settings of the three librdkafka clients: consumer, producer, admin.
//!
//! The user's own properties come last; those that the service owns were refused before. A `ClientConfig` holds secrets
//! and must never be printed, not even with Debug.

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;
use rdkafka::producer::BaseProducer;

use crate::config::settings::{Assignment, Delivery, Settings};

/// Largest response that one fetch may bring, unless a single batch is larger.
const FETCH_BYTES: usize = 8 << 20;
/// Records read ahead for one partition: what a fetch more brings in time at any rate that one partition has.
const AHEAD: usize = 500;
/// Outcomes that the producer holds at least: the windows of a hundred partitions.
const OUTCOMES: usize = 200_000;
/// Frames up to this are always taken: librdkafka's own default.
const SMALLEST_FRAME_LIMIT: usize = 100_000_000;
/// Most that librdkafka takes as `message.max.bytes`, and as much as it can be sure to take as a frame.
const LARGEST: usize = 1_000_000_000;

/// Settings of the consumer.
pub fn consumer_config(settings: &Settings) -> ClientConfig {
    let (kafka, limits) = (&settings.kafka, &settings.limits);
    let prefetch = limits.prefetch_bytes;
    let mut config = common(settings);
    set(
        &mut config,
        &[
            ("group.id", kafka.group_id.as_str()),
            // Commits are ours alone: only what is finished, only from the partition's owner.
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            // A position outside the log comes to us as an error, and our policy decides where to go on.
            ("auto.offset.reset", "error"),
            // At the end of an idle partition the position past control records is committed, so that lag reaches 0.
            ("enable.partition.eof", "true"),
            // Requests of aborted transactions are no requests.
            ("isolation.level", "read_committed"),
            ("group.protocol", "classic"),
            ("partition.assignment.strategy", strategy(kafka.assignment)),
            // A missing input topic is an error to show, not a topic to make with one partition.
            ("allow.auto.create.topics", "false"),
            // A partition whose queue was full would otherwise rest for a second after it has room again.
            ("fetch.queue.backoff.ms", "5"),
            // A fetch that waits for an idle partition holds up those of the same broker that have room again.
            ("fetch.wait.max.ms", "100"),
            // The lag in the metrics comes from the statistics.
            ("statistics.interval.ms", "5000"),
        ],
    );
    // Both count per partition, as each has a queue of its own; whichever is reached first ends the reading ahead.
    config.set("queued.min.messages", limits.window.min(AHEAD).to_string());
    config.set("queued.max.messages.kbytes", kibibytes(prefetch).to_string());
    // Every record that is held pins the response it came in. A first batch larger than this still comes whole.
    config.set("fetch.max.bytes", FETCH_BYTES.min(prefetch.max(1 << 20)).to_string());
    // What one response brings comes on top of that, and small records take some times their bytes in the library.
    config.set("max.partition.fetch.bytes", (prefetch / 16).clamp(64 << 10, 1 << 20).to_string());
    // Below fetch.max.bytes, or librdkafka raises that. It limits nothing that is read.
    config.set("message.max.bytes", "1000000");
    // A batch that the topic took but that is larger than a frame may be would stop its partition for good.
    config.set("receive.message.max.bytes", frame_limit(limits.request_bytes).to_string());
    config.extend(kafka.consumer_properties.clone());
    config
}

/// Settings of the producer.
pub fn producer_config(settings: &Settings) -> ClientConfig {
    // What goes together is handed over together, by `sink`. Any time more would be a whole millisecond or two for each record.
    producer(settings, "0")
}

/// Settings of a producer whose records wait so many milliseconds for others.
fn producer(settings: &Settings, linger: &str) -> ClientConfig {
    let (kafka, limits) = (&settings.kafka, &settings.limits);
    let mut config = common(settings);
    set(
        &mut config,
        &[
            // An output is written once and in order even if its acknowledgement is lost on the way.
            ("enable.idempotence", "true"),
            ("acks", "all"),
            // A record that timed out and is sent again after a later one would break the order.
            ("message.timeout.ms", "0"),
            // Outputs of a key go where the Java client would put them.
            ("partitioner", "murmur2_random"),
            ("linger.ms", linger),
        ],
    );
    // What is too large is for the topic to say, by its own max.message.bytes. `batch.size` bounds a batch of several.
    config.set("message.max.bytes", LARGEST.to_string());
    // Room for the outcome of every record that runs, and of those that do no longer and are not stored yet; the bounds that
    // count are those of bytes, and of each partition's window.
    let most = (limits.in_flight_records * 2).clamp(OUTCOMES, 10_000_000);
    config.set("queue.buffering.max.messages", most.to_string());
    config.set("queue.buffering.max.kbytes", kibibytes(producer_bytes(settings)).to_string());
    config.extend(kafka.producer_properties.clone());
    config
}

/// Settings of the producer of transactions.
pub fn transaction_config(settings: &Settings) -> ClientConfig {
    let (kafka, timeout) = (&settings.kafka, settings.kafka.transaction.timeout.as_millis().to_string());
    // Outcomes are handed over as they come. Batches cost the broker a tenth of single records, and while an acknowledgement
    // takes longer than this, the client library waits for it without sleeping.
    let mut config = producer(settings, "5");
    config.set("transactional.id", format!("{}.{}", kafka.group_id, kafka.transaction.instance));
    config.set("transaction.timeout.ms", &timeout);
    // What is not delivered by then is not part of the transaction, which is aborted and written again in order.
    config.set("message.timeout.ms", &timeout);
    config
}

/// Settings of a consumer that reads topics from end to end beside the group, without joining it or committing.
pub fn browsing_config(settings: &Settings) -> ClientConfig {
    let mut config = consumer_config(settings);
    // The first offset may be removed between the question for it and the reading.
    config.set("auto.offset.reset", "earliest");
    config.set("statistics.interval.ms", "0");
    config
}

/// Settings of the producer of replays. One id for all of a group: a second replay ends the first.
pub fn replay_config(settings: &Settings) -> ClientConfig {
    let mut config = transaction_config(settings);
    config.set("transactional.id", format!("{}.dlq-replay", settings.kafka.group_id));
    config
}

/// Settings of a client that asks for topics and makes them.
pub fn admin_config(settings: &Settings) -> ClientConfig {
    common(settings)
}

/// Most bytes of outcomes that wait in the producer.
pub fn producer_bytes(settings: &Settings) -> usize {
    let limits = &settings.limits;
    // Two of the largest records fit, or a single one could find no room for ever.
    limits.in_flight_bytes.max(2 * limits.request_bytes.max(limits.reply_bytes))
}

/// Most bytes that reading ahead holds for one partition: its queue, and the response that made it full.
pub fn prefetch_bytes_per_partition(settings: &Settings) -> usize {
    let prefetch = settings.limits.prefetch_bytes;
    prefetch + FETCH_BYTES.min(prefetch.max(1 << 20))
}

/// Makes the clients without connecting them: what librdkafka would refuse, it refuses here. Reads the certificates.
pub fn verify(settings: &Settings) -> Vec<String> {
    let disconnected = |mut config: ClientConfig| {
        config.remove("bootstrap.servers");
        config.set_log_level(RDKafkaLogLevel::Emerg);
        config
    };
    let consumer = disconnected(consumer_config(settings)).create::<BaseConsumer>().err();
    let producer = match settings.delivery {
        Delivery::AtLeastOnce => producer_config(settings),
        Delivery::ExactlyOnce => transaction_config(settings),
    };
    let producer = disconnected(producer).create::<BaseProducer>().err();
    let mut problems: Vec<String> = Vec::new();
    for (name, error) in [("consumer", consumer), ("producer", producer)] {
        if let Some(error) = error {
            let text = refusal(&error);
            // OpenSSL does not say which of both it is.
            let hint = if text.starts_with("ssl.key.") { " (no key, or not the password of it)" } else { "" };
            let text = format!("{text}{hint}");
            // Both clients have the same connections: one word on those is enough.
            if !problems.iter().any(|known| known.ends_with(&text)) {
                problems.push(format!("the {name}'s settings: {text}"));
            }
        }
    }
    problems
}

/// What librdkafka says. Its Rust wrapper's own text would quote the value, which may be a secret.
fn refusal(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(_, _, key, _) if key.starts_with("ssl.") || key.starts_with("sasl.") => {
            format!("{key} is refused")
        }
        KafkaError::ClientConfig(_, problem, ..) | KafkaError::ClientCreation(problem) => problem.trim().to_owned(),
        error => error.to_string(),
    }
}

fn common(settings: &Settings) -> ClientConfig {
    let kafka = &settings.kafka;
    let mut config = ClientConfig::new();
    set(
        &mut config,
        &[
            ("bootstrap.servers", kafka.brokers.as_str()),
            ("client.id", kafka.client_id.as_str()),
            // A connection that a firewall forgot is seen before the next request waits for it.
            ("socket.keepalive.enable", "true"),
            // After an outage, at most this long until the next try.
            ("reconnect.backoff.ms", "100"),
            ("reconnect.backoff.max.ms", "5000"),
        ],
    );
    for (name, value) in &kafka.security {
        config.set(name, value.expose());
    }
    config.set_log_level(match settings.log.level {
        slog::Level::Trace | slog::Level::Debug => RDKafkaLogLevel::Debug,
        slog::Level::Info => RDKafkaLogLevel::Info,
        slog::Level::Warning => RDKafkaLogLevel::Warning,
        slog::Level::Error | slog::Level::Critical => RDKafkaLogLevel::Error,
    });
    config
}

fn set(config: &mut ClientConfig, properties: &[(&str, &str)]) {
    for (name, value) in properties {
        config.set(*name, *value);
    }
}

fn strategy(assignment: Assignment) -> &'static str {
    match assignment {
        Assignment::CooperativeSticky => "cooperative-sticky",
        Assignment::Range => "range",
    }
}

fn kibibytes(bytes: usize) -> usize {
    bytes.div_ceil(1024).clamp(1, 2_097_151)
}

fn frame_limit(request_bytes: usize) -> usize {
    (2 * request_bytes + (1 << 20)).clamp(SMALLEST_FRAME_LIMIT, LARGEST)
}

#[cfg(test)]
mod tests;
