//! A blocking call of a transactional client: repeated for a bounded time while the client library says that it may be, and
//! what its end means. Whatever goes wrong is one of two: the transaction has to be aborted, or the client is of no more use
//! and the end of its transaction unknown.

use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, ProducerContext};

/// Between two calls; the client library may be waiting for somebody to hear of undelivered records.
const PAUSE: Duration = Duration::from_millis(10);

/// Why a call did not do what it was to do.
#[derive(Debug)]
pub(super) enum Broken {
    /// The transaction has to be aborted.
    Abort(KafkaError),
    /// The client is of no more use.
    Lost(KafkaError),
}

impl Broken {
    /// What the client library said.
    pub(super) fn error(&self) -> &KafkaError {
        match self {
            Self::Abort(error) | Self::Lost(error) => error,
        }
    }
}

/// Makes a call until it has an end. `alive` is called before each.
pub(super) fn call<C: ProducerContext>(
    client: &BaseProducer<C>,
    limit: Duration,
    alive: impl Fn(),
    make: impl Fn(&BaseProducer<C>) -> KafkaResult<()>,
) -> Result<(), Broken> {
    let deadline = Instant::now() + limit;
    loop {
        alive();
        let Err(error) = make(client) else { return Ok(()) };
        match meaning(&error) {
            Meaning::Repeat if Instant::now() < deadline => client.poll(PAUSE),
            Meaning::Abort => return Err(Broken::Abort(error)),
            Meaning::Repeat | Meaning::Lost => return Err(Broken::Lost(error)),
        }
    }
}

/// Whether another client has taken this one's place.
pub(super) fn is_fence(code: RDKafkaErrorCode) -> bool {
    // The client library's own word for it, and the brokers' words of both generations.
    matches!(code, RDKafkaErrorCode::Fenced | RDKafkaErrorCode::ProducerFenced | RDKafkaErrorCode::InvalidProducerEpoch)
}

enum Meaning {
    Repeat,
    Abort,
    Lost,
}

fn meaning(error: &KafkaError) -> Meaning {
    match error {
        KafkaError::Transaction(error) if error.is_fatal() => Meaning::Lost,
        KafkaError::Transaction(error) if error.txn_requires_abort() => Meaning::Abort,
        KafkaError::Transaction(error) if error.is_retriable() => Meaning::Repeat,
        KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut) => Meaning::Repeat,
        _ => Meaning::Lost,
    }
}
