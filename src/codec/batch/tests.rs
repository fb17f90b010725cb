//! What is merged is answered as each is alone: groups of requests by key, against models that see the whole batch.

use std::collections::BTreeMap;

use super::*;

mod golden;
mod seldon_grpc;
mod seldon_rest;
mod tensorflow_grpc;
mod tensorflow_rest;
mod v2_grpc;
mod v2_rest;

/// Merges the requests of each key, lets the model answer, and holds what each gets against its answer alone. Gives how
/// many requests were merged with others.
fn hold(
    protocol: Protocol,
    requests: &[Message],
    model: impl Fn(&Message) -> Message,
    same: impl Fn(&Message, &Message),
) -> usize {
    let mut groups: BTreeMap<Vec<u8>, Vec<Part>> = BTreeMap::new();
    for request in requests {
        if let Some(part) = Part::of(protocol, CallKind::Predict, request) {
            groups.entry(part.key().to_vec()).or_default().push(part);
        }
    }
    let mut merged = 0;
    for parts in groups.into_values() {
        let request = merge(&parts);
        assert!(
            request.body.len() <= parts.iter().map(Part::bytes).sum::<usize>(),
            "the bytes of parts are those of all"
        );
        let whole =
            Part::of(protocol, CallKind::Predict, &request).expect("a merged request is one that can be merged");
        assert_eq!(whole.rows(), parts.iter().map(Part::rows).sum::<usize>());
        assert_eq!(whole.key(), parts[0].key());
        let replies = split(&parts, &model(&request)).expect("a reply by row is split");
        assert_eq!(replies.len(), parts.len());
        for (part, reply) in parts.iter().zip(&replies) {
            same(reply, &model(&part.message));
        }
        merged += if parts.len() > 1 { parts.len() } else { 0 };
    }
    merged
}

fn same_bytes(left: &Message, right: &Message) {
    assert_eq!(left, right, "{:?} is not {:?}", left.body, right.body);
}

fn json(text: impl Into<String>) -> Message {
    Message::json(text.into())
}

fn of(protocol: Protocol, request: &Message) -> Option<Part> {
    Part::of(protocol, CallKind::Predict, request)
}

/// That these texts must be sent alone.
fn alone(protocol: Protocol, texts: &[&str]) {
    for text in texts {
        assert!(of(protocol, &json(*text)).is_none(), "{text}");
    }
}

/// Parts of texts that have one key.
fn parts(protocol: Protocol, texts: &[&str]) -> Vec<Part> {
    let parts: Vec<_> =
        texts.iter().map(|text| of(protocol, &json(*text)).unwrap_or_else(|| panic!("{text}"))).collect();
    assert!(parts.iter().all(|part| part.key() == parts[0].key()), "{texts:?} have one key");
    parts
}

/// That no two of these texts have the same key.
fn strangers(protocol: Protocol, texts: &[&str]) {
    let mut keys = BTreeMap::new();
    for text in texts {
        let part = of(protocol, &json(*text)).unwrap_or_else(|| panic!("{text}"));
        if let Some(other) = keys.insert(part.key().to_vec(), text) {
            panic!("{text} and {other} have the same key");
        }
    }
}

fn texts(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| std::str::from_utf8(&message.body).unwrap()).collect()
}

#[test]
fn one_request_is_sent_as_it_is() {
    let request = json("{\"instances\" : [ 1 ]}");
    let reply = json("no reply at all");
    let part = of(Protocol::Tensorflow, &request).unwrap();
    assert_eq!(merge(std::slice::from_ref(&part)), request);
    assert_eq!(split(&[part], &reply), Ok(vec![reply.clone()]));
    assert_eq!(split(&[], &reply), Ok(vec![]));
}

#[test]
fn only_predict_calls_are_merged() {
    let request = json("{\"instances\":[1]}");
    for kind in CallKind::ALL {
        let merged = Part::of(Protocol::Tensorflow, kind, &request).is_some();
        assert_eq!(merged, kind == CallKind::Predict, "{kind:?}");
    }
}
