//! Decompresses a record's value, within bounds.

use std::io::Read;

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;

use super::error::{DecodeError, shown};
use crate::record::Headers;

/// The value as it was before its `Content-Encoding`; the same bytes if it has none. An empty value stays empty.
///
/// More than `limit` bytes are an error, and are never in memory.
pub(super) fn plain(headers: &Headers, value: &Bytes, limit: usize) -> Result<Bytes, DecodeError> {
    let named = headers.0.iter().filter(|header| header.name.eq_ignore_ascii_case("content-encoding"));
    let values = named.filter_map(|header| header.value.as_deref().map(<[u8]>::trim_ascii));
    let mut encodings = values.filter(|value| !value.is_empty() && !value.eq_ignore_ascii_case(b"identity"));
    match (encodings.next(), encodings.next()) {
        (None, _) => Ok(value.clone()),
        (Some(encoding), None) if [&b"gzip"[..], b"x-gzip"].iter().any(|name| encoding.eq_ignore_ascii_case(name)) => {
            if value.is_empty() {
                Ok(value.clone())
            } else {
                unzip(value, limit)
            }
        }
        (Some(encoding), None) => Err(DecodeError::Encoding(shown(encoding))),
        (Some(first), Some(second)) => Err(DecodeError::Encoding(shown(&[first, second].join(&b", "[..])))),
    }
}

fn unzip(value: &[u8], limit: usize) -> Result<Bytes, DecodeError> {
    let mut plain = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    MultiGzDecoder::new(value)
        .take(most)
        .read_to_end(&mut plain)
        .map_err(|error| DecodeError::Gzip(error.to_string()))?;
    if plain.len() > limit {
        return Err(DecodeError::TooLarge { limit });
    }
    plain.shrink_to_fit();
    Ok(plain.into())
}
