//! A checked graph, laid out flat: nodes by number, in the order in which a request reaches them, and what each does at
//! which of its stages.
//!
//! Made once and shared; what one request did so far is in [`Walk`](super::Walk). Types and methods of a node add up, as in
//! the predecessor; an implementation that is done here takes the place of the call that its type would make.

use std::fmt;
use std::sync::Arc;

use super::spec::{self, SpecError};
use crate::config::settings::{GraphNode, Implementation, Method, NodeKind, Split};
use crate::record::CallKind;

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

/// What is done with a message on its way to the children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Nothing.
    Pass,
    /// The node's server is called: [`CallKind::Predict`] or [`CallKind::TransformInput`].
    Call(CallKind),
    /// A fixed answer takes its place.
    Fixed,
}

/// How the children that go on are chosen.
#[derive(Clone, Debug, PartialEq)]
pub enum Branch {
    /// All of them.
    All,
    /// The node's server is asked.
    Ask,
    /// One is drawn.
    Draw(Split),
    /// The first.
    First,
    /// The message says it: feedback goes where its request went.
    Told,
    /// The first, and the others get a copy whose answer nobody waits for.
    Shadow,
}

/// What is made of the children's answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// The first one in their order; the others are dropped.
    First,
    /// The node's server makes one of them.
    Ask,
    /// Their mean.
    Average,
    /// Nothing: the message that went down goes on.
    Keep,
}

/// What is done with the answer on its way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Nothing.
    Pass,
    /// The node's server is called: [`CallKind::TransformOutput`] or [`CallKind::SendFeedback`].
    Call(CallKind),
}

/// A node of a plan.
#[derive(Clone, Debug)]
pub struct PlanNode {
    /// Name, unique in the plan.
    pub name: Arc<str>,
    /// The node above it, and its place among that node's children.
    pub parent: Option<(NodeId, usize)>,
    /// Nodes below it.
    pub children: Vec<NodeId>,
    /// First stage.
    pub input: Input,
    /// Second stage, if it has children.
    pub branch: Branch,
    /// Third stage, if children were asked.
    pub join: Join,
    /// Last stage.
    pub output: Output,
}

impl PlanNode {
    /// What its server is called for, in the order of the stages. Nothing if it needs no server.
    pub fn calls(&self) -> impl Iterator<Item = CallKind> {
        let input = if let Input::Call(kind) = self.input { Some(kind) } else { None };
        let asks = !self.children.is_empty();
        let route = (asks && self.branch == Branch::Ask).then_some(CallKind::Route);
        let join = (asks && self.join == Join::Ask).then_some(CallKind::Aggregate);
        let output = if let Output::Call(kind) = self.output { Some(kind) } else { None };
        [input, route, join, output].into_iter().flatten()
    }

    /// What the server is called for is the node's own rule; an implementation that is done here fills the other stages.
    fn predicting(node: &GraphNode, parent: Option<(NodeId, usize)>) -> Self {
        let calls = node.calls();
        let before = calls.iter().find(|kind| matches!(kind, CallKind::Predict | CallKind::TransformInput));
        let input = match (&node.implementation, before) {
            (Implementation::SimpleModel, _) => Input::Fixed,
            (_, Some(kind)) => Input::Call(*kind),
            (_, None) => Input::Pass,
        };
        let branch = match &node.implementation {
            Implementation::RandomAbtest(split) => Branch::Draw(split.clone()),
            Implementation::SimpleRouter => Branch::First,
            Implementation::Shadow => Branch::Shadow,
            _ if calls.contains(&CallKind::Route) => Branch::Ask,
            _ => Branch::All,
        };
        let join = match &node.implementation {
            Implementation::AverageCombiner => Join::Average,
            _ if calls.contains(&CallKind::Aggregate) => Join::Ask,
            _ => Join::First,
        };
        let after = calls.contains(&CallKind::TransformOutput);
        let output = if after { Output::Call(CallKind::TransformOutput) } else { Output::Pass };
        Self { name: node.name.as_str().into(), parent, children: Vec::new(), input, branch, join, output }
    }

    /// Children first, then the node itself: models, routers, and whoever has the method.
    fn learning(node: &GraphNode, parent: Option<(NodeId, usize)>) -> Self {
        let learns =
            matches!(node.kind, NodeKind::Model | NodeKind::Router) || node.methods.contains(&Method::SendFeedback);
        let output = if learns && node.implementation == Implementation::Server {
            Output::Call(CallKind::SendFeedback)
        } else {
            Output::Pass
        };
        let (input, branch, join) = (Input::Pass, Branch::Told, Join::Keep);
        Self { name: node.name.as_str().into(), parent, children: Vec::new(), input, branch, join, output }
    }
}

/// A checked graph.
#[derive(Clone, Debug)]
pub struct Plan {
    nodes: Vec<PlanNode>,
}

impl Plan {
    /// Checks a graph and lays it out for predictions, or says all that is wrong with it.
    pub fn new(root: &GraphNode) -> Result<Self, Vec<SpecError>> {
        Self::of(root, PlanNode::predicting)
    }

    /// Lays a graph out for feedback. Nodes have the same numbers.
    pub fn feedback(root: &GraphNode) -> Result<Self, Vec<SpecError>> {
        Self::of(root, PlanNode::learning)
    }

    fn of(
        root: &GraphNode,
        make: impl Fn(&GraphNode, Option<(NodeId, usize)>) -> PlanNode,
    ) -> Result<Self, Vec<SpecError>> {
        spec::check(root)?;
        let mut nodes: Vec<PlanNode> = Vec::new();
        let mut open = vec![(root, None::<NodeId>)];
        while let Some((node, parent)) = open.pop() {
            let id = NodeId(nodes.len());
            let place = parent.map(|parent| (parent, nodes[parent.0].children.len()));
            nodes.push(make(node, place));
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

    fn node(name: &str, kind: NodeKind, children: Vec<GraphNode>) -> GraphNode {
        GraphNode::new(name, kind, children)
    }

    #[test]
    fn nodes_are_numbered_from_the_root_and_know_their_place() {
        let b = node("b", NodeKind::Model, vec![node("c", NodeKind::Model, vec![])]);
        let plan = Plan::new(&node("a", NodeKind::Combiner, vec![b, node("d", NodeKind::Model, vec![])])).unwrap();
        assert_eq!(plan.names().map(|name| &**name).collect::<Vec<_>>(), ["a", "b", "c", "d"]);
        assert_eq!((plan.find("b"), plan.find("x")), (Some(NodeId(1)), None));
        assert_eq!(plan.node(plan.root()).children, [NodeId(1), NodeId(3)]);
        let places: Vec<_> = plan.nodes().map(|(_, node)| node.parent).collect();
        assert_eq!(places, [None, Some((NodeId(0), 0)), Some((NodeId(1), 0)), Some((NodeId(0), 1))]);
        assert_eq!(plan.size(), 4);
    }

    #[test]
    fn a_graph_that_breaks_a_rule_is_no_plan() {
        let nameless = node("", NodeKind::Model, vec![]);
        assert_eq!(Plan::new(&nameless).unwrap_err(), [SpecError::Unnamed { parent: "the root".into() }]);
    }

    fn calls(kind: NodeKind, methods: &[Method], implementation: Implementation, children: usize) -> Vec<CallKind> {
        let children = (0..children).map(|i| node(&format!("c{i}"), NodeKind::Model, vec![])).collect();
        let methods = methods.to_vec();
        let graph = GraphNode { methods, implementation, ..node("a", kind, children) };
        Plan::new(&graph).unwrap().nodes[0].calls().collect()
    }

    #[test]
    fn types_and_methods_add_up() {
        use CallKind::{Aggregate, Predict, Route, TransformInput, TransformOutput};
        use Implementation::Server;
        assert_eq!(calls(NodeKind::Model, &[], Server, 0), [Predict]);
        assert_eq!(calls(NodeKind::Unknown, &[], Server, 2), []);
        assert_eq!(calls(NodeKind::Transformer, &[], Server, 1), [TransformInput]);
        assert_eq!(calls(NodeKind::OutputTransformer, &[], Server, 1), [TransformOutput]);
        assert_eq!(calls(NodeKind::Router, &[], Server, 2), [Route]);
        assert_eq!(calls(NodeKind::Combiner, &[], Server, 2), [Aggregate]);
        // Nothing to choose from, nothing to combine.
        assert_eq!(calls(NodeKind::Router, &[], Server, 0), []);
        assert_eq!(calls(NodeKind::Combiner, &[], Server, 0), []);
        // A node is called once on the way in.
        assert_eq!(calls(NodeKind::Model, &[Method::TransformInput], Server, 0), [TransformInput]);
        let all = [Method::TransformOutput, Method::Aggregate, Method::Route, Method::TransformInput];
        assert_eq!(calls(NodeKind::Unknown, &all, Server, 2), [TransformInput, Route, Aggregate, TransformOutput]);
    }

    #[test]
    fn what_is_done_here_needs_no_server() {
        let split = Split { weights: vec![1.0, 1.0], seed: None };
        for (kind, implementation) in [
            (NodeKind::Model, Implementation::SimpleModel),
            (NodeKind::Router, Implementation::RandomAbtest(split)),
            (NodeKind::Router, Implementation::SimpleRouter),
            (NodeKind::Unknown, Implementation::Shadow),
        ] {
            assert_eq!(calls(kind, &[], implementation.clone(), 2), [], "{implementation:?}");
        }
        assert_eq!(calls(NodeKind::Unknown, &[], Implementation::AverageCombiner, 2), []);
        assert_eq!(calls(NodeKind::Combiner, &[], Implementation::AverageCombiner, 2), []);
    }

    #[test]
    fn models_and_routers_learn() {
        let learns = |kind, methods: &[Method]| {
            let graph = GraphNode { methods: methods.to_vec(), ..node("a", kind, vec![]) };
            Plan::feedback(&graph).unwrap().nodes[0].output == Output::Call(CallKind::SendFeedback)
        };
        assert!(learns(NodeKind::Model, &[]) && learns(NodeKind::Router, &[]));
        assert!(!learns(NodeKind::Combiner, &[]) && learns(NodeKind::Combiner, &[Method::SendFeedback]));
    }
}
