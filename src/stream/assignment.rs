//! AssignmentActor: keeps a consumer client alive on its thread, and passes on what owners ask of it.
//!
//! The thread does what blocks. When it ends, every owner's life ends, and a new client joins the group after a back-off.

use std::sync::Arc;
use std::time::Duration;

use millrace_actors::{Actor, ActorRef, Ctx, Failure as Ended, Receive};
use rdkafka::ClientConfig;

use super::owners::Directory;
use crate::config::settings::Start;
use crate::events::Events;
use crate::kafka::assignment::Rules;
use crate::kafka::consumer::{Ask, ConsumerThread, Ended as ThreadEnded, Prepare, Setup};
use crate::kafka::status::{Heartbeat, Status};
use crate::kafka::transactor::Transactor;
use crate::record::{Epoch, Partition};

/// An owner has no position any more.
pub struct Reread {
    /// Its partition.
    pub partition: Partition,
    /// Its life that has left the log; without one, whichever life the partition has now.
    pub epoch: Option<Epoch>,
}

/// Go on with other settings of the client, such as renewed certificates: drain, commit, leave, and join anew.
pub struct Reopen(pub ClientConfig);

/// The thread is over.
struct ThreadIsOver(u64, ThreadEnded);

/// What an AssignmentActor works with.
#[derive(Clone)]
pub struct Parts {
    /// Settings of the client.
    pub config: ClientConfig,
    /// Input topic.
    pub topic: Arc<str>,
    /// Where to start without a usable committed offset.
    pub start: Start,
    /// Time for running work to finish.
    pub drain: Duration,
    /// Time between commits.
    pub commit_interval: Duration,
    /// What must be there before the group is joined.
    pub prepare: Prepare,
    /// Owners of partitions.
    pub directory: Arc<Directory>,
    /// Where happenings are told.
    pub events: Events,
    /// The transactions that offsets are committed in, if they are.
    pub transactor: Option<Arc<Transactor>>,
    /// What readiness asks.
    pub status: Arc<Status>,
    /// What the watchdog watches.
    pub heartbeat: Heartbeat,
}

/// The actor.
pub struct AssignmentActor {
    parts: Parts,
    thread: Option<ConsumerThread>,
    /// Tells the word of this thread from that of one before.
    generation: u64,
    reopening: bool,
}

impl AssignmentActor {
    /// An actor whose thread starts with it.
    pub fn new(parts: Parts) -> Self {
        Self { parts, thread: None, generation: 0, reopening: false }
    }

    fn start(&mut self, address: ActorRef<Self>) -> std::io::Result<()> {
        self.generation += 1;
        let generation = self.generation;
        let Parts {
            config,
            topic,
            start,
            drain,
            commit_interval,
            prepare,
            directory,
            events,
            transactor,
            status,
            heartbeat,
        } = self.parts.clone();
        let setup = Setup {
            config,
            rules: Rules { topic, start, drain },
            commit_interval,
            prepare,
            owners: directory,
            events,
            transactor,
            status,
            heartbeat,
        };
        let ended = move |end| drop(address.tell(ThreadIsOver(generation, end)));
        self.thread = Some(ConsumerThread::start(setup, ended)?);
        Ok(())
    }

    fn close(&mut self) {
        if let Some(thread) = &self.thread {
            thread.ask(Ask::Close);
        }
    }
}

impl Actor for AssignmentActor {
    fn started(&mut self, ctx: &mut Ctx<'_, Self>) {
        if let Err(error) = self.start(ctx.address()) {
            ctx.fail(format!("the consumer's thread could not be started: {error}"));
        }
    }

    fn restarting(&mut self, _: &Ended) {
        // An old thread that still runs leaves the group; its late word is told from the new one's by the generation.
        self.close();
        self.thread = None;
        self.reopening = false;
        self.parts.directory.end_all();
    }

    fn drain(&mut self, ctx: &mut Ctx<'_, Self>) {
        match &self.thread {
            Some(thread) if thread.ask(Ask::Close) => {}
            _ => ctx.drained(),
        }
    }

    fn stopped(&mut self) {
        self.close();
    }

    fn observe(&self) -> serde_json::Value {
        serde_json::json!({
            "clients_made": self.generation,
            "group": self.parts.status.group().detail,
            "brokers": self.parts.status.brokers().detail,
        })
    }
}

impl Receive<Reread> for AssignmentActor {
    fn receive(&mut self, reread: Reread, _: &mut Ctx<'_, Self>) {
        let epoch = reread.epoch.or_else(|| self.parts.directory.epoch(reread.partition));
        if let (Some(thread), Some(epoch)) = (&self.thread, epoch) {
            thread.ask(Ask::Resume(reread.partition, epoch));
        }
    }
}

impl Receive<Reopen> for AssignmentActor {
    fn receive(&mut self, reopen: Reopen, _: &mut Ctx<'_, Self>) {
        self.parts.config = reopen.0;
        self.reopening = true;
        self.close();
    }
}

impl Receive<ThreadIsOver> for AssignmentActor {
    fn receive(&mut self, ThreadIsOver(generation, end): ThreadIsOver, ctx: &mut Ctx<'_, Self>) {
        if generation != self.generation {
            return;
        }
        self.thread = None;
        self.parts.directory.end_all();
        match end {
            ThreadEnded::Closed if ctx.is_draining() => ctx.drained(),
            ThreadEnded::Closed if std::mem::take(&mut self.reopening) => {
                if let Err(error) = self.start(ctx.address()) {
                    ctx.fail(format!("the consumer's thread could not be started: {error}"));
                }
            }
            ThreadEnded::Closed => ctx.fail("the consumer's thread ended unasked"),
            ThreadEnded::Failed(why) => ctx.fail(why),
        }
    }
}
