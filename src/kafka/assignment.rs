//! What the group has given to this process: answers the client library's rebalances.
//!
//! Everything here runs on the consumer's thread, inside its poll. Owners live on other threads, so waiting for them to
//! drain cannot deadlock. A rebalance that cannot be answered is fatal to this client: a new one starts from what is
//! committed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak, mpsc};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;

use super::holdings::Holdings;
use super::source::{Assigned, KafkaSource, Owners};
use super::start::{Beginning, Log, begin};
use super::status::{Heartbeat, Status};
use super::transactor::Transactor;
use crate::config::settings::Start;
use crate::events::{Client as Which, Events};
use crate::record::{Epoch, NextOffset, Partition};

mod commits;
mod turns;

pub use self::commits::Committer;
use self::turns::{Turns, WAIT};

/// One request to the brokers about a position.
const ASK: Duration = Duration::from_secs(5);
/// At a revoke, a transaction gets this long to end; what it holds is aborted otherwise.
const SETTLE: Duration = Duration::from_secs(3);
/// Requests about positions are repeated so long before the client is given up.
const ASK_IN_ALL: Duration = Duration::from_secs(30);

/// The consumer client.
pub type Client = BaseConsumer<Assignment>;

#[derive(Default)]
struct State {
    /// One queue per partition for the life of the client, held or not.
    sources: HashMap<Partition, Arc<KafkaSource<Assignment>>>,
    holdings: Holdings,
    failure: Option<String>,
}

/// What the assignment needs to know.
pub struct Rules {
    /// Input topic.
    pub topic: Arc<str>,
    /// Where to start without a usable committed offset.
    pub start: Start,
    /// Time for owners to finish what runs when a partition is taken away.
    pub drain: Duration,
}

/// The context of the consumer client.
pub struct Assignment {
    rules: Rules,
    owners: Arc<dyn Owners>,
    events: Events,
    transactor: Option<Arc<Transactor>>,
    status: Arc<Status>,
    heartbeat: Heartbeat,
    client: OnceLock<Weak<Client>>,
    state: Mutex<State>,
    turns: Turns,
    leaving: AtomicBool,
}

/// Epochs are unique in the process, over all clients.
static EPOCHS: AtomicU64 = AtomicU64::new(1);

fn new_epoch() -> Epoch {
    Epoch(EPOCHS.fetch_add(1, Relaxed))
}

impl Assignment {
    /// Nothing assigned.
    pub fn new(
        rules: Rules,
        owners: Arc<dyn Owners>,
        events: Events,
        transactor: Option<Arc<Transactor>>,
        status: Arc<Status>,
        heartbeat: Heartbeat,
    ) -> Self {
        Self {
            rules,
            owners,
            events,
            transactor,
            status,
            heartbeat,
            client: OnceLock::new(),
            state: Mutex::default(),
            turns: Turns::default(),
            leaving: AtomicBool::new(false),
        }
    }

    /// Tells the context its client, which only exists after it.
    pub fn belongs_to(&self, client: &Arc<Client>) {
        // Set once, right after the client was made.
        let _already_set = self.client.set(Arc::downgrade(client));
        if let Some(transactor) = &self.transactor {
            transactor.member(Arc::downgrade(client));
        }
    }

    /// Why the client cannot go on, if so.
    pub fn failure(&self) -> Option<String> {
        self.state().failure.clone()
    }

    /// Gives a partition a new owner epoch that starts at what is finished. For an owner that died or left the log.
    pub fn resume(&self, client: &Client, partition: Partition, epoch: Epoch) -> Result<(), KafkaError> {
        let Some(safe) = self.state().holdings.marks(partition, epoch).map(|marks| marks.safe()) else { return Ok(()) };
        let beginning = match &self.transactor {
            None => begin(Some(safe), self.log(client, partition)?, self.rules.start),
            Some(transactor) => {
                // Only once nothing of the old epoch can be committed any more it is known what was.
                if !transactor.settle(&[(partition, epoch)], ASK, &self.heartbeat) {
                    return Err(KafkaError::OffsetFetch(RDKafkaErrorCode::UnstableOffsetCommit));
                }
                let asked = self.try_beginnings(client, &[partition])?;
                let Some((_, beginning)) = asked.into_iter().next() else { return Ok(()) };
                beginning
            }
        };
        let offset = rdkafka::Offset::Offset(beginning.at.0);
        client.seek(&self.rules.topic, partition.0, offset, ASK)?;
        self.report(partition, beginning);
        self.hand_over(partition, beginning);
        Ok(())
    }

    /// Ends every epoch: owners finish what runs, it is committed, nothing is held or taken any more.
    pub fn release_all(&self, client: &Client, lost: bool) {
        self.leaving.store(true, Relaxed);
        let held = self.state().holdings.partitions();
        self.release(client, &held, lost);
    }

    /// Forgets the queues, which hold the client alive.
    pub fn forget_queues(&self) {
        self.state().sources.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn assign(&self, client: &Client, list: &TopicPartitionList) -> Result<(), KafkaError> {
        if self.leaving.load(Relaxed) {
            // It was on its way when the client began to leave. It is answered and given to nobody: questions about positions would
            // wait in vain, as nobody answers a client that leaves.
            return assign(client, list);
        }
        let partitions = partitions(list);
        let beginnings = self.beginnings(client, &partitions)?;
        for (partition, _) in &beginnings {
            self.split(*partition)?;
        }
        let with_offsets =
            self.list(&beginnings.iter().map(|(p, beginning)| (*p, beginning.at)).collect::<Vec<_>>())?;
        assign(client, &with_offsets)?;
        for (partition, beginning) in beginnings {
            self.report(partition, beginning);
            self.hand_over(partition, beginning);
        }
        let total = self.state().holdings.len();
        self.status.joined(total);
        self.events.assigned(&partitions, total);
        Ok(())
    }

    /// Where each partition begins, by what is committed and our policy. Asks again while brokers are away.
    fn beginnings(&self, client: &Client, partitions: &[Partition]) -> KafkaResult<Vec<(Partition, Beginning)>> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let deadline = Instant::now() + ASK_IN_ALL;
        loop {
            self.heartbeat.beat();
            match self.try_beginnings(client, partitions) {
                Err(error) if Instant::now() < deadline => self.events.client_error(Which::Consumer, &error),
                result => return result,
            }
        }
    }

    fn try_beginnings(&self, client: &Client, partitions: &[Partition]) -> KafkaResult<Vec<(Partition, Beginning)>> {
        let mut asked = TopicPartitionList::new();
        for partition in partitions {
            asked.add_partition(&self.rules.topic, partition.0);
        }
        let committed = client.committed_offsets(asked, ASK)?;
        let mut beginnings = Vec::with_capacity(partitions.len());
        for partition in partitions {
            self.heartbeat.beat();
            let entry = committed.find_partition(&self.rules.topic, partition.0);
            let next = entry.and_then(|e| e.offset().to_raw()).filter(|raw| *raw >= 0).map(NextOffset);
            if let Some(next) = next {
                self.state().holdings.confirm(*partition, next);
            }
            beginnings.push((*partition, begin(next, self.log(client, *partition)?, self.rules.start)));
        }
        Ok(beginnings)
    }

    fn log(&self, client: &Client, partition: Partition) -> KafkaResult<Log> {
        let (low, high) = client.fetch_watermarks(&self.rules.topic, partition.0, ASK)?;
        Ok(Log { low, high })
    }

    fn split(&self, partition: Partition) -> Result<(), KafkaError> {
        let mut state = self.state();
        if state.sources.contains_key(&partition) {
            return Ok(());
        }
        let client = self.client.get().and_then(Weak::upgrade);
        let queue = client.and_then(|client| client.split_partition_queue(&self.rules.topic, partition.0));
        let queue = queue.ok_or_else(|| KafkaError::Subscription(format!("no queue for partition {partition}")))?;
        let source = Arc::new(KafkaSource::new(self.rules.topic.clone(), partition, queue));
        state.sources.insert(partition, source);
        Ok(())
    }

    fn report(&self, partition: Partition, beginning: Beginning) {
        if let Some(outside) = beginning.outside {
            self.events.resumed_outside_log(partition, outside.committed, beginning.at, outside.lost.unsigned_abs());
        }
        self.events.reading_from(partition, beginning.at);
    }

    fn hand_over(&self, partition: Partition, beginning: Beginning) {
        let epoch = new_epoch();
        let mut state = self.state();
        let Some(source) = state.sources.get(&partition).cloned() else { return };
        let marks = state.holdings.take(partition, epoch, beginning.at, beginning.commit);
        drop(state);
        source.hand_to(epoch);
        if let Some(transactor) = &self.transactor {
            transactor.assigned(partition, epoch, beginning.at, beginning.commit, marks.clone());
        }
        self.owners.assign(Assigned { partition, epoch, start: beginning.at, source, marks });
    }

    /// Ends the owners' epochs; what they have finished is committed unless the group has given the partitions away already.
    fn release(&self, client: &Client, partitions: &[Partition], lost: bool) {
        let held = self.state().holdings.epochs(partitions);
        if !lost {
            self.drain(&held);
            if let Some(transactor) = &self.transactor {
                transactor.settle(&held, SETTLE, &self.heartbeat);
            }
        }
        // A commit under way knows less: the last one comes after it.
        let turn = if lost { None } else { self.turns.take(WAIT, || self.heartbeat.beat()) };
        let fence = self.transactor.as_ref().map(|transactor| transactor.fence());
        let mut finished = Vec::new();
        let mut state = self.state();
        for (partition, _) in &held {
            if let Some(source) = state.sources.get(partition) {
                source.hand_to(Epoch(0));
            }
            if let Some((epoch, due)) = state.holdings.release(*partition, lost) {
                finished.extend(due.map(|next| (*partition, next)));
                self.owners.end(*partition, epoch);
            }
        }
        let left = state.holdings.len();
        drop(state);
        drop(fence);
        if let Some(transactor) = &self.transactor {
            transactor.gone(&held);
        } else {
            self.commit_last(client, &finished, turn);
        }
        self.status.joined(left);
        let held: Vec<Partition> = held.into_iter().map(|(partition, _)| partition).collect();
        if lost { self.events.lost_partitions(&held, left) } else { self.events.revoked(&held, left) }
    }

    /// Waits until the owners have finished what runs, or the time for it is over.
    fn drain(&self, held: &[(Partition, Epoch)]) {
        let (done, all_done) = mpsc::channel();
        for (partition, epoch) in held {
            self.owners.drain(*partition, *epoch, done.clone());
        }
        drop(done);
        let deadline = Instant::now() + self.rules.drain;
        loop {
            self.heartbeat.beat();
            let wait = deadline.saturating_duration_since(Instant::now()).min(Duration::from_millis(200));
            match all_done.recv_timeout(wait) {
                // Nobody sends: the channel closes when the last owner has dropped its end.
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
                _ if Instant::now() >= deadline => return self.events.drain_deadline_passed(held.len()),
                _ => {}
            }
        }
    }
}

fn assign(client: &Client, list: &TopicPartitionList) -> KafkaResult<()> {
    match client.rebalance_protocol() {
        RebalanceProtocol::Cooperative => client.incremental_assign(list),
        _ => client.assign(list),
    }
}

fn partitions(list: &TopicPartitionList) -> Vec<Partition> {
    // `elements` must not be called on an empty list.
    if list.count() == 0 { Vec::new() } else { list.elements().iter().map(|e| Partition(e.partition())).collect() }
}

impl ClientContext for Assignment {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        self.events.client_log(Which::Consumer, level, fac, message);
    }

    fn stats(&self, statistics: Statistics) {
        self.status.consumer(&statistics, &self.rules.topic);
        let state = self.state();
        for (partition, high) in Status::high_watermarks(&statistics, &self.rules.topic) {
            if let Some(marks) = state.holdings.marks_now(partition) {
                self.events.partition(partition).set_lag((high - marks.safe().0).max(0).unsigned_abs());
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // Not errors to us: whoever reads the partition meets them in its queue.
        if let Some(RDKafkaErrorCode::PartitionEOF | RDKafkaErrorCode::AutoOffsetReset) = error.rdkafka_error_code() {
            return;
        }
        self.status.error(&error);
        self.events.client_error(Which::Consumer, &format_args!("{error}: {reason}"));
    }
}

impl ConsumerContext for Assignment {
    fn rebalance(&self, client: &Client, code: RDKafkaRespErr, list: &mut TopicPartitionList) {
        self.heartbeat.beat();
        let answered = if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.assign(client, list)
        } else {
            self.release(client, &partitions(list), client.assignment_lost());
            match client.rebalance_protocol() {
                RebalanceProtocol::Cooperative => client.incremental_unassign(list),
                _ => client.unassign(),
            }
        };
        if let Err(error) = answered {
            self.state().failure = Some(format!("a rebalance could not be answered: {error}"));
        }
    }
}

#[cfg(test)]
mod tests;
