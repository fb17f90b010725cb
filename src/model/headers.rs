//! A record's headers as HTTP headers, or as gRPC metadata, of its calls. Pure.
//!
//! As the predecessor does, all headers are passed on to every node, but for those that frame a message or belong to one
//! connection, those that are ours, and those that the transport cannot carry.

use std::fmt;
use std::sync::{Arc, OnceLock};

use awc::http::header::{HeaderName, HeaderValue};
use bytes::Bytes;
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue, BinaryMetadataKey, BinaryMetadataValue, MetadataMap};

use crate::record::Headers;

/// Name of the header that carries a request's id.
pub const PUID: HeaderName = HeaderName::from_static("seldon-puid");
/// Name of the header that tells how long the JSON part of V2's binary form is. Each message says it of itself.
pub const INFERENCE_HEADER: HeaderName = HeaderName::from_static("inference-header-content-length");
const OURS: &str = "millrace-";

/// Headers that frame a message, belong to one connection, or would make a server answer in an encoding that is not
/// passed on. `content-encoding`: a body that was taken for JSON is plain.
const NOT_PASSED: [&str; 17] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "inference-header-content-length",
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

/// What a record's calls say besides their bodies. Cheap to clone, and made once for all calls of a record.
#[derive(Clone)]
pub struct CallHeaders(Arc<Shared>);

struct Shared {
    fields: Vec<(HeaderName, HeaderValue)>,
    /// Binary metadata that HTTP headers cannot carry as it is.
    binary: Vec<(HeaderName, Bytes)>,
    /// Headers that neither transport can carry.
    uncarried: usize,
    /// Made for the first gRPC call; with it, how many headers it lacks.
    metadata: OnceLock<(MetadataMap, usize)>,
}

impl CallHeaders {
    /// As HTTP headers, each name in lower case; names may repeat.
    pub fn fields(&self) -> &[(HeaderName, HeaderValue)] {
        &self.0.fields
    }

    /// Names and values of all but the id: what calls with several records must have in common.
    pub fn shared(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let fields = self.0.fields.iter().filter(|(name, _)| *name != PUID);
        let fields = fields.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
        fields.chain(self.0.binary.iter().map(|(name, value)| (name.as_str().as_bytes(), &value[..])))
    }

    /// The same without the id: a call with several records has none.
    pub fn without_id(&self) -> Self {
        let fields = self.0.fields.iter().filter(|(name, _)| *name != PUID).cloned().collect();
        let (binary, uncarried) = (self.0.binary.clone(), self.0.uncarried);
        Self(Arc::new(Shared { fields, binary, uncarried, metadata: OnceLock::new() }))
    }

    /// As gRPC metadata. A value whose name ends in `-bin` may be any bytes, all others are printable ASCII.
    pub fn metadata(&self) -> &MetadataMap {
        &self.made().0
    }

    /// How many of the record's headers metadata cannot carry.
    pub fn not_metadata(&self) -> usize {
        self.made().1
    }

    fn made(&self) -> &(MetadataMap, usize) {
        self.0.metadata.get_or_init(|| self.0.make_metadata())
    }
}

impl fmt::Debug for CallHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may be secret.
        f.debug_list().entries(self.0.fields.iter().map(|(name, _)| name)).finish()
    }
}

impl Shared {
    fn make_metadata(&self) -> (MetadataMap, usize) {
        let mut metadata = MetadataMap::with_capacity(self.fields.len() + self.binary.len() + 1);
        let fields = self.fields.iter().map(|(name, value)| (name, value.as_bytes()));
        let all = fields.chain(self.binary.iter().map(|(name, value)| (name, &value[..])));
        let kept = all.filter(|(name, _)| !is_reserved(name.as_str()));
        let left_out = kept.filter(|(name, value)| append(&mut metadata, name.as_str(), value).is_none()).count();
        (metadata, left_out + self.uncarried)
    }
}

/// Appends a header, if metadata can carry it.
fn append(metadata: &mut MetadataMap, name: &str, value: &[u8]) -> Option<()> {
    // HTTP allows more signs in names; servers close the connection on them.
    let sound = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.".contains(&byte);
    if !name.bytes().all(sound) {
        return None;
    }
    if is_binary(name) {
        let key = BinaryMetadataKey::from_bytes(name.as_bytes()).ok()?;
        metadata.append_bin(key, BinaryMetadataValue::from_bytes(value));
    } else {
        let printable = value.iter().all(|byte| matches!(byte, b' '..=b'~'));
        let mut value = printable.then(|| AsciiMetadataValue::try_from(value).ok()).flatten()?;
        // What one record says is not worth a place in the connection's table of headers, where it may be secret besides.
        value.set_sensitive(true);
        metadata.append(AsciiMetadataKey::from_bytes(name.as_bytes()).ok()?, value);
    }
    Some(())
}

/// Headers of a record's calls, and how many of the record's headers HTTP cannot carry.
///
/// The id is sent exactly once, as it is given here.
pub fn call_headers(record: &Headers, puid: &str) -> (CallHeaders, usize) {
    let (mut left_out, mut uncarried) = (0, 0);
    let mut fields = Vec::with_capacity(record.0.len() + 1);
    let mut binary = Vec::new();
    if let Ok(value) = HeaderValue::from_str(puid) {
        fields.push((PUID, value));
    } else {
        (left_out, uncarried) = (1, 1);
    }
    for header in &record.0 {
        let Some(value) = &header.value else { continue };
        if !is_passed(&header.name) {
            continue;
        }
        match (HeaderName::from_bytes(header.name.as_bytes()), HeaderValue::from_bytes(value)) {
            (Ok(name), Ok(value)) => fields.push((name, value)),
            (Ok(name), Err(_)) => {
                left_out += 1;
                if is_binary(name.as_str()) { binary.push((name, value.clone())) } else { uncarried += 1 }
            }
            (Err(_), _) => {
                left_out += 1;
                uncarried += 1;
            }
        }
    }
    (CallHeaders(Arc::new(Shared { fields, binary, uncarried, metadata: OnceLock::new() })), left_out)
}

fn is_passed(name: &str) -> bool {
    !starts(name, OURS) && !starts(name, "proxy-") && !NOT_PASSED.iter().any(|other| name.eq_ignore_ascii_case(other))
}

/// What the transport says itself in metadata.
fn is_reserved(name: &str) -> bool {
    starts(name, "grpc-") || name == "user-agent"
}

fn is_binary(name: &str) -> bool {
    name.ends_with("-bin")
}

fn starts(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
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
        let fields = call.fields().iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
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
            "Inference-Header-Content-Length",
        ];
        let headers: Vec<_> = names.iter().map(|name| (*name, &b"x"[..])).collect();
        let (fields, left_out) = sent(&headers);
        assert_eq!(fields.len(), 1, "{fields:?}");
        assert_eq!(left_out, 0);
    }

    #[test]
    fn all_else_is_passed_on_and_may_repeat() {
        let (fields, left_out) = sent(&[("traceparent", b"00-1"), ("X-A", b"1"), ("x-a", b"2"), ("bytes", b"\xff")]);
        let names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["seldon-puid", "traceparent", "x-a", "x-a", "bytes"]);
        assert_eq!(left_out, 0);
    }

    #[test]
    fn what_http_cannot_carry_is_left_out_and_counted() {
        let (fields, left_out) = sent(&[("with space", b"1"), ("ünï", b"1"), ("", b"1"), ("ok", b"a\r\nb: c")]);
        assert_eq!(fields.len(), 1, "{fields:?}");
        assert_eq!(left_out, 4);
    }

    fn metadata(headers: &[(&str, &[u8])]) -> (Vec<(String, Vec<u8>)>, usize) {
        let mut record = Headers::default();
        for (name, value) in headers {
            record.push(*name, value.to_vec());
        }
        let (call, _) = call_headers(&record, "id-1");
        let entries = call.metadata().clone().into_headers();
        let entries = entries.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
        (entries, call.not_metadata())
    }

    #[test]
    fn metadata_carries_text_and_under_names_for_it_any_bytes() {
        let (entries, left_out) = metadata(&[
            ("TraceParent", b"00-1"),
            ("x_a.b-c", b"a ~"),
            ("x_a.b-c", b""),
            ("Blob-Bin", b"\x00\xff\n"),
            ("text-bin", b"abc"),
        ]);
        let entries: Vec<_> = entries.iter().map(|(name, value)| (name.as_str(), &value[..])).collect();
        let expected: [(&str, &[u8]); 6] = [
            ("seldon-puid", b"id-1"),
            ("traceparent", b"00-1"),
            ("x_a.b-c", b"a ~"),
            ("x_a.b-c", b""),
            ("text-bin", b"YWJj"),
            ("blob-bin", b"AP8K"),
        ];
        assert_eq!((entries, left_out), (expected.to_vec(), 0));
    }

    #[test]
    fn what_metadata_cannot_carry_is_left_out_and_counted() {
        let (entries, left_out) = metadata(&[
            ("ünï", b"1"),
            ("a!b", b"1"),
            ("umlaut", "ü".as_bytes()),
            ("tab", b"a\tb"),
            ("newline", b"a\nb"),
            ("bad name-bin", b"1"),
        ]);
        assert_eq!((entries.len(), left_out), (1, 6), "{entries:?}");
        // What the transport says itself is not missed, and neither is what frames a message.
        let (entries, left_out) = metadata(&[
            ("grpc-timeout", b"1S"),
            ("Grpc-Encoding", b"gzip"),
            ("User-Agent", b"x"),
            ("te", b"x"),
            ("content-length", b"7"),
            ("proto-name", b"x"),
        ]);
        assert_eq!((entries.len(), left_out), (1, 0), "{entries:?}");
    }
}
