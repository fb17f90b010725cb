//! Waiting for what another process does: always a look, a short pause and a deadline. The only place that sleeps.

use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(20);

/// Looks again and again until there is something; `None` when `limit` is over.
pub fn try_until<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= end {
            return None;
        }
        #[expect(clippy::disallowed_methods, reason = "what is waited for happens in another process")]
        std::thread::sleep(PAUSE);
    }
}

/// Looks until there is something; fails the test when there is nothing in time.
#[track_caller]
pub fn until<T>(limit: Duration, what: &str, look: impl FnMut() -> Option<T>) -> T {
    match try_until(limit, look) {
        Some(found) => found,
        None => panic!("not in {limit:?}: {what}"),
    }
}

/// Waits until a condition holds; fails the test when it does not in time.
#[track_caller]
pub fn until_true(limit: Duration, what: &str, mut look: impl FnMut() -> bool) {
    until(limit, what, || look().then_some(()));
}

/// Checks again and again that a condition goes on holding.
#[track_caller]
pub fn holds_for(time: Duration, what: &str, mut look: impl FnMut() -> bool) {
    let broken = try_until(time, || (!look()).then_some(()));
    assert!(broken.is_none(), "did not hold for {time:?}: {what}");
}

/// Time that has to pass because its length is what the guarantee is about (an outage of 60 s, a crash every 300 ms).
pub fn let_pass(time: Duration) {
    try_until::<()>(time, || None);
}
