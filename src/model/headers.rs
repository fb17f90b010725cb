//! A record's headers as HTTP headers of its calls. Pure.
//!
//! As the predecessor does, all headers are passed on to every node, but for those that frame a message or belong to one
//! connection, those that are ours, and those that HTTP cannot carry.

use std::sync::Arc;

use awc::http::header::{HeaderName, HeaderValue};

use crate::record::Headers;

/// Name of the header that carries a request's id.
pub const PUID: HeaderName = HeaderName::from_static("seldon-puid");
const OURS: &str = "millrace-";

/// Headers that frame a message, belong to one connection, or would make a server answer in an encoding that is not
/// passed on. `content-encoding`: a body that was taken for JSON is plain.
const NOT_PASSED: [&str; 16] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proto-name",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-type",
    "seldon-puid",
];

/// What a record's calls say besides their bodies. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CallHeaders {
    /// All others, each name in lower case; names may repeat.
    pub fields: Arc<[(HeaderName, HeaderValue)]>,
}

/// Headers of a record's calls, and how many of the record's headers HTTP cannot carry.
///
/// The id is sent exactly once, as it is given here.
pub fn call_headers(record: &Headers, puid: &str) -> (CallHeaders, usize) {
    let mut left_out = 0;
    let mut fields = Vec::with_capacity(record.0.len() + 1);
    match HeaderValue::from_str(puid) {
        Ok(value) => fields.push((PUID, value)),
        Err(_) => left_out += 1,
    }
    for header in &record.0 {
        let Some(value) = &header.value else { continue };
        if !is_passed(&header.name) {
            continue;
        }
        match (HeaderName::from_bytes(header.name.as_bytes()), HeaderValue::from_bytes(value)) {
            (Ok(name), Ok(value)) => fields.push((name, value)),
            _ => left_out += 1,
        }
    }
    (CallHeaders { fields: fields.into() }, left_out)
}

fn is_passed(name: &str) -> bool {
    let starts = |prefix: &str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    !starts(OURS) && !starts("proxy-") && !NOT_PASSED.iter().any(|other| name.eq_ignore_ascii_case(other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Header;

    fn sent(headers: &[(&str, &[u8])]) -> (Vec<(String, Vec<u8>)>, usize) {
        let mut record = Headers::default();
        for (name, value) in headers {
            record.push(*name, value.to_vec());
        }
        record.0.push(Header { name: "absent".into(), value: None });
        let (call, left_out) = call_headers(&record, "id-1");
        let fields = call.fields.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
        (fields, left_out)
    }

    #[test]
    fn the_id_is_sent_once_whatever_the_record_says() {
        let (fields, ..) = sent(&[("Seldon-Puid", b"a"), ("seldon-puid", b"b"), ("SELDON-PUID", b"c")]);
        assert_eq!(fields, [("seldon-puid".to_owned(), b"id-1".to_vec())]);
    }

    #[test]
    fn framing_connection_and_own_headers_stay_behind() {
        let names = [
            "Connection",
            "Content-Length",
            "HOST",
            "transfer-encoding",
            "TE",
            "Upgrade",
            "Keep-Alive",
            "Proxy-Authorization",
            "Expect",
            "Trailer",
            "Accept-Encoding",
            "Content-Encoding",
            "Content-Type",
            "Millrace-Source-Topic",
            "proto-name",
        ];
        let headers: Vec<_> = names.iter().map(|name| (*name, &b"x"[..])).collect();
        let (fields, left_out) = sent(&headers);
        assert_eq!(fields.len(), 1, "{fields:?}");
        assert_eq!(left_out, 0);
    }

    #[test]
    fn all_else_is_passed_on_and_may_repeat() {
        let (fields, left_out) = sent(&[
            ("traceparent", b"00-1"),
            ("X-A", b"1"),
            ("x-a", b"2"),
            ("Inference-Header-Content-Length", b"9"),
            ("bytes", b"\xff"),
        ]);
        let names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["seldon-puid", "traceparent", "x-a", "x-a", "inference-header-content-length", "bytes"]);
        assert_eq!(left_out, 0);
    }

    #[test]
    fn what_http_cannot_carry_is_left_out_and_counted() {
        let (fields, left_out) = sent(&[("with space", b"1"), ("ünï", b"1"), ("", b"1"), ("ok", b"a\r\nb: c")]);
        assert_eq!(fields.len(), 1, "{fields:?}");
        assert_eq!(left_out, 4);
    }
}
