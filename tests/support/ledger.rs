//! Checks answers as they come, for runs that are too long to keep them.

use std::collections::HashMap;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::check::{Expected, compare};
use super::collect::{Collector, Record};
use super::load::Requests;

/// What came so far of requests that are numbered from 0.
pub struct Ledger {
    requests: Requests,
    expected: Expected,
    answered: Vec<bool>,
    /// The newest answer of each key.
    newest: HashMap<String, u64>,
    pub count: u64,
    /// Answers beyond the first of their request.
    pub extra: u64,
    /// Answers that came for the first time behind a later one of their key.
    pub out_of_order: Vec<String>,
    /// Answers that are not what the models make of the request, or belong to none.
    pub wrong: Vec<String>,
}

impl Ledger {
    fn take(&mut self, record: &Record) {
        let id = record.header("Seldon-Puid").unwrap_or_default();
        let number = id.strip_prefix(&self.requests.stem).and_then(|rest| rest.strip_prefix('-')?.parse::<u64>().ok());
        let Some(number) = number else { return self.wrong.push(format!("no request has the id '{id}'")) };
        let at = number as usize;
        if self.answered.len() <= at {
            self.answered.resize(at + 1, false);
        }
        if std::mem::replace(&mut self.answered[at], true) {
            self.extra += 1;
            return;
        }
        self.count += 1;
        let request = self.requests.nth(number);
        if let Err(why) = compare(&request, record, self.expected) {
            self.wrong.push(format!("{id}: {why}"));
        }
        let newest = self.newest.entry(request.key).or_insert(request.seq);
        if request.seq < *newest {
            self.out_of_order.push(format!("{id} came after number {newest} of its key"));
        }
        *newest = request.seq.max(*newest);
    }
}

/// A ledger that is kept by a thread of its own.
pub struct Kept {
    stop: mpsc::Sender<(u64, Instant)>,
    thread: JoinHandle<Ledger>,
}

impl Kept {
    /// Reads the output from its beginning.
    pub fn start(requests: Requests, mut output: Collector, expected: Expected) -> Self {
        let (stop, stopped) = mpsc::channel::<(u64, Instant)>();
        let thread = std::thread::spawn(move || {
            let (answered, newest, wrong) = (Vec::new(), HashMap::new(), Vec::new());
            let mut ledger =
                Ledger { requests, expected, answered, newest, count: 0, extra: 0, out_of_order: Vec::new(), wrong };
            let mut asked = None;
            loop {
                output.read_until(Duration::from_millis(100), |records| !records.is_empty());
                for record in std::mem::take(&mut output.records) {
                    ledger.take(&record);
                }
                asked = asked.or_else(|| stopped.try_recv().ok());
                if asked.is_some_and(|(count, end)| ledger.count >= count || Instant::now() >= end) {
                    return ledger;
                }
            }
        });
        Self { stop, thread }
    }

    /// Waits until `count` requests are answered, no longer than `limit`.
    pub fn finish(self, count: u64, limit: Duration) -> Ledger {
        self.stop.send((count, Instant::now() + limit)).expect("it listens until then");
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}
