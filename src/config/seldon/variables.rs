//! The environment that Seldon's operator would give the executor: `svcOrchSpec.env` and `engine-*` annotations.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::at::At;
use crate::config::fault::{Fault, Faults, Origin, Rank};
use crate::config::names::is_environment;

/// What `valueFrom` may refer to.
#[derive(Clone, Copy, Default)]
pub(in crate::config) struct References<'a> {
    /// Directory with the Secrets and ConfigMaps that are referred to, as `DIR/NAME/KEY`.
    pub(in crate::config) secrets: Option<&'a Path>,
    /// The process' own environment: a name that is set there needs no reference.
    pub(in crate::config) environment: Option<&'a BTreeMap<String, String>>,
    /// `metadata.name`.
    pub(in crate::config) deployment: Option<&'a str>,
    /// `metadata.namespace`.
    pub(in crate::config) namespace: Option<&'a str>,
}

/// What a variable turned out to be.
enum Outcome {
    Value(String),
    /// Optional, and not there.
    Absent,
    Unresolved(Fault),
}

/// Variables of `svcOrchSpec.env` that mean something here, in order.
pub(super) fn of_predictor(
    predictor: &At<'_>,
    references: &References<'_>,
    faults: &mut Faults,
) -> Vec<(String, String, Origin)> {
    let list = predictor.get("svcOrchSpec").and_then(|spec| spec.get("env"));
    let mut before: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut variables = Vec::new();
    for at in list.map(|list| list.items()).unwrap_or_default() {
        let Some(name) = at.required_text("name", faults) else { continue };
        let source = at.source();
        let place = source.split_once(": ").map_or(source.as_str(), |(place, _)| place);
        let origin = Origin::new(Rank::Deployment, format!("{place}: svcOrchSpec.env {name}"));
        let outcome = match (at.get("value"), at.get("valueFrom")) {
            (Some(value), _) => Outcome::Value(value.scalar().unwrap_or_default()),
            (None, Some(from)) => refer(&from, &origin, references),
            (None, None) => Outcome::Value(String::new()),
        };
        let set = references.environment.and_then(|set| set.get(&name));
        let wanted = is_environment(&name) && set.is_none_or(String::is_empty);
        match outcome {
            Outcome::Value(text) => match expand(&text, &before) {
                Ok(value) => {
                    before.insert(name.clone(), Some(value.clone()));
                    if wanted {
                        variables.push((name, value, origin));
                    }
                }
                Err(missing) => {
                    before.insert(name, None);
                    if wanted {
                        faults.add(origin, format!("$({missing}) has no value here"), "see the fault of that variable");
                    }
                }
            },
            Outcome::Absent => {}
            Outcome::Unresolved(fault) => {
                before.insert(name, None);
                if wanted {
                    faults.add(fault.source, fault.problem, fault.remedy);
                }
            }
        }
    }
    variables
}

fn refer(from: &At<'_>, origin: &Origin, references: &References<'_>) -> Outcome {
    let unresolved = |problem: String, remedy: &str| {
        Outcome::Unresolved(Fault { source: origin.to_string(), problem, remedy: remedy.to_owned() })
    };
    if let Some(field) = from.get("fieldRef") {
        let value = match field.text("fieldPath").as_deref() {
            Some("metadata.name") => references.deployment,
            Some("metadata.namespace") => references.namespace,
            _ => None,
        };
        return match value {
            Some(value) => Outcome::Value(value.to_owned()),
            None => unresolved(
                format!("fieldRef {} has no value outside a pod", field.text("fieldPath").unwrap_or_default()),
                "set the variable in the environment",
            ),
        };
    }
    let kinds = ["secretKeyRef", "configMapKeyRef"];
    let Some((kind, at)) = kinds.iter().find_map(|kind| from.get(kind).map(|at| (*kind, at))) else {
        return unresolved("valueFrom of a kind that is not known".into(), "secretKeyRef, configMapKeyRef or fieldRef");
    };
    let (name, key) = (at.text("name").unwrap_or_default(), at.text("key").unwrap_or_default());
    let reference = format!("{kind} {name}/{key}");
    let optional = at.text("optional").as_deref() == Some("true");
    let Some(directory) = references.secrets else {
        let remedy = format!("give a directory that holds {name}/{key} with --secrets-dir");
        return if optional { Outcome::Absent } else { unresolved(format!("{reference} is not resolved"), &remedy) };
    };
    let relative: PathBuf = [&name, &key].iter().collect();
    let inside = relative.components().all(|part| matches!(part, Component::Normal(_)));
    if name.is_empty() || key.is_empty() || !inside || relative.components().count() != 2 {
        return unresolved(format!("{reference} is no reference"), "give `name` and `key`");
    }
    let file = directory.join(relative);
    match std::fs::read_to_string(&file) {
        // A line break at the end is an editor's, never a part of a password.
        Ok(text) => Outcome::Value(text.trim_end_matches(['\r', '\n']).to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && optional => Outcome::Absent,
        Err(error) => unresolved(format!("{reference}: {}: {error}", file.display()), "put the value into this file"),
    }
}

/// Expands `$(NAME)` from earlier variables as Kubernetes does: unknown names stay, `$$(NAME)` is not expanded.
/// The error is the name of a variable that has no value because its reference is not resolved.
fn expand(text: &str, before: &BTreeMap<String, Option<String>>) -> Result<String, String> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let name = after.strip_prefix('(').and_then(|inner| inner.split_once(')'));
        if let Some(escaped) = after.strip_prefix('$') {
            expanded.push('$');
            rest = escaped;
        } else if let Some((name, tail)) = name {
            match before.get(name) {
                Some(Some(value)) => expanded.push_str(value),
                Some(None) => return Err(name.to_owned()),
                None => expanded.push_str(&rest[at..at + name.len() + 3]),
            }
            rest = tail;
        } else {
            expanded.push('$');
            rest = after;
        }
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// The environment name that an `engine-*` annotation stands for.
pub(super) fn of_annotation(name: &str) -> Option<String> {
    let rest = name.strip_prefix("seldon.io/engine-")?;
    let name = rest.to_ascii_uppercase().replace('-', "_");
    is_environment(&name).then_some(name)
}

/// Annotations of a pod as the downward API writes them: `name="value"` a line.
pub(super) fn podinfo(text: &str) -> Vec<(String, String)> {
    let pair = |line: &str| {
        let (name, value) = line.split_once('=')?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| value.trim_matches('"').to_owned());
        Some((name.trim_matches('"').to_owned(), value))
    };
    text.lines().filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_expanded_as_kubernetes_does() {
        let before = BTreeMap::from([("A".into(), Some("1".into())), ("S".into(), None)]);
        for (text, expanded) in
            [("x$(A)y", "x1y"), ("$$(A)", "$(A)"), ("$(B)", "$(B)"), ("$A $", "$A $"), ("$(A", "$(A"), ("", "")]
        {
            assert_eq!(expand(text, &before).unwrap(), expanded, "{text}");
        }
        assert_eq!(expand("$(S)", &before).unwrap_err(), "S");
    }

    #[test]
    fn annotations_stand_for_names_that_mean_something() {
        assert_eq!(of_annotation("seldon.io/engine-kafka-workers").as_deref(), Some("KAFKA_WORKERS"));
        assert_eq!(of_annotation("seldon.io/engine-separate-pod"), None);
        assert_eq!(of_annotation("seldon.io/rest-timeout"), None);
    }

    #[test]
    fn podinfo_is_read_with_equal_signs_in_values() {
        let read = podinfo("seldon.io/rest-timeout=\"5000\"\na=\"b=\\\"c\\\"\"\n\n");
        assert_eq!(read, [("seldon.io/rest-timeout".into(), "5000".into()), ("a".into(), "b=\"c\"".into())]);
    }
}
