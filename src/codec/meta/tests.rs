//! Tests of metadata: what is handed on, what wins, and that every other byte stays.

use std::path::Path;

use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::config::settings::Transport;

fn json(text: &str) -> Message {
    Message { body: Bytes::copy_from_slice(text.as_bytes()), form: Form::Json { content_type: Some("x/y".into()) } }
}

fn proto(text: &str) -> Message {
    convert::to(Protocol::Seldon, &json(text), Transport::Grpc).unwrap()
}

fn merged(into: &str, from: &[&str]) -> String {
    let from: Vec<_> = from.iter().map(|text| json(text)).collect();
    let merged = merge(&json(into), &from.iter().collect::<Vec<_>>()).unwrap();
    assert_eq!(merged.form, json("").form);
    String::from_utf8(merged.body.to_vec()).unwrap()
}

fn routed(text: &str, routes: &[(&str, i32)]) -> String {
    String::from_utf8(with_routing(&json(text), routes).body.to_vec()).unwrap()
}

fn decoded(message: &Message) -> SeldonMessage {
    SeldonMessage::decode(message.body.clone()).unwrap()
}

const A: &str = "{\"meta\":{\"puid\":\"a\",\"tags\":{\"x\":1.00,\"y\":[1]},\"requestPath\":{\"a\":\"i:1\"},\"metrics\":[{\"key\":\"a\"}]}}";
const B: &str =
    "{\"meta\":{\"tags\":{\"y\":9007199254740993},\"metrics\":[{\"key\":\"b\",\"value\":NaN}]},\"strData\":\"b\"}";

#[test]
fn tags_paths_and_metrics_are_handed_on_as_they_are_written() {
    assert_eq!(
        merged("{ \"strData\": \"c\" }", &[A, B]),
        "{ \"strData\": \"c\" ,\"meta\":{\"tags\":{\"x\":1.00,\"y\":9007199254740993},\"requestPath\":{\"a\":\"i:1\"},\
         \"metrics\":[{\"key\":\"a\"},{\"key\":\"b\",\"value\":NaN}]}}",
    );
    assert_eq!(
        merged("{\"meta\": {\"tags\": {\"x\": 2},\"metrics\":[ {\"key\":\"c\"}],\"z\":0}, \"w\":1e0}", &[A, B]),
        "{\"meta\": {\"tags\": {\"x\": 2,\"y\":9007199254740993},\"metrics\":[{\"key\":\"a\"},{\"key\":\"b\",\"value\":NaN}, \
         {\"key\":\"c\"}],\"z\":0,\"requestPath\":{\"a\":\"i:1\"}}, \"w\":1e0}",
    );
    assert_eq!(merged("{}", &["{\"meta\":{\"tags\":{\"t\":1}}}"]), "{\"meta\":{\"tags\":{\"t\":1}}}");
    assert_eq!(merged("{\"meta\":null}", &["{\"meta\":{\"tags\":{\"t\":1}}}"]), "{\"meta\":{\"tags\":{\"t\":1}}}");
    assert_eq!(
        merged("{\"meta\":{\"tags\":null}}", &["{\"meta\":{\"tags\":{\"t\":1}}}"]),
        "{\"meta\":{\"tags\":{\"t\":1}}}"
    );
}

#[test]
fn the_answers_own_words_win_and_its_metrics_are_not_repeated() {
    let own = "{\"meta\":{\"tags\":{\"\\u0074\":1},\"metrics\":[{\"type\":\"GAUGE\",\"key\":\"a\"}]}}";
    let earlier = "{\"meta\":{\"tags\":{\"t\":2},\"metrics\":[{\"key\":\"a\", \"type\":\"GAUGE\"}]}}";
    assert_eq!(merged(own, &[earlier]), own);
}

#[test]
fn where_nothing_is_added_the_bytes_are_the_same() {
    for into in ["{\"meta\":{\"tags\":{\"x\":1,\"y\":2}}}", "[1]", "7", "{\"meta\":[]}"] {
        let into = json(into);
        for from in [
            "{}",
            "{\"meta\":{}}",
            "{\"meta\":{\"puid\":\"p\",\"routing\":{\"a\":1},\"tags\":{}}}",
            "[]",
            "{\"meta\":7}",
        ] {
            let same = merge(&into, &[&json(from)]).unwrap();
            assert_eq!((same.body.as_ptr(), &same), (into.body.as_ptr(), &into));
        }
    }
    let proto = proto("{\"meta\":{\"tags\":{\"x\":1}}}");
    let same = merge(&proto, &[&proto, &self::proto("{\"strData\":\"x\"}")]).unwrap();
    assert_eq!(same.body.as_ptr(), proto.body.as_ptr());
    assert_eq!(with_routing(&proto, &[]).body.as_ptr(), proto.body.as_ptr());
}

#[test]
fn an_answer_without_a_place_for_metadata_stays_as_it_is() {
    assert_eq!(merged("{\"meta\":[]}", &[A]), "{\"meta\":[]}");
    assert_eq!(merged("[1]", &[A]), "[1]");
    assert_eq!(routed("{\"meta\":{\"routing\":[]}}", &[("a", 1)]), "{\"meta\":{\"routing\":[]}}");
    assert_eq!(routed("not even JSON", &[("a", 1)]), "not even JSON");
    let other = Message::proto("inference.ModelInferRequest", "x");
    assert_eq!(with_routing(&other, &[("a", 1)]), other);
    assert!(matches!(merge(&json("{"), &[&json(A)]), Err(MetaError::NotJson(_))));
    assert!(matches!(
        merge(&json("{}"), &[&Message::proto(SeldonMessage::PROTO_NAME, "\x12\x7f")]),
        Err(MetaError::NotProto(_))
    ));
}

#[test]
fn protobuf_is_merged_by_its_readers() {
    let b = "{\"meta\":{\"tags\":{\"y\":2},\"metrics\":[{\"key\":\"b\"}]},\"strData\":\"b\"}";
    let into = proto(
        "{\"meta\":{\"puid\":\"p\",\"tags\":{\"x\":7},\"metrics\":[{\"key\":\"c\"},{\"key\":\"b\"}]},\"strData\":\"c\"}",
    );
    let merged = merge(&into, &[&proto(A), &proto(b)]).unwrap();
    assert!(merged.body.ends_with(&into.body), "the message itself is not written anew");
    let expected = "{\"meta\":{\"puid\":\"p\",\"tags\":{\"x\":7,\"y\":2},\"requestPath\":{\"a\":\"i:1\"},\
                    \"metrics\":[{\"key\":\"a\"},{\"key\":\"c\"},{\"key\":\"b\"}]},\"strData\":\"c\"}";
    assert_eq!(decoded(&merged), decoded(&proto(expected)));
}

#[test]
fn replies_of_both_encodings_are_merged() {
    let b = "{\"meta\":{\"tags\":{\"y\":2.5}},\"strData\":\"b\"}";
    assert_eq!(decoded(&merge(&proto("{}"), &[&json(b)]).unwrap()).meta, decoded(&proto(b)).meta);
    let merged = merge(&json("{}"), &[&proto(b)]).unwrap();
    assert_eq!(merged.body, "{\"meta\":{\"tags\":{\"y\":2.5}}}");
    assert!(matches!(merge(&proto("{}"), &[&json(B)]), Err(MetaError::Convert(_))));
}

#[test]
fn routes_are_put_in_or_replaced() {
    let routes = [("a", 1), ("é\"", -1)];
    assert_eq!(routed("{}", &routes), "{\"meta\":{\"routing\":{\"a\":1,\"é\\\"\":-1}}}");
    assert_eq!(routed("{\"data\":1e0 }", &routes[..1]), "{\"data\":1e0 ,\"meta\":{\"routing\":{\"a\":1}}}");
    assert_eq!(routed("{\"meta\":{ }}", &routes[..1]), "{\"meta\":{ \"routing\":{\"a\":1}}}");
    assert_eq!(
        routed("{\"meta\":{\"routing\":{\"b\":0, \"\\u0061\" : 7},\"puid\":\"p\"}}", &routes),
        "{\"meta\":{\"routing\":{\"b\":0, \"\\u0061\" : 1,\"é\\\"\":-1},\"puid\":\"p\"}}",
    );
    let there = json("{\"meta\":{\"routing\":{\"a\":1}}}");
    assert_eq!(with_routing(&there, &routes[..1]).body.as_ptr(), there.body.as_ptr());

    let message = proto("{\"meta\":{\"puid\":\"p\",\"routing\":{\"a\":7,\"b\":0}},\"strData\":\"c\"}");
    let changed = with_routing(&message, &routes);
    assert!(changed.body.starts_with(&message.body));
    assert_eq!(decoded(&changed).meta.unwrap().routing, [("a".into(), 1), ("b".into(), 0), ("é\"".into(), -1)].into());
    assert_eq!(with_routing(&changed, &routes).body.as_ptr(), changed.body.as_ptr());
    let created = with_routing(&proto("{\"strData\":\"c\"}"), &routes[..1]);
    assert_eq!(decoded(&created), decoded(&proto("{\"strData\":\"c\",\"meta\":{\"routing\":{\"a\":1}}}")));
}

fn tags() -> impl Strategy<Value = std::collections::BTreeMap<String, u8>> {
    proptest::collection::btree_map("[a-c]{1,2}", any::<u8>(), 0..4)
}

fn message(tags: &std::collections::BTreeMap<String, u8>) -> String {
    let metrics: Vec<_> = tags.keys().map(|key| serde_json::json!({ "key": key })).collect();
    serde_json::json!({ "meta": { "tags": tags, "metrics": metrics }, "strData": "s" }).to_string()
}

proptest! {
    #[test]
    fn both_encodings_merge_alike(into in tags(), from in proptest::collection::vec(tags(), 0..4)) {
        let texts: Vec<_> = from.iter().map(message).collect();
        let (jsons, protos): (Vec<_>, Vec<_>) = texts.iter().map(|text| (json(text), proto(text))).unzip();
        let text = message(&into);
        let rest = merge(&json(&text), &jsons.iter().collect::<Vec<_>>()).unwrap();
        let grpc = merge(&proto(&text), &protos.iter().collect::<Vec<_>>()).unwrap();
        let rest = decoded(&convert::to(Protocol::Seldon, &rest, Transport::Grpc).unwrap());
        prop_assert_eq!(&rest, &decoded(&grpc));
        let mut expected = std::collections::BTreeMap::new();
        from.iter().chain([&into]).for_each(|tags| expected.extend(tags.clone()));
        prop_assert_eq!(rest.meta.unwrap_or_default().tags.len(), expected.len());
    }

    #[test]
    fn damaged_and_random_bytes_never_panic(
        at: prop::sample::Index, byte: u8, cut: bool, random in proptest::collection::vec(any::<u8>(), 0..48), json_form: bool,
    ) {
        let vector = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/tests/vectors/seldon/meta_full.pb");
        let mut body = if json_form { A.as_bytes().to_vec() } else { std::fs::read(vector).unwrap() };
        let at = at.index(body.len());
        if cut { body.truncate(at) } else { body[at] = byte }
        for body in [body, random] {
            let form = if json_form { Form::Json { content_type: None } } else { Form::Proto(SeldonMessage::PROTO_NAME) };
            let message = Message { body: body.into(), form };
            for other in [json(A), proto(A)] {
                let _unused = (merge(&message, &[&other]), merge(&other, &[&message]));
            }
            let routed = with_routing(&message, &[("a", 1)]);
            prop_assert!(routed.body == message.body || routed.body.len() > message.body.len() || json_form);
        }
    }
}
