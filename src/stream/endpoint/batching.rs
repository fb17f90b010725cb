//! Calls with several records to one endpoint, as one router sees them: who waits for one, and what is known of them.

use std::sync::Arc;
use std::time::Duration;

use crate::codec::batch::Part;
use crate::config::settings::Protocol;
use crate::events::BatchMetrics;
use crate::graph::NodeId;
use crate::model::batch::Learned;
use crate::model::batch::collector::{Bounds, Collector, Waiting};
use crate::model::headers::CallHeaders;
use crate::record::{CallKind, Message};

/// What calls with several records go by, on one worker.
#[derive(Clone)]
pub struct BatchParts {
    /// Protocol of the calls.
    pub protocol: Protocol,
    /// Bounds of a call.
    pub bounds: Bounds,
    /// What the process has learned of the endpoint.
    pub learned: Arc<Learned>,
    /// What is counted.
    pub metrics: BatchMetrics,
}

/// A request that waits for a call with others, or runs in one.
#[derive(Clone)]
pub struct Member {
    /// The request, numbered by the router.
    pub flight: u64,
    /// The node it is for.
    pub node: NodeId,
    /// Its rows.
    pub part: Part,
    /// Number of the call that it runs in.
    pub call: u32,
}

/// State of them.
pub struct Batching {
    /// What they go by.
    pub parts: BatchParts,
    /// Who waits.
    pub collector: Collector<Member>,
    /// Whether the next free place is for a call of several. Requests that cannot be merged take turns with them.
    pub turn: bool,
    /// When somebody looks again, if somebody does.
    pub looks: Option<Duration>,
    kind: Vec<u8>,
}

impl Batching {
    /// Nobody waits.
    pub fn new(parts: &BatchParts) -> Self {
        let (parts, collector) = (parts.clone(), Collector::new(parts.bounds));
        parts.metrics.set_target(parts.learned.target());
        Self { parts, collector, turn: false, looks: None, kind: Vec::new() }
    }

    /// A request waits, if it may be merged with others that say the same besides.
    pub fn wait(
        &mut self,
        (flight, node): (u64, NodeId),
        (kind, message): (CallKind, &Message),
        headers: &CallHeaders,
        now: Duration,
    ) -> bool {
        if !self.parts.learned.merges() {
            return false;
        }
        let Some(part) = Part::of(self.parts.protocol, kind, message) else { return false };
        self.kind.clear();
        self.kind.push(kind as u8);
        for (name, value) in headers.shared() {
            // With their lengths, so that no two lists are the same bytes.
            for bytes in [name, value] {
                self.kind.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
                self.kind.extend_from_slice(bytes);
            }
        }
        self.kind.extend_from_slice(&u64::MAX.to_le_bytes());
        self.kind.extend_from_slice(part.key());
        let (rows, bytes) = (part.rows(), part.bytes());
        let request = Waiting { item: Member { flight, node, part, call: 0 }, rows, bytes, since: now };
        self.collector.wait(&self.kind, request, self.parts.learned.target(), now);
        true
    }

    /// What an operator may see.
    pub fn observe(&self) -> serde_json::Value {
        serde_json::json!({
            "collected": self.collector.len(),
            "target_rows": self.parts.learned.target(),
            "stopped": !self.parts.learned.merges(),
        })
    }
}
