//! The graph's nodes: settings and endpoint of each.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fault::Origin;
use super::reader::Reader;
use super::seldon::Deployed;
use super::settings::{Endpoint, GraphNode, Node, Retry};

/// Names of a graph's nodes, callers before those they call.
pub(super) fn names(graph: &GraphNode) -> Vec<String> {
    let mut all = vec![graph.name.clone()];
    all.extend(graph.children.iter().flat_map(names));
    all
}

/// Reads the settings of every node. `overrides` come from `--endpoint`.
pub(super) fn read(
    reader: &mut Reader<'_>,
    graph: &GraphNode,
    deployed: Option<&Deployed>,
    overrides: &BTreeMap<String, (String, Origin)>,
) -> BTreeMap<String, Node> {
    let all = names(graph);
    for (name, (_, origin)) in overrides {
        if !all.contains(name) {
            let remedy = format!("its nodes are: {}", all.join(", "));
            reader.faults.add(origin, format!("the graph has no node {name:?}"), remedy);
        }
    }
    let nodes = all.iter().map(|name| (name.clone(), node(reader, name, deployed, overrides.get(name)))).collect();
    reader.unread_nodes(&all);
    nodes
}

fn node(
    reader: &mut Reader<'_>,
    name: &str,
    deployed: Option<&Deployed>,
    override_: Option<&(String, Origin)>,
) -> Node {
    const LONG: Duration = Duration::from_hours(24);
    const SHORT: Duration = Duration::from_millis(1);
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
    let image = reader.node_text(name, "image").map(|(image, _)| image);
    Node {
        name: name.to_owned(),
        transport: None,
        rest: Some(endpoint(reader, name, deployed, override_)),
        grpc: None,
        timeout: reader.node_duration(name, "timeout", SHORT..=LONG),
        retry,
        clients: reader.node_number(name, "clients", 1..=1024) as usize,
        connections: reader.node_number(name, "connections", 1..=100_000) as usize,
        image: image.or_else(|| deployed.and_then(|d| d.images.get(name).cloned())).unwrap_or_default(),
    }
}

fn endpoint(
    reader: &mut Reader<'_>,
    name: &str,
    deployed: Option<&Deployed>,
    override_: Option<&(String, Origin)>,
) -> Endpoint {
    const NOWHERE: Endpoint = Endpoint { host: String::new(), port: 0 };
    // Read even where it is overridden: the key belongs to a node of the graph.
    let configured = reader.node_text(name, "endpoint");
    if let Some((text, origin)) = override_.cloned().or(configured) {
        return parse(&text).unwrap_or_else(|problem| {
            let remedy = "give HOST:PORT, such as localhost:9000";
            reader.faults.add(format!("{origin}: endpoint of node {name:?}"), format!("{text:?} {problem}"), remedy);
            NOWHERE
        });
    }
    deployed.and_then(|deployed| deployed.endpoints.get(name).cloned()).unwrap_or_else(|| {
        let remedy = format!("give it with --endpoint {name}=HOST:PORT or `nodes.{name}.endpoint`");
        reader.faults.add(format!("node {name:?}"), "nothing says where its server listens", remedy);
        NOWHERE
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
}
