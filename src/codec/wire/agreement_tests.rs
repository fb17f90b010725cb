//! The check agrees with prost: table by table, on damaged messages, and on random bytes.

use std::collections::BTreeSet;
use std::{fs, path::Path};

use bytes::{Bytes, BytesMut};
use millrace_proto::{ProtoName, inference, seldon, tensorflow_serving as serving};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Decoders of prost, by name.
fn prost(name: &str) -> fn(&[u8]) -> bool {
    macro_rules! by_name {
        ($($message:ty),* $(,)?) => {
            match name { $(<$message>::PROTO_NAME => |bytes| <$message as prost::Message>::decode(bytes).is_ok(),)*
                other => panic!("no decoder of {other}") }
        };
    }
    by_name!(
        serving::PredictRequest,
        serving::PredictResponse,
        serving::ClassificationRequest,
        serving::RegressionRequest,
        serving::MultiInferenceRequest,
        seldon::SeldonMessage,
        seldon::SeldonMessageList,
        seldon::Feedback,
        inference::ModelInferRequest,
        inference::ModelInferResponse,
    )
}

const NAMES: [&str; 10] = [
    "tensorflow.serving.PredictRequest",
    "tensorflow.serving.PredictResponse",
    "tensorflow.serving.ClassificationRequest",
    "tensorflow.serving.RegressionRequest",
    "tensorflow.serving.MultiInferenceRequest",
    "seldon.protos.SeldonMessage",
    "seldon.protos.SeldonMessageList",
    "seldon.protos.Feedback",
    "inference.ModelInferRequest",
    "inference.ModelInferResponse",
];

fn agree(name: &str, message: &[u8]) {
    let ours = check(schema(name).unwrap(), message);
    assert_eq!(ours.is_ok(), prost(name)(message), "{name}: {ours:?} for {message:02x?}");
    if let Err(error) = ours {
        assert!(error.at <= message.len());
    }
}

fn field(number: u32, wire: Wire, payload: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    if wire == Wire::Bytes {
        put_bytes(&mut out, number, payload);
    } else {
        put_tag(&mut out, number, wire);
        out.extend_from_slice(payload);
    }
    out.to_vec()
}

/// The message with others around it, one in the other.
fn wrapped(path: &[u32], message: Vec<u8>) -> Vec<u8> {
    path.iter().rev().fold(message, |inner, number| field(*number, Wire::Bytes, &inner))
}

/// Every type that a message can hold, with a way to it.
fn reachable(root: &'static Schema) -> Vec<(Vec<u32>, &'static Schema)> {
    let mut found = vec![(vec![], root)];
    let mut seen = BTreeSet::from([std::ptr::from_ref(root)]);
    let mut next = 0;
    while let Some((path, schema)) = found.get(next).cloned() {
        next += 1;
        for (number, kind) in schema.fields() {
            let Kind::Message(inner) = kind else { continue };
            if seen.insert(std::ptr::from_ref(*inner)) {
                found.push(([path.as_slice(), &[*number]].concat(), inner));
            }
        }
    }
    found
}

#[test]
fn every_table_says_what_prost_says() {
    // Payloads that between them tell all kinds from each other and from an unknown field.
    let lengths: [&[u8]; 7] =
        [b"", b"\xff", b"\x08", b"abcd", b"abcdefgh", b"\x08\x01\x08\x01", b"\xff\xff\xff\xff\xff\xff\xff\xff"];
    let mut types = 0;
    for name in NAMES {
        for (path, _) in reachable(schema(name).unwrap()) {
            types += 1;
            for number in 1..=40 {
                agree(name, &wrapped(&path, field(number, Wire::Varint, b"\x01")));
                agree(name, &wrapped(&path, field(number, Wire::Fixed32, b"\xff\xff\xff\xff")));
                agree(name, &wrapped(&path, field(number, Wire::Fixed64, b"\xff\xff\xff\xff\xff\xff\xff\xff")));
                for payload in lengths {
                    agree(name, &wrapped(&path, field(number, Wire::Bytes, payload)));
                }
                let group = [field(number, Wire::GroupStart, b""), field(number, Wire::GroupEnd, b"")].concat();
                agree(name, &wrapped(&path, group));
            }
        }
    }
    assert!(types > 100, "{types} tables are too few: the walk stops too early");
}

#[test]
fn depth_is_limited_as_prost_limits_it() {
    let name = "seldon.protos.SeldonMessage";
    for levels in 40..60 {
        // jsonData, then lists of values: two levels for each.
        let path: Vec<u32> = [6].into_iter().chain([6, 1].repeat(levels)).collect();
        for at in [&path[..], &path[..path.len() - 1]] {
            agree(name, &wrapped(at, vec![]));
            agree(name, &wrapped(at, field(1, Wire::Varint, b"\x00")));
            agree(name, &wrapped(at, field(15, Wire::Varint, b"\x00")));
        }
    }
    for levels in 95..105 {
        let open = field(15, Wire::GroupStart, b"").repeat(levels);
        let close = field(15, Wire::GroupEnd, b"").repeat(levels);
        agree(name, &[open.clone(), close.clone()].concat());
        agree(name, &[open, field(1, Wire::Varint, b"\x01"), close].concat());
    }
}

/// The vectors of the protocols, with their names.
fn vectors() -> Vec<(&'static str, Bytes)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/tests/vectors");
    let index = fs::read_to_string(folder.join("index.txt")).unwrap();
    let all = index.lines().filter_map(|line| {
        let (file, rest) = line.split_once(' ').unwrap();
        let name = NAMES.into_iter().find(|name| rest.starts_with(&format!("{name} ")))?;
        Some((name, Bytes::from(fs::read(folder.join(file)).unwrap())))
    });
    all.collect()
}

#[test]
fn vectors_are_judged_as_prost_does_however_they_are_cut() {
    let vectors = vectors();
    assert!(vectors.len() > 90);
    for (name, message) in vectors {
        for end in 0..=message.len() {
            agree(name, &message[..end]);
        }
    }
}

/// Bytes that mean something on the wire.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![
        any::<u8>(),
        0..0x80u8,
        prop::sample::select(vec![0x0a, 0x12, 0x1a, 0x08, 0x0b, 0x0c, 0x80, 0xff, 0, 1])
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn random_bytes_are_judged_as_prost_does(name in prop::sample::select(NAMES.to_vec()), message in vec(byte(), 0..40)) {
        agree(name, &message);
    }

    #[test]
    fn damaged_messages_are_judged_as_prost_does(
        vector in prop::sample::select(vectors()),
        other in prop::sample::select(NAMES.to_vec()),
        changes in vec((any::<prop::sample::Index>(), byte(), any::<bool>()), 0..4),
    ) {
        let (name, message) = vector;
        let mut message = message.to_vec();
        for (at, byte, insert) in changes {
            let at = at.index(message.len() + 1);
            if insert || at == message.len() { message.insert(at, byte) } else { message[at] = byte }
        }
        agree(name, &message);
        agree(other, &message);
    }
}
