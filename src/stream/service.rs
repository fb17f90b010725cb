//! The service as a whole: makes it ready, runs the tree and the admin port, and ends it in order.

use std::iter;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use millrace_actors::{Arbiters, Env, Exit, Happening, Limits as Watch, Root, RootHandle, Sighting, Watchdog};
use prometheus::Registry;
use slog::Logger;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::halt::{self, Halt};
use super::setting::{self, Setting};
use super::tree::tree;
use crate::admin::{self, AdminHandle, Health, health};
use crate::config::{AFTER_DRAIN, Settings};
use crate::events::{Events, Metrics};
use crate::graph::Plan;
use crate::kafka::status::Heartbeat;

mod actors;
mod feedback;
mod signals;

use actors::{Actors, TreeActors};
use feedback::Beside;
use signals::exit_now;

/// Ended as asked.
pub const OK: u8 = 0;
/// A record failed, which is to stop the service.
pub const BAD_DATA: u8 = 65;
/// Gave up after restarts, or made no progress.
pub const GAVE_UP: u8 = 70;

/// How often what is shown is brought up to date.
const LOOK: Duration = Duration::from_millis(200);
/// A thread or actor that makes no progress for so long is told of.
const BLOCKED: Duration = Duration::from_secs(5);
/// And for so long, the process ends: nothing else can be done about a thread that does not come back.
const WEDGED: Duration = Duration::from_mins(1);
/// Waiting for a model or a broker is no sign of being stuck, however long.
const NEVER: Duration = Duration::from_hours(365 * 24);

/// Why the service could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings cannot be worked with.
    #[error("{0}")]
    Settings(String),
    /// The admin port.
    #[error(transparent)]
    Admin(#[from] admin::Error),
    /// The system refused a thread.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
}

impl StartError {
    /// Exit code for it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(_) => 78,
            Self::Admin(_) | Self::System(_) => 69,
        }
    }
}

/// A running service.
pub struct ServiceHandle {
    stop: Stopper,
    registry: Registry,
    actors: Arc<TreeActors>,
    admin: Option<SocketAddr>,
    thread: JoinHandle<u8>,
}

/// Asks a service to end.
#[derive(Clone)]
pub struct Stopper(mpsc::UnboundedSender<String>);

impl Stopper {
    /// Drains and ends. `why` is logged.
    pub fn stop(&self, why: &str) {
        // A service that has ended needs no asking.
        self.0.send(why.to_owned()).ok();
    }
}

impl ServiceHandle {
    /// A way to ask for its end.
    pub fn stopper(&self) -> Stopper {
        self.stop.clone()
    }

    /// Its metrics.
    pub fn registry(&self) -> Registry {
        self.registry.clone()
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Its actors.
    pub fn actors(&self) -> Arc<dyn admin::Actors> {
        self.actors.clone()
    }

    /// Where its admin port listens.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// Waits for its end; the process's exit code.
    pub fn join(self) -> u8 {
        self.thread.join().unwrap_or(GAVE_UP)
    }
}

/// Starts the service on a thread of its own; returns when its admin port listens. Feedback, if it is read, is a stream of its
/// own beside the requests.
pub fn start(settings: Settings, log: Logger) -> Result<ServiceHandle, StartError> {
    let halt = Arc::new(Halt::default());
    let beside = feedback::of(&settings).map(|settings| {
        let log = log.new(slog::o!("stream" => feedback::NAME));
        let stream = Ready::new(settings, log, feedback::registry()?, halt.clone())?;
        Ok::<_, StartError>(Beside { health: stream.health.clone(), handle: stream.begin(None, None)? })
    });
    let beside = beside.transpose()?;
    let stream = Ready::new(settings, log, Registry::new(), halt)?;
    let state = admin::State {
        health: stream.health.clone(),
        registries: iter::once(&stream.registry).chain(beside.iter().map(|it| &it.handle.registry)).cloned().collect(),
        actors: Arc::new(Actors {
            own: stream.actors.clone(),
            beside: beside.as_ref().map(|it| it.handle.actors.clone()),
        }),
    };
    let admin = admin::start(&stream.settings.admin, state)?;
    stream.events.admin_listens(&admin.address());
    stream.begin(Some(admin), beside)
}

/// A stream that can begin.
struct Ready {
    settings: Settings,
    plan: Plan,
    events: Events,
    env: Env,
    health: Health,
    registry: Registry,
    actors: Arc<TreeActors>,
    halt: Arc<Halt>,
}

impl Ready {
    fn new(settings: Settings, log: Logger, registry: Registry, halt: Arc<Halt>) -> Result<Self, StartError> {
        let plan = setting::plan(&settings).map_err(StartError::Settings)?;
        let metrics = Metrics::register(&registry, &settings.deployment, &settings.limits)
            .map_err(|error| StartError::Settings(format!("metrics: {error}")))?;
        let events = Events::new(log, metrics);
        let env = Env::new(Arbiters::none());
        let env = env.with_metrics(&registry).map_err(|error| StartError::Settings(format!("metrics: {error}")))?;
        let actors = Arc::new(TreeActors { observer: env.observer.clone(), arbiters: OnceLock::new() });
        // What is done in the process is always ready.
        let served = plan.nodes().filter(|(_, node)| node.calls().next().is_some());
        let health = Health::new(served.map(|(_, node)| &*node.name));
        health.set(health::CONFIG, true, "settings read, graph checked");
        Ok(Self { settings, plan, events, env, health, registry, actors, halt })
    }

    /// Runs it on a thread of its own; returns when its tree stands.
    fn begin(self, admin: Option<AdminHandle>, beside: Option<Beside>) -> Result<ServiceHandle, StartError> {
        let Self { settings, plan, events, env, health, registry, actors, halt } = self;
        let address = admin.as_ref().map(AdminHandle::address);
        let (stop, stopped) = mpsc::unbounded_channel();
        let (begun, word) = oneshot::channel();
        let actors_too = actors.clone();
        let service = Service { settings, plan, events, env, health, admin, beside, stopped, actors: actors_too, halt };
        let thread = std::thread::Builder::new()
            .name("millrace".into())
            .spawn(move || actix_rt::System::new().block_on(service.run(begun)))?;
        match word.blocking_recv() {
            Ok(Ok(())) => Ok(ServiceHandle { stop: Stopper(stop), registry, actors, admin: address, thread }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(StartError::Settings("the service's thread ended before it began".into())),
        }
    }
}

/// Runs the service until SIGTERM or SIGINT, and returns the exit code. A second signal ends the process at once.
pub fn run(settings: Settings, log: Logger) -> u8 {
    let told = log.clone();
    // Before anything begins: a stop during the start ends in order too.
    let signals = signals::catch();
    let service = match start(settings, log) {
        Ok(service) => service,
        Err(error) => {
            slog::crit!(told, "cannot start"; "error" => %error);
            return error.exit_code();
        }
    };
    if let Err(error) = signals.and_then(|signals| signals::act_on(signals, service.stopper())) {
        slog::error!(told, "signals cannot be handled; SIGTERM will not drain"; "error" => %error);
    }
    service.join()
}

struct Service {
    settings: Settings,
    plan: Plan,
    events: Events,
    env: Env,
    health: Health,
    admin: Option<AdminHandle>,
    beside: Option<Beside>,
    stopped: mpsc::UnboundedReceiver<String>,
    actors: Arc<TreeActors>,
    /// Shared with the stream beside.
    halt: Arc<Halt>,
}

impl Service {
    async fn run(mut self, begun: oneshot::Sender<Result<(), StartError>>) -> u8 {
        let (setting, root, arbiters, sink_heartbeat, _watchdog) = match self.begin() {
            Ok(parts) => parts,
            Err(error) => {
                // Whoever started it waits for this word.
                begun.send(Err(error)).ok();
                return GAVE_UP;
            }
        };
        begun.send(Ok(())).ok();
        self.events.started(&self.settings);
        let heartbeats = [("kafka consumer", &setting.consumer_heartbeat), ("kafka producer", &sink_heartbeat)];
        let mut look = tokio::time::interval(LOOK);
        let code = loop {
            tokio::select! {
                exit = root.ended() => break self.gave_up(&exit),
                () = halted(&self.halt, self.admin.is_some()) => {
                    break self.drain(&root, "a record failed and on_failure is stop", &setting).await;
                }
                why = self.stopped.recv() => break self.drain(&root, why.as_deref().unwrap_or("asked"), &setting).await,
                _ = look.tick() => {
                    self.show(&setting);
                    if setting.writer.has_failed() {
                        self.events.gave_up("kafka transactions", &"its thread panicked; the process ends");
                        break GAVE_UP;
                    }
                    if let Some(code) = self.check(&heartbeats).or_else(|| self.beside.as_ref()?.gave_up()) {
                        break code;
                    }
                }
            }
        };
        setting.writer.stop();
        if let Some(beside) = self.beside.take() {
            beside.end();
        }
        if code != GAVE_UP {
            arbiters.stop();
        }
        self.events.stopped(code);
        if let Some(admin) = self.admin {
            admin.stop();
            if let Some(record) = self.halt.first() {
                // Last of all, so that it is what whoever looks for the reason sees.
                self.events.halted(&record.told(), halt::REMEDY);
            }
        }
        code
    }

    fn begin(&mut self) -> Result<(Setting, RootHandle, Arbiters, Heartbeat, Watchdog), StartError> {
        let sink_heartbeat = Heartbeat::new();
        let writer = setting::writer(&self.settings, &self.events, &sink_heartbeat).map_err(StartError::Settings)?;
        let (plan, halt) = (self.plan.clone(), self.halt.clone());
        let setting = Setting::new(&self.settings, plan, writer, halt, self.events.clone());
        let setting = setting.map_err(StartError::Settings)?;
        let arbiters = Arbiters::start(self.settings.threads.max(1))?;
        let mut env = self.env.clone();
        env.arbiters = arbiters.clone();
        // Set once: a service begins once.
        self.actors.arbiters.set(arbiters.clone()).ok();
        let events = self.events.clone();
        let env = env.with_listener(move |happening| tell(&events, happening));
        let tree = tree(&setting, &arbiters, &env.observer);
        let watchdog = self.watch(&env)?;
        let root = Root::start(tree.spec, env).map_err(|error| StartError::Settings(error.to_string()))?;
        Ok((setting, root, arbiters, sink_heartbeat, watchdog))
    }

    fn watch(&self, env: &Env) -> std::io::Result<Watchdog> {
        let (events, health) = (self.events.clone(), self.health.clone());
        let limits = Watch { blocked: BLOCKED, stalled: NEVER, arbiter: BLOCKED };
        Watchdog::start(env, limits, move |sighting| match sighting {
            Sighting::Wedged { subject, since } => {
                events.wedged(&subject.to_string(), *since);
                health.set_alive(false, format!("{subject} makes no progress"));
            }
            Sighting::StillWedged { subject, since } if *since >= WEDGED => {
                events.gave_up(&subject.to_string(), &"makes no progress; the process ends");
                exit_now(GAVE_UP);
            }
            Sighting::StillWedged { .. } => {}
            Sighting::Recovered { .. } => health.set_alive(true, ""),
        })
    }

    fn gave_up(&self, exit: &Exit) -> u8 {
        self.health.set(health::NOT_FAILED, false, exit.to_string());
        self.events.gave_up("root", exit);
        GAVE_UP
    }

    async fn drain(&self, root: &RootHandle, why: &str, setting: &Setting) -> u8 {
        let budget = setting.drain + AFTER_DRAIN;
        self.health.set(health::NOT_DRAINING, false, why.to_owned());
        self.events.drain_started(why, budget);
        let begun = Instant::now();
        if let Some(beside) = &self.beside {
            // Both drain at the same time.
            beside.handle.stop.stop(why);
        }
        root.drain(budget).await;
        self.events.drained(begun.elapsed());
        if self.halt.first().is_some() { BAD_DATA } else { OK }
    }

    /// Brings up to date what is shown and not told when it happens.
    fn show(&self, setting: &Setting) {
        self.events.in_flight_records.set(setting.permits.records_used() as i64);
        self.events.in_flight_bytes.set(setting.permits.bytes_used() as i64);
        self.events.held_bytes.set(setting.permits.held_used() as i64);
        let (ok, detail) = setting.writer.state();
        self.health.set(health::PRODUCER, ok, detail);
        let (brokers, group) = (setting.status.brokers(), setting.status.group());
        self.health.set(health::BROKERS, brokers.ok, brokers.detail);
        self.health.set(health::GROUP, group.ok, group.detail);
        if let Some(beside) = &self.beside {
            beside.show(&self.health);
        }
        for node in setting.endpoints.iter().filter(|endpoint| endpoint.of.primary) {
            let name = health::node(&node.of.node.name);
            let state = node.seen.state();
            node.metrics.set_up(state.is_ok());
            match state {
                Ok(()) => self.health.set(&name, true, format!("ready at {}", node.of.node.addresses())),
                Err(why) => self.health.set(&name, false, format!("{}: {why}", node.of.node.addresses())),
            }
        }
    }

    /// A thread of the client library's that gives no sign of life: Kafka's own timer cannot see it.
    fn check(&self, heartbeats: &[(&str, &Heartbeat)]) -> Option<u8> {
        for (name, heartbeat) in heartbeats {
            let age = heartbeat.age();
            if age >= WEDGED {
                self.events.gave_up(name, &"its thread makes no progress; the process ends");
                return Some(GAVE_UP);
            }
        }
        None
    }
}

/// Waits for a record that stops the service. Only one stream waits, and stops the other.
async fn halted(halt: &Halt, waits: bool) {
    if waits { halt.halted().await } else { std::future::pending().await }
}

fn tell(events: &Events, happening: &Happening) {
    match happening {
        Happening::Restarting { actor, why, .. } => events.actor_failed(actor, &why.exit),
        Happening::Running { actor, generation } if *generation > 1 => events.actor_restarted(actor, *generation - 1),
        Happening::GaveUp { actor, exit } => events.gave_up(actor, exit),
        _ => {}
    }
}
