//! Tests of means: every protocol and encoding by example, and by property that bad bytes are refused and not fatal.

use millrace_proto::ProtoName;
use millrace_proto::inference::ModelInferResponse;
use millrace_proto::inference::infer_parameter::ParameterChoice;
use millrace_proto::inference::{InferParameter, InferTensorContents, model_infer_response::InferOutputTensor};
use millrace_proto::seldon::default_data::DataOneof as Numbers;
use millrace_proto::seldon::seldon_message::DataOneof;
use millrace_proto::seldon::{DefaultData, SeldonMessage};
use millrace_proto::tensorflow::tensor_shape_proto::Dim;
use millrace_proto::tensorflow::{DataType, TensorProto, TensorShapeProto};
use millrace_proto::tensorflow_serving::PredictResponse;
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::codec::tensor::half::Half;
use crate::record::Form;

const PROTOCOLS: [Protocol; 3] = [Protocol::Seldon, Protocol::Tensorflow, Protocol::V2];

fn mean(protocol: Protocol, replies: &[&str]) -> Result<String, String> {
    let replies: Vec<_> = replies.iter().map(|reply| Message::json(reply.as_bytes().to_vec())).collect();
    let mean = average(protocol, &replies).map_err(|error| error.to_string())?;
    assert_eq!(mean.form, replies[0].form);
    Ok(String::from_utf8(mean.body.to_vec()).unwrap())
}

fn proto<M: ProtoName>(message: &M) -> Message {
    Message::proto(M::PROTO_NAME, message.encode_to_vec())
}

fn mean_of<M: ProtoName>(protocol: Protocol, replies: &[M]) -> M {
    let replies: Vec<_> = replies.iter().map(proto).collect();
    let mean = average(protocol, &replies).unwrap();
    assert_eq!(mean.form, Form::Proto(M::PROTO_NAME));
    M::decode(mean.body).unwrap()
}

#[test]
fn one_reply_is_its_own_mean_and_none_has_none() {
    for protocol in PROTOCOLS {
        let reply = Message::json("  what it is \u{1}");
        let mean = average(protocol, std::slice::from_ref(&reply)).unwrap();
        assert_eq!((mean.body.as_ptr(), &mean), (reply.body.as_ptr(), &reply));
        assert_eq!(average(protocol, &[]), Err(AverageError::NoReplies));
    }
}

#[test]
fn seldon_arrays_of_any_depth_keep_all_but_their_numbers() {
    let seldon = |replies: &[&str]| mean(Protocol::Seldon, replies).unwrap();
    assert_eq!(
        seldon(&[
            "{\"meta\":{\"puid\":\"a\"}, \"data\":{\"names\":[\"x\",\"y\"],\"ndarray\":[[1, 2.5],[3,1e2]]}}",
            "{\"data\":{\"ndarray\":[[2,2.5],[4,0]],\"names\":[\"x\",\"y\"]}}",
        ]),
        "{\"meta\":{\"puid\":\"a\"}, \"data\":{\"names\":[\"x\",\"y\"],\"ndarray\":[[1.5, 2.5],[3.5,50.0]]}}",
    );
    assert_eq!(
        seldon(&["{\"data\":{\"ndarray\":[[[1],[NaN]]]}}", "{\"data\":{\"ndarray\":[[[0],[1]]]}}"]),
        "{\"data\":{\"ndarray\":[[[0.5],[NaN]]]}}",
    );
    assert_eq!(
        seldon(&[
            "{\"data\":{\"tensor\":{\"shape\":[2],\"values\":[1,\"Infinity\"]}}}",
            "{\"data\":{\"ndarray\":[4,2]}}",
            "{\"data\":{\"ndarray\":[4,3]}}",
        ]),
        "{\"data\":{\"tensor\":{\"shape\":[2],\"values\":[3.0,Infinity]}}}",
    );
    assert_eq!(
        seldon(&[
            "{\"data\":{\"tftensor\":{\"dtype\":\"DT_INT64\",\"tensorShape\":{\"dim\":[{\"size\":\"2\"}]},\"int64Val\":[\"1\",\"2\"]}}}",
            "{\"data\":{\"tftensor\":{\"dtype\":1,\"tensor_shape\":{\"dim\":[{\"size\":2}]},\"float_val\":[2]}}}",
        ]),
        "{\"data\":{\"tftensor\":{\"dtype\":\"DT_DOUBLE\",\"tensorShape\":{\"dim\":[{\"size\":\"2\"}]},\"doubleVal\":[1.5,2.0]}}}",
    );
}

#[test]
fn tensorflow_rows_columns_and_named_rows() {
    let tensorflow = |replies: &[&str]| mean(Protocol::Tensorflow, replies).unwrap();
    assert_eq!(
        tensorflow(&["{\n  \"predictions\": [[1.0, 2.0]]\n}", "{\"predictions\":[[2,4]]}"]),
        "{\n  \"predictions\": [[1.5, 3.0]]\n}",
    );
    assert_eq!(
        tensorflow(&[
            "{\"predictions\":[{\"a\":1,\"b\":[1,2]},{\"b\":[3,4],\"a\":0}]}",
            "{\"predictions\":[{\"a\":3,\"b\":[1,2]},{\"a\":1,\"b\":[5,4]}]}"
        ]),
        "{\"predictions\":[{\"a\":2.0,\"b\":[1.0,2.0]},{\"b\":[4.0,4.0],\"a\":0.5}]}",
    );
    assert_eq!(
        tensorflow(&["{\"outputs\":{\"a\":1,\"b\":[[2]]}}", "{\"outputs\":{\"b\":[[3]],\"a\":2}}"]),
        "{\"outputs\":{\"a\":1.5,\"b\":[[2.5]]}}",
    );
    assert_eq!(tensorflow(&["{\"outputs\":[1,3]}", "{\"predictions\":[2,2]}"]), "{\"outputs\":[1.5,2.5]}");
}

#[test]
fn v2_keeps_floating_types_and_makes_doubles_of_integers() {
    let reply = |datatype: &str, data: &str| {
        format!(
            "{{\"id\":\"7\",\"outputs\":[{{\"name\":\"y\",\"datatype\":\"{datatype}\",\"shape\":[2],\"data\":{data}}}]}}"
        )
    };
    let v2 = |datatype, a, b| mean(Protocol::V2, &[&reply(datatype, a), &reply(datatype, b)]).unwrap();
    assert_eq!(v2("FP32", "[0.1,1]", "[0.2,2]"), reply("FP32", "[0.15,1.5]"));
    assert_eq!(v2("FP64", "[[0.1],[1]]", "[0.2,2]"), reply("FP64", "[[0.15000000000000002],[1.5]]"));
    assert_eq!(v2("INT8", "[1,-128]", "[2,127]"), reply("FP64", "[1.5,-0.5]"));
    assert_eq!(v2("BF16", "[1,2]", "[1,3]"), reply("BF16", "[1.0,2.5]"));
}

fn binary(datatype: &str, raw: &[u8]) -> Message {
    let text = format!(
        "{{\"outputs\":[{{\"name\":\"i\",\"datatype\":\"INT64\",\"shape\":[1],\"data\":[1]}},{{\"name\":\"y\",\
         \"shape\":[2],\"datatype\":\"{datatype}\",\"parameters\":{{\"binary_data_size\":{}}}}}]}}",
        raw.len()
    );
    Message { form: Form::Binary { json: text.len() }, body: [text.as_bytes(), raw].concat().into() }
}

#[test]
fn the_binary_extension_stays_binary() {
    let mean = average(Protocol::V2, &[binary("UINT8", &[1, 2]), binary("UINT8", &[2, 4])]).unwrap();
    let Form::Binary { json } = mean.form else { panic!("{mean:?}") };
    let text = std::str::from_utf8(&mean.body[..json]).unwrap();
    assert!(text.contains("\"FP64\",\"parameters\":{\"binary_data_size\":16}"), "{text}");
    assert!(text.contains("\"datatype\":\"FP64\",\"shape\":[1],\"data\":[1.0]"), "{text}");
    assert_eq!(mean.body[json..], [1.5f64.to_le_bytes(), 3f64.to_le_bytes()].concat());
    // In the encoding of the first, whatever the others have.
    let again = average(Protocol::V2, &[mean.clone(), binary("FP16", &[0, 0x3c, 0, 0x3c])]).unwrap();
    assert!(matches!(again.form, Form::Binary { .. }));
    let cut = Message { body: mean.body.slice(..mean.body.len() - 1), ..mean };
    assert!(matches!(average(Protocol::V2, &[cut.clone(), cut]), Err(AverageError::Unreadable { reply: 1, .. })));
}

fn infer(datatype: &str, contents: InferTensorContents, raw: Option<&[u8]>) -> ModelInferResponse {
    let size = raw.map(|raw| InferParameter { parameter_choice: Some(ParameterChoice::Int64Param(raw.len() as i64)) });
    ModelInferResponse {
        model_name: "m".into(),
        id: "7".into(),
        outputs: vec![InferOutputTensor {
            name: "y".into(),
            datatype: datatype.into(),
            shape: vec![2],
            parameters: size.map(|size| ("binary_data_size".into(), size)).into_iter().collect(),
            contents: Some(contents),
        }],
        raw_output_contents: raw.map(|raw| raw.to_vec().into()).into_iter().collect(),
        ..ModelInferResponse::default()
    }
}

#[test]
fn v2_protobuf_stays_typed_or_raw() {
    let typed = |values: [f32; 2]| {
        infer("FP32", InferTensorContents { fp32_contents: values.into(), ..Default::default() }, None)
    };
    assert_eq!(mean_of(Protocol::V2, &[typed([1.0, 2.0]), typed([2.0, 2.0])]), typed([1.5, 2.0]));
    let raw = |datatype, bytes: &[u8]| infer(datatype, InferTensorContents::default(), Some(bytes));
    let double = [1.5f64, 2.0].map(f64::to_le_bytes).concat();
    assert_eq!(mean_of(Protocol::V2, &[raw("INT8", &[1, 2]), raw("INT8", &[2, 2])]), raw("FP64", &double));
    let half = |values: [f64; 2]| raw("FP16", &values.map(|value| Half::Fp16.round(value).to_le_bytes()).concat());
    assert_eq!(mean_of(Protocol::V2, &[half([1.0, 2.0]), half([2.0, 2.0]), half([3.0, 5.0])]), half([2.0, 3.0]));
    let mixed = average(Protocol::V2, &[proto(&typed([1.0, 2.0])), proto(&raw("FP64", &double))]).unwrap();
    assert_eq!(ModelInferResponse::decode(mixed.body).unwrap(), typed([1.25, 2.0]));
}

fn tensor(dtype: DataType, sizes: &[i64]) -> TensorProto {
    let dim = sizes.iter().map(|&size| Dim { size, name: String::new() }).collect();
    let tensor_shape = Some(TensorShapeProto { dim, unknown_rank: false });
    TensorProto { dtype: dtype as i32, tensor_shape, ..TensorProto::default() }
}

fn predicted(tensor: TensorProto) -> PredictResponse {
    PredictResponse { outputs: [("y".to_owned(), tensor)].into(), model_spec: None }
}

#[test]
fn tensorflow_tensors_in_every_encoding() {
    let mean = |a: TensorProto, b: TensorProto| {
        let mut reply = mean_of(Protocol::Tensorflow, &[predicted(a), predicted(b)]);
        reply.outputs.remove("y").unwrap()
    };
    let floats = |values: &[f32]| TensorProto { float_val: values.into(), ..tensor(DataType::DtFloat, &[3]) };
    // A list that is short repeats its last value; one that is empty stands for zeros.
    assert_eq!(mean(floats(&[1.0, 2.0]), floats(&[2.0])), floats(&[1.5, 2.0, 2.0]));
    assert_eq!(mean(floats(&[]), floats(&[2.0])), floats(&[1.0, 1.0, 1.0]));
    let content = |values: [f32; 3]| {
        let tensor_content = values.map(f32::to_le_bytes).concat().into();
        TensorProto { tensor_content, ..tensor(DataType::DtFloat, &[3]) }
    };
    assert_eq!(mean(content([1.0, 2.0, 3.0]), floats(&[1.0])), content([1.0, 1.5, 2.0]));
    let integers = |values: &[i64]| TensorProto { int64_val: values.into(), ..tensor(DataType::DtInt64, &[2]) };
    let doubles = |values: &[f64]| TensorProto { double_val: values.into(), ..tensor(DataType::DtDouble, &[2]) };
    assert_eq!(mean(integers(&[1, 2]), integers(&[2, 4])), doubles(&[1.5, 3.0]));
    let half = |values: [f64; 2]| {
        let half_val = values.map(|value| i32::from(Half::Bf16.round(value))).into();
        TensorProto { half_val, ..tensor(DataType::DtBfloat16, &[2]) }
    };
    assert_eq!(mean(half([1.0, 2.0]), half([2.0, 2.0])), half([1.5, 2.0]));
}

#[test]
fn seldon_protobuf_in_every_encoding() {
    let vector = |name| include_vector(&format!("seldon/{name}.pb"), SeldonMessage::PROTO_NAME);
    let nested = average(Protocol::Seldon, &[vector("ndarray_nested3"), vector("ndarray_nested3")]).unwrap();
    assert_eq!(nested, vector("ndarray_nested3"));
    let mean = average(Protocol::Seldon, &[vector("batch_f_tensor"), vector("batch_a")]).unwrap();
    assert_eq!(mean, vector("batch_f_tensor"));
    let tf = TensorProto { int_val: vec![1, 2], ..tensor(DataType::DtInt32, &[2]) };
    let data = DefaultData { names: Vec::new(), data_oneof: Some(Numbers::Tftensor(tf)) };
    let message = SeldonMessage { data_oneof: Some(DataOneof::Data(data)), ..SeldonMessage::default() };
    let mean = mean_of(Protocol::Seldon, &[message.clone(), message]);
    let Some(DataOneof::Data(DefaultData { data_oneof: Some(Numbers::Tftensor(mean)), .. })) = mean.data_oneof else {
        panic!("{mean:?}")
    };
    assert_eq!(mean, TensorProto { double_val: vec![1.0, 2.0], ..tensor(DataType::DtDouble, &[2]) });
}

fn include_vector(file: &str, name: &'static str) -> Message {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/tests/vectors").join(file);
    Message::proto(name, std::fs::read(path).unwrap())
}

#[test]
fn replies_that_do_not_belong_together_say_in_what_they_differ() {
    let refused = |protocol, a, b| mean(protocol, &[a, b]).unwrap_err();
    assert_eq!(
        refused(Protocol::Seldon, "{\"data\":{\"ndarray\":[[1,2]]}}", "{\"data\":{\"ndarray\":[[1],[2]]}}"),
        "no mean can be taken: reply 2 differs from reply 1 in the shape of 'data': [2, 1] for [1, 2]",
    );
    assert_eq!(
        refused(
            Protocol::Seldon,
            "{\"data\":{\"names\":[\"a\"],\"ndarray\":[1]}}",
            "{\"data\":{\"names\":[\"b\"],\"ndarray\":[1]}}"
        ),
        "no mean can be taken: reply 2 differs from reply 1 in the names of 'data': [\"b\"] for [\"a\"]",
    );
    assert_eq!(
        refused(Protocol::Tensorflow, "{\"outputs\":{\"a\":1}}", "{\"outputs\":{\"b\":1}}"),
        "no mean can be taken: reply 2 differs from reply 1 in its outputs: 'b' for 'a'",
    );
    assert_eq!(
        refused(Protocol::Tensorflow, "{\"predictions\":[1]}", "{\"predictions\":[{\"b64\":\"AA==\"}]}"),
        "no mean can be taken, because of reply 2: 'b64': \"AA==\" is no number",
    );
    assert_eq!(
        refused(Protocol::Seldon, "{\"data\":{\"ndarray\":[[1],[2,3]]}}", "{}"),
        "no mean can be taken, because of reply 1: 'data': its rows differ in length or depth",
    );
    assert_eq!(
        refused(Protocol::Seldon, "{\"data\":{\"ndarray\":[true]}}", "{}"),
        "no mean can be taken, because of reply 1: 'data': true is no number",
    );
    assert_eq!(
        refused(Protocol::Seldon, "{\"strData\":\"x\"}", "{}"),
        "no mean can be taken, because of reply 1: it has no numbers: a seldon reply has 'data' with 'ndarray', 'tensor' or 'tftensor'",
    );
    let bytes = "{\"outputs\":[{\"name\":\"y\",\"datatype\":\"BYTES\",\"shape\":[1],\"data\":[\"1\"]}]}";
    assert_eq!(
        refused(Protocol::V2, bytes, bytes),
        "no mean can be taken, because of reply 1: 'y': BYTES are no numbers"
    );
    let text = TensorProto { string_val: vec!["x".into()], ..tensor(DataType::DtString, &[1]) };
    let text = proto(&predicted(text));
    assert!(average(Protocol::Tensorflow, &[text.clone(), text]).unwrap_err().to_string().contains("DT_STRING"));
    let huge = proto(&predicted(tensor(DataType::DtFloat, &[1 << 40])));
    assert!(average(Protocol::Tensorflow, &[huge.clone(), huge]).unwrap_err().to_string().contains("repeats"));
}

#[test]
fn a_sum_beyond_the_largest_double_still_has_a_mean() {
    let reply = "{\"predictions\":[1.7e308,-1.7e308]}";
    assert_eq!(mean(Protocol::Tensorflow, &[reply, reply]).unwrap(), reply);
}

/// Files of replies that some protocol reads.
fn seeds() -> Vec<Message> {
    let mut seeds = vec![
        Message::json("{\"data\":{\"names\":[\"a\"],\"ndarray\":[[1.5,2],[3,4]]}}"),
        Message::json("{\"data\":{\"tensor\":{\"shape\":[1,2],\"values\":[1,2]}}}"),
        Message::json("{\"predictions\":[{\"a\":1},{\"a\":2}]}"),
        Message::json("{\"outputs\":[{\"name\":\"y\",\"datatype\":\"FP32\",\"shape\":[2],\"data\":[1,2]}]}"),
        binary("FP32", &[0; 8]),
        proto(&predicted(TensorProto { float_val: vec![1.0], ..tensor(DataType::DtFloat, &[3]) })),
        proto(&infer("FP16", InferTensorContents::default(), Some(&[0; 4]))),
    ];
    for file in ["ndarray", "ndarray_nested3", "tensor", "tensor_shape_mismatch", "ndarray_strings", "oneof_merge"] {
        seeds.push(include_vector(&format!("seldon/{file}.pb"), SeldonMessage::PROTO_NAME));
    }
    seeds
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn damaged_replies_are_refused_or_averaged_and_never_panic(
        seed in 0usize..13, at: prop::sample::Index, byte: u8, cut: bool, json in 0usize..300,
    ) {
        let seed = seeds()[seed].clone();
        let mut body = seed.body.to_vec();
        let at = at.index(body.len());
        if cut { body.truncate(at) } else { body[at] = byte }
        let form = if let Form::Binary { .. } = seed.form { Form::Binary { json } } else { seed.form };
        let damaged = Message { body: body.into(), form };
        for protocol in PROTOCOLS {
            if let Ok(mean) = average(protocol, &[damaged.clone(), damaged.clone()]) {
                prop_assert!(tensor::read(protocol, &mean).is_ok(), "{:?}", mean);
            }
        }
    }

    #[test]
    fn random_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..64), form in 0usize..5) {
        let form = match form {
            0 => Form::Json { content_type: None },
            1 => Form::Binary { json: 9 },
            2 => Form::Proto(SeldonMessage::PROTO_NAME),
            3 => Form::Proto(PredictResponse::PROTO_NAME),
            _ => Form::Proto(ModelInferResponse::PROTO_NAME),
        };
        let message = Message { body: body.into(), form };
        for protocol in PROTOCOLS {
            let _unused = average(protocol, &[message.clone(), message.clone()]);
        }
    }

    #[test]
    fn the_mean_is_that_of_each_value(rows in proptest::collection::vec([-1e9f64..1e9, -1e9..1e9, -1e9..1e9], 2..6)) {
        let replies: Vec<_> = rows.iter().map(|row| format!("{{\"predictions\":{row:?}}}")).collect();
        let text = mean(Protocol::Tensorflow, &replies.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        // The real parser does not read every number to its last bit.
        let mean: Vec<f64> = text[16..text.len() - 2].split(',').map(|number| number.trim().parse().unwrap()).collect();
        for column in 0..3 {
            let expected = rows.iter().map(|row| row[column]).sum::<f64>() / rows.len() as f64;
            prop_assert_eq!(mean[column].to_bits(), expected.to_bits());
        }
    }
}
