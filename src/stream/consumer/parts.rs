//! What a ConsumerActor works with.

use std::sync::Arc;

use millrace_actors::ActorRef;

use crate::codec::{self, DecodeError};
use crate::config::settings::{Order, Protocol, Transport};
use crate::events::Events;
use crate::kafka::partition::Bounds;
use crate::kafka::permits::Permits;
use crate::kafka::transactor::Transactor;
use crate::record::{Message, Record};
use crate::stream::assignment::AssignmentActor;
use crate::stream::game_day::GameDay;
use crate::stream::producer::ProducerActor;
use crate::stream::router::RequestRouterActor;

/// What a ConsumerActor works with.
#[derive(Clone)]
pub struct Parts {
    /// Runs records through the graph.
    pub router: ActorRef<RequestRouterActor>,
    /// Writes outcomes.
    pub producer: ActorRef<ProducerActor>,
    /// Gives a partition a new epoch.
    pub assignment: ActorRef<AssignmentActor>,
    /// Room of the process.
    pub permits: Arc<Permits>,
    /// Protocol of the requests.
    pub protocol: Protocol,
    /// Encoding of a request that does not say one.
    pub transport: Transport,
    /// Records are feedback.
    pub feedback: bool,
    /// The transactions that outcomes are written in, if they are.
    pub transactor: Option<Arc<Transactor>>,
    /// Order of the outputs.
    pub order: Order,
    /// Bounds of the partition.
    pub bounds: Bounds,
    /// Where answers go.
    pub output_topic: Arc<str>,
    /// Where records without an answer go.
    pub dead_letter_topic: Arc<str>,
    /// Whether records may ask for crashes.
    pub game_day: GameDay,
    /// Largest request.
    pub request_bytes: usize,
    /// Where happenings are told.
    pub events: Events,
}

impl Parts {
    /// The request in a record.
    pub(super) fn decode(&self, record: &Record) -> Result<Message, DecodeError> {
        if self.feedback {
            let (headers, value) = (&record.headers, record.value.as_ref());
            return codec::decode_feedback(self.transport, headers, value, self.request_bytes);
        }
        codec::decode(self.protocol, self.transport, &record.headers, record.value.as_ref(), self.request_bytes)
    }
}
