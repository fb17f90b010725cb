//! What the probes answer: checks that the parts of the service keep up to date, read from memory.
//!
//! Not for finding out: whoever knows sets the check when it changes.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde::{Serialize, Serializer};

/// Settings were read and the graph stands.
pub const CONFIG: &str = "config";
/// A broker has answered.
pub const BROKERS: &str = "brokers";
/// The group was joined; no partition is a legitimate assignment.
pub const GROUP: &str = "group";
/// The producer is ready to write.
pub const PRODUCER: &str = "producer";
/// The service is not draining.
pub const NOT_DRAINING: &str = "not_draining";
/// Nothing has failed for good.
pub const NOT_FAILED: &str = "not_failed";

/// Name of the check of a node's endpoint.
pub fn node(name: &str) -> String {
    format!("node:{name}")
}

/// The checks; cheap to clone.
#[derive(Clone, Debug)]
pub struct Health(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    alive: Check,
    checks: Vec<Check>,
}

/// One condition of being ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Fixed name.
    pub name: Cow<'static, str>,
    /// Whether it holds.
    pub ok: bool,
    /// When `ok` last changed.
    #[serde(serialize_with = "rfc3339")]
    pub since: SystemTime,
    /// What there is to say about it, for people.
    pub detail: Cow<'static, str>,
}

/// All checks at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct Snapshot {
    /// Whether all hold.
    pub ready: bool,
    /// Each of them.
    pub checks: Vec<Check>,
}

impl Health {
    /// Checks for a service with these nodes. Until they are set, only "not draining" and "not failed" hold.
    pub fn new<'a>(nodes: impl IntoIterator<Item = &'a str>) -> Self {
        let now = SystemTime::now();
        let unset = |name: Cow<'static, str>| Check { name, ok: false, since: now, detail: "not yet".into() };
        let good = |name: &'static str| Check { name: name.into(), ok: true, since: now, detail: "".into() };
        let mut checks: Vec<_> = [CONFIG, BROKERS, GROUP, PRODUCER].map(|name| unset(name.into())).into();
        checks.extend(nodes.into_iter().map(|name| unset(node(name).into())));
        checks.extend([NOT_DRAINING, NOT_FAILED].map(good));
        Self(Arc::new(Mutex::new(State { alive: good("alive"), checks })))
    }

    /// Sets a check. A name that is not known yet becomes one more condition.
    pub fn set(&self, name: &str, ok: bool, detail: impl Into<Cow<'static, str>>) {
        let mut state = self.state();
        if let Some(check) = state.checks.iter_mut().find(|check| check.name == name) {
            check.set(ok, detail.into());
        } else {
            let check = Check { name: name.to_owned().into(), ok, since: SystemTime::now(), detail: detail.into() };
            state.checks.push(check);
        }
    }

    /// Says that a critical part makes no progress, so that restarting the process is the only help, or that it does
    /// again. Brokers and models have no part in it: restarting does not mend them.
    pub fn set_alive(&self, ok: bool, detail: impl Into<Cow<'static, str>>) {
        self.state().alive.set(ok, detail.into());
    }

    /// Whether the process should be left running, and why not.
    pub fn alive(&self) -> Check {
        self.state().alive.clone()
    }

    /// All checks.
    pub fn snapshot(&self) -> Snapshot {
        let checks = self.state().checks.clone();
        Snapshot { ready: checks.iter().all(|check| check.ok), checks }
    }

    /// Whether one check holds.
    pub fn is_ok(&self, name: &str) -> bool {
        self.state().checks.iter().any(|check| check.name == name && check.ok)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Check {
    fn set(&mut self, ok: bool, detail: Cow<'static, str>) {
        if self.ok != ok {
            self.since = SystemTime::now();
        }
        self.ok = ok;
        self.detail = detail;
    }
}

fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_millis(*time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_ready_when_every_check_holds() {
        let health = Health::new(["a", "b"]);
        assert!(!health.snapshot().ready);
        for name in [CONFIG, BROKERS, GROUP, PRODUCER, "node:a", "node:b"] {
            assert!(!health.snapshot().ready);
            health.set(name, true, "");
        }
        assert!(health.snapshot().ready);
        health.set(NOT_DRAINING, false, "SIGTERM");
        assert!(!health.snapshot().ready);
    }

    #[test]
    fn a_detail_can_change_without_the_time_since_when_it_holds() {
        let health = Health::new([]);
        health.set(GROUP, true, "3 partitions");
        let before = health.snapshot().checks[2].clone();
        health.set(GROUP, true, "0 partitions");
        let after = health.snapshot().checks[2].clone();
        assert_eq!((after.since, &*after.detail), (before.since, "0 partitions"));
    }

    #[test]
    fn an_unknown_check_becomes_a_condition() {
        let health = Health::new([]);
        health.set("tls", false, "expired");
        assert_eq!(health.snapshot().checks.last().map(|check| &*check.name), Some("tls"));
    }
}
