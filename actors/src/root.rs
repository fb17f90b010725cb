//! The root of a tree: starts it, ends it, and tells when it gave up.
//!
//! What to do then (an exit code, a last log line) is the program's business.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use prometheus::Registry;
use tokio::sync::{
    mpsc::{UnboundedSender, unbounded_channel},
    watch,
};

use crate::{
    arbiters::Arbiters,
    budget::{Backoff, Budget},
    child::Obituary,
    events::{Happening, Listener},
    exit::{Exit, Phase},
    observe::Observer,
    post::{News, Order, Post},
    spec::{SpecError, Strategy, SupervisorSpec, supervisor},
    status::{Status, lock},
    supervisor_ref::{Mail, SupervisorRef},
    tree::{Runner, SUPERVISOR},
};

/// The prefix of metric names unless another is given.
const PREFIX: &str = "millrace_";

/// What a tree lives in.
#[derive(Clone)]
pub struct Env {
    /// The worker threads.
    pub arbiters: Arbiters,
    /// Knows all actors.
    pub observer: Observer,
    /// Hears what happens.
    pub listener: Option<Listener>,
}

impl Env {
    /// An environment without metrics and without a listener.
    pub fn new(arbiters: Arbiters) -> Self {
        Self { arbiters, observer: Observer::default(), listener: None }
    }

    /// Registers the metrics of all actors, with the prefix `millrace_`.
    pub fn with_metrics(self, registry: &Registry) -> Result<Self, prometheus::Error> {
        self.with_metrics_named(registry, PREFIX)
    }

    /// Registers the metrics of all actors, with a prefix.
    pub fn with_metrics_named(self, registry: &Registry, prefix: &str) -> Result<Self, prometheus::Error> {
        self.observer.register_metrics(registry, prefix)?;
        Ok(self)
    }

    /// Tells `listener` what happens.
    pub fn with_listener(mut self, listener: impl Fn(&Happening) + Send + Sync + 'static) -> Self {
        self.listener = Some(Arc::new(listener));
        self
    }
}

/// Starts trees.
pub struct Root;

impl Root {
    /// Starts a tree on the current actix system. `spec.budget` says how often the whole of it may be restarted.
    pub fn start(spec: SupervisorSpec, env: Env) -> Result<RootHandle, SpecError> {
        let tree = supervisor(spec);
        tree.validate(&mut std::collections::HashSet::new())?;
        let (mail, inbox) = unbounded_channel();
        let (ended_sender, ended) = watch::channel(None);
        let observer = env.observer.clone();
        let obituary = Obituary {
            post: root_post(mail.clone(), ended_sender),
            status: Status::new(String::new(), SUPERVISOR, 0),
            exit: Exit::Panicked { text: String::new(), phase: Phase::Supervisor },
        };
        // The root is a child like any other; above it stands one that only counts its failures.
        let above = SupervisorSpec {
            name: String::new(),
            strategy: Strategy::OneForOne,
            budget: Budget {
                max_restarts: 0,
                window: Duration::ZERO,
                backoff: Backoff { min: Duration::ZERO, max: Duration::ZERO, jitter: 0.0 },
            },
            children: vec![tree],
        };
        let sender = mail.clone();
        actix_rt::System::current().arbiter().spawn_fn(move || {
            actix_rt::spawn(Runner::new(&above, env, sender, obituary).run(inbox));
        });
        mail.send(Mail::Order(Order::Resume { after: Duration::ZERO })).ok();
        Ok(RootHandle { mail, ended, observer })
    }
}

fn root_post(mail: UnboundedSender<Mail>, ended: watch::Sender<Option<Exit>>) -> Post {
    let gave_up = Mutex::new(None);
    Post::new(move |news| match news {
        News::Failed(failure) => {
            *lock(&gave_up) = Some(match failure.exit {
                Exit::ChildGaveUp { exit, .. } => *exit,
                exit => exit,
            });
            mail.send(Mail::Order(Order::Kill)).ok();
        }
        News::Ended(exit) => {
            let exit = lock(&gave_up).take().unwrap_or(exit);
            ended.send_replace(Some(exit));
        }
        News::Running | News::Held => {}
    })
}

/// A running tree. Dropping it ends nothing.
#[derive(Clone)]
pub struct RootHandle {
    mail: UnboundedSender<Mail>,
    ended: watch::Receiver<Option<Exit>>,
    observer: Observer,
}

impl RootHandle {
    /// Drains all children in reverse order of their start. What has not finished by the deadline is killed.
    pub fn drain(&self, deadline: Duration) -> impl Future<Output = Exit> + Send + use<> {
        self.mail.send(Mail::DrainFor(deadline)).ok();
        self.ended()
    }

    /// Ends everything now, in reverse order.
    pub fn kill(&self) -> impl Future<Output = Exit> + Send + use<> {
        self.mail.send(Mail::Order(Order::Kill)).ok();
        self.ended()
    }

    /// Ready when nothing lives any more: `Drained`, `Killed`, or `TooManyRestarts` if the root gave up.
    pub fn ended(&self) -> impl Future<Output = Exit> + Send + use<> {
        let mut ended = self.ended.clone();
        async move {
            let exit = ended.wait_for(Option::is_some).await.ok().and_then(|exit| exit.clone());
            // The system ended, and the tree with it.
            exit.unwrap_or(Exit::ArbiterLost)
        }
    }

    /// A supervisor of the tree, by name.
    pub fn supervisor(&self, name: &str) -> SupervisorRef {
        self.observer.supervisor(name)
    }

    /// What can be seen of the tree.
    pub fn observer(&self) -> &Observer {
        &self.observer
    }
}
