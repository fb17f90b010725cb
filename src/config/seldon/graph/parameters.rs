//! A node's parameters: a list of name, value and type. Each is checked, whoever it is for.

use super::words::choose;
use crate::config::fault::Faults;
use crate::config::seldon::at::At;
use crate::config::value::Value;

/// Types of parameters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Int,
    Float,
    Text,
    Bool,
}

const TYPES: [(&str, Type); 5] =
    [("INT", Type::Int), ("FLOAT", Type::Float), ("DOUBLE", Type::Float), ("STRING", Type::Text), ("BOOL", Type::Bool)];

/// A parameter whose value is of its type.
pub(super) struct Parameter {
    /// Its name.
    pub(super) name: String,
    /// Its value as text.
    pub(super) value: String,
    /// Where it was given.
    pub(super) source: String,
}

/// Reads a node's `parameters`; those that are wrong are left out.
pub(super) fn read(node: &At<'_>, faults: &mut Faults) -> Vec<Parameter> {
    const RIGHT: &str = "a list of {name, value, type}";
    let Some(list) = node.get("parameters") else { return Vec::new() };
    if !matches!(list.spot().value, Value::List(_)) {
        faults.add(list.source(), "is no list", RIGHT);
    }
    let mut parameters = Vec::new();
    for at in list.items() {
        if !matches!(at.spot().value, Value::Map(_)) {
            faults.add(at.source(), "is no parameter", RIGHT);
            continue;
        }
        let name = at.required_text("name", faults);
        let of = at.required("type", faults).and_then(|at| choose(&at, "type", &TYPES, "", faults));
        let value = at.required("value", faults);
        let (Some(name), Some(of), Some(value)) = (name, of, value) else { continue };
        let (source, text) = (value.source(), value.scalar());
        match text.filter(|text| is(of, text)) {
            Some(value) => parameters.push(Parameter { name, value, source }),
            None => faults.add(source, format!("parameter {name:?}: the value is no {}", word(of)), right(of)),
        }
    }
    parameters
}

fn is(of: Type, text: &str) -> bool {
    let text = text.trim();
    match of {
        // As long as it likes: who takes it says how large it may be.
        Type::Int => {
            let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
            !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
        }
        Type::Float => text.parse::<f64>().is_ok(),
        Type::Text => true,
        Type::Bool => {
            let known = ["true", "false", "t", "f", "yes", "no", "y", "n", "on", "off", "1", "0"];
            known.iter().any(|known| known.eq_ignore_ascii_case(text))
        }
    }
}

fn word(of: Type) -> &'static str {
    TYPES.iter().find(|(_, known)| *known == of).map_or("", |(name, _)| name)
}

fn right(of: Type) -> &'static str {
    match of {
        Type::Int => "a whole number",
        Type::Float => "a number",
        Type::Text => "one text",
        Type::Bool => "true or false",
    }
}
