//! TensorFlow's requests over gRPC.

use millrace_proto::tensorflow::tensor_shape_proto::Dim;
use millrace_proto::tensorflow::{DataType, TensorProto, TensorShapeProto};
use millrace_proto::tensorflow_serving::model_spec::VersionChoice;
use millrace_proto::tensorflow_serving::{
    ClassificationRequest, ModelSpec, MultiInferenceRequest, PredictRequest, PredictResponse, RegressionRequest,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use prost::Message as _;

use super::*;

mod replies;

const TF: Protocol = Protocol::Tensorflow;
const TYPES: [DataType; 13] = [
    DataType::DtFloat,
    DataType::DtDouble,
    DataType::DtInt32,
    DataType::DtUint8,
    DataType::DtInt16,
    DataType::DtInt64,
    DataType::DtBool,
    DataType::DtHalf,
    DataType::DtUint32,
    DataType::DtUint64,
    DataType::DtComplex64,
    DataType::DtComplex128,
    DataType::DtString,
];

fn message(request: &PredictRequest) -> Message {
    Message::proto(PredictRequest::PROTO_NAME, request.encode_to_vec())
}

fn shape(sizes: &[i64]) -> TensorShapeProto {
    let dim = sizes.iter().map(|size| Dim { size: *size, ..Dim::default() }).collect();
    TensorShapeProto { dim, ..TensorShapeProto::default() }
}

/// A tensor of numbers that the seed makes, in its content where that can be.
fn tensor(dtype: DataType, sizes: &[i64], content: bool, seed: i64) -> TensorProto {
    let numbers: Vec<i64> = (0..sizes.iter().product()).map(|at| seed * 7 + at).collect();
    let floats = || numbers.iter().map(|n| *n as f32 / 3.0);
    let doubles = || numbers.iter().map(|n| *n as f64 / 3.0);
    let mut tensor = TensorProto { tensor_shape: Some(shape(sizes)), ..TensorProto::default() };
    tensor.set_dtype(dtype);
    let le = |size: usize| numbers.iter().flat_map(move |n| n.to_le_bytes().into_iter().take(size)).collect();
    let mut raw: Vec<u8> = Vec::new();
    match dtype {
        DataType::DtFloat if content => raw = floats().flat_map(f32::to_le_bytes).collect(),
        DataType::DtDouble if content => raw = doubles().flat_map(f64::to_le_bytes).collect(),
        DataType::DtComplex64 if content => raw = floats().flat_map(|x| [x.to_le_bytes(); 2].concat()).collect(),
        DataType::DtComplex128 if content => raw = doubles().flat_map(|x| [x.to_le_bytes(); 2].concat()).collect(),
        DataType::DtUint8 | DataType::DtBool if content => raw = le(1),
        DataType::DtInt16 | DataType::DtHalf if content => raw = le(2),
        DataType::DtInt32 | DataType::DtUint32 if content => raw = le(4),
        DataType::DtInt64 | DataType::DtUint64 if content => raw = le(8),
        DataType::DtFloat => tensor.float_val = floats().collect(),
        DataType::DtDouble => tensor.double_val = doubles().collect(),
        DataType::DtComplex64 => tensor.scomplex_val = floats().flat_map(|x| [x, -x]).collect(),
        DataType::DtComplex128 => tensor.dcomplex_val = doubles().flat_map(|x| [x, -x]).collect(),
        DataType::DtInt64 => tensor.int64_val = numbers.iter().map(|n| n << 40).collect(),
        DataType::DtUint64 => tensor.uint64_val = numbers.iter().map(|n| n.unsigned_abs() << 40).collect(),
        DataType::DtUint32 => tensor.uint32_val = numbers.iter().map(|n| n.unsigned_abs() as u32).collect(),
        DataType::DtBool => tensor.bool_val = numbers.iter().map(|n| n & 1 == 1).collect(),
        DataType::DtHalf => tensor.half_val = numbers.iter().map(|n| n.unsigned_abs() as i32).collect(),
        DataType::DtString => {
            tensor.string_val =
                numbers.iter().map(|n| vec![*n as u8; n.unsigned_abs() as usize % 200].into()).collect();
        }
        _ => tensor.int_val = numbers.iter().map(|n| *n as i32).collect(),
    }
    tensor.tensor_content = raw.into();
    tensor
}

fn spec(name: &str) -> ModelSpec {
    ModelSpec { name: name.to_owned(), ..ModelSpec::default() }
}

fn request(inputs: Vec<(&str, TensorProto)>) -> PredictRequest {
    let inputs = inputs.into_iter().map(|(name, tensor)| (name.to_owned(), tensor)).collect();
    PredictRequest { model_spec: Some(spec("m")), inputs, ..PredictRequest::default() }
}

fn simple(rows: i64, seed: i64) -> PredictRequest {
    request(vec![("x", tensor(DataType::DtFloat, &[rows, 2], false, seed))])
}

fn rows_of(tensor: &TensorProto) -> i64 {
    tensor.tensor_shape.as_ref().unwrap().dim[0].size
}

/// Answers with each input as it is, with the elements of a row, with nothing for each row, and with what the request has
/// beside its rows. It may leave out what repeats the last value, or the zeros of a list.
fn model(short: bool) -> impl Fn(&Message) -> Message {
    move |request| {
        let request = PredictRequest::decode(request.body.clone()).unwrap();
        let mut reply = PredictResponse { model_spec: request.model_spec.clone(), ..PredictResponse::default() };
        let mut named: Vec<_> = request.inputs.keys().cloned().collect();
        named.sort();
        for (name, input) in request.inputs {
            let rows = rows_of(&input);
            let each = input.tensor_shape.as_ref().unwrap().dim[1..].iter().map(|dim| dim.size).product::<i64>() as i32;
            let mut count = tensor(DataType::DtInt32, &[rows], false, 0);
            count.int_val = vec![each; if short { 1 } else { rows as usize }];
            let mut zeros = tensor(DataType::DtInt32, &[rows, 2], false, 0);
            zeros.int_val = vec![0; if short { 0 } else { rows as usize * 2 }];
            let mut saw = tensor(DataType::DtString, &[rows], false, 0);
            let text = format!("{:?} {:?} {named:?}", request.model_spec, request.output_filter);
            saw.string_val = vec![text.into(); rows as usize];
            reply.outputs.insert(format!("{name} itself"), input);
            reply.outputs.insert("count".to_owned(), count);
            reply.outputs.insert("zeros".to_owned(), zeros);
            reply.outputs.insert("saw".to_owned(), saw);
            reply.outputs.insert("nothing".to_owned(), tensor(DataType::DtFloat, &[rows, 0], false, 0));
        }
        Message::proto(PredictResponse::PROTO_NAME, reply.encode_to_vec())
    }
}

fn decode(message: &Message) -> PredictResponse {
    PredictResponse::decode(message.body.clone()).unwrap()
}

/// With the integers written out that a list left out.
fn written_out(message: &Message) -> PredictResponse {
    let mut reply = decode(message);
    for tensor in reply.outputs.values_mut().filter(|tensor| tensor.dtype() == DataType::DtInt32) {
        let all = tensor.tensor_shape.as_ref().unwrap().dim.iter().map(|dim| dim.size).product::<i64>();
        if tensor.tensor_content.is_empty() {
            tensor.int_val.resize(all as usize, tensor.int_val.last().copied().unwrap_or(0));
        }
    }
    reply
}

fn same(left: &Message, right: &Message) {
    assert_eq!(decode(left), decode(right));
    assert_eq!(left.form, right.form);
}

fn same_written_out(left: &Message, right: &Message) {
    assert_eq!(written_out(left), written_out(right));
}

fn any_request() -> impl Strategy<Value = Message> {
    let trailing = select(vec![vec![], vec![2], vec![2, 1], vec![3]]);
    let plain = (trailing, select(TYPES.to_vec()), any::<bool>(), any::<bool>(), 0..12u8, 1..4i64, -500..500i64);
    plain.prop_map(|(trailing, dtype, content, two, extra, rows, seed)| {
        let sizes = [&[rows][..], &trailing].concat();
        let mut inputs = vec![("x", tensor(dtype, &sizes, content, seed))];
        if two {
            inputs.push(("y", tensor(DataType::DtInt64, &[rows], !content, seed + 1)));
        }
        let mut request = request(inputs);
        let model = request.model_spec.as_mut().unwrap();
        match extra {
            0 => model.version_choice = Some(VersionChoice::Version(seed % 3)),
            1 => model.version_choice = Some(VersionChoice::VersionLabel("canary".to_owned())),
            2 => model.signature_name = "s".to_owned(),
            3 => request.output_filter = vec!["o".to_owned()],
            4 => request.model_spec = None,
            5 => {
                let shape = request.inputs.get_mut("x").unwrap().tensor_shape.as_mut().unwrap();
                shape.dim[0].name = "batch".to_owned();
            }
            _ => {}
        }
        message(&request)
    })
}

proptest! {
    #[test]
    fn each_gets_what_it_gets_alone(requests in vec(any_request(), 1..60), short: bool) {
        hold(TF, &requests, model(short), if short { same_written_out } else { same });
    }

    #[test]
    fn requests_alike_are_merged(
        dtype in select(TYPES.to_vec()), content: bool, rows in vec((1..5i64, -500..500i64), 2..9),
    ) {
        let request = |(rows, seed): &(i64, i64)| {
            let (x, y) = (tensor(dtype, &[*rows, 3], content, *seed), tensor(DataType::DtDouble, &[*rows], content, *seed));
            message(&request(vec![("x", x), ("y", y), ("", tensor(DataType::DtBool, &[*rows], content, *seed))]))
        };
        let requests: Vec<_> = rows.iter().map(request).collect();
        prop_assert_eq!(hold(TF, &requests, model(false), same), requests.len());
    }
}

fn bytes(body: Vec<u8>) -> Message {
    Message::proto(PredictRequest::PROTO_NAME, body)
}

fn is_alone(change: impl Fn(&mut PredictRequest)) -> bool {
    let mut request = simple(2, 1);
    change(&mut request);
    of(TF, &message(&request)).is_none()
}

/// Changes the only input.
fn is_alone_with(change: impl Fn(&mut TensorProto)) -> bool {
    is_alone(|request| change(request.inputs.get_mut("x").unwrap()))
}

#[test]
fn what_is_no_list_of_rows_goes_alone() {
    assert!(!is_alone(|_| {}));
    assert!(is_alone(|request| request.inputs.clear()));
    for sizes in [vec![], vec![0, 2], vec![2], vec![-2, 2], vec![2, 3], vec![2, -1], vec![i64::MAX, i64::MAX, 4]] {
        assert!(is_alone_with(|tensor| tensor.tensor_shape = Some(shape(&sizes))), "{sizes:?}");
    }
    assert!(is_alone_with(|tensor| tensor.tensor_shape = None));
    assert!(is_alone_with(|tensor| tensor.tensor_shape.as_mut().unwrap().unknown_rank = true));
    let other = tensor(DataType::DtFloat, &[1, 4], false, 0);
    assert!(is_alone(|request| drop(request.inputs.insert("y".to_owned(), other.clone()))), "other rows");
    for dtype in [DataType::DtInvalid, DataType::DtDouble, DataType::DtResource, DataType::DtInt4] {
        assert!(is_alone_with(|tensor| tensor.set_dtype(dtype)), "{dtype:?}");
    }
    assert!(is_alone_with(|tensor| tensor.dtype = 101), "a reference");
    // A list that repeats its last value, and one that has too many.
    assert!(is_alone_with(|tensor| tensor.float_val.truncate(3)));
    assert!(is_alone_with(|tensor| tensor.float_val.truncate(1)));
    assert!(is_alone_with(|tensor| tensor.float_val.clear()));
    assert!(is_alone_with(|tensor| tensor.float_val.push(1.0)));
    assert!(is_alone_with(|tensor| tensor.int_val.push(1)), "values of another type");
    let content = |bytes: usize, values: &[f32]| {
        is_alone_with(|tensor| {
            tensor.tensor_content = vec![1; bytes].into();
            tensor.float_val = values.to_vec();
        })
    };
    assert!(!content(16, &[]));
    assert!(content(15, &[]) && content(12, &[]) && content(20, &[]));
    assert!(content(16, &[1.0; 4]), "both encodings");
    assert!(is_alone_with(|tensor| {
        *tensor = TensorProto { tensor_content: vec![1; 2].into(), ..tensor.clone() };
        (tensor.float_val, tensor.tensor_shape) = (Vec::new(), Some(shape(&[2])));
        tensor.set_dtype(DataType::DtString);
    }));
}

#[test]
fn other_requests_and_replies_go_alone() {
    let body = message(&simple(1, 1)).body;
    for name in [
        ClassificationRequest::PROTO_NAME,
        RegressionRequest::PROTO_NAME,
        MultiInferenceRequest::PROTO_NAME,
        PredictResponse::PROTO_NAME,
    ] {
        assert!(of(TF, &Message::proto(name, body.clone())).is_none(), "{name}");
    }
    assert!(of(Protocol::V2, &Message::proto(PredictRequest::PROTO_NAME, body)).is_none());
}

#[test]
fn what_is_not_known_or_said_twice_goes_alone() {
    let body = message(&simple(1, 1)).body;
    let with = |more: &[u8]| of(TF, &bytes([&body[..], more].concat()));
    let key = with(b"").unwrap().key().to_vec();
    for (more, what) in [
        (&b"\x40\x01"[..], "an unknown field"),
        (b"\x2a\x00", "options of a stream"),
        (b"\x32\x01c", "a client's id"),
        (b"\x3a\x00", "options"),
        (b"\x0a\x03\x0a\x01m", "two specs"),
        (b"\x18\x01", "a filter that is a number"),
        (b"\x12\x03\x0a\x01y", "an input without a tensor"),
        (b"\x0a", "a cut message"),
    ] {
        assert!(with(more).is_none(), "{what}");
    }
    // The same input twice, as the first or as another.
    let entry = |name: &str| {
        let named = request(vec![(name, tensor(DataType::DtFloat, &[1, 2], false, 1))]);
        PredictRequest { model_spec: None, ..named }.encode_to_vec()
    };
    assert!(with(&entry("x")).is_none());
    assert_ne!(with(&entry("y")).unwrap().key(), key);
    // One float in the tensor and what is put behind it, in an entry of the map.
    let tensor = b"\x08\x01\x12\x04\x12\x02\x08\x01\x2a\x04\0\0\0\0";
    let with = |more: &[u8]| {
        let value = [&tensor[..], more].concat();
        let entry = [b"\x0a\x01x\x12", &[value.len() as u8][..], &value].concat();
        of(TF, &bytes([&[0x12, entry.len() as u8][..], &entry].concat())).is_some()
    };
    assert!(with(b"") && with(b"\x18\x01"));
    assert!(!with(b"\xb8\x01\x01"), "an unknown field of a tensor");
    assert!(!with(b"\x08\x01"), "two types");
    assert!(!with(b"\x12\x04\x12\x02\x08\x01"), "two shapes");
    // An unknown field in the model's spec, and both a version and a label.
    assert!(of(TF, &bytes([b"\x0a\x02\x28\x01", &entry("x")[..]].concat())).is_none());
    assert!(of(TF, &bytes([b"\x0a\x05\x12\x00\x22\x01c", &entry("x")[..]].concat())).is_none());
}

#[test]
fn what_is_answered_differently_has_another_key() {
    let mut keys = BTreeMap::new();
    let mut see = |what: &'static str, change: &dyn Fn(&mut PredictRequest)| {
        let mut request = simple(2, 1);
        change(&mut request);
        let part = of(TF, &message(&request)).expect(what);
        assert_eq!(keys.insert(part.key().to_vec(), what), None, "{what}");
    };
    let input = |dtype: DataType, sizes: &[i64], content: bool| tensor(dtype, sizes, content, 1);
    let version = |choice| Some(ModelSpec { version_choice: Some(choice), ..spec("m") });
    see("plain", &|_| {});
    see("no model", &|request| request.model_spec = None);
    see("another model", &|request| request.model_spec = Some(spec("n")));
    see("an empty model", &|request| request.model_spec = Some(spec("")));
    see("version", &|request| request.model_spec = version(VersionChoice::Version(0)));
    see("another version", &|request| request.model_spec = version(VersionChoice::Version(1)));
    see("label", &|request| request.model_spec = version(VersionChoice::VersionLabel(String::new())));
    see("signature", &|request| "s".clone_into(&mut request.model_spec.as_mut().unwrap().signature_name));
    see("a filter", &|request| request.output_filter = vec!["a".to_owned()]);
    see("two filters", &|request| request.output_filter = vec!["a".to_owned(), "b".to_owned()]);
    see("the other order", &|request| request.output_filter = vec!["b".to_owned(), "a".to_owned()]);
    see("name", &|request| {
        *request = super::tensorflow_grpc::request(vec![("y", input(DataType::DtFloat, &[2, 2], false))]);
    });
    let mut put = |what, dtype, sizes: &[i64], content| {
        see(what, &|request| request.inputs = [("x".to_owned(), input(dtype, sizes, content))].into());
    };
    put("shape", DataType::DtFloat, &[2, 1, 2], false);
    put("content", DataType::DtFloat, &[2, 2], true);
    put("type", DataType::DtInt32, &[2, 2], false);
    put("another type in the same list", DataType::DtInt16, &[2, 2], false);
    see("two inputs", &|request| {
        request.inputs.insert("y".to_owned(), input(DataType::DtFloat, &[2, 2], false));
    });
    let dims = |request: &mut PredictRequest, at: usize| {
        let shape = request.inputs.get_mut("x").unwrap().tensor_shape.as_mut().unwrap();
        shape.dim[at].name = "d".to_owned();
    };
    see("a dimension's name", &|request| dims(request, 0));
    see("another dimension's", &|request| dims(request, 1));
    see("a producer's version", &|request| request.inputs.get_mut("x").unwrap().version_number = 1);
}

#[test]
fn the_order_in_which_a_request_is_written_does_not_matter() {
    let entry = |name: &[u8], value: &[u8]| {
        [b"\x12\x13\x0a\x01", name, b"\x12\x0e\x08\x01\x12\x04\x12\x02\x08\x01\x2a\x04", value].concat()
    };
    let (x, y) = (entry(b"x", b"xxxx"), entry(b"y", b"yyyy"));
    let one = bytes([&b"\x0a\x06\x0a\x01m\x1a\x01s"[..], &x, &y].concat());
    // The spec at the end and the other way round, and the floats of the last input not packed.
    let unpacked = b"\x12\x12\x0a\x01x\x12\x0d\x12\x04\x12\x02\x08\x01\x2dxxxx\x08\x01";
    let other = bytes([&y[..], unpacked, b"\x0a\x06\x1a\x01s\x0a\x01m"].concat());
    assert_eq!(hold(TF, &[one.clone(), other], model(false), same), 2);
    let swapped = bytes([&b"\x0a\x06\x0a\x01m\x1a\x01s"[..], &entry(b"x", b"yyyy"), &entry(b"y", b"xxxx")].concat());
    let parts: Vec<_> = [one, swapped].iter().map(|request| of(TF, request).unwrap()).collect();
    let merged = PredictRequest::decode(merge(&parts).body).unwrap();
    let floats = |name: &str| merged.inputs[name].float_val.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>();
    assert_eq!((floats("x"), floats("y")), (b"xxxxyyyy".to_vec(), b"yyyyxxxx".to_vec()));
}
