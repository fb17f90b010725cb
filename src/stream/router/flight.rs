//! A request on its way: who waits for it, and which of its calls run.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use millrace_actors::{ActorRef, ItemId, Permit};
use tokio::sync::oneshot;

use super::RequestRouterActor;
use super::shadow::Pair;
use crate::graph::NodeId;
use crate::kafka::suspects::Loss;
use crate::model::availability::Ticket;
use crate::model::call::CallRequest;
use crate::model::headers::CallHeaders;
use crate::model::suspects::Suspicion;
use crate::record::{CallKind, Message};
use crate::stream::game_day::Manner;
use crate::stream::journey::{Journey, Target};
use crate::stream::messages::Request;
use crate::stream::model_client::{Call, CallGuard, CallId};

/// Who waits for the answer.
pub(super) enum Owner {
    /// The owner of a record.
    Record(Request),
    /// Nobody: it is compared with another answer.
    Shadow(Rc<RefCell<Pair>>),
}

/// A call that runs, and the right to run it.
pub(super) struct Running {
    pub(super) node: NodeId,
    pub(super) target: Target,
    pub(super) right: Right,
    call: u32,
}

/// The right of a call to run.
pub(super) enum Right {
    /// Its own.
    Own {
        /// The endpoint's.
        ticket: Ticket,
        /// Dropped, it ends the call.
        _stop: oneshot::Sender<()>,
    },
    /// That of the call of this number, with other records.
    Merged(u64),
}

/// A request on its way.
pub(super) struct Flight {
    pub(super) owner: Owner,
    pub(super) journey: Journey,
    pub(super) headers: CallHeaders,
    pub(super) item: ItemId,
    /// Comparisons that it is the first side of.
    pub(super) pairs: Vec<(NodeId, Rc<RefCell<Pair>>)>,
    /// The crash that the record asks of a client.
    pub(super) crash: Option<Manner>,
    running: Vec<Running>,
    /// What is held against its calls, by node.
    suspicions: Vec<(NodeId, Suspicion)>,
    /// Nodes whose calls failed with nobody beside it: not sent with others again.
    loners: Vec<NodeId>,
    calls: u32,
    /// Its place in the mailbox, kept until it has an outcome.
    _place: Option<Permit>,
}

impl Flight {
    /// A request that has not begun.
    pub(super) fn new(
        owner: Owner,
        journey: Journey,
        headers: CallHeaders,
        item: ItemId,
        place: Option<Permit>,
    ) -> Self {
        let (running, pairs, suspicions, loners) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { owner, journey, headers, item, pairs, crash: None, running, suspicions, loners, calls: 0, _place: place }
    }

    /// Whether a record waits for it.
    pub(super) fn is_record(&self) -> bool {
        matches!(self.owner, Owner::Record(_))
    }

    /// False once its owner's life is over: whatever comes of it is late.
    pub(super) fn is_current(&self) -> bool {
        match &self.owner {
            Owner::Record(request) => request.guard.is_current(),
            Owner::Shadow(_) => true,
        }
    }

    /// Whether its call to a node must be alone.
    pub(super) fn is_suspect(&self, node: NodeId) -> bool {
        self.suspicions.iter().any(|(of, suspicion)| *of == node && suspicion.is_suspect())
    }

    /// What is held against its call to a node.
    pub(super) fn suspicion(&mut self, node: NodeId) -> &mut Suspicion {
        let known = self.suspicions.iter().position(|(of, _)| *of == node);
        let at = known.unwrap_or_else(|| {
            self.suspicions.push((node, Suspicion::default()));
            self.suspicions.len() - 1
        });
        &mut self.suspicions[at].1
    }

    /// Its call to a node was answered.
    pub(super) fn clear(&mut self, node: NodeId) {
        self.suspicions.retain(|(of, _)| *of != node);
        self.loners.retain(|of| *of != node);
    }

    /// Its call to a node failed, and it may be the reason.
    pub(super) fn leave_alone(&mut self, node: NodeId) {
        if !self.is_loner(node) {
            self.loners.push(node);
        }
    }

    /// Whether its call to a node is not sent with others.
    pub(super) fn is_loner(&self, node: NodeId) -> bool {
        self.loners.contains(&node)
    }

    /// Whoever held it died.
    pub(super) fn lost(self, loss: Loss) {
        if let Owner::Record(request) = self.owner {
            request.guard.lost(loss);
        }
    }

    /// The call to a node that starts now; nothing if it is not needed any more, which gives the ticket back.
    pub(super) fn call(
        &mut self,
        id: u64,
        node: NodeId,
        (target, ticket): (Target, Ticket),
        (now, timeout): (Duration, Duration),
        router: &ActorRef<RequestRouterActor>,
    ) -> Result<Call, Ticket> {
        let Some((kind, message)) = self.journey.start(node, now) else { return Err(ticket) };
        self.calls += 1;
        let (stop, stopped) = oneshot::channel();
        self.running.push(Running { node, target, right: Right::Own { ticket, _stop: stop }, call: self.calls });
        let guard = CallGuard::new(CallId { flight: id, call: self.calls }, router.clone());
        let request = CallRequest { kind, message, headers: self.headers.clone(), timeout };
        Ok(Call { guard, item: self.item, request, crash: self.crash, stopped })
    }

    /// The call to a node starts now, in the call of this number with others: what is sent, and as which of its calls. Nothing
    /// if it is not needed any more.
    pub(super) fn call_with(
        &mut self,
        node: NodeId,
        target: Target,
        number: u64,
        now: Duration,
    ) -> Option<(u32, CallKind, Message)> {
        let (kind, message) = self.journey.start(node, now)?;
        self.calls += 1;
        self.running.push(Running { node, target, right: Right::Merged(number), call: self.calls });
        Some((self.calls, kind, message))
    }

    /// Takes out the call of this number, unless it is not waited for any more.
    pub(super) fn ended(&mut self, call: u32) -> Option<Running> {
        let at = self.running.iter().position(|running| running.call == call)?;
        Some(self.running.swap_remove(at))
    }

    /// Takes out the call to a node, if one runs.
    pub(super) fn stop(&mut self, node: NodeId) -> Option<Running> {
        let at = self.running.iter().position(|running| running.node == node)?;
        Some(self.running.swap_remove(at))
    }

    /// Takes out all calls that run.
    pub(super) fn stop_all(&mut self) -> Vec<Running> {
        std::mem::take(&mut self.running)
    }
}
