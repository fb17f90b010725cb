//! A checked graph, laid out flat: nodes by number, in the order in which a request reaches them.
//!
//! Made once and shared; what one request did so far is in [`Walk`](super::Walk).

use std::fmt;
use std::sync::Arc;

use super::spec::{self, SpecError};
use crate::config::settings::{GraphNode, NodeKind};

/// Number of a node in its plan. Numbers are dense and start at 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(usize);

impl NodeId {
    /// The number, for tables that hold something per node.
    pub fn index(self) -> usize {
        self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A node of a plan.
#[derive(Clone, Debug)]
pub struct PlanNode {
    /// Name, unique in the plan.
    pub name: Arc<str>,
    /// What it does.
    pub kind: NodeKind,
    /// Nodes that get its answer.
    pub children: Vec<NodeId>,
}

/// A checked graph.
#[derive(Clone, Debug)]
pub struct Plan {
    nodes: Vec<PlanNode>,
}

impl Plan {
    /// Checks a graph and lays it out, or says all that is wrong with it.
    pub fn new(root: &GraphNode) -> Result<Self, Vec<SpecError>> {
        spec::check(root)?;
        let mut nodes: Vec<PlanNode> = Vec::new();
        let mut open = vec![(root, None::<NodeId>)];
        while let Some((node, parent)) = open.pop() {
            let id = NodeId(nodes.len());
            nodes.push(PlanNode { name: node.name.as_str().into(), kind: node.kind, children: Vec::new() });
            if let Some(parent) = parent {
                nodes[parent.0].children.push(id);
            }
            open.extend(node.children.iter().rev().map(|child| (child, Some(id))));
        }
        Ok(Self { nodes })
    }

    /// The node that a request reaches first.
    pub fn root(&self) -> NodeId {
        NodeId(0)
    }

    /// A node of this plan.
    ///
    /// # Panics
    /// If the number is of another, larger plan.
    pub fn node(&self, id: NodeId) -> &PlanNode {
        &self.nodes[id.0]
    }

    /// All nodes with their numbers, in the order of the numbers.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = (NodeId, &PlanNode)> {
        self.nodes.iter().enumerate().map(|(index, node)| (NodeId(index), node))
    }

    /// Names of all nodes, in the order of their numbers.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &Arc<str>> {
        self.nodes.iter().map(|node| &node.name)
    }

    /// The node of this name.
    pub fn find(&self, name: &str) -> Option<NodeId> {
        self.nodes.iter().position(|node| &*node.name == name).map(NodeId)
    }

    /// How many nodes there are; at least one.
    pub fn size(&self) -> usize {
        self.nodes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_numbered_from_the_root() {
        let leaf = GraphNode::new("b", NodeKind::Model, vec![]);
        let plan = Plan::new(&GraphNode::new("a", NodeKind::Model, vec![leaf])).unwrap();
        assert_eq!(plan.names().map(|name| &**name).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(plan.find("b"), Some(NodeId(1)));
        assert_eq!(plan.find("c"), None);
        assert_eq!(plan.node(plan.root()).children, [NodeId(1)]);
        assert_eq!(plan.nodes().map(|(id, _)| id.index()).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(plan.size(), 2);
    }

    #[test]
    fn a_graph_that_breaks_a_rule_is_no_plan() {
        let nameless = GraphNode::new("", NodeKind::Model, vec![]);
        assert_eq!(Plan::new(&nameless).unwrap_err(), [SpecError::Unnamed { parent: "the root".into() }]);
    }
}
