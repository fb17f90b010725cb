//! From layers to settings: every option read, and what must hold between them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fault::{Origin, Rank};
use super::kafka;
use super::nodes;
use super::reader::Reader;
use super::rules;
use super::seldon::{Deployed, Drawn, graph_in_file};
use super::settings::{
    Admin, Delivery, Deployment, GraphNode, Limits, Log, LogFormat, Node, NodeKind, OnFailure, Order, Protocol,
    Settings, Stream, Transport,
};
use super::value::Spot;

/// Time that a stop needs after the drain: flush, commit, leave the group.
pub const AFTER_DRAIN: Duration = Duration::from_secs(5);

/// Bytes of the largest request or reply that can be allowed.
pub(super) const LARGEST_MESSAGE: u64 = 1 << 29;

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
    let protocol = reader.choice(
        "protocol",
        &[
            ("seldon", Protocol::Seldon),
            ("tensorflow", Protocol::Tensorflow),
            ("v2", Protocol::V2),
            ("kfserving", Protocol::V2),
        ],
    );
    let transport = reader.choice("transport", &[("rest", Transport::Rest), ("grpc", Transport::Grpc)]);
    let inject_routing = reader.boolean("inject_routing");
    if inject_routing && protocol != Protocol::Seldon {
        notices.push(format!("inject_routing changes nothing: messages of protocol {protocol} have no `meta.routing`"));
    }
    let missing = GraphNode::new("", NodeKind::Model, Vec::new());
    let drawn = configured_graph(reader, given, notices);
    let drawn = drawn.as_ref().or_else(|| given.deployed.and_then(|deployed| deployed.graph.as_ref()));
    let graph = drawn.map(|drawn| &drawn.graph);
    let nodes = match drawn {
        Some(drawn) => {
            let of = nodes::Given { deployed: given.deployed, endpoints: given.endpoints, transport };
            let nodes = nodes::read(reader, &drawn.graph, &of, notices);
            rules::check(&rules::Case { drawn, nodes: &nodes, protocol, transport }, notices, reader.faults);
            nodes
        }
        None => BTreeMap::new(),
    };
    let kafka = kafka::read(reader, &deployment, given.deployment_failed, notices);
    let limits = limits(reader, graph, &nodes, notices);
    stop(reader, &limits, &kafka.consumer_properties);
    let threads = match reader.text("threads").as_deref() {
        Some("auto") => std::thread::available_parallelism().map_or(1, usize::from),
        _ => reader.number("threads", 1..=1024) as usize,
    };
    Settings {
        delivery: reader
            .choice("delivery", &[("at_least_once", Delivery::AtLeastOnce), ("exactly_once", Delivery::ExactlyOnce)]),
        order: reader.choice("order", &[("key", Order::Key), ("partition", Order::Partition), ("none", Order::None)]),
        on_failure: reader.choice(
            "on_failure",
            &[("dead_letter", OnFailure::DeadLetter), ("skip", OnFailure::Skip), ("stop", OnFailure::Stop)],
        ),
        protocol,
        transport,
        stream: Stream::Requests,
        inject_routing,
        threads,
        kafka,
        limits,
        nodes,
        graph: graph.cloned().unwrap_or(missing),
        admin: Admin {
            host: reader.required("admin.host"),
            port: reader.number("admin.port", 0..=65535) as u16,
            allow_crash: reader.boolean("admin.allow_crash"),
        },
        log: log(reader, given.terminal),
        deployment,
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

/// The graph of the configuration file. There must be one here or in the deployment, and not in both.
fn configured_graph(reader: &mut Reader<'_>, given: &Given<'_>, notices: &mut Vec<String>) -> Option<Drawn> {
    match (reader.leaf("graph"), given.deployed) {
        (Some(leaf), Some(deployed)) => {
            let problem = format!("a graph is given here and by {}", deployed.origin);
            reader.faults.add(leaf.origin.clone(), problem, "give it once");
            None
        }
        (Some(leaf), None) => graph_in_file(&leaf.origin.text, &Spot::bare(leaf.value.clone()), notices, reader.faults),
        (None, Some(_)) => None,
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
    let needed = graph.map(|graph| nodes::longest(graph, nodes)).unwrap_or_default();
    if needed > record_deadline {
        if reader.origin("limits.record_deadline").rank == Rank::Default {
            let [longer, default] = [needed, record_deadline].map(humantime::format_duration);
            notices.push(format!(
                "limits.record_deadline is {longer}, not {default}: the timeouts on the longest way add up to it"
            ));
            record_deadline = needed;
        } else {
            let problem = format!(
                "is shorter than the timeouts on the longest way together, {}",
                humantime::format_duration(needed)
            );
            reader.fault("limits.record_deadline", problem, "make it longer, or the timeouts shorter");
        }
    }
    Limits {
        in_flight_records: reader.number("limits.in_flight_records", 1..=1_000_000) as usize,
        in_flight_bytes: reader.size("limits.in_flight_bytes", 1..=1 << 40),
        window: reader.number("limits.window", 1..=10_000_000) as usize,
        commit_span: reader.number("limits.commit_span", 1..=100_000_000) as usize,
        held_bytes: reader.size("limits.held_bytes", 1 << 20..=1 << 40),
        prefetch_bytes: reader.size("limits.prefetch_bytes", 64 << 10..=LARGEST),
        request_bytes: reader.size("limits.request_bytes", 1..=LARGEST_MESSAGE),
        reply_bytes: reader.size("limits.reply_bytes", 1..=LARGEST_MESSAGE),
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
