//! The inference graph as it was configured: nodes, their types, methods and implementations.
//!
//! Not for running it: what happens at which stage of a node is laid out in `graph`.

use crate::record::CallKind;

/// A node of the graph and its children (Seldon: PredictiveUnit).
#[derive(Clone, Debug, PartialEq)]
pub struct GraphNode {
    /// Name, unique in the graph.
    pub name: String,
    /// What it does, by its type.
    pub kind: NodeKind,
    /// What it does besides.
    pub methods: Vec<Method>,
    /// Who does it.
    pub implementation: Implementation,
    /// Where its requests and replies are to be logged.
    pub logger: Option<Logger>,
    /// Nodes below it.
    pub children: Vec<GraphNode>,
}

impl GraphNode {
    /// A node of this type with a server of its own and nothing besides.
    pub fn new(name: impl Into<String>, kind: NodeKind, children: Vec<GraphNode>) -> Self {
        let (methods, implementation, logger) = (Vec::new(), Implementation::Server, None);
        Self { name: name.into(), kind, methods, implementation, logger, children }
    }

    /// Whether its type or one of its methods says so.
    pub fn has(&self, kind: NodeKind, method: Method) -> bool {
        self.kind == kind || self.methods.contains(&method)
    }

    /// What its server is called for in a request, in this order. Nothing if it needs no server.
    pub fn calls(&self) -> Vec<CallKind> {
        use Implementation::{AverageCombiner, RandomAbtest, Server, Shadow, SimpleModel, SimpleRouter};
        let below = !self.children.is_empty();
        let chosen_here = matches!(self.implementation, RandomAbtest(_) | SimpleRouter | Shadow);
        let input = match self.implementation {
            SimpleModel => None,
            _ if self.has(NodeKind::Transformer, Method::TransformInput) => Some(CallKind::TransformInput),
            Server if self.kind == NodeKind::Model => Some(CallKind::Predict),
            _ => None,
        };
        let route = below && !chosen_here && self.has(NodeKind::Router, Method::Route);
        let aggregate =
            below && self.implementation != AverageCombiner && self.has(NodeKind::Combiner, Method::Aggregate);
        let output = self.has(NodeKind::OutputTransformer, Method::TransformOutput);
        let rest = [
            route.then_some(CallKind::Route),
            aggregate.then_some(CallKind::Aggregate),
            output.then_some(CallKind::TransformOutput),
        ];
        input.into_iter().chain(rest.into_iter().flatten()).collect()
    }

    /// This node and all below it, callers before those they call, each with its parent's place in this list.
    pub fn flat(&self) -> Vec<(&GraphNode, Option<usize>)> {
        let mut all = Vec::new();
        let mut open = vec![(self, None)];
        while let Some((node, parent)) = open.pop() {
            open.extend(node.children.iter().rev().map(|child| (child, Some(all.len()))));
            all.push((node, parent));
        }
        all
    }
}

/// Type of a node: which methods it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// Only what its `methods` or its implementation say.
    Unknown,
    /// Answers predict requests.
    Model,
    /// Chooses the child that goes on.
    Router,
    /// Makes one answer of its children's.
    Combiner,
    /// Changes the request before its children get it.
    Transformer,
    /// Changes its children's answer.
    OutputTransformer,
}

impl NodeKind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Model, Self::Router, Self::Combiner, Self::Transformer, Self::OutputTransformer, Self::Unknown];

    /// As Seldon spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN_TYPE",
            Self::Model => "MODEL",
            Self::Router => "ROUTER",
            Self::Combiner => "COMBINER",
            Self::Transformer => "TRANSFORMER",
            Self::OutputTransformer => "OUTPUT_TRANSFORMER",
        }
    }
}

/// A method that a node has besides those of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// As a TRANSFORMER.
    TransformInput,
    /// As an OUTPUT_TRANSFORMER.
    TransformOutput,
    /// As a ROUTER.
    Route,
    /// As a COMBINER.
    Aggregate,
    /// Takes feedback.
    SendFeedback,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::TransformInput, Self::TransformOutput, Self::Route, Self::Aggregate, Self::SendFeedback];

    /// As Seldon spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::TransformInput => "TRANSFORM_INPUT",
            Self::TransformOutput => "TRANSFORM_OUTPUT",
            Self::Route => "ROUTE",
            Self::Aggregate => "AGGREGATE",
            Self::SendFeedback => "SEND_FEEDBACK",
        }
    }
}

/// Who does a node's work.
#[derive(Clone, Debug, PartialEq)]
pub enum Implementation {
    /// Its server, prepackaged or one's own.
    Server,
    /// A child is drawn by weight, here.
    RandomAbtest(Split),
    /// A fixed answer, for trying things out.
    SimpleModel,
    /// Always the first child.
    SimpleRouter,
    /// The mean of its children's answers.
    AverageCombiner,
    /// The first child answers; the others get a copy, and their answers are compared with its own.
    Shadow,
}

impl Implementation {
    /// As Seldon spells it; nothing for a server, whoever packaged it.
    pub fn name(&self) -> Option<&'static str> {
        match self {
            Self::Server => None,
            Self::RandomAbtest(_) => Some("RANDOM_ABTEST"),
            Self::SimpleModel => Some("SIMPLE_MODEL"),
            Self::SimpleRouter => Some("SIMPLE_ROUTER"),
            Self::AverageCombiner => Some("AVERAGE_COMBINER"),
            Self::Shadow => Some("SHADOW"),
        }
    }
}

/// How requests are divided between children.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// A weight per child, not all 0.
    pub weights: Vec<f64>,
    /// With a seed, a request's id alone decides.
    pub seed: Option<u64>,
}

impl Split {
    /// Each child's share of the requests, from 0 to 1.
    pub fn shares(&self) -> impl Iterator<Item = f64> {
        let whole: f64 = self.weights.iter().sum();
        self.weights.iter().map(move |weight| weight / whole)
    }
}

/// Where a node's payloads are to be logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logger {
    /// Requests, replies or both.
    pub mode: LoggerMode,
    /// Who takes them; without one, the deployment's default.
    pub url: Option<String>,
}

/// Which payloads are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoggerMode {
    /// Both.
    All,
    /// What goes in.
    Request,
    /// What comes out.
    Response,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(kind: NodeKind, methods: &[Method], implementation: Implementation, children: usize) -> Vec<CallKind> {
        let children = (0..children).map(|i| GraphNode::new(format!("c{i}"), NodeKind::Model, vec![])).collect();
        let methods = methods.to_vec();
        GraphNode { methods, implementation, ..GraphNode::new("a", kind, children) }.calls()
    }

    #[test]
    fn a_server_is_called_for_what_type_and_methods_say() {
        use CallKind::{Aggregate, Predict, Route, TransformInput, TransformOutput};
        use Implementation::Server;
        assert_eq!(calls(NodeKind::Model, &[], Server, 0), [Predict]);
        assert_eq!(calls(NodeKind::Model, &[Method::TransformInput], Server, 0), [TransformInput]);
        assert_eq!(calls(NodeKind::Unknown, &[], Server, 2), []);
        assert_eq!(
            calls(NodeKind::Unknown, &Method::ALL, Server, 2),
            [TransformInput, Route, Aggregate, TransformOutput]
        );
        for kind in [NodeKind::Router, NodeKind::Combiner] {
            assert_eq!(calls(kind, &[], Server, 0), [], "nothing to choose from, nothing to combine");
        }
    }

    #[test]
    fn what_is_done_here_needs_no_server() {
        let split = Split { weights: vec![1.0, 1.0], seed: None };
        for (kind, implementation) in [
            (NodeKind::Model, Implementation::SimpleModel),
            (NodeKind::Router, Implementation::RandomAbtest(split.clone())),
            (NodeKind::Router, Implementation::SimpleRouter),
            (NodeKind::Combiner, Implementation::AverageCombiner),
            (NodeKind::Unknown, Implementation::Shadow),
        ] {
            assert_eq!(calls(kind, &[], implementation.clone(), 2), [], "{implementation:?}");
        }
        let both = calls(NodeKind::Router, &[Method::TransformInput], Implementation::RandomAbtest(split), 2);
        assert_eq!(both, [CallKind::TransformInput]);
    }

    #[test]
    fn a_graph_is_listed_from_its_root() {
        let model = |name: &str, children| GraphNode::new(name, NodeKind::Model, children);
        let graph = model("a", vec![model("b", vec![model("c", vec![])]), model("d", vec![])]);
        let all: Vec<_> = graph.flat().into_iter().map(|(node, parent)| (node.name.clone(), parent)).collect();
        let wanted = [("a", None), ("b", Some(0)), ("c", Some(1)), ("d", Some(0))];
        assert_eq!(all, wanted.map(|(name, parent)| (name.to_owned(), parent)));
    }
}
