//! Where the failure of a record stops the service (`on_failure: stop`): the first one, and the word that it came.

use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;

use crate::events::life::Failed;
use crate::kafka::outcome::{ErrorClass, Failure};
use crate::record::{Offset, Partition, Record};

/// A record that failed.
#[derive(Clone, Debug)]
pub struct Halted {
    /// Its topic.
    pub topic: Arc<str>,
    /// Its partition.
    pub partition: Partition,
    /// Its offset.
    pub offset: Offset,
    /// Kind of error.
    pub class: ErrorClass,
    /// The node that failed, if it was one.
    pub node: Option<Arc<str>>,
    /// What happened.
    pub message: String,
}

impl Halted {
    /// The record, and why it failed.
    pub fn new(record: &Record, failure: &Failure) -> Self {
        Self {
            topic: record.topic.clone(),
            partition: record.partition,
            offset: record.offset,
            class: failure.class,
            node: failure.node.clone(),
            message: failure.message.clone(),
        }
    }
}

/// What to do about it.
pub const REMEDY: &str = "the record is not committed: mend what it failed on and start again, \
                          or set on_failure to dead_letter or skip to go past it";

impl Halted {
    /// As it is told.
    pub fn told(&self) -> Failed<'_> {
        Failed {
            topic: &self.topic,
            partition: self.partition,
            offset: self.offset,
            class: self.class.label(),
            node: self.node.as_deref(),
            message: &self.message,
        }
    }
}

/// Shared by all who may meet such a record, and by the one who stops the service then.
#[derive(Debug, Default)]
pub struct Halt {
    first: OnceLock<Halted>,
    told: Notify,
}

impl Halt {
    /// A record failed. The first one is named.
    pub fn tell(&self, halted: Halted) {
        self.first.get_or_init(|| halted);
        // Kept for the one who waits, even if it comes later.
        self.told.notify_one();
    }

    /// The first record that failed.
    pub fn first(&self) -> Option<&Halted> {
        self.first.get()
    }

    /// Waits for it. For one who waits.
    pub async fn halted(&self) {
        while self.first.get().is_none() {
            self.told.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_record_is_the_one_that_is_named() {
        let halt = Halt::default();
        let halted = |offset| Halted {
            topic: "in".into(),
            partition: Partition(3),
            offset: Offset(offset),
            class: ErrorClass::ModelError,
            node: Some("double".into()),
            message: "status 400".into(),
        };
        halt.tell(halted(7));
        halt.tell(halted(5));
        halt.halted().await;
        assert_eq!(halt.first().map(|it| it.told().offset), Some(Offset(7)));
    }
}
