//! Metadata in protobuf: a further `meta` field before or after the message, which is not written anew. Readers merge
//! repeated fields: of a map's entries the last of a key counts, lists are joined.

use std::collections::BTreeSet;

use bytes::Bytes;
use millrace_proto::seldon::{Meta, Metric, SeldonMessage};
use prost::Message as _;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use super::MetaError;

/// The number of `SeldonMessage.meta`.
const META: u32 = 2;

/// All `meta` fields of a message as one; nothing when it has none.
fn meta(body: &Bytes) -> Result<Option<Meta>, MetaError> {
    let broken = |error: prost::DecodeError| MetaError::NotProto(error.to_string());
    let mut rest = body.clone();
    let mut found: Option<Meta> = None;
    while !rest.is_empty() {
        let (number, wire) = decode_key(&mut rest).map_err(broken)?;
        if (number, wire) != (META, WireType::LengthDelimited) {
            skip_field(wire, number, &mut rest, DecodeContext::default()).map_err(broken)?;
            continue;
        }
        let length = decode_varint(&mut rest).map_err(broken)?;
        let length = usize::try_from(length).ok().filter(|&length| length <= rest.len());
        let length = length.ok_or_else(|| MetaError::NotProto("its metadata is cut short".to_owned()))?;
        found.get_or_insert_default().merge(rest.split_to(length)).map_err(broken)?;
    }
    Ok(found)
}

/// A message with nothing but the parts of a reply's metadata that are handed on; nothing when it has none.
pub(super) fn handed_on(body: &Bytes) -> Result<Option<Bytes>, MetaError> {
    let Some(meta) = meta(body)? else { return Ok(None) };
    let (tags, request_path, metrics) = (meta.tags, meta.request_path, meta.metrics);
    Ok(field(Meta { tags, request_path, metrics, ..Meta::default() }).map(Bytes::from))
}

/// A message with this metadata and nothing else; nothing for none.
fn field(meta: Meta) -> Option<Vec<u8>> {
    let empty = meta == Meta::default();
    (!empty).then(|| SeldonMessage { meta: Some(meta), ..SeldonMessage::default() }.encode_to_vec())
}

/// The message with what `from`, messages with nothing but metadata, add to it. Nothing when that is nothing.
pub(super) fn merge(body: &Bytes, from: &[Bytes]) -> Result<Option<Vec<u8>>, MetaError> {
    let own = meta(body)?.unwrap_or_default();
    let repeated: BTreeSet<_> = own.metrics.iter().map(Metric::encode_to_vec).collect();
    let mut added = Meta::default();
    for body in from {
        let Some(mut meta) = meta(body)? else { continue };
        meta.tags.retain(|name, _| !own.tags.contains_key(name));
        meta.request_path.retain(|name, _| !own.request_path.contains_key(name));
        meta.metrics.retain(|metric| !repeated.contains(&metric.encode_to_vec()));
        added.tags.extend(meta.tags);
        added.request_path.extend(meta.request_path);
        added.metrics.extend(meta.metrics);
    }
    // Before the message, so that its metrics stand after those.
    Ok(field(added).map(|field| [&field[..], body].concat()))
}

/// The message with these routes. Nothing when it is none, or has them.
pub(super) fn with_routing(body: &Bytes, routes: &[(&str, i32)]) -> Option<Vec<u8>> {
    let known = meta(body).ok()?.unwrap_or_default().routing;
    let missing = routes.iter().filter(|(node, route)| known.get(*node) != Some(route));
    let routing = missing.map(|(node, route)| ((*node).to_owned(), *route)).collect();
    // After the message, so that these count.
    field(Meta { routing, ..Meta::default() }).map(|field| [&body[..], &field].concat())
}
