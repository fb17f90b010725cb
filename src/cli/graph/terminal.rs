//! A graph as a tree of lines, for a terminal.

use std::fmt::Write;

use super::picture::Picture;

/// Draws it.
pub(super) fn draw(picture: &Picture) -> String {
    let mut text = format!("{}\n", picture.title);
    // What stands before the branches of each node.
    let mut before: Vec<String> = Vec::with_capacity(picture.nodes.len());
    let mut last = vec![0; picture.nodes.len()];
    for (index, node) in picture.nodes.iter().enumerate() {
        if let Some(way) = &node.way {
            last[way.parent] = index;
        }
    }
    for (index, node) in picture.nodes.iter().enumerate() {
        let (branch, below) = match &node.way {
            None => (String::new(), String::new()),
            Some(way) => {
                let above = &before[way.parent];
                let (corner, line) = if last[way.parent] == index { ("└", "   ") } else { ("├", "│  ") };
                let dash = if way.faint { "╌" } else { "─" };
                let label = if way.label.is_empty() { String::new() } else { format!(" {} {dash}", way.label) };
                (format!("{above}{corner}{dash}{label} "), format!("{above}{line}"))
            }
        };
        before.push(below);
        writeln!(text, "{branch}{}", node.lines().collect::<Vec<_>>().join("  ")).expect("memory takes all text");
    }
    text
}
