//! Tests of what each protocol takes as a request, and of chaining.

use proptest::prelude::*;

use super::*;
use crate::config::settings::Transport;
use crate::record::{CallKind, Headers, Message};

fn check(protocol: Protocol, value: Option<&Bytes>) -> Result<Bytes, DecodeError> {
    decode(protocol, Transport::Rest, &Headers::default(), value, usize::MAX).map(|message| message.body)
}

fn chain(protocol: Protocol, reply: &Bytes) -> Result<Bytes, ChainError> {
    prepare(protocol, &Message::json(reply.clone()), CallKind::Predict, "next").map(|message| message.body)
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn text(result: Result<Bytes, ChainError>) -> String {
    String::from_utf8(result.unwrap().to_vec()).unwrap()
}

#[test]
fn what_is_no_request_is_refused_with_the_reason() {
    let refused = |protocol, value: Option<&str>| check(protocol, value.map(bytes).as_ref()).unwrap_err();
    for protocol in [Protocol::Seldon, Protocol::Tensorflow, Protocol::V2] {
        assert_eq!(refused(protocol, None), DecodeError::Null);
        assert_eq!(refused(protocol, Some("")), DecodeError::Empty);
        assert_eq!(refused(protocol, Some("[]")), DecodeError::NotObject(Root::Array));
        assert_eq!(refused(protocol, Some("NaN")), DecodeError::NotObject(Root::Scalar));
        assert!(matches!(refused(protocol, Some("{\"inputs\":[1}")), DecodeError::NotJson(error) if error.at == 12));
    }
    assert!(matches!(refused(Protocol::Tensorflow, Some("{\"data\":{}}")), DecodeError::MissingKey { .. }));
    assert!(matches!(refused(Protocol::V2, Some("{\"instances\":[]}")), DecodeError::MissingKey { .. }));
    assert_eq!(
        refused(Protocol::V2, Some("{}")).to_string(),
        "the record's value lacks 'inputs', which a v2 request must have",
    );
    assert_eq!(
        refused(Protocol::Seldon, Some("hello")).to_string(),
        "the record's value is not JSON: expected a value at byte 0",
    );
    assert_eq!(
        refused(Protocol::Seldon, Some(" []")).to_string(),
        "the record's value is a JSON array; a request must be an object",
    );
}

#[test]
fn a_request_is_passed_on_as_the_same_bytes() {
    for (protocol, body) in [
        (Protocol::Seldon, " {\"data\":{\"ndarray\":[[1.0, 9007199254740993,NaN]]}}\n"),
        (Protocol::Seldon, "{}"),
        (Protocol::Tensorflow, "{\"signature_name\":\"x\",\"instances\":[1.0,1,1e2]}"),
        (Protocol::Tensorflow, "{\"inputs\":{\"a\":[-0.0]}, \"predictions\":1}"),
        (Protocol::V2, "{\"outputs\":[{\"name\":\"y\"}],\"inputs\":[]}"),
    ] {
        let value = bytes(body);
        let request = check(protocol, Some(&value)).unwrap();
        assert_eq!(request.as_ptr(), value.as_ptr(), "{body} was copied");
        assert_eq!(request, value);
    }
}

#[test]
fn an_answer_on_the_input_topic_becomes_a_request() {
    let value = bytes("{\"predictions\":[[0.5]]}");
    assert_eq!(check(Protocol::Tensorflow, Some(&value)).unwrap(), "{\"instances\":[[0.5]]}");
}

#[test]
fn chaining_renames_one_key_and_nothing_else() {
    let chained = |protocol, reply| text(chain(protocol, &bytes(reply)));
    assert_eq!(
        chained(Protocol::Tensorflow, "{\n  \"predictions\": [9007199254740993, 1.0, 1, 1e2, NaN]\n}"),
        "{\n  \"instances\": [9007199254740993, 1.0, 1, 1e2, NaN]\n}",
    );
    assert_eq!(chained(Protocol::Tensorflow, "{\"outputs\":{\"a\":1}}"), "{\"inputs\":{\"a\":1}}");
    assert_eq!(
        chained(Protocol::Tensorflow, "{\"predictions\":1,\"instances\":2}"),
        "{\"predictions\":1,\"instances\":2}"
    );
    assert_eq!(
        chained(Protocol::V2, "{\"model_name\":\"m\",\"outputs\":[{\"outputs\":1}],\"id\":\"7\"}"),
        "{\"model_name\":\"m\",\"inputs\":[{\"outputs\":1}],\"id\":\"7\"}",
    );
    assert_eq!(chained(Protocol::Seldon, "not even JSON"), "not even JSON");
}

#[test]
fn a_reply_that_cannot_be_chained_says_why() {
    let refused = |protocol, reply| chain(protocol, &bytes(reply)).unwrap_err().to_string();
    assert_eq!(
        refused(Protocol::Tensorflow, "{\"error\":\"x\"}"),
        "the reply cannot be passed to the next node, it lacks 'predictions' or 'outputs', which a tensorflow reply must have",
    );
    assert_eq!(
        refused(Protocol::V2, "Internal Server Error"),
        "the reply cannot be passed to the next node, it is not JSON: expected a value at byte 0",
    );
    assert_eq!(
        refused(Protocol::V2, "[1]"),
        "the reply cannot be passed to the next node, it is a JSON array, not an object",
    );
}

#[test]
fn captured_replies_of_real_servers_chain() {
    // Triton, KServe and MLServer differ in keys and spacing.
    let triton = "{\"model_name\":\"m\",\"model_version\":\"1\",\"outputs\":[{\"name\":\"y\",\"datatype\":\"FP32\",\"shape\":[2],\"data\":[NaN,1.0]}]}";
    assert_eq!(text(chain(Protocol::V2, &bytes(triton))), triton.replace("outputs", "inputs"));
}

/// Numbers as text that a parser would not give back unchanged.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
        Just("NaN".into()),
        Just("-Infinity".into()),
        Just("9007199254740993".into()),
    ]
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![number(), "[a-z\\\\u]{0,4}".prop_map(|s| serde_json::to_string(&s).unwrap_or_default())];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(" ,"))),
            proptest::collection::vec(inner, 0..4).prop_map(|items| {
                let members: Vec<_> = items.iter().map(|item| format!("\"outputs\":{item}")).collect();
                format!("{{{}}}", members.join(", "))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn no_byte_but_the_renamed_key_changes(
        before in proptest::collection::vec(("[a-h]{0,8}", value()), 0..4),
        result in value(),
        after in proptest::collection::vec(("[a-h]{0,8}", value()), 0..4),
        space in "[ \\n\\t]{0,3}",
    ) {
        for (protocol, from, to) in [
            (Protocol::Tensorflow, "\"predictions\"", "\"instances\""),
            (Protocol::Tensorflow, "\"outputs\"", "\"inputs\""),
            (Protocol::V2, "\"outputs\"", "\"inputs\""),
        ] {
            let document = |key: &str| {
                let mut members: Vec<_> = before.iter().map(|(k, v)| format!("{space}\"{k}\":{space}{v}")).collect();
                members.push(format!("{key}{space}:{result}"));
                members.extend(after.iter().map(|(k, v)| format!("\"{k}\"{space}:{v}{space}")));
                format!("{space}{{{}}}{space}", members.join(","))
            };
            prop_assert_eq!(text(chain(protocol, &bytes(&document(from)))), document(to));
        }
    }

    #[test]
    fn a_chained_reply_is_a_request(body in "\\{\"(predictions|outputs|inputs|instances|x)\":[1-9][0-9]{0,2}\\}") {
        for protocol in [Protocol::Seldon, Protocol::Tensorflow, Protocol::V2] {
            if let Ok(request) = chain(protocol, &bytes(&body)) {
                prop_assert_eq!(check(protocol, Some(&request)).unwrap(), request);
            }
        }
    }
}
