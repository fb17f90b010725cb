//! The requests of the tests: bodies in the three protocols that carry what the check needs, through any chain of models.
//!
//! Every body has `"n":N`, which the stub models calculate with, and numbers whose text must come out as it went in.

use std::collections::HashMap;

use serde_json::value::RawValue;

/// Numbers that a service which parses and prints again would change, as they stand in every request.
pub const EXACT: [(&str, &str); 5] = [
    ("big", "9007199254740993"),
    ("float", "1.0"),
    ("int", "1"),
    ("exp", "1.50e-7"),
    ("long", "0.30000000000000004441"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Seldon,
    Tensorflow,
    V2,
}

impl Protocol {
    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Seldon => "seldon",
            Self::Tensorflow => "tensorflow",
            Self::V2 => "v2",
        }
    }

    /// The predict request of one test record.
    pub fn body(self, id: &str, key: &str, seq: u64, n: u64) -> String {
        let exact: Vec<_> = EXACT.iter().map(|(name, text)| format!(r#""{name}":{text}"#)).collect();
        let fields = format!(r#"{{"id":"{id}","key":"{key}","seq":{seq},"n":{n},{}}}"#, exact.join(","));
        match self {
            Self::Seldon => format!(r#"{{"meta":{{"puid":"{id}"}},"jsonData":{fields}}}"#),
            Self::Tensorflow => format!(r#"{{"instances":[{fields}]}}"#),
            Self::V2 => {
                let input = r#"{"name":"x","shape":[1],"datatype":"INT64","data":[9007199254740993]}"#;
                format!(r#"{{"id":"{id}","parameters":{fields},"inputs":[{input}]}}"#)
            }
        }
    }
}

/// What a request or an answer of the tests carries.
#[derive(Debug, PartialEq, Eq)]
pub struct Fields {
    pub id: String,
    pub key: String,
    pub seq: u64,
    pub n: u64,
    /// Names of [`EXACT`] whose text is not what it was.
    pub changed: Vec<&'static str>,
}

/// Reads an answer of any protocol; the error says why it is none.
pub fn read_answer(text: &str) -> Result<Fields, String> {
    let top: HashMap<String, &RawValue> = serde_json::from_str(text).map_err(|e| format!("not a JSON object: {e}"))?;
    let fields = if let Some(list) = top.get("predictions") {
        let rows: Vec<&RawValue> = serde_json::from_str(list.get()).map_err(|e| e.to_string())?;
        match rows[..] {
            [row] => row.get(),
            _ => return Err(format!("{} predictions instead of 1", rows.len())),
        }
    } else if top.contains_key("outputs") {
        top.get("parameters").ok_or("no parameters")?.get()
    } else {
        top.get("jsonData").ok_or("neither predictions nor outputs nor jsonData")?.get()
    };
    read_fields(fields)
}

fn read_fields(text: &str) -> Result<Fields, String> {
    let raw: HashMap<String, &RawValue> = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let get = |name: &str| raw.get(name).map(|v| v.get()).ok_or_else(|| format!("no {name}"));
    let text_of = |name: &str| serde_json::from_str::<String>(get(name)?).map_err(|e| format!("{name}: {e}"));
    let number_of = |name: &str| get(name)?.parse::<u64>().map_err(|e| format!("{name}: {e}"));
    let changed = EXACT.iter().filter(|(name, text)| get(name) != Ok(*text)).map(|(name, _)| *name).collect();
    Ok(Fields { id: text_of("id")?, key: text_of("key")?, seq: number_of("seq")?, n: number_of("n")?, changed })
}
