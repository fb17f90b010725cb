//! Takes all sources in their order and makes settings of them, or says all that is wrong.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::fault::{Faults, Origin, Rank};
use super::layers::{Layers, path};
use super::reader::Reader;
use super::resolve::{self, Given};
use super::seldon::{self, Deployed, References, Wanted};
use super::settings::Settings;
use super::shown::{self, Shown};
use super::{names, value};

/// Everything that settings are made of. Holds secrets, so it has no Debug.
#[derive(Clone, Default)]
pub struct Inputs {
    /// `-f`: a file with a SeldonDeployment.
    pub deployment: Option<PathBuf>,
    /// `-c`: a configuration file.
    pub config: Option<PathBuf>,
    /// `--secrets-dir`: where references to Secrets and ConfigMaps lead.
    pub secrets: Option<PathBuf>,
    /// The executor's flags: name without dashes, value.
    pub flags: Vec<(String, String)>,
    /// `--set`: KEY=VALUE each.
    pub set: Vec<String>,
    /// `--endpoint`: NODE=HOST:PORT each.
    pub endpoints: Vec<String>,
    /// The environment.
    pub environment: BTreeMap<String, String>,
    /// File with the pod's annotations, read beside `ENGINE_PREDICTOR`.
    pub podinfo: Option<PathBuf>,
    /// Whether standard error is a terminal.
    pub terminal: bool,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Complete and checked.
    pub settings: Settings,
    /// Worth telling, though not wrong.
    pub notices: Vec<String>,
    /// Values in effect with their sources.
    pub shown: Vec<Shown>,
}

/// Makes settings.
pub fn load(inputs: &Inputs) -> Result<Loaded, Faults> {
    let (mut layers, mut faults, mut notices) = (Layers::defaults(), Faults::default(), Vec::new());
    let deployed = deployed(inputs, &mut faults);
    let named = inputs.deployment.is_some() || engine_predictor(inputs).is_some();

    config_file(inputs, &mut layers, &mut faults);
    if let Some(deployed) = &deployed {
        for (path, value, origin) in &deployed.values {
            layers.put(path.clone(), value.clone(), origin.clone());
        }
        names::environment(&deployed.variables, &mut layers, &mut faults, &mut notices);
        notices.extend(deployed.notices.iter().cloned());
    }
    let variables: Vec<_> =
        inputs.environment.iter().map(|(name, value)| (name.clone(), value.clone(), environment(name))).collect();
    names::environment(&variables, &mut layers, &mut faults, &mut notices);
    for (name, value) in &inputs.flags {
        let origin = Origin::new(Rank::Flag, format!("flag --{name}"));
        names::flag(name, value, origin, &mut layers, &mut faults, &mut notices);
    }
    for text in &inputs.set {
        let origin = Origin::new(Rank::Flag, "flag --set");
        match text.split_once('=') {
            Some((key, value)) => layers.one(path(key.trim()), value, origin, &mut faults),
            None => faults.add(origin, format!("{text:?} has no `=`"), "give KEY=VALUE, such as kafka.start=latest"),
        }
    }
    let endpoints = endpoints(inputs, &mut faults);
    let given = Given {
        deployment_failed: named && deployed.is_none(),
        deployed: deployed.as_ref(),
        endpoints: &endpoints,
        file: inputs.deployment.clone(),
        terminal: inputs.terminal,
    };
    let settings = resolve::settings(&mut Reader::new(&layers, &mut faults), &given, &mut notices);
    if faults.is_empty() { Ok(Loaded { settings, notices, shown: shown::all(&layers) }) } else { Err(faults) }
}

fn environment(name: &str) -> Origin {
    Origin::new(Rank::Environment, format!("environment {name}"))
}

fn engine_predictor(inputs: &Inputs) -> Option<&str> {
    inputs.environment.get("ENGINE_PREDICTOR").map(String::as_str).filter(|text| !text.is_empty())
}

fn config_file(inputs: &Inputs, layers: &mut Layers, faults: &mut Faults) {
    let Some(file) = &inputs.config else { return };
    let label = seldon::label(file);
    let Some(text) = read(file, "-c", faults) else { return };
    match value::document(&text) {
        Ok(root) if root.get("kind").is_some() && root.get("apiVersion").is_some() => {
            faults.add(label, "is a Kubernetes object", "give a SeldonDeployment with -f");
        }
        Ok(root) => layers.file(&label, &root, Rank::File, faults),
        Err(error) => faults.add(label, format!("malformed YAML: {error}"), ""),
    }
}

fn deployed(inputs: &Inputs, faults: &mut Faults) -> Option<Deployed> {
    let flag = |name: &str| {
        let found = inputs.flags.iter().rev().find(|(known, value)| known == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    };
    let wanted =
        Wanted { deployment: flag("sdep"), predictor: flag("predictor"), kafka: flag("server_type") == Some("kafka") };
    let references = References {
        secrets: inputs.secrets.as_deref(),
        environment: Some(&inputs.environment),
        deployment: flag("sdep"),
        namespace: flag("namespace"),
    };
    if let Some(file) = &inputs.deployment {
        let text = read(file, "-f", faults)?;
        return seldon::file(&seldon::label(file), &text, wanted, &references, faults);
    }
    let podinfo = inputs.podinfo.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
    seldon::engine_predictor(engine_predictor(inputs)?, podinfo.as_deref(), wanted, &references, faults)
}

fn read(file: &PathBuf, flag: &str, faults: &mut Faults) -> Option<String> {
    let text = std::fs::read_to_string(file);
    if let Err(error) = &text {
        faults.add(format!("flag {flag}"), format!("{}: {error}", file.display()), "give a file that can be read");
    }
    text.ok()
}

fn endpoints(inputs: &Inputs, faults: &mut Faults) -> BTreeMap<String, (String, Origin)> {
    let origin = Origin::new(Rank::Flag, "flag --endpoint");
    let mut endpoints = BTreeMap::new();
    for text in &inputs.endpoints {
        match text.split_once('=') {
            Some((node, endpoint)) => {
                endpoints.insert(node.to_owned(), (endpoint.to_owned(), origin.clone()));
            }
            None => faults.add(&origin, format!("{text:?} names no node"), "give NODE=HOST:PORT"),
        }
    }
    endpoints
}

#[cfg(test)]
mod deployments;
#[cfg(test)]
mod tests;
