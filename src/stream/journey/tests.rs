//! The journey, event by event: what it asks for, what a failure costs, how it ends.

use bytes::Bytes;

use super::*;
use crate::config::settings::{GraphNode, Implementation, NodeKind, Retry};
use crate::graph::Plan;

const REST: Target = Target(0);

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn rules(graph: &GraphNode, attempts: u32) -> Rules {
    let retry = Retry { attempts, min_backoff: s(1), max_backoff: s(4) };
    let plan = Plan::new(graph).unwrap();
    let node = NodeRules { retry, transport: None, rest: Some(REST), grpc: None };
    let nodes = vec![node; plan.size()];
    Rules { plan, nodes, protocol: Protocol::Seldon, deadline: s(60), inject_routing: false, feedback: false }
}

fn model(name: &str, children: Vec<GraphNode>) -> GraphNode {
    GraphNode::new(name, NodeKind::Model, children)
}

fn chain(attempts: u32) -> Rules {
    rules(&model("a", vec![model("b", vec![])]), attempts)
}

fn built_in(implementation: Implementation, children: &[&str]) -> GraphNode {
    let children = children.iter().map(|name| model(name, vec![])).collect();
    GraphNode { implementation, ..GraphNode::new("root", NodeKind::Unknown, children) }
}

fn status(code: u16) -> CallError {
    CallError::Status { code, body: Bytes::from_static(b"why"), retry_after: None }
}

/// A journey and the rules it goes by.
struct Trip<'a> {
    rules: &'a Rules,
    journey: Journey,
}

impl<'a> Trip<'a> {
    fn new(rules: &'a Rules) -> Self {
        Self { rules, journey: Journey::new(rules, b"id-1") }
    }

    fn node(&self, name: &str) -> NodeId {
        self.rules.plan.find(name).unwrap()
    }

    fn step(&mut self, event: Event<'_>, now: Duration) -> Vec<Command> {
        let mut commands = Vec::new();
        self.journey.step(event, now, &mut || 0.5, self.rules, &mut commands);
        commands
    }

    fn begin(&mut self, body: &'static str) -> Vec<Command> {
        self.step(Event::Begin(Message::json(body)), s(0))
    }

    fn replied(&mut self, name: &str, body: &'static str, now: Duration) -> Vec<Command> {
        self.step(Event::Replied(self.node(name), Message::json(body)), now)
    }

    fn failed(&mut self, name: &str, error: &CallError, verdict: Verdict, now: Duration) -> Vec<Command> {
        self.step(Event::Failed(self.node(name), error, verdict), now)
    }

    fn start(&mut self, name: &str, now: Duration) -> (CallKind, Message) {
        self.journey.start(self.node(name), now).expect("the call is waited for")
    }

    fn call(&self, name: &str) -> Command {
        Command::Call(self.node(name), REST)
    }
}

fn answer(body: &'static str) -> Command {
    Command::Answer(Message::json(body))
}

/// The failure that ends the request.
fn failure(commands: Vec<Command>) -> Failure {
    match commands.into_iter().next_back() {
        Some(Command::Fail(failure)) => failure,
        other => panic!("no failure but {other:?}"),
    }
}

#[test]
fn a_chain_is_called_in_order_and_its_last_reply_is_the_answer() {
    let rules = chain(3);
    let mut trip = Trip::new(&rules);
    assert_eq!(trip.begin(r#"{"strData":"x"}"#), [trip.call("a")]);
    assert_eq!(trip.start("a", s(0)), (CallKind::Predict, Message::json(r#"{"strData":"x"}"#)));
    assert_eq!(trip.replied("a", r#"{"strData":"y"}"#, s(1)), [trip.call("b")]);
    assert_eq!(trip.start("b", s(1)), (CallKind::Predict, Message::json(r#"{"strData":"y"}"#)));
    assert_eq!(trip.replied("b", r#"{"strData":"z"}"#, s(2)), [answer(r#"{"strData":"z"}"#)]);
    assert_eq!(trip.replied("b", r#"{"strData":"late"}"#, s(3)), []);
}

#[test]
fn a_failure_that_costs_ends_after_the_attempts() {
    let rules = chain(3);
    let mut trip = Trip::new(&rules);
    trip.begin("{}");
    for _ in 0..2 {
        trip.start("a", s(0));
        let commands = trip.failed("a", &status(500), Verdict::Costs, s(0));
        assert!(matches!(commands[..], [Command::CallAfter(..)]), "{commands:?}");
    }
    let failure = failure(trip.failed("a", &status(500), Verdict::Costs, s(0)));
    assert_eq!((failure.attempts, failure.class, failure.status), (3, ErrorClass::ModelError, Some("500".into())));
    assert_eq!(failure.message, "node a: status 500; all attempts are used");
    assert_eq!(failure.body, Some(Bytes::from_static(b"why")));
}

#[test]
fn a_permanent_failure_is_not_tried_again() {
    let rules = chain(3);
    let mut trip = Trip::new(&rules);
    trip.begin("{}");
    let failure = failure(trip.failed("a", &status(400), Verdict::Costs, s(0)));
    assert_eq!((failure.attempts, failure.message.as_str()), (1, "node a: status 400; a retry cannot help"));
}

#[test]
fn what_kills_its_model_ends_at_once_and_what_is_not_waited_for_after_its_attempts() {
    let rules = chain(2);
    let mut trip = Trip::new(&rules);
    trip.begin("{}");
    let reset = CallError::Reset("x".into());
    let ended = failure(trip.step(Event::Kills(trip.node("a"), &reset), s(0)));
    assert_eq!((ended.class, ended.attempts), (ErrorClass::KillsModel, 3));
    let mut trip = Trip::new(&rules);
    trip.begin("{}");
    assert!(matches!(trip.failed("a", &reset, Verdict::Costs, s(0))[..], [Command::CallAfter(..)]));
    let ended = failure(trip.failed("a", &CallError::Down, Verdict::Costs, s(1)));
    assert_eq!((ended.class, ended.attempts), (ErrorClass::Unavailable, 2));
}

#[test]
fn what_is_free_costs_neither_attempts_nor_time_however_often() {
    let rules = chain(2);
    let mut trip = Trip::new(&rules);
    trip.begin("{}");
    for round in 0..1_000 {
        trip.start("a", s(round * 100));
        let hung = CallError::Timeout(s(30));
        assert_eq!(trip.failed("a", &hung, Verdict::Free, s(round * 100 + 30)), [trip.call("a")]);
        trip.start("a", s(round * 100 + 90));
        assert_eq!(trip.step(Event::Lost(trip.node("a")), s(round * 100 + 91)), [trip.call("a")]);
    }
    assert_eq!(trip.journey.failed_attempts(trip.node("a")), 0);
    assert_eq!(trip.journey.active[0].clock.left(s(100_000)), s(60));
}

#[test]
fn the_deadline_ends_a_record_whose_endpoint_works() {
    let rules = chain(100);
    let mut trip = Trip::new(&rules);
    trip.begin("{}");
    let hung = CallError::Timeout(s(40));
    trip.start("a", s(0));
    assert!(matches!(trip.failed("a", &hung, Verdict::Costs, s(40))[..], [Command::CallAfter(..)]));
    trip.start("a", s(41));
    let failure = failure(trip.failed("a", &hung, Verdict::Costs, s(81)));
    assert!(failure.message.ends_with("the record's deadline has passed"), "{}", failure.message);
}

#[test]
fn time_is_counted_along_the_dearest_way() {
    let combiner = GraphNode::new("c", NodeKind::Combiner, vec![model("a", vec![]), model("b", vec![])]);
    let rules = rules(&combiner, 3);
    let mut trip = Trip::new(&rules);
    assert_eq!(trip.begin("{}"), [trip.call("a"), trip.call("b")]);
    trip.start("a", s(0));
    trip.start("b", s(0));
    trip.replied("a", "{}", s(10));
    assert_eq!(trip.replied("b", "{}", s(25)), [trip.call("c")]);
    // Not 35: they ran at the same time.
    assert_eq!(trip.journey.active[0].clock.left(s(25)), s(35));
    assert_eq!(trip.start("c", s(25)), (CallKind::Aggregate, Message::json("[{},{}]")));
}

#[test]
fn a_router_that_names_no_child_is_a_clear_failure() {
    let router = GraphNode::new("r", NodeKind::Router, vec![model("a", vec![]), model("b", vec![])]);
    let rules = rules(&router, 3);
    for (reply, reason) in [
        (r#"{"data":{"ndarray":[7]}}"#, "the route is 7; it must be -2 (return), -1 (all children) or less than 2"),
        ("{}", ""),
        (r#"{"data":{"ndarray":["one"]}}"#, ""),
        (r#"{"data":{"ndarray":[NaN]}}"#, ""),
        (r#"{"data":{"ndarray":[]}}"#, ""),
        ("text", ""),
        ("", ""),
    ] {
        let mut trip = Trip::new(&rules);
        assert_eq!(trip.begin("{}"), [trip.call("r")]);
        assert_eq!(trip.start("r", s(0)).0, CallKind::Route);
        let failure = failure(trip.replied("r", reply, s(0)));
        assert_eq!((failure.class, failure.node.as_deref()), (ErrorClass::BadRoute, Some("r")), "{reply}");
        assert!(failure.message.contains(reason), "{}", failure.message);
        assert_eq!(failure.body, Some(Bytes::from_static(reply.as_bytes())));
    }
    let mut trip = Trip::new(&rules);
    trip.begin("{}");
    assert_eq!(trip.replied("r", r#"{"data":{"ndarray":[1]}}"#, s(0)), [trip.call("b")]);
    assert_eq!(trip.start("b", s(0)).1, Message::json("{}"));
}

#[test]
fn siblings_of_a_failure_are_stopped() {
    let combiner = GraphNode::new("c", NodeKind::Combiner, ["a", "b", "d"].map(|name| model(name, vec![])).into());
    let rules = rules(&combiner, 1);
    let mut trip = Trip::new(&rules);
    trip.begin("{}");
    let d = trip.node("d");
    assert_eq!(trip.failed("b", &status(400), Verdict::Costs, s(0)), [Command::Stop(d)]);
    assert_eq!(trip.journey.start(d, s(0)), None);
    let failure = failure(trip.replied("a", "{}", s(0)));
    assert_eq!(failure.node.as_deref(), Some("b"));
}

#[test]
fn a_weight_of_nothing_is_never_drawn_and_a_seed_decides_by_id() {
    let split = |weights: &[f64], seed| Split { weights: weights.to_vec(), seed };
    for place in [0.0, 0.3, 0.999, 1.0] {
        assert_eq!(draw(&split(&[0.0, 1.0, 0.0], None), place), 1);
    }
    let count = |weights: &[f64], seed: u64| {
        let mut counts = vec![0; weights.len()];
        for id in 0..10_000 {
            let place = unit(seed, hash(format!("id-{id}").as_bytes()));
            counts[draw(&split(weights, Some(seed)), place) as usize] += 1;
        }
        counts
    };
    let counts = count(&[3.0, 1.0, 1.0], 7);
    assert!((5_800..6_200).contains(&counts[0]) && (1_800..2_200).contains(&counts[1]), "{counts:?}");
    assert_eq!(count(&[1.0, 1.0], 1), count(&[1.0, 1.0], 1));
    assert_ne!(count(&[1.0, 1.0], 1), count(&[1.0, 1.0], 2));

    let drawn = |id: &[u8]| {
        let split = split(&[1.0; 4], Some(3));
        let rules = rules(&built_in(Implementation::RandomAbtest(split), &["a", "b", "c", "d"]), 1);
        let mut journey = Journey::new(&rules, id);
        let mut commands = Vec::new();
        journey.step(Event::Begin(Message::json("{}")), s(0), &mut fastrand::f64, &rules, &mut commands);
        journey.routes()[0].1
    };
    assert!((0..100).all(|_| drawn(b"id-1") == drawn(b"id-1")));
}

#[test]
fn a_mean_and_a_fixed_answer_are_made_here() {
    let average = rules(&built_in(Implementation::AverageCombiner, &["a", "b"]), 1);
    let mut trip = Trip::new(&average);
    trip.begin("{}");
    assert_eq!(trip.replied("b", r#"{"data":{"ndarray":[[3.0]]}}"#, s(0)), []);
    let commands = trip.replied("a", r#"{"data":{"ndarray":[[1.0]]}}"#, s(0));
    assert_eq!(commands, [answer(r#"{"data":{"ndarray":[[2.0]]}}"#)]);

    // What has no mean is a dead letter of the node.
    let mut trip = Trip::new(&average);
    trip.begin("{}");
    trip.replied("b", r#"{"data":{"ndarray":[["x"]]}}"#, s(0));
    let failure = failure(trip.replied("a", r#"{"data":{"ndarray":[[1.0]]}}"#, s(0)));
    assert_eq!((failure.class, failure.node.as_deref()), (ErrorClass::Unchainable, Some("root")));

    let fixed = rules(&GraphNode { implementation: Implementation::SimpleModel, ..model("m", vec![]) }, 1);
    let commands = Trip::new(&fixed).begin(r#"{"data":{"ndarray":[[1.0]]}}"#);
    assert!(matches!(&commands[..], [Command::Answer(message)] if message.body.starts_with(b"{")), "{commands:?}");
}

#[test]
fn tags_go_along_the_graph_and_the_route_can_be_told() {
    let rules = Rules { inject_routing: true, ..chain(1) };
    let mut trip = Trip::new(&rules);
    trip.begin(r#"{"strData":"x"}"#);
    trip.replied("a", r#"{"meta":{"tags":{"a":1}},"strData":"y"}"#, s(0));
    let commands = trip.replied("b", r#"{"meta":{"tags":{"b":2}},"strData":"z"}"#, s(0));
    let [Command::Answer(message)] = &commands[..] else { panic!("{commands:?}") };
    let value: serde_json::Value = serde_json::from_slice(&message.body).unwrap();
    let meta = serde_json::json!({"tags": {"a": 1, "b": 2}, "routing": {"a": -1, "b": -1}});
    assert_eq!(value, serde_json::json!({"meta": meta, "strData": "z"}));
}

#[test]
fn tags_of_a_router_are_the_answers_too() {
    let router = GraphNode::new("r", NodeKind::Router, vec![model("a", vec![]), model("b", vec![])]);
    let rules = rules(&router, 1);
    let mut trip = Trip::new(&rules);
    trip.begin(r#"{"strData":"x"}"#);
    trip.replied("r", r#"{"meta":{"tags":{"branch":"b","t":1}},"data":{"ndarray":[1]}}"#, s(0));
    let commands = trip.replied("b", r#"{"meta":{"tags":{"t":2}},"strData":"z"}"#, s(0));
    let [Command::Answer(message)] = &commands[..] else { panic!("{commands:?}") };
    let value: serde_json::Value = serde_json::from_slice(&message.body).unwrap();
    assert_eq!(value, serde_json::json!({"meta": {"tags": {"branch": "b", "t": 2}}, "strData": "z"}));
    // An answer that is no message stays as it is.
    let mut trip = Trip::new(&rules);
    trip.begin("{}");
    trip.replied("r", r#"{"meta":{"tags":{"t":1}},"data":{"ndarray":[1]}}"#, s(0));
    assert_eq!(trip.replied("b", "text", s(0)), [answer("text")]);
}

#[test]
fn a_shadow_is_started_and_compared_with_what_the_first_child_answers() {
    let rules = rules(&built_in(Implementation::Shadow, &["a", "b"]), 1);
    let mut trip = Trip::new(&rules);
    let (node, child) = (trip.node("root"), trip.node("b"));
    let message = Message::json("{}");
    assert_eq!(trip.begin("{}"), [Command::Shadow { node, child, message }, trip.call("a")]);
    let message = Message::json("{\"strData\":\"y\"}");
    let commands = trip.replied("a", "{\"strData\":\"y\"}", s(0));
    assert_eq!(commands, [Command::Compare { node, message }, answer("{\"strData\":\"y\"}")]);
}

#[test]
fn a_reply_that_cannot_be_passed_on_is_its_nodes_fault() {
    let rules = Rules { protocol: Protocol::Tensorflow, ..chain(1) };
    let mut trip = Trip::new(&rules);
    trip.begin(r#"{"instances":[1]}"#);
    let failure = failure(trip.replied("a", "<html>", s(0)));
    assert_eq!((failure.class, failure.node.as_deref()), (ErrorClass::Unchainable, Some("a")));
    assert_eq!(failure.body, Some(Bytes::from_static(b"<html>")));
}

#[test]
fn a_node_without_an_endpoint_for_the_message_fails_the_record_clearly() {
    let mut rules = chain(1);
    rules.protocol = Protocol::Tensorflow;
    rules.nodes[1] = NodeRules { rest: None, grpc: Some(Target(1)), ..rules.nodes[1].clone() };
    let mut trip = Trip::new(&rules);
    trip.begin(r#"{"instances":[1]}"#);
    let failure = failure(trip.replied("a", r#"{"predictions":[1]}"#, s(0)));
    assert_eq!((failure.class, failure.node.as_deref()), (ErrorClass::Unchainable, Some("b")), "{}", failure.message);
}
