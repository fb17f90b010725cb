//! Undoing gzip within bounds, for replies of both transports.

use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;

use super::error::CallError;

/// What was compressed, if that is at most `limit` bytes.
///
/// No more than one byte beyond the limit is ever unpacked, whatever the input claims.
pub(super) fn gunzip(bytes: &[u8], limit: usize) -> Result<Bytes, CallError> {
    let mut plain = Vec::with_capacity(bytes.len().saturating_mul(2).min(limit));
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    match MultiGzDecoder::new(bytes).take(most).read_to_end(&mut plain) {
        Ok(_) if plain.len() > limit => Err(CallError::ReplyTooLarge { limit }),
        Ok(_) => Ok(plain.into()),
        Err(error) => Err(CallError::BadReply(format!("said to be gzip, but it is not: {error}"))),
    }
}

/// What [`gunzip`] undoes.
#[cfg(test)]
pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_comes_back() {
        assert_eq!(gunzip(&gzip(b"{}"), 2).unwrap(), "{}");
        assert_eq!(gunzip(&gzip(b""), 0).unwrap(), "");
        let members = [gzip(b"{\"a\":"), gzip(b"1}")].concat();
        assert_eq!(gunzip(&members, 100).unwrap(), "{\"a\":1}");
    }

    #[test]
    fn a_bomb_is_too_large_and_not_unpacked() {
        let bomb = gzip(&vec![0; 10_000_000]);
        assert!(bomb.len() < 20_000);
        assert_eq!(gunzip(&bomb, 9_999_999), Err(CallError::ReplyTooLarge { limit: 9_999_999 }));
        assert_eq!(gunzip(&bomb, 10_000_000).unwrap().len(), 10_000_000);
    }

    #[test]
    fn what_is_cut_or_no_gzip_is_no_reply() {
        let whole = gzip(b"some text that is long enough to be cut somewhere");
        for end in 0..whole.len() {
            let result = gunzip(&whole[..end], 1_000);
            assert!(matches!(result, Err(CallError::BadReply(_))), "cut at {end}: {result:?}");
        }
        assert!(matches!(gunzip(b"{}", 1_000), Err(CallError::BadReply(_))));
    }
}
