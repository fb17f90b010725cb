//! Which endpoints a graph is called through: one per node and transport that a call of it may take.

use super::journey::{NodeRules, Rules, Target};
use crate::config::settings::{Node, Protocol, Settings, Stream, Transport};
use crate::events::UNARY;
use crate::graph::Plan;
use crate::model::methods::usual;
use crate::model::paths::Paths;
use crate::record::CallKind;

/// A node's endpoint for one transport.
#[derive(Clone, Debug)]
pub struct NodeTarget {
    /// Settings of the node.
    pub node: Node,
    /// How it is called there.
    pub transport: Transport,
    /// Whether requests go there unless they choose otherwise.
    pub primary: bool,
    /// The first of its calls, which stands for all in Seldon's metrics.
    pub call: CallKind,
}

impl NodeTarget {
    /// Name of the node, with the transport where it is the second one.
    pub fn name(&self) -> String {
        if self.primary { self.node.name.clone() } else { format!("{} ({})", self.node.name, self.transport) }
    }
}

impl NodeTarget {
    /// Seldon's `service` and `method` of its calls.
    pub fn service(&self, protocol: Protocol) -> (String, &'static str) {
        match self.transport {
            Transport::Rest => {
                let paths = Paths::new(protocol, &self.node.name);
                (paths.calls.get(&self.call).cloned().unwrap_or(paths.predict), "post")
            }
            Transport::Grpc => (usual(protocol, self.call).to_owned(), UNARY),
        }
    }
}

/// What requests of these settings go by, and the endpoints that [`Target`]s number.
pub fn targets(settings: &Settings, plan: Plan) -> Result<(Rules, Vec<NodeTarget>), String> {
    let mut nodes = Vec::new();
    let mut targets: Vec<NodeTarget> = Vec::new();
    for (_, at) in plan.nodes() {
        let name = &*at.name;
        let node = settings.nodes.get(name).ok_or_else(|| format!("node {name} has no settings"))?;
        let mut rules = NodeRules { retry: node.retry, transport: node.transport, rest: None, grpc: None };
        if let Some(call) = at.calls().next() {
            let own = node.transport.unwrap_or(settings.transport);
            for transport in [Transport::Rest, Transport::Grpc] {
                let primary = transport == own;
                if node.endpoint(transport).is_none() || !(primary || node.transport.is_none()) {
                    continue;
                }
                let target = Some(Target(targets.len()));
                match transport {
                    Transport::Rest => rules.rest = target,
                    Transport::Grpc => rules.grpc = target,
                }
                targets.push(NodeTarget { node: node.clone(), transport, primary, call });
            }
            if rules.target(own).is_none() {
                return Err(format!("node {name} has no endpoint for {own} calls"));
            }
        }
        nodes.push(rules);
    }
    let (protocol, deadline) = (settings.protocol, settings.limits.record_deadline);
    let feedback = settings.stream == Stream::Feedback;
    Ok((Rules { plan, nodes, protocol, deadline, inject_routing: settings.inject_routing, feedback }, targets))
}
