//! The places of a mailbox: a message needs one to be sent, and keeps it as long as somebody works on it.
//!
//! actix's own bound lets every clone of an address send one message more, so it bounds nothing.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{
            AtomicU64, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

/// No place is free, or others were waiting first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("mailbox is full")]
pub struct Full;

/// A place in a mailbox; dropping it gives the place back.
pub struct Permit(Arc<Gate>);

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permit")
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        // Both orders are SeqCst: either the releaser sees the waiter, or the waiter sees the place.
        self.0.used.fetch_sub(1, SeqCst);
        if self.0.waiting.load(SeqCst) > 0 {
            self.0.freed.notify_one();
        }
    }
}

pub(crate) struct Gate {
    used: AtomicUsize,
    limit: usize,
    waiting: AtomicUsize,
    freed: Notify,
    waited_nanos: AtomicU64,
}

impl Gate {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            used: AtomicUsize::new(0),
            limit,
            waiting: AtomicUsize::new(0),
            freed: Notify::new(),
            waited_nanos: AtomicU64::new(0),
        })
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    pub(crate) fn waited(&self) -> Duration {
        Duration::from_nanos(self.waited_nanos.load(Relaxed))
    }

    pub(crate) fn try_reserve(self: &Arc<Self>) -> Result<Permit, Full> {
        // A place that became free belongs to those who wait.
        if self.waiting.load(SeqCst) > 0 { Err(Full) } else { self.take().ok_or(Full) }
    }

    pub(crate) async fn reserve(self: Arc<Self>) -> Permit {
        if let Ok(permit) = self.try_reserve() {
            return permit;
        }
        let waiting = Waiting::new(&self);
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            // Registered before looking, or a place freed in between would wake nobody.
            freed.as_mut().enable();
            if let Some(permit) = self.take() {
                drop(waiting);
                return permit;
            }
            freed.await;
        }
    }

    fn take(self: &Arc<Self>) -> Option<Permit> {
        self.used
            .fetch_update(SeqCst, Relaxed, |used| (used < self.limit).then_some(used + 1))
            .ok()
            .map(|_| Permit(Arc::clone(self)))
    }

    #[cfg(debug_assertions)]
    pub(crate) fn issued(self: &Arc<Self>, permit: &Permit) -> bool {
        Arc::ptr_eq(self, &permit.0)
    }
}

/// Counts the time, also when the wait is given up.
struct Waiting<'a> {
    gate: &'a Gate,
    since: Instant,
}

impl<'a> Waiting<'a> {
    fn new(gate: &'a Gate) -> Self {
        gate.waiting.fetch_add(1, SeqCst);
        Self { gate, since: Instant::now() }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.gate.waiting.fetch_sub(1, SeqCst);
        let nanos = u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.gate.waited_nanos.fetch_add(nanos, Relaxed);
    }
}
