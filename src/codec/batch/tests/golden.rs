//! Requests and replies that were recorded: `a` and `b` together are `ab`, and every other one is not merged with `a`.

use std::fs;
use std::path::{Path, PathBuf};

use inference::{ModelInferRequest, ModelInferResponse};
use millrace_proto::seldon::SeldonMessage;
use prost::Message as _;
use serving::{PredictRequest, PredictResponse};

use super::*;

/// Folders, with the message that is in them.
const FOLDERS: [(&str, Protocol, Option<&str>); 6] = [
    ("tests/vectors/tensorflow", Protocol::Tensorflow, None),
    ("tests/vectors/seldon", Protocol::Seldon, None),
    ("tests/vectors/v2", Protocol::V2, None),
    ("proto/tests/vectors/tensorflow", Protocol::Tensorflow, Some(PredictRequest::PROTO_NAME)),
    ("proto/tests/vectors/seldon", Protocol::Seldon, Some(SeldonMessage::PROTO_NAME)),
    ("proto/tests/vectors/v2", Protocol::V2, Some(ModelInferRequest::PROTO_NAME)),
];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn message(path: &Path, name: Option<&'static str>) -> Message {
    let body = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    name.map_or_else(|| Message::json(body.clone()), |name| Message::proto(name, body.clone()))
}

/// What two messages mean, however they are written.
fn same_meaning(left: &Message, right: &Message) {
    let json = |message: &Message| serde_json::from_slice::<serde_json::Value>(&message.body).unwrap();
    match left.form {
        Form::Proto(PredictRequest::PROTO_NAME) => same_decoded::<PredictRequest>(left, right),
        Form::Proto(PredictResponse::PROTO_NAME) => same_decoded::<PredictResponse>(left, right),
        Form::Proto(SeldonMessage::PROTO_NAME) => same_decoded::<SeldonMessage>(left, right),
        Form::Proto(ModelInferRequest::PROTO_NAME) => {
            same_decoded::<ModelInferRequest>(left, right);
        }
        Form::Proto(_) => same_decoded::<ModelInferResponse>(left, right),
        _ => assert_eq!(json(left), json(right)),
    }
}

fn same_decoded<M: prost::Message + Default + PartialEq + std::fmt::Debug>(left: &Message, right: &Message) {
    assert_eq!(M::decode(left.body.clone()).unwrap(), M::decode(right.body.clone()).unwrap());
}

fn path(folder_name: &str, stem: &str, proto: bool) -> PathBuf {
    folder(folder_name).join(format!("{stem}.{}", if proto { "pb" } else { "json" }))
}

fn pair(name: &str, protocol: Protocol, proto: Option<&'static str>) -> Vec<Part> {
    let recorded = |stem| as_bytes(&message(&path(name, stem, proto.is_some()), proto));
    ["batch_a", "batch_b"].map(|stem| of(protocol, &recorded(stem)).expect(stem)).into()
}

/// With the floats as bytes: the vectors have both encodings, which are not merged.
fn as_bytes(message: &Message) -> Message {
    let bytes = |floats: &mut Vec<f32>| floats.drain(..).flat_map(f32::to_le_bytes).collect::<Vec<_>>().into();
    match message.form {
        Form::Proto(PredictRequest::PROTO_NAME) => {
            let mut request = PredictRequest::decode(message.body.clone()).unwrap();
            for tensor in request.inputs.values_mut().filter(|tensor| tensor.tensor_content.is_empty()) {
                tensor.tensor_content = bytes(&mut tensor.float_val);
            }
            Message::proto(PredictRequest::PROTO_NAME, request.encode_to_vec())
        }
        Form::Proto(ModelInferRequest::PROTO_NAME) => {
            let mut request = ModelInferRequest::decode(message.body.clone()).unwrap();
            for contents in request.inputs.iter_mut().filter_map(|input| input.contents.take()) {
                request.raw_input_contents.push(bytes(&mut contents.fp32_contents.clone()));
            }
            Message::proto(ModelInferRequest::PROTO_NAME, request.encode_to_vec())
        }
        _ => message.clone(),
    }
}

#[test]
fn two_requests_are_the_one_that_was_recorded() {
    for (name, protocol, proto) in FOLDERS {
        let parts = pair(name, protocol, proto);
        assert_eq!(parts[0].key(), parts[1].key(), "{name}");
        let recorded = message(&path(name, "batch_ab", proto.is_some()), proto);
        same_meaning(&merge(&parts), &as_bytes(&recorded));
    }
}

#[test]
fn requests_that_differ_in_more_are_not_merged_with_them() {
    for (name, protocol, proto) in FOLDERS {
        let key = pair(name, protocol, proto)[0].key().to_vec();
        let files = fs::read_dir(folder(name)).unwrap().map(|file| file.unwrap().path());
        let others = files.filter(|path| {
            let stem = path.file_stem().unwrap().to_str().unwrap();
            stem.strip_prefix("batch_").is_some_and(|rest| rest.starts_with(['c', 'd', 'e', 'f']))
        });
        let mut seen = 0;
        for path in others {
            let part = of(protocol, &message(&path, proto));
            assert!(part.is_none_or(|part| part.key() != key), "{}", path.display());
            seen += 1;
        }
        assert!(seen > 0 || name == "proto/tests/vectors/tensorflow", "{name}");
    }
}

#[test]
fn a_reply_is_the_two_that_were_recorded() {
    for (name, protocol, proto, reply) in [
        (FOLDERS[3].0, FOLDERS[3].1, FOLDERS[3].2, PredictResponse::PROTO_NAME),
        (FOLDERS[5].0, FOLDERS[5].1, FOLDERS[5].2, ModelInferResponse::PROTO_NAME),
    ] {
        let parts = pair(name, protocol, proto);
        let recorded = |stem: &str| message(&path(name, stem, true), Some(reply));
        let replies = split(&parts, &recorded("batch_ab_response")).unwrap();
        same_meaning(&replies[0], &recorded("batch_a_response"));
        same_meaning(&replies[1], &recorded("batch_b_response"));
        if protocol == Protocol::Tensorflow {
            for stem in ["batch_response_bad_dim0", "batch_response_scalar"] {
                assert!(matches!(split(&parts, &recorded(stem)), Err(Unsplit::Rows { .. })), "{stem}");
            }
        }
    }
}
