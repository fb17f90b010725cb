//! Members of JSON objects for merging: each known and there once, or the request goes alone.

use std::ops::Range;

use super::key::Key;
use crate::codec::json::tape::{Kind, Value};

/// The values of these members, null ones too. Nothing for what is no object, has other members, or one of them twice.
pub(super) fn known<'t, const N: usize>(object: Value<'t>, names: [&str; N]) -> Option<[Option<Value<'t>>; N]> {
    if object.kind() != Kind::Object {
        return None;
    }
    let mut found = [None; N];
    for (name, value) in object.members() {
        let name = name.string()?;
        let at = names.iter().position(|known| *known == name)?;
        if found[at].replace(value).is_some() {
            return None;
        }
    }
    Some(found)
}

/// Adds the members of an object in the order of their names. `wanted` says whether one counts, and nothing for one that
/// must not be there. Nothing too when there is one twice, or no object.
pub(super) fn map(key: Key, object: Option<Value<'_>>, wanted: impl Fn(&str) -> Option<bool>) -> Option<Key> {
    let Some(object) = object else { return Some(key.number(0)) };
    match object.kind() {
        Kind::Null => return Some(key.number(1)),
        Kind::Object => {}
        _ => return None,
    }
    let mut read = Vec::new();
    for (name, value) in object.members() {
        let name = name.string()?;
        read.push((wanted(&name)?, name, value.raw()));
    }
    read.sort_unstable_by(|(_, left, _), (_, right, _)| left.cmp(right));
    if read.windows(2).any(|pair| pair[0].1 == pair[1].1) {
        return None;
    }
    read.retain(|(counts, ..)| *counts);
    Some(key.number(2).each(read.iter(), |key, (_, name, value)| key.bytes(name.as_bytes()).bytes(value.as_bytes())))
}

/// The only member of this name, null too; an error if there are several.
pub(super) fn only<'t>(object: Value<'t>, name: &str) -> Result<Option<Value<'t>>, String> {
    let mut found = object.members().filter(|(key, _)| key.string().is_some_and(|key| key == name));
    match (found.next(), found.next()) {
        (_, Some(_)) => Err(format!("it has '{name}' twice")),
        (found, None) => Ok(found.map(|(_, value)| value)),
    }
}

/// Where the items of an array stand that is not empty: from the first to the end of the last.
pub(super) fn inside(array: Value<'_>) -> Option<Range<usize>> {
    let (mut start, mut end) = (None, 0);
    for item in array.items() {
        start.get_or_insert(item.span().start);
        end = item.span().end;
    }
    Some(start?..end)
}

/// What is left out with the first member of this name: the member and one of the commas around it.
pub(super) fn removal(object: Value<'_>, name: &str) -> Option<Range<usize>> {
    let mut before = None;
    let mut members = object.members();
    while let Some((key, value)) = members.next() {
        let (start, end) = (key.span().start, value.span().end);
        if key.string().is_some_and(|key| key == name) {
            let after = members.next().map_or(end, |(next, _)| next.span().start);
            return Some(before.map_or(start..after, |before| before..end));
        }
        before = Some(end);
    }
    None
}

/// Where the items of each part stand, if the parts' counts are those of the items together.
pub(super) fn shares(array: Value<'_>, counts: impl Iterator<Item = usize>) -> Option<Vec<Range<usize>>> {
    let mut items = array.items();
    let mut shares = Vec::new();
    for count in counts {
        if count == 0 {
            shares.push(0..0);
            continue;
        }
        let mut share = items.next()?.span();
        if count > 1 {
            share.end = items.nth(count - 2)?.span().end;
        }
        shares.push(share);
    }
    items.next().is_none().then_some(shares)
}
