//! The producer of the demo: requests at a steady rate, held back while too many are on their way.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::error::KafkaResult;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::json;

use super::broker::{INPUT, client};
use super::ledger::Ledger;
use super::models::expected;

/// Requests on their way at most: far below what the mock brokers keep.
const BACKLOG: u64 = 2_000;
const TICK: Duration = Duration::from_millis(5);
const KEYS: u64 = 97;

/// The books, shared by producer, checker and view.
pub(super) type Books = Arc<Mutex<Ledger>>;

/// A running producer.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    held_back: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Load {
    /// Starts to send `rate` requests a second.
    pub(super) fn start(bootstrap: &str, rate: u32, books: Books) -> io::Result<Self> {
        let mut config = client(bootstrap);
        config.set("linger.ms", "1").set("message.timeout.ms", "0");
        let producer: BaseProducer = config.create().map_err(io::Error::other)?;
        let stop = Arc::new(AtomicBool::new(false));
        let held_back = Arc::new(AtomicBool::new(false));
        let (stopped, held) = (Arc::clone(&stop), Arc::clone(&held_back));
        let thread = std::thread::Builder::new()
            .name("demo-load".to_owned())
            .spawn(move || send_all(&producer, f64::from(rate), &books, &stopped, &held))?;
        Ok(Self { stop, held_back, thread })
    }

    /// Whether the backlog is at its bound.
    pub(super) fn held_back(&self) -> bool {
        self.held_back.load(Ordering::Relaxed)
    }

    /// Sends no more, and waits until all that was sent is with the brokers.
    pub(super) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        // A panic in there was reported by the panic hook.
        self.thread.join().ok();
    }
}

fn send_all(producer: &BaseProducer, rate: f64, books: &Books, stop: &AtomicBool, held_back: &AtomicBool) {
    let mut last = Instant::now();
    // Requests that are due; more than a tenth of a second's are not made up for.
    let mut due = 0.0_f64;
    while !stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        due = (due + rate * (now - last).as_secs_f64()).min((rate / 10.0).max(1.0));
        last = now;
        while due >= 1.0 {
            let open = books.lock().unwrap_or_else(PoisonError::into_inner).totals().open;
            held_back.store(open >= BACKLOG, Ordering::Relaxed);
            if open >= BACKLOG || send(producer, books).is_err() {
                break;
            }
            due -= 1.0;
        }
        producer.poll(TICK);
    }
    producer.flush(Duration::from_secs(10)).ok();
}

fn send(producer: &BaseProducer, books: &Books) -> KafkaResult<()> {
    let row = [(); 3].map(|()| f64::from(fastrand::u32(0..1000)) / 4.0);
    let body = json!({ "data": { "names": ["a", "b", "c"], "ndarray": [row] } }).to_string();
    let id = books.lock().unwrap_or_else(PoisonError::into_inner).send(expected(&row), Instant::now());
    let puid = puid(id);
    let key = format!("customer-{}", id % KEYS);
    let headers = OwnedHeaders::new().insert(Header { key: "Seldon-Puid", value: Some(&puid) });
    let record = BaseRecord::to(INPUT).key(&key).payload(&body).headers(headers);
    producer.send(record).map_err(|(error, _)| {
        books.lock().unwrap_or_else(PoisonError::into_inner).take_back(id);
        error
    })
}

/// Request id of a number.
fn puid(id: u64) -> String {
    format!("demo-{id}")
}

/// The number in a request id.
pub(super) fn number(puid: &[u8]) -> Option<u64> {
    std::str::from_utf8(puid).ok()?.strip_prefix("demo-")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_gives_its_number_back() {
        assert_eq!(number(puid(17).as_bytes()), Some(17));
        assert_eq!(number(b"demo-x"), None);
        assert_eq!(number(&[0xff]), None);
    }
}
