//! The consumer's thread: one client for the process, polled for rebalances, errors and statistics.
//!
//! Records do not come this way: each partition's queue is read where its owner lives. What blocks (positions, seeks, the
//! commit at the end) blocks here and nowhere else.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::assignment::{Assignment, Client, Committer, Rules};
use super::source::Owners;
use super::status::{Heartbeat, Status};
use super::transactor::Transactor;
use crate::events::{Client as Which, Events};
use crate::record::{Epoch, Partition};

const POLL: Duration = Duration::from_millis(20);
/// Leaving the group and ending the client take no longer than this.
const CLOSE: Duration = Duration::from_secs(2);
/// How often a partition that cannot be read anew is tried before the client is given up.
const RESUMES: u32 = 10;
const PREPARE_PAUSE: Duration = Duration::from_secs(1);
const RESUME_PAUSE: Duration = Duration::from_millis(500);

/// What the thread is asked for.
pub enum Ask {
    /// The owner of this epoch has no position any more: give it a new epoch.
    Resume(Partition, Epoch),
    /// Drain, commit, leave the group, end.
    Close,
}

/// Why the thread ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to.
    Closed,
    /// The client cannot go on; a new one can.
    Failed(String),
}

/// Asked again and again until it says that the group may be joined, for example because topics are there.
pub type Prepare = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Everything the thread needs.
pub struct Setup {
    /// Settings of the client.
    pub config: ClientConfig,
    /// What the assignment goes by.
    pub rules: Rules,
    /// Time between commits.
    pub commit_interval: Duration,
    /// What must be there before the group is joined.
    pub prepare: Prepare,
    /// Who gets the partitions.
    pub owners: Arc<dyn Owners>,
    /// Where happenings are told.
    pub events: Events,
    /// The transactions that offsets are committed in, if they are.
    pub transactor: Option<Arc<Transactor>>,
    /// What readiness asks.
    pub status: Arc<Status>,
    /// What the watchdog watches.
    pub heartbeat: Heartbeat,
}

/// A running consumer thread.
pub struct ConsumerThread {
    asks: mpsc::Sender<Ask>,
}

impl ConsumerThread {
    /// Starts the thread; the client is made on it. `ended` is called with the reason when the thread ends.
    pub fn start(setup: Setup, ended: impl FnOnce(Ended) + Send + 'static) -> std::io::Result<Self> {
        let (asks, asked) = mpsc::channel();
        let run = move || {
            let status = setup.status.clone();
            let end = catch_unwind(AssertUnwindSafe(|| setup.run(&asked)))
                .unwrap_or_else(|_| Ended::Failed("the consumer's thread panicked".into()));
            status.left(match &end {
                Ended::Closed => None,
                Ended::Failed(why) => Some(why.clone()),
            });
            ended(end);
        };
        std::thread::Builder::new().name("kafka-consumer".into()).spawn(run)?;
        Ok(Self { asks })
    }

    /// Asks for something. `false` when the thread has ended.
    pub fn ask(&self, ask: Ask) -> bool {
        self.asks.send(ask).is_ok()
    }
}

struct Resume {
    partition: Partition,
    epoch: Epoch,
    tries: u32,
    at: Instant,
}

struct Running {
    client: Arc<Client>,
    committer: Option<Committer>,
    resumes: Vec<Resume>,
    events: Events,
    group: String,
}

impl Setup {
    fn run(self, asked: &mpsc::Receiver<Ask>) -> Ended {
        let Self { config, rules, commit_interval, prepare, owners, events, transactor, status, heartbeat } = self;
        while let Err(why) = prepare() {
            heartbeat.beat();
            status.waits(why);
            match asked.recv_timeout(PREPARE_PAUSE) {
                Ok(Ask::Close) | Err(mpsc::RecvTimeoutError::Disconnected) => return Ended::Closed,
                Ok(Ask::Resume(..)) | Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
        }
        heartbeat.beat();
        let topic = rules.topic.clone();
        let group = config.get("group.id").unwrap_or_default().to_owned();
        let in_transactions = transactor.is_some();
        let context = Assignment::new(rules, owners, events.clone(), transactor, status.clone(), heartbeat.clone());
        let client: Arc<Client> = match config.create_with_context(context) {
            Ok(client) => Arc::new(client),
            Err(error) => return Ended::Failed(format!("the consumer could not be made: {error}")),
        };
        client.context().belongs_to(&client);
        // In transactions, offsets are part of them.
        let committer = (!in_transactions).then(|| Committer::start(client.clone())).transpose();
        let committer = match committer {
            Ok(committer) => committer,
            Err(error) => return Ended::Failed(format!("no thread for commits: {error}")),
        };
        let mut running = Running { client: client.clone(), committer, resumes: Vec::new(), events, group };
        drop(client);
        let end = match running.client.subscribe(&[&topic]) {
            Ok(()) => running.serve(asked, commit_interval, &heartbeat, &status),
            Err(error) => Ended::Failed(format!("cannot subscribe to {topic}: {error}")),
        };
        running.close(end == Ended::Closed, &heartbeat);
        end
    }
}

impl Running {
    fn serve(
        &mut self,
        asked: &mpsc::Receiver<Ask>,
        commit_interval: Duration,
        heartbeat: &Heartbeat,
        status: &Status,
    ) -> Ended {
        let mut next_commit = Instant::now() + commit_interval;
        loop {
            heartbeat.beat();
            match self.client.poll(POLL) {
                None => {}
                // Every queue is split off before it is assigned. Should a record come all the same, its owner would miss it.
                Some(Ok(_)) => return Ended::Failed("a record came past its partition's queue".into()),
                Some(Err(error)) => {
                    if let Some(end) = self.error(&error, status) {
                        return end;
                    }
                }
            }
            if let Some(why) = self.client.context().failure() {
                return Ended::Failed(why);
            }
            loop {
                match asked.try_recv() {
                    Ok(Ask::Resume(partition, epoch)) => {
                        self.resumes.push(Resume { partition, epoch, tries: 0, at: Instant::now() });
                    }
                    Ok(Ask::Close) | Err(mpsc::TryRecvError::Disconnected) => return Ended::Closed,
                    Err(mpsc::TryRecvError::Empty) => break,
                }
            }
            if let Some(end) = self.resume() {
                return end;
            }
            if Instant::now() >= next_commit {
                next_commit = Instant::now() + commit_interval;
                self.client.context().ask_ends(&self.client);
                if let Some(committer) = &self.committer {
                    committer.commit();
                }
            }
        }
    }

    fn error(&self, error: &KafkaError, status: &Status) -> Option<Ended> {
        match error {
            KafkaError::MessageConsumptionFatal(code) => {
                return Some(Ended::Failed(format!("the consumer met a fatal error: {code}")));
            }
            KafkaError::PartitionEOF(_) => {}
            // The client library rejoins by itself.
            KafkaError::MessageConsumption(RDKafkaErrorCode::PollExceeded) => {
                self.events.client_error(Which::Consumer, &"max.poll.interval.ms was exceeded; joining again");
            }
            KafkaError::MessageConsumption(RDKafkaErrorCode::InconsistentGroupProtocol) => {
                status.error(error);
                self.events.group_mixed_assignors(&self.group);
            }
            _ => {
                status.error(error);
                self.events.client_error(Which::Consumer, &error);
            }
        }
        None
    }

    fn resume(&mut self) -> Option<Ended> {
        let now = Instant::now();
        for mut resume in std::mem::take(&mut self.resumes) {
            if resume.at > now {
                self.resumes.push(resume);
                continue;
            }
            let Err(error) = self.client.context().resume(&self.client, resume.partition, resume.epoch) else {
                continue;
            };
            resume.tries += 1;
            if resume.tries >= RESUMES {
                return Some(Ended::Failed(format!("partition {} cannot be read anew: {error}", resume.partition)));
            }
            let told = format_args!("partition {} is not read yet: {error}", resume.partition);
            self.events.client_error(Which::Consumer, &told);
            resume.at = now + RESUME_PAUSE;
            self.resumes.push(resume);
        }
        None
    }

    /// Drains and commits when there is a reason to hope, leaves the group, and lets go of the client on this thread.
    fn close(self, orderly: bool, heartbeat: &Heartbeat) {
        let context = self.client.context().clone();
        context.release_all(&self.client, !orderly);
        context.forget_queues();
        drop(self.committer);
        let deadline = Instant::now() + CLOSE;
        if let Err(error) = self.client.close_queue() {
            self.events.client_error(Which::Consumer, &error);
        } else {
            while !self.client.closed() && Instant::now() < deadline {
                heartbeat.beat();
                // What comes now are the last rebalance and the answers to commits.
                drop(self.client.poll(POLL));
            }
        }
        // Owners may still hold queues, and with them the client; its end must not block their threads.
        while Arc::strong_count(&self.client) > 1 && Instant::now() < deadline {
            heartbeat.beat();
            self.client.poll(Duration::from_millis(5));
        }
    }
}
