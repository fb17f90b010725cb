//! A graph in mermaid's language, which GitHub and many documentation tools draw.

use std::fmt::Write;

use super::picture::{Picture, Shape};

/// Draws it.
pub(super) fn draw(picture: &Picture) -> String {
    let mut text = String::from("flowchart TD\n");
    for (index, node) in picture.nodes.iter().enumerate() {
        let (open, close) = match node.shape {
            Shape::Model => ("[", "]"),
            Shape::Router => ("{", "}"),
            Shape::Combiner => ("([", "])"),
            Shape::Transformer => ("[/", "/]"),
        };
        let label = node.lines().map(escaped).collect::<Vec<_>>().join("<br/>");
        writeln!(text, "    n{index}{open}\"{label}\"{close}").expect("memory takes all text");
    }
    for (index, node) in picture.nodes.iter().enumerate() {
        let Some(way) = &node.way else { continue };
        let arrow = if way.faint { "-.->" } else { "-->" };
        let label = if way.label.is_empty() { String::new() } else { format!("|\"{}\"|", escaped(&way.label)) };
        writeln!(text, "    n{} {arrow}{label} n{index}", way.parent).expect("memory takes all text");
    }
    text
}

/// What means something to mermaid or to HTML, by its number.
fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |text, c| {
        if c.is_alphanumeric() || " _-.:,+()%".contains(c) {
            format!("{text}{c}")
        } else {
            format!("{text}#{};", c as u32)
        }
    })
}
