//! What a graph may be: rules over its nodes, all broken ones reported at once.

use std::collections::HashSet;

use crate::config::settings::GraphNode;

/// Most nodes of a graph.
pub const MAX_NODES: usize = 1_000;
/// Most nodes from the root to a leaf. The predecessor has no bound; a graph is drawn and walked by people too.
pub const MAX_DEPTH: usize = 100;

/// A rule that a graph breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// A node without a name.
    #[error("a node below '{parent}' has no name; every node of the graph needs one")]
    Unnamed {
        /// Name of its parent, or `the root`.
        parent: String,
    },
    /// Two nodes of one name.
    #[error("two nodes are named '{name}'; a name must be unique in the graph")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// Too many nodes.
    #[error("the graph has more than {MAX_NODES} nodes")]
    TooLarge,
    /// Too deep.
    #[error("the graph is deeper than {MAX_DEPTH} nodes at '{name}'")]
    TooDeep {
        /// The first node beyond the limit.
        name: String,
    },
}

/// Checks a graph, without recursion: its depth is what is checked.
pub fn check(root: &GraphNode) -> Result<(), Vec<SpecError>> {
    let mut faults = Vec::new();
    let mut names = HashSet::new();
    let mut open = vec![(root, "the root", 1)];
    let mut nodes = 0;
    while let Some((node, parent, depth)) = open.pop() {
        nodes += 1;
        if nodes > MAX_NODES {
            faults.push(SpecError::TooLarge);
            break;
        }
        if depth > MAX_DEPTH {
            faults.push(SpecError::TooDeep { name: node.name.clone() });
            continue;
        }
        if node.name.is_empty() {
            faults.push(SpecError::Unnamed { parent: parent.into() });
        } else if !names.insert(node.name.as_str()) {
            faults.push(SpecError::Duplicate { name: node.name.clone() });
        }
        open.extend(node.children.iter().rev().map(|child| (child, node.name.as_str(), depth + 1)));
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::NodeKind;

    fn model(name: &str, children: Vec<GraphNode>) -> GraphNode {
        GraphNode::new(name, NodeKind::Model, children)
    }

    #[test]
    fn a_model_and_a_chain_are_graphs() {
        assert_eq!(check(&model("a", vec![])), Ok(()));
        assert_eq!(check(&model("a", vec![model("b", vec![model("c", vec![])])])), Ok(()));
    }

    #[test]
    fn all_faults_are_reported_at_once() {
        let graph = model("a", vec![model("b", vec![model("a", vec![])]), model("", vec![])]);
        let faults = check(&graph).unwrap_err();
        assert_eq!(faults, [SpecError::Duplicate { name: "a".into() }, SpecError::Unnamed { parent: "a".into() },]);
        assert_eq!(faults[0].to_string(), "two nodes are named 'a'; a name must be unique in the graph");
    }

    #[test]
    fn size_and_depth_are_bounded() {
        let chain = |length: usize| {
            (0..length)
                .rev()
                .fold(None, |child: Option<GraphNode>, i| Some(model(&format!("n{i}"), child.into_iter().collect())))
        };
        assert_eq!(check(&chain(MAX_DEPTH).unwrap()), Ok(()));
        assert_eq!(check(&chain(MAX_DEPTH + 1).unwrap()), Err(vec![SpecError::TooDeep { name: "n100".into() }]));
        let wide = model("a", (0..MAX_NODES).map(|i| model(&format!("n{i}"), vec![])).collect());
        assert!(check(&wide).unwrap_err().contains(&SpecError::TooLarge));
    }
}
