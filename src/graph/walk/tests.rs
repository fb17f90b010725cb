//! The walk against an interpreter: a recursive reading of the rules, one call after the other.

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::config::settings::{GraphNode, Implementation, Method, NodeKind, Split};

/// Messages are texts that say how they were made, so that equal texts mean equal calls in equal order.
type Calls = Vec<String>;

/// What nodes do is drawn once per graph: by name and stage.
struct Nature {
    seed: u64,
    failures: bool,
}

impl Nature {
    fn draw(&self, node: &str, stage: &str, below: u64) -> u64 {
        let text = format!("{}{node}{stage}", self.seed);
        let mix = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, mix);
        (hash >> 7) % below.max(1)
    }

    fn fails(&self, node: &str, stage: &str) -> bool {
        self.failures && self.draw(node, stage, 6) == 0
    }

    /// From one below what is allowed to one above it when there are failures.
    fn route(&self, node: &str, children: usize) -> i32 {
        let route = self.draw(node, "route", children as u64 + 4) as i32 - 3;
        if self.failures || (-2..children as i32).contains(&route) { route } else { 0 }
    }
}

struct Interpreter<'a> {
    nature: &'a Nature,
    calls: RefCell<Calls>,
    routes: RefCell<BTreeMap<String, i32>>,
    /// All siblings run to their ends, as in the predecessor; else those after a failure are not called.
    all: bool,
}

impl Interpreter<'_> {
    /// The answer, or the name of the node that failed.
    fn predict(&self, node: &GraphNode, message: &str) -> Result<String, String> {
        let message = self.transform_input(node, message)?;
        let message = self.children(node, message)?;
        if node.kind == NodeKind::OutputTransformer || node.methods.contains(&Method::TransformOutput) {
            return self.call(node, "transform-output", &message);
        }
        Ok(message)
    }

    fn transform_input(&self, node: &GraphNode, message: &str) -> Result<String, String> {
        if node.implementation == Implementation::SimpleModel {
            self.note(node, -1);
            return Ok(format!("fixed({message})"));
        }
        let kind = if node.kind == NodeKind::Transformer || node.methods.contains(&Method::TransformInput) {
            "transform-input"
        } else if node.kind == NodeKind::Model {
            "predict"
        } else {
            return Ok(message.to_owned());
        };
        self.note(node, -1);
        self.call(node, kind, message)
    }

    fn children(&self, node: &GraphNode, message: String) -> Result<String, String> {
        if node.children.is_empty() {
            return Ok(message);
        }
        let route = match &node.implementation {
            Implementation::RandomAbtest(split) => {
                self.nature.draw(&node.name, "draw", split.weights.len() as u64) as i32
            }
            Implementation::SimpleRouter => 0,
            _ if node.kind == NodeKind::Router || node.methods.contains(&Method::Route) => {
                self.call(node, "route", &message)?;
                let route = self.nature.route(&node.name, node.children.len());
                if route < -2 || route >= node.children.len() as i32 {
                    return Err(node.name.clone());
                }
                route
            }
            _ => -1,
        };
        self.note(node, route);
        if route == -2 {
            return Ok(message);
        }
        let asked = match usize::try_from(route) {
            Ok(child) => &node.children[child..=child],
            Err(_) => &node.children[..],
        };
        let mut replies = Vec::new();
        let mut failure = None;
        for child in asked {
            match self.predict(child, &message) {
                Ok(reply) => replies.push(reply),
                Err(name) => {
                    failure.get_or_insert(name);
                    if !self.all {
                        break;
                    }
                }
            }
        }
        if let Some(name) = failure {
            return Err(name);
        }
        if node.implementation == Implementation::AverageCombiner {
            self.note(node, -1);
            return Ok(format!("mean({})", replies.join(",")));
        }
        if node.kind == NodeKind::Combiner || node.methods.contains(&Method::Aggregate) {
            self.note(node, -1);
            return self.call(node, "aggregate", &replies.join(","));
        }
        Ok(replies.swap_remove(0))
    }

    fn call(&self, node: &GraphNode, kind: &str, message: &str) -> Result<String, String> {
        let call = format!("{}.{kind}({message})", node.name);
        self.calls.borrow_mut().push(call.clone());
        if self.nature.fails(&node.name, kind) { Err(node.name.clone()) } else { Ok(call) }
    }

    fn note(&self, node: &GraphNode, route: i32) {
        self.routes.borrow_mut().insert(node.name.clone(), route);
    }
}

fn interpret(graph: &GraphNode, nature: &Nature, all: bool) -> (Result<String, String>, Calls, BTreeMap<String, i32>) {
    let interpreter = Interpreter { nature, calls: RefCell::default(), routes: RefCell::default(), all };
    let result = interpreter.predict(graph, "x");
    (result, interpreter.calls.into_inner(), interpreter.routes.into_inner())
}

/// Runs the walk; `choose` picks which of the calls under way ends next.
fn drive(
    plan: &Plan,
    nature: &Nature,
    mut choose: impl FnMut(usize) -> usize,
) -> (Result<String, String>, Calls, BTreeMap<String, i32>) {
    let name = |node: NodeId| plan.node(node).name.to_string();
    let mut walk = Walk::new(plan);
    let mut out = Vec::new();
    let mut calls = Calls::new();
    // What runs: the node, its stage and what it will answer.
    let mut running: Vec<(NodeId, &'static str, String)> = Vec::new();
    walk.begin(plan, "x".to_owned(), &mut out);
    loop {
        let mut begun = Vec::new();
        for next in out.drain(..) {
            match next {
                Next::Call(node, kind, message) => {
                    let kind = kind.name();
                    begun.push((node, kind, format!("{}.{kind}({message})", name(node))));
                }
                Next::Route(node, message) => begun.push((node, "route", format!("{}.route({message})", name(node)))),
                Next::Aggregate(node, messages) => {
                    begun.push((node, "aggregate", format!("{}.aggregate({})", name(node), messages.join(","))));
                }
                Next::Average(node, messages) => begun.push((node, "mean", format!("mean({})", messages.join(",")))),
                Next::Fixed(node, message) => begun.push((node, "fixed", format!("fixed({message})"))),
                Next::Draw(node) => begun.push((node, "draw", String::new())),
                Next::Stop(node) => {
                    let before = running.len() + begun.len();
                    running.retain(|(running, ..)| *running != node);
                    begun.retain(|(begun, ..)| *begun != node);
                    assert_eq!(running.len() + begun.len(), before - 1, "stopped what did not run");
                }
                Next::Done(message) => {
                    assert!(running.is_empty() && begun.is_empty(), "calls go on after the end");
                    let routes = walk.routes().iter().map(|(node, route)| (name(*node), *route)).collect();
                    return (Ok(message), calls, routes);
                }
                Next::Failed(node) => {
                    assert!(running.is_empty() && begun.is_empty(), "calls go on after the end");
                    return (Err(name(node)), calls, BTreeMap::new());
                }
                Next::Told(..) | Next::Shadow(..) | Next::Compare(..) => unreachable!("no such node was drawn"),
            }
        }
        running.splice(0..0, begun);
        let (node, stage, answer) = running.remove(choose(running.len()));
        let is_call = !["mean", "fixed", "draw"].contains(&stage);
        if is_call {
            calls.push(answer.clone());
        }
        // A result of a node that awaits none moves nothing.
        let late = plan.nodes().map(|(id, _)| id).find(|id| !walk.is_busy(*id));
        if let Some(late) = late {
            walk.replied(plan, late, "late".into(), &mut out);
            walk.failed(plan, late, &mut out);
            assert_eq!(walk.routed(plan, late, 0, &mut out), Ok(()));
            assert_eq!(out, []);
        }
        let children = plan.node(node).children.len();
        if is_call && nature.fails(&name(node), stage) {
            walk.failed(plan, node, &mut out);
        } else if stage == "route" {
            if walk.routed(plan, node, nature.route(&name(node), children), &mut out).is_err() {
                walk.failed(plan, node, &mut out);
            }
        } else if stage == "draw" {
            let drawn = nature.draw(&name(node), "draw", children as u64) as i32;
            walk.routed(plan, node, drawn, &mut out).expect("there is such a child");
        } else {
            walk.replied(plan, node, answer, &mut out);
        }
    }
}

fn graphs() -> impl Strategy<Value = GraphNode> {
    let leaf = shape().prop_map(|shape| make(shape, Vec::new()));
    let tree = leaf.prop_recursive(4, 60, 4, |inner| {
        (shape(), proptest::collection::vec(inner, 1..=4)).prop_map(|(shape, children)| make(shape, children))
    });
    tree.prop_map(|mut graph| {
        rename(&mut graph, &mut 0);
        graph
    })
}

type Shape = (NodeKind, Vec<Method>, u8);

fn shape() -> impl Strategy<Value = Shape> {
    use Method::{Aggregate, Route, SendFeedback, TransformInput, TransformOutput};
    use NodeKind::{Combiner, Model, OutputTransformer, Router, Transformer, Unknown};
    let kind = proptest::sample::select(vec![Model, Router, Combiner, Transformer, OutputTransformer, Unknown]);
    let methods =
        proptest::sample::subsequence(vec![TransformInput, TransformOutput, Route, Aggregate, SendFeedback], 0..=2);
    (kind, methods, 0..20_u8)
}

fn make((kind, methods, what): Shape, children: Vec<GraphNode>) -> GraphNode {
    let (kind, methods, implementation) = match what {
        0 => (NodeKind::Model, Vec::new(), Implementation::SimpleModel),
        1 if !children.is_empty() => {
            let weights = vec![1.0; children.len()];
            (NodeKind::Router, Vec::new(), Implementation::RandomAbtest(Split { weights, seed: None }))
        }
        2 if !children.is_empty() => (NodeKind::Unknown, Vec::new(), Implementation::SimpleRouter),
        3 => (NodeKind::Combiner, Vec::new(), Implementation::AverageCombiner),
        _ => (kind, methods, Implementation::Server),
    };
    GraphNode { kind, methods, implementation, ..GraphNode::new("", kind, children) }
}

fn rename(node: &mut GraphNode, count: &mut usize) {
    node.name = format!("n{count}");
    *count += 1;
    node.children.iter_mut().for_each(|child| rename(child, count));
}

fn compare(graph: &GraphNode, seed: u64, failures: bool) -> Result<(), TestCaseError> {
    let nature = Nature { seed, failures };
    let plan = Plan::new(graph).expect("a sound graph");

    // One after the other, in child order: every call, in order.
    let (expected, calls, routes) = interpret(graph, &nature, false);
    let (result, made, taken) = drive(&plan, &nature, |_| 0);
    prop_assert_eq!(&result, &expected);
    prop_assert_eq!(&made, &calls);
    if expected.is_ok() {
        prop_assert_eq!(&taken, &routes);
    }

    // In any order: the same result and route. Each call's text holds all that went before it.
    let mut state = seed | 1;
    let (result, mut made, taken) = drive(&plan, &nature, |count| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize % count
    });
    prop_assert_eq!(&result, &expected);
    let (_, mut calls, _) = interpret(graph, &nature, true);
    made.sort_unstable();
    calls.sort_unstable();
    if expected.is_ok() {
        prop_assert_eq!(&taken, &routes);
        prop_assert_eq!(made, calls);
    } else {
        prop_assert!(made.iter().all(|call| calls.binary_search(call).is_ok()), "a call that nobody asked for");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]
    #[test]
    fn the_walk_does_what_the_interpreter_does(graph in graphs(), seed: u64, failures: bool) {
        compare(&graph, seed, failures)?;
    }
}

fn node(name: &str, kind: NodeKind, children: Vec<GraphNode>) -> GraphNode {
    GraphNode::new(name, kind, children)
}

fn models(names: &[&str]) -> Vec<GraphNode> {
    names.iter().map(|name| node(name, NodeKind::Model, vec![])).collect()
}

#[test]
fn the_first_failure_in_child_order_wins_and_later_siblings_stop() {
    let plan = Plan::new(&node("c", NodeKind::Combiner, models(&["a", "b", "d"]))).unwrap();
    let [a, b, d] = ["a", "b", "d"].map(|name| plan.find(name).unwrap());
    let mut walk = Walk::new(&plan);
    let mut out = Vec::new();
    walk.begin(&plan, "x", &mut out);
    assert_eq!(out.len(), 3);
    out.clear();
    // The last one may still answer, the first one may still fail: only what comes after the failure is of no use.
    walk.failed(&plan, b, &mut out);
    assert_eq!(out, [Next::Stop(d)]);
    out.clear();
    walk.replied(&plan, d, "late", &mut out);
    assert_eq!(out, []);
    walk.clone().failed(&plan, a, &mut out);
    assert_eq!(std::mem::take(&mut out), [Next::Failed(a)]);
    walk.replied(&plan, a, "a", &mut out);
    assert_eq!(out, [Next::Failed(b)]);
}

#[test]
fn a_route_is_checked() {
    let plan = Plan::new(&node("r", NodeKind::Router, models(&["a", "b"]))).unwrap();
    let r = plan.root();
    let mut walk = Walk::new(&plan);
    let mut out = Vec::new();
    walk.begin(&plan, "x", &mut out);
    assert_eq!(std::mem::take(&mut out), [Next::Route(r, "x")]);
    for route in [-3, 2, 7, i32::MIN, i32::MAX] {
        let error = walk.routed(&plan, r, route, &mut out).unwrap_err();
        assert_eq!((error, out.len()), (NoSuchChild { route, children: 2 }, 0));
    }
    walk.clone().routed(&plan, r, RETURN, &mut out).unwrap();
    assert_eq!(std::mem::take(&mut out), [Next::Done("x")]);
    walk.routed(&plan, r, 1, &mut out).unwrap();
    assert_eq!(std::mem::take(&mut out), [Next::Call(plan.find("b").unwrap(), CallKind::Predict, "x")]);
    assert_eq!(walk.routes(), [(r, 1), (plan.find("b").unwrap(), -1)]);
}

#[test]
fn a_shadow_gets_a_copy_and_is_heard_of_no_more() {
    let shadow =
        GraphNode { implementation: Implementation::Shadow, ..node("s", NodeKind::Unknown, models(&["a", "b", "c"])) };
    let plan = Plan::new(&shadow).unwrap();
    let [a, b, c] = ["a", "b", "c"].map(|name| plan.find(name).unwrap());
    let mut out = Vec::new();
    let mut walk = Walk::new(&plan);
    walk.begin(&plan, "x", &mut out);
    let call = Next::Call(a, CallKind::Predict, "x");
    assert_eq!(std::mem::take(&mut out), [Next::Shadow(plan.root(), b, "x"), Next::Shadow(plan.root(), c, "x"), call]);
    walk.replied(&plan, a, "y", &mut out);
    assert_eq!(std::mem::take(&mut out), [Next::Compare(plan.root(), "y"), Next::Done("y")]);
    // Its own walk ends where it began.
    let mut own = Walk::at(&plan, b);
    own.begin(&plan, "x", &mut out);
    own.replied(&plan, b, "z", &mut out);
    assert_eq!(out, [Next::Call(b, CallKind::Predict, "x"), Next::Done("z")]);
}

#[test]
fn feedback_goes_to_the_children_first_and_where_the_request_went() {
    let router = node("r", NodeKind::Router, models(&["a", "b"]));
    let plan = Plan::feedback(&node("t", NodeKind::Transformer, vec![router])).unwrap();
    let [r, b] = ["r", "b"].map(|name| plan.find(name).unwrap());
    let mut walk = Walk::new(&plan);
    let mut out = Vec::new();
    walk.begin(&plan, "f", &mut out);
    assert_eq!(std::mem::take(&mut out), [Next::Told(plan.root(), "f")]);
    walk.routed(&plan, plan.root(), ALL, &mut out).unwrap();
    assert_eq!(std::mem::take(&mut out), [Next::Told(r, "f")]);
    walk.routed(&plan, r, 1, &mut out).unwrap();
    assert_eq!(std::mem::take(&mut out), [Next::Call(b, CallKind::SendFeedback, "f")]);
    // What a child answers is of no use to its parent, which learns from the feedback itself.
    walk.replied(&plan, b, "learnt", &mut out);
    assert_eq!(std::mem::take(&mut out), [Next::Call(r, CallKind::SendFeedback, "f")]);
    walk.replied(&plan, r, "learnt too", &mut out);
    assert_eq!(out, [Next::Done("f")]);
}
