//! Where a node's server listens, as Seldon's operator would fill it in.
//!
//! A container port named `http` wins, then the node's `httpPort` and `service_port`, then ports counted from 9000 over
//! the containers. The host is `localhost` for the pod that the executor shares, else the container's service.

use std::collections::BTreeMap;

use super::Shared;
use super::at::At;
use crate::config::fault::Faults;
use crate::config::settings::Endpoint;

const FIRST_PORT: u16 = 9000;
/// Longest name of a Kubernetes service; beyond it the operator uses a hash.
const LONGEST_NAME: usize = 63;

/// A container of the predictor's pods.
pub(super) struct Container {
    /// Its name; the node of this name is served by it.
    pub(super) name: String,
    /// Its image.
    pub(super) image: String,
    http_port: Option<u16>,
    first_pod: bool,
    assigned: u16,
}

/// All containers, in the order in which the operator counts them.
pub(super) fn containers(predictor: &At<'_>) -> Vec<Container> {
    let mut found: Vec<Container> = Vec::new();
    let pods = predictor.get("componentSpecs").map(|pods| pods.items()).unwrap_or_default();
    for (index, pod) in pods.iter().enumerate() {
        let list = pod.get("spec").and_then(|spec| spec.get("containers"));
        for container in list.map(|list| list.items()).unwrap_or_default() {
            let http = |port: &At<'_>| port.text("name").as_deref() == Some("http");
            let ports = container.get("ports").map(|ports| ports.items()).unwrap_or_default();
            found.push(Container {
                name: container.text("name").unwrap_or_default(),
                image: container.text("image").unwrap_or_default(),
                http_port: ports.iter().find(|port| http(port)).and_then(|at| port(at, "containerPort")),
                first_pod: index == 0,
                assigned: FIRST_PORT.saturating_add(u16::try_from(found.len()).unwrap_or(u16::MAX)),
            });
        }
    }
    found
}

fn port(at: &At<'_>, key: &str) -> Option<u16> {
    at.text(key)?.parse().ok().filter(|port| *port > 0)
}

/// The endpoint of every node that has one.
pub(super) fn fill(
    root: &At<'_>,
    containers: &[Container],
    shared: &Shared,
    predictor: &str,
    faults: &mut Faults,
) -> BTreeMap<String, Endpoint> {
    let mut endpoints = BTreeMap::new();
    let mut nodes = vec![root.clone()];
    while let Some(node) = nodes.pop() {
        nodes.extend(node.get("children").map(|children| children.items()).unwrap_or_default());
        let Some(name) = node.text("name") else { continue };
        let container = containers.iter().find(|container| container.name == name);
        if let Some(endpoint) = endpoint(&node, container, shared, predictor, faults) {
            endpoints.insert(name, endpoint);
        }
    }
    endpoints
}

fn endpoint(
    node: &At<'_>,
    container: Option<&Container>,
    shared: &Shared,
    predictor: &str,
    faults: &mut Faults,
) -> Option<Endpoint> {
    let given = node.get("endpoint");
    if let Some(at) = &given {
        if at.text("type").is_some_and(|kind| kind.eq_ignore_ascii_case("grpc")) {
            faults.add(at.source(), "type GRPC: model calls over gRPC are not in this version", "type REST");
        }
        for key in ["httpPort", "service_port"] {
            if at.text(key).is_some_and(|text| text != "0") && port(at, key).is_none() {
                faults.add(at.origin(key), "is no port", "a number from 1 to 65535");
            }
        }
    }
    let stated = given.as_ref().and_then(|at| port(at, "httpPort").or_else(|| port(at, "service_port")));
    let port = container.and_then(|c| c.http_port).or(stated).or(container.map(|c| c.assigned))?;
    let host = given.as_ref().and_then(|at| at.text("service_host")).or_else(|| match container {
        Some(container) if !container.first_pod || shared.separate_engine => service(container, shared, predictor),
        _ => Some("localhost".into()),
    })?;
    Some(Endpoint { host, port })
}

/// The name of a container's service; none where the operator uses a hash.
fn service(container: &Container, shared: &Shared, predictor: &str) -> Option<String> {
    let name = format!("{}-{predictor}-{}", shared.name, container.name);
    (name.len() <= LONGEST_NAME).then(|| format!("{name}.{}.svc.cluster.local", shared.namespace))
}
