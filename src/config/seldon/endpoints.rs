//! Where a node's server listens, as Seldon's operator would fill it in.
//!
//! For each transport a container port named `http` or `grpc` wins, then the node's `httpPort` or `grpcPort`, then its
//! `service_port`, which is of the deployment's transport, then ports counted over the containers. A prepackaged server
//! without a container is given one, behind the others. The host is `localhost` for the pod that the executor shares, else
//! the container's service.

use std::collections::BTreeMap;

use super::Shared;
use super::at::At;
use super::graph::words::prepackaged;
use crate::config::fault::{Faults, Origin};
use crate::config::settings::{Endpoint, Transport};

const FIRST_HTTP_PORT: u16 = 9000;
const FIRST_GRPC_PORT: u16 = 9500;
/// Longest name of a Kubernetes service; beyond it the operator uses a hash.
const LONGEST_NAME: usize = 63;

/// A container of the predictor's pods.
pub(super) struct Container {
    /// Its name; the node of this name is served by it.
    pub(super) name: String,
    /// Its image.
    pub(super) image: String,
    http_port: Option<u16>,
    grpc_port: Option<u16>,
    first_pod: bool,
    number: u16,
}

/// All containers, in the order in which the operator counts them.
pub(super) fn containers(predictor: &At<'_>) -> Vec<Container> {
    let mut found: Vec<Container> = Vec::new();
    let pods = predictor.get("componentSpecs").map(|pods| pods.items()).unwrap_or_default();
    for (index, pod) in pods.iter().enumerate() {
        let list = pod.get("spec").and_then(|spec| spec.get("containers"));
        for container in list.map(|list| list.items()).unwrap_or_default() {
            let ports = container.get("ports").map(|ports| ports.items()).unwrap_or_default();
            let named = |name: &str| {
                let at = ports.iter().find(|port| port.text("name").as_deref() == Some(name))?;
                port(at, "containerPort")
            };
            found.push(Container {
                name: container.text("name").unwrap_or_default(),
                image: container.text("image").unwrap_or_default(),
                http_port: named("http"),
                grpc_port: named("grpc"),
                first_pod: index == 0,
                number: place(found.len()),
            });
        }
    }
    for node in flat(predictor.get("graph")) {
        let Some(name) = node.text("name") else { continue };
        let packaged = node.text("implementation").is_some_and(|text| prepackaged(text.trim()).is_some());
        if packaged && !found.iter().any(|container| container.name == name) {
            let number = place(found.len());
            found.push(Container {
                name,
                image: String::new(),
                http_port: None,
                grpc_port: None,
                first_pod: true,
                number,
            });
        }
    }
    found
}

fn place(index: usize) -> u16 {
    u16::try_from(index).unwrap_or(u16::MAX)
}

/// A graph's nodes, callers before those they call.
fn flat(root: Option<At<'_>>) -> Vec<At<'_>> {
    let mut open: Vec<At<'_>> = root.into_iter().collect();
    let mut all = Vec::new();
    while let Some(node) = open.pop() {
        open.extend(node.get("children").map(|children| children.items()).unwrap_or_default().into_iter().rev());
        all.push(node);
    }
    all
}

fn port(at: &At<'_>, key: &str) -> Option<u16> {
    at.text(key)?.parse().ok().filter(|port| *port > 0)
}

/// What a deployment says of how a node's server is reached.
pub(in crate::config) struct Reached {
    host: Option<String>,
    http_port: Option<u16>,
    grpc_port: Option<u16>,
    service_port: Option<u16>,
    number: Option<u16>,
    prepackaged: bool,
    /// The transport that the node's `endpoint.type` names, and where.
    pub(in crate::config) transport: Option<(Transport, Origin)>,
    /// Whether the node's `endpoint.grpcPort` is given.
    pub(in crate::config) grpc_port_given: bool,
}

impl Reached {
    /// Where its server takes calls of a transport, in a deployment of the other one or the same. A port that nobody states
    /// is counted only for the transport that the node is called over, but for prepackaged servers: others need not take
    /// calls over both, and a record that chose the other one would wait for it in vain.
    pub(in crate::config) fn endpoint(
        &self,
        transport: Transport,
        deployment: Transport,
        own: Transport,
    ) -> Option<Endpoint> {
        let (stated, first) = match transport {
            Transport::Rest => (self.http_port, FIRST_HTTP_PORT),
            Transport::Grpc => (self.grpc_port, FIRST_GRPC_PORT),
        };
        let service = self.service_port.filter(|_| transport == deployment);
        let counted =
            self.number.filter(|_| transport == own || self.prepackaged).map(|number| first.saturating_add(number));
        Some(Endpoint { host: self.host.clone()?, port: stated.or(service).or(counted)? })
    }
}

/// How every node is reached, as far as the deployment says.
pub(super) fn fill(
    root: &At<'_>,
    containers: &[Container],
    shared: &Shared,
    predictor: &str,
    faults: &mut Faults,
) -> BTreeMap<String, Reached> {
    let nodes = flat(Some(root.clone()));
    let named = nodes.iter().filter_map(|node| Some((node.text("name")?, node)));
    named
        .map(|(name, node)| {
            let container = containers.iter().find(|container| container.name == name);
            let reached = reached(node, container, shared, predictor, faults);
            (name, reached)
        })
        .collect()
}

fn reached(
    node: &At<'_>,
    container: Option<&Container>,
    shared: &Shared,
    predictor: &str,
    faults: &mut Faults,
) -> Reached {
    let given = node.get("endpoint");
    let mut stated = |key: &str| {
        let at = given.as_ref()?;
        let port = port(at, key);
        if port.is_none() && at.text(key).is_some_and(|text| text != "0") {
            faults.add(at.origin(key), "is no port", "a number from 1 to 65535");
        }
        port
    };
    let (http, grpc, service_port) = (stated("httpPort"), stated("grpcPort"), stated("service_port"));
    let host = given.as_ref().and_then(|at| at.text("service_host")).or_else(|| match container {
        Some(container) if !container.first_pod || shared.separate_engine => service(container, shared, predictor),
        _ => Some("localhost".into()),
    });
    Reached {
        host,
        http_port: container.and_then(|container| container.http_port).or(http),
        grpc_port: container.and_then(|container| container.grpc_port).or(grpc),
        service_port,
        number: container.map(|container| container.number),
        prepackaged: node.text("implementation").is_some_and(|name| name.ends_with("_SERVER")),
        transport: given.as_ref().and_then(|at| transport(at, faults)),
        grpc_port_given: grpc.is_some(),
    }
}

fn transport(endpoint: &At<'_>, faults: &mut Faults) -> Option<(Transport, Origin)> {
    let text = endpoint.text("type")?;
    let found = Transport::ALL.into_iter().find(|known| known.to_string().eq_ignore_ascii_case(&text));
    if found.is_none() {
        faults.add(endpoint.origin("type"), format!("type {text:?} of an endpoint is not known"), "REST or GRPC");
    }
    Some((found?, endpoint.origin("type")))
}

/// The name of a container's service; none where the operator uses a hash.
fn service(container: &Container, shared: &Shared, predictor: &str) -> Option<String> {
    let name = format!("{}-{predictor}-{}", shared.name, container.name);
    (name.len() <= LONGEST_NAME).then(|| format!("{name}.{}.svc.cluster.local", shared.namespace))
}

#[cfg(test)]
mod tests;
