//! An actor that does what a test tells it, a log of what happened, and systems to run both in.
#![allow(dead_code, clippy::unwrap_used, reason = "each test uses its part")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use actix_rt::System;
use millrace_actors::{
    Actor, ActorRef, Arbiters, Backoff, Budget, ChildSpec, Ctx, Env, Failure, Place, Receive, Root, RootHandle,
    Strategy, SupervisorSpec, actor,
};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, timeout},
};

/// Runs a test in time that jumps whenever nothing is left to do. What hangs ends after a virtual hour.
pub(crate) fn paused<F: Future<Output = ()>>(test: F) {
    let runtime =
        || tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    System::with_tokio_rt(runtime).block_on(async {
        timeout(Duration::from_hours(1), test).await.expect("the test hangs");
    });
}

/// Runs a test in real time: for what needs several threads.
pub(crate) fn real<F: Future<Output = ()>>(test: F) {
    System::new().block_on(async {
        timeout(Duration::from_secs(30), test).await.expect("the test hangs");
    });
}

/// Enough for everything that is runnable to have run, in paused time.
pub(crate) async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

/// Waits until `condition` holds, in real or paused time.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        sleep(Duration::from_millis(1)).await;
    }
}

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What happened, in order.
#[derive(Clone)]
pub(crate) struct Log {
    lines: Arc<Mutex<Vec<(Duration, String)>>>,
    since: Instant,
}

impl Default for Log {
    fn default() -> Self {
        Self { lines: Arc::default(), since: Instant::now() }
    }
}

impl Log {
    pub(crate) fn say(&self, text: impl Into<String>) {
        self.lines.lock().unwrap().push((self.since.elapsed(), text.into()));
    }

    /// All lines so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().iter().map(|(_, text)| text.clone()).collect()
    }

    /// All lines so far, which are then forgotten.
    pub(crate) fn take(&self) -> Vec<String> {
        self.lines.lock().unwrap().drain(..).map(|(_, text)| text).collect()
    }

    /// When lines with this text were said, in milliseconds.
    pub(crate) fn times(&self, text: &str) -> Vec<u128> {
        self.lines.lock().unwrap().iter().filter(|(_, line)| line == text).map(|(at, _)| at.as_millis()).collect()
    }

    pub(crate) fn count(&self, text: &str) -> usize {
        self.times(text).len()
    }
}

type Hook = Arc<dyn Fn(&mut Ctx<'_, Probe>) + Send + Sync>;
type PlainHook = Arc<dyn Fn() + Send + Sync>;

/// What a probe does in its hooks, besides saying so.
#[derive(Clone, Default)]
pub(crate) struct Script {
    pub(crate) started: Option<Hook>,
    pub(crate) drain: Option<Hook>,
    pub(crate) restarting: Option<PlainHook>,
    pub(crate) stopped: Option<PlainHook>,
}

impl Script {
    pub(crate) fn started(hook: impl Fn(&mut Ctx<'_, Probe>) + Send + Sync + 'static) -> Self {
        Self { started: Some(Arc::new(hook)), ..Self::default() }
    }

    pub(crate) fn drain(hook: impl Fn(&mut Ctx<'_, Probe>) + Send + Sync + 'static) -> Self {
        Self { drain: Some(Arc::new(hook)), ..Self::default() }
    }

    pub(crate) fn restarting(hook: impl Fn() + Send + Sync + 'static) -> Self {
        Self { restarting: Some(Arc::new(hook)), ..Self::default() }
    }

    pub(crate) fn stopped(hook: impl Fn() + Send + Sync + 'static) -> Self {
        Self { stopped: Some(Arc::new(hook)), ..Self::default() }
    }
}

/// Says its name and what happens to it.
pub(crate) struct Probe {
    pub(crate) name: String,
    pub(crate) log: Log,
    pub(crate) script: Script,
    /// Lost in a restart, as all state.
    pub(crate) state: u32,
    pub(crate) last_failure: Option<Failure>,
}

impl Probe {
    pub(crate) fn say(&self, what: &str) {
        self.log.say(format!("{} {what}", self.name));
    }
}

impl Actor for Probe {
    fn started(&mut self, ctx: &mut Ctx<'_, Self>) {
        self.say("started");
        if let Some(hook) = self.script.started.clone() {
            hook(ctx);
        }
    }

    fn restarting(&mut self, why: &Failure) {
        self.say("restarting");
        self.state = 0;
        self.last_failure = Some(why.clone());
        if let Some(hook) = self.script.restarting.clone() {
            hook();
        }
    }

    fn drain(&mut self, ctx: &mut Ctx<'_, Self>) {
        self.say("drain");
        match self.script.drain.clone() {
            Some(hook) => hook(ctx),
            None => ctx.drained(),
        }
    }

    fn stopped(&mut self) {
        self.say("stopped");
        if let Some(hook) = self.script.stopped.clone() {
            hook();
        }
    }

    fn observe(&self) -> serde_json::Value {
        serde_json::json!({ "state": self.state })
    }
}

/// A message that says what to do with it.
pub(crate) struct Do(What);

type What = Box<dyn FnOnce(&mut Probe, &mut Ctx<'_, Probe>) + Send>;

impl Do {
    pub(crate) fn new(what: impl FnOnce(&mut Probe, &mut Ctx<'_, Probe>) + Send + 'static) -> Self {
        Self(Box::new(what))
    }

    pub(crate) fn say(what: &'static str) -> Self {
        Self::new(move |probe, _| probe.say(what))
    }

    pub(crate) fn panic(text: &'static str) -> Self {
        Self::new(move |_, _| panic!("{text}"))
    }
}

impl Receive<Do> for Probe {
    fn receive(&mut self, message: Do, ctx: &mut Ctx<'_, Self>) {
        (message.0)(self, ctx);
    }
}

/// The actor answers with what `question` makes of it.
pub(crate) async fn ask<T: Send + 'static>(
    to: &ActorRef<Probe>,
    question: impl FnOnce(&mut Probe) -> T + Send + 'static,
) -> Option<T> {
    let (reply, answer) = oneshot::channel();
    to.tell(Do::new(move |probe, _| drop(reply.send(question(probe))))).ok()?;
    answer.await.ok()
}

/// Three restarts within ten seconds, after 50, 100 and 200 ms.
pub(crate) fn budget() -> Budget {
    Budget {
        max_restarts: 3,
        window: Duration::from_secs(10),
        backoff: Backoff { min: ms(50), max: ms(1000), jitter: 0.0 },
    }
}

/// The first failure is final.
pub(crate) fn no_restart() -> Budget {
    Budget { max_restarts: 0, ..budget() }
}

pub(crate) fn unborn(name: &str) -> ActorRef<Probe> {
    ActorRef::unborn(name, 4)
}

pub(crate) fn probe(to: &ActorRef<Probe>, place: Place, log: &Log, script: Script) -> ChildSpec {
    let (name, log) = (to.name().to_owned(), log.clone());
    actor(to.clone(), place, budget(), move || Probe {
        name: name.clone(),
        log: log.clone(),
        script: script.clone(),
        state: 0,
        last_failure: None,
    })
}

pub(crate) fn spec(name: &str, strategy: Strategy, children: Vec<ChildSpec>) -> SupervisorSpec {
    SupervisorSpec { name: name.into(), strategy, budget: budget(), children }
}

/// A root that gives up with the first child that does.
pub(crate) fn root(strategy: Strategy, children: Vec<ChildSpec>) -> RootHandle {
    let spec = SupervisorSpec { budget: no_restart(), ..spec("root", strategy, children) };
    Root::start(spec, Env::new(Arbiters::none())).expect("a valid specification")
}

/// One probe under a root, up.
pub(crate) async fn single(log: &Log, script: Script) -> (ActorRef<Probe>, RootHandle) {
    let to = unborn("a");
    let handle = root(Strategy::OneForOne, vec![probe(&to, Place::System, log, script)]);
    settle().await;
    (to, handle)
}
