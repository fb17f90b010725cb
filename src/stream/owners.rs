//! Who owns which partition: one ConsumerActor each, started when the partition is first assigned and kept for later.
//!
//! Called on the consumer's thread; it only sends.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use millrace_actors::{ActorRef, Budget, Place, SupervisorRef, actor};

use super::consumer::{ConsumerActor, Life, Parts};
use crate::kafka::source::{Assigned, Owners};
use crate::record::{Epoch, NextOffset, Partition};

/// Commands and settlements are bounded by what an owner has in flight, so its mailbox holds no places of its own.
const NO_PLACES: usize = 0;

/// A worker thread as seen from here: where its consumers live and whom they hand records to.
#[derive(Clone)]
pub struct Worker {
    /// Its thread.
    pub place: Place,
    /// Supervisor of its consumers.
    pub consumers: SupervisorRef,
    /// What its consumers are made of.
    pub parts: Parts,
}

/// The directory of owners.
pub struct Directory {
    workers: Vec<Worker>,
    budget: Budget,
    owners: Mutex<HashMap<Partition, Entry>>,
}

struct Entry {
    owner: ActorRef<ConsumerActor>,
    epoch: Option<Epoch>,
}

impl Directory {
    /// Partitions are dealt to these workers by their number.
    pub fn new(workers: Vec<Worker>, budget: Budget) -> Self {
        Self { workers, budget, owners: Mutex::default() }
    }

    /// The present epoch of a partition, if this process has it.
    pub fn epoch(&self, partition: Partition) -> Option<Epoch> {
        self.owners().get(&partition).and_then(|entry| entry.epoch)
    }

    /// Ends every epoch: whoever gave the partitions is gone.
    pub fn end_all(&self) {
        for entry in self.owners().values_mut() {
            if let Some(epoch) = entry.epoch.take() {
                drop(entry.owner.tell(Life::End(epoch)));
            }
        }
    }

    fn owners(&self) -> MutexGuard<'_, HashMap<Partition, Entry>> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, partition: Partition) -> ActorRef<ConsumerActor> {
        let worker = &self.workers[partition.0 as usize % self.workers.len()];
        let owner = ActorRef::unborn(format!("consumer-{partition}"), NO_PLACES);
        let (parts, address) = (worker.parts.clone(), owner.clone());
        let made_before = Arc::new(AtomicBool::new(false));
        let spec = actor(owner.clone(), worker.place.clone(), self.budget, move || {
            // Made again, it takes the place of one that was lost with its thread, and what it was told is lost too.
            let orphaned = made_before.swap(true, Relaxed);
            ConsumerActor::new(partition, parts.clone(), &address, orphaned)
        });
        // Commands wait in the mailbox until it is up.
        drop(worker.consumers.start_child(spec));
        owner
    }

    fn tell(&self, partition: Partition, life: Life) {
        if let Some(entry) = self.owners().get(&partition) {
            // An owner that is gone gave up with its supervisor, which ends the process.
            drop(entry.owner.tell(life));
        }
    }
}

impl Owners for Directory {
    fn assign(&self, assigned: Assigned) {
        let mut owners = self.owners();
        let entry = owners
            .entry(assigned.partition)
            .or_insert_with(|| Entry { owner: self.start(assigned.partition), epoch: None });
        entry.epoch = Some(assigned.epoch);
        drop(entry.owner.tell(Life::Assign(assigned)));
    }

    fn drain(&self, partition: Partition, epoch: Epoch, done: mpsc::Sender<()>) {
        self.tell(partition, Life::Drain(epoch, done));
    }

    fn end(&self, partition: Partition, epoch: Epoch) {
        if let Some(entry) = self.owners().get_mut(&partition)
            && entry.epoch == Some(epoch)
        {
            entry.epoch = None;
        }
        self.tell(partition, Life::End(epoch));
    }

    fn position(&self, partition: Partition, epoch: Epoch, position: NextOffset) {
        self.tell(partition, Life::Position(epoch, position));
    }
}

/// Shared directory.
pub type SharedDirectory = Arc<Directory>;
