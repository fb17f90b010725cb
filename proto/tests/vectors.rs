//! The vectors decode as their types, come out of an encoding as they went in, and nothing of them is lost.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use millrace_proto::tensorflow_serving as serving;
use millrace_proto::{ProtoName, inference, seldon};
use prost::Message;

/// What an encoder of this type would not write: their length may change.
const NOT_CANONICAL: [&str; 5] = [
    "tensorflow/predict_duplicate_map_key.pb",
    "tensorflow/predict_unpacked_floats.pb",
    "tensorflow/response_bytes_named_request.pb",
    "seldon/oneof_twice.pb",
    "seldon/oneof_merge.pb",
];

struct Vector {
    file: String,
    proto_name: String,
    decodes: bool,
    bytes: Bytes,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

fn vectors() -> Vec<Vector> {
    let index = fs::read_to_string(folder().join("index.txt")).expect("the index is there");
    index
        .lines()
        .map(|line| {
            let [file, proto_name, fate] = line.split(' ').collect::<Vec<_>>()[..] else {
                panic!("three words: {line}")
            };
            Vector {
                file: file.to_owned(),
                proto_name: proto_name.to_owned(),
                decodes: match fate {
                    "decodes" => true,
                    "fails" => false,
                    other => panic!("{file}: decodes or fails, not {other}"),
                },
                bytes: fs::read(folder().join(file)).unwrap_or_else(|error| panic!("{file}: {error}")).into(),
            }
        })
        .collect()
}

fn check<M: ProtoName + Debug>(vector: &Vector) {
    let file = &vector.file;
    let decoded = M::decode(vector.bytes.clone());
    assert_eq!(decoded.is_ok(), vector.decodes, "{file} as {}: {decoded:?}", vector.proto_name);
    let Ok(message) = decoded else { return };
    let encoded = Bytes::from(message.encode_to_vec());
    let again = M::decode(encoded.clone()).unwrap_or_else(|error| panic!("{file}, encoded by us: {error}"));
    // NaN is not equal to itself, so messages are compared in print.
    assert_eq!(format!("{message:?}"), format!("{again:?}"), "{file}");
    assert_eq!(encoded, again.encode_to_vec(), "{file}: one message has one encoding");
    if !NOT_CANONICAL.contains(&file.as_str()) {
        assert_eq!(encoded.len(), vector.bytes.len(), "{file}: a field was lost, {message:?}");
    }
}

#[test]
fn every_vector_survives_decoding_and_encoding() {
    let vectors = vectors();
    for vector in &vectors {
        match vector.proto_name.as_str() {
            serving::PredictRequest::PROTO_NAME => check::<serving::PredictRequest>(vector),
            serving::PredictResponse::PROTO_NAME => check::<serving::PredictResponse>(vector),
            serving::RegressionRequest::PROTO_NAME => check::<serving::RegressionRequest>(vector),
            serving::GetModelMetadataRequest::PROTO_NAME => check::<serving::GetModelMetadataRequest>(vector),
            serving::GetModelStatusRequest::PROTO_NAME => check::<serving::GetModelStatusRequest>(vector),
            serving::GetModelStatusResponse::PROTO_NAME => check::<serving::GetModelStatusResponse>(vector),
            seldon::SeldonMessage::PROTO_NAME => check::<seldon::SeldonMessage>(vector),
            seldon::SeldonMessageList::PROTO_NAME => check::<seldon::SeldonMessageList>(vector),
            inference::ModelInferRequest::PROTO_NAME => check::<inference::ModelInferRequest>(vector),
            inference::ModelInferResponse::PROTO_NAME => check::<inference::ModelInferResponse>(vector),
            inference::ModelStreamInferResponse::PROTO_NAME => check::<inference::ModelStreamInferResponse>(vector),
            inference::ModelMetadataRequest::PROTO_NAME => check::<inference::ModelMetadataRequest>(vector),
            inference::ModelMetadataResponse::PROTO_NAME => check::<inference::ModelMetadataResponse>(vector),
            inference::ModelReadyRequest::PROTO_NAME => check::<inference::ModelReadyRequest>(vector),
            inference::ModelReadyResponse::PROTO_NAME => check::<inference::ModelReadyResponse>(vector),
            inference::ServerReadyRequest::PROTO_NAME => check::<inference::ServerReadyRequest>(vector),
            other => panic!("{}: no test for {other}", vector.file),
        }
    }
    assert!(vectors.iter().filter(|vector| vector.decodes).count() > 100, "the index is whole");
}

#[test]
fn every_file_is_in_the_index() {
    let listed: BTreeSet<PathBuf> = vectors().into_iter().map(|vector| folder().join(vector.file)).collect();
    let mut folders = vec![folder()];
    let mut found = BTreeSet::new();
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("folders can be read") {
            let path = entry.expect("entries can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "pb") {
                found.insert(path);
            }
        }
    }
    assert_eq!(found, listed);
}

#[test]
fn the_last_of_two_map_entries_wins() {
    let bytes = fs::read(folder().join("tensorflow/predict_duplicate_map_key.pb")).expect("the vector is there");
    let request = serving::PredictRequest::decode(Bytes::from(bytes)).expect("it decodes");
    let shape = request.inputs["x"].tensor_shape.as_ref().expect("it has a shape");
    assert_eq!(shape.dim.iter().map(|dim| dim.size).collect::<Vec<_>>(), [2, 4]);
}

#[test]
fn tensor_data_is_a_slice_of_its_message() {
    let data = vec![7; 4096];
    let request = inference::ModelInferRequest { raw_input_contents: vec![data.into()], ..Default::default() };
    let wire = Bytes::from(request.encode_to_vec());
    let decoded = inference::ModelInferRequest::decode(wire.clone()).expect("it decodes");
    let inside = wire.as_ptr_range();
    assert!(inside.contains(&decoded.raw_input_contents[0].as_ptr()));
}

#[test]
fn fields_of_newer_servers_are_passed_on() {
    // Field 5 with an empty message, field 7 with { 4: 1 }.
    let wire = Bytes::from_static(&[0x2a, 0x00, 0x3a, 0x02, 0x20, 0x01]);
    let request = serving::PredictRequest::decode(wire.clone()).expect("it decodes");
    assert_eq!(wire, request.encode_to_vec());
}
