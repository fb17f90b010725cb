//! Records and errors as the client library has them.

use bytes::Bytes;
use rdkafka::ClientConfig;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{BorrowedMessage, Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::producer::BaseRecord;
use rdkafka::util::IntoOpaque;

use crate::kafka::outcome::OutRecord;
use crate::record::{Header as Owned, Headers};

/// The client library's default of `batch.size`.
const BATCH_SIZE: u64 = 1_000_000;
/// What a batch takes beside its records.
const BATCH_OVERHEAD: u64 = 512;

/// True for an error that only says that this client is at its end.
pub(super) fn is_of_the_client(code: RDKafkaErrorCode) -> bool {
    matches!(code, RDKafkaErrorCode::Fatal | RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight)
}

/// An undelivered message as the record that it was.
pub(super) fn record(message: &BorrowedMessage<'_>) -> OutRecord {
    let mut headers = Headers::default();
    for header in message.headers().into_iter().flat_map(|headers| headers.iter()) {
        headers.0.push(Owned { name: header.key.into(), value: header.value.map(Bytes::copy_from_slice) });
    }
    OutRecord {
        topic: message.topic().into(),
        partition: Some(message.partition()).filter(|partition| *partition >= 0),
        key: message.key().map(Bytes::copy_from_slice),
        value: message.payload().map(Bytes::copy_from_slice),
        headers,
    }
}

/// True for an error that the same record will meet again whenever it is sent.
pub fn is_refusal(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{InvalidMessage, InvalidMessageSize, InvalidRecord, InvalidTimestamp, MessageSizeTooLarge};
    // A batch that is too large holds one record: see `Sink::batches_within`.
    matches!(code, MessageSizeTooLarge | InvalidMessage | InvalidMessageSize | InvalidRecord | InvalidTimestamp)
}

/// An outcome's record as the client library takes it.
pub(in crate::kafka) fn base_record<O: IntoOpaque>(record: &OutRecord, opaque: O) -> BaseRecord<'_, [u8], [u8], O> {
    let mut headers = OwnedHeaders::new_with_capacity(record.headers.0.len());
    for header in &record.headers.0 {
        headers = headers.insert(Header { key: &header.name, value: header.value.as_deref() });
    }
    let mut base = BaseRecord::with_opaque_to(&record.topic, opaque).headers(headers);
    base.partition = record.partition;
    base.key = record.key.as_deref();
    base.payload = record.value.as_deref();
    base
}

/// Lets no batch of several records be larger than `bytes`. False if none would be anyway.
pub(in crate::kafka) fn smaller_batches(config: &mut ClientConfig, bytes: u64) -> bool {
    let now = config.get("batch.size").and_then(|size| size.parse().ok()).unwrap_or(BATCH_SIZE);
    let within = bytes.saturating_sub(BATCH_OVERHEAD).max(1);
    if within < now {
        config.set("batch.size", within.to_string());
    }
    within < now
}
