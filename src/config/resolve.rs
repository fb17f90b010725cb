//! From layers to settings: every option read, and what must hold between them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fault::{Origin, Rank};
use super::kafka;
use super::nodes;
use super::reader::Reader;
use super::seldon::{Deployed, graph_in_file};
use super::settings::{
    Admin, Delivery, Deployment, GraphNode, Limits, Log, LogFormat, Node, NodeKind, Order, Protocol, Settings,
    Transport,
};
use super::value::Spot;

/// Time that a stop needs after the drain: flush, commit, leave the group.
pub const AFTER_DRAIN: Duration = Duration::from_secs(5);

const LONG: Duration = Duration::from_hours(24);

/// What settings need besides the layers.
pub(super) struct Given<'a> {
    pub(super) deployed: Option<&'a Deployed>,
    /// A deployment was named but could not be read: what follows from that is not reported again.
    pub(super) deployment_failed: bool,
    /// `--endpoint`, by node.
    pub(super) endpoints: &'a BTreeMap<String, (String, Origin)>,
    pub(super) file: Option<std::path::PathBuf>,
    /// Whether standard error is a terminal.
    pub(super) terminal: bool,
}

/// Reads everything. What it returns is only good if no fault was noted.
pub(super) fn settings(reader: &mut Reader<'_>, given: &Given<'_>, notices: &mut Vec<String>) -> Settings {
    let deployment = deployment(reader, given.file.clone());
    later(reader, "transport", "grpc", "rest");
    later(reader, "delivery", "exactly_once", "at_least_once");
    let graph = graph(reader, given);
    let missing = GraphNode::new("", NodeKind::Model, Vec::new());
    let nodes = match &graph {
        Some(graph) => nodes::read(reader, graph, given.deployed, given.endpoints),
        None => BTreeMap::new(),
    };
    let kafka = kafka::read(reader, &deployment, given.deployment_failed, notices);
    let limits = limits(reader, graph.as_ref(), &nodes, notices);
    stop(reader, &limits, &kafka.consumer_properties);
    let threads = match reader.text("threads").as_deref() {
        Some("auto") => std::thread::available_parallelism().map_or(1, usize::from),
        _ => reader.number("threads", 1..=1024) as usize,
    };
    Settings {
        delivery: Delivery::AtLeastOnce,
        order: reader.choice("order", &[("key", Order::Key), ("partition", Order::Partition), ("none", Order::None)]),
        protocol: reader.choice(
            "protocol",
            &[
                ("seldon", Protocol::Seldon),
                ("tensorflow", Protocol::Tensorflow),
                ("v2", Protocol::V2),
                ("kfserving", Protocol::V2),
            ],
        ),
        transport: Transport::Rest,
        inject_routing: false,
        threads,
        kafka,
        limits,
        nodes,
        graph: graph.unwrap_or(missing),
        admin: Admin {
            host: reader.required("admin.host"),
            port: reader.number("admin.port", 0..=65535) as u16,
            allow_crash: reader.boolean("admin.allow_crash"),
        },
        log: log(reader, given.terminal),
        deployment,
    }
}

/// An option of which only one choice is in this version.
fn later(reader: &mut Reader<'_>, key: &str, later: &str, now: &'static str) {
    match reader.text(key) {
        Some(text) if text.eq_ignore_ascii_case(later) => {
            reader.fault(key, format!("{later} is not in this version"), format!("use {now}"));
        }
        _ => reader.choice(key, &[(now, ())]),
    }
}

fn deployment(reader: &mut Reader<'_>, file: Option<std::path::PathBuf>) -> Deployment {
    let mut text = |key: &str| reader.text(key).unwrap_or_default();
    Deployment {
        name: text("deployment.name"),
        namespace: text("deployment.namespace"),
        predictor: text("deployment.predictor"),
        predictor_version: text("deployment.version"),
        file,
    }
}

fn graph(reader: &mut Reader<'_>, given: &Given<'_>) -> Option<GraphNode> {
    let configured = reader.leaf("graph");
    match (configured, given.deployed) {
        (Some(leaf), Some(deployed)) => {
            let problem = format!("a graph is given here and by {}", deployed.origin);
            reader.faults.add(leaf.origin.clone(), problem, "give it once");
            None
        }
        (None, Some(deployed)) => deployed.graph.clone(),
        (Some(leaf), None) => graph_in_file(&leaf.origin.text, &Spot::bare(leaf.value.clone()), reader.faults),
        (None, None) if given.deployment_failed => None,
        (None, None) => {
            let remedy = "give a SeldonDeployment with -f, or `graph` in the configuration file";
            reader.faults.add("graph", "there is no graph to send requests through", remedy);
            None
        }
    }
}

fn limits(
    reader: &mut Reader<'_>,
    graph: Option<&GraphNode>,
    nodes: &BTreeMap<String, Node>,
    notices: &mut Vec<String>,
) -> Limits {
    const LARGEST: u64 = 1 << 30;
    let seconds = Duration::from_secs;
    let mut record_deadline = reader.duration("limits.record_deadline", Duration::from_millis(10)..=LONG);
    // One child each: the time of the whole is the sum.
    let needed: Duration = graph.map(|_| nodes.values().map(|node| node.timeout).sum()).unwrap_or_default();
    if needed > record_deadline {
        if reader.origin("limits.record_deadline").rank == Rank::Default {
            let [longer, default] = [needed, record_deadline].map(humantime::format_duration);
            notices.push(format!("limits.record_deadline is {longer}, not {default}: the timeouts add up to it"));
            record_deadline = needed;
        } else {
            let problem =
                format!("is shorter than the nodes' timeouts together, {}", humantime::format_duration(needed));
            reader.fault("limits.record_deadline", problem, "make it longer, or the timeouts shorter");
        }
    }
    Limits {
        in_flight_records: reader.number("limits.in_flight_records", 1..=1_000_000) as usize,
        in_flight_bytes: reader.size("limits.in_flight_bytes", 1..=1 << 40),
        window: reader.number("limits.window", 1..=10_000_000) as usize,
        commit_span: reader.number("limits.commit_span", 1..=100_000_000) as usize,
        prefetch_bytes: reader.size("limits.prefetch_bytes", 64 << 10..=LARGEST),
        request_bytes: reader.size("limits.request_bytes", 1..=LARGEST / 2),
        reply_bytes: reader.size("limits.reply_bytes", 1..=LARGEST / 2),
        record_deadline,
        drain: reader.duration("limits.drain", Duration::ZERO..=LONG),
        termination_grace: reader.duration("limits.termination_grace", seconds(1)..=LONG),
    }
}

/// The stop fits in its time, and a drain in a rebalance does not cost the membership.
fn stop(reader: &mut Reader<'_>, limits: &Limits, consumer: &BTreeMap<String, String>) {
    let needed = limits.drain + AFTER_DRAIN;
    if needed > limits.termination_grace {
        let [drain, after, grace] =
            [limits.drain, AFTER_DRAIN, limits.termination_grace].map(humantime::format_duration);
        reader.fault(
            "limits.drain",
            format!("{drain} and {after} to flush, commit and leave do not fit into limits.termination_grace, {grace}"),
            "make the drain shorter, or the grace longer, in the pod too (terminationGracePeriodSeconds)",
        );
    }
    let poll = consumer.get("max.poll.interval.ms").and_then(|text| text.parse().ok()).unwrap_or(300_000);
    if limits.drain >= Duration::from_millis(poll) {
        let problem =
            format!("is not shorter than max.poll.interval.ms, {poll} ms: a rebalance would cost the membership");
        reader.fault(
            "limits.drain",
            problem,
            "make it shorter, or kafka.consumer.properties.max.poll.interval.ms longer",
        );
    }
}

fn log(reader: &mut Reader<'_>, terminal: bool) -> Log {
    use slog::Level;
    let auto = if terminal { LogFormat::Terminal } else { LogFormat::Json };
    let formats = [("auto", auto), ("json", LogFormat::Json), ("terminal", LogFormat::Terminal)];
    let levels = [
        ("info", Level::Info),
        ("trace", Level::Trace),
        ("debug", Level::Debug),
        ("warning", Level::Warning),
        ("warn", Level::Warning),
        ("error", Level::Error),
        ("fatal", Level::Critical),
        ("critical", Level::Critical),
    ];
    Log { level: reader.choice("log.level", &levels), format: reader.choice("log.format", &formats) }
}
