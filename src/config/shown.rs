//! The values in effect as they may be shown: each with its source, secrets hidden.

use super::layers::{Layers, dotted};

/// A value in effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its key.
    pub key: String,
    /// Its value; `***` if secret.
    pub value: String,
    /// Where it was given.
    pub source: String,
}

const SECRETS: [&str; 4] =
    ["kafka.security.key", "kafka.security.key_password", "kafka.security.sasl.password", "kafka.security.properties."];

/// Whether the value of a key must not be shown.
pub(super) fn is_secret(key: &str) -> bool {
    SECRETS.iter().any(|secret| key == *secret || (secret.ends_with('.') && key.starts_with(secret)))
}

/// All values in effect.
pub(super) fn all(layers: &Layers) -> Vec<Shown> {
    let show = |(path, leaf): (&super::layers::Path, &super::layers::Leaf)| {
        let key = dotted(path);
        let text = leaf.value.text();
        let value = match text {
            _ if is_secret(&key) => "***".into(),
            None => "…".into(),
            Some(text) if text.contains("-----BEGIN") => "PEM text".into(),
            Some(text) => text,
        };
        Shown { key, value, source: leaf.origin.text.clone() }
    };
    layers.iter().map(show).collect()
}
