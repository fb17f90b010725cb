//! What all requests of a graph go by. Pure.

use crate::config::settings::{Protocol, Retry, Transport};
use crate::graph::{NodeId, Plan};
use std::time::Duration;

/// Number of an endpoint: a node may have one per transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target(pub usize);

/// What calls of one node go by.
#[derive(Clone, Debug)]
pub struct NodeRules {
    /// Retries of a call.
    pub retry: Retry,
    /// The only transport it is called over, if there is one.
    pub transport: Option<Transport>,
    /// Its endpoint for REST calls.
    pub rest: Option<Target>,
    /// Its endpoint for gRPC calls.
    pub grpc: Option<Target>,
}

impl NodeRules {
    /// Where and how the node is called with a message of this encoding. The other transport is taken where the node has
    /// no endpoint for the first; the message has to be converted then.
    pub fn target(&self, encoding: Transport) -> Option<(Transport, Target)> {
        let of = |transport| match transport {
            Transport::Rest => self.rest.map(|target| (transport, target)),
            Transport::Grpc => self.grpc.map(|target| (transport, target)),
        };
        let other = match encoding {
            Transport::Rest => Transport::Grpc,
            Transport::Grpc => Transport::Rest,
        };
        match self.transport {
            Some(only) => of(only),
            None => of(encoding).or_else(|| of(other)),
        }
    }
}

/// What all requests go by.
#[derive(Debug)]
pub struct Rules {
    /// The graph.
    pub plan: Plan,
    /// Its nodes, by their numbers.
    pub nodes: Vec<NodeRules>,
    /// Protocol of the requests.
    pub protocol: Protocol,
    /// Time that a record may cost while its endpoints work.
    pub deadline: Duration,
    /// Write the route into the answer.
    pub inject_routing: bool,
    /// What runs through the graph is feedback, which teaches its nodes and has no answer.
    pub feedback: bool,
}

impl Rules {
    /// Name of a node.
    pub fn name(&self, node: NodeId) -> &str {
        &self.plan.node(node).name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_called_in_the_messages_encoding_where_it_can_be() {
        use Transport::{Grpc, Rest};
        let retry = Retry { attempts: 1, min_backoff: Duration::ZERO, max_backoff: Duration::ZERO };
        let both = NodeRules { retry, transport: None, rest: Some(Target(0)), grpc: Some(Target(1)) };
        assert_eq!(both.target(Rest), Some((Rest, Target(0))));
        assert_eq!(both.target(Grpc), Some((Grpc, Target(1))));
        let fixed = NodeRules { transport: Some(Grpc), ..both.clone() };
        assert_eq!(fixed.target(Rest), Some((Grpc, Target(1))));
        let rest = NodeRules { grpc: None, ..both.clone() };
        assert_eq!(rest.target(Grpc), Some((Rest, Target(0))));
        let none = NodeRules { transport: Some(Grpc), grpc: None, ..both };
        assert_eq!(none.target(Rest), None);
    }
}
