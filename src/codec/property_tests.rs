//! No bytes make the codec panic, and what it accepts holds what it promises.

use std::{fs, path::Path};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;
use crate::config::settings::Transport;
use crate::record::{CallKind, Form, Headers, Message};

const LIMIT: usize = 1 << 16;

/// Names of messages that a record or a reply may have.
const NAMES: [&str; 9] = [
    "seldon.protos.SeldonMessage",
    "seldon.protos.SeldonMessageList",
    FEEDBACK,
    "tensorflow.serving.PredictRequest",
    "tensorflow.serving.PredictResponse",
    "tensorflow.serving.RegressionRequest",
    "tensorflow.serving.ClassificationResponse",
    "inference.ModelInferRequest",
    "inference.ModelInferResponse",
];

const TEXTS: [&str; 10] = [
    r#"{"data":{"names":["a"],"ndarray":[[1.0,2],["x"]]},"meta":{"routing":{"a":1}}}"#,
    r#"{"data":{"tensor":{"shape":[1,1],"values":[1.0]}}}"#,
    r#"{"data":{"tftensor":{"dtype":"DT_INT64","int64Val":["1"]}}}"#,
    r#"{"response":{"meta":{"routing":{"a":1}}},"reward":1}"#,
    r#"{"signature_name":"s","instances":[[1,NaN]]}"#,
    r#"{"predictions":[[1]]}"#,
    r#"{"inputs":[{"name":"s","datatype":"INT8","parameters":{"binary_data_size":2}}]}12"#,
    r#"{"outputs":[{"name":"s","datatype":"INT8","parameters":{"binary_data_size":2}}]}12"#,
    r#"{"outputs":[{"name":"y","shape":[1],"datatype":"INT64","data":[1]}],"id":"7"}"#,
    "[[1]]",
];

/// A message that is right, or was before a few bytes changed, or that never was.
fn body() -> impl Strategy<Value = Bytes> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/tests/vectors");
    let index = fs::read_to_string(folder.join("index.txt")).unwrap();
    let files = index.lines().filter_map(|line| line.split(' ').next());
    let mut right: Vec<Vec<u8>> = files.map(|file| fs::read(folder.join(file)).unwrap()).collect();
    right.extend(TEXTS.map(|text| text.as_bytes().to_vec()).into_iter().cycle().take(100));
    let byte = || prop_oneof![any::<u8>(), select(&b"{}[]\",:0123456789-.eE\n\x12\x1a\x22\x2a\x32\x08"[..])];
    let damaged = (select(right), vec((any::<Index>(), byte(), 0..3u8), 0..4)).prop_map(|(mut body, changes)| {
        for (at, byte, how) in changes {
            let at = at.index(body.len() + 1);
            match how {
                0 => body.insert(at, byte),
                1 => body.truncate(at),
                _ => body.iter_mut().skip(at).take(1).for_each(|old| *old = byte),
            }
        }
        body
    });
    prop_oneof![3 => damaged, 1 => vec(byte(), 0..48)].prop_map(Bytes::from)
}

fn protocol() -> impl Strategy<Value = Protocol> {
    select(vec![Protocol::Seldon, Protocol::Tensorflow, Protocol::V2])
}

fn transport() -> impl Strategy<Value = Transport> {
    select(vec![Transport::Rest, Transport::Grpc])
}

fn headers() -> impl Strategy<Value = Headers> {
    let length = prop_oneof![(0..100usize).prop_map(|length| length.to_string()), ".{0,4}"].boxed();
    let pair = prop_oneof![
        3 => select(NAMES.to_vec()).prop_map(|name| ("proto-name", name.to_owned())),
        1 => length.prop_map(|length| ("inference-header-content-length", length)),
        1 => select(vec!["application/json", "text/plain"]).prop_map(|kind| ("content-type", kind.to_owned())),
        1 => select(vec!["gzip", "identity", "br"]).prop_map(|coding| ("content-encoding", coding.to_owned())),
    ];
    vec(pair, 0..3).prop_map(|pairs| {
        let mut headers = Headers::default();
        for (name, value) in pairs {
            headers.push(name, value);
        }
        headers
    })
}

fn form() -> impl Strategy<Value = Form> {
    prop_oneof![
        Just(Form::Json { content_type: None }),
        (0..100usize).prop_map(|json| Form::Binary { json }),
        select(NAMES.to_vec()).prop_map(Form::Proto),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    (body(), form()).prop_map(|(body, form)| Message { body, form })
}

/// What must hold of a message that goes to a node.
fn is_sound(protocol: Protocol, message: &Message) {
    match message.form {
        // Its server reads no further than the end of the object.
        Form::Json { .. } if protocol == Protocol::Tensorflow => {
            assert!(json::first_members(&message.body, [""]).is_ok());
        }
        Form::Json { .. } => assert!(json::scan(&message.body, |_| {}).is_ok()),
        Form::Binary { json } => {
            assert_eq!(protocol, Protocol::V2);
            assert!(json::scan(&message.body[..json], |_| {}).is_ok());
        }
        Form::Proto(name) => {
            assert!(request_names(protocol).contains(&name));
            wire::check(wire::schema(name).unwrap(), &message.body).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_decoded_request_is_sound_and_can_be_sent(
        protocol in protocol(), default in transport(), headers in headers(), body in body(),
    ) {
        if let Ok(request) = decode(protocol, default, &headers, Some(&body), LIMIT) {
            is_sound(protocol, &request);
            for kind in CallKind::ALL {
                let sent = prepare(protocol, &request, kind, "m").unwrap();
                is_sound(protocol, &sent);
                // A second node of the same name is sent the same.
                prop_assert_eq!(prepare(protocol, &sent, kind, "m").unwrap(), sent);
            }
        }
        if let Ok(feedback) = decode_feedback(default, &headers, Some(&body), LIMIT) {
            drop(feedback_route(&feedback, "a"));
        }
    }

    #[test]
    fn a_prepared_reply_is_sound(protocol in protocol(), reply in message()) {
        let sent = prepare(protocol, &reply, CallKind::Predict, "m");
        match sent {
            // What came as a request was checked when it came, and Seldon's replies go as they are.
            Ok(sent) if protocol != Protocol::Seldon && sent.body != reply.body && sent.form != reply.form => {
                is_sound(protocol, &sent);
            }
            _ => {}
        }
    }

    #[test]
    fn an_aggregate_is_one_message(protocol in protocol(), replies in vec(message(), 0..4)) {
        if let Ok(all) = aggregate(protocol, &replies) {
            is_sound(protocol, &all);
            prop_assert!(all.body.len() > replies.iter().map(|reply| reply.body.len()).sum::<usize>());
        }
    }

    #[test]
    fn a_route_is_at_least_minus_two(protocol in protocol(), reply in message(), node in "[a-c\"]") {
        for route in [route(protocol, &reply), feedback_route(&reply, &node)].into_iter().flatten() {
            prop_assert!(route >= -2);
        }
    }
}
