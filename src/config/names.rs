//! Names under which values come in: environment variables and flags, ours and those of Seldon's executor.
//!
//! Our rule is uniform where the executor's was not (there, `KAFKA_WORKERS` beat its flag and `KAFKA_BROKER` did not):
//! a flag is stronger than the environment, and the environment than the SeldonDeployment. An empty value is no value.

use super::fault::{Faults, Origin};
use super::layers::{Layers, Path, path};

/// Beginning of our own environment names.
pub(super) const PREFIX: &str = "MILLRACE__";

/// What a name of the executor does here.
#[derive(Clone, Copy)]
enum Effect {
    /// Sets the value of a key.
    Key(&'static str),
    /// Accepted; a commit is always safe here.
    AutoCommit,
    /// Kafka between the nodes: not supported.
    FullGraph,
    /// Only one value is right.
    ServerType,
    /// Sets `inject_routing`; in the executor every value did, whatever it was.
    InjectRouting,
    /// Accepted; has no meaning here, for the reason given.
    Nothing(&'static str),
}
use Effect::{AutoCommit, FullGraph, InjectRouting, Key, Nothing, ServerType};

/// Environment names with a meaning, weakest first, with what they set.
const ENVIRONMENT: &[(&str, Effect)] = &[
    ("KAFKA_BROKER", Key("kafka.brokers")),
    ("KAFKA_INPUT_TOPIC", Key("kafka.input_topic")),
    ("KAFKA_OUTPUT_TOPIC", Key("kafka.output_topic")),
    ("KAFKA_WORKERS", Key("limits.in_flight_records")),
    ("KAFKA_AUTO_COMMIT", AutoCommit),
    ("KAFKA_FULL_GRAPH", FullGraph),
    ("KAFKA_SECURITY_PROTOCOL", Key("kafka.security.protocol")),
    ("KAFKA_SSL_CA_CERT", Key("kafka.security.ca")),
    ("KAFKA_SSL_CA_CERT_FILE", Key("kafka.security.ca_file")),
    ("KAFKA_SSL_CLIENT_CERT", Key("kafka.security.certificate")),
    ("KAFKA_SSL_CLIENT_CERT_FILE", Key("kafka.security.certificate_file")),
    ("KAFKA_SSL_CLIENT_KEY", Key("kafka.security.key")),
    ("KAFKA_SSL_CLIENT_KEY_FILE", Key("kafka.security.key_file")),
    ("KAFKA_SSL_CLIENT_KEY_PASS", Key("kafka.security.key_password")),
    ("KAFKA_SASL_MECHANISM", Key("kafka.security.sasl.mechanism")),
    ("KAFKA_SASL_USERNAME", Key("kafka.security.sasl.username")),
    ("KAFKA_SASL_PASSWORD", Key("kafka.security.sasl.password")),
    ("SELDON_ENABLE_ROUTING_INJECTION", InjectRouting),
    ("SELDON_LOG_LEVEL", Key("log.level")),
    ("MILLRACE_LOG", Key("log.level")),
];

/// The executor's flags that set something or are accepted, with what they do.
const FLAGS: &[(&str, Effect)] = &[
    ("kafka_broker", Key("kafka.brokers")),
    ("kafka_input_topic", Key("kafka.input_topic")),
    ("kafka_output_topic", Key("kafka.output_topic")),
    ("kafka_workers", Key("limits.in_flight_records")),
    ("kafka_auto_commit", AutoCommit),
    ("kafka_full_graph", FullGraph),
    ("http_port", Key("admin.port")),
    ("graceful_timeout", Key("limits.drain")),
    ("protocol", Key("protocol")),
    ("transport", Key("transport")),
    ("log_level", Key("log.level")),
    ("sdep", Key("deployment.name")),
    ("namespace", Key("deployment.namespace")),
    ("predictor", Key("deployment.predictor")),
    ("server_type", ServerType),
    ("grpc_port", Nothing("requests come from Kafka only")),
    ("shutdown_delay", Nothing("reading stops as soon as the signal comes, and nothing waits for it")),
    ("hostname", Nothing("nothing is served that needs a name")),
    ("prometheus_path", Nothing("metrics are at /metrics and at /prometheus")),
    ("full_health_checks", Nothing("models are always asked over the protocol's own health path")),
    ("debug", Nothing("log lines are never sampled; `--log_level DEBUG` shows more of them")),
    ("logger_workers", Nothing(LOGGER)),
    ("log_work_buffer_size", Nothing(LOGGER)),
    ("log_write_timeout_ms", Nothing(LOGGER)),
    ("log_kafka_broker", Nothing(LOGGER)),
    ("log_kafka_topic", Nothing(LOGGER)),
];

const LOGGER: &str = "payloads are not logged by this version";

/// Whether an environment name has a meaning.
pub fn is_environment(name: &str) -> bool {
    name.starts_with(PREFIX) || ENVIRONMENT.iter().any(|(known, _)| *known == name)
}

/// A flag of the executor, for the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// Name without dashes.
    pub name: &'static str,
    /// What it does here.
    pub help: String,
    /// Whether it may stand without a value.
    pub boolean: bool,
    /// Whether it does something.
    pub effective: bool,
}

/// All flags of the executor.
pub fn flags() -> impl Iterator<Item = Flag> {
    FLAGS.iter().map(|(name, effect)| {
        let (help, effective) = match effect {
            Key(key) => (format!("Sets {key}"), true),
            AutoCommit => ("Accepted; a commit is always safe here".into(), false),
            FullGraph => ("Accepted if false".into(), false),
            ServerType => ("kafka, which this service always is".into(), false),
            InjectRouting => ("Sets inject_routing".into(), true),
            Nothing(reason) => (format!("Accepted, does nothing: {reason}"), false),
        };
        let boolean = matches!(effect, AutoCommit | FullGraph) || ["debug", "full_health_checks"].contains(name);
        Flag { name, help, boolean, effective }
    })
}

/// How a key is set in other ways than the file, for messages.
pub(super) fn ways(key: &str) -> String {
    let sets = |effect: &Effect| matches!(effect, Key(known) if *known == key);
    let flag = FLAGS.iter().find(|(_, effect)| sets(effect)).map(|(name, _)| format!("--{name}"));
    let variable = ENVIRONMENT.iter().find(|(_, effect)| sets(effect)).map(|(name, _)| (*name).to_owned());
    let own = format!("{PREFIX}{}", key.to_ascii_uppercase().replace('.', "__"));
    let first: Vec<String> = flag.into_iter().chain(variable).chain([own]).collect();
    format!("{} or `{key}` in the configuration file", first.join(", "))
}

/// Takes a layer of environment variables: (name, value, where it was given).
pub(super) fn environment(
    variables: &[(String, String, Origin)],
    layers: &mut Layers,
    faults: &mut Faults,
    notices: &mut Vec<String>,
) {
    for (known, effect) in ENVIRONMENT {
        for (_, value, origin) in variables.iter().filter(|(name, value, _)| name == known && !value.is_empty()) {
            apply(*effect, known, value, origin, layers, faults, notices);
        }
    }
    for (name, value, origin) in variables {
        let Some(rest) = name.strip_prefix(PREFIX).filter(|_| !value.is_empty()) else { continue };
        layers.one(environment_path(rest), value, origin.clone(), faults);
    }
}

/// Takes one of the executor's flags.
pub(super) fn flag(
    name: &str,
    value: &str,
    origin: Origin,
    layers: &mut Layers,
    faults: &mut Faults,
    notices: &mut Vec<String>,
) {
    let Some((_, effect)) = FLAGS.iter().find(|(known, _)| *known == name) else { return };
    if !value.is_empty() {
        apply(*effect, name, value, &origin, layers, faults, notices);
    }
}

fn apply(
    effect: Effect,
    name: &str,
    value: &str,
    origin: &Origin,
    layers: &mut Layers,
    faults: &mut Faults,
    notices: &mut Vec<String>,
) {
    match effect {
        Key(key) => layers.one(path(key), value, origin.clone(), faults),
        AutoCommit | FullGraph => match boolean(value) {
            None => faults.add(origin, format!("{value:?} is no boolean"), "true or false"),
            Some(true) if matches!(effect, FullGraph) => faults.add(
                origin,
                "Kafka topics between the nodes of a graph are not supported",
                "leave it out: nodes are called directly, which needs no topics",
            ),
            Some(_) if matches!(effect, AutoCommit) => notices.push(format!(
                "{origin} is accepted and changes nothing: an offset is only committed when its output is stored"
            )),
            Some(_) => {}
        },
        InjectRouting => match switch(value) {
            None => faults.add(origin, format!("{value:?} is no boolean"), "true or false"),
            Some(on) => {
                layers.one(path("inject_routing"), &on.to_string(), origin.clone(), faults);
                if !on {
                    notices.push(format!("{origin} is off here; Seldon's executor takes every value for on"));
                }
            }
        },
        ServerType if value == "kafka" => {}
        ServerType => faults.add(origin, format!("{value:?} is not what this service does"), "kafka"),
        Nothing(reason) => notices.push(format!("{name} has no meaning here and is ignored: {reason}")),
    }
}

/// `KAFKA__CONSUMER__PROPERTIES__FETCH_MIN_BYTES` as a path.
fn environment_path(rest: &str) -> Path {
    let parts: Vec<&str> = rest.split("__").collect();
    let mut segments = Path::new();
    for (index, part) in parts.iter().enumerate() {
        let before = segments.last().map(String::as_str);
        if before == Some("properties") {
            segments.push(parts[index..].join("_").to_ascii_lowercase().replace('_', "."));
            break;
        }
        // A node's name is compared later, when the graph is known.
        let name = index == 1 && before == Some("nodes");
        segments.push(if name { (*part).to_owned() } else { part.to_ascii_lowercase() });
    }
    segments
}

/// Whether an environment's spelling of a name means this name.
pub(super) fn same_name(spelled: &str, name: &str) -> bool {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    spelled.chars().map(plain).eq(name.chars().map(plain))
}

/// A boolean as the executor reads it.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A boolean, or the word for one.
fn switch(text: &str) -> Option<bool> {
    let is = |words: [&str; 3]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    boolean(text).or_else(|| is(["on", "yes", "y"]).then_some(true)).or_else(|| is(["off", "no", "n"]).then_some(false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fault::Rank;
    use crate::config::value::Value;

    fn take(variables: &[(&str, &str)]) -> (Layers, Faults, Vec<String>) {
        let (mut layers, mut faults, mut notices) = (Layers::defaults(), Faults::default(), Vec::new());
        let variables: Vec<_> = variables
            .iter()
            .map(|(name, value)| {
                let origin = Origin::new(Rank::Environment, format!("environment {name}"));
                ((*name).to_owned(), (*value).to_owned(), origin)
            })
            .collect();
        environment(&variables, &mut layers, &mut faults, &mut notices);
        (layers, faults, notices)
    }

    #[test]
    fn every_known_name_sets_a_key_that_exists() {
        let variables: Vec<_> = ENVIRONMENT.iter().map(|(name, _)| (*name, "false")).collect();
        let (_, faults, _) = take(&variables);
        assert!(faults.is_empty(), "{faults}");
        for (name, effect) in FLAGS {
            let (mut layers, mut faults) = (Layers::defaults(), Faults::default());
            let value = if matches!(effect, ServerType) { "kafka" } else { "false" };
            flag(name, value, Origin::new(Rank::Flag, *name), &mut layers, &mut faults, &mut Vec::new());
            assert!(faults.is_empty(), "{name}: {faults}");
        }
    }

    #[test]
    fn own_names_beat_seldons_and_empty_is_not_set() {
        let (layers, _, _) = take(&[("MILLRACE__KAFKA__BROKERS", "own:1"), ("KAFKA_BROKER", "seldon:1")]);
        assert_eq!(layers.get(&path("kafka.brokers")).unwrap().value, Value::Text("own:1".into()));
        let (layers, _, _) = take(&[("SELDON_LOG_LEVEL", "DEBUG"), ("MILLRACE_LOG", "error"), ("KAFKA_BROKER", "")]);
        assert_eq!(layers.get(&path("log.level")).unwrap().value, Value::Text("error".into()));
        assert!(layers.get(&path("kafka.brokers")).is_none());
    }

    #[test]
    fn properties_and_nodes_are_reached_from_the_environment() {
        let (layers, faults, _) = take(&[
            ("MILLRACE__KAFKA__CONSUMER__PROPERTIES__FETCH_MIN_BYTES", "9"),
            ("MILLRACE__NODES__MY_MODEL__RETRY__ATTEMPTS", "2"),
        ]);
        assert!(faults.is_empty(), "{faults}");
        assert!(layers.get(&path("kafka.consumer.properties.fetch.min.bytes")).is_some());
        assert!(layers.get(&path("nodes.MY_MODEL.retry.attempts")).is_some());
        assert!(same_name("MY_MODEL", "my-model") && !same_name("MY_MODEL", "mymodel"));
    }

    #[test]
    fn unknown_own_names_are_faults() {
        let (_, faults, _) = take(&[("MILLRACE__KAFKA__INPUTTOPIC", "a")]);
        let text = faults.to_string();
        assert!(text.contains("environment MILLRACE__KAFKA__INPUTTOPIC: unknown key"), "{text}");
        assert!(text.contains("input_topic"), "{text}");
    }

    #[test]
    fn auto_commit_changes_nothing_and_full_graph_is_refused() {
        let (_, faults, notices) = take(&[("KAFKA_AUTO_COMMIT", "false"), ("KAFKA_FULL_GRAPH", "False")]);
        assert!(faults.is_empty() && notices.len() == 1);
        let (_, faults, _) = take(&[("KAFKA_AUTO_COMMIT", "maybe"), ("KAFKA_FULL_GRAPH", "1")]);
        assert_eq!(faults.0.len(), 2);
    }

    #[test]
    fn routing_is_injected_where_the_value_says_so() {
        for (text, on, told) in [("true", "true", 0), ("ON", "true", 0), ("1", "true", 0), ("false", "false", 1)] {
            let (layers, faults, notices) = take(&[("SELDON_ENABLE_ROUTING_INJECTION", text)]);
            assert!(faults.is_empty(), "{faults}");
            assert_eq!(layers.get(&path("inject_routing")).unwrap().value, Value::Text(on.into()), "{text}");
            assert_eq!(notices.len(), told, "{text}");
        }
        let (_, faults, _) = take(&[("SELDON_ENABLE_ROUTING_INJECTION", "perhaps")]);
        assert!(faults.to_string().contains("ROUTING_INJECTION: \"perhaps\" is no boolean; true or false"), "{faults}");
    }

    #[test]
    fn a_missing_value_says_every_way_to_give_it() {
        let ways = ways("kafka.brokers");
        assert!(
            ways.starts_with("--kafka_broker, KAFKA_BROKER, MILLRACE__KAFKA__BROKERS or `kafka.brokers`"),
            "{ways}"
        );
    }
}
