//! The service's configuration file, made by a test: a tree that is changed by path and printed as YAML.

use serde_json::{Map, Value, json};

/// A configuration tree.
#[derive(Clone, Debug)]
pub struct Config(Value);

impl Default for Config {
    fn default() -> Self {
        Self(Value::Object(Map::new()))
    }
}

impl Config {
    /// Sets what stands at a path of names parted by `/`, as names of client properties have dots in them.
    #[track_caller]
    pub fn set(mut self, path: &str, value: impl Into<Value>) -> Self {
        let mut at = &mut self.0;
        for name in path.split('/') {
            let Value::Object(map) = at else { panic!("{path}: {at} is no section") };
            at = map.entry(name).or_insert_with(|| json!({}));
        }
        *at = value.into();
        self
    }

    /// Takes out what stands at a path.
    #[track_caller]
    pub fn without(mut self, path: &str) -> Self {
        let (section, name) = path.rsplit_once('/').unwrap_or(("", path));
        let pointer = if section.is_empty() { String::new() } else { format!("/{section}") };
        let map = self.0.pointer_mut(&pointer).and_then(Value::as_object_mut);
        map.unwrap_or_else(|| panic!("there is no {section}")).remove(name);
        self
    }

    /// A property of the consumer, as librdkafka names it.
    pub fn consumer(self, name: &str, value: impl Into<Value>) -> Self {
        self.set(&format!("kafka/consumer/properties/{name}"), value)
    }

    /// What stands at a path, if it is a text.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.0.pointer(&format!("/{path}")).and_then(Value::as_str)
    }

    /// The file.
    pub fn yaml(&self) -> String {
        let mut out = String::new();
        print(&self.0, 0, &mut out);
        out
    }
}

fn print(value: &Value, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (name, value) in map {
                *out += &indent;
                *out += name;
                *out += ":";
                let is_section = matches!(value, Value::Object(map) if !map.is_empty());
                *out += if is_section { "\n" } else { " " };
                print(value, if is_section { depth + 1 } else { 0 }, out);
            }
        }
        // Lists and scalars in JSON are YAML too.
        other => {
            *out += &indent;
            *out += &other.to_string();
            *out += "\n";
        }
    }
}
