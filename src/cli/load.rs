//! From arguments to settings, or to the list of all that is wrong.

use std::io::IsTerminal;
use std::path::PathBuf;

use super::args::Source;
use crate::config::{Faults, Inputs, Loaded, is_environment, load};
use crate::kafka::client;

/// Where Kubernetes' downward API puts the pod's annotations, as Seldon's operator sets it up.
const PODINFO: &str = "/etc/podinfo/annotations";

/// Reads all sources, and makes the Kafka clients for a moment, unconnected, to see that they can be made.
pub(super) fn settings(source: &Source) -> Result<Loaded, Faults> {
    let loaded = load(&inputs(source))?;
    let mut faults = Faults::default();
    for problem in client::verify(&loaded.settings) {
        faults.add("kafka", problem, "see kafka.security, kafka.consumer.properties and kafka.producer.properties");
    }
    if faults.is_empty() { Ok(loaded) } else { Err(faults) }
}

/// Whether neither arguments nor environment say anything: who types only the name wants to know what there is.
pub(super) fn is_nothing(source: &Source) -> bool {
    let says =
        |name: &std::ffi::OsStr| name.to_str().is_some_and(|name| name == "ENGINE_PREDICTOR" || is_environment(name));
    *source == Source::default() && !std::env::vars_os().any(|(name, value)| says(&name) && !value.is_empty())
}

fn inputs(source: &Source) -> Inputs {
    let text = |text: std::ffi::OsString| text.into_string().ok();
    Inputs {
        deployment: source.file.clone(),
        config: source.config.clone(),
        secrets: source.secrets.clone(),
        flags: source.executor.0.clone(),
        set: source.set.clone(),
        endpoints: source.endpoints.clone(),
        environment: std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect(),
        podinfo: Some(PathBuf::from(PODINFO)),
        terminal: std::io::stderr().is_terminal(),
    }
}

/// The faults as a person reads them.
pub(super) fn report(faults: &Faults) -> String {
    let count = faults.0.len();
    let head =
        if count == 1 { "1 fault in the configuration".into() } else { format!("{count} faults in the configuration") };
    faults.0.iter().fold(format!("millrace: {head}"), |text, fault| format!("{text}\n  {fault}"))
}
