//! A reader of committed records who watches all the time: what it saw and what is not there at the end was never committed.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::support::collect::Collector;
use crate::support::send::Place;

pub(crate) struct Watcher {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Collector>,
}

impl Watcher {
    pub(crate) fn start(mut collector: Collector) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let known = collector.records.len();
                collector.read_until(Duration::from_millis(200), |records| records.len() > known);
            }
            collector.read_to_end();
            collector
        });
        Self { stop, thread }
    }

    /// Places of records that it saw, and that are not in this history of the same topic.
    pub(crate) fn not_in(self, history: &Collector) -> Vec<Place> {
        self.stop.store(true, Ordering::Relaxed);
        let watched = self.thread.join().expect("it reads on");
        let there: HashSet<Place> = history.records.iter().map(|record| record.place).collect();
        watched.records.iter().map(|record| record.place).filter(|place| !there.contains(place)).collect()
    }
}
