//! What is drawn of a graph, whatever it is drawn with: words for its nodes and for the ways between them.

use crate::config::settings::{GraphNode, Implementation, Method, Node, NodeKind, Settings, Split};

/// A graph to be drawn.
pub(super) struct Picture {
    /// Protocol and transport.
    pub(super) title: String,
    /// Its nodes, each after its parent.
    pub(super) nodes: Vec<Drawn>,
}

/// A node to be drawn.
pub(super) struct Drawn {
    /// Its name.
    pub(super) name: String,
    /// Its type or implementation, and its methods.
    pub(super) role: String,
    /// Where its server is, if one is called.
    pub(super) address: Option<String>,
    /// What it looks like.
    pub(super) shape: Shape,
    /// The way to it, but for the root.
    pub(super) way: Option<Way>,
}

impl Drawn {
    /// What stands in its box.
    pub(super) fn lines(&self) -> impl Iterator<Item = &str> {
        [self.name.as_str(), &self.role].into_iter().chain(self.address.as_deref()).filter(|line| !line.is_empty())
    }
}

/// What a node looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Answers.
    Model,
    /// Chooses.
    Router,
    /// Makes one of several.
    Combiner,
    /// Changes what passes.
    Transformer,
}

/// The way from a node to one below it.
pub(super) struct Way {
    /// Place of the node above it.
    pub(super) parent: usize,
    /// When it is gone, or what becomes of the answer; may be empty.
    pub(super) label: String,
    /// Whether the answer that comes back on it is not used, or nothing is sent.
    pub(super) faint: bool,
}

impl Picture {
    /// The picture of a configuration.
    pub(super) fn of(settings: &Settings) -> Self {
        let flat = settings.graph.flat();
        let mut seen = vec![0; flat.len()];
        let mut nodes = Vec::with_capacity(flat.len());
        for (at, parent) in &flat {
            let way = parent.map(|parent| {
                let number = seen[parent];
                seen[parent] += 1;
                let (label, faint) = way(flat[parent].0, number);
                Way { parent, label, faint }
            });
            let address = settings.nodes.get(&at.name).and_then(|node| address(at, node));
            nodes.push(Drawn { name: plain(&at.name), role: role(at), address, shape: shape(at), way });
        }
        Self { title: format!("{} over {}", settings.protocol, settings.transport), nodes }
    }
}

/// Type or implementation, and methods: `RANDOM_ABTEST`, `MODEL+SEND_FEEDBACK`.
pub(in crate::cli) fn role(at: &GraphNode) -> String {
    let only_methods = at.kind == NodeKind::Unknown && !at.methods.is_empty();
    let kind = Some(at.kind.name()).filter(|_| !only_methods);
    let first = at.implementation.name().or(kind);
    first.into_iter().chain(at.methods.iter().map(|method| method.name())).collect::<Vec<_>>().join("+")
}

/// Each child's share: `90 %`.
pub(in crate::cli) fn shares(split: &Split) -> impl Iterator<Item = String> {
    split.shares().map(|share| {
        let percent = format!("{:.2}", share * 100.0);
        format!("{} %", percent.trim_end_matches('0').trim_end_matches('.'))
    })
}

/// Where and how a node's server is called; nothing if it is not.
fn address(at: &GraphNode, node: &Node) -> Option<String> {
    let own = node.transport.map(|own| format!(" over {own}")).unwrap_or_default();
    (!at.calls().is_empty()).then(|| plain(&format!("{}{own}", node.addresses())))
}

fn shape(at: &GraphNode) -> Shape {
    match (&at.implementation, at.kind) {
        (Implementation::RandomAbtest(_) | Implementation::SimpleRouter | Implementation::Shadow, _)
        | (_, NodeKind::Router) => Shape::Router,
        (Implementation::AverageCombiner, _) | (_, NodeKind::Combiner) => Shape::Combiner,
        (_, NodeKind::Model) => Shape::Model,
        (_, NodeKind::Unknown) if at.methods.contains(&Method::Route) => Shape::Router,
        (_, NodeKind::Unknown) if at.methods.contains(&Method::Aggregate) => Shape::Combiner,
        (_, NodeKind::Transformer | NodeKind::OutputTransformer | NodeKind::Unknown) => Shape::Transformer,
    }
}

/// What the way to a child is called, and whether it is faint.
fn way(parent: &GraphNode, child: usize) -> (String, bool) {
    let first = child == 0;
    let either = |one: &str, other: &str| (if first { one } else { other }.to_owned(), !first);
    match &parent.implementation {
        Implementation::RandomAbtest(split) => (shares(split).nth(child).unwrap_or_default(), false),
        Implementation::SimpleRouter => either("always", "never"),
        Implementation::Shadow => either("answers", "copy"),
        _ if parent.has(NodeKind::Router, Method::Route) => (format!("route {child}"), false),
        Implementation::AverageCombiner => (String::new(), false),
        Implementation::Server | Implementation::SimpleModel => {
            let one = parent.children.len() == 1 || parent.has(NodeKind::Combiner, Method::Aggregate);
            if one { (String::new(), false) } else { either("answers", "dropped") }
        }
    }
}

/// Text without what would move a terminal's cursor.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
