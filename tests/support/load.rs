//! Requests in number: all at once, or at a steady rate in the background while a test does its worst.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::kafka::Broker;
use super::requests::Protocol;
use super::send::{Draft, Place, Sender};
use super::wait;

/// A request that the broker has acknowledged.
#[derive(Clone, Debug)]
pub struct Sent {
    pub id: String,
    pub key: String,
    /// Number of the request among those of its key.
    pub seq: u64,
    pub n: u64,
    pub place: Place,
}

/// The requests of one test: numbered, with their keys in turn.
#[derive(Clone, Debug)]
pub struct Requests {
    pub protocol: Protocol,
    pub keys: u64,
    /// What the ids begin with.
    pub stem: String,
}

impl Requests {
    pub fn new(stem: &str) -> Self {
        Self { protocol: Protocol::Tensorflow, keys: 50, stem: stem.to_owned() }
    }

    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    pub fn keys(mut self, keys: u64) -> Self {
        self.keys = keys;
        self
    }

    /// Request number `i`, and what there is to know of it before it has a place.
    fn make(&self, i: u64) -> (Draft, Sent) {
        let (id, key, seq) = (format!("{}-{i}", self.stem), format!("k{}", i % self.keys), i / self.keys);
        let draft = Draft::value(self.protocol.body(&id, &key, seq, i)).key(&key).header("Seldon-Puid", id.as_str());
        (draft, Sent { id, key, seq, n: i, place: Place { partition: -1, offset: -1 } })
    }

    /// Request number `i`, which has no place.
    pub fn nth(&self, i: u64) -> Sent {
        self.make(i).1
    }

    /// Writes `count` requests as fast as the broker takes them.
    pub fn send(&self, broker: &Broker, topic: &str, count: u64) -> Vec<Sent> {
        // Only an idempotent producer keeps the order whatever the broker asks it to try again.
        let sender = Sender::steadfast(broker, topic);
        let sent = (0..count).map(|i| self.send_one(&sender, i)).collect();
        with_places(sent, &sender)
    }

    fn send_one(&self, sender: &Sender, i: u64) -> Sent {
        let (draft, sent) = self.make(i);
        sender.send(&draft);
        sent
    }

    /// Writes requests at a steady rate until it is told to stop.
    pub fn start(self, broker: &Broker, topic: &str, rate: u64) -> Load {
        let sender = Sender::steadfast(broker, topic);
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&count));
        let thread = std::thread::spawn(move || {
            let begun = Instant::now();
            let mut sent = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let due = begun.elapsed().as_micros() as u64 * rate / 1_000_000;
                for i in sent.len() as u64..due {
                    sent.push(self.send_one(&sender, i));
                }
                counted.store(sent.len() as u64, Ordering::Relaxed);
                wait::let_pass(Duration::from_millis(10));
            }
            with_places(sent, &sender)
        });
        Load { stop, count, thread: Some(thread) }
    }
}

fn with_places(mut sent: Vec<Sent>, sender: &Sender) -> Vec<Sent> {
    for (request, place) in sent.iter_mut().zip(sender.places(Duration::from_mins(2))) {
        request.place = place;
    }
    sent
}

/// Requests that go on in the background.
pub struct Load {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    thread: Option<JoinHandle<Vec<Sent>>>,
}

impl Load {
    /// How many were handed to the producer so far.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Stops and waits until the broker has everything.
    pub fn stop(mut self) -> Vec<Sent> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("taken only here");
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
