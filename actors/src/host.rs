//! The actix actor behind every business actor: pacing, permits, tasks, and the notes a supervisor reads after a panic.
//!
//! It decides nothing about restarts; [`crate::child`] polls it and does as it is ordered.

use std::{
    cell::{Cell, RefCell},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll},
};

use actix::{ActorContext as _, AsyncContext as _, fut::ActorFuture};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::{
    actor::{Actor, Receive},
    address::ActorRef,
    ctx::Ctx,
    exit::{Exit, Failure, ItemId, Phase, caught},
    gate::Permit,
    progress::Progress,
    status::{Control, lock},
};

/// Messages or task results handled before the arbiter's other tasks get their turn.
const TURN: u32 = 64;

type ActixContext<A> = actix::Context<Host<A>>;

/// Notes shared with the [`crate::child::Child`], which cannot look into an actor that panicked.
pub(crate) struct Notes {
    pub(crate) at_hand: Cell<Option<ItemId>>,
    pub(crate) phase: Cell<Phase>,
    pub(crate) exit: RefCell<Option<Exit>>,
    /// Why the last life ended.
    pub(crate) failure: RefCell<Option<Failure>>,
    pub(crate) step: Cell<RestartStep>,
    /// No life may begin any more: actix starts an actor that is dropped before its first poll.
    pub(crate) doomed: Cell<bool>,
    pub(crate) draining: Cell<bool>,
    pub(crate) messages: Cell<u64>,
    pub(crate) tasks_done: Cell<u64>,
    pub(crate) in_flight: Cell<usize>,
}

/// actix knows one kind of restart. Here cancelling comes at once, rebuilding only if another life was granted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum RestartStep {
    Cancel,
    Rebuild,
}

impl Notes {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self {
            at_hand: Cell::new(None),
            phase: Cell::new(Phase::Build),
            exit: RefCell::new(None),
            failure: RefCell::new(None),
            step: Cell::new(RestartStep::Cancel),
            doomed: Cell::new(false),
            draining: Cell::new(false),
            messages: Cell::new(0),
            tasks_done: Cell::new(0),
            in_flight: Cell::new(0),
        })
    }
}

/// A message with its place in the mailbox.
pub(crate) struct Letter<M> {
    pub(crate) message: M,
    pub(crate) permit: Option<Permit>,
}

impl<M> actix::Message for Letter<M> {
    type Result = ();
}

pub(crate) struct DrainNow;

impl actix::Message for DrainNow {
    type Result = ();
}

pub(crate) struct Host<A: Actor> {
    // Boxed because actix wants actors that can be moved.
    actor: Box<A>,
    core: Core<A>,
    inbox: Option<UnboundedReceiver<Control>>,
}

/// What a [`Ctx`] works on.
pub(crate) struct Core<A: Actor> {
    pub(crate) address: ActorRef<A>,
    pub(crate) notes: Rc<Notes>,
    pub(crate) progress: Progress,
    /// Only those woken are polled; actix would poll every future of an actor at each wake-up.
    pub(crate) tasks: FuturesUnordered<Task<A>>,
    pub(crate) permit: Option<Permit>,
    turn: u32,
    drain_asked: bool,
}

impl<A: Actor> Host<A> {
    pub(crate) fn new(actor: A, address: ActorRef<A>, notes: Rc<Notes>) -> Self {
        let status = address.status();
        let inbox = lock(&status.inbox).take();
        let progress = Progress(std::sync::Arc::clone(status));
        let tasks = FuturesUnordered::new();
        let core = Core { address, notes, progress, tasks, permit: None, turn: 0, drain_asked: false };
        Self { actor: Box::new(actor), core, inbox }
    }

    /// Runs one piece of work of the actor.
    fn work(&mut self, actix: &mut ActixContext<A>, phase: Phase, f: impl FnOnce(&mut A, &mut Ctx<'_, A>)) {
        self.core.notes.phase.set(phase);
        f(&mut self.actor, &mut Ctx { core: &mut self.core, actix });
        self.core.notes.at_hand.set(None);
    }

    fn obey(&mut self, order: Control) {
        match order {
            // An operator's look must not cost a life.
            Control::Observe(reply) => {
                let seen = caught(|| self.actor.observe());
                let json = seen.unwrap_or_else(|text| serde_json::json!({ "observe_panicked": text }));
                reply.send(json).ok();
            }
            Control::Crash(text) => {
                self.core.notes.phase.set(Phase::Crash);
                self.core.notes.at_hand.set(None);
                std::panic::panic_any(text);
            }
        }
    }
}

impl<A: Actor> actix::Actor for Host<A> {
    type Context = ActixContext<A>;

    fn started(&mut self, actix: &mut Self::Context) {
        if self.core.notes.doomed.get() {
            return;
        }
        actix.spawn(Driver);
        self.work(actix, Phase::Started, A::started);
    }
}

impl<A: Actor> actix::Supervised for Host<A> {
    fn restarting(&mut self, _: &mut Self::Context) {
        match self.core.notes.step.get() {
            RestartStep::Cancel => {
                self.core.turn = 0;
                self.core.drain_asked = false;
                self.core.permit = None;
                self.core.tasks = FuturesUnordered::new();
            }
            RestartStep::Rebuild => {
                self.core.notes.phase.set(Phase::Restarting);
                if let Some(failure) = &*self.core.notes.failure.borrow() {
                    self.actor.restarting(failure);
                }
            }
        }
    }
}

impl<A: Actor> Drop for Host<A> {
    fn drop(&mut self) {
        // This may run while a thread unwinds or an arbiter ends. The child catches too, but what follows must still run.
        caught(|| self.core.tasks = FuturesUnordered::new()).ok();
        caught(|| self.actor.stopped()).ok();
        *lock(&self.core.address.status().inbox) = self.inbox.take();
    }
}

impl<A: Receive<M>, M: Send + 'static> actix::Handler<Letter<M>> for Host<A> {
    type Result = ();

    fn handle(&mut self, letter: Letter<M>, actix: &mut Self::Context) {
        self.core.permit = letter.permit;
        self.work(actix, Phase::Receive, |actor, ctx| actor.receive(letter.message, ctx));
        self.core.permit = None;
        let notes = &self.core.notes;
        notes.messages.set(notes.messages.get() + 1);
        self.core.turn += 1;
        if self.core.turn == TURN {
            self.core.turn = 0;
            actix.wait(Yield(false));
        }
    }
}

impl<A: Actor> actix::Handler<DrainNow> for Host<A> {
    type Result = ();

    fn handle(&mut self, _: DrainNow, actix: &mut Self::Context) {
        if !std::mem::replace(&mut self.core.drain_asked, true) {
            self.work(actix, Phase::Drain, A::drain);
        }
    }
}

/// What to do on the actor with a task's result; nothing if the task was cancelled.
pub(crate) type Then<A> = Option<Box<dyn FnOnce(&mut A, &mut Ctx<'_, A>)>>;

/// What a task is for.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// Work on the item that was at hand when it was spawned.
    Work(Option<ItemId>),
    /// A timer's tick is no progress: a stuck actor's timers go on.
    Timer,
}

impl Kind {
    fn item(self) -> Option<ItemId> {
        match self {
            Self::Work(item) => item,
            Self::Timer => None,
        }
    }
}

/// A future of the current life.
pub(crate) struct Task<A: Actor> {
    pub(crate) future: Option<Pin<Box<dyn Future<Output = Then<A>>>>>,
    pub(crate) kind: Kind,
    pub(crate) notes: Rc<Notes>,
}

impl<A: Actor> Future for Task<A> {
    type Output = (Kind, Then<A>);

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { future, kind, notes } = self.get_mut();
        notes.at_hand.set(kind.item());
        notes.phase.set(Phase::Task);
        let polled = future.as_mut().map_or(Poll::Ready(None), |future| future.as_mut().poll(cx));
        notes.at_hand.set(None);
        polled.map(|then| (*kind, then))
    }
}

impl<A: Actor> Drop for Task<A> {
    fn drop(&mut self) {
        // One future that panics when cancelled must not keep the others from being cancelled.
        caught(|| self.future = None).ok();
    }
}

/// Polls the tasks and the control messages of one life, after the mailbox.
struct Driver;

impl<A: Actor> ActorFuture<Host<A>> for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, host: &mut Host<A>, actix: &mut ActixContext<A>, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..TURN {
            if !actix.state().alive() {
                return Poll::Pending;
            }
            if let Some(Poll::Ready(Some(order))) = host.inbox.as_mut().map(|inbox| inbox.poll_recv(cx)) {
                host.obey(order);
                continue;
            }
            let done = host.core.tasks.poll_next_unpin(cx);
            host.core.notes.in_flight.set(host.core.tasks.len());
            let Poll::Ready(Some((kind, then))) = done else { return Poll::Pending };
            if let Some(then) = then {
                host.core.notes.at_hand.set(kind.item());
                host.work(actix, Phase::Task, then);
            }
            if matches!(kind, Kind::Work(_)) {
                host.core.notes.tasks_done.set(host.core.notes.tasks_done.get() + 1);
            }
        }
        come_back_later(cx)
    }
}

/// Lets the other tasks of the arbiter run once, and its timers and sockets.
struct Yield(bool);

impl<A: Actor> ActorFuture<Host<A>> for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Host<A>, _: &mut ActixContext<A>, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) { Poll::Ready(()) } else { come_back_later(cx) }
    }
}

/// Pending, and woken when the arbiter has been round once.
///
/// Waking oneself at once would do for other tasks, but up to 61 such wakes pass before timers and sockets are looked at.
fn come_back_later(cx: &mut Context<'_>) -> Poll<()> {
    pin!(tokio::task::yield_now()).poll(cx)
}
