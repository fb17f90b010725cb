//! The inference graph as Seldon writes it, to the graph that runs.
//!
//! What a node may be is decided here; what must fit the protocol and the transports is checked in `config/rules`, when
//! these are known. How deep a graph can nest is bounded where the text is parsed.

mod builtin;
mod logger;
mod parameters;
pub(in crate::config) mod words;

use std::collections::{BTreeMap, BTreeSet};

use super::at::At;
use crate::config::fault::{Faults, nearest};
use crate::config::settings::{GraphNode, Implementation, Method, NodeKind};
use crate::config::value::{Spot, Value};
use words::{Prepackaged, Worker};

/// A graph, and what is checked of its nodes later.
pub(in crate::config) struct Drawn {
    /// The graph.
    pub(in crate::config) graph: GraphNode,
    /// Its nodes by name.
    pub(in crate::config) about: BTreeMap<String, About>,
}

/// What is checked of a node later.
pub(in crate::config) struct About {
    /// Where the node was given.
    pub(in crate::config) source: String,
    /// The prepackaged server that does its work, and where that was given.
    pub(in crate::config) prepackaged: Option<(&'static Prepackaged, String)>,
}

/// Reads the graph of a SeldonDeployment.
pub(super) fn in_deployment(at: &At<'_>, notices: &mut Vec<String>, faults: &mut Faults) -> Option<Drawn> {
    Walk { strict: false, names: BTreeSet::new(), about: BTreeMap::new(), notices, faults }.graph(at)
}

/// Reads the graph of a configuration file, where unknown keys are faults.
pub(in crate::config) fn in_file(
    source: &str,
    spot: &Spot,
    notices: &mut Vec<String>,
    faults: &mut Faults,
) -> Option<Drawn> {
    let at = At::unlined(source, spot);
    Walk { strict: true, names: BTreeSet::new(), about: BTreeMap::new(), notices, faults }.graph(&at)
}

struct Walk<'a> {
    strict: bool,
    names: BTreeSet<String>,
    about: BTreeMap<String, About>,
    notices: &'a mut Vec<String>,
    faults: &'a mut Faults,
}

impl Walk<'_> {
    fn graph(mut self, at: &At<'_>) -> Option<Drawn> {
        let graph = self.node(at)?;
        Some(Drawn { graph, about: self.about })
    }

    fn node(&mut self, at: &At<'_>) -> Option<GraphNode> {
        if !matches!(at.spot().value, Value::Map(_)) {
            self.faults.add(at.source(), "is no node", "give a map with `name`, `type` and `children`");
            return None;
        }
        if self.strict {
            self.known_keys(at);
        }
        let name = self.name(at);
        let label = name.clone().unwrap_or_default();
        let unset = ["type", "methods", "implementation"].iter().all(|key| at.get(key).is_none());
        let stated = at.get("type").and_then(|at| words::kind(&at, self.faults));
        let methods = self.methods(at);
        let worker = at.get("implementation").and_then(|at| words::worker(&at, self.faults)).unwrap_or(Worker::Server);
        let parameters = parameters::read(at, self.faults);
        let logger = logger::read(at, self.faults);
        if logger.is_some() {
            self.notices.push(format!("{}: payloads are not logged by this version", at.source()));
        }
        let children = self.children(at, &label);
        let (implementation, kind, prepackaged) = match worker {
            Worker::BuiltIn(builtin) => {
                let asked = builtin::Asked { at, name: &label, stated, methods: &methods, children: children.len() };
                let implementation = builtin::make(builtin, &asked, &parameters, self.notices, self.faults);
                (implementation, builtin.kind(), None)
            }
            Worker::Prepackaged(server) => {
                let source = at.get("implementation").map_or_else(|| at.source(), |at| at.source());
                (Implementation::Server, stated.unwrap_or(NodeKind::Model), Some((server, source)))
            }
            Worker::Server => {
                let kind = if unset { NodeKind::Model } else { NodeKind::Unknown };
                (Implementation::Server, stated.unwrap_or(kind), None)
            }
        };
        self.about.insert(label, About { source: at.source(), prepackaged });
        let children = children.into_iter().collect::<Option<Vec<_>>>()?;
        let node = GraphNode { name: name?, kind, methods, implementation, logger, children };
        self.tell(at, &node);
        Some(node)
    }

    fn name(&mut self, at: &At<'_>) -> Option<String> {
        let name = at.required_text("name", self.faults)?;
        let odd = |c: char| c.is_whitespace() || c.is_control() || "/?#%\\".contains(c);
        if name.contains(odd) {
            self.faults.add(
                at.source(),
                format!("node name {name:?} cannot stand in a path"),
                "letters, digits, - and _",
            );
        } else if !self.names.insert(name.clone()) {
            self.faults.add(at.source(), format!("two nodes have the name {name:?}"), "a name must be unique");
        }
        Some(name)
    }

    fn children(&mut self, at: &At<'_>, name: &str) -> Vec<Option<GraphNode>> {
        let Some(children) = at.get("children") else { return Vec::new() };
        if !matches!(children.spot().value, Value::List(_)) {
            self.faults.add(children.source(), format!("node {name:?}: `children` is no list"), "a list of nodes");
        }
        children.items().iter().map(|child| self.node(child)).collect()
    }

    fn methods(&mut self, at: &At<'_>) -> Vec<Method> {
        let Some(list) = at.get("methods") else { return Vec::new() };
        if !matches!(list.spot().value, Value::List(_)) {
            self.faults.add(list.source(), "is no list", "a list of methods, such as [TRANSFORM_INPUT]");
        }
        let mut methods = Vec::new();
        for method in list.items().iter().filter_map(|at| words::method(at, self.faults)) {
            if !methods.contains(&method) {
                methods.push(method);
            }
        }
        methods
    }

    /// What is allowed, and may not be what was meant.
    fn tell(&mut self, at: &At<'_>, node: &GraphNode) {
        let mut tell = |text: String| self.notices.push(format!("{}: node {:?} {text}", at.source(), node.name));
        let (routes, joins) =
            (node.has(NodeKind::Router, Method::Route), node.has(NodeKind::Combiner, Method::Aggregate));
        let server = node.implementation == Implementation::Server;
        match node.children.as_slice() {
            [] => {
                if routes && server {
                    tell("has no children to choose from: its server is never asked for a route".into());
                }
                if joins && server {
                    tell("has no children whose answers it could combine: its server is never asked to".into());
                }
            }
            [first, _, ..] if server && !routes && !joins => tell(format!(
                "has {} children and none of ROUTER and COMBINER: all are called, {:?} answers, and the others' answers \
                 are dropped; with implementation AVERAGE_COMBINER or type COMBINER they are made one",
                node.children.len(),
                first.name
            )),
            _ => {}
        }
        if server && node.calls().is_empty() && !routes && !joins {
            tell("has no type and no method that is called: messages pass it unchanged; a model has type MODEL".into());
        }
    }

    fn known_keys(&mut self, at: &At<'_>) {
        const KEYS: [&str; 7] = ["name", "type", "methods", "implementation", "parameters", "logger", "children"];
        for entry in at.entries() {
            let key = entry.key();
            if key == "endpoint" {
                let remedy = "give it as `nodes.NAME.endpoint`";
                self.faults.add(entry.source(), "a node's address does not stand in the graph", remedy);
            } else if !KEYS.contains(&key) {
                let remedy = nearest(key, KEYS)
                    .map_or(format!("a node has {}", KEYS.join(", ")), |near| format!("did you mean `{near}`?"));
                self.faults.add(entry.source(), "unknown key", remedy);
            }
        }
    }
}

#[cfg(test)]
mod tests;
