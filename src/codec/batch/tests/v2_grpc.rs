//! V2's requests over gRPC.

use bytes::Bytes;
use millrace_proto::inference::infer_parameter::ParameterChoice;
use millrace_proto::inference::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use millrace_proto::inference::model_infer_response::InferOutputTensor;
use millrace_proto::inference::{InferParameter, InferTensorContents, ModelInferRequest, ModelInferResponse};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::codec::tensor::datatype::{Datatype, Element, raw_elements};
use crate::codec::tensor::v2::BINARY_SIZE;

const V2: Protocol = Protocol::V2;
const TYPES: [&str; 8] = ["BOOL", "INT8", "INT64", "UINT32", "UINT64", "FP32", "FP64", "BYTES"];

fn message(request: &ModelInferRequest) -> Message {
    Message::proto(ModelInferRequest::PROTO_NAME, request.encode_to_vec())
}

fn element(datatype: Datatype, seed: i64) -> Element {
    match datatype {
        Datatype::Bool => Element::Bool(seed & 1 == 1),
        Datatype::Int(8) => Element::Int(seed.wrapping_mul(0x0123_4567_89ab_cdef)),
        Datatype::Int(_) => Element::Int(seed % 100),
        Datatype::Uint(8) => Element::Uint((seed as u64).wrapping_mul(0x0123_4567_89ab_cdef)),
        Datatype::Uint(_) => Element::Uint(seed.unsigned_abs() % 100),
        Datatype::Half(half) => Element::Half(seed as u16, half),
        Datatype::Fp32 => Element::Fp32(seed as f32 / 3.0),
        Datatype::Fp64 => Element::Fp64(seed as f64 / 3.0),
        Datatype::Bytes => Element::Bytes(Bytes::from(vec![seed as u8; seed.unsigned_abs() as usize % 200])),
    }
}

/// A tensor of these elements: contents, and raw data where it is wanted.
fn data(datatype: &str, raw: bool, elements: &[Element]) -> (Option<InferTensorContents>, Vec<u8>) {
    let datatype = Datatype::read(datatype).unwrap();
    let (mut typed, mut bytes) = (InferTensorContents::default(), Vec::new());
    for element in elements {
        if raw { element.push_raw(datatype, &mut bytes) } else { element.clone().push_typed(datatype, &mut typed) }
    }
    ((!raw).then_some(typed), bytes)
}

fn input(name: &str, datatype: &str, shape: &[i64], raw: bool, seed: i64) -> (InferInputTensor, Vec<u8>) {
    let count = shape.iter().product::<i64>();
    let elements = (0..count).map(|at| element(Datatype::read(datatype).unwrap(), seed * 7 + at));
    let (contents, bytes) = data(datatype, raw, &elements.collect::<Vec<_>>());
    let (name, datatype, shape) = (name.to_owned(), datatype.to_owned(), shape.to_vec());
    (InferInputTensor { name, datatype, shape, contents, ..InferInputTensor::default() }, bytes)
}

fn request(id: &str, raw: bool, inputs: Vec<(InferInputTensor, Vec<u8>)>) -> ModelInferRequest {
    let raws = if raw { inputs.iter().map(|(_, bytes)| Bytes::from(bytes.clone())).collect() } else { vec![] };
    ModelInferRequest {
        model_name: "m".to_owned(),
        id: id.to_owned(),
        inputs: inputs.into_iter().map(|(input, _)| input).collect(),
        raw_input_contents: raws,
        ..ModelInferRequest::default()
    }
}

fn simple(id: &str, rows: i64, seed: i64) -> ModelInferRequest {
    request(id, false, vec![input("x", "FP32", &[rows, 2], false, seed)])
}

fn parameter(choice: ParameterChoice) -> InferParameter {
    InferParameter { parameter_choice: Some(choice) }
}

/// Answers with each input as it is, with each element alone, and with the number of elements of each row, in the
/// encoding of the request, with what the request has beside its rows.
fn model(request: &Message) -> Message {
    let request = ModelInferRequest::decode(request.body.clone()).unwrap();
    let raw = !request.raw_input_contents.is_empty();
    let mut reply = ModelInferResponse {
        model_name: format!(
            "{} {:?} {:?}",
            request.model_name,
            request.outputs,
            request.inputs.first().map(|input| &input.parameters)
        ),
        model_version: request.model_version,
        id: request.id,
        parameters: request.parameters,
        ..ModelInferResponse::default()
    };
    for (at, input) in request.inputs.into_iter().enumerate() {
        let mut put =
            |name: String, datatype: &str, shape: Vec<i64>, contents: Option<InferTensorContents>, bytes: Vec<u8>| {
                let mut output = InferOutputTensor {
                    name,
                    datatype: datatype.to_owned(),
                    shape,
                    contents,
                    ..InferOutputTensor::default()
                };
                if raw {
                    output
                        .parameters
                        .insert(BINARY_SIZE.to_owned(), parameter(ParameterChoice::Int64Param(bytes.len() as i64)));
                    output.contents = Some(InferTensorContents::default());
                    reply.raw_output_contents.push(bytes.into());
                }
                reply.outputs.push(output);
            };
        let bytes = request.raw_input_contents.get(at).cloned().unwrap_or_default();
        let datatype = Datatype::read(&input.datatype).unwrap();
        let mut elements = 0;
        if raw {
            raw_elements(datatype, &bytes, |_| elements += 1).unwrap();
        } else {
            let typed = input.contents.clone().unwrap();
            elements = typed.bool_contents.len()
                + typed.int_contents.len()
                + typed.int64_contents.len()
                + typed.uint_contents.len()
                + typed.uint64_contents.len()
                + typed.fp32_contents.len()
                + typed.fp64_contents.len()
                + typed.bytes_contents.len();
        }
        let per_row = elements as i64 / input.shape[0];
        let counts = vec![Element::Int(per_row); input.shape[0] as usize];
        put(format!("{} itself", input.name), &input.datatype, input.shape.clone(), input.contents, bytes.to_vec());
        let (contents, bytes) = data("INT32", raw, &counts);
        put("count".to_owned(), "INT32", vec![input.shape[0]], contents, bytes);
        let (contents, bytes) = data("FP64", raw, &[]);
        put("nothing".to_owned(), "FP64", vec![input.shape[0], 0], contents, bytes);
    }
    Message::proto(ModelInferResponse::PROTO_NAME, reply.encode_to_vec())
}

fn same(left: &Message, right: &Message) {
    let decode = |message: &Message| ModelInferResponse::decode(message.body.clone()).unwrap();
    assert_eq!(decode(left), decode(right));
    assert_eq!(left.form, right.form);
}

fn any_request() -> impl Strategy<Value = Message> {
    let shape = prop::sample::select(vec![vec![], vec![2], vec![2, 1], vec![3]]);
    let datatype = prop::sample::select(TYPES.to_vec());
    let plain = (shape, datatype, any::<bool>(), any::<bool>(), 0..8u8, 1..4i64, -500..500i64);
    plain.prop_map(|(trailing, datatype, raw, two, extra, rows, seed)| {
        let shape = [&[rows][..], &trailing].concat();
        let mut inputs = vec![input("x", datatype, &shape, raw, seed)];
        if two {
            inputs.push(input("y", "INT8", &[rows], raw, seed + 1));
        }
        let mut request = request(if seed % 3 == 0 { "" } else { "own" }, raw, inputs);
        request.id.push_str(&if request.id.is_empty() { String::new() } else { seed.to_string() });
        let map = |value: bool| [("content_type".to_owned(), parameter(ParameterChoice::BoolParam(value)))].into();
        match extra {
            0 => request.parameters = map(true),
            1 => request.model_version = "2".to_owned(),
            2 => request.inputs[0].parameters = map(seed > 0),
            3 => request.outputs = vec![InferRequestedOutputTensor { name: "o".to_owned(), parameters: map(true) }],
            _ => {}
        }
        message(&request)
    })
}

proptest! {
    #[test]
    fn each_gets_what_it_gets_alone(requests in vec(any_request(), 1..60)) {
        hold(V2, &requests, model, same);
    }

    #[test]
    fn requests_alike_are_merged(
        datatype in prop::sample::select(TYPES.to_vec()), raw: bool, rows in vec((1..5i64, -500..500i64), 2..9),
    ) {
        let request = |(at, (rows, seed)): (usize, &(i64, i64))| {
            let inputs = vec![input("x", datatype, &[*rows, 3], raw, *seed), input("y", "FP64", &[*rows], raw, *seed)];
            message(&request(&"i".repeat(at), raw, inputs))
        };
        let requests: Vec<_> = rows.iter().enumerate().map(request).collect();
        prop_assert_eq!(hold(V2, &requests, model, same), requests.len());
    }
}

fn is_alone(change: impl Fn(&mut ModelInferRequest)) -> bool {
    let mut request = simple("", 2, 1);
    change(&mut request);
    of(V2, &message(&request)).is_none()
}

#[test]
fn sixteen_bit_floats_are_merged_raw() {
    for datatype in ["FP16", "BF16"] {
        let requests = [1, 2].map(|rows| {
            let mut input = input("x", "INT16", &[rows, 2], true, rows);
            datatype.clone_into(&mut input.0.datatype);
            message(&request("", true, vec![input]))
        });
        assert_eq!(hold(V2, &requests, model, same), 2);
    }
    assert!(is_alone(|request| "FP16".clone_into(&mut request.inputs[0].datatype)));
}

#[test]
fn what_is_no_list_of_rows_goes_alone() {
    assert!(!is_alone(|_| {}));
    assert!(is_alone(|request| request.inputs.clear()));
    for shape in [vec![], vec![0, 2], vec![2], vec![-2, 2], vec![2, 3], vec![2, -1], vec![i64::MAX, i64::MAX, 4]] {
        assert!(is_alone(|request| request.inputs[0].shape.clone_from(&shape)), "{shape:?}");
    }
    assert!(is_alone(|request| request.inputs.push(input("y", "FP32", &[1, 4], false, 0).0)));
    assert!(is_alone(|request| request.inputs.push(input("x", "FP32", &[2, 2], false, 0).0)), "a name twice");
    assert!(is_alone(|request| request.inputs[0].datatype = "FP8".to_owned()));
    assert!(is_alone(|request| request.inputs[0].datatype = "FP64".to_owned()));
    assert!(is_alone(|request| request.inputs[0].contents = None));
    assert!(is_alone(|request| request.inputs[0].contents.as_mut().unwrap().int_contents.push(1)));
    assert!(is_alone(|request| request.raw_input_contents.push(vec![0; 16].into())), "raw and typed");
    let raw = |bytes: Vec<u8>, entries: usize| {
        is_alone(move |request| {
            request.inputs[0].contents = None;
            request.raw_input_contents = vec![bytes.clone().into(); entries];
        })
    };
    assert!(!raw(vec![0; 16], 1));
    assert!(raw(vec![0; 15], 1));
    assert!(raw(vec![0; 16], 2));
    let mut bytes = request("", true, vec![input("x", "BYTES", &[2], true, 3)]);
    assert!(of(V2, &message(&bytes)).is_some());
    bytes.raw_input_contents[0] = [&bytes.raw_input_contents[0][..], b"\x01\0\0"].concat().into();
    assert!(of(V2, &message(&bytes)).is_none());
}

#[test]
fn control_parameters_and_unknown_fields_go_alone() {
    for name in [
        "sequence_id",
        "sequence_start",
        "sequence_end",
        "priority",
        "timeout",
        "binary_data_output",
        "shared_memory_region",
    ] {
        let map = || [(name.to_owned(), parameter(ParameterChoice::Int64Param(1)))].into();
        assert!(is_alone(|request| request.parameters = map()), "{name}");
        assert!(is_alone(|request| request.inputs[0].parameters = map()), "{name}");
        let output = || InferRequestedOutputTensor { name: "o".to_owned(), parameters: map() };
        assert!(is_alone(|request| request.outputs.push(output())), "{name}");
    }
    let body = message(&simple("", 1, 1)).body;
    let with = |more: &[u8]| Message::proto(ModelInferRequest::PROTO_NAME, [&body[..], more].concat());
    assert!(of(V2, &with(b"")).is_some());
    for (more, what) in [
        (&b"\x40\x01"[..], "an unknown field"),
        (b"\x0a\x01m", "two names"),
        (b"\x1a\x01a\x1a\x01b", "two ids"),
        (b"\x08\x01", "a name that is a number"),
        (b"\x22\x02\x18\x01", "a parameter with an unknown field"),
        (b"\x32\x02\x18\x01", "an output with an unknown field"),
        (b"\x0a", "a cut message"),
    ] {
        assert!(of(V2, &with(more)).is_none(), "{what}");
    }
    let input = input("x", "FP32", &[1, 2], false, 1).0.encode_to_vec();
    for (more, merged) in [(&b""[..], true), (b"\x40\x01", false)] {
        let body = [&[0x2a, (input.len() + more.len()) as u8][..], &input, more].concat();
        assert_eq!(of(V2, &Message::proto(ModelInferRequest::PROTO_NAME, body)).is_some(), merged);
    }
    assert!(of(V2, &Message::proto(ModelInferResponse::PROTO_NAME, body.clone())).is_none());
}

#[test]
fn what_is_answered_differently_has_another_key() {
    let mut keys = BTreeMap::new();
    let mut see = |what: &'static str, change: &dyn Fn(&mut ModelInferRequest)| {
        let mut request = simple("", 2, 1);
        change(&mut request);
        let part = of(V2, &message(&request)).expect(what);
        assert_eq!(keys.insert(part.key().to_vec(), what), None, "{what}");
    };
    let map = |name: &str, value: i64| [(name.to_owned(), parameter(ParameterChoice::Int64Param(value)))].into();
    see("plain", &|_| {});
    see("model", &|request| request.model_name.push('n'));
    see("version", &|request| request.model_version.push('1'));
    see("name", &|request| request.inputs[0].name.push('y'));
    see("shape", &|request| request.inputs[0].shape = vec![2, 1, 2]);
    see("datatype", &|request| {
        *request = super::v2_grpc::request("", false, vec![input("x", "FP64", &[2, 2], false, 1)]);
    });
    see("raw", &|request| *request = super::v2_grpc::request("", true, vec![input("x", "FP32", &[2, 2], true, 1)]));
    see("parameter", &|request| request.parameters = map("a", 1));
    see("another value", &|request| request.parameters = map("a", 2));
    see("another parameter", &|request| request.parameters = map("b", 1));
    see("of the input", &|request| request.inputs[0].parameters = map("a", 1));
    see("an output", &|request| request.outputs.push(InferRequestedOutputTensor::default()));
    let output = || InferRequestedOutputTensor { name: "o".to_owned(), parameters: map("a", 1) };
    see("another output", &|request| request.outputs.push(output()));
    see("two outputs", &|request| request.outputs = vec![output(), output()]);
    see("two inputs", &|request| request.inputs.push(input("y", "FP32", &[2, 2], false, 1).0));
    see("the other order", &|request| request.inputs.insert(0, input("y", "FP32", &[2, 2], false, 1).0));
}

#[test]
fn unpacked_lists_and_split_shapes_are_read() {
    // Contents and shape with one field for each number, as proto2 writers do.
    let text = |id: &[u8]| {
        [b"\x1a\x01", id, b"\x2a\x17\x0a\x01x\x12\x05INT32\x18\x01\x18\x02\x2a\x05\x10\x05\x12\x01\x07\x2a\x00"]
            .concat()
    };
    let request = |id: &[u8]| Message::proto(ModelInferRequest::PROTO_NAME, text(id));
    // Two fields of contents are one too many.
    assert!(of(V2, &request(b"a")).is_none());
    let text = |id: &[u8]| {
        [b"\x1a\x01", id, b"\x2a\x15\x0a\x01x\x12\x05INT32\x18\x01\x18\x02\x2a\x05\x10\x05\x12\x01\x07"].concat()
    };
    let request = |id: &[u8]| Message::proto(ModelInferRequest::PROTO_NAME, text(id));
    assert_eq!(hold(V2, &[request(b"a"), request(b"b")], model, same), 2);
}

#[test]
fn ids_are_each_records_own() {
    let parts: Vec<_> = ["a", "", "c"].map(|id| of(V2, &message(&simple(id, 1, 1))).unwrap()).into();
    let merged = merge(&parts);
    assert_eq!(ModelInferRequest::decode(merged.body.clone()).unwrap().id, "");
    let mut reply = ModelInferResponse::decode(model(&merged).body).unwrap();
    reply.id = "made up by the server".to_owned();
    let reply = Message::proto(ModelInferResponse::PROTO_NAME, reply.encode_to_vec());
    let ids =
        split(&parts, &reply).unwrap().into_iter().map(|reply| ModelInferResponse::decode(reply.body).unwrap().id);
    assert_eq!(ids.collect::<Vec<_>>(), ["a", "", "c"]);
}

#[test]
fn a_reply_without_a_row_for_each_is_not_split() {
    let parts: Vec<_> = [1, 2].map(|rows| of(V2, &message(&simple("", rows, 1))).unwrap()).into();
    let right = ModelInferResponse::decode(model(&merge(&parts)).body).unwrap();
    let split = |change: &dyn Fn(&mut ModelInferResponse)| {
        let mut reply = right.clone();
        change(&mut reply);
        split(&parts, &Message::proto(ModelInferResponse::PROTO_NAME, reply.encode_to_vec()))
    };
    assert_eq!(split(&|_| {}).unwrap().len(), 2);
    for shape in [vec![], vec![1, 6], vec![6], vec![4, 2], vec![3, i64::MAX, 2]] {
        let found = split(&|reply| reply.outputs[0].shape.clone_from(&shape));
        assert!(matches!(found, Err(Unsplit::Rows { sent: 3, .. })), "{shape:?}: {found:?}");
    }
    // Every output, not only the first.
    assert!(matches!(split(&|reply| reply.outputs[1].shape = vec![]), Err(Unsplit::Rows { .. })));
    assert!(matches!(split(&|reply| reply.outputs.clear()), Err(Unsplit::Rows { .. })));
    for change in [
        (|reply: &mut ModelInferResponse| reply.outputs[0].shape = vec![3, 1]) as fn(&mut ModelInferResponse),
        |reply| reply.outputs[0].shape = vec![3, -2],
        |reply| reply.outputs[0].contents = None,
        |reply| reply.outputs[0].datatype = "no type".to_owned(),
        |reply| reply.raw_output_contents.push(Bytes::new()),
        |reply| reply.raw_output_contents = vec![Bytes::new(); 3],
    ] {
        assert!(matches!(split(&change), Err(Unsplit::Unreadable(_))));
    }
    let broken = Message::proto(ModelInferResponse::PROTO_NAME, &b"\x0a\x05"[..]);
    assert!(matches!(super::split(&parts, &broken), Err(Unsplit::Unreadable(_))));
    assert!(matches!(super::split(&parts, &json("{}")), Err(Unsplit::Unreadable(_))));
}
