//! Commits, and the questions about positions that go with them.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::TopicPartitionList;

use super::turns::{Turn, WAIT};
use super::{Assignment, Client};
use crate::record::{NextOffset, Partition};

/// Commits on a thread of its own: the client library tells the end of a commit only to one who waits for it, and whoever
/// waits cannot answer rebalances.
pub struct Committer {
    nudge: SyncSender<()>,
}

impl Committer {
    /// Starts the thread; it ends when this is dropped, after the commit it is waiting for.
    pub fn start(client: Arc<Client>) -> std::io::Result<Self> {
        let (nudge, nudged) = sync_channel(0);
        let run = move || {
            for () in nudged {
                client.context().commit_due(&client);
            }
        };
        std::thread::Builder::new().name("kafka-committer".into()).spawn(run)?;
        Ok(Self { nudge })
    }

    /// Commits what owners have finished since, unless the last commit is not answered yet.
    pub fn commit(&self) {
        // Busy: the next time finds what is due then.
        self.nudge.try_send(()).ok();
    }
}

impl Assignment {
    /// Commits what owners have finished and the brokers have not confirmed. What is due is looked up in one's turn: what was
    /// looked up before may have gone to another member since, or be less than what is committed by now.
    fn commit_due(&self, client: &Client) {
        let Some(_turn) = self.turns.take(WAIT, || {}) else { return };
        let due = self.state().holdings.due();
        if !due.is_empty() {
            self.answered(self.commit(client, &due), due);
        }
    }

    /// Tells owners that are idle at the end of the log how far it reaches past control records.
    pub fn ask_ends(&self, client: &Client) {
        let idle = self.state().holdings.idle_at_end();
        if idle.is_empty() {
            return;
        }
        let Ok(positions) = client.position() else { return };
        for (partition, epoch) in idle {
            let position = positions.find_partition(&self.rules.topic, partition.0).and_then(|e| e.offset().to_raw());
            if let Some(position) = position.filter(|position| *position >= 0) {
                self.owners.position(partition, epoch, NextOffset(position));
            }
        }
    }

    /// Commits what was finished of partitions that are given back.
    pub(super) fn commit_last(&self, client: &Client, finished: &[(Partition, NextOffset)], turn: Option<Turn<'_>>) {
        if finished.is_empty() {
            return;
        }
        if turn.is_none() {
            let why = "a commit before it is not answered";
            return self.events.commit_failed(&names(finished), &why);
        }
        match self.commit(client, finished) {
            Ok(()) => self.events.committed(finished),
            Err(error) => self.events.commit_failed(&names(finished), &error),
        }
    }

    /// Commits, and waits for the answer. Only in one's turn.
    fn commit(&self, client: &Client, positions: &[(Partition, NextOffset)]) -> KafkaResult<()> {
        client.commit(&self.list(positions)?, CommitMode::Sync)
    }

    pub(super) fn list(&self, positions: &[(Partition, NextOffset)]) -> KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::with_capacity(positions.len());
        for (partition, next) in positions {
            list.add_partition_offset(&self.rules.topic, partition.0, rdkafka::Offset::Offset(next.0))?;
        }
        Ok(list)
    }

    /// The brokers have answered a commit. What failed is found due again.
    fn answered(&self, result: KafkaResult<()>, positions: Vec<(Partition, NextOffset)>) {
        if let Err(error) = result {
            return self.events.commit_failed(&names(&positions), &error);
        }
        let positions = self.state().holdings.confirm_held(positions);
        self.events.committed(&positions);
    }
}

fn names(positions: &[(Partition, NextOffset)]) -> Vec<Partition> {
    positions.iter().map(|(partition, _)| *partition).collect()
}
