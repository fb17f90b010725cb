//! Several actors that do the same work: picks the one that has least to do.
//!
//! It neither starts nor restarts them; the tree does.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::{actor::Actor, address::ActorRef};

/// References to interchangeable actors.
#[derive(Debug)]
pub struct Pool<A: Actor> {
    members: Vec<ActorRef<A>>,
    /// Rotates among equals.
    next: AtomicUsize,
}

impl<A: Actor> Pool<A> {
    /// A pool of these.
    pub fn new(members: Vec<ActorRef<A>>) -> Self {
        Self { members, next: AtomicUsize::new(0) }
    }

    /// The available member with the fewest mailbox places in use; none if all are in back-off, draining, wedged or gone.
    pub fn pick(&self) -> Option<&ActorRef<A>> {
        let start = self.next.fetch_add(1, Relaxed) % self.members.len().max(1);
        let (before, after) = self.members.split_at(start);
        after.iter().chain(before).filter(|member| member.is_available()).min_by_key(|member| member.depth())
    }

    /// All members, whatever their state.
    pub fn members(&self) -> &[ActorRef<A>] {
        &self.members
    }

    /// What an operator may see.
    pub fn observe(&self) -> serde_json::Value {
        let member = |member: &ActorRef<A>| {
            serde_json::json!({
                "name": member.name(),
                "state": member.state(),
                "depth": member.depth(),
                "limit": member.limit(),
            })
        };
        self.members.iter().map(member).collect()
    }
}
