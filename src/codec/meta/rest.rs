//! Metadata in JSON: text is spliced in, all other text stays.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::codec::json::edit::{Edits, list, quote};
use crate::codec::json::tape::{Kind, Tape, Value};
use crate::codec::json::{SyntaxError, members};

/// `{"meta":…}` with the parts of a reply's metadata that are handed on; nothing when it has none.
pub(super) fn handed_on(body: &Bytes) -> Result<Option<Bytes>, SyntaxError> {
    // One pass that builds nothing, for the many replies without metadata.
    let (_, [found]) = members(body, ["meta"])?;
    let Some(text) = found.and_then(|member| body.get(member.value)) else { return Ok(None) };
    let tape = Tape::parse(text)?;
    let mut out = String::from("{\"meta\":{");
    let parts = ["tags", "requestPath", "metrics"];
    let parts = parts.iter().filter_map(|key| Some((key, tape.root().get(key).filter(|part| !part.is_empty())?)));
    let parts: Vec<_> = parts.collect();
    list(&mut out, &parts, |out, (key, value)| {
        quote(out, key);
        out.push(':');
        out.push_str(value.raw());
    });
    out.push_str("}}");
    Ok((!parts.is_empty()).then(|| out.into()))
}

/// The text with what `from`, messages with nothing but metadata, add to it. Nothing when that is nothing.
pub(super) fn merge(body: &Bytes, from: &[Bytes]) -> Result<Option<Vec<u8>>, SyntaxError> {
    let tape = Tape::parse(body)?;
    let tapes = from.iter().map(|body| Tape::parse(body)).collect::<Result<Vec<_>, _>>()?;
    let metas: Vec<Value<'_>> = tapes.iter().filter_map(|tape| tape.root().get("meta")).collect();
    let root = tape.root();
    let own = root.get("meta");
    let part = |key| own.and_then(|meta| meta.get(key));
    let mut additions = Additions::default();
    for key in ["tags", "requestPath"] {
        let own: BTreeSet<_> =
            part(key).into_iter().flat_map(Value::members).filter_map(|(name, _)| name.string()).collect();
        let mut added: BTreeMap<_, (Value<'_>, Value<'_>)> = BTreeMap::new();
        for (name, value) in metas.iter().filter_map(|meta| meta.get(key)).flat_map(Value::members) {
            if let Some(text) = name.string().filter(|text| !own.contains(text)) {
                added.insert(text, (name, value));
            }
        }
        let texts = added.values().map(|(name, value)| format!("{}:{}", name.raw(), value.raw()));
        additions.0.push((key, Kind::Object, texts.collect()));
    }
    let repeated: BTreeSet<_> = part("metrics").into_iter().flat_map(Value::items).map(canonical).collect();
    let metrics = metas.iter().filter_map(|meta| meta.get("metrics")).flat_map(Value::items);
    let metrics = metrics.filter(|metric| !repeated.contains(&canonical(*metric)));
    additions.0.push(("metrics", Kind::Array, metrics.map(|metric| metric.raw().to_owned()).collect()));
    Ok(additions.put(root).map(|edits| edits.apply(body)))
}

/// The text with these routes. Nothing when it has no place for them, or has them.
pub(super) fn with_routing(body: &Bytes, routes: &[(&str, i32)]) -> Option<Vec<u8>> {
    let tape = Tape::parse(body).ok()?;
    let root = tape.root();
    let known = root.get("meta").and_then(|meta| meta.get("routing"));
    let mut edits = Edits::default();
    let mut texts = Vec::new();
    for (node, route) in routes.iter().copied().collect::<BTreeMap<_, _>>() {
        let mut known = known.into_iter().flat_map(Value::members);
        // A name that comes twice is read as its last value, so that one counts.
        let known = known.by_ref().filter(|(name, _)| name.string().is_some_and(|name| name == node)).last();
        match known {
            Some((_, value)) if value.raw() == route.to_string() => {}
            Some((_, value)) => edits.put(value.span(), |out| out.push_str(&route.to_string())),
            None => {
                let mut text = String::new();
                quote(&mut text, node);
                texts.push(format!("{text}:{route}"));
            }
        }
    }
    if !texts.is_empty() {
        edits = Additions(vec![("routing", Kind::Object, texts)]).put_into(root, edits)?;
    }
    (!edits.is_empty()).then(|| edits.apply(body))
}

/// A metric for comparing: keys sorted, if a parser reads it, else its text.
fn canonical(metric: Value<'_>) -> String {
    let read = serde_json::from_str::<serde_json::Value>(metric.raw());
    read.map_or_else(|_| metric.raw().to_owned(), |read| read.to_string())
}

/// Parts of the metadata with what is put into them: key, kind and texts.
#[derive(Default)]
struct Additions(Vec<(&'static str, Kind, Vec<String>)>);

impl Additions {
    fn put(self, root: Value<'_>) -> Option<Edits> {
        self.put_into(root, Edits::default())
    }

    /// Nothing when there is nothing to put in, or something of another kind stands in the place of an object.
    fn put_into(mut self, root: Value<'_>, mut edits: Edits) -> Option<Edits> {
        self.0.retain(|(_, _, texts)| !texts.is_empty());
        if self.0.is_empty() || root.kind() != Kind::Object {
            return None;
        }
        // The last of a name is the one that is read, also when it is null.
        let last = |object: Value<'_>, key: &str| {
            let named = move |(name, _): &(Value<'_>, Value<'_>)| name.string().is_some_and(|name| name == key);
            let last = |(at, _)| at;
            let found = object.members().enumerate().filter(|(_, member)| named(member)).last();
            found.map(last).and_then(|at| object.members().nth(at).map(|(_, value)| value.span()))
        };
        let member = |key: &str, kind, texts: &[String]| {
            let (open, close) = brackets(kind);
            format!("\"{key}\":{open}{}{close}", texts.join(","))
        };
        let whole = |parts: &[(&'static str, Kind, Vec<String>)]| {
            parts.iter().map(|(key, kind, texts)| member(key, *kind, texts)).collect::<Vec<_>>().join(",")
        };
        let Some(meta) = root.get("meta") else {
            let text = format!("{{{}}}", whole(&self.0));
            match last(root, "meta") {
                Some(null) => edits.put(null, |out| out.push_str(&text)),
                None => append(&mut edits, root, &format!("\"meta\":{text}")),
            }
            return Some(edits);
        };
        if meta.kind() != Kind::Object {
            return None;
        }
        let mut missing = Vec::new();
        for (key, kind, texts) in self.0 {
            match meta.get(key) {
                Some(part) if part.kind() != kind => {}
                // What comes first in an array was first.
                Some(part) if kind == Kind::Array => prepend(&mut edits, part, &texts.join(",")),
                Some(part) => append(&mut edits, part, &texts.join(",")),
                None => match last(meta, key) {
                    Some(null) => {
                        let (open, close) = brackets(kind);
                        let text = format!("{open}{}{close}", texts.join(","));
                        edits.put(null, |out| out.push_str(&text));
                    }
                    None => missing.push((key, kind, texts)),
                },
            }
        }
        if !missing.is_empty() {
            append(&mut edits, meta, &whole(&missing));
        }
        (!edits.is_empty()).then_some(edits)
    }
}

fn brackets(kind: Kind) -> (char, char) {
    if kind == Kind::Array { ('[', ']') } else { ('{', '}') }
}

/// Puts items or members at the end of a container.
fn append(edits: &mut Edits, container: Value<'_>, text: &str) {
    let end = container.span().end - 1;
    edits.put(end..end, |out| {
        out.push_str(if container.is_empty() { "" } else { "," });
        out.push_str(text);
    });
}

/// Puts items at the beginning of a container.
fn prepend(edits: &mut Edits, container: Value<'_>, text: &str) {
    let start = container.span().start + 1;
    edits.put(start..start, |out| {
        out.push_str(text);
        out.push_str(if container.is_empty() { "" } else { "," });
    });
}
