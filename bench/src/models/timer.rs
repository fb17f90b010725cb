//! A timer that is right to some 50 µs. That of the runtime counts in whole milliseconds, which would make a model that
//! takes one millisecond take two.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;

use crate::Result;

/// Wakes those who wait when their time has come.
pub(super) struct Timer {
    begun: Instant,
    shared: Rc<Shared>,
}

struct Shared {
    clock: AsyncFd<OwnedFd>,
    /// By time, and in the order of asking.
    waiting: RefCell<BTreeMap<(Duration, u64), oneshot::Sender<()>>>,
    asked: Cell<u64>,
}

impl Timer {
    /// To be called on the thread of the runtime that it serves.
    pub(super) fn new() -> Result<Self> {
        let clock = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        let (waiting, asked) = (RefCell::default(), Cell::new(0));
        #[expect(
            deprecated,
            reason = "sound for an owned descriptor, and its successor may only be called from unsafe code"
        )]
        let clock = AsyncFd::new(clock)?;
        let shared = Rc::new(Shared { clock, waiting, asked });
        let timer = Self { begun: Instant::now(), shared: Rc::clone(&shared) };
        tokio::task::spawn_local(tick(timer.begun, shared));
        Ok(timer)
    }

    /// The time since the timer was made.
    pub(super) fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Returns at that time.
    pub(super) async fn at(&self, time: Duration) {
        let (wake, woken) = oneshot::channel();
        let asked = self.shared.asked.replace(self.shared.asked.get() + 1);
        let is_first = {
            let mut waiting = self.shared.waiting.borrow_mut();
            let first = waiting.first_key_value().map(|((first, _), _)| *first);
            waiting.insert((time, asked), wake);
            first.is_none_or(|first| time < first)
        };
        if is_first {
            self.shared.set(time.saturating_sub(self.now()));
        }
        // The other end lives as long as this thread.
        drop(woken.await);
    }
}

impl Shared {
    /// Makes the clock tick once, so long from now.
    fn set(&self, after: Duration) {
        // Zero would stop the clock.
        let after = after.max(Duration::from_nanos(1));
        let once = Timespec { tv_sec: after.as_secs() as i64, tv_nsec: i64::from(after.subsec_nanos()) };
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let time = Itimerspec { it_interval: never, it_value: once };
        timerfd_settime(&self.clock, TimerfdTimerFlags::empty(), &time)
            .expect("the clock is open and the time is sound");
    }

    /// Wakes those whose time has come.
    fn wake(&self, now: Duration) {
        let mut waiting = self.waiting.borrow_mut();
        while let Some(entry) = waiting.first_entry() {
            if entry.key().0 > now {
                self.set(entry.key().0.saturating_sub(now));
                break;
            }
            // Who gave up need not be woken.
            entry.remove().send(()).unwrap_or_default();
        }
    }
}

async fn tick(begun: Instant, shared: Rc<Shared>) {
    while let Ok(mut ready) = shared.clock.readable().await {
        let mut ticks = [0; 8];
        // Nothing to read means that the clock was set anew meanwhile.
        rustix::io::read(&shared.clock, &mut ticks).unwrap_or_default();
        ready.clear_ready();
        shared.wake(begun.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::LocalSet;

    use super::*;

    #[test]
    fn who_waits_less_is_woken_first() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let woken = RefCell::new(Vec::new());
        LocalSet::new().block_on(&runtime, async {
            let timer = Timer::new().unwrap();
            let wait = async |ms| {
                let time = Duration::from_millis(ms);
                timer.at(time).await;
                assert!(timer.now() >= time);
                woken.borrow_mut().push(ms);
            };
            tokio::join!(wait(30), wait(1), wait(20), wait(0), wait(20));
        });
        assert_eq!(woken.into_inner(), [0, 1, 20, 20, 30]);
    }
}
