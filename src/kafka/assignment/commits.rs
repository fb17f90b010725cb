//! Commits, and the questions about positions that go with them.

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::TopicPartitionList;

use super::{Assignment, Client, State};
use crate::record::{Epoch, NextOffset, Partition};

impl Assignment {
    /// Commits in the background what owners have finished since.
    pub fn commit(&self, client: &Client) {
        let mut state = self.state();
        let mut new = Vec::new();
        let State { held, committed, requested, .. } = &mut *state;
        for (partition, held) in held.iter() {
            let safe = held.marks.safe();
            if committed.get(partition) != Some(&safe) && requested.get(partition) != Some(&safe) {
                new.push((*partition, safe));
                requested.insert(*partition, safe);
            }
        }
        drop(state);
        if new.is_empty() {
            return;
        }
        let list = self.list(&new);
        if let Err(error) = list.and_then(|list| client.commit(&list, CommitMode::Async)) {
            self.state().requested.clear();
            self.events.commit_failed(&names(&new), &error);
        }
    }

    /// Tells owners that are idle at the end of the log how far it reaches past control records.
    pub fn ask_ends(&self, client: &Client) {
        let idle: Vec<(Partition, Epoch)> = {
            let state = self.state();
            state.held.iter().filter(|(_, h)| h.marks.idle_at_end()).map(|(p, h)| (*p, h.epoch)).collect()
        };
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

    /// The brokers have answered a commit.
    pub(super) fn answered(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        // `elements` must not be called on an empty list.
        if offsets.count() == 0 {
            return;
        }
        let mut state = self.state();
        let (mut stored, mut failed) = (Vec::new(), Vec::new());
        for entry in offsets.elements() {
            let partition = Partition(entry.partition());
            state.requested.remove(&partition);
            match (entry.error(), entry.offset().to_raw()) {
                (Ok(()), Some(next)) if result.is_ok() => stored.push((partition, NextOffset(next))),
                _ => failed.push(partition),
            }
        }
        stored.retain(|(partition, _)| state.held.contains_key(partition));
        state.committed.extend(stored.iter().copied());
        drop(state);
        if !stored.is_empty() {
            self.events.committed(&stored);
        }
        if let Err(error) = result {
            self.events.commit_failed(&failed, &error);
        }
    }
}

pub(super) fn names(positions: &[(Partition, NextOffset)]) -> Vec<Partition> {
    positions.iter().map(|(partition, _)| *partition).collect()
}
