//! The graph's nodes: settings and endpoints of each.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fault::{Origin, Rank};
use super::reader::Reader;
use super::seldon::{Deployed, Reached};
use super::settings::{Batch, Breaker, CallLimit, Endpoint, GraphNode, Node, Retry, Transport, WhenUnavailable};

/// What the nodes need to know besides the layers.
pub(super) struct Given<'a> {
    /// The deployment, if there is one.
    pub(super) deployed: Option<&'a Deployed>,
    /// `--endpoint`, by node.
    pub(super) endpoints: &'a BTreeMap<String, (String, Origin)>,
    /// How nodes are called that do not say it themselves.
    pub(super) transport: Transport,
}

/// Reads the settings of every node.
pub(super) fn read(
    reader: &mut Reader<'_>,
    graph: &GraphNode,
    given: &Given<'_>,
    notices: &mut Vec<String>,
) -> BTreeMap<String, Node> {
    let flat = graph.flat();
    let all: Vec<String> = flat.iter().map(|(node, _)| node.name.clone()).collect();
    for (name, (_, origin)) in given.endpoints {
        if !all.contains(name) {
            let remedy = format!("its nodes are: {}", all.join(", "));
            reader.faults.add(origin, format!("the graph has no node {name:?}"), remedy);
        }
    }
    let nodes = flat.iter().map(|(at, _)| (at.name.clone(), node(reader, at, given, notices))).collect();
    reader.unread_nodes(&all);
    nodes
}

/// Time of the longest way through the graph, if every call on it takes as long as one attempt may.
pub(super) fn longest(graph: &GraphNode, nodes: &BTreeMap<String, Node>) -> Duration {
    let flat = graph.flat();
    let mut below = vec![Duration::ZERO; flat.len()];
    // From the last to the first: children come before their parents.
    for (index, (node, parent)) in flat.iter().enumerate().rev() {
        let calls = u32::try_from(node.calls().len()).unwrap_or(u32::MAX);
        let own = nodes.get(&node.name).map(|node| node.timeout).unwrap_or_default().saturating_mul(calls);
        let whole = own.saturating_add(below[index]);
        match parent {
            Some(parent) => below[*parent] = below[*parent].max(whole),
            None => return whole,
        }
    }
    Duration::ZERO
}

fn node(reader: &mut Reader<'_>, at: &GraphNode, given: &Given<'_>, notices: &mut Vec<String>) -> Node {
    const LONG: Duration = Duration::from_hours(24);
    const SHORT: Duration = Duration::from_millis(1);
    let name = at.name.as_str();
    let retry = Retry {
        attempts: reader.node_number(name, "retry.attempts", 1..=1000) as u32,
        min_backoff: reader.node_duration(name, "retry.min_backoff", SHORT..=LONG),
        max_backoff: reader.node_duration(name, "retry.max_backoff", SHORT..=LONG),
    };
    if retry.min_backoff > retry.max_backoff {
        let origin = reader.node_leaf(name, "retry.min_backoff").map(|leaf| leaf.origin.text.clone());
        let source = format!("{}: nodes.{name}.retry.min_backoff", origin.unwrap_or_default());
        reader.faults.add(source, "is longer than max_backoff", "make it shorter, or max_backoff longer");
    }
    let reached = given.deployed.and_then(|deployed| deployed.reached.get(name));
    let transport = transport(reader, name, reached, given.transport, notices);
    let [rest, grpc] = endpoints(reader, at, reached, transport.unwrap_or(given.transport), given, notices);
    let (limit, breaker, batch) = (limit(reader, name), breaker(reader, name), batch(reader, name));
    let policies = [("wait", WhenUnavailable::Wait), ("dead_letter", WhenUnavailable::DeadLetter)];
    let when_unavailable = reader.node_choice(name, "when_unavailable", &policies);
    let image = reader.node_text(name, "image").map(|(image, _)| image);
    Node {
        name: name.to_owned(),
        transport,
        rest,
        grpc,
        timeout: reader.node_timeout(name, transport.unwrap_or(given.transport), SHORT..=LONG),
        retry,
        clients: reader.node_number(name, "clients", 1..=1024) as usize,
        connections: reader.node_number(name, "connections", 1..=100_000) as usize,
        when_unavailable: when_unavailable.map_or(WhenUnavailable::Wait, |(policy, _)| policy),
        limit,
        breaker,
        batch,
        image: image.or_else(|| given.deployed.and_then(|d| d.images.get(name).cloned())).unwrap_or_default(),
    }
}

fn limit(reader: &mut Reader<'_>, name: &str) -> CallLimit {
    const MOST: u64 = 1_000_000;
    let min = reader.node_number(name, "limit.min", 1..=MOST) as usize;
    let max = reader.node_text(name, "limit.max").map(|_| reader.node_number(name, "limit.max", 1..=MOST) as usize);
    if max.is_some_and(|max| max < min) {
        let source = format!("nodes.{name}.limit.min");
        reader.faults.add(source, "is larger than limit.max", "make it smaller, or limit.max larger");
    }
    CallLimit { adaptive: reader.node_boolean(name, "limit.adaptive"), min, max }
}

fn breaker(reader: &mut Reader<'_>, name: &str) -> Breaker {
    Breaker {
        error_share: reader.node_share(name, "breaker.error_share"),
        window: reader.node_duration(name, "breaker.window", Duration::from_secs(1)..=Duration::from_hours(1)),
        min_calls: reader.node_number(name, "breaker.min_calls", 1..=100_000) as u32,
    }
}

/// Batching, if it is on.
fn batch(reader: &mut Reader<'_>, name: &str) -> Option<Batch> {
    let batch = Batch {
        rows: reader.node_number(name, "batch.rows", 0..=1_000_000) as usize,
        bytes: reader.node_size(name, "batch.bytes", 1_024..=1 << 30),
        wait: reader.node_duration(name, "batch.wait", Duration::ZERO..=Duration::from_secs(10)),
        calls: reader.node_number(name, "batch.calls", 1..=100_000) as usize,
    };
    if batch.rows == 1 {
        let source = format!("nodes.{name}.batch.rows");
        reader.faults.add(source, "1 row is no batch", "give 0 for none, or 2 and more, such as 256");
    }
    let others = ["batch.bytes", "batch.wait", "batch.calls"];
    if batch.rows == 0
        && reader.own_leaf(name, "batch.rows").is_none()
        && let Some((key, leaf)) = others.iter().find_map(|key| Some((key, reader.own_leaf(name, key)?)))
    {
        let source = format!("{}: nodes.{name}.{key}", leaf.origin);
        reader.faults.add(source, "means nothing without batch.rows", "give batch.rows too, such as 256");
    }
    (batch.rows > 1).then_some(batch)
}

/// The node's own transport: the option, else what the deployment's `endpoint.type` says besides `spec.transport`.
fn transport(
    reader: &mut Reader<'_>,
    name: &str,
    reached: Option<&Reached>,
    deployment: Transport,
    notices: &mut Vec<String>,
) -> Option<Transport> {
    let choices = Transport::ALL.map(|transport| (word(transport), transport));
    if let Some((transport, _)) = reader.node_choice(name, "transport", &choices) {
        return Some(transport);
    }
    let (transport, origin) = reached.and_then(|reached| reached.transport.as_ref())?;
    if *transport == deployment {
        return None;
    }
    // The operator writes `type: REST` and all ports into every node, whatever spec.transport says.
    let written = *transport == Transport::Rest && reached.is_some_and(|reached| reached.grpc_port_given);
    if written && reader.origin("transport").rank > Rank::Default {
        notices.push(format!(
            "{origin}: type REST of an endpoint that has a grpcPort is taken for a default: node {name:?} is called as \
             `transport` says, over grpc; `nodes.{name}.transport: rest` makes it REST"
        ));
        return None;
    }
    Some(*transport)
}

fn word(transport: Transport) -> &'static str {
    match transport {
        Transport::Rest => "rest",
        Transport::Grpc => "grpc",
    }
}

/// Where the node's server takes REST calls, and gRPC calls. What is given as `endpoint` is for the transport in effect,
/// and says that the server is not where the deployment has it.
fn endpoints(
    reader: &mut Reader<'_>,
    at: &GraphNode,
    reached: Option<&Reached>,
    effective: Transport,
    given: &Given<'_>,
    notices: &mut Vec<String>,
) -> [Option<Endpoint>; 2] {
    let name = at.name.as_str();
    let text = |leaf: Option<&super::layers::Leaf>| {
        let leaf = leaf?;
        leaf.value.text().filter(|text| !text.is_empty()).map(|text| (text, leaf.origin.clone()))
    };
    // Read even where they are overridden: the keys belong to a node of the graph.
    let own = ["endpoint", "rest_endpoint", "grpc_endpoint"].map(|key| text(reader.own_leaf(name, key)));
    let overriding = given.endpoints.get(name);
    if at.implementation.name().is_some() && at.calls().is_empty() {
        if let Some((_, origin)) = overriding.or(own.iter().flatten().next()) {
            notices.push(format!("{origin}: node {name:?} is done here, without a server: its address is not used"));
        }
        return [None, None];
    }
    let whole = overriding.cloned().or_else(|| reader.node_text(name, "endpoint"));
    [(Transport::Rest, "rest_endpoint"), (Transport::Grpc, "grpc_endpoint")].map(|(transport, key)| {
        let mut configured = reader.node_text(name, key).map(|given| (given, key));
        if let Some((text, origin)) = whole.as_ref().filter(|_| transport == effective) {
            let stronger = configured.as_ref().is_none_or(|((_, specific), _)| specific.rank < origin.rank);
            configured = if stronger { Some(((text.clone(), origin.clone()), "endpoint")) } else { configured };
        }
        match configured {
            Some(((text, origin), key)) => Some(parse(&text).unwrap_or_else(|problem| {
                let source = format!("{origin}: {key} of node {name:?}");
                let remedy = "give HOST:PORT, such as localhost:9000";
                reader.faults.add(source, format!("{text:?} {problem}"), remedy);
                Endpoint { host: String::new(), port: 0 }
            })),
            None if whole.is_some() => None,
            None => reached.and_then(|reached| reached.endpoint(transport, given.transport, effective)),
        }
    })
}

/// Reads `HOST:PORT` or `[ADDRESS]:PORT`.
pub(super) fn parse(text: &str) -> Result<Endpoint, &'static str> {
    if text.contains("://") {
        return Err("is a URL");
    }
    let (host, port) = text.rsplit_once(':').ok_or("has no port")?;
    let port = port.parse::<u16>().ok().filter(|port| *port > 0).ok_or("has a port that is not from 1 to 65535")?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = match bare {
        Some(address) => address,
        None if host.contains(':') => return Err("is an IPv6 address without brackets"),
        None => host,
    };
    let odd = |c: char| c.is_whitespace() || c.is_control() || "/?#@".contains(c);
    if host.is_empty() || host.contains(odd) {
        return Err("has no host that can be used");
    }
    Ok(Endpoint { host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_host_and_port() {
        assert_eq!(parse("localhost:9000").unwrap().to_string(), "localhost:9000");
        assert_eq!(parse("[::1]:9000").unwrap().to_string(), "[::1]:9000");
        for wrong in
            ["localhost", "localhost:0", "localhost:99999", ":9000", "::1:9000", "http://a:1", "a b:1", "a/b:1"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn batching_is_off_unless_rows_are_given_and_its_faults_are_told() {
        use crate::config::fixture::{configuration, loaded};
        let load = |all: &str, own: &str| {
            let graph = "graph: {name: a, type: MODEL}\n";
            let nodes = format!("{graph}nodes: {{'*': {{{all}}}, a: {{endpoint: 'h:1'{own}}}}}");
            let loaded = loaded(None, Some(&configuration(&nodes)), &[], &[]);
            loaded.map(|loaded| loaded.settings.nodes["a"].batch).map_err(|faults| faults.to_string())
        };
        assert_eq!(load("", ""), Ok(None));
        let usual = Batch { rows: 256, bytes: 1 << 20, wait: Duration::ZERO, calls: 4 };
        assert_eq!(load("", ", batch: {rows: 256}"), Ok(Some(usual)));
        let other = Batch { rows: 32, bytes: 2 << 20, wait: Duration::from_millis(5), calls: 8 };
        assert_eq!(load("batch: {rows: 32, bytes: 2MiB}", ", batch: {wait: 5ms, calls: 8}"), Ok(Some(other)));
        assert_eq!(load("batch: {rows: 32}", ", batch: {rows: 0}"), Ok(None));
        for (own, wanted) in [
            ("rows: 1", "1 row is no batch; give 0 for none"),
            ("wait: 5ms", "nodes.a.batch.wait: means nothing without batch.rows; give batch.rows too"),
            ("rows: 8, bytes: 10", "from 1.0 KiB to 1.0 GiB"),
            ("rows: 8, wait: 1m", "nodes.a.batch.wait: 1m is out of range"),
            ("rows: many", "\"many\" is not a whole number"),
        ] {
            let faults = load("", &format!(", batch: {{{own}}}")).expect_err(own);
            assert!(faults.contains(wanted), "{wanted} is not in\n{faults}");
        }
    }

    #[test]
    fn limit_and_breaker_are_read_and_their_faults_told() {
        use crate::config::fixture::{configuration, loaded};
        let graph = "graph: {name: a, type: MODEL}\n";
        let file = |node: &str| configuration(&format!("{graph}nodes: {{a: {{endpoint: 'h:1', {node}}}}}"));
        let right = "when_unavailable: dead_letter, limit: {max: 8, adaptive: false}, breaker: {error_share: 0.25}";
        let settings = loaded(None, Some(&file(right)), &[], &[]).unwrap_or_else(|faults| panic!("{faults}")).settings;
        let node = &settings.nodes["a"];
        assert_eq!(node.when_unavailable, WhenUnavailable::DeadLetter);
        assert_eq!(node.limit, CallLimit { adaptive: false, min: 1, max: Some(8) });
        assert_eq!(node.breaker, Breaker { error_share: 0.25, ..Breaker::default() });
        let wrong = "when_unavailable: drop, limit: {min: 9, max: 8}, breaker: {error_share: 1.5, window: 0s}";
        let Err(faults) = loaded(None, Some(&file(wrong)), &[], &[]) else { panic!("no fault") };
        for part in
            ["one of: wait, dead_letter", "larger than limit.max", "\"1.5\" is not a share above 0", "breaker.window"]
        {
            assert!(faults.to_string().contains(part), "{part} is not in\n{faults}");
        }
    }
}
