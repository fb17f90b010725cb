//! YAML as a tree of values that remember their lines.
//!
//! Not for meaning: what a key is for is decided by whoever walks the tree.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// A value and the line it stands on (from 1; 0 where there is no file).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Spot {
    /// What was given.
    pub(super) value: Value,
    /// Where.
    pub(super) line: u64,
}

/// What YAML can say.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Nothing, or `~`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// Another number.
    Float(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Spot>),
    /// Keys in the order they were written.
    Map(Vec<(String, Spot)>),
}

/// Text that is no YAML: where and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    /// Line from 1, 0 if unknown.
    pub(super) line: u64,
    /// Column from 1, 0 if unknown.
    pub(super) column: u64,
    /// What is wrong.
    pub(super) problem: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            f.write_str(&self.problem)
        } else {
            write!(f, "line {}, column {}: {}", self.line, self.column, self.problem)
        }
    }
}

/// Reads every document of a text. JSON is read as well, being YAML.
pub(super) fn documents(text: &str) -> Result<Vec<Spot>, Malformed> {
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    let documents: Vec<Spot> =
        serde_saphyr::from_multiple_with_options(text, options).map_err(|error| malformed(&error))?;
    Ok(documents.into_iter().filter(|document| document.value != Value::Null).collect())
}

/// Reads a text of one document; an empty text is null.
pub(super) fn document(text: &str) -> Result<Spot, Malformed> {
    let mut documents = documents(text)?;
    if documents.len() > 1 {
        let line = documents[1].line;
        return Err(Malformed { line, column: 1, problem: "a second document starts here, one is expected".into() });
    }
    Ok(documents.pop().unwrap_or(Spot { value: Value::Null, line: 0 }))
}

fn malformed(error: &serde_saphyr::Error) -> Malformed {
    let (line, column) = error.location().map_or((0, 0), |at| (at.line(), at.column()));
    // The text of the error repeats the place: it is cut off, as it is given apart.
    let text = error.without_snippet().to_string();
    let problem = if text.contains("budget breached") { "nested too deep, or too large".into() } else { cut(&text) };
    Malformed { line, column, problem }
}

fn cut(text: &str) -> String {
    let problem = text.split(" at line ").next().unwrap_or(text);
    problem.lines().next().unwrap_or(problem).trim_end_matches([':', ' ', ',']).to_owned()
}

impl Spot {
    /// A value that no file holds.
    pub(super) fn bare(value: Value) -> Self {
        Self { value, line: 0 }
    }

    /// The value of a key, if this is a map that has it and it is not null.
    pub(super) fn get(&self, key: &str) -> Option<&Spot> {
        self.entries().iter().find(|(name, _)| name == key).map(|(_, spot)| spot).filter(|s| s.value != Value::Null)
    }

    /// The value under several keys.
    pub(super) fn at(&self, keys: &[&str]) -> Option<&Spot> {
        keys.iter().try_fold(self, |spot, key| spot.get(key))
    }

    /// Keys and values, none if this is no map.
    pub(super) fn entries(&self) -> &[(String, Spot)] {
        if let Value::Map(entries) = &self.value { entries } else { &[] }
    }

    /// Items, none if this is no list.
    pub(super) fn items(&self) -> &[Spot] {
        if let Value::List(items) = &self.value { items } else { &[] }
    }

    /// A scalar as text.
    pub(super) fn text(&self) -> Option<String> {
        self.value.text()
    }
}

impl Value {
    /// A scalar as text; null, lists and maps are none.
    pub(super) fn text(&self) -> Option<String> {
        match self {
            Self::Bool(value) => Some(value.to_string()),
            Self::Int(value) => Some(value.to_string()),
            Self::Float(value) => Some(value.to_string()),
            Self::Text(value) => Some(value.clone()),
            Self::Null | Self::List(_) | Self::Map(_) => None,
        }
    }

    /// What it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

impl<'de> Deserialize<'de> for Spot {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, .. } = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { value, line: referenced.line() })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Int(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry::<String, Spot>()? {
            entries.push(entry);
        }
        Ok(Value::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_know_their_lines_and_types() {
        let spot = document("a: 1\nb:\n  c: [x, true, 0.5]\n  d:\n  e: \"2\"\n").unwrap();
        assert_eq!(spot.get("a"), Some(&Spot { value: Value::Int(1), line: 1 }));
        assert_eq!(spot.at(&["b", "c"]).unwrap().line, 3);
        assert_eq!(spot.at(&["b", "c"]).unwrap().items()[1].value, Value::Bool(true));
        assert_eq!(spot.at(&["b", "d"]), None);
        assert_eq!(spot.at(&["b", "e"]).unwrap().value, Value::Text("2".into()));
    }

    #[test]
    fn json_is_read_too() {
        let spot = document(r#"{"name":"m","children":[{"name":"n"}]}"#).unwrap();
        assert_eq!(spot.get("children").unwrap().items()[0].get("name").unwrap().text().as_deref(), Some("n"));
    }

    #[test]
    fn malformed_text_is_located() {
        let error = document("a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
        assert!(error.line >= 2, "{error}");
        assert!(error.to_string().contains("column"), "{error}");
        let twice = document("a: 1\na: 2\n").unwrap_err();
        assert_eq!(twice.line, 2);
        assert!(twice.problem.contains('a'), "{twice}");
    }

    #[test]
    fn several_documents_are_told_apart() {
        assert_eq!(documents("---\na: 1\n---\n---\nb: 2\n").unwrap().len(), 2);
        assert!(document("a: 1\n---\nb: 2\n").is_err());
    }
}
