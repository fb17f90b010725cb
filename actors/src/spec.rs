//! The tree as data: who is supervised by whom, where, and how often it may fail.
//!
//! Nothing starts here; [`crate::Root::start`] and [`crate::SupervisorRef::start_child`] take these.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::mpsc::unbounded_channel;

use crate::{
    actor::Actor,
    address::ActorRef,
    arbiters::Place,
    budget::{Budget, BudgetError},
    child::{Child, Obituary},
    exit::Exit,
    post::{Link, Order, Post},
    root::Env,
    status::{State, Status, lock},
    tree::SupervisorSeed,
};

/// Whether an actor that ended lives again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Always.
    #[default]
    Permanent,
    /// Unless it ended by itself.
    Transient,
    /// Never.
    Temporary,
}

impl RestartPolicy {
    pub(crate) fn restarts_after(self, exit: &Exit) -> bool {
        match self {
            Self::Permanent => true,
            Self::Transient => exit.is_failure(),
            Self::Temporary => false,
        }
    }
}

/// Who is restarted with a child that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Nobody: the children do not depend on each other.
    OneForOne,
    /// Those that come after it in the order.
    RestForOne,
    /// All.
    OneForAll,
}

/// A supervisor and its children, in the order in which they start; they stop in reverse.
#[derive(Clone, Debug)]
pub struct SupervisorSpec {
    /// Unique in the tree.
    pub name: String,
    /// Who is restarted with whom.
    pub strategy: Strategy,
    /// How often this supervisor may be restarted, with all its children, after one of them exceeded its own budget.
    pub budget: Budget,
    /// In order.
    pub children: Vec<ChildSpec>,
}

/// How to end a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Let it finish what it has, for so long at most.
    Drain(Duration),
    /// Now.
    Kill,
}

/// One child of a supervisor: an actor or another supervisor.
#[derive(Clone)]
pub struct ChildSpec {
    pub(crate) name: String,
    pub(crate) policy: RestartPolicy,
    pub(crate) budget: Budget,
    pub(crate) seed: Arc<dyn Seed>,
}

/// What makes a child, again and again.
pub(crate) trait Seed: Send + Sync {
    fn launch(&self, post: Post, env: &Env, after: Duration) -> Link;
    /// It will not be launched any more.
    fn close(&self, env: &Env);
    fn status(&self) -> &Arc<Status>;
    fn children(&self) -> &[ChildSpec];
}

/// An actor that `factory` makes on its arbiter, reached through `reference`.
pub fn actor<A, F>(reference: ActorRef<A>, place: Place, budget: Budget, factory: F) -> ChildSpec
where
    A: Actor,
    F: Fn() -> A + Send + Clone + 'static,
{
    let name = reference.name().to_owned();
    let seed = ActorSeed { reference, place, factory: Mutex::new(factory) };
    ChildSpec { name, policy: RestartPolicy::default(), budget, seed: Arc::new(seed) }
}

/// A supervisor below another.
pub fn supervisor(spec: SupervisorSpec) -> ChildSpec {
    let (name, budget) = (spec.name.clone(), spec.budget);
    ChildSpec { name, policy: RestartPolicy::default(), budget, seed: Arc::new(SupervisorSeed::new(spec)) }
}

impl ChildSpec {
    /// The same with another restart policy; [`RestartPolicy::Permanent`] is the default.
    pub fn with_policy(mut self, policy: RestartPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Unique in the tree.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Checks names and budgets of this child and all below it.
    pub(crate) fn validate<'a>(&'a self, names: &mut HashSet<&'a str>) -> Result<(), SpecError> {
        self.budget.validate().map_err(|error| SpecError::Budget { name: self.name.clone(), error })?;
        if !names.insert(&self.name) {
            return Err(SpecError::NameTaken { name: self.name.clone() });
        }
        self.seed.children().iter().try_for_each(|child| child.validate(names))
    }
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildSpec")
            .field("name", &self.name)
            .field("policy", &self.policy)
            .field("budget", &self.budget)
            .field("children", &self.seed.children())
            .finish_non_exhaustive()
    }
}

/// Why a specification cannot be started.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SpecError {
    /// Two live children would have the same name.
    #[error("the name {name} is taken")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// A budget contradicts itself.
    #[error("budget of {name}: {error}")]
    Budget {
        /// Whose budget.
        name: String,
        /// What is wrong with it.
        error: BudgetError,
    },
}

struct ActorSeed<A: Actor, F> {
    reference: ActorRef<A>,
    place: Place,
    /// Locked only to be cloned: a factory need not be `Sync`.
    factory: Mutex<F>,
}

impl<A: Actor, F: Fn() -> A + Send + Clone + 'static> Seed for ActorSeed<A, F> {
    fn launch(&self, post: Post, _: &Env, after: Duration) -> Link {
        let (sender, orders) = unbounded_channel();
        sender.send(Order::Resume { after }).ok();
        let status = Arc::clone(self.reference.status());
        status.set_arbiter(self.place.name());
        status.set_state(State::Starting);
        // Made here, so that the news gets out even if the arbiter ends before it comes to run this.
        let obituary = Obituary { post, status, exit: Exit::ArbiterLost };
        let factory = lock(&self.factory).clone();
        let address = self.reference.clone();
        let birth = move || {
            actix_rt::spawn(Child::new(address, Box::new(factory), orders, obituary));
        };
        match &self.place {
            // Supervisors run there, so this is there.
            Place::System => birth(),
            Place::On(arbiter) => arbiter.run(birth),
        }
        Link::new(move |order| {
            sender.send(order).ok();
        })
    }

    fn close(&self, _: &Env) {
        self.reference.close();
        self.reference.status().set_state(State::Stopped);
    }

    fn status(&self) -> &Arc<Status> {
        self.reference.status()
    }

    fn children(&self) -> &[ChildSpec] {
        &[]
    }
}
