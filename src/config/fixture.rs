//! What tests of several files here need: deployments made of a few words, and settings made of texts.

use std::io::Write;

use tempfile::NamedTempFile;

use super::load::{Inputs, Loaded, load};
use super::{Faults, Settings};

/// A SeldonDeployment: lines of its `spec` without indentation, containers by name in one pod, and the graph in flow style.
pub(super) fn deployment(spec: &str, containers: &[&str], graph: &str) -> String {
    let spec = spec.lines().fold(String::new(), |text, line| format!("{text}  {line}\n"));
    let containers: Vec<String> =
        containers.iter().map(|name| format!("{{name: {name}, image: 'i/{name}:1'}}")).collect();
    format!(
        "apiVersion: machinelearning.seldon.io/v1\nkind: SeldonDeployment\nmetadata: {{name: dep, namespace: ns}}\n\
         spec:\n  serverType: kafka\n{spec}  predictors:\n  - name: p\n    componentSpecs:\n    - spec: {{containers: [{}]}}\n    \
         svcOrchSpec: {{env: [{{name: KAFKA_BROKER, value: 'b:1'}}, {{name: KAFKA_INPUT_TOPIC, value: i}}, \
         {{name: KAFKA_OUTPUT_TOPIC, value: o}}]}}\n    graph: {graph}\n",
        containers.join(", ")
    )
}

/// A configuration file for a graph of its own.
pub(super) fn configuration(rest: &str) -> String {
    format!("kafka: {{brokers: 'b:1', group_id: g, input_topic: i, output_topic: o}}\n{rest}\n")
}

fn file(text: &str) -> NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// Loads texts.
pub(super) fn loaded(
    deployment: Option<&str>,
    config: Option<&str>,
    flags: &[(&str, &str)],
    endpoints: &[&str],
) -> Result<Loaded, Faults> {
    let (deployment, config) = (deployment.map(file), config.map(file));
    load(&Inputs {
        deployment: deployment.as_ref().map(|file| file.path().to_owned()),
        config: config.as_ref().map(|file| file.path().to_owned()),
        flags: flags.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        endpoints: endpoints.iter().map(|text| (*text).to_owned()).collect(),
        ..Inputs::default()
    })
}

/// Settings of a deployment that is right.
pub(super) fn settings(deployment: &str) -> Settings {
    loaded(Some(deployment), None, &[], &[]).unwrap_or_else(|faults| panic!("{faults}\n{deployment}")).settings
}

/// Faults of a deployment that is wrong.
pub(super) fn faults(deployment: &str) -> String {
    match loaded(Some(deployment), None, &[], &[]) {
        Err(faults) => faults.to_string(),
        Ok(_) => panic!("no fault in\n{deployment}"),
    }
}

/// What is told of a deployment that is right.
pub(super) fn notices(deployment: &str) -> String {
    loaded(Some(deployment), None, &[], &[])
        .unwrap_or_else(|faults| panic!("{faults}\n{deployment}"))
        .notices
        .join("\n")
}
