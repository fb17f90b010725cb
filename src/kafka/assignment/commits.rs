//! Commits, and the questions about positions that go with them.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::TopicPartitionList;

use super::{Assignment, Client};
use crate::record::{NextOffset, Partition};

/// Commits on a thread of its own: the client library tells the end of a commit only to one who waits for it, and whoever
/// waits cannot answer rebalances.
pub struct Committer {
    due: SyncSender<Vec<(Partition, NextOffset)>>,
}

impl Committer {
    /// Starts the thread; it ends when this is dropped, after the commit it is waiting for.
    pub fn start(client: Arc<Client>) -> std::io::Result<Self> {
        let (due, asked) = sync_channel::<Vec<(Partition, NextOffset)>>(0);
        let run = move || {
            for positions in asked {
                let context = client.context();
                let list = context.list(&positions);
                let result = list.and_then(|list| client.commit(&list, CommitMode::Sync));
                context.answered(result, positions);
            }
        };
        std::thread::Builder::new().name("kafka-committer".into()).spawn(run)?;
        Ok(Self { due })
    }

    /// Commits what owners have finished since, unless the last commit is not answered yet.
    pub fn commit(&self, context: &Assignment) {
        let due = context.due();
        if !due.is_empty() {
            // Busy: the next time finds what is due then.
            self.due.try_send(due).ok();
        }
    }
}

impl Assignment {
    /// Positions that owners have finished and that the brokers have not confirmed.
    fn due(&self) -> Vec<(Partition, NextOffset)> {
        self.state().holdings.due()
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

pub(super) fn names(positions: &[(Partition, NextOffset)]) -> Vec<Partition> {
    positions.iter().map(|(partition, _)| *partition).collect()
}
