//! What must fit together: a graph's nodes, their servers, the protocol and the transports.

use std::collections::BTreeMap;

use super::fault::Faults;
use super::seldon::{About, Drawn};
use super::settings::{GraphNode, Implementation, Method, Node, Protocol, Transport};
use crate::record::CallKind;

/// What is compared.
pub(super) struct Case<'a> {
    /// The graph.
    pub(super) drawn: &'a Drawn,
    /// Settings of its nodes.
    pub(super) nodes: &'a BTreeMap<String, Node>,
    /// Protocol of every node.
    pub(super) protocol: Protocol,
    /// How nodes are called that do not say it themselves.
    pub(super) transport: Transport,
}

/// Notes what does not fit.
pub(super) fn check(case: &Case<'_>, notices: &mut Vec<String>, faults: &mut Faults) {
    for (at, _) in case.drawn.graph.flat() {
        let (Some(node), Some(about)) = (case.nodes.get(&at.name), case.drawn.about.get(&at.name)) else { continue };
        packaged(case, about, faults);
        if at.methods.contains(&Method::SendFeedback) && case.protocol != Protocol::Seldon {
            let (source, name, protocol) = (&about.source, &at.name, case.protocol);
            notices.push(format!("{source}: node {name:?}: SEND_FEEDBACK has no message in protocol {protocol}"));
        }
        if !at.calls().is_empty() {
            converts(case, node, about, faults);
            combines(case, at, node, about, faults);
            listens(case, at, node, faults);
        }
    }
}

/// A prepackaged server speaks what the deployment speaks.
fn packaged(case: &Case<'_>, about: &About, faults: &mut Faults) {
    let Some((server, source)) = &about.prepackaged else { return };
    if !server.protocols.contains(&case.protocol) {
        let right: Vec<String> = server.protocols.iter().map(ToString::to_string).collect();
        let problem = format!("{} does not speak protocol {}", server.name, case.protocol);
        faults.add(source, problem, format!("set `protocol` to {}", right.join(" or ")));
    }
}

/// A node that is called in another way than its messages come needs them converted.
fn converts(case: &Case<'_>, node: &Node, about: &About, faults: &mut Faults) {
    let Some(own) = node.transport.filter(|own| *own != case.transport) else { return };
    if case.protocol == Protocol::Tensorflow {
        let (name, others) = (&node.name, case.transport);
        let problem = format!(
            "node {name:?} is called over {own} and the graph over {others}: messages of protocol tensorflow cannot be \
             converted, as their JSON does not say which types its numbers have"
        );
        faults.add(&about.source, problem, format!("call it over {others} too: `nodes.{name}.transport: {others}`"));
    }
}

/// Only seldon's protobuf has a message with several answers in it.
fn combines(case: &Case<'_>, at: &GraphNode, node: &Node, about: &About, faults: &mut Faults) {
    let grpc = node.transport.unwrap_or(case.transport) == Transport::Grpc;
    if grpc && case.protocol != Protocol::Seldon && at.calls().contains(&CallKind::Aggregate) {
        let (name, protocol) = (&at.name, case.protocol);
        let problem = format!("node {name:?} combines answers over grpc, for which protocol {protocol} has no message");
        let rest = match case.protocol {
            Protocol::V2 => format!(", or call its server over REST: `nodes.{name}.transport: rest`"),
            Protocol::Seldon | Protocol::Tensorflow => String::new(),
        };
        faults.add(&about.source, problem, format!("let implementation AVERAGE_COMBINER do it here{rest}"));
    }
}

/// A server that is called has an address for the calls it gets.
fn listens(case: &Case<'_>, at: &GraphNode, node: &Node, faults: &mut Faults) {
    let (name, transport) = (&at.name, node.transport.unwrap_or(case.transport));
    if node.endpoint(transport).is_some() {
        return;
    }
    let other = node.rest.as_ref().or(node.grpc.as_ref());
    let problem = match (other, &at.implementation) {
        (Some(other), _) => {
            format!("it is called over {transport}, and only its other address is known, {other}")
        }
        (None, Implementation::Server) => "nothing says where its server listens".to_owned(),
        (None, _) => "nothing says where the server listens that its methods are asked of".to_owned(),
    };
    let remedy = format!("give it with --endpoint {name}=HOST:PORT or `nodes.{name}.endpoint`");
    faults.add(format!("node {name:?}"), problem, remedy);
}

#[cfg(test)]
mod tests;
