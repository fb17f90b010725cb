//! ModelClientActor: runs calls to one endpoint, many at a time, and asks for its readiness.
//!
//! It decides nothing: what a failure means, and whether and when to call again, is the router's. A call that dies with this
//! actor tells the router so by its guard, and how it was held.

use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use millrace_actors::{Actor, ActorRef, Ctx, Failure as Ended, ItemId, Receive};
use slab::Slab;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tonic::Code;

use super::blame::Blame;
use super::game_day::{self, Kind, Manner};
use super::journey::Target;
use super::router::RequestRouterActor;
use crate::config::settings::{Node, Protocol, Transport};
use crate::events::{CallOutcome, NodeMetrics};
use crate::kafka::suspects::Loss;
use crate::model::call::{CallRequest, Reply};
use crate::model::client::{Bounds, Client};
use crate::model::error::CallError;
use crate::model::health::EndpointStats;

mod merged;

pub use merged::{Merged, MergedCalled, MergedEnd, MergedGuard, MergedMember};

/// A request under way in the router, in one attempt of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallId {
    /// The request, numbered by the router.
    pub flight: u64,
    /// Calls of it so far.
    pub call: u32,
}

/// One attempt to be made.
pub struct Call {
    /// Takes the result back, whatever happens.
    pub guard: CallGuard,
    /// The record, as an item at hand.
    pub item: ItemId,
    /// What to send.
    pub request: CallRequest,
    /// The crash that the record asks for.
    pub crash: Option<Manner>,
    /// Ends when nobody waits for the call any more.
    pub stopped: oneshot::Receiver<()>,
}

/// Takes the result of a call to the router; dropped without one, it says that the call was lost.
pub struct CallGuard {
    id: CallId,
    router: Option<ActorRef<RequestRouterActor>>,
}

impl CallGuard {
    /// A guard for a call of this router.
    pub fn new(id: CallId, router: ActorRef<RequestRouterActor>) -> Self {
        Self { id, router: Some(router) }
    }

    fn end(&mut self, end: End) {
        if let Some(router) = self.router.take() {
            drop(router.tell(Called { id: self.id, end }));
        }
    }

    fn done(mut self, result: Result<Reply, CallError>) {
        self.end(End::Result(result));
    }

    fn lost(mut self, loss: Loss) {
        self.end(End::Lost(loss));
    }

    /// Nobody waits for the call, as its caller knows.
    pub fn disarm(mut self) {
        self.router = None;
    }
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        self.end(End::Lost(Loss::Innocent));
    }
}

/// The end of a call.
pub struct Called {
    /// Which call.
    pub id: CallId,
    /// What came of it.
    pub end: End,
}

/// What came of a call.
pub enum End {
    /// A reply, or why there is none.
    Result(Result<Reply, CallError>),
    /// It was lost with its client, which held it so.
    Lost(Loss),
}

/// Ask the endpoint whether it is ready.
pub struct Probe;

/// What it said.
pub struct Probed {
    /// Which endpoint.
    pub target: Target,
    /// Ready, or why not.
    pub result: Result<(), CallError>,
}

/// What a ModelClientActor works with.
#[derive(Clone)]
pub struct Parts {
    /// Number of the endpoint.
    pub target: Target,
    /// Settings of the node.
    pub node: Node,
    /// How it is called here.
    pub transport: Transport,
    /// Protocol of its calls.
    pub protocol: Protocol,
    /// Largest messages.
    pub bounds: Bounds,
    /// Who asks.
    pub router: ActorRef<RequestRouterActor>,
    /// What all clients of the endpoint know together.
    pub stats: Arc<EndpointStats>,
    /// What is counted.
    pub metrics: NodeMetrics,
    /// Start of the time that all clients of the endpoint go by.
    pub began: Instant,
}

/// The actor.
pub struct ModelClientActor {
    parts: Parts,
    client: Option<Rc<Client>>,
    /// Calls that run. Not held by their futures: what a panic says of them is known only after these are gone.
    running: Slab<(ItemId, CallGuard)>,
    /// The same of calls with several records.
    merged: HashMap<u64, merged::Held>,
    calls: u64,
}

impl ModelClientActor {
    /// An actor whose client is made when its life starts, on its own thread.
    pub fn new(parts: Parts) -> Self {
        Self { parts, client: None, running: Slab::new(), merged: HashMap::new(), calls: 0 }
    }

    fn ended(&self, result: &Result<Reply, CallError>, begun: Instant) {
        self.count(result, begun.elapsed());
        if result.as_ref().map_or_else(CallError::is_answer, |_| true) {
            self.parts.stats.answered(self.parts.began.elapsed());
        }
    }

    fn count(&self, result: &Result<Reply, CallError>, took: Duration) {
        let outcome = match result {
            Ok(_) => CallOutcome::Answered,
            Err(CallError::Timeout(_) | CallError::Grpc { code: Code::DeadlineExceeded, .. }) => CallOutcome::Timeout,
            Err(CallError::ReplyTooLarge { .. }) => CallOutcome::TooLarge,
            Err(CallError::BadReply(_)) => CallOutcome::BadReply,
            Err(
                CallError::Refused(_)
                | CallError::ConnectTimeout(_)
                | CallError::Reset(_)
                | CallError::Down
                | CallError::Status { code: 503, .. }
                | CallError::Grpc { code: Code::Unavailable, .. },
            ) => CallOutcome::Unavailable,
            Err(CallError::Status { .. } | CallError::Grpc { .. } | CallError::Unsupported(_)) => {
                CallOutcome::ModelError
            }
        };
        let code = match (result, self.parts.transport) {
            (Ok(_), Transport::Rest) => Some(Cow::Borrowed("200")),
            (Ok(_), Transport::Grpc) => Some(Cow::Borrowed("OK")),
            // As the predecessor's client library prints it.
            (Err(CallError::Grpc { code, .. }), _) => Some(Cow::Owned(format!("{code:?}"))),
            (Err(error), _) => error.status(),
        };
        self.parts.metrics.call(outcome, code.as_deref(), took);
    }
}

impl Actor for ModelClientActor {
    fn started(&mut self, ctx: &mut Ctx<'_, Self>) {
        let parts = &self.parts;
        match Client::new(parts.protocol, &parts.node, parts.transport, parts.bounds) {
            Ok(client) => self.client = Some(Rc::new(client)),
            Err(error) => ctx.fail(error.to_string()),
        }
    }

    fn restarting(&mut self, why: &Ended) {
        self.client = None;
        let running = std::mem::take(&mut self.running);
        let merged = std::mem::take(&mut self.merged);
        let items = merged.values().flat_map(|held| held.items.iter().copied());
        let blame = Blame::new(why, running.iter().map(|(_, (item, _))| *item).chain(items));
        for held in merged.into_values() {
            held.lost(&blame);
        }
        for (_, (item, guard)) in running {
            guard.lost(blame.loss(item));
        }
    }

    fn observe(&self) -> serde_json::Value {
        serde_json::json!({
            "node": self.parts.node.name,
            "transport": self.parts.transport.to_string(),
            "endpoint": self.parts.node.endpoint(self.parts.transport).map(ToString::to_string),
            "running": self.running.len() + self.merged.len(),
        })
    }
}

impl Receive<Call> for ModelClientActor {
    fn receive(&mut self, call: Call, ctx: &mut Ctx<'_, Self>) {
        let Some(client) = self.client.clone() else { return };
        ctx.at_hand(call.item);
        // The place in the mailbox is held for the whole call: it is the bound of calls that run.
        let place = ctx.take_permit();
        let (request, stopped) = (call.request, call.stopped);
        let number = self.running.insert((call.item, call.guard));
        match call.crash {
            None => {}
            Some(Manner::AtHand) => game_day::crash(Kind::Model),
            Some(Manner::Unseen) => {
                // Held until then: no answer may come first.
                ctx.later(Duration::ZERO, |_, _| game_day::crash(Kind::Model));
                return;
            }
        }
        let begun = Instant::now();
        ctx.spawn(
            async move {
                // A call that nobody waits for is dropped, which closes its connection or stream.
                let result = tokio::select! {
                    result = client.call(request) => Some(result),
                    _ = stopped => None,
                };
                (result, place)
            },
            move |actor, (result, place), _| {
                drop(place);
                let Some((_, guard)) = actor.running.try_remove(number) else { return };
                let Some(result) = result else { return guard.disarm() };
                actor.ended(&result, begun);
                guard.done(result);
            },
        );
    }
}

impl Receive<Probe> for ModelClientActor {
    fn receive(&mut self, _: Probe, ctx: &mut Ctx<'_, Self>) {
        let Some(client) = self.client.clone() else { return };
        ctx.spawn(async move { client.probe().await }, |actor, result, _| {
            drop(actor.parts.router.tell(Probed { target: actor.parts.target, result }));
        });
    }
}
