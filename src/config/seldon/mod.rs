//! Reads a SeldonDeployment: a file as a user writes it, or `ENGINE_PREDICTOR` as Seldon's operator hands it over.
//!
//! Fields that are not needed here may be there or not: it is Kubernetes' object. What the operator would fill in
//! (types, hosts, ports) is filled in as it would.

mod annotations;
mod at;
mod endpoints;
mod graph;
mod variables;

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine;

use super::fault::{Faults, Origin, Rank, nearest};
use super::layers::{self, path};
use super::value::{Spot, Value, document, documents};
use at::At;
pub(super) use endpoints::Reached;
pub(super) use graph::{About, Drawn, in_file as graph_in_file};
pub(super) use variables::References;

/// Which deployment and predictor to take; what is not given must be the only one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wanted<'a> {
    /// Name of the SeldonDeployment.
    pub(super) deployment: Option<&'a str>,
    /// Name of the predictor.
    pub(super) predictor: Option<&'a str>,
    /// `--server_type kafka` was given, which is what the executor goes by.
    pub(super) kafka: bool,
}

/// What a SeldonDeployment says.
pub(super) struct Deployed {
    /// Values for the layer of the deployment.
    pub(super) values: Vec<(layers::Path, Value, Origin)>,
    /// Environment variables of the executor: (name, value, where it was given).
    pub(super) variables: Vec<(String, String, Origin)>,
    /// The graph, if it is one that can be run.
    pub(super) graph: Option<Drawn>,
    /// Where the graph was given.
    pub(super) origin: Origin,
    /// How nodes are reached, by the deployment or as the operator would assign it.
    pub(super) reached: BTreeMap<String, Reached>,
    /// Images by node.
    pub(super) images: BTreeMap<String, String>,
    /// Worth telling, though not wrong.
    pub(super) notices: Vec<String>,
}

/// Reads a file of one or more Kubernetes objects.
pub(super) fn file(
    label: &str,
    text: &str,
    wanted: Wanted<'_>,
    references: &References<'_>,
    faults: &mut Faults,
) -> Option<Deployed> {
    let objects = match documents(text) {
        Ok(objects) => objects,
        Err(error) => {
            faults.add(label, format!("malformed YAML: {error}"), "");
            return None;
        }
    };
    let is_deployment = |object: &&Spot| object.get("kind").and_then(Spot::text).as_deref() == Some("SeldonDeployment");
    let found: Vec<&Spot> = objects.iter().filter(is_deployment).collect();
    let name = |object: &&Spot| object.at(&["metadata", "name"]).and_then(Spot::text).unwrap_or_default();
    let names: Vec<String> = found.iter().map(name).collect();
    let chosen = match (wanted.deployment, found.as_slice()) {
        (_, []) => {
            faults.add(
                label,
                "holds no object of kind SeldonDeployment",
                "give a SeldonDeployment; a configuration file goes with -c",
            );
            return None;
        }
        (None, [one]) => *one,
        (None, _) => {
            faults.add(
                label,
                format!("holds several SeldonDeployments: {}", names.join(", ")),
                "choose one with --sdep",
            );
            return None;
        }
        (Some(wanted), _) => {
            let Some(index) = names.iter().position(|name| name == wanted) else {
                let remedy = format!("the file holds: {}", names.join(", "));
                faults.add("flag --sdep", format!("{label} holds no SeldonDeployment {wanted:?}"), remedy);
                return None;
            };
            found[index]
        }
    };
    deployment(&At::file(label, chosen), wanted, references, faults)
}

/// Reads `ENGINE_PREDICTOR`: base64 of the JSON of one predictor. `podinfo` is the text of the pod's annotations.
pub(super) fn engine_predictor(
    value: &str,
    podinfo: Option<&str>,
    wanted: Wanted<'_>,
    references: &References<'_>,
    faults: &mut Faults,
) -> Option<Deployed> {
    const LABEL: &str = "environment ENGINE_PREDICTOR";
    const RIGHT: &str = "Seldon's operator sets it to base64 of a predictor's JSON; give a file with -f instead";
    let decoded = base64::engine::general_purpose::STANDARD.decode(value.trim());
    let text = match decoded.map_err(|error| error.to_string()).map(String::from_utf8) {
        Ok(Ok(text)) => text,
        Ok(Err(_)) => {
            faults.add(LABEL, "is no text in UTF-8", RIGHT);
            return None;
        }
        Err(error) => {
            faults.add(LABEL, format!("is no base64: {error}"), RIGHT);
            return None;
        }
    };
    let spot = match document(&text) {
        Ok(spot) => spot,
        Err(error) => {
            faults.add(LABEL, format!("malformed JSON: {error}"), RIGHT);
            return None;
        }
    };
    let at = At::unlined(LABEL, &spot);
    let name = at.text("name");
    if let (Some(wanted), Some(name)) = (wanted.predictor, &name)
        && wanted != name
    {
        faults.add("flag --predictor", format!("{wanted:?}, but {LABEL} is of {name:?}"), "leave the flag out");
    }
    let annotations = podinfo.map(variables::podinfo).unwrap_or_default();
    let mut deployed = predictor(&at, &Shared::default(), references, faults);
    for (name, value) in annotations {
        let origin = Origin::new(Rank::Deployment, format!("annotation {name}"));
        annotations::take(&name, &value, origin, &mut deployed, faults);
    }
    Some(deployed)
}

/// What a predictor needs to know of its deployment.
#[derive(Default)]
struct Shared {
    name: String,
    namespace: String,
    separate_engine: bool,
}

fn deployment(at: &At<'_>, wanted: Wanted<'_>, references: &References<'_>, faults: &mut Faults) -> Option<Deployed> {
    let spec = at.required("spec", faults)?;
    let metadata = at.required("metadata", faults)?;
    let name = metadata.required_text("name", faults)?;
    let mut values = vec![(path("deployment.name"), Value::Text(name.clone()), metadata.origin("name"))];
    if let Some(namespace) = metadata.text("namespace") {
        values.push((path("deployment.namespace"), Value::Text(namespace), metadata.origin("namespace")));
    }
    for key in ["protocol", "transport"] {
        if let Some(text) = spec.text(key) {
            values.push((path(key), Value::Text(text), spec.origin(key)));
        }
    }
    let server_type = spec.text("serverType").unwrap_or_else(|| "rpc".into());
    if server_type != "kafka" && !wanted.kafka {
        let source = spec.get("serverType").map_or_else(|| spec.source(), |at| at.source());
        let problem = format!("serverType is {server_type:?}: requests of such a deployment do not come from Kafka");
        faults.add(source, problem, "set `serverType: kafka`");
    }
    let annotations = spec.get("annotations");
    let shared = Shared {
        namespace: references.namespace.unwrap_or(&metadata.text("namespace").unwrap_or("default".into())).to_owned(),
        name,
        separate_engine: annotations.as_ref().is_some_and(|at| at.get("seldon.io/engine-separate-pod").is_some()),
    };
    let chosen = choose(&spec, wanted.predictor, faults)?;
    let references = References { deployment: Some(&shared.name), namespace: Some(&shared.namespace), ..*references };
    let mut deployed = predictor(&chosen, &shared, &references, faults);
    for annotation in annotations.iter().flat_map(At::entries) {
        let (key, value) = (annotation.key(), annotation.scalar().unwrap_or_default());
        annotations::take(key, &value, annotation.own_origin(), &mut deployed, faults);
        if let Some(name) = variables::of_annotation(key)
            && !deployed.variables.iter().any(|(known, ..)| *known == name)
        {
            deployed.variables.push((name, value, annotation.own_origin()));
        }
    }
    deployed.values.append(&mut values);
    Some(deployed)
}

fn choose<'a>(spec: &At<'a>, wanted: Option<&str>, faults: &mut Faults) -> Option<At<'a>> {
    let predictors = spec.required("predictors", faults)?;
    let all = predictors.items();
    let names: Vec<String> = all.iter().map(|at| at.text("name").unwrap_or_default()).collect();
    match (wanted, all.len()) {
        (None, 1) => all.into_iter().next(),
        (None, 0) => {
            faults.add(predictors.source(), "holds no predictor", "a list of predictors, each with a name and a graph");
            None
        }
        (None, _) => {
            let problem = format!("several predictors: {}", names.join(", "));
            faults.add(predictors.source(), problem, "choose one with --predictor; each needs a process of its own");
            None
        }
        (Some(wanted), _) => {
            let index = names.iter().position(|name| name == wanted);
            if index.is_none() {
                let near = nearest(wanted, names.iter().map(String::as_str));
                let remedy =
                    near.map_or_else(|| format!("there are: {}", names.join(", ")), |n| format!("did you mean {n:?}?"));
                faults.add("flag --predictor", format!("{} holds no {wanted:?}", predictors.source()), remedy);
            }
            all.into_iter().nth(index?)
        }
    }
}

fn predictor(at: &At<'_>, shared: &Shared, references: &References<'_>, faults: &mut Faults) -> Deployed {
    let name = at.required_text("name", faults);
    let root = at.required("graph", faults);
    let mut notices = Vec::new();
    let graph = root.as_ref().and_then(|root| graph::in_deployment(root, &mut notices, faults));
    let mut values = Vec::new();
    if let Some(name) = &name {
        values.push((path("deployment.predictor"), Value::Text(name.clone()), at.origin("name")));
    }
    if let Some(annotations) = at.get("annotations")
        && let Some(version) = annotations.text("version")
    {
        values.push((path("deployment.version"), Value::Text(version), annotations.origin("version")));
    }
    let containers = endpoints::containers(at);
    let predictor = name.unwrap_or_default();
    let reached = root.as_ref().map(|root| endpoints::fill(root, &containers, shared, &predictor, faults));
    Deployed {
        values,
        variables: variables::of_predictor(at, references, faults),
        origin: root.as_ref().map_or_else(|| at.own_origin(), At::own_origin),
        graph,
        reached: reached.unwrap_or_default(),
        images: containers.into_iter().map(|container| (container.name, container.image)).collect(),
        notices,
    }
}

/// How a file is named in messages: its last part.
pub(super) fn label(file: &Path) -> String {
    file.file_name().map_or_else(|| file.display().to_string(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests;
