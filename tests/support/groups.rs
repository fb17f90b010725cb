//! Consumer groups seen from outside: committed offsets, lag, members and what they hold.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::kafka::{Broker, PATIENCE};
use super::topics::client;
use super::wait;

/// A member of a group and the partitions it holds, as topic and number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub id: String,
    pub client: String,
    pub partitions: Vec<(String, i32)>,
}

/// A group's state as the broker names it (Stable, PreparingRebalance, Empty, ...), its protocol and members.
#[derive(Clone, Debug)]
pub struct Group {
    pub state: String,
    pub protocol: String,
    pub members: Vec<Member>,
}

impl Broker {
    fn reader_of(&self, group: &str) -> BaseConsumer {
        client(self.bootstrap()).set("group.id", group).create().expect("the settings are right")
    }

    /// The next offset that the group committed for each partition; `None` where it committed nothing.
    pub fn committed(&self, group: &str, topic: &str) -> Vec<Option<i64>> {
        let mut list = TopicPartitionList::new();
        let count = self.partitions(topic).unwrap_or_else(|| panic!("topic {topic} does not exist"));
        list.add_partition_range(topic, 0, count - 1);
        let answer = self.reader_of(group).committed_offsets(list, PATIENCE).expect("the coordinator answers");
        let mut offsets: Vec<_> = answer.elements().iter().map(|e| (e.partition(), e.offset().to_raw())).collect();
        offsets.sort_unstable();
        offsets.into_iter().map(|(_, raw)| raw.filter(|o| *o >= 0)).collect()
    }

    /// What KEDA would see: end offset minus committed offset, summed; a partition without a commit counts in full.
    pub fn lag(&self, group: &str, topic: &str) -> i64 {
        let ends = self.watermarks(topic);
        self.committed(group, topic)
            .into_iter()
            .zip(ends)
            .map(|(committed, (_, end))| end - committed.unwrap_or(0))
            .sum()
    }

    /// Waits until everything in the topic is committed, control records at its end included.
    #[track_caller]
    pub fn wait_for_no_lag(&self, group: &str, topic: &str, limit: Duration) {
        let mut last = 0;
        let done = wait::try_until(limit, || {
            last = self.lag(group, topic);
            (last == 0).then_some(())
        });
        assert!(
            done.is_some(),
            "group {group} still has a lag of {last} on {topic} after {limit:?}: committed {:?}, ends {:?}",
            self.committed(group, topic),
            self.watermarks(topic)
        );
    }

    /// The group as its coordinator sees it, if there is one.
    pub fn group(&self, name: &str) -> Option<Group> {
        let list = self.reader_of(name).fetch_group_list(Some(name), Duration::from_secs(10)).ok()?;
        let found = list.groups().iter().find(|g| g.name() == name)?;
        let members = found
            .members()
            .iter()
            .map(|m| Member {
                id: m.id().to_owned(),
                client: m.client_id().to_owned(),
                partitions: m.assignment().map(assigned).unwrap_or_default(),
            })
            .collect();
        Some(Group { state: found.state().to_owned(), protocol: found.protocol().to_owned(), members })
    }

    /// Waits until the group is stable with so many members.
    #[track_caller]
    pub fn wait_for_members(&self, group: &str, count: usize, limit: Duration) -> Group {
        wait::until(limit, &format!("group {group} is stable with {count} members"), || {
            self.group(group).filter(|g| g.state == "Stable" && g.members.len() == count)
        })
    }
}

/// Reads the consumer protocol's assignment: version, then topics with their partitions.
fn assigned(bytes: &[u8]) -> Vec<(String, i32)> {
    fn take<'a>(rest: &mut &'a [u8], n: usize) -> Option<&'a [u8]> {
        let (head, tail) = rest.split_at_checked(n)?;
        *rest = tail;
        Some(head)
    }
    fn int16(rest: &mut &[u8]) -> Option<i16> {
        take(rest, 2).map(|b| i16::from_be_bytes([b[0], b[1]]))
    }
    fn int32(rest: &mut &[u8]) -> Option<i32> {
        take(rest, 4).map(|b| i32::from_be_bytes([b[0], b[1], b[2], b[3]]))
    }
    fn read(rest: &mut &[u8], found: &mut BTreeSet<(String, i32)>) -> Option<()> {
        int16(rest)?;
        for _ in 0..int32(rest)? {
            let length = usize::try_from(int16(rest)?).ok()?;
            let topic = String::from_utf8_lossy(take(rest, length)?).into_owned();
            for _ in 0..int32(rest)? {
                found.insert((topic.clone(), int32(rest)?));
            }
        }
        Some(())
    }
    let mut found = BTreeSet::new();
    read(&mut &*bytes, &mut found);
    found.into_iter().collect()
}
