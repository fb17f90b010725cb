//! Seldon's replies in JSON: each request gets its rows and its own id, wherever the reply has one.

use std::borrow::Cow;
use std::ops::Range;

use super::Unsplit;
use super::members::{inside, only, removal, shares};
use super::rows::Rows;
use super::seldon_rest::{Places, shaped};
use super::seldon_status::is_success_json;
use super::shape::sizes;
use super::splice::Splice;
use crate::codec::json::tape::{Kind, Tape, Value};
use crate::record::Message;

pub(super) fn split(parts: &[(&[u8], &Places)], rows: &Rows, reply: &Message) -> Result<Vec<Message>, Unsplit> {
    let body = &reply.body[..];
    let tape = Tape::parse(body).map_err(|error| Unsplit::Unreadable(error.to_string()))?;
    let root = tape.root();
    if member(root, "status")?.is_some_and(|status| !is_success_json(status)) {
        return Err(Unsplit::Failed);
    }
    let data = Data::read(member(root, "data")?, rows)?;
    let home = Home::of(root)?;
    let about = body.len() - data.items.len() + data.items.len() / parts.len();
    let with = |(at, ((request, places), rows)): (usize, (&(&[u8], &Places), usize))| {
        let share = data.shares.get(at).and_then(|share| body.get(share.clone())).unwrap_or_default();
        let mut edits = vec![(data.items.clone(), Cow::Borrowed(share))];
        edits.extend(data.shape.iter().map(|(place, sizes)| (place.clone(), Cow::Owned(shaped(rows, sizes)))));
        edits.extend(home.with(places.puid.clone().and_then(|puid| request.get(puid))));
        edits.sort_by_key(|(place, _)| place.start);
        let mut own = Splice::of(body, about);
        for (place, text) in edits {
            own.at(&place).extend_from_slice(&text);
        }
        Message { body: own.done().into(), form: reply.form.clone() }
    };
    Ok(parts.iter().zip(rows.each()).enumerate().map(with).collect())
}

fn member<'t>(object: Value<'t>, name: &str) -> Result<Option<Value<'t>>, Unsplit> {
    let found = only(object, name).map_err(Unsplit::Unreadable)?;
    Ok(found.filter(|value| value.kind() != Kind::Null))
}

/// The rows of a reply.
struct Data {
    /// All of them; empty if rows have no values.
    items: Range<usize>,
    /// Those of each part.
    shares: Vec<Range<usize>>,
    /// Where a tensor's shape stands, and its sizes.
    shape: Option<(Range<usize>, Vec<usize>)>,
}

impl Data {
    fn read(data: Option<Value<'_>>, rows: &Rows) -> Result<Self, Unsplit> {
        let none = || rows.unsplit("no data with an ndarray or a tensor".to_owned());
        let data = data.ok_or_else(none)?;
        match (member(data, "ndarray")?, member(data, "tensor")?) {
            (Some(items), None) if items.kind() == Kind::Array => {
                let shares = shares(items, rows.each());
                let shares = shares.ok_or_else(|| rows.unsplit(format!("an ndarray of {} rows", items.len())))?;
                Ok(Self { items: inside(items).unwrap_or_default(), shares, shape: None })
            }
            (None, Some(tensor)) => {
                let broken = |what: &str| Unsplit::Unreadable(what.to_owned());
                let shape = member(tensor, "shape")?;
                let sizes = shape.and_then(sizes).ok_or_else(|| broken("its tensor has no shape"))?;
                let elements = rows.elements(&sizes)?;
                let values = member(tensor, "values")?.filter(|values| values.kind() == Kind::Array);
                let cut = values.and_then(|values| shares(values, elements));
                let shares = cut.ok_or_else(|| broken("its tensor has other values than its shape says"))?;
                let items = values.and_then(inside).unwrap_or_default();
                Ok(Self { items, shares, shape: shape.map(|shape| (shape.span(), sizes)) })
            }
            _ => Err(none()),
        }
    }
}

/// Where a reply has the id, or would have it.
enum Home {
    /// The value, and the member with a comma.
    Member { value: Range<usize>, whole: Range<usize> },
    /// Behind the opening brace of the metadata, before other members or not.
    Meta { at: usize, is_empty: bool },
    /// The metadata is null.
    Null(Range<usize>),
    /// Behind the opening brace of the message.
    Root { at: usize },
}

impl Home {
    fn of(root: Value<'_>) -> Result<Self, Unsplit> {
        let Some(meta) = only(root, "meta").map_err(Unsplit::Unreadable)? else {
            return Ok(Self::Root { at: root.span().start + 1 });
        };
        match meta.kind() {
            Kind::Null => return Ok(Self::Null(meta.span())),
            Kind::Object => {}
            _ => return Err(Unsplit::Unreadable("its metadata is no object".to_owned())),
        }
        let puid = only(meta, "puid").map_err(Unsplit::Unreadable)?;
        Ok(match puid.zip(removal(meta, "puid")) {
            Some((puid, whole)) => Self::Member { value: puid.span(), whole },
            None => Self::Meta { at: meta.span().start + 1, is_empty: meta.is_empty() },
        })
    }

    /// What stands in which place for a request with this id, or without one.
    fn with(&self, puid: Option<&[u8]>) -> Option<(Range<usize>, Cow<'static, [u8]>)> {
        let around = |before: &str, puid: &[u8], after: &str| [before.as_bytes(), puid, after.as_bytes()].concat();
        let (place, text) = match (self, puid) {
            (Self::Member { whole, .. }, None) => (whole.clone(), Vec::new()),
            (_, None) => return None,
            (Self::Member { value, .. }, Some(puid)) => (value.clone(), puid.to_vec()),
            (Self::Meta { at, is_empty }, Some(puid)) => {
                (*at..*at, around("\"puid\":", puid, if *is_empty { "" } else { "," }))
            }
            (Self::Null(place), Some(puid)) => (place.clone(), around("{\"puid\":", puid, "}")),
            (Self::Root { at }, Some(puid)) => (*at..*at, around("\"meta\":{\"puid\":", puid, "},")),
        };
        Some((place, Cow::Owned(text)))
    }
}
