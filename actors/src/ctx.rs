//! What an actor can do from inside its hooks and handlers.
//!
//! It is valid for one call only; what must outlive the call (an address, progress marks) is cloned out of it.

use std::time::Duration;

use actix::ActorContext as _;
use futures_util::future::{AbortHandle, Abortable, FutureExt as _};
use tokio::time::{Interval, MissedTickBehavior};

use crate::{
    actor::Actor,
    address::ActorRef,
    exit::{Exit, ItemId},
    gate::Permit,
    host::{Core, Host, Kind, Task, Then},
    progress::Progress,
};

/// The actor's own side of the framework, for the length of one call.
pub struct Ctx<'a, A: Actor> {
    pub(crate) core: &'a mut Core<A>,
    pub(crate) actix: &'a mut actix::Context<Host<A>>,
}

/// Cancels a timer; dropping it does not.
#[derive(Clone, Debug)]
pub struct Timer(AbortHandle);

impl Timer {
    /// The timer will not fire again.
    pub fn cancel(&self) {
        self.0.abort();
    }
}

type Tick<A> = Box<dyn FnMut(&mut A, &mut Ctx<'_, A>)>;

impl<A: Actor> Ctx<'_, A> {
    /// The actor's own reference.
    pub fn address(&self) -> ActorRef<A> {
        self.core.address.clone()
    }

    /// Runs `future` as part of this life, then `then` on the actor.
    ///
    /// It is dropped when the life ends, and its panic ends the life. The item now at hand is at hand again whenever the
    /// future is polled and when `then` runs, so that it is the suspect of a panic there.
    pub fn spawn<F, T>(&mut self, future: F, then: impl FnOnce(&mut A, T, &mut Ctx<'_, A>) + 'static)
    where
        F: Future<Output = T> + 'static,
        T: 'static,
    {
        let item = self.core.notes.at_hand.get();
        // An async block would have room for the future twice: as it was given, and as it is awaited.
        self.push(
            Kind::Work(item),
            future.map(move |value| {
                Some(Box::new(move |actor: &mut A, ctx: &mut Ctx<'_, A>| then(actor, value, ctx)) as Box<_>)
            }),
        );
    }

    /// Calls `f` once after `delay`, with no item at hand.
    pub fn later(&mut self, delay: Duration, f: impl FnOnce(&mut A, &mut Ctx<'_, A>) + 'static) -> Timer {
        let (handle, registration) = AbortHandle::new_pair();
        let sleep = Abortable::new(tokio::time::sleep(delay), registration);
        self.push(Kind::Timer, sleep.map(move |slept| slept.ok().map(|()| Box::new(f) as Box<_>)));
        Timer(handle)
    }

    /// Calls `f` every `period`, the first time after one period, with no item at hand. Missed ticks are not made up for.
    pub fn every(&mut self, period: Duration, f: impl FnMut(&mut A, &mut Ctx<'_, A>) + 'static) -> Timer {
        // A period of nothing would never let go of the thread.
        let period = period.max(Duration::from_millis(1));
        let mut interval = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (handle, _) = AbortHandle::new_pair();
        self.tick(interval, handle.clone(), Box::new(f));
        Timer(handle)
    }

    /// Says that nothing is left to finish. Means nothing unless [`Actor::drain`] was called.
    pub fn drained(&mut self) {
        if self.is_draining() {
            self.end(Exit::Drained);
        }
    }

    /// True from the moment the actor was asked to finish.
    pub fn is_draining(&self) -> bool {
        self.core.notes.draining.get()
    }

    /// Ends this life. Whether there is another is up to the restart policy.
    pub fn stop(&mut self) {
        self.end(Exit::Stopped);
    }

    /// Ends this life as a failure, without a panic.
    pub fn fail(&mut self, text: impl Into<String>) {
        self.end(Exit::Failed { text: text.into() });
    }

    /// Notes what the actor is busy with, for [`crate::Failure::at_hand`]. Cleared when the handler returns.
    pub fn at_hand(&mut self, item: ItemId) {
        self.core.notes.at_hand.set(Some(item));
    }

    /// Notes that the actor is busy with nothing in particular.
    pub fn clear_at_hand(&mut self) {
        self.core.notes.at_hand.set(None);
    }

    /// Keeps the mailbox place of the message being received for as long as the work on it takes.
    ///
    /// None if the message came without one, or it was taken before.
    pub fn take_permit(&mut self) -> Option<Permit> {
        self.core.permit.take()
    }

    /// Signs of life for the watchdog.
    pub fn progress(&self) -> &Progress {
        &self.core.progress
    }

    fn end(&mut self, exit: Exit) {
        // The first word counts: a life ends once.
        self.core.notes.exit.borrow_mut().get_or_insert(exit);
        self.actix.stop();
    }

    fn push(&mut self, kind: Kind, future: impl Future<Output = Then<A>> + 'static) {
        let notes = self.core.notes.clone();
        self.core.tasks.push(Task { future: Some(Box::pin(future)), kind, notes });
    }

    fn tick(&mut self, mut interval: Interval, handle: AbortHandle, mut f: Tick<A>) {
        self.push(Kind::Timer, async move {
            interval.tick().await;
            Some(Box::new(move |actor: &mut A, ctx: &mut Ctx<'_, A>| {
                if handle.is_aborted() {
                    return;
                }
                f(actor, ctx);
                ctx.tick(interval, handle, f);
            }) as Box<_>)
        });
    }
}
