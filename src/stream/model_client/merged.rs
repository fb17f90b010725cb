//! Calls with several records: their requests are merged, and the reply is split into theirs.
//!
//! A panic over several of them has none at hand, so that all are suspect, and none is to blame unless it was alone.

use std::time::Duration;

use millrace_actors::{ActorRef, Ctx, ItemId, Receive};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{ModelClientActor, RequestRouterActor};
use crate::codec::batch::{self, Part, Unsplit};
use crate::kafka::suspects::Loss;
use crate::model::call::CallRequest;
use crate::model::error::CallError;
use crate::model::headers::CallHeaders;
use crate::record::{CallKind, Message};
use crate::stream::blame::Blame;
use crate::stream::game_day::{self, Kind, Manner};

/// One call for several records, or for one that might have had others beside it.
pub struct Merged {
    /// Takes the result back, whatever happens.
    pub guard: MergedGuard,
    /// What the node is asked to do.
    pub kind: CallKind,
    /// What is said besides.
    pub headers: CallHeaders,
    /// Time until the whole reply is there.
    pub timeout: Duration,
    /// The records' requests, in order.
    pub members: Vec<MergedMember>,
    /// Ends when nobody waits for the call any more.
    pub stopped: oneshot::Receiver<()>,
}

/// What one record sends.
pub struct MergedMember {
    /// The record, as an item at hand.
    pub item: ItemId,
    /// Its request.
    pub message: Message,
    /// The same as a part of a call.
    pub part: Part,
    /// The crash that the record asks for.
    pub crash: Option<Manner>,
}

/// Takes the result to the router; dropped without one, it says that the call was lost.
pub struct MergedGuard {
    number: u64,
    router: Option<ActorRef<RequestRouterActor>>,
}

impl MergedGuard {
    /// A guard for this router's call of that number.
    pub fn new(number: u64, router: ActorRef<RequestRouterActor>) -> Self {
        Self { number, router: Some(router) }
    }

    fn end(&mut self, end: MergedEnd) {
        if let Some(router) = self.router.take() {
            drop(router.tell(MergedCalled { number: self.number, end }));
        }
    }
}

impl Drop for MergedGuard {
    fn drop(&mut self) {
        self.end(MergedEnd::Lost(Vec::new()));
    }
}

/// The end of such a call.
pub struct MergedCalled {
    /// Its number.
    pub number: u64,
    /// What came of it.
    pub end: MergedEnd,
}

/// What came of it.
pub enum MergedEnd {
    /// A reply for each record, in their order.
    Answered(Vec<Message>),
    /// A reply that cannot be split.
    Unsplit(Unsplit),
    /// No reply.
    Failed(CallError),
    /// It was lost with its client, which held the records so; those that are not named are innocent.
    Lost(Vec<Loss>),
}

/// A call that runs: its records and who waits for them.
pub(super) struct Held {
    pub(super) items: Vec<ItemId>,
    guard: MergedGuard,
}

impl Held {
    pub(super) fn lost(mut self, blame: &Blame) {
        let losses = self.items.iter().map(|item| blame.loss(*item)).collect();
        self.guard.end(MergedEnd::Lost(losses));
    }
}

impl Receive<Merged> for ModelClientActor {
    fn receive(&mut self, merged: Merged, ctx: &mut Ctx<'_, Self>) {
        let Some(client) = self.client.clone() else { return };
        let place = ctx.take_permit();
        let Merged { guard, kind, headers, timeout, members, stopped } = merged;
        self.calls += 1;
        let number = self.calls;
        let items = members.iter().map(|member| member.item).collect();
        self.merged.insert(number, Held { items, guard });
        if let [only] = &members[..] {
            ctx.at_hand(only.item);
        }
        if let Some(member) = members.iter().find(|member| member.crash.is_some()) {
            if member.crash == Some(Manner::AtHand) {
                ctx.at_hand(member.item);
                game_day::crash(Kind::Model);
            }
            // Held until then: no answer may come first.
            ctx.later(Duration::ZERO, |_, _| game_day::crash(Kind::Model));
            return;
        }
        let (mut messages, parts): (Vec<_>, Vec<_>) =
            members.into_iter().map(|member| (member.message, member.part)).unzip();
        let message = match messages.pop() {
            Some(only) if messages.is_empty() => only,
            _ => batch::merge(&parts),
        };
        let request = CallRequest { kind, message, headers, timeout };
        let begun = Instant::now();
        ctx.spawn(
            async move {
                let result = tokio::select! {
                    result = client.call(request) => Some(result),
                    _ = stopped => None,
                };
                (result, place)
            },
            move |actor, (result, place), _| {
                drop(place);
                let end = result.map(|result| {
                    actor.ended(&result, begun);
                    match result {
                        Ok(reply) if parts.len() == 1 => MergedEnd::Answered(vec![reply.message]),
                        Ok(reply) => {
                            batch::split(&parts, &reply.message).map_or_else(MergedEnd::Unsplit, MergedEnd::Answered)
                        }
                        Err(error) => MergedEnd::Failed(error),
                    }
                });
                // Held until here: a panic of what reads the reply is told to all.
                let Some(mut held) = actor.merged.remove(&number) else { return };
                match end {
                    Some(end) => held.guard.end(end),
                    None => held.guard.router = None,
                }
            },
        );
    }
}
