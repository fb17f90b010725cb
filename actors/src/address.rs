//! References to actors: stable over restarts and moves, and the only way to send.
//!
//! A message that cannot be delivered comes back to the sender. One that was queued is dropped only with its actor (or
//! with the arbiter it was queued on); whoever must know puts a drop guard into it.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use actix::dev::channel::{AddressReceiver, AddressSender, channel};

use crate::{
    actor::{Actor, Receive},
    gate::{Full, Permit},
    host::{Host, Letter},
    status::{Control, State, Status},
};

/// The actor will never receive this message.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("actor is gone")]
pub struct Gone<M>(pub M);

impl<M> fmt::Debug for Gone<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gone")
    }
}

/// Why a message was not sent now.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TrySendError<M> {
    /// No place is free: try later, or wait in [`ActorRef::reserve`].
    #[error("mailbox is full")]
    Full(M),
    /// The actor is gone for good.
    #[error("actor is gone")]
    Gone(M),
}

impl<M> fmt::Debug for TrySendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full",
            Self::Gone(_) => "Gone",
        })
    }
}

impl<M> TrySendError<M> {
    /// The message.
    pub fn into_inner(self) -> M {
        match self {
            Self::Full(message) | Self::Gone(message) => message,
        }
    }
}

/// Names an actor for good: the same before its start, after any restart, and after a move to another arbiter.
pub struct ActorRef<A: Actor> {
    cell: Arc<AddressCell<A>>,
}

struct AddressCell<A: Actor> {
    status: Arc<Status>,
    /// Written when the actor moves or is gone, so readers hardly ever meet a writer.
    line: RwLock<Line<A>>,
}

struct Line<A: Actor> {
    sender: Option<AddressSender<Host<A>>>,
    /// Holds what is sent while no life can receive it.
    waiting: Option<AddressReceiver<Host<A>>>,
}

impl<A: Actor> Line<A> {
    fn open() -> Self {
        // 0 is actix's "no bound": the bound is in the permits.
        let (sender, waiting) = channel(0);
        Self { sender: Some(sender), waiting: Some(waiting) }
    }
}

impl<A: Actor> ActorRef<A> {
    /// A reference to an actor that will be started later; what is sent until then waits. `limit` counts mailbox places.
    pub fn unborn(name: impl Into<String>, limit: usize) -> Self {
        let status = Status::new(name.into(), short_type_name::<A>(), limit);
        Self { cell: Arc::new(AddressCell { status, line: RwLock::new(Line::open()) }) }
    }

    /// The name given at birth.
    pub fn name(&self) -> &str {
        &self.cell.status.name
    }

    /// Takes a place in the mailbox, if one is free and nobody waits for it.
    pub fn try_reserve(&self) -> Result<Permit, Full> {
        self.cell.status.gate.try_reserve()
    }

    /// Waits for a place in the mailbox. The wait is counted as backpressure.
    pub fn reserve(&self) -> impl Future<Output = Permit> + Send + use<A> {
        Arc::clone(&self.cell.status.gate).reserve()
    }

    /// Sends into the place reserved.
    pub fn send_with<M>(&self, permit: Permit, message: M) -> Result<(), Gone<M>>
    where
        A: Receive<M>,
        M: Send + 'static,
    {
        #[cfg(debug_assertions)]
        assert!(self.cell.status.gate.issued(&permit), "a permit holds a place in one mailbox only");
        self.cell.post(message, Some(permit))
    }

    /// Sends if a place is free.
    pub fn try_send<M>(&self, message: M) -> Result<(), TrySendError<M>>
    where
        A: Receive<M>,
        M: Send + 'static,
    {
        match self.try_reserve() {
            Ok(permit) => self.send_with(permit, message).map_err(|Gone(message)| TrySendError::Gone(message)),
            Err(Full) => Err(TrySendError::Full(message)),
        }
    }

    /// Sends without a place: only for messages whose number something else bounds, such as replies and commands.
    pub fn tell<M>(&self, message: M) -> Result<(), Gone<M>>
    where
        A: Receive<M>,
        M: Send + 'static,
    {
        self.cell.post(message, None)
    }

    /// Mailbox places in use: messages queued, and messages received whose permit was kept.
    pub fn depth(&self) -> usize {
        self.cell.status.gate.used()
    }

    /// Mailbox places in all.
    pub fn limit(&self) -> usize {
        self.cell.status.gate.limit()
    }

    /// Where the actor is in its life.
    pub fn state(&self) -> State {
        self.cell.status.state()
    }

    /// True unless the actor is waiting for a restart, draining, wedged or gone.
    pub fn is_available(&self) -> bool {
        self.cell.status.is_available()
    }

    /// Makes the actor panic at its next turn, with nothing at hand: for tests and game days.
    pub fn crash(&self, text: impl Into<String>) {
        self.cell.status.control.send(Control::Crash(text.into())).ok();
    }

    /// Forgets the type of the actor.
    pub fn recipient<M>(&self) -> Recipient<M>
    where
        A: Receive<M>,
        M: Send + 'static,
    {
        Recipient { to: Arc::clone(&self.cell) as Arc<dyn Delivery<M>> }
    }

    pub(crate) fn status(&self) -> &Arc<Status> {
        &self.cell.status
    }

    /// The receiving end for a new life that cannot use that of the last.
    pub(crate) fn take_receiver(&self) -> AddressReceiver<Host<A>> {
        loop {
            if let Some(waiting) = self.cell.with_line(|line| line.waiting.take()) {
                return waiting;
            }
            self.renew();
        }
    }

    /// Makes new messages wait for the next life. What is queued for the last one stays with it.
    pub(crate) fn renew(&self) {
        let old = self.cell.with_line(|line| std::mem::replace(line, Line::open()));
        drop(old);
    }

    /// From now on every message comes back.
    pub(crate) fn close(&self) {
        let old = self.cell.with_line(|line| std::mem::replace(line, Line { sender: None, waiting: None }));
        drop(old);
    }

    /// Asks the hosted actor itself, in the order of its mailbox.
    pub(crate) fn post_drain(&self) {
        let line = self.cell.line.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = &line.sender {
            sender.do_send(crate::host::DrainNow).ok();
        }
    }
}

impl<A: Actor> AddressCell<A> {
    fn post<M>(&self, message: M, permit: Option<Permit>) -> Result<(), Gone<M>>
    where
        A: Receive<M>,
        M: Send + 'static,
    {
        let line = self.line.read().unwrap_or_else(PoisonError::into_inner);
        match &line.sender {
            Some(sender) => {
                sender.do_send(Letter { message, permit }).map_err(|error| Gone(error.into_inner().message))
            }
            None => Err(Gone(message)),
        }
    }

    /// What `change` returns is dropped outside the lock: messages may send when they are dropped.
    fn with_line<T>(&self, change: impl FnOnce(&mut Line<A>) -> T) -> T {
        change(&mut self.line.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<A: Actor> Clone for ActorRef<A> {
    fn clone(&self) -> Self {
        Self { cell: Arc::clone(&self.cell) }
    }
}

impl<A: Actor> fmt::Debug for ActorRef<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ActorRef({})", self.name())
    }
}

/// A reference to any actor that receives `M`.
pub struct Recipient<M> {
    to: Arc<dyn Delivery<M>>,
}

trait Delivery<M>: Send + Sync {
    fn status(&self) -> &Arc<Status>;
    fn deliver(&self, message: M, permit: Option<Permit>) -> Result<(), Gone<M>>;
}

impl<A: Receive<M>, M: Send + 'static> Delivery<M> for AddressCell<A> {
    fn status(&self) -> &Arc<Status> {
        &self.status
    }

    fn deliver(&self, message: M, permit: Option<Permit>) -> Result<(), Gone<M>> {
        self.post(message, permit)
    }
}

impl<M: Send + 'static> Recipient<M> {
    /// The name of the actor.
    pub fn name(&self) -> &str {
        &self.to.status().name
    }

    /// As [`ActorRef::tell`].
    pub fn tell(&self, message: M) -> Result<(), Gone<M>> {
        self.to.deliver(message, None)
    }

    /// As [`ActorRef::try_send`].
    pub fn try_send(&self, message: M) -> Result<(), TrySendError<M>> {
        match self.to.status().gate.try_reserve() {
            Ok(permit) => self.to.deliver(message, Some(permit)).map_err(|Gone(message)| TrySendError::Gone(message)),
            Err(Full) => Err(TrySendError::Full(message)),
        }
    }

    /// As [`ActorRef::try_reserve`].
    pub fn try_reserve(&self) -> Result<Permit, Full> {
        self.to.status().gate.try_reserve()
    }

    /// As [`ActorRef::reserve`].
    pub fn reserve(&self) -> impl Future<Output = Permit> + Send + use<M> {
        Arc::clone(&self.to.status().gate).reserve()
    }

    /// As [`ActorRef::send_with`].
    pub fn send_with(&self, permit: Permit, message: M) -> Result<(), Gone<M>> {
        self.to.deliver(message, Some(permit))
    }

    /// As [`ActorRef::is_available`].
    pub fn is_available(&self) -> bool {
        self.to.status().is_available()
    }
}

impl<M> Clone for Recipient<M> {
    fn clone(&self) -> Self {
        Self { to: Arc::clone(&self.to) }
    }
}

impl<M: Send + 'static> fmt::Debug for Recipient<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({})", self.name())
    }
}

/// `a::b::Router<c::D>` is a `Router`.
fn short_type_name<A>() -> &'static str {
    let full = std::any::type_name::<A>();
    let plain = full.split('<').next().unwrap_or(full);
    plain.rsplit("::").next().unwrap_or(plain)
}
