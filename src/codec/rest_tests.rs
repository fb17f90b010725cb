//! Tests of requests and replies over REST: encodings, vectors, binary tensors, aggregation, feedback.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;

use super::*;
use crate::config::settings::Transport::{self, Grpc, Rest};
use crate::record::{CallKind, Form, Header, Headers, Message};

const LIMIT: usize = 1 << 20;
const BINARY: &str = "Inference-Header-Content-Length";

fn headers(pairs: &[(&str, &str)]) -> Headers {
    let mut headers = Headers::default();
    for (name, value) in pairs {
        headers.push(*name, value.as_bytes().to_vec());
    }
    headers
}

fn read(protocol: Protocol, default: Transport, pairs: &[(&str, &str)], body: &[u8]) -> Result<Message, DecodeError> {
    decode(protocol, default, &headers(pairs), Some(&Bytes::copy_from_slice(body)), LIMIT)
}

fn zipped(parts: &[&[u8]]) -> Vec<u8> {
    let mut all = Vec::new();
    for part in parts {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(part).unwrap();
        all.extend(encoder.finish().unwrap());
    }
    all
}

#[test]
fn headers_choose_the_encoding_and_the_default_does_where_they_are_silent() {
    let json = b"{\"inputs\":[]}";
    let is_rest = |default, pairs: &[_]| {
        let read = read(Protocol::V2, default, pairs, json);
        read.map(|message| message.transport() == Rest)
    };
    let proto_name = ("Proto-Name", "inference.ModelInferRequest");
    assert_eq!(is_rest(Rest, &[]), Ok(true));
    for content_type in
        ["application/json", "Application/JSON ; charset=utf-8", "text/json", "application/vnd.x+json;v=1"]
    {
        assert_eq!(is_rest(Grpc, &[("content-type", content_type)]), Ok(true), "{content_type}");
    }
    assert_eq!(is_rest(Grpc, &[("content-TYPE", "application/octet-stream"), (BINARY, "13")]), Ok(true));
    // A name wins over all else, and these bytes are no message.
    let error = is_rest(Rest, &[("Content-Type", "application/json"), proto_name]).unwrap_err();
    assert!(matches!(error, DecodeError::NotProto { name: "inference.ModelInferRequest", .. }), "{error}");
    for content_type in ["application/octet-stream", "application/x-json-lines", "text/plain", "image/svg+xml"] {
        let error = is_rest(Grpc, &[("content-type", content_type)]).unwrap_err();
        assert_eq!(error, DecodeError::NoProtoName { accepted: request_names(Protocol::V2) });
    }
    let error = is_rest(Grpc, &[]).unwrap_err().to_string();
    assert!(error.ends_with("accepted names are inference.ModelInferRequest"), "{error}");
}

#[test]
fn what_a_proto_name_may_be() {
    let refused = |protocol, name: &str| read(protocol, Rest, &[("proto-name", name)], b"x").unwrap_err().to_string();
    assert_eq!(
        refused(Protocol::Seldon, "tensorflow.serving.PredictRequest"),
        "the record's proto-name is 'tensorflow.serving.PredictRequest'; accepted names are \
         seldon.protos.SeldonMessage, seldon.protos.SeldonMessageList",
    );
    for name in ["GetModelStatusRequest", "GetModelMetadataRequest", "PredictResponse", "predictRequest", ""] {
        let error = refused(Protocol::Tensorflow, &format!("tensorflow.serving.{name}"));
        assert!(error.contains("tensorflow.serving.MultiInferenceRequest"), "{error}");
    }
    let name = "inference.ModelInferRequest";
    let error = read(Protocol::V2, Rest, &[("proto-name", name), ("PROTO-NAME", "x")], b"x").unwrap_err();
    assert_eq!(error, DecodeError::ProtoNames);
    assert!(read(Protocol::V2, Rest, &[("proto-name", name), ("PROTO-NAME", name)], b"\x0a\x01m").is_ok());
    // A header without a value is a header.
    let absent = Headers(vec![Header { name: "proto-name".into(), value: None }]);
    let error = decode(Protocol::V2, Rest, &absent, Some(&bytes("{\"inputs\":[]}")), LIMIT).unwrap_err();
    assert!(matches!(error, DecodeError::ProtoName { found, .. } if found.is_empty()));
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// Requests of the protocols' vectors, and whether they are passed on. What only a model can judge is passed on.
#[test]
fn vectors_are_passed_on_or_refused() {
    let cases: [(Protocol, &str, bool); 31] = [
        (Protocol::Tensorflow, r#"{"signature_name":"serving_default","instances":[[5.1,3.5,1.4,0.2]]}"#, true),
        (Protocol::Tensorflow, r#"{"instances":[{"b64":"aGk="}]}"#, true),
        (Protocol::Tensorflow, r#"{"inputs":{"a":1,"b":[1,2]}}"#, true),
        (Protocol::Tensorflow, r#"{"instances":[[NaN,Infinity,-Infinity]]}"#, true),
        (Protocol::Tensorflow, r#"{"instances":[9007199254740993]}"#, true),
        (Protocol::Tensorflow, r#"{"instances":[1.0,1,1e2,0.10]}"#, true),
        (Protocol::Tensorflow, r#"{"instances":[1.0],"instances":[2.0]}"#, true),
        // The model says what is wrong with these.
        (Protocol::Tensorflow, r#"{"instances":[1],"inputs":[1]}"#, true),
        (Protocol::Tensorflow, r#"{"instances":[[1,2],[3]]}"#, true),
        (Protocol::Tensorflow, r#"{"instances":[1,{"a":1}]}"#, true),
        // Its server stops reading where the object ends.
        (Protocol::Tensorflow, r#"{"instances":[1.0]} trailing"#, true),
        (Protocol::V2, r#"{"inputs":[]} trailing"#, false),
        (Protocol::Tensorflow, r#"{"instances":[[1.0,2.0"#, false),
        (Protocol::Tensorflow, r#"{"error":"x"}"#, false),
        (Protocol::V2, r#"{"inputs":[{"name":"x","shape":[1],"datatype":"FLOAT","data":[1]}]}"#, true),
        (Protocol::V2, r#"{"inputs":[{"name":"x","shape":[0,4],"datatype":"FP32","data":[]}]}"#, true),
        (Protocol::V2, r#"{"id":"ü","parameters":{"a":1},"inputs":[]}"#, true),
        (Protocol::V2, "{}", false),
        (Protocol::V2, r#"{"inputs":["#, false),
        (Protocol::V2, r#"{"error":"x"}"#, false),
        (Protocol::Seldon, r#"{"data":{"ndarray":[]}}"#, true),
        (Protocol::Seldon, r#"{"data":{"ndarray":[[[1]]]}}"#, true),
        (Protocol::Seldon, r#"{"data":{"tensor":{"shape":[2,2],"values":[1]}}}"#, true),
        (Protocol::Seldon, r#"{"binData":"AAEC"}"#, true),
        (Protocol::Seldon, r#"{"jsonData":1}"#, true),
        (Protocol::Seldon, r#"{"meta":{"puid":"1"}}"#, true),
        (Protocol::Seldon, r#"{"seldonMessages":[{"strData":"x"}]}"#, true),
        (Protocol::Seldon, r#"{"status":{"status":1,"code":-1}}"#, true),
        (Protocol::Seldon, r#"[{"data":{"ndarray":[1]}}]"#, false),
        (Protocol::Seldon, r#"{"data":{"ndarray":[["#, false),
        (Protocol::Seldon, "", false),
    ];
    for (protocol, body, passed) in cases {
        let value = bytes(body);
        let read = decode(protocol, Rest, &Headers::default(), Some(&value), LIMIT);
        assert_eq!(read.is_ok(), passed, "{body}: {read:?}");
        if let Ok(message) = read {
            assert_eq!(message, Message::json(value.clone()));
            assert_eq!(message.body.as_ptr(), value.as_ptr(), "{body} was copied");
        }
    }
    assert_eq!(decode(Protocol::Seldon, Rest, &Headers::default(), None, LIMIT), Err(DecodeError::Null));
}

#[test]
fn a_content_type_is_kept_unless_it_says_nothing_new() {
    let form = |content_type| read(Protocol::Seldon, Rest, &[("Content-Type", content_type)], b"{}").unwrap().form;
    assert_eq!(form("application/json"), Form::Json { content_type: None });
    for kept in ["application/json; charset=utf-8", "text/plain", ""] {
        assert_eq!(form(kept), Form::Json { content_type: Some(bytes(kept)) });
    }
}

#[test]
fn gzip_is_taken_off_within_the_limit() {
    let unzip = |encoding, value: &[u8], limit| {
        let headers = headers(&[("content-encoding", encoding), ("content-encoding", "identity")]);
        decode(Protocol::Seldon, Rest, &headers, Some(&Bytes::copy_from_slice(value)), limit)
    };
    let body = format!("{{\"strData\":\"{}\"}}", "a".repeat(9_986));
    assert_eq!(body.len(), 10_000);
    let (first, second) = body.as_bytes().split_at(77);
    for encoding in ["gzip", "X-GZIP", " gzip "] {
        assert_eq!(unzip(encoding, &zipped(&[first, second]), 10_000), Ok(Message::json(body.clone())));
    }
    assert_eq!(unzip("gzip", &zipped(&[first, second]), 9_999), Err(DecodeError::TooLarge { limit: 9_999 }));
    assert_eq!(unzip("identity", body.as_bytes(), 10), Ok(Message::json(body.clone())));
    assert_eq!(unzip("br", body.as_bytes(), 10), Err(DecodeError::Encoding("br".to_owned())));
    assert_eq!(unzip("gzip, br", b"", 10), Err(DecodeError::Encoding("gzip, br".to_owned())));
    let twice = headers(&[("content-encoding", "gzip"), ("Content-Encoding", "gzip")]);
    let error = decode(Protocol::Seldon, Rest, &twice, Some(&bytes("x")), 10).unwrap_err();
    assert_eq!(error, DecodeError::Encoding("gzip, gzip".to_owned()));
    let mut damaged = zipped(&[body.as_bytes()]);
    assert!(matches!(unzip("gzip", &damaged[..damaged.len() - 9], LIMIT), Err(DecodeError::Gzip(_))));
    damaged.extend_from_slice(b"rest");
    assert!(matches!(unzip("gzip", &damaged, LIMIT), Err(DecodeError::Gzip(_))));
    assert!(matches!(unzip("gzip", body.as_bytes(), LIMIT), Err(DecodeError::Gzip(_))));
    assert_eq!(unzip("gzip", b"", LIMIT), Err(DecodeError::Empty));
    // Protobuf too.
    let pairs = [("content-encoding", "gzip"), ("proto-name", "seldon.protos.SeldonMessage")];
    let message = read(Protocol::Seldon, Rest, &pairs, &zipped(&[b"\x2a\x01x"])).unwrap();
    assert_eq!(message, Message::proto("seldon.protos.SeldonMessage", &b"\x2a\x01x"[..]));
}

/// BYTES in the binary part, FP32 in the text.
const MIXED: &str = concat!(
    r#"{"inputs":[{"name":"s","shape":[2],"datatype":"BYTES","parameters":{"binary_data_size":15}},"#,
    r#"{"name":"t","shape":[1],"datatype":"FP32","data":[1.0]}]}"#,
);
const TENSORS: &[u8] = b"\x04\0\0\0ab\0\xff\x03\0\0\0xyz";

#[test]
fn binary_tensors_follow_their_text() {
    let body = [MIXED.as_bytes(), TENSORS].concat();
    let request = |length: &str, body: &[u8]| read(Protocol::V2, Grpc, &[(BINARY, length)], body);
    let message = request("149", &body).unwrap();
    assert_eq!((&message.body[..], &message.form), (&body[..], &Form::Binary { json: 149 }));
    let refused = |length: &str, body: &[u8]| match request(length, body).unwrap_err() {
        DecodeError::Binary(fault) => fault,
        other => panic!("{other}"),
    };
    assert_eq!(refused("0", &body), BinaryFault::Raw);
    assert_eq!(refused("165", &body), BinaryFault::Short { json: 165, body: 164 });
    for header in ["-1", "1.0", "", "99999999999999999999", "0x10"] {
        assert_eq!(refused(header, &body), BinaryFault::Header(header.to_owned()));
    }
    assert_eq!(refused("149", &body[..163]), BinaryFault::Sum { sum: 15, rest: 14 });
    assert_eq!(refused("149", &[&body[..], b"x"].concat()), BinaryFault::Sum { sum: 15, rest: 16 });
    for size in ["\"15\"", "15.0", "-1", "null", "18446744073709551616"] {
        let text = MIXED.replace("15", size);
        let body = [text.as_bytes(), TENSORS].concat();
        assert_eq!(refused(&text.len().to_string(), &body), BinaryFault::Size(size.to_owned()));
    }
    let huge = r#"{"inputs":[{"parameters":{"binary_data_size":18446744073709551615}},{"parameters":{"binary_data_size":2}}]}"#;
    assert!(matches!(refused(&huge.len().to_string(), &[huge.as_bytes(), b"x"].concat()), BinaryFault::Sum { .. }));
    assert_eq!(refused("13", b"{\"inputs\":{}}"), BinaryFault::NotList);
    assert!(matches!(request("148", &body), Err(DecodeError::NotJson(_))));
    assert!(matches!(request("2", b"{}"), Err(DecodeError::MissingKey { .. })));
    // Another protocol has no such extension: the header is one of many.
    assert_eq!(read(Protocol::Seldon, Grpc, &[(BINARY, "x")], b"{}"), Ok(Message::json("{}")));
}

#[test]
fn a_binary_answer_becomes_a_request_with_its_tensors() {
    let answer = MIXED.replacen("\"inputs\"", "\"model_name\":\"a\",\"outputs\"", 1);
    let request = answer.replacen("outputs", "inputs", 1);
    let body = [answer.as_bytes(), TENSORS].concat();
    let expected =
        Message { body: [request.as_bytes(), TENSORS].concat().into(), form: Form::Binary { json: request.len() } };
    assert_eq!(read(Protocol::V2, Rest, &[(BINARY, &answer.len().to_string())], &body), Ok(expected.clone()));
    let reply = Message { body: body.into(), form: Form::Binary { json: answer.len() } };
    let prepared = prepare(Protocol::V2, &reply, CallKind::Predict, "b").unwrap();
    assert_eq!(prepared, expected);
    let again = prepare(Protocol::V2, &prepared, CallKind::Predict, "b").unwrap();
    assert_eq!(again.body.as_ptr(), prepared.body.as_ptr(), "copied for nothing");
    let cut = Message { form: Form::Binary { json: 1_000 }, ..reply.clone() };
    assert!(matches!(prepare(Protocol::V2, &cut, CallKind::Predict, "b"), Err(ChainError::Binary(_))));
    assert!(matches!(
        prepare(Protocol::Tensorflow, &reply, CallKind::Predict, "b"),
        Err(ChainError::NotChainable { protocol: "tensorflow", .. })
    ));
}

#[test]
fn json_is_prepared_by_the_rules_of_chaining() {
    let reply =
        Message { body: bytes("{\"predictions\":[1.0]}"), form: Form::Json { content_type: Some(bytes("x/json")) } };
    for kind in CallKind::ALL {
        let prepared = prepare(Protocol::Tensorflow, &reply, kind, "m").unwrap();
        let renamed = matches!(kind, CallKind::Predict | CallKind::TransformInput | CallKind::TransformOutput);
        assert_eq!(
            prepared.body,
            if renamed { "{\"instances\":[1.0]}" } else { "{\"predictions\":[1.0]}" },
            "{kind:?}"
        );
        assert_eq!(prepared.form, reply.form);
    }
    let v2 = Message::json("{\"model_name\":\"a\",\"model_version\":\"1\",\"outputs\":[]}");
    let prepared = prepare(Protocol::V2, &v2, CallKind::Predict, "b").unwrap();
    assert_eq!(prepared.body, "{\"model_name\":\"a\",\"model_version\":\"1\",\"inputs\":[]}");
    let seldon = Message::json("not even JSON");
    let prepared = prepare(Protocol::Seldon, &seldon, CallKind::Predict, "b").unwrap();
    assert_eq!(prepared.body.as_ptr(), seldon.body.as_ptr());
}

#[test]
fn replies_are_aggregated_as_a_list_of_what_they_are() {
    let all = [Message::json("{\"a\": 1.0}"), Message::json(" [NaN]\n"), Message::json("9007199254740993")];
    for protocol in [Protocol::Seldon, Protocol::Tensorflow, Protocol::V2] {
        let list = aggregate(protocol, &all).unwrap();
        assert_eq!(list, Message::json("[{\"a\": 1.0}, [NaN]\n,9007199254740993]"));
        assert_eq!(aggregate(protocol, &[]), Err(ChainError::NoReply));
    }
    assert_eq!(aggregate(Protocol::V2, &all[..1]).unwrap().body, "[{\"a\": 1.0}]");
    let broken = [all[0].clone(), Message::json("{} x")];
    assert_eq!(
        aggregate(Protocol::V2, &broken).unwrap_err().to_string(),
        "the replies cannot be combined, that of child 1 is not JSON: unexpected data after the value at byte 3",
    );
    let binary = Message { body: bytes("{}"), form: Form::Binary { json: 2 } };
    for other in [binary, Message::proto("seldon.protos.SeldonMessage", "")] {
        let error = aggregate(Protocol::V2, &[all[0].clone(), other]).unwrap_err();
        assert!(matches!(error, ChainError::ChildForm { child: 1, expected: "JSON", .. }), "{error}");
    }
}

#[test]
fn feedback_is_json_or_a_message_of_its_own() {
    let feedback =
        |default, pairs: &[_], body: &str| decode_feedback(default, &headers(pairs), Some(&bytes(body)), LIMIT);
    for key in ["request", "response", "reward", "truth"] {
        let body = format!("{{\"{key}\":1}}");
        assert_eq!(feedback(Rest, &[], &body), Ok(Message::json(body)));
    }
    assert!(matches!(feedback(Rest, &[], "{\"data\":{}}"), Err(DecodeError::MissingKey { protocol: "feedback", .. })));
    assert_eq!(feedback(Rest, &[], ""), Err(DecodeError::Empty));
    assert_eq!(feedback(Rest, &[], "[]"), Err(DecodeError::NotObject(Root::Array)));
    assert_eq!(decode_feedback(Rest, &Headers::default(), None, LIMIT), Err(DecodeError::Null));
    assert_eq!(feedback(Grpc, &[], "x"), Err(DecodeError::NoProtoName { accepted: &[FEEDBACK] }));
    let name = [("proto-name", FEEDBACK)];
    assert_eq!(feedback(Rest, &name, "\x1d\0\0\0\0"), Ok(Message::proto(FEEDBACK, "\x1d\0\0\0\0")));
    assert_eq!(feedback(Rest, &name, ""), Err(DecodeError::EmptyProto { name: FEEDBACK }));
    assert!(matches!(feedback(Rest, &name, "\x1d"), Err(DecodeError::NotProto { .. })));
    let other = [("proto-name", "seldon.protos.SeldonMessage")];
    assert!(matches!(feedback(Rest, &other, "x"), Err(DecodeError::ProtoName { .. })));
}

proptest! {
    #[test]
    fn what_was_compressed_is_what_is_read(body in "\\{\"a\":\"[a-z]{0,200}\"\\}", cut in any::<prop::sample::Index>()) {
        let value = zipped(&[body.as_bytes()]);
        let unzip = |value: &[u8]| read(Protocol::Seldon, Rest, &[("content-encoding", "gzip")], value);
        prop_assert_eq!(unzip(&value), Ok(Message::json(body)));
        prop_assert!(unzip(&value[..cut.index(value.len())]).is_err());
    }
}
