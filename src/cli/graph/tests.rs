//! What is drawn, to the letter, and names that mean something to whoever reads it.

use std::io::Write;

use super::picture::Drawn;
use super::*;
use crate::config::{Inputs, load};

/// A picture of a graph in flow style; every server is at `h:1`.
fn picture(rest: &str) -> Picture {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let kafka = "kafka: {brokers: 'b:1', group_id: g, input_topic: i, output_topic: o}";
    write!(file, "{kafka}\n{rest}\n").unwrap();
    let loaded = load(&Inputs { config: Some(file.path().into()), ..Inputs::default() });
    Picture::of(&loaded.unwrap_or_else(|faults| panic!("{faults}")).settings)
}

fn of(graph: &str) -> Picture {
    picture(&format!("graph: {graph}\nnodes: {{'*': {{endpoint: 'h:1'}}}}"))
}

const FOUR: &str = "protocol: v2
graph:
  name: prepare
  type: TRANSFORMER
  methods: [TRANSFORM_OUTPUT]
  children:
  - name: split
    implementation: RANDOM_ABTEST
    parameters: [{name: ratioA, type: FLOAT, value: 0.9}]
    children:
    - {name: stable, type: MODEL}
    - {name: canary, type: MODEL, methods: [SEND_FEEDBACK]}
nodes:
  prepare: {endpoint: 'localhost:9000'}
  stable: {endpoint: 'localhost:9001', grpc_endpoint: 'localhost:9501'}
  canary: {endpoint: 'localhost:9502', transport: grpc}
";

#[test]
fn a_terminal_gets_a_tree() {
    let wanted = "v2 over rest
prepare  TRANSFORMER+TRANSFORM_OUTPUT  localhost:9000
└─ split  RANDOM_ABTEST
   ├─ 90 % ─ stable  MODEL  localhost:9001 (grpc localhost:9501)
   └─ 10 % ─ canary  MODEL+SEND_FEEDBACK  localhost:9502 over grpc
";
    assert_eq!(terminal::draw(&picture(FOUR)), wanted);
}

#[test]
fn mermaid_gets_a_flowchart() {
    let wanted = "flowchart TD
    n0[/\"prepare<br/>TRANSFORMER+TRANSFORM_OUTPUT<br/>localhost:9000\"/]
    n1{\"split<br/>RANDOM_ABTEST\"}
    n2[\"stable<br/>MODEL<br/>localhost:9001 (grpc localhost:9501)\"]
    n3[\"canary<br/>MODEL+SEND_FEEDBACK<br/>localhost:9502 over grpc\"]
    n0 --> n1
    n1 -->|\"90 %\"| n2
    n1 -->|\"10 %\"| n3
";
    assert_eq!(mermaid::draw(&picture(FOUR)), wanted);
}

#[test]
fn ways_say_when_they_are_gone() {
    let ways = |node: &str| {
        let picture =
            of(&format!("{{name: x, {node}, children: [{{name: a}}, {{name: b, children: [{{name: c}}]}}]}}"));
        picture
            .nodes
            .iter()
            .filter_map(|node| node.way.as_ref())
            .map(|way| (way.label.clone(), way.faint))
            .collect::<Vec<_>>()
    };
    for (node, first, second, faint) in [
        ("type: ROUTER", "route 0", "route 1", false),
        ("methods: [ROUTE]", "route 0", "route 1", false),
        ("type: COMBINER", "", "", false),
        ("implementation: AVERAGE_COMBINER", "", "", false),
        ("implementation: SIMPLE_ROUTER", "always", "never", true),
        ("implementation: SHADOW", "answers", "copy", true),
        ("type: MODEL", "answers", "dropped", true),
    ] {
        let wanted = [(first.to_owned(), false), (second.to_owned(), faint), (String::new(), false)];
        assert_eq!(ways(node), wanted, "{node}");
    }
    let tree = terminal::draw(&of(
        "{name: x, implementation: SHADOW, children: [{name: a, children: [{name: c}]}, {name: b}]}",
    ));
    let wanted =
        "seldon over rest\nx  SHADOW\n├─ answers ─ a  MODEL  h:1\n│  └─ c  MODEL  h:1\n└╌ copy ╌ b  MODEL  h:1\n";
    assert_eq!(tree, wanted);
}

/// The texts of an SVG, if it is well-formed: tags that close in their order, attributes in quotes, entities that are known.
fn texts(svg: &str) -> Result<Vec<String>, String> {
    let mut open: Vec<&str> = Vec::new();
    let mut texts = Vec::new();
    let mut rest = svg;
    while let Some((text, tag)) = rest.split_once('<') {
        let unescaped = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "\u{1}");
        if unescaped.contains('&') || text.contains('>') {
            return Err(format!("bad text {text:?}"));
        }
        if open.last() == Some(&"text") {
            texts.push(unescaped.replace('\u{1}', "&"));
        }
        let (inside, after) = tag.split_once('>').ok_or_else(|| format!("no end of {tag:?}"))?;
        if inside.matches('"').count() % 2 == 1 {
            return Err(format!("bad attributes {inside:?}"));
        }
        let name = inside.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default();
        if inside.starts_with('/') {
            let closed = open.pop();
            if closed != Some(name) {
                return Err(format!("{closed:?} ends as {name:?}"));
            }
        } else if !inside.ends_with(['/', '?']) {
            open.push(name);
        }
        rest = after;
    }
    if open.is_empty() && rest.trim().is_empty() { Ok(texts) } else { Err(format!("{open:?} is open, {rest:?} left")) }
}

#[test]
fn an_svg_is_well_formed_and_has_every_node() {
    let picture = picture(FOUR);
    let texts = texts(&svg::draw(&picture)).unwrap();
    for wanted in picture.nodes.iter().flat_map(Drawn::lines).chain(["90 %", "10 %"]) {
        assert!(texts.iter().any(|text| text == wanted), "{wanted} is not in {texts:?}");
    }
    assert_eq!(svg::draw(&picture), svg::draw(&picture), "the same each time");
    assert!(super::tests::texts("<a><b></a></b>").is_err() && super::tests::texts("<a>&</a>").is_err());
}

#[test]
fn names_that_mean_something_are_escaped() {
    let picture = of(r#"{name: "<a>&'\"`|end", children: [{name: "]}--"}, {name: "größe;"}]}"#);
    let texts = texts(&svg::draw(&picture)).unwrap();
    for name in ["<a>&'\"`|end", "]}--", "größe;"] {
        assert!(texts.iter().any(|text| text == name), "{name} is not in {texts:?}");
    }
    let mermaid = mermaid::draw(&picture);
    for wanted in ["n0[\"#60;a#62;#38;#39;#34;#96;#124;end<br/>MODEL", "n1[\"#93;#125;--<br/>", "n2[\"größe#59;<br/>"]
    {
        assert!(mermaid.contains(wanted), "{wanted} is not in\n{mermaid}");
    }
}

#[test]
fn large_graphs_are_drawn() {
    let leaves: Vec<String> = (0..150).map(|n| format!("{{name: w{n}}}")).collect();
    let wide = format!("{{name: x, implementation: AVERAGE_COMBINER, children: [{}]}}", leaves.join(", "));
    let deep =
        (0..20).fold("{name: z}".to_owned(), |graph, n| format!("{{name: n{n}, children: [{graph}, {{name: m{n}}}]}}"));
    for graph in [wide, deep] {
        let picture = of(&graph);
        let texts = texts(&svg::draw(&picture)).unwrap();
        assert!(picture.nodes.iter().all(|node| texts.contains(&node.name)));
        assert_eq!(terminal::draw(&picture).lines().count(), picture.nodes.len() + 1);
    }
}
