//! One supervised actor: polls it under `catch_unwind` and carries out its supervisor's orders.
//!
//! It decides nothing. Every failure is reported, and the next life waits for an order.

use std::{
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use actix::dev::ContextFut;
use tokio::{
    sync::mpsc::UnboundedReceiver,
    time::{Sleep, sleep},
};

use crate::{
    actor::Actor,
    address::ActorRef,
    exit::{Exit, Failure, Phase, caught},
    host::{Host, Notes, RestartStep},
    post::{News, Order, Post},
    status::{Meter, State, Status},
};

type Life<A> = Pin<Box<ContextFut<Host<A>, actix::Context<Host<A>>>>>;

pub(crate) struct Child<A: Actor> {
    address: ActorRef<A>,
    factory: Box<dyn Fn() -> A>,
    life: Option<Life<A>>,
    stage: Stage,
    notes: Rc<Notes>,
    orders: UnboundedReceiver<Order>,
    meter: Meter,
    /// Declared last, dropped last: when the news is out, the actor is gone.
    obituary: Obituary,
}

enum Stage {
    /// Not to be polled. `rebuilt` is false while the last life's failure is still to be told to the actor.
    Held { rebuilt: bool },
    /// In back-off, or about to live: even a timer of no length would wait for the clock to tick.
    Resting(Option<Pin<Box<Sleep>>>),
    /// Being polled. `reported` once it was seen to be up.
    Living { reported: bool },
}

/// Reports the end from `drop`, so that no way of dying goes unseen.
pub(crate) struct Obituary {
    pub(crate) post: Post,
    pub(crate) status: Arc<Status>,
    pub(crate) exit: Exit,
}

impl Drop for Obituary {
    fn drop(&mut self) {
        self.status.set_state(match self.exit {
            // It will be moved, unless the supervisor knows better.
            Exit::ArbiterLost | Exit::RestartRefused => State::BackingOff,
            _ => State::Stopped,
        });
        self.post.send(News::Ended(self.exit.clone()));
    }
}

impl<A: Actor> Child<A> {
    pub(crate) fn new(
        address: ActorRef<A>,
        factory: Box<dyn Fn() -> A>,
        orders: UnboundedReceiver<Order>,
        obituary: Obituary,
    ) -> Self {
        let meter = Meter::new(Arc::clone(address.status()));
        let stage = Stage::Held { rebuilt: true };
        Self { address, factory, life: None, stage, notes: Notes::new(), orders, meter, obituary }
    }

    /// Carries out one order; true when it was the last.
    fn obey(&mut self, order: Order) -> bool {
        match order {
            Order::Resume { after } => self.resume(after),
            Order::Hold { why } => self.hold(why),
            Order::Drain => self.drain(),
            Order::Kill => {
                self.obituary.exit = Exit::Killed;
                return true;
            }
        }
        false
    }

    fn resume(&mut self, after: Duration) {
        // Orders cross with failures, so one that lives may be told to.
        if !matches!(self.stage, Stage::Held { .. }) {
            return;
        }
        if let Err(failed) = self.rebuild() {
            return self.obituary.post.send(News::Failed(failed));
        }
        if !after.is_zero() {
            self.obituary.status.set_backing_off(after);
        }
        self.stage = Stage::Resting((!after.is_zero()).then(|| Box::pin(sleep(after))));
    }

    fn hold(&mut self, why: Exit) {
        if let Stage::Living { .. } = self.stage {
            self.end_life(Failure { exit: why, at_hand: None });
        }
        // If this fails it is tried again on resume, which tells the supervisor of it.
        self.stage = Stage::Held { rebuilt: self.rebuild().is_ok() };
        self.obituary.status.set_state(State::Held);
        self.obituary.post.send(News::Held);
    }

    fn drain(&mut self) {
        self.notes.draining.set(true);
        if let Stage::Living { .. } = self.stage {
            self.obituary.status.set_state(State::Draining);
            self.address.post_drain();
        }
    }

    fn begin_life(&mut self) {
        if self.life.is_none() {
            // The receiver is taken after the factory has returned: a panic in it must not lose what is queued.
            match caught(&self.factory) {
                Ok(actor) => {
                    let host = Host::new(actor, self.address.clone(), Rc::clone(&self.notes));
                    let context = actix::Context::with_receiver(self.address.take_receiver());
                    self.life = Some(Box::pin(context.into_future(host)));
                }
                Err(text) => return self.fail(Exit::Panicked { text, phase: Phase::Build }),
            }
        }
        let status = &self.obituary.status;
        status.generation.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        status.mark_progress();
        self.stage = Stage::Living { reported: false };
        if self.notes.draining.get() {
            self.drain();
        } else {
            status.set_state(State::Starting);
        }
    }

    /// Polls the life. Ready when there is something else to do than wait.
    fn poll_life(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(life) = self.life.as_mut() else { return Poll::Ready(()) };
        self.meter.enter();
        let polled = caught(|| life.as_mut().poll(cx));
        self.meter.leave(self.notes.messages.take(), self.notes.tasks_done.take(), self.notes.in_flight.get());
        match polled {
            Ok(Poll::Pending) => {
                if let Stage::Living { reported: reported @ false } = &mut self.stage {
                    *reported = true;
                    if !self.notes.draining.get() {
                        self.obituary.status.set_state(State::Running);
                    }
                    self.obituary.post.send(News::Running);
                }
                return Poll::Pending;
            }
            Ok(Poll::Ready(())) => {
                let exit = self.notes.exit.take().unwrap_or(Exit::Stopped);
                self.fail(exit);
            }
            Err(text) => self.fail(Exit::Panicked { text, phase: self.notes.phase.get() }),
        }
        Poll::Ready(())
    }

    /// The life is over; what follows is the supervisor's decision.
    fn fail(&mut self, exit: Exit) {
        if matches!(exit, Exit::Panicked { .. }) {
            self.obituary.status.count_panic();
        }
        self.end_life(Failure { exit, at_hand: self.notes.at_hand.take() });
    }

    /// Cancels what the life had in flight, at once: guards in it tell their owners, who need not wait for a back-off.
    fn end_life(&mut self, failure: Failure) {
        self.notes.exit.take();
        self.notes.failure.replace(Some(failure));
        self.stage = Stage::Held { rebuilt: false };
        self.obituary.status.set_state(State::BackingOff);
        // A panic here comes from something being dropped; what was cancelled stays cancelled.
        self.restart_in_place(RestartStep::Cancel).ok();
    }

    /// Lets the actor rebuild its state, if it has not since its last life.
    fn rebuild(&mut self) -> Result<(), Failure> {
        if !matches!(self.stage, Stage::Held { rebuilt: false }) {
            return Ok(());
        }
        let failure = self.notes.failure.borrow().clone();
        if let Some(failure) = failure {
            self.obituary.status.count_restart(&failure.exit);
        }
        self.restart_in_place(RestartStep::Rebuild).map_err(|text| {
            let failure = Failure { exit: Exit::Panicked { text, phase: Phase::Restarting }, at_hand: None };
            self.obituary.status.count_panic();
            self.end_life(failure.clone());
            failure
        })
    }

    fn restart_in_place(&mut self, step: RestartStep) -> Result<(), String> {
        let Some(life) = self.life.as_mut() else { return Ok(()) };
        self.notes.step.set(step);
        if !caught(|| life.restart())? {
            self.obituary.exit = Exit::RestartRefused;
        }
        Ok(())
    }

    fn report_failure(&self) {
        if let Some(failure) = self.notes.failure.borrow().clone() {
            self.obituary.post.send(News::Failed(failure));
        }
    }

    /// A life that ended because the actor was done is the last one.
    fn is_done(&self) -> bool {
        let exit = self.notes.failure.borrow().as_ref().map(|failure| failure.exit.clone());
        match exit {
            Some(Exit::Drained) => true,
            Some(Exit::Stopped) => self.notes.draining.get(),
            _ => false,
        }
    }
}

impl<A: Actor> Future for Child<A> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let me = self.get_mut();
        loop {
            while let Poll::Ready(order) = me.orders.poll_recv(cx) {
                // No supervisor, no child.
                if me.obey(order.unwrap_or(Order::Kill)) || me.obituary.exit == Exit::RestartRefused {
                    return Poll::Ready(());
                }
            }
            match &mut me.stage {
                Stage::Held { .. } => return Poll::Pending,
                Stage::Resting(sleep) => {
                    if let Some(sleep) = sleep {
                        ready!(sleep.as_mut().poll(cx));
                    }
                    me.begin_life();
                }
                Stage::Living { .. } => ready!(me.poll_life(cx)),
            }
            if let Stage::Held { rebuilt: false } = me.stage {
                if me.is_done() {
                    me.obituary.exit = me.notes.failure.take().map_or(Exit::Drained, |failure| failure.exit);
                    return Poll::Ready(());
                }
                if me.obituary.exit == Exit::RestartRefused {
                    return Poll::Ready(());
                }
                me.report_failure();
            }
        }
    }
}

impl<A: Actor> Drop for Child<A> {
    fn drop(&mut self) {
        match self.obituary.exit {
            // Senders meanwhile are heard by the life on the next arbiter.
            Exit::ArbiterLost | Exit::RestartRefused => self.address.renew(),
            _ => self.address.close(),
        }
        self.notes.doomed.set(true);
        let life = self.life.take();
        caught(|| drop(life)).ok();
    }
}
