//! Values of any shape (`google.protobuf.Value`) to and from JSON, without recursion.

use millrace_proto::well_known::value::Kind as Known;
use millrace_proto::well_known::{ListValue, Struct, Value as Dynamic};

use crate::codec::json::edit::quote;
use crate::codec::json::tape::{Kind, Value};
use crate::codec::json::{fields, number};

/// Deepest nesting of arrays and objects in a value. Each level is two or three in protobuf, and its readers stop at a
/// hundred; the messages around a value take some too.
pub(super) const NESTING: usize = 30;

/// A container that is being filled.
enum Open<'t> {
    List(Vec<Dynamic>, Box<dyn Iterator<Item = Value<'t>> + 't>),
    Struct(Struct, Option<String>, Box<dyn Iterator<Item = (Value<'t>, Value<'t>)> + 't>),
}

/// Reads a value. Numbers must be such that a double stands for them.
pub(super) fn read(value: Value<'_>) -> Result<Dynamic, String> {
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut next = Some(value);
    let mut done = None;
    loop {
        if let Some(value) = next.take() {
            match value.kind() {
                Kind::Array | Kind::Object if open.len() == NESTING => {
                    return Err(format!("it is nested deeper than {NESTING} levels, which protobuf's readers refuse"));
                }
                Kind::Array => open.push(Open::List(Vec::with_capacity(value.len()), Box::new(value.items()))),
                Kind::Object => open.push(Open::Struct(Struct::default(), None, Box::new(value.members()))),
                Kind::Null => done = Some(Known::NullValue(0)),
                Kind::True | Kind::False => done = Some(Known::BoolValue(value.kind() == Kind::True)),
                Kind::Text => done = Some(Known::StringValue(fields::text(value)?)),
                Kind::Number => done = Some(Known::NumberValue(fields::double(value)?)),
            }
        }
        let finished = done.take().map(|kind| Dynamic { kind: Some(kind) });
        match (open.last_mut(), finished) {
            (None, Some(value)) => return Ok(value),
            (None, None) => return Err("it is empty".to_owned()),
            (Some(Open::List(list, items)), finished) => {
                list.extend(finished);
                next = items.next();
            }
            (Some(Open::Struct(object, key, members)), finished) => {
                if let (Some(key), Some(value)) = (key.take(), finished) {
                    object.fields.insert(key, value);
                }
                if let Some((name, value)) = members.next() {
                    let name = fields::text(name)?;
                    if object.fields.contains_key(&name) {
                        return Err(format!("the key '{name}' is there twice"));
                    }
                    *key = Some(name);
                    next = Some(value);
                }
            }
        }
        if next.is_none() {
            done = match open.pop() {
                Some(Open::List(values, _)) => Some(Known::ListValue(ListValue { values })),
                Some(Open::Struct(object, ..)) => Some(Known::StructValue(object)),
                None => None,
            };
        }
    }
}

/// A container that is being printed.
enum Printing<'v> {
    List(std::slice::Iter<'v, Dynamic>),
    Struct(std::collections::btree_map::Iter<'v, String, Dynamic>),
}

/// Appends a value as JSON. One that is of no kind has none.
pub(super) fn print(out: &mut String, value: &Dynamic) -> Result<(), String> {
    let mut open = Vec::new();
    begin(out, value, &mut open)?;
    finish(out, open)
}

/// Appends a list as JSON.
pub(super) fn print_list(out: &mut String, list: &ListValue) -> Result<(), String> {
    out.push('[');
    finish(out, vec![Printing::List(list.values.iter())])
}

fn begin<'v>(out: &mut String, value: &'v Dynamic, open: &mut Vec<Printing<'v>>) -> Result<(), String> {
    match &value.kind {
        None => return Err("a value of no kind cannot be written as JSON".to_owned()),
        Some(Known::NullValue(_)) => out.push_str("null"),
        Some(Known::NumberValue(value)) => number::print(out, *value),
        Some(Known::StringValue(value)) => quote(out, value),
        Some(Known::BoolValue(value)) => out.push_str(if *value { "true" } else { "false" }),
        Some(Known::ListValue(list)) => {
            out.push('[');
            open.push(Printing::List(list.values.iter()));
        }
        Some(Known::StructValue(object)) => {
            out.push('{');
            open.push(Printing::Struct(object.fields.iter()));
        }
    }
    Ok(())
}

fn finish<'v>(out: &mut String, mut open: Vec<Printing<'v>>) -> Result<(), String> {
    while let Some(container) = open.last_mut() {
        let (next, close): (Option<(Option<&'v str>, &'v Dynamic)>, char) = match container {
            Printing::List(values) => (values.next().map(|value| (None, value)), ']'),
            Printing::Struct(members) => (members.next().map(|(key, value)| (Some(key.as_str()), value)), '}'),
        };
        let Some((key, value)) = next else {
            out.push(close);
            open.pop();
            continue;
        };
        if !out.ends_with(['[', '{']) {
            out.push(',');
        }
        if let Some(key) = key {
            quote(out, key);
            out.push(':');
        }
        begin(out, value, &mut open)?;
    }
    Ok(())
}
