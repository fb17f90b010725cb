//! Layers of values, each with where it was given; the strongest source of a key wins.
//!
//! `config/default.yaml` is the weakest layer and the list of keys that exist.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::fault::{Faults, Origin, Rank, suggest};
use super::settings::Transport;
use super::value::{Spot, Value, document};

/// The default configuration: every key, commented.
pub const DEFAULT: &str = include_str!("../../config/default.yaml");

/// Settings that every node has unless it has its own.
pub(super) const EVERY_NODE: &str = "*";

static SCHEMA: LazyLock<Spot> = LazyLock::new(|| document(DEFAULT).expect("config/default.yaml is read by a test"));

/// Keys from the root to a leaf. Segments, because properties and node names may hold dots.
pub(super) type Path = Vec<String>;

/// A value and where it was given.
#[derive(Clone)]
pub(super) struct Leaf {
    /// The value; a list or map only at `graph`.
    pub(super) value: Value,
    /// Where it was given.
    pub(super) origin: Origin,
}

/// The values in effect. Holds secrets, so it has no Debug.
pub(super) struct Layers {
    values: BTreeMap<Path, Leaf>,
}

/// Splits `kafka.consumer.properties.fetch.min.bytes` into segments; what follows `properties` is one.
pub(super) fn path(dotted: &str) -> Path {
    const MARK: &str = ".properties.";
    let split = |text: &str| text.split('.').map(str::to_owned).collect::<Path>();
    match dotted.find(MARK) {
        Some(at) => {
            let mut segments = split(&dotted[..at + MARK.len() - 1]);
            segments.push(dotted[at + MARK.len()..].to_owned());
            segments
        }
        None => split(dotted),
    }
}

/// Where the time that an annotation gives for calls of one transport stands: beside the option, which is for both.
pub(super) fn annotated_timeout(transport: Transport) -> Path {
    vec!["nodes".into(), EVERY_NODE.into(), format!("timeout ({transport})")]
}

/// How a path is written.
pub(super) fn dotted(path: &[String]) -> String {
    path.join(".")
}

impl Layers {
    /// The default configuration.
    pub(super) fn defaults() -> Self {
        let mut layers = Self { values: BTreeMap::new() };
        let mut faults = Faults::default();
        layers.file("default", &SCHEMA, Rank::Default, &mut faults);
        debug_assert!(faults.is_empty(), "{faults}");
        layers
    }

    /// Puts a value; it stays if no stronger source gave one. Null is no value.
    pub(super) fn put(&mut self, path: Path, value: Value, origin: Origin) {
        let stays = value != Value::Null && self.values.get(&path).is_none_or(|leaf| leaf.origin.rank <= origin.rank);
        if stays {
            self.values.insert(path, Leaf { value, origin });
        }
    }

    /// The value in effect.
    pub(super) fn get(&self, path: &[String]) -> Option<&Leaf> {
        self.values.get(path)
    }

    /// All values in effect.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Path, &Leaf)> {
        self.values.iter()
    }

    /// Puts all values of a file.
    pub(super) fn file(&mut self, file: &str, root: &Spot, rank: Rank, faults: &mut Faults) {
        self.subtree(file, rank, &mut Vec::new(), &SCHEMA, root, faults);
    }

    fn subtree(&mut self, file: &str, rank: Rank, path: &mut Path, schema: &Spot, given: &Spot, faults: &mut Faults) {
        let here = |path: &Path| match (rank, path.is_empty()) {
            (Rank::Default, _) => "default".to_owned(),
            (_, true) => format!("{file}:{}", given.line),
            _ => format!("{file}:{}: {}", given.line, dotted(path)),
        };
        match (&schema.value, &given.value) {
            (_, Value::Null) => {}
            (Value::Map(known), Value::Map(entries)) => {
                for (key, spot) in entries {
                    path.push(key.clone());
                    match child(path, known) {
                        Some(schema) => self.subtree(file, rank, path, schema, spot, faults),
                        None => faults.add(
                            format!("{file}:{}: {}", spot.line.max(1), dotted(path)),
                            "unknown key",
                            suggest(key, known.iter().map(|(name, _)| name.as_str())),
                        ),
                    }
                    path.pop();
                }
            }
            (Value::Map(known), other) => {
                let names: Vec<&str> = known.iter().map(|(name, _)| name.as_str()).collect();
                let remedy = if names.is_empty() { "a map of properties".into() } else { names.join(", ") };
                faults.add(here(path), format!("is {}, but a section", other.kind()), format!("goes in it: {remedy}"));
            }
            (_, Value::Map(_) | Value::List(_)) if path.as_slice() != ["graph"] => {
                faults.add(here(path), format!("is {}", given.value.kind()), "give one value");
            }
            (_, value) => self.put(path.clone(), value.clone(), Origin::new(rank, here(path))),
        }
    }

    /// Puts one value by its dotted key, as a flag or an environment name gives it.
    pub(super) fn one(&mut self, path: Path, text: &str, origin: Origin, faults: &mut Faults) {
        let mut schema = &*SCHEMA;
        for depth in 1..=path.len() {
            let Value::Map(known) = &schema.value else {
                faults.add(&origin, format!("`{}` is one value", dotted(&path[..depth - 1])), "it has no keys in it");
                return;
            };
            let Some(next) = child(&path[..depth], known) else {
                let remedy = suggest(&path[depth - 1], known.iter().map(|(name, _)| name.as_str()));
                faults.add(&origin, format!("unknown key `{}`", dotted(&path)), remedy);
                return;
            };
            schema = next;
        }
        let graph = path.as_slice() == ["graph"];
        match &schema.value {
            Value::Map(_) => {
                faults.add(&origin, format!("`{}` is a section", dotted(&path)), "give the key of one value in it");
            }
            _ if graph => match document(text) {
                Ok(spot) => self.put(path, spot.value, origin),
                Err(error) => faults.add(&origin, format!("malformed: {error}"), "give the graph as JSON"),
            },
            _ => self.put(path, Value::Text(text.to_owned()), origin),
        }
    }
}

/// What the schema says of the last segment of a path, given what it knows beside it.
fn child<'a>(path: &[String], known: &'a [(String, Spot)]) -> Option<&'a Spot> {
    static ANYTHING: Spot = Spot { value: Value::Null, line: 0 };
    let (name, parents) = path.split_last()?;
    let find = |name: &str| known.iter().find(|(key, _)| key == name).map(|(_, spot)| spot);
    match parents {
        [nodes] if nodes == "nodes" => find(EVERY_NODE),
        _ if known.is_empty() => Some(&ANYTHING),
        _ => find(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_file(text: &str) -> (Layers, Faults) {
        let (mut layers, mut faults) = (Layers::defaults(), Faults::default());
        layers.file("c.yaml", &document(text).unwrap(), Rank::File, &mut faults);
        (layers, faults)
    }

    #[test]
    fn a_stronger_source_wins_in_any_order() {
        let (mut layers, mut faults) = with_file("kafka: {brokers: file:1}\nadmin: {port: 1}");
        layers.one(path("kafka.brokers"), "flag:1", Origin::new(Rank::Flag, "flag"), &mut faults);
        layers.one(path("kafka.brokers"), "env:1", Origin::new(Rank::Environment, "environment"), &mut faults);
        assert_eq!(layers.get(&path("kafka.brokers")).unwrap().origin.text, "flag");
        assert_eq!(layers.get(&path("admin.port")).unwrap().origin.text, "c.yaml:2: admin.port");
        assert_eq!(layers.get(&path("admin.host")).unwrap().origin.text, "default");
        assert!(faults.is_empty());
    }

    #[test]
    fn null_leaves_the_weaker_value() {
        let (layers, _) = with_file("limits:\n  window:\n");
        assert_eq!(layers.get(&path("limits.window")).unwrap().value, Value::Int(2000));
    }

    #[test]
    fn unknown_keys_are_reported_with_line_and_what_was_meant() {
        let (_, faults) = with_file("kafka:\n  inputTopic: a\nlimit: {window: 1}\nnodes:\n  m: {timout: 1s}\n");
        let text = faults.to_string();
        assert!(text.contains("c.yaml:2: kafka.inputTopic: unknown key; did you mean `input_topic`?"), "{text}");
        assert!(text.contains("c.yaml:3: limit: unknown key; did you mean `limits`?"), "{text}");
        assert!(text.contains("c.yaml:5: nodes.m.timout: unknown key; did you mean `timeout`?"), "{text}");
        assert_eq!(faults.0.len(), 3);
    }

    #[test]
    fn sections_and_values_are_not_confused() {
        let (mut layers, mut faults) = with_file("kafka: here\nadmin: {port: {a: 1}}\n");
        layers.one(path("kafka"), "x", Origin::new(Rank::Flag, "flag --set"), &mut faults);
        layers.one(path("kafka.brokers.x"), "x", Origin::new(Rank::Flag, "flag --set"), &mut faults);
        assert_eq!(faults.0.len(), 4, "{faults}");
    }

    #[test]
    fn properties_and_nodes_take_any_name() {
        let (layers, faults) = with_file(
            "kafka: {consumer: {properties: {fetch.min.bytes: 3}}}\nnodes: {My-Model: {timeout: 1s}}\ngraph: {name: a}",
        );
        assert!(faults.is_empty(), "{faults}");
        assert!(layers.get(&path("kafka.consumer.properties.fetch.min.bytes")).is_some());
        assert!(layers.get(&path("nodes.My-Model.timeout")).is_some());
        assert!(matches!(layers.get(&path("graph")).unwrap().value, Value::Map(_)));
    }
}
