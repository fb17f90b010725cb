//! The inference graph as Seldon writes it, to the graph that runs.
//!
//! This version runs a MODEL or a chain of them; everything else is refused by name. How deep it can nest is bounded
//! where the text is parsed.

use std::collections::BTreeSet;

use super::at::At;
use crate::config::fault::{Faults, nearest};
use crate::config::settings::{GraphNode, NodeKind};
use crate::config::value::{Spot, Value};

const SUPPORTED: &str = "this version runs one MODEL, or a chain of MODELs with one child each";
/// Implementations that the executor was meant to do itself, without a server.
const BUILT_IN: &[&str] = &["SIMPLE_MODEL", "SIMPLE_ROUTER", "RANDOM_ABTEST", "AVERAGE_COMBINER"];

/// Reads the graph of a SeldonDeployment.
pub(super) fn in_deployment(at: &At<'_>, notices: &mut Vec<String>, faults: &mut Faults) -> Option<GraphNode> {
    Walk { strict: false, names: BTreeSet::new(), notices, faults }.node(at)
}

/// Reads the graph of a configuration file, where unknown keys are faults.
pub(in crate::config) fn in_file(source: &str, spot: &Spot, faults: &mut Faults) -> Option<GraphNode> {
    let mut notices = Vec::new();
    let at = At::unlined(source, spot);
    Walk { strict: true, names: BTreeSet::new(), notices: &mut notices, faults }.node(&at)
}

struct Walk<'a> {
    strict: bool,
    names: BTreeSet<String>,
    notices: &'a mut Vec<String>,
    faults: &'a mut Faults,
}

impl Walk<'_> {
    fn node(&mut self, at: &At<'_>) -> Option<GraphNode> {
        if !matches!(at.spot().value, Value::Map(_)) {
            self.faults.add(at.source(), "is no node", "give a map with `name`, `type` and `children`");
            return None;
        }
        if self.strict {
            self.known_keys(at);
        }
        let name = at.required_text("name", self.faults);
        let label = name.clone().unwrap_or_default();
        if let Some(name) = &name {
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
        }
        self.behaviour(at, &label);
        if at.get("logger").is_some() {
            self.notices.push(format!("{}: payloads are not logged by this version", at.source()));
        }
        let children = at.get("children").map(|children| children.items()).unwrap_or_default();
        if children.len() > 1 {
            let problem = format!("node {label:?} has {} children", children.len());
            self.faults.add(at.source(), problem, SUPPORTED);
        }
        let read: Vec<Option<GraphNode>> = children.iter().map(|child| self.node(child)).collect();
        let children = read.into_iter().collect::<Option<Vec<_>>>()?;
        Some(GraphNode::new(name?, NodeKind::Model, children))
    }

    fn behaviour(&mut self, at: &At<'_>, name: &str) {
        let kind = at.text("type").unwrap_or_else(|| "UNKNOWN_TYPE".into());
        let implementation = at.text("implementation").unwrap_or_else(|| "UNKNOWN_IMPLEMENTATION".into());
        let methods: Vec<String> =
            at.get("methods").map(|m| m.items().iter().filter_map(At::scalar).collect()).unwrap_or_default();
        let mut refuse = |key: &str, what: String| {
            let source = at.get(key).map_or_else(|| at.source(), |at| at.source());
            self.faults.add(source, format!("node {name:?} has {what}"), SUPPORTED);
        };
        if !["MODEL", "UNKNOWN_TYPE"].contains(&kind.as_str()) {
            refuse("type", format!("type {kind}"));
        }
        if !methods.is_empty() {
            refuse("methods", format!("methods {}", methods.join(", ")));
        }
        // Any other implementation is a model server, which the operator starts and which is called as a MODEL.
        if BUILT_IN.contains(&implementation.as_str()) {
            refuse("implementation", format!("implementation {implementation}"));
        }
    }

    fn known_keys(&mut self, at: &At<'_>) {
        const KEYS: [&str; 3] = ["name", "type", "children"];
        for entry in at.entries() {
            let key = entry.key();
            if !KEYS.contains(&key) {
                let remedy = nearest(key, KEYS)
                    .map_or("a node has name, type and children".into(), |n| format!("did you mean `{n}`?"));
                self.faults.add(entry.source(), "unknown key", remedy);
            }
        }
    }
}
