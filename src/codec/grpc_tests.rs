//! Tests of requests and replies over gRPC: the protocols' vectors, chaining, aggregation.

use std::collections::BTreeSet;
use std::{fs, path::Path};

use millrace_proto::{ProtoName, inference, seldon, tensorflow, tensorflow_serving as serving};
use prost::Message as _;

use super::*;
use crate::config::settings::Transport::Grpc;
use crate::record::{CallKind, Form, Headers, Message};

const PROTOCOLS: [Protocol; 3] = [Protocol::Seldon, Protocol::Tensorflow, Protocol::V2];
const REQUEST: &str = "inference.ModelInferRequest";
const RESPONSE: &str = "inference.ModelInferResponse";

fn vector(file: &str) -> Bytes {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/tests/vectors");
    fs::read(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}")).into()
}

fn read(protocol: Protocol, name: &str, value: &Bytes) -> Result<Message, DecodeError> {
    let mut headers = Headers::default();
    headers.push("proto-name", Bytes::copy_from_slice(name.as_bytes()));
    decode(protocol, Grpc, &headers, Some(value), 1 << 20)
}

fn prepared(protocol: Protocol, message: &Message) -> Result<Message, ChainError> {
    prepare(protocol, message, CallKind::Predict, "next")
}

/// Every vector that is a request of its protocol is passed on as it is, unless it is damaged: what is wrong with its
/// content (a size, a datatype, data in the wrong list, no data) is for the model to say.
#[test]
fn vectors_are_passed_on_byte_for_byte() {
    let index = String::from_utf8(vector("index.txt").to_vec()).unwrap();
    let (mut passed, mut refused) = (0, BTreeSet::new());
    for line in index.lines() {
        let [file, name, _] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let value = vector(file);
        for protocol in PROTOCOLS {
            let read = read(protocol, name, &value);
            if !request_names(protocol).contains(&name) {
                assert!(matches!(read, Err(DecodeError::ProtoName { .. })), "{file} as {protocol:?}: {read:?}");
                continue;
            }
            match read {
                Ok(message) => {
                    passed += 1;
                    assert_eq!(message, Message::proto(message_name(&message), value.clone()));
                    assert_eq!(message.body.as_ptr(), value.as_ptr(), "{file} was copied");
                    let kept = prepared(protocol, &message).unwrap();
                    if !file.ends_with("infer_no_model_name.pb") {
                        assert_eq!(kept.body.as_ptr(), value.as_ptr(), "{file} was copied");
                    }
                }
                Err(error) => {
                    assert!(matches!(error, DecodeError::NotProto { .. }), "{file}: {error}");
                    refused.insert(file.to_owned());
                }
            }
        }
    }
    let damaged = ["seldon/truncated.pb", "tensorflow/predict_truncated.pb", "v2/bad_truncated.pb"];
    assert_eq!(refused, damaged.map(str::to_owned).into());
    assert!(passed > 75, "{passed}");
}

fn message_name(message: &Message) -> &'static str {
    match message.form {
        Form::Proto(name) => name,
        _ => panic!("not protobuf"),
    }
}

#[test]
fn zero_bytes_are_a_request_where_every_field_may_be_missing() {
    let empty = |protocol, name: &str| read(protocol, name, &Bytes::new());
    assert!(empty(Protocol::Seldon, "seldon.protos.SeldonMessage").is_ok());
    assert!(empty(Protocol::Tensorflow, "tensorflow.serving.PredictRequest").is_ok());
    assert_eq!(empty(Protocol::V2, REQUEST), Err(DecodeError::EmptyProto { name: REQUEST }));
    for name in ["ClassificationRequest", "RegressionRequest", "MultiInferenceRequest"] {
        let error = empty(Protocol::Tensorflow, &format!("tensorflow.serving.{name}")).unwrap_err();
        assert!(matches!(error, DecodeError::EmptyProto { .. }));
    }
}

fn input(contents: Option<inference::InferTensorContents>) -> inference::model_infer_request::InferInputTensor {
    inference::model_infer_request::InferInputTensor { name: "x".into(), contents, ..Default::default() }
}

#[test]
fn data_in_two_places_is_refused() {
    let typed = inference::InferTensorContents { fp32_contents: vec![1.0], ..Default::default() };
    let judged = |contents: [Option<inference::InferTensorContents>; 2], raw: usize| {
        let request = inference::ModelInferRequest {
            inputs: contents.map(input).into(),
            raw_input_contents: vec!["1234".into(); raw],
            ..Default::default()
        };
        read(Protocol::V2, REQUEST, &request.encode_to_vec().into()).map(|_| ())
    };
    assert_eq!(judged([None, None], 2), Ok(()));
    assert_eq!(judged([Some(typed.clone()), Some(typed.clone())], 0), Ok(()));
    assert_eq!(judged([Some(typed.clone()), None], 0), Ok(()));
    // Nothing is said twice here.
    assert_eq!(judged([Some(inference::InferTensorContents::default()), None], 2), Ok(()));
    assert_eq!(judged([Some(typed), None], 2), Err(DecodeError::Tensors(TensorFault::RawAndTyped)));
    // A tensor may lie in memory that it shares with the server.
    assert_eq!(judged([None, None], 1), Ok(()));
    let error = judged([None, None], 3).unwrap_err();
    assert_eq!(error, DecodeError::Tensors(TensorFault::RawCount { raw: 3, tensors: 2 }));
}

#[test]
fn a_tensorflow_reply_becomes_a_request() {
    let reply = Message::proto("tensorflow.serving.PredictResponse", vector("tensorflow/chain_in_response.pb"));
    let request = prepared(Protocol::Tensorflow, &reply).unwrap();
    let expected = serving::PredictRequest::decode(vector("tensorflow/chain_out_request.pb")).unwrap();
    let model = expected.model_spec.as_ref().unwrap().name.clone();
    let request_for = prepare(Protocol::Tensorflow, &reply, CallKind::TransformOutput, &model).unwrap();
    assert_eq!(serving::PredictRequest::decode(request_for.body.clone()).unwrap(), expected);
    assert_eq!(request_for.body.len(), vector("tensorflow/chain_out_request.pb").len());
    assert_eq!(request.form, Form::Proto("tensorflow.serving.PredictRequest"));
    assert_eq!(prepare(Protocol::Tensorflow, &reply, CallKind::Route, "next").unwrap(), reply);
    for name in ["tensorflow.serving.ClassificationResponse", "tensorflow.serving.RegressionResponse", RESPONSE] {
        assert_eq!(
            prepared(Protocol::Tensorflow, &Message::proto(name, "")).unwrap_err().to_string(),
            format!("the reply cannot be passed to the next node, no tensorflow request can be made of {name}"),
        );
    }
    let cut = Message::proto("tensorflow.serving.PredictResponse", reply.body.slice(..50));
    assert!(matches!(prepared(Protocol::Tensorflow, &cut), Err(ChainError::NotProto { .. })));
}

#[test]
fn unknown_fields_of_a_reply_survive_unless_they_would_mean_something() {
    // In the tensor, field 99; in the reply, field 3, which is an output filter in a request, and field 99.
    let mut tensor = tensorflow::TensorProto { dtype: 1, float_val: vec![1.0], ..Default::default() }.encode_to_vec();
    tensor.extend_from_slice(b"\x9a\x06\x01t");
    let mut entry = BytesMut::from(&b"\x0a\x01x"[..]);
    wire::put_bytes(&mut entry, 2, &tensor);
    let mut reply = BytesMut::new();
    wire::put_bytes(&mut reply, 1, &entry);
    reply.extend_from_slice(b"\x12\x03\x0a\x01m\x1a\x01f\x9a\x06\x01r");
    let reply = Message::proto("tensorflow.serving.PredictResponse", reply);
    let request = prepared(Protocol::Tensorflow, &reply).unwrap().body;
    let mut expected = BytesMut::from(&b"\x0a\x06\x0a\x04next"[..]);
    wire::put_bytes(&mut expected, 2, &entry);
    expected.extend_from_slice(b"\x9a\x06\x01r");
    assert_eq!(request, expected);

    // Of V2: field 7 would be raw data, field 8 is nobody's.
    let reply = Message::proto(RESPONSE, &b"\x0a\x01m\x12\x011\x2a\x03\x0a\x01y\x3a\x01f\x42\x01r"[..]);
    assert_eq!(prepared(Protocol::V2, &reply).unwrap().body, &b"\x0a\x04next\x2a\x03\x0a\x01y\x42\x01r"[..]);
}

#[test]
fn a_v2_reply_becomes_a_request_with_all_its_data() {
    let cases = [
        ("v2/chain_in_response_typed.pb", "v2/chain_out_request_typed.pb"),
        ("v2/chain_in_response_raw.pb", "v2/chain_out_request_raw_expected.pb"),
    ];
    for (reply, expected) in cases {
        let reply = Message::proto(RESPONSE, vector(reply));
        let request = prepared(Protocol::V2, &reply).unwrap();
        assert_eq!(request.form, Form::Proto(REQUEST));
        let mut request = inference::ModelInferRequest::decode(request.body).unwrap();
        // The predecessor lost the id; it stays here, as it does over REST.
        assert_eq!(std::mem::take(&mut request.id), "42");
        assert_eq!(request, inference::ModelInferRequest::decode(vector(expected)).unwrap());
    }
}

#[test]
fn captured_replies_chain_and_lose_only_what_strict_servers_refuse() {
    for server in ["mlserver", "kserve"] {
        for case in ["raw", "typed"] {
            let body = vector(&format!("captured/{server}/grpc_infer_{case}.pb"));
            let reply = inference::ModelInferResponse::decode(body.clone()).unwrap();
            let request = prepared(Protocol::V2, &Message::proto(RESPONSE, body)).unwrap();
            assert!(read(Protocol::V2, REQUEST, &request.body).is_ok());
            let request = inference::ModelInferRequest::decode(request.body).unwrap();
            assert_eq!(request.raw_input_contents, reply.raw_output_contents);
            assert_eq!(request.raw_input_contents.len(), usize::from(case == "raw"));
            assert_eq!((request.id, request.parameters), (reply.id, reply.parameters));
            for (input, output) in request.inputs.into_iter().zip(reply.outputs) {
                // What MLServer adds to raw replies is there to be left out.
                assert_eq!(output.contents.is_some(), case == "typed" || server == "mlserver");
                let contents = output.contents.filter(|_| case == "typed");
                assert_eq!((input.contents, input.parameters), (contents, output.parameters));
                assert_eq!((input.name, input.datatype, input.shape), (output.name, output.datatype, output.shape));
            }
        }
    }
}

#[test]
fn a_v2_reply_with_ambiguous_tensors_goes_no_further() {
    let typed = inference::InferTensorContents { fp32_contents: vec![1.0], ..Default::default() };
    let refused = |contents: Option<inference::InferTensorContents>, raw: usize| {
        let output = inference::model_infer_response::InferOutputTensor { contents, ..Default::default() };
        let raw_output_contents = vec!["1234".into(); raw];
        let reply = inference::ModelInferResponse { outputs: vec![output], raw_output_contents, ..Default::default() };
        prepared(Protocol::V2, &Message::proto(RESPONSE, reply.encode_to_vec())).unwrap_err()
    };
    assert_eq!(refused(Some(typed), 1), ChainError::Tensors(TensorFault::RawAndTyped));
    assert_eq!(refused(None, 2), ChainError::Tensors(TensorFault::RawCount { raw: 2, tensors: 1 }));
    assert!(matches!(prepared(Protocol::V2, &Message::proto(RESPONSE, "\n")), Err(ChainError::NotProto { .. })));
    let stream = Message::proto("inference.ModelStreamInferResponse", "");
    assert!(matches!(prepared(Protocol::V2, &stream), Err(ChainError::NotChainable { protocol: "v2", .. })));
}

#[test]
fn a_v2_request_without_a_model_is_for_this_one() {
    let named = |body: &[u8]| prepared(Protocol::V2, &Message::proto(REQUEST, body.to_vec())).unwrap().body;
    let unnamed = vector("v2/infer_no_model_name.pb");
    assert_eq!(named(&unnamed), [&b"\x0a\x04next"[..], &unnamed].concat());
    assert_eq!(named(b"\x0a\x00\x1a\x01i"), &b"\x0a\x04next\x1a\x01i"[..]);
    // The last name counts, and an empty one is none.
    assert_eq!(named(b"\x0a\x01m\x0a\x00"), &b"\x0a\x04next"[..]);
    assert_eq!(named(b"\x0a\x00\x0a\x01m"), &b"\x0a\x00\x0a\x01m"[..]);
}

#[test]
fn seldon_replies_are_aggregated_as_they_are() {
    let name = seldon::SeldonMessage::PROTO_NAME;
    let replies = ["batch_a", "meta_full", "empty_message"].map(|case| vector(&format!("seldon/{case}.pb")));
    let messages = replies.clone().map(|reply| Message::proto(name, reply));
    let list = aggregate(Protocol::Seldon, &messages).unwrap();
    assert_eq!(list.form, Form::Proto("seldon.protos.SeldonMessageList"));
    let decoded = seldon::SeldonMessageList::decode(list.body).unwrap();
    let expected = replies.map(|reply| seldon::SeldonMessage::decode(reply).unwrap());
    assert_eq!(format!("{:?}", decoded.seldon_messages), format!("{:?}", expected.to_vec()));

    let broken = [messages[0].clone(), Message::proto(name, vector("seldon/truncated.pb"))];
    let error = aggregate(Protocol::Seldon, &broken).unwrap_err();
    assert!(matches!(error, ChainError::ChildNotProto { child: 1, .. }), "{error}");
    let mixed = [messages[0].clone(), Message::json("{}")];
    let error = aggregate(Protocol::Seldon, &mixed).unwrap_err();
    assert!(matches!(error, ChainError::ChildForm { child: 1, found: "JSON", .. }), "{error}");
    for (protocol, label) in [(Protocol::Tensorflow, "tensorflow"), (Protocol::V2, "v2")] {
        let error = aggregate(protocol, &[Message::proto(RESPONSE, "")]).unwrap_err();
        assert_eq!(error, ChainError::NoList { protocol: label });
    }
}
