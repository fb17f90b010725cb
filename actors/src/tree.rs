//! A supervisor at work: carries out the steps of its [`Plan`] and tells it what its children say.
//!
//! All supervisors run on the system arbiter, away from the work, so that they can act when the work is stuck.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::{
    sync::{
        mpsc::{UnboundedReceiver, UnboundedSender},
        oneshot,
    },
    time::{Instant, sleep},
};

use crate::{
    child::Obituary,
    events::Happening,
    exit::{Exit, Failure, Phase, caught},
    plan::{Plan, SlotId, Step, Verdict},
    post::{Link, News, Order, Post},
    root::Env,
    spec::{ChildSpec, How, Seed, SpecError, SupervisorSpec},
    status::{State, Status},
    supervisor_ref::{Call, Mail, StartError},
};

/// A child that does not obey a kill for so long is stuck in a call; the tree goes on without it.
const KILL_GRACE: Duration = Duration::from_secs(1);

pub(crate) const SUPERVISOR: &str = "supervisor";

pub(crate) struct SupervisorSeed {
    spec: SupervisorSpec,
    status: Arc<Status>,
}

impl SupervisorSeed {
    pub(crate) fn new(spec: SupervisorSpec) -> Self {
        let status = Status::new(spec.name.clone(), SUPERVISOR, 0);
        status.set_arbiter("system");
        Self { spec, status }
    }
}

impl Seed for SupervisorSeed {
    fn launch(&self, post: Post, env: &Env, after: Duration) -> Link {
        let (mail, inbox) = env.observer.desk(&self.spec.name).occupy();
        let exit = Exit::Panicked { text: String::new(), phase: Phase::Supervisor };
        let obituary = Obituary { post, status: Arc::clone(&self.status), exit };
        let runner = Runner::new(&self.spec, env.clone(), mail.clone(), obituary);
        actix_rt::spawn(runner.run(inbox));
        mail.send(Mail::Order(Order::Resume { after })).ok();
        Link::new(move |order| {
            mail.send(Mail::Order(order)).ok();
        })
    }

    fn close(&self, env: &Env) {
        env.observer.desk(&self.spec.name).close();
        for child in &self.spec.children {
            child.seed.close(env);
        }
        self.status.set_state(State::Stopped);
    }

    fn status(&self) -> &Arc<Status> {
        &self.status
    }

    fn children(&self) -> &[ChildSpec] {
        &self.spec.children
    }
}

/// A child as its supervisor sees it.
struct Seat {
    spec: ChildSpec,
    link: Option<Link>,
    /// News of an earlier one are old.
    incarnation: u64,
    to_tell_up: Vec<oneshot::Sender<Result<(), StartError>>>,
    to_tell_gone: Vec<oneshot::Sender<Exit>>,
}

pub(crate) struct Runner {
    env: Env,
    plan: Plan,
    seats: HashMap<SlotId, Seat>,
    mail: UnboundedSender<Mail>,
    /// Tells the back-off that is waited for from those that were overtaken.
    epoch: u64,
    ended: bool,
    obituary: Obituary,
}

impl Runner {
    pub(crate) fn new(spec: &SupervisorSpec, env: Env, mail: UnboundedSender<Mail>, obituary: Obituary) -> Self {
        let plan = Plan::new(spec.strategy);
        let mut runner = Self { env, plan, seats: HashMap::new(), mail, epoch: 0, ended: false, obituary };
        for child in &spec.children {
            runner.seat(child.clone());
        }
        runner
    }

    pub(crate) async fn run(mut self, mut inbox: UnboundedReceiver<Mail>) {
        while !self.ended {
            // The sender is kept in self, so mail cannot end.
            let Some(mail) = inbox.recv().await else { break };
            self.read(mail);
            loop {
                let steps = self.plan.next_steps();
                if steps.is_empty() {
                    break;
                }
                self.carry_out(steps);
            }
        }
    }

    fn seat(&mut self, spec: ChildSpec) -> SlotId {
        let id = self.plan.add(spec.name.clone(), spec.policy, spec.budget);
        let seat = Seat { spec, link: None, incarnation: 0, to_tell_up: Vec::new(), to_tell_gone: Vec::new() };
        self.seats.insert(id, seat);
        id
    }

    fn read(&mut self, mail: Mail) {
        match mail {
            Mail::News { slot, incarnation, news } => {
                if self.seats.get(&slot).is_some_and(|seat| seat.incarnation == incarnation) {
                    self.hear(slot, news);
                }
            }
            Mail::Order(order) => self.obey(order),
            Mail::Call(Call::StartChild { spec, reply }) => self.start_child(spec, reply),
            Mail::Call(Call::StopChild { name, how, reply }) => self.stop_child(&name, how, reply),
            Mail::Rested { epoch } if epoch == self.epoch => self.plan.resume(),
            Mail::Rested { .. } => {}
            Mail::DrainFor(deadline) => {
                self.obey(Order::Drain);
                self.remind(deadline, Mail::DrainOverdue { slot: None });
            }
            Mail::DrainOverdue { slot: None } => self.plan.stop(true),
            Mail::DrainOverdue { slot: Some(slot) } => {
                let steps = self.plan.stop_child(slot, true);
                self.carry_out(steps);
            }
            Mail::KillOverdue { slot, incarnation } => {
                if self.seats.get(&slot).is_some_and(|seat| seat.incarnation == incarnation) {
                    self.hear(slot, News::Ended(Exit::Killed));
                }
            }
        }
    }

    fn obey(&mut self, order: Order) {
        self.epoch += 1;
        match order {
            Order::Resume { after } if after.is_zero() => self.plan.resume(),
            Order::Resume { after } => {
                self.obituary.status.set_backing_off(after);
                self.remind(after, Mail::Rested { epoch: self.epoch });
            }
            Order::Hold { why } => self.plan.hold(why),
            Order::Drain => {
                self.obituary.status.set_state(State::Draining);
                self.plan.stop(false);
            }
            Order::Kill => self.plan.stop(true),
        }
    }

    fn hear(&mut self, id: SlotId, news: News) {
        let (now, random) = (Instant::now(), fastrand::f64());
        let Some(seat) = self.seats.get_mut(&id) else { return };
        let actor = seat.spec.name.clone();
        let (why, (verdict, steps)) = match news {
            News::Running => {
                self.plan.on_running(id);
                let waiting = std::mem::take(&mut seat.to_tell_up);
                for reply in waiting {
                    reply.send(Ok(())).ok();
                }
                let generation = seat.spec.seed.status().generation.load(Relaxed);
                return self.tell(&Happening::Running { actor, generation });
            }
            News::Held => return self.plan.on_held(id),
            News::Failed(failure) => {
                let judged = self.plan.on_failed(id, &failure.exit, now, random);
                (failure, judged)
            }
            News::Ended(exit) => {
                seat.link = None;
                let judged = self.plan.on_ended(id, &exit, now, random);
                if let (Verdict::Restart(_), _) = &judged {
                    seat.spec.seed.status().count_restart(&exit);
                }
                (Failure { exit, at_hand: None }, judged)
            }
        };
        match verdict {
            Verdict::Restart(after) => self.tell(&Happening::Restarting { actor, why, after }),
            Verdict::GiveUp(exit) => self.tell(&Happening::GaveUp { actor, exit }),
            Verdict::LetGo | Verdict::Nothing => {}
        }
        self.carry_out(steps);
    }

    fn carry_out(&mut self, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Launch(id, after) => self.launch(id, after),
                Step::Resume(id, after) => self.order(id, Order::Resume { after }),
                Step::Hold(id, why) => self.order(id, Order::Hold { why }),
                Step::Drain(id) => self.order(id, Order::Drain),
                Step::Kill(id) => self.kill(id),
                Step::Forget(id, exit) => self.forget(id, exit),
                Step::ReportRunning => {
                    self.obituary.status.generation.fetch_add(1, Relaxed);
                    self.obituary.status.set_state(State::Running);
                    self.obituary.post.send(News::Running);
                }
                Step::ReportHeld => {
                    self.obituary.status.set_state(State::Held);
                    self.obituary.post.send(News::Held);
                }
                Step::ReportFailed(exit) => {
                    self.obituary.status.set_state(State::BackingOff);
                    self.obituary.status.count_restart(&exit);
                    self.obituary.post.send(News::Failed(Failure { exit, at_hand: None }));
                }
                Step::ReportEnded(exit) => {
                    self.obituary.exit = exit;
                    self.ended = true;
                }
            }
        }
    }

    fn launch(&mut self, id: SlotId, after: Duration) {
        let Some(seat) = self.seats.get_mut(&id) else { return };
        seat.incarnation += 1;
        let status = seat.spec.seed.status();
        status.set_supervisor(&self.obituary.status.name);
        self.env.observer.enter(status);
        let (mail, incarnation) = (self.mail.clone(), seat.incarnation);
        let post = Post::new(move |news| {
            mail.send(Mail::News { slot: id, incarnation, news }).ok();
        });
        seat.link = Some(seat.spec.seed.launch(post, &self.env, after));
    }

    fn order(&self, id: SlotId, order: Order) {
        if let Some(link) = self.seats.get(&id).and_then(|seat| seat.link.as_ref()) {
            link.send(order);
        }
    }

    fn kill(&self, id: SlotId) {
        self.order(id, Order::Kill);
        // A supervisor below waits for its own children, and always obeys.
        if let Some(seat) = self.seats.get(&id)
            && seat.spec.seed.status().kind != SUPERVISOR
        {
            self.remind(KILL_GRACE, Mail::KillOverdue { slot: id, incarnation: seat.incarnation });
        }
    }

    fn forget(&mut self, id: SlotId, exit: Exit) {
        let Some(seat) = self.seats.remove(&id) else { return };
        seat.spec.seed.close(&self.env);
        self.env.observer.leave(seat.spec.seed.status());
        self.tell(&Happening::Ended { actor: seat.spec.name, exit: exit.clone() });
        for reply in seat.to_tell_up {
            reply.send(Err(StartError::Ended(exit.clone()))).ok();
        }
        for reply in seat.to_tell_gone {
            reply.send(exit.clone()).ok();
        }
    }

    fn start_child(&mut self, spec: ChildSpec, reply: oneshot::Sender<Result<(), StartError>>) {
        if self.plan.is_stopping() {
            return drop(reply.send(Err(StartError::NoSupervisor)));
        }
        let mut names = HashSet::new();
        let valid = spec.validate(&mut names).and_then(|()| {
            let taken = names.iter().find(|name| self.plan.find(name).is_some() || self.env.observer.knows(name));
            taken.map_or(Ok(()), |name| Err(SpecError::NameTaken { name: (*name).to_owned() }))
        });
        if let Err(error) = valid {
            return drop(reply.send(Err(error.into())));
        }
        let id = self.seat(spec);
        if let Some(seat) = self.seats.get_mut(&id) {
            seat.to_tell_up.push(reply);
        }
    }

    fn stop_child(&mut self, name: &str, how: How, reply: oneshot::Sender<Exit>) {
        let Some(id) = self.plan.find(name) else { return drop(reply.send(Exit::Stopped)) };
        if let Some(seat) = self.seats.get_mut(&id) {
            seat.to_tell_gone.push(reply);
        }
        let steps = self.plan.stop_child(id, how == How::Kill);
        self.carry_out(steps);
        if let How::Drain(deadline) = how {
            self.remind(deadline, Mail::DrainOverdue { slot: Some(id) });
        }
    }

    fn remind(&self, after: Duration, mail: Mail) {
        let to = self.mail.clone();
        actix_rt::spawn(async move {
            sleep(after).await;
            to.send(mail).ok();
        });
    }

    fn tell(&self, happening: &Happening) {
        if let Some(listener) = &self.env.listener {
            // Supervision must survive its audience.
            caught(|| listener(happening)).ok();
        }
    }
}
