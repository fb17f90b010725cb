//! Tests of Seldon's conversion: each kind of data, what is refused, and that there and back is the same message.

use std::path::Path;

use millrace_proto::ProtoName;
use millrace_proto::seldon::{Feedback, SeldonMessage, SeldonMessageList};
use proptest::prelude::*;

use super::super::{ConvertError, to};
use super::dynamic::NESTING;
use crate::codec::json::tape::{Kind, Tape, Value};
use crate::config::settings::{Protocol, Transport};
use crate::record::{Form, Message};

fn grpc(json: &str) -> Result<Message, ConvertError> {
    to(Protocol::Seldon, &Message::json(json.as_bytes().to_vec()), Transport::Grpc)
}

fn rest(message: &Message) -> Result<String, ConvertError> {
    let json = to(Protocol::Seldon, message, Transport::Rest)?;
    assert_eq!(json.form, Form::Json { content_type: None });
    Ok(String::from_utf8(json.body.to_vec()).unwrap())
}

/// JSON to protobuf and back.
fn around(json: &str) -> String {
    let there = grpc(json).unwrap_or_else(|error| panic!("{json}: {error}"));
    let back = rest(&there).unwrap();
    assert_eq!(grpc(&back).unwrap(), there, "{json}");
    back
}

fn vector(file: &str) -> Message {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/tests/vectors").join(file);
    Message::proto(SeldonMessage::PROTO_NAME, std::fs::read(path).unwrap())
}

fn is<M: ProtoName + PartialEq + std::fmt::Debug>(converted: &Message, expected: &Message) {
    assert_eq!(M::decode(converted.body.clone()).unwrap(), M::decode(expected.body.clone()).unwrap());
}

#[test]
fn each_kind_of_data_is_kept() {
    for json in [
        "{}",
        "{\"data\":{}}",
        "{\"data\":{\"names\":[\"a\",\"b\"],\"ndarray\":[[1.5,\"x\",null,true,[]],{\"k\":[{}]}]}}",
        "{\"data\":{\"ndarray\":[NaN,-Infinity,1e300]}}",
        "{\"data\":{\"tensor\":{\"shape\":[2,1],\"values\":[1.0,NaN]}}}",
        "{\"data\":{\"tensor\":{\"shape\":[0,4],\"values\":[]}}}",
        "{\"binData\":\"AP/+\"}",
        "{\"strData\":\"é\\n\"}",
        "{\"strData\":\"\"}",
        "{\"jsonData\":\"just a string\"}",
        "{\"jsonData\":null}",
        "{\"jsonData\":{\"a\":{\"b\":[1.0,{\"c\":null}]},\"d\":false}}",
        "{\"status\":{\"code\":-1,\"info\":\"i\",\"reason\":\"r\",\"status\":\"FAILURE\"}}",
        "{\"meta\":{\"puid\":\"p\",\"tags\":{\"a\":[1.0],\"b\":null},\"routing\":{\"r\":-1},\"requestPath\":{\"m\":\"i:1\"},\
         \"metrics\":[{\"key\":\"c\",\"type\":\"COUNTER\",\"value\":1.0},{\"key\":\"t\",\"type\":\"TIMER\",\"value\":20.2,\
         \"tags\":{\"x\":\"y\"}}]},\"strData\":\"x\"}",
        "{\"data\":{\"tftensor\":{\"dtype\":\"DT_INT64\",\"tensorShape\":{\"dim\":[{\"size\":\"1\"},{\"size\":\"2\",\"name\":\"n\"}]},\
         \"int64Val\":[\"9007199254740993\",\"-1\"]}}}",
        "{\"data\":{\"tftensor\":{\"dtype\":\"DT_STRING\",\"tensorShape\":{\"unknownRank\":true},\"stringVal\":[\"YWI=\"]}}}",
        "[{\"strData\":\"a\"},{}]",
        "{\"request\":{\"strData\":\"a\"},\"truth\":{},\"reward\":0.5}",
    ] {
        assert_eq!(around(json), json);
    }
}

#[test]
fn other_spellings_of_the_same_are_read() {
    for (json, back) in [
        ("{\"data\":{\"ndarray\":[1,1e0,1.00]}}", "{\"data\":{\"ndarray\":[1.0,1.0,1.0]}}"),
        ("{\"status\":{\"status\":1,\"code\":\"7\"}}", "{\"status\":{\"code\":7,\"status\":\"FAILURE\"}}"),
        ("{\"status\":{\"status\":9}}", "{\"status\":{\"status\":9}}"),
        ("{\"binData\":\"AP_-\"}", "{\"binData\":\"AP/+\"}"),
        ("{\"binData\":\"AA\"}", "{\"binData\":\"AA==\"}"),
        (
            "{\"meta\":{\"metrics\":[{\"key\":\"g\",\"type\":1,\"value\":2.5}]}}",
            "{\"meta\":{\"metrics\":[{\"key\":\"g\",\"type\":\"GAUGE\",\"value\":2.5}]}}",
        ),
        (
            "{\"meta\":null,\"data\":{\"tensor\":{\"shape\":[\"1\"],\"values\":[\"NaN\"]},\"ndarray\":null}}",
            "{\"data\":{\"tensor\":{\"shape\":[1],\"values\":[NaN]}}}",
        ),
        (
            "{\"data\":{\"tftensor\":{\"dtype\":1,\"tensor_shape\":{\"dim\":[{\"size\":1}]},\"float_val\":[0.1]}}}",
            "{\"data\":{\"tftensor\":{\"dtype\":\"DT_FLOAT\",\"tensorShape\":{\"dim\":[{\"size\":\"1\"}]},\"floatVal\":[0.1]}}}",
        ),
        ("{\"seldonMessages\":[{}]}", "[{}]"),
        ("{\"reward\":1}", "{\"reward\":1.0}"),
    ] {
        assert_eq!(around(json), back);
    }
    assert_eq!(grpc("[]").unwrap().form, Form::Proto(SeldonMessageList::PROTO_NAME));
    assert_eq!(grpc("{\"truth\":{}}").unwrap().form, Form::Proto(Feedback::PROTO_NAME));
}

#[test]
fn what_would_be_lost_is_refused_by_name() {
    for (json, what) in [
        ("{\"x\":1}", "the key 'x' has no place in the protobuf message"),
        (
            "{\"data\":{\"ndarray\":[[9007199254740993]]}}",
            "data: ndarray: 9007199254740993 is no number that a double can hold",
        ),
        (
            "{\"data\":{\"ndarray\":[0.12345678901234567890]}}",
            "data: ndarray: 0.12345678901234567890 is no number that a double can hold",
        ),
        ("{\"data\":{\"ndarray\":{}}}", "data: ndarray: an object is no array"),
        ("{\"data\":{\"tensor\":{\"shape\":[1.5]}}}", "data: tensor: shape: item 0: 1.5 is no i32"),
        (
            "{\"data\":{\"tensor\":{\"values\":[1e400]}}}",
            "data: tensor: values: item 0: 1e400 is no number that a double can hold",
        ),
        ("{\"data\":{\"tensor\":{},\"ndarray\":[]}}", "data: ndarray: a protobuf message has one kind of data"),
        ("{\"strData\":\"a\",\"jsonData\":null}", "jsonData: a protobuf message has one kind of data"),
        ("{\"customData\":{\"@type\":\"x\"}}", "customData: its type is known to its users only"),
        ("{\"jsonData\":{\"a\":1,\"a\":2}}", "jsonData: the key 'a' is there twice"),
        ("{\"meta\":{\"routing\":{\"a\":2147483648}}}", "meta: routing: a: 2147483648 is no i32"),
        ("{\"meta\":{\"tags\":{\"a\":1,\"\\u0061\":1}}}", "meta: tags: the key 'a' is there twice"),
        ("{\"meta\":{\"metrics\":[{\"type\":\"SUM\"}]}}", "meta: metrics: item 0: type: \"SUM\" is none of the names"),
        (
            "{\"meta\":{\"metrics\":[{\"value\":1e39}]}}",
            "meta: metrics: item 0: value: 1e39 is no number in the range of a float",
        ),
        ("{\"binData\":\"*\"}", "binData: \"*\" is not base64: Invalid symbol 42, offset 0."),
        ("{\"strData\":\"\\ud800\"}", "strData: \"\\ud800\" is no string, or not Unicode"),
        ("[1]", "item 0: 1 is no object"),
        ("{\"seldonMessages\":[],\"meta\":{}}", "the key 'meta' has no place in the protobuf message"),
        (
            "{\"data\":{\"tftensor\":{\"variantVal\":[]}}}",
            "data: tftensor: the key 'variantVal' has no place in the protobuf message",
        ),
    ] {
        let refused = grpc(json).unwrap_err().to_string();
        assert_eq!(refused, format!("the message cannot be converted to protobuf without loss: {what}"), "{json}");
    }
    let refused = rest(&vector("seldon/customData.pb")).unwrap_err().to_string();
    assert!(refused.contains("customData: its type, type.googleapis.com/google.protobuf.StringValue"), "{refused}");
    let refused = rest(&vector("seldon/truncated.pb")).unwrap_err().to_string();
    assert!(refused.contains("it is no seldon.protos.SeldonMessage"), "{refused}");
}

#[test]
fn what_is_nested_as_deep_as_allowed_is_read_by_protobuf() {
    let arrays = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    let objects = |levels: usize| "{\"a\":".repeat(levels) + "1.0" + &"}".repeat(levels);
    for (value, row) in [(arrays(NESTING), arrays(NESTING)), (objects(NESTING), format!("[{}]", objects(NESTING - 1)))]
    {
        for json in [
            format!("[{{\"meta\":{{\"tags\":{{\"t\":{value}}}}},\"jsonData\":{value}}}]"),
            format!("{{\"request\":{{\"data\":{{\"ndarray\":{row}}}}},\"reward\":0.0}}"),
        ] {
            assert_eq!(around(&json), json);
        }
        assert!(grpc(&format!("{{\"jsonData\":[{value}]}}")).unwrap_err().to_string().contains("nested deeper"));
    }
}

#[test]
fn both_encodings_of_one_message_agree() {
    for (file, json) in [
        (
            "ndarray",
            "{\"data\":{\"names\":[\"a\",\"b\",\"c\",\"d\"],\"ndarray\":[[5.1,3.5,1.4,0.2],[6.7,3.0,5.2,2.3]]}}",
        ),
        ("tensor", "{\"data\":{\"tensor\":{\"shape\":[2,4],\"values\":[5.1,3.5,1.4,0.2,6.7,3.0,5.2,2.3]}}}"),
        ("ndarray_nested3", "{\"data\":{\"ndarray\":[[[1,2],[3,4]],[[5,6],[7,8]]]}}"),
        ("ndarray_scalar_rows", "{\"data\":{\"ndarray\":[1,2,3]}}"),
        ("tensor_empty", "{\"data\":{\"tensor\":{\"shape\":[0,4],\"values\":[]}}}"),
        ("tensor_shape_mismatch", "{\"data\":{\"tensor\":{\"shape\":[2,4],\"values\":[1.0]}}}"),
        ("binData", "{\"binData\":\"AP/+\"}"),
        ("jsonData_scalar", "{\"jsonData\":\"just a string\"}"),
        ("batch_ab", "{\"data\":{\"names\":[\"a\",\"b\"],\"ndarray\":[[1.5,2.5],[3.5,4.5],[5.5,6.5]]}}"),
        ("batch_c_string", "{\"data\":{\"names\":[\"a\",\"b\"],\"ndarray\":[[\"x\",2.5]]}}"),
        (
            "batch_e_tags",
            "{\"meta\":{\"tags\":{\"user\":\"u1\"}},\"data\":{\"names\":[\"a\",\"b\"],\"ndarray\":[[1.5,2.5]]}}",
        ),
        ("batch_f_tensor", "{\"data\":{\"names\":[\"a\",\"b\"],\"tensor\":{\"shape\":[1,2],\"values\":[1.5,2.5]}}}"),
        ("route_all", "{\"data\":{\"ndarray\":[-1]}}"),
        ("empty_message", "{}"),
    ] {
        let proto = vector(&format!("seldon/{file}.pb"));
        is::<SeldonMessage>(&grpc(json).unwrap(), &proto);
        is::<SeldonMessage>(&grpc(&rest(&proto).unwrap()).unwrap(), &proto);
    }
    let list = "{\"seldonMessages\":[{\"data\":{\"ndarray\":[[1,2]]}},{\"data\":{\"ndarray\":[[3,4]]}}]}";
    is::<SeldonMessageList>(&grpc(list).unwrap(), &vector("seldon/message_list.pb"));
}

#[test]
fn every_other_vector_goes_there_and_back() {
    for file in [
        "seldon/meta_full",
        "seldon/response_proba",
        "seldon/ndarray_strings",
        "seldon/oneof_merge",
        "seldon/oneof_twice",
        "seldon/route_bad_data",
        "captured/seldon/grpc_ndarray",
        "captured/seldon/grpc_tensor",
    ] {
        let proto = vector(&format!("{file}.pb"));
        is::<SeldonMessage>(&grpc(&rest(&proto).unwrap()).unwrap(), &proto);
    }
    assert!(rest(&vector("seldon/ndarray_nan.pb")).unwrap().contains("NaN"));
}

#[test]
fn a_reply_of_the_predecessors_wrapper_is_read() {
    let json = "{\"data\":{\"names\":[\"setosa\"],\"ndarray\":[[0.9815572024179112,1.4480920327393706e-08]]},\"meta\":{\"metrics\":\
                [{\"key\":\"mycounter\",\"type\":\"COUNTER\",\"value\":1}],\"puid\":\"p1\",\"requestPath\":{\"iris\":\"NOT_IMPLEMENTED:\
                NOT_IMPLEMENTED\"},\"tags\":{\"stage\":\"test\"}}}";
    assert!(around(json).contains("[[0.9815572024179112,1.4480920327393706e-8]]"));
    let failed = "{\"status\":{\"code\":-1,\"info\":\"Can't find JSON in data\",\"reason\":\"MICROSERVICE_BAD_DATA\",\"status\":1}}\n";
    assert_eq!(around(failed), failed.trim().replace(":1}", ":\"FAILURE\"}"));
}

fn value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<i32>().prop_map(Into::into),
        ".{0,8}".prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 32, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            proptest::collection::btree_map(".{0,5}", inner, 0..5)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn there_and_back_is_stable(data in value(), tag in value(), row in proptest::collection::vec(value(), 0..4)) {
        let row = serde_json::Value::from(row);
        for json in [
            format!("{{\"meta\":{{\"tags\":{{\"t\":{tag}}}}},\"jsonData\":{data}}}"),
            format!("[{{\"data\":{{\"ndarray\":{row}}}}}]"),
        ] {
            let back = around(&json);
            let (before, after) = (Tape::parse(json.as_bytes()).unwrap(), Tape::parse(back.as_bytes()).unwrap());
            prop_assert!(same(before.root(), after.root()), "{} {}", json, back);
        }
    }

    #[test]
    fn damaged_messages_never_panic(at: prop::sample::Index, byte: u8, cut: bool, file in prop::sample::select(vec![
        "seldon/meta_full.pb", "seldon/ndarray_nested3.pb", "seldon/batch_f_tensor.pb", "seldon/oneof_merge.pb",
    ])) {
        let proto = vector(file);
        let json = Message::json(rest(&proto).unwrap());
        for message in [proto, json] {
            let mut body = message.body.to_vec();
            let at = at.index(body.len());
            if cut { body.truncate(at) } else { body[at] = byte }
            let damaged = Message { body: body.into(), form: message.form };
            let other = if damaged.transport() == Transport::Rest { Transport::Grpc } else { Transport::Rest };
            if let Ok(converted) = to(Protocol::Seldon, &damaged, other) {
                prop_assert!(to(Protocol::Seldon, &converted, damaged.transport()).is_ok());
            }
        }
    }
}

/// Whether two documents say the same; their keys are sorted.
fn same(before: Value<'_>, after: Value<'_>) -> bool {
    let number = |value: Value<'_>| value.raw().parse().map(f64::to_bits);
    before.len() == after.len()
        && match (before.kind(), after.kind()) {
            (Kind::Number, Kind::Number) => number(before) == number(after),
            (Kind::Text, Kind::Text) => before.string() == after.string(),
            (kind, other) => kind == other,
        }
        && before.items().zip(after.items()).all(|(before, after)| same(before, after))
        && before
            .members()
            .zip(after.members())
            .all(|((name, before), (again, after))| name.string() == again.string() && same(before, after))
}
