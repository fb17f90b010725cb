//! References to supervisors: to start and stop children while the tree runs, from any thread.
//!
//! The supervisor itself is in [`crate::tree`]; this is its front desk.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::{
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    oneshot,
};

use crate::{
    exit::Exit,
    plan::SlotId,
    post::{News, Order},
    spec::{ChildSpec, How, SpecError},
    status::lock,
};

/// Why a child did not start.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StartError {
    /// Its specification is wrong.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// It ended before it was up.
    #[error("ended before it was up: {0}")]
    Ended(Exit),
    /// The supervisor is stopping or gone.
    #[error("its supervisor is gone")]
    NoSupervisor,
}

/// Names a supervisor, started or not; orders given before its start wait.
#[derive(Clone)]
pub struct SupervisorRef {
    pub(crate) name: Arc<str>,
    pub(crate) desk: Desk,
}

impl SupervisorRef {
    /// The supervisor's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Adds a child at the end of the order. The future is ready when the child is up; it need not be awaited.
    pub fn start_child(&self, spec: ChildSpec) -> impl Future<Output = Result<(), StartError>> + Send + use<> {
        let (reply, answer) = oneshot::channel();
        self.desk.send(Mail::Call(Call::StartChild { spec, reply }));
        async move { answer.await.unwrap_or(Err(StartError::NoSupervisor)) }
    }

    /// Ends a child and removes it. The future is ready when the child is gone; it need not be awaited.
    ///
    /// A child that is not there, because it has ended before, counts as [`Exit::Stopped`].
    pub fn stop_child(&self, name: &str, how: How) -> impl Future<Output = Exit> + Send + use<> {
        let (reply, answer) = oneshot::channel();
        self.desk.send(Mail::Call(Call::StopChild { name: name.to_owned(), how, reply }));
        async move { answer.await.unwrap_or(Exit::Stopped) }
    }
}

impl fmt::Debug for SupervisorRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SupervisorRef({})", self.name)
    }
}

/// All that a supervisor is told, in one order.
pub(crate) enum Mail {
    News {
        slot: SlotId,
        incarnation: u64,
        news: News,
    },
    Order(Order),
    Call(Call),
    /// The supervisor's own back-off is over.
    Rested {
        epoch: u64,
    },
    /// Drain everything, for so long at most.
    DrainFor(Duration),
    /// Time to drain is over: for one child, or for all.
    DrainOverdue {
        slot: Option<SlotId>,
    },
    /// A child did not obey.
    KillOverdue {
        slot: SlotId,
        incarnation: u64,
    },
}

pub(crate) enum Call {
    StartChild { spec: ChildSpec, reply: oneshot::Sender<Result<(), StartError>> },
    StopChild { name: String, how: How, reply: oneshot::Sender<Exit> },
}

/// The mailbox of a supervisor, which exists before it and after it.
#[derive(Clone)]
pub(crate) struct Desk(Arc<Mutex<Ends>>);

struct Ends {
    sender: UnboundedSender<Mail>,
    waiting: Option<UnboundedReceiver<Mail>>,
}

impl Default for Desk {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Ends::new())))
    }
}

impl Ends {
    fn new() -> Self {
        let (sender, receiver) = unbounded_channel();
        Self { sender, waiting: Some(receiver) }
    }
}

impl Desk {
    pub(crate) fn send(&self, mail: Mail) {
        // What cannot be sent is dropped, and its reply channel with it: that is the answer.
        lock(&self.0).sender.send(mail).ok();
    }

    /// Both ends, for a supervisor that begins.
    pub(crate) fn occupy(&self) -> (UnboundedSender<Mail>, UnboundedReceiver<Mail>) {
        let mut ends = lock(&self.0);
        loop {
            if let Some(receiver) = ends.waiting.take() {
                return (ends.sender.clone(), receiver);
            }
            *ends = Ends::new();
        }
    }

    /// Nobody will come.
    pub(crate) fn close(&self) {
        let waiting = lock(&self.0).waiting.take();
        drop(waiting);
    }
}
