//! Tests of V2's conversion: each datatype, what is refused, and that there and back is the same message.

use std::path::Path;

use bytes::Bytes;
use proptest::prelude::*;

use super::super::{ConvertError, to};
use crate::codec::tensor;
use crate::config::settings::{Protocol, Transport};
use crate::record::{Form, Message};

const REQUEST: &str = "inference.ModelInferRequest";
const REPLY: &str = "inference.ModelInferResponse";

fn grpc(message: &Message) -> Result<Message, ConvertError> {
    to(Protocol::V2, message, Transport::Grpc)
}

fn rest(message: &Message) -> Result<Message, ConvertError> {
    to(Protocol::V2, message, Transport::Rest)
}

/// JSON to protobuf and back.
fn around(json: &str) -> String {
    let there = grpc(&Message::json(json.as_bytes().to_vec())).unwrap();
    let back = rest(&there).unwrap();
    assert_eq!(grpc(&back).unwrap(), there, "{json}");
    String::from_utf8(back.body.to_vec()).unwrap()
}

fn refused(json: &str) -> String {
    grpc(&Message::json(json.as_bytes().to_vec())).unwrap_err().to_string()
}

fn vector(file: &str, name: &'static str) -> Message {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/tests/vectors").join(file);
    Message::proto(name, std::fs::read(path).unwrap())
}

fn input(datatype: &str, shape: &str, data: &str) -> String {
    format!("{{\"inputs\":[{{\"name\":\"x\",\"shape\":{shape},\"datatype\":\"{datatype}\",\"data\":{data}}}]}}")
}

#[test]
fn every_part_of_a_message_survives() {
    for json in [
        "{\"model_name\":\"m\",\"model_version\":\"1\",\"id\":\"ü\",\"parameters\":{\"a\":1,\"b\":\"s\",\"c\":true,\"d\":0.5,\
         \"e\":18446744073709551615,\"f\":1e300},\"inputs\":[{\"name\":\"x\",\"shape\":[1],\"datatype\":\"FP32\",\
         \"parameters\":{\"content_type\":\"np\"},\"data\":[1.0]}],\"outputs\":[{\"name\":\"y\",\"parameters\":\
         {\"classification\":3}},{\"name\":\"z\"}]}",
        "{\"model_name\":\"m\",\"outputs\":[{\"name\":\"y\",\"shape\":[1],\"datatype\":\"INT64\",\"data\":[0]},\
         {\"name\":\"s\",\"shape\":[2,1],\"datatype\":\"BYTES\",\"data\":[\"é\\n\",\"\"]}]}",
        "{\"outputs\":[]}",
    ] {
        assert_eq!(around(json), json);
    }
    // Null is what servers write for what they have not.
    assert_eq!(around("{\"model_version\":null,\"parameters\":null,\"inputs\":[]}"), "{\"inputs\":[]}");
}

#[test]
fn each_datatype_keeps_its_values() {
    for (datatype, data, back) in [
        ("BOOL", "[true,false]", "[true,false]"),
        ("INT8", "[-128,127]", "[-128,127]"),
        ("INT16", "[-32768,3.0e2]", "[-32768,300]"),
        ("INT32", "[-2147483648,2147483647]", "[-2147483648,2147483647]"),
        ("INT64", "[9007199254740993,-9223372036854775808]", "[9007199254740993,-9223372036854775808]"),
        ("UINT8", "[0,255]", "[0,255]"),
        ("UINT16", "[0,65535]", "[0,65535]"),
        ("UINT32", "[0,4294967295]", "[0,4294967295]"),
        ("UINT64", "[0,18446744073709551615]", "[0,18446744073709551615]"),
        ("FP16", "[0.1,65504]", "[0.0999755859375,65504.0]"),
        ("BF16", "[1,-Infinity]", "[1.0,-Infinity]"),
        ("FP32", "[5.1,NaN]", "[5.1,NaN]"),
        ("FP32", "[[16777217],[-0.0]]", "[16777216.0,-0.0]"),
        ("FP64", "[1e23,Infinity]", "[1e23,Infinity]"),
        ("BYTES", "[[\"a\"],[\"\\u00e9\"]]", "[\"a\",\"é\"]"),
    ] {
        assert_eq!(around(&input(datatype, "[2]", data)), input(datatype, "[2]", back));
    }
    assert_eq!(around(&input("FP32", "[]", "[3.25]")), input("FP32", "[]", "[3.25]"));
    assert_eq!(around(&input("FP32", "[0,4]", "[]")), input("FP32", "[0,4]", "[]"));
}

#[test]
fn what_would_be_lost_is_refused_by_name() {
    let lossy = |what: &str| format!("the message cannot be converted to protobuf without loss: {what}");
    for (datatype, data, what) in [
        ("INT8", "[300]", "'x': 300 is no value of INT8"),
        ("INT64", "[1.5]", "'x': 1.5 is no value of INT64"),
        ("INT64", "[9223372036854775808]", "'x': 9223372036854775808 is no value of INT64"),
        ("UINT8", "[-1]", "'x': -1 is no value of UINT8"),
        ("FP32", "[1e39]", "'x': 1e39 is no value of FP32"),
        ("FP16", "[65520]", "'x': 65520 is no value of FP16"),
        ("FP64", "[null]", "'x': null is no value of FP64"),
        ("BOOL", "[1]", "'x': 1 is no value of BOOL"),
        ("BYTES", "[1]", "'x': 1 is no value of BYTES"),
        ("BYTES", "[\"\\ud800\"]", "'x': \"\\ud800\" is no value of BYTES"),
        ("FLOAT", "[1]", "'x': 'FLOAT' is no datatype of the protocol"),
        ("FP32", "[1,2]", "'x': it has 2 elements, which are not those of its shape [1]"),
        ("FP32", "[[1],2]", "'x': its rows differ in length or depth"),
    ] {
        assert_eq!(refused(&input(datatype, "[1]", data)), lossy(what));
    }
    for (json, what) in [
        ("{\"inputs\":[],\"x\":1}", "the key 'x' has no place in the protobuf message"),
        ("{\"inputs\":[],\"id\":7}", "id: 7 is no string, or not Unicode"),
        ("{\"inputs\":[],\"id\":\"a\",\"id\":\"b\"}", "the key 'id' is there twice"),
        ("{\"inputs\":[],\"parameters\":{\"a\":{}}}", "parameters: a: an object is no value of a parameter"),
        ("{\"inputs\":[],\"parameters\":{\"a\":null}}", "parameters: a: null is no value of a parameter"),
        ("{\"inputs\":[],\"parameters\":{\"a\":1e999}}", "parameters: a: 1e999 is no value of a parameter"),
        (
            "{\"inputs\":[{\"name\":\"x\",\"extra\":1}]}",
            "inputs: item 0: the key 'extra' has no place in the protobuf message",
        ),
        ("{\"error\":\"x\"}", "it has neither 'inputs', as a request, nor 'outputs', as a reply"),
        ("[]", "it has neither 'inputs', as a request, nor 'outputs', as a reply"),
    ] {
        assert_eq!(refused(json), lossy(what));
    }
    assert!(refused("{\"inputs\":[").contains("it is not JSON: unexpected end at byte 11"));
}

#[test]
fn raw_bytes_behind_the_text_become_raw_contents() {
    let text = "{\"inputs\":[{\"name\":\"s\",\"shape\":[2],\"datatype\":\"BYTES\",\"parameters\":{\"binary_data_size\":13}},\
                {\"name\":\"t\",\"shape\":[1],\"datatype\":\"FP32\",\"data\":[1.0]}]}";
    let raw = b"\x02\0\0\0ab\x03\0\0\0xyz";
    let binary =
        |raw: &[u8]| Message { body: [text.as_bytes(), raw].concat().into(), form: Form::Binary { json: text.len() } };
    let there = grpc(&binary(raw)).unwrap();
    let infer = tensor::infer::Infer::decode(REQUEST, &there.body).unwrap();
    assert_eq!(infer.raw, [Bytes::from_static(raw), Bytes::copy_from_slice(&1f32.to_le_bytes())]);
    assert!(infer.tensors.iter().all(|tensor| tensor.contents.is_none() && tensor.parameters.is_empty()));
    assert!(String::from_utf8_lossy(&rest(&there).unwrap().body).contains("\"data\":[\"ab\",\"xyz\"]"));
    assert!(grpc(&binary(&raw[..12])).unwrap_err().to_string().contains("binary_data_size 13 is not there"));
    assert!(grpc(&binary(b"\x02\0\0\0ab\x03\0\0\0xyz!")).unwrap_err().to_string().contains("1 bytes behind"));
    let strange = rest(&grpc(&binary(b"\x02\0\0\0\xff\xfe\x03\0\0\0xyz")).unwrap()).unwrap_err();
    assert!(strange.to_string().ends_with("'s': BYTES that are not UTF-8 have no place in JSON"), "{strange}");
}

#[test]
fn messages_of_real_servers_go_there_and_back() {
    for (file, name) in [
        ("v2/infer_fp32.pb", REQUEST),
        ("v2/infer_fp32_raw.pb", REQUEST),
        ("v2/infer_int64_big.pb", REQUEST),
        ("v2/infer_uint64_max.pb", REQUEST),
        ("v2/infer_fp16_raw.pb", REQUEST),
        ("v2/infer_empty_batch.pb", REQUEST),
        ("v2/infer_scalar.pb", REQUEST),
        ("v2/infer_multi_raw.pb", REQUEST),
        ("v2/infer_model_version.pb", REQUEST),
        ("v2/batch_c_param.pb", REQUEST),
        ("v2/chain_in_response_typed.pb", REPLY),
        ("v2/chain_in_response_raw.pb", REPLY),
        ("captured/kserve/grpc_infer_raw.pb", REPLY),
        ("captured/kserve/grpc_infer_typed.pb", REPLY),
        ("captured/mlserver/grpc_infer_raw.pb", REPLY),
        ("captured/mlserver/grpc_infer_typed.pb", REPLY),
    ] {
        let message = vector(file, name);
        let json = rest(&message).unwrap_or_else(|error| panic!("{file}: {error}"));
        let again = grpc(&json).unwrap_or_else(|error| panic!("{file}: {error}: {json:?}"));
        assert_eq!(again.form, Form::Proto(name), "{file}");
        assert_eq!(rest(&again).unwrap(), json, "{file}");
        if !file.contains("bytes") && !file.contains("multi") {
            let numbers = |message: &Message| tensor::read(Protocol::V2, message).unwrap();
            assert_eq!(numbers(&message), numbers(&again), "{file}");
            assert_eq!(numbers(&message), numbers(&json), "{file}");
        }
    }
}

#[test]
fn messages_that_contradict_themselves_are_refused() {
    for (file, what) in [
        ("bad_raw_size", "30 raw bytes are no whole number of FP32"),
        ("bad_datatype", "no datatype"),
        ("bad_wrong_contents_field", "not that of"),
        ("bad_no_data", "0 elements"),
        ("bad_bytes_raw_len", "middle of an element"),
        ("bad_truncated", "it is no inference.ModelInferRequest"),
        ("infer_bytes_raw", "not UTF-8"),
    ] {
        let refused = rest(&vector(&format!("v2/{file}.pb"), REQUEST)).unwrap_err().to_string();
        assert!(refused.contains(what), "{file}: {refused}");
    }
}

#[test]
fn both_encodings_of_one_request_are_the_same_message() {
    let json = "{\"id\":\"42\",\"inputs\":[{\"name\":\"x\",\"shape\":[2,4],\"datatype\":\"FP32\",\"data\":[5.1,3.5,1.4,0.2,6.7,3.0,5.2,2.3]}]}";
    let converted = grpc(&Message::json(json)).unwrap();
    let numbers = |message: &Message| tensor::read(Protocol::V2, message).unwrap();
    assert_eq!(numbers(&converted)[0].values, numbers(&vector("v2/infer_fp32.pb", REQUEST))[0].values);
    assert_eq!(numbers(&converted)[0].values, numbers(&vector("v2/infer_fp32_raw.pb", REQUEST))[0].values);
}

/// A value of a datatype, as JSON.
fn element() -> impl Strategy<Value = (&'static str, String)> {
    let float = |value: f64| {
        let mut out = String::new();
        crate::codec::json::number::print(&mut out, value);
        out
    };
    prop_oneof![
        any::<bool>().prop_map(|value| ("BOOL", value.to_string())),
        any::<i8>().prop_map(|value| ("INT8", value.to_string())),
        any::<i16>().prop_map(|value| ("INT16", value.to_string())),
        any::<i32>().prop_map(|value| ("INT32", value.to_string())),
        any::<i64>().prop_map(|value| ("INT64", value.to_string())),
        any::<u8>().prop_map(|value| ("UINT8", value.to_string())),
        any::<u32>().prop_map(|value| ("UINT32", value.to_string())),
        any::<u64>().prop_map(|value| ("UINT64", value.to_string())),
        any::<f64>().prop_map(move |value| ("FP64", float(value))),
        any::<f32>().prop_map(move |value| ("FP32", float(f64::from(value)))),
        (-60000f64..60000.0).prop_map(move |value| ("FP16", float(value))),
        any::<String>().prop_map(|value| ("BYTES", serde_json::Value::from(value).to_string())),
    ]
}

proptest! {
    #[test]
    fn there_and_back_is_stable(elements in proptest::collection::vec(element(), 0..6), id in any::<String>(), reply: bool) {
        let tensors: Vec<_> = elements.iter().enumerate().map(|(at, (datatype, value))| {
            format!("{{\"name\":\"{at}\",\"shape\":[1],\"datatype\":\"{datatype}\",\"data\":[{value}]}}")
        }).collect();
        let key = if reply { "outputs" } else { "inputs" };
        let json = format!("{{\"id\":{},\"{key}\":[{}]}}", serde_json::Value::from(id), tensors.join(","));
        let there = grpc(&Message::json(json.clone())).unwrap();
        let back = rest(&there).unwrap();
        prop_assert_eq!(&grpc(&back).unwrap(), &there);
        for (datatype, value) in &elements {
            if !datatype.starts_with("FP") && *datatype != "BYTES" {
                let printed = format!("\"data\":[{value}]");
                prop_assert!(String::from_utf8_lossy(&back.body).contains(&printed));
            }
        }
    }

    #[test]
    fn damaged_messages_never_panic(at: prop::sample::Index, byte: u8, cut: bool, file in prop::sample::select(vec![
        "v2/infer_fp32.pb", "v2/infer_multi_raw.pb", "v2/infer_bytes_raw.pb", "v2/batch_c_param.pb",
    ])) {
        let message = vector(file, REQUEST);
        let json = rest(&vector("v2/batch_c_param.pb", REQUEST)).unwrap();
        for message in [message, json] {
            let mut body = message.body.to_vec();
            let at = at.index(body.len());
            if cut { body.truncate(at) } else { body[at] = byte }
            let damaged = Message { body: body.into(), form: message.form };
            let other = if damaged.transport() == Transport::Rest { Transport::Grpc } else { Transport::Rest };
            if let Ok(converted) = to(Protocol::V2, &damaged, other) {
                prop_assert!(to(Protocol::V2, &converted, damaged.transport()).is_ok());
            }
        }
    }
}
