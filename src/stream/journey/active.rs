//! A call that a request waits for: what is sent, and what it has cost so far. Pure.

use std::time::Duration;

use super::rules::{Rules, Target};
use crate::codec::meta::{self, MetaError};
use crate::codec::{self, convert};
use crate::config::settings::{Protocol, Transport};
use crate::graph::NodeId;
use crate::kafka::outcome::{ErrorClass, Failure};
use crate::model::clock::{Clock, Mark};
use crate::model::error::{CallError, Class};
use crate::model::retry::Attempts;
use crate::model::suspects::STRIKES;
use crate::record::{CallKind, Message};

/// A message on its way, and what the way to it has cost.
#[derive(Clone, Debug)]
pub(super) struct Carried {
    pub(super) message: Message,
    /// Of the record's deadline, on the dearest way that led here.
    pub(super) spent: Duration,
    /// The node that made it; without one it is the request itself.
    pub(super) by: Option<NodeId>,
}

/// A call that waits or runs.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) node: NodeId,
    pub(super) kind: CallKind,
    pub(super) target: Target,
    /// What is sent.
    pub(super) message: Message,
    /// Nodes' replies that it was made of, whose `meta` its reply inherits.
    pub(super) heirs: Vec<Message>,
    pub(super) attempts: Attempts,
    pub(super) clock: Clock,
    mark: Option<Mark>,
}

impl Active {
    /// The call of a kind that a node gets with these messages.
    pub(super) fn new(node: NodeId, kind: CallKind, from: &[Carried], rules: &Rules) -> Result<Self, Failure> {
        let at = &rules.nodes[node.index()];
        let encoding = from.first().map_or(Transport::Rest, |carried| carried.message.transport());
        let unchainable = |reason: String, blame| unchainable(blame, &reason, rules, from.first());
        let Some((transport, target)) = at.target(encoding) else {
            return Err(unchainable(format!("it has no endpoint for {encoding} calls"), node));
        };
        // A message that cannot be passed on is the fault of who made it.
        let blame = if let [Carried { by: Some(by), .. }] = from { *by } else { node };
        // Where no message can be converted, it is the fault of how the node is called.
        let of_conversion = if convert::possible(rules.protocol).is_ok() { blame } else { node };
        let sent = from.iter().map(|carried| convert::to(rules.protocol, &carried.message, transport));
        let sent = sent.collect::<Result<Vec<_>, _>>();
        let sent = sent.map_err(|error| unchainable(error.to_string(), of_conversion))?;
        // A request was made ready for REST calls when it was decoded.
        let message = match &sent[..] {
            [only] if from[0].by.is_none() && transport == Transport::Rest && kind != CallKind::Aggregate => {
                only.clone()
            }
            _ => prepare(rules.protocol, kind, rules.name(node), &sent).map_err(|reason| unchainable(reason, blame))?,
        };
        let heirs = sent.into_iter().zip(from).filter(|(_, carried)| carried.by.is_some()).map(|(sent, _)| sent);
        Ok(Self {
            node,
            kind,
            target,
            message,
            heirs: if rules.protocol == Protocol::Seldon { heirs.collect() } else { Vec::new() },
            attempts: Attempts::new(at.retry),
            clock: Clock::at(rules.deadline, longest(from)),
            mark: None,
        })
    }

    pub(super) fn start(&mut self, now: Duration) {
        self.clock.resume(now);
        self.mark = Some(self.clock.mark(now));
    }

    /// What was spent since the last start does not count.
    pub(super) fn forgive(&mut self, now: Duration) {
        if let Some(mark) = self.mark.take() {
            self.clock.forgive(mark, now);
        }
        self.clock.pause(now);
    }

    /// The reply with what the nodes before said in `meta`. A reply that has no place for it is as it is.
    pub(super) fn inherited(&self, reply: Message) -> Result<Message, String> {
        if self.kind == CallKind::SendFeedback { Ok(reply) } else { inherit(&reply, &self.heirs) }
    }

    /// An answer came, and cannot be used.
    pub(super) fn unusable(&self, reason: &str, rules: &Rules) -> Failure {
        let name = &rules.plan.node(self.node).name;
        Failure {
            class: ErrorClass::Unchainable,
            message: format!("node {name}: {reason}"),
            node: Some(name.clone()),
            status: None,
            attempts: self.attempts.failed() + 1,
            body: None,
        }
    }

    /// The failure of this call for good.
    pub(super) fn failure(&self, error: &CallError, why: &str, rules: &Rules) -> Failure {
        let name = &rules.plan.node(self.node).name;
        Failure {
            class: match error {
                CallError::ReplyTooLarge { .. } => ErrorClass::TooLarge,
                _ if error.class() == Class::TimedOut => ErrorClass::Timeout,
                _ if error.class() == Class::Unavailable => ErrorClass::Unavailable,
                _ => ErrorClass::ModelError,
            },
            message: format!("node {name}: {error}; {why}"),
            node: Some(name.clone()),
            status: error.status(),
            attempts: self.attempts.failed(),
            body: match error {
                CallError::Status { body, .. } => Some(body.clone()),
                _ => None,
            },
        }
    }
}

impl Active {
    /// The failure of a call whose endpoint goes down whenever it is made alone.
    pub(super) fn kills(&self, error: &CallError, rules: &Rules) -> Failure {
        let why =
            format!("the endpoint went down each of the {STRIKES} times that it was called with this record alone");
        Failure { class: ErrorClass::KillsModel, attempts: STRIKES, ..self.failure(error, &why, rules) }
    }
}

/// A message with what earlier replies said in `meta`. One that has no place for it is as it is.
pub(super) fn inherit(message: &Message, earlier: &[Message]) -> Result<Message, String> {
    if earlier.is_empty() {
        return Ok(message.clone());
    }
    match meta::merge(message, &earlier.iter().collect::<Vec<_>>()) {
        Ok(merged) => Ok(merged),
        Err(MetaError::NotJson(_) | MetaError::NotProto(_)) => Ok(message.clone()),
        Err(error) => Err(error.to_string()),
    }
}

fn prepare(protocol: Protocol, kind: CallKind, model: &str, sent: &[Message]) -> Result<Message, String> {
    let [message] = sent else {
        return codec::aggregate(protocol, sent).map_err(|error| error.to_string());
    };
    let chained = match kind {
        CallKind::Aggregate => return codec::aggregate(protocol, sent).map_err(|error| error.to_string()),
        // Over gRPC only Seldon's protocol has a method of its own for routes; the others ask the router as a model.
        CallKind::Route if protocol != Protocol::Seldon && message.transport() == Transport::Grpc => CallKind::Predict,
        other => other,
    };
    codec::prepare(protocol, message, chained, model).map_err(|error| error.to_string())
}

/// Messages in the encoding of the first.
pub(super) fn alike(all: &[Carried], rules: &Rules) -> Result<Vec<Message>, String> {
    let Some(first) = all.first() else { return Ok(Vec::new()) };
    let encoding = first.message.transport();
    let messages = all.iter().map(|carried| convert::to(rules.protocol, &carried.message, encoding));
    messages.collect::<Result<_, _>>().map_err(|error| error.to_string())
}

/// Time that the dearest of these ways has cost.
pub(super) fn longest(all: &[Carried]) -> Duration {
    all.iter().map(|carried| carried.spent).max().unwrap_or_default()
}

/// A message that this node cannot be given, or cannot make one of.
pub(super) fn unchainable(node: NodeId, reason: &str, rules: &Rules, from: Option<&Carried>) -> Failure {
    let replied = from.is_some_and(|carried| carried.by.is_some());
    Failure {
        class: if replied { ErrorClass::Unchainable } else { ErrorClass::Undecodable },
        message: format!("node {}: {reason}", rules.name(node)),
        node: Some(rules.plan.node(node).name.clone()),
        status: None,
        attempts: 0,
        body: from.filter(|carried| carried.by.is_some()).map(|carried| carried.message.body.clone()),
    }
}
