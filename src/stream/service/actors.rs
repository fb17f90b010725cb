//! The service's actors as the admin port deals with them.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use millrace_actors::{ArbiterRef, Arbiters, Observer};
use serde_json::Value;

use super::feedback;
use crate::admin;

/// A worker thread is named so where an actor can be crashed: `thread:worker-0` is lost with all its actors.
const THREAD: &str = "thread:";

/// The actors of one tree.
pub(super) struct TreeActors {
    pub(super) observer: Observer,
    /// Known once the tree stands.
    pub(super) arbiters: OnceLock<Arbiters>,
}

impl admin::Actors for TreeActors {
    fn snapshot(&self, timeout: Duration) -> Pin<Box<dyn Future<Output = Value>>> {
        let reports = self.observer.snapshot(timeout);
        Box::pin(async move { serde_json::to_value(reports.await).unwrap_or_default() })
    }

    fn crash(&self, name: &str) -> bool {
        if let Some(thread) = name.strip_prefix(THREAD) {
            let mut arbiters = self.arbiters.get().into_iter().flat_map(Arbiters::iter);
            return arbiters.find(|arbiter| arbiter.name() == thread).map(ArbiterRef::lose).is_some();
        }
        let found = self.observer.find(name);
        if let Some(actor) = &found {
            actor.crash("crashed on request");
        }
        found.is_some()
    }
}

/// Those of the requests, and those of the feedback with its name before theirs.
pub(super) struct Actors {
    pub(super) own: Arc<TreeActors>,
    pub(super) beside: Option<Arc<TreeActors>>,
}

impl admin::Actors for Actors {
    fn snapshot(&self, timeout: Duration) -> Pin<Box<dyn Future<Output = Value>>> {
        let (own, beside) = (self.own.snapshot(timeout), self.beside.as_ref().map(|beside| beside.snapshot(timeout)));
        Box::pin(async move {
            let mut all = own.await;
            if let Some(beside) = beside {
                let mut others = beside.await;
                for actor in others.as_array_mut().into_iter().flatten() {
                    let name = actor["name"].as_str().map(|name| format!("{}/{name}", feedback::NAME));
                    actor["name"] = name.into();
                }
                if let (Some(all), Some(others)) = (all.as_array_mut(), others.as_array_mut()) {
                    all.append(others);
                }
            }
            all
        })
    }

    fn crash(&self, name: &str) -> bool {
        let of_beside = name.strip_prefix(feedback::NAME).and_then(|name| name.strip_prefix('/'));
        match (of_beside, &self.beside) {
            (Some(name), Some(beside)) => beside.crash(name),
            _ => self.own.crash(name),
        }
    }
}
