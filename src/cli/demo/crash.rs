//! Crashes an actor every few seconds, to show that nothing is lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use crate::admin::Actors;

/// Time between two crashes: within what the restart budgets allow.
const EVERY: Duration = Duration::from_secs(3);
const ANSWER: Duration = Duration::from_millis(100);

/// Chooses actors and crashes them.
pub(super) struct Crasher {
    runtime: Runtime,
    next: Instant,
    /// Crashes so far.
    pub(super) crashes: u64,
}

impl Crasher {
    pub(super) fn new(now: Instant) -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_time().build()?;
        Ok(Self { runtime, next: now + EVERY, crashes: 0 })
    }

    /// Crashes one actor if it is time for it.
    pub(super) fn tick(&mut self, actors: &Arc<dyn Actors>, now: Instant) {
        if now < self.next {
            return;
        }
        self.next = now + EVERY;
        let mut names = workers(&self.runtime.block_on(async { actors.snapshot(ANSWER).await }));
        fastrand::shuffle(&mut names);
        if names.iter().any(|name| actors.crash(name)) {
            self.crashes += 1;
        }
    }
}

/// Names of all actors but supervisors.
fn workers(actors: &Value) -> Vec<String> {
    let name = |actor: &Value| {
        let is_supervisor = actor["kind"].as_str() == Some("supervisor");
        actor["name"].as_str().filter(|_| !is_supervisor).map(str::to_owned)
    };
    actors.as_array().into_iter().flatten().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::Mutex;

    use serde_json::json;

    use super::*;

    #[derive(Default)]
    struct Kept(Mutex<Vec<String>>);

    impl Actors for Kept {
        fn snapshot(&self, _: Duration) -> Pin<Box<dyn Future<Output = Value>>> {
            Box::pin(async {
                json!([{ "name": "root", "kind": "supervisor" }, { "name": "router/0", "kind": "router" }])
            })
        }

        fn crash(&self, name: &str) -> bool {
            self.0.lock().unwrap().push(name.to_owned());
            true
        }
    }

    #[test]
    fn one_worker_is_crashed_every_few_seconds() {
        let start = Instant::now();
        let kept = Arc::new(Kept::default());
        let actors: Arc<dyn Actors> = Arc::clone(&kept) as _;
        let mut crasher = Crasher::new(start).unwrap();
        for second in 0..=6 {
            crasher.tick(&actors, start + Duration::from_secs(second));
        }
        assert_eq!(*kept.0.lock().unwrap(), ["router/0", "router/0"]);
        assert_eq!(crasher.crashes, 2);
    }
}
