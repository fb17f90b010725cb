//! Happenings of comparisons: what the shadow children of a node made of its requests.

use std::time::{Duration, Instant};

use slog::{info, warn};

use super::Events;

/// Both sides of a comparison.
#[derive(Debug)]
pub struct Comparison<'a> {
    /// Id of the request.
    pub puid: &'a str,
    /// The SHADOW node.
    pub node: &'a str,
    /// The child whose answer is not given.
    pub child: &'a str,
    /// From the node's request to the answer that is given.
    pub primary_took: Duration,
    /// From the node's request to the child's answer.
    pub shadow_took: Duration,
    /// How the answers differ, or why there is nothing to compare with.
    pub difference: Result<String, String>,
    /// They are alike.
    pub equal: bool,
}

impl Events {
    /// A shadow child has answered, or failed.
    pub fn compared(&self, pair: &Comparison<'_>) {
        let (result, difference) = match &pair.difference {
            Ok(text) if pair.equal => ("equal", text),
            Ok(text) => ("different", text),
            Err(text) => ("failed", text),
        };
        self.shadows.with_label_values(&[pair.child, result]).inc();
        info!(self.0.log, "shadow compared"; "node" => pair.node, "child" => pair.child, "puid" => pair.puid,
            "result" => result, "difference" => difference, "primary_us" => pair.primary_took.as_micros() as u64,
            "shadow_us" => pair.shadow_took.as_micros() as u64);
    }

    /// A request was not copied to a shadow child, because too many copies run.
    pub fn shadow_skipped(&self, child: &str) {
        self.shadows.with_label_values(&[child, "skipped"]).inc();
        if let Some(suppressed) = self.0.limits.shadow_skipped.pass(Instant::now()) {
            warn!(self.0.log, "shadow skipped, too many copies run"; "node" => child, "suppressed" => suppressed);
        }
    }
}
