//! Tests of the route in an answer, and of the one that feedback is about.

use millrace_proto::{ProtoName, inference, seldon, tensorflow, tensorflow_serving as serving, well_known};
use prost::Message as _;

use super::*;
use crate::record::{Form, Message};

fn json(protocol: Protocol, body: &str) -> Result<i32, String> {
    route(protocol, &Message::json(body.to_owned())).map_err(|error| error.to_string())
}

fn of<M: ProtoName>(message: &M) -> Result<i32, RouteError> {
    route(Protocol::Seldon, &Message::proto(M::PROTO_NAME, message.encode_to_vec()))
}

#[test]
fn routes_in_json() {
    for protocol in [Protocol::Seldon, Protocol::Tensorflow, Protocol::V2] {
        for (body, expected) in [
            (r#"{"data":{"ndarray":[[1]]}}"#, 1),
            (r#"{"data":{"ndarray":[-1]}}"#, -1),
            (r#"{"data":{"ndarray":[[7]]}}"#, 7),
            (r#"{"data":{"ndarray":[1, 5]},"meta":{}}"#, 1),
            (r#"{"data":{"tensor":{"shape":[1,1],"values":[1.0]}}}"#, 1),
            (r#"{"data":{"tftensor":{"dtype":"DT_INT32","intVal":[2]}}}"#, 2),
            (r#"{"data":{"tftensor":{"dtype":"DT_INT64","int64_val":["-2"]}}}"#, -2),
            ("[1]", 1),
            (" [[3, 1]]\n", 3),
        ] {
            assert_eq!(json(protocol, body), Ok(expected), "{body}");
        }
    }
    assert_eq!(json(Protocol::Tensorflow, r#"{"predictions":[[2.0]]}"#), Ok(2));
    assert_eq!(json(Protocol::Tensorflow, r#"{"outputs":[0]}"#), Ok(0));
    assert_eq!(json(Protocol::Tensorflow, r#"{"outputs":4}"#), Ok(4));
    assert_eq!(json(Protocol::V2, r#"{"outputs":[{"name":"y","data":[[1]]},{"data":[2]}]}"#), Ok(1));
}

#[test]
fn json_that_names_no_route_says_what_was_found() {
    for (body, found) in [
        (r#"{"data":{"ndarray":[]}}"#, r#"found {"ndarray":[]}"#),
        (r#"{"data":{"ndarray":[[]]}}"#, r#"found {"ndarray":[[]]}"#),
        (r#"{"data":{"ndarray":1}}"#, r#"found {"ndarray":1}"#),
        (r#"{"data":{}}"#, "found {}"),
        (r#"{"data":null}"#, "found null"),
        (r#"{"strData":"1"}"#, r#"found {"strData":"1"}"#),
        ("[]", "found []"),
        ("1", "found 1"),
        (r#"{"data":{"ndarray":[1.5]}}"#, ": 1.5"),
        (r#"{"data":{"ndarray":[-3]}}"#, ": -3"),
        (r#"{"data":{"ndarray":[NaN]}}"#, ": NaN"),
        (r#"{"data":{"ndarray":["1"]}}"#, r#": "1""#),
        (r#"{"data":{"ndarray":[true]}}"#, ": true"),
        (r#"{"data":{"ndarray":[[[1]]]}}"#, ": [1]"),
        (r#"{"data":{"tftensor":{"intVal":["1"]}}}"#, r#": "1""#),
        (r#"{"data":"#, "no route, the answer is not JSON: unexpected end at byte 8"),
    ] {
        let error = json(Protocol::Seldon, body).unwrap_err();
        assert!(error.ends_with(found), "{body}: {error}");
    }
    assert!(json(Protocol::V2, r#"{"outputs":[]}"#).unwrap_err().ends_with("found []"));
    assert!(json(Protocol::V2, r#"{"outputs":[{"data":[true]}]}"#).is_err());
    assert!(json(Protocol::Seldon, r#"{"predictions":[1]}"#).is_err());
    let long = json(Protocol::Seldon, &format!("{{\"x\":\"{}\"}}", "y".repeat(200))).unwrap_err();
    assert!(long.ends_with(&format!("found {{\"x\":\"{}…", "y".repeat(74))), "{long}");
}

#[test]
fn routes_in_binary_tensors() {
    let binary = |datatype: &str, size: usize, tensors: &[u8]| {
        let text =
            format!("{{\"outputs\":[{{\"datatype\":\"{datatype}\",\"parameters\":{{\"binary_data_size\":{size}}}}}]}}");
        let body = [text.as_bytes(), tensors].concat().into();
        route(Protocol::V2, &Message { body, form: Form::Binary { json: text.len() } })
    };
    assert_eq!(binary("INT64", 8, &[2, 0, 0, 0, 0, 0, 0, 0]), Ok(2));
    assert_eq!(binary("FP32", 4, &1f32.to_le_bytes()), Ok(1));
    assert!(binary("INT64", 8, &[2, 0, 0]).is_err());
    assert!(binary("INT64", 4, &[2; 8]).is_err());
    assert!(binary("BYTES", 5, b"\x01\0\0\x001").is_err());
    let short = Message { body: "{}".into(), form: Form::Binary { json: 3 } };
    assert!(matches!(route(Protocol::V2, &short), Err(RouteError::Message(_))));
}

fn seldon(data: Option<seldon::default_data::DataOneof>) -> seldon::SeldonMessage {
    let data = seldon::DefaultData { names: vec!["a".into()], data_oneof: data };
    let data_oneof = Some(seldon::seldon_message::DataOneof::Data(data));
    seldon::SeldonMessage { data_oneof, ..Default::default() }
}

fn value(kind: well_known::value::Kind) -> well_known::Value {
    well_known::Value { kind: Some(kind) }
}

fn list(values: Vec<well_known::Value>) -> well_known::ListValue {
    well_known::ListValue { values }
}

#[test]
fn routes_in_seldon_messages() {
    use seldon::default_data::DataOneof::{Ndarray, Tensor, Tftensor};
    use well_known::value::Kind;
    let number = |number| value(Kind::NumberValue(number));
    let row = |values| value(Kind::ListValue(list(values)));
    assert_eq!(of(&seldon(Some(Ndarray(list(vec![number(1.0), number(5.0)]))))), Ok(1));
    assert_eq!(of(&seldon(Some(Ndarray(list(vec![row(vec![number(-2.0)])]))))), Ok(-2));
    assert_eq!(of(&seldon(Some(Tensor(seldon::Tensor { shape: vec![1], values: vec![3.0] })))), Ok(3));
    let tftensor = tensorflow::TensorProto { dtype: 3, int_val: vec![4], ..Default::default() };
    assert_eq!(of(&seldon(Some(Tftensor(tftensor)))), Ok(4));

    let not = |found: &str| Err(RouteError::NotRoute(found.to_owned()));
    assert_eq!(of(&seldon(Some(Ndarray(list(vec![number(1.5)]))))), not("1.5"));
    assert_eq!(of(&seldon(Some(Ndarray(list(vec![number(f64::NAN)]))))), not("NaN"));
    assert_eq!(of(&seldon(Some(Ndarray(list(vec![value(Kind::StringValue("1".into()))]))))), not("\"1\""));
    assert_eq!(of(&seldon(Some(Ndarray(list(vec![value(Kind::BoolValue(true))]))))), not("a bool"));
    let deep = row(vec![row(vec![number(1.0)])]);
    assert_eq!(of(&seldon(Some(Ndarray(list(vec![deep]))))), not("a list in the first row"));
    for empty in [
        Some(Ndarray(list(vec![]))),
        Some(Ndarray(list(vec![row(vec![])]))),
        Some(Tensor(seldon::Tensor::default())),
        None,
    ] {
        assert!(matches!(of(&seldon(empty)), Err(RouteError::Missing { .. })));
    }
    assert!(matches!(of(&seldon::SeldonMessage::default()), Err(RouteError::Missing { .. })));
    let text = seldon::seldon_message::DataOneof::StrData("1".into());
    assert_eq!(of(&seldon::SeldonMessage { data_oneof: Some(text), ..Default::default() }), not("1"));
    assert!(matches!(of(&seldon::Feedback::default()), Err(RouteError::Message(FEEDBACK))));
    let cut = Message::proto("seldon.protos.SeldonMessage", &b"\x1a\x05"[..]);
    assert!(matches!(route(Protocol::Seldon, &cut), Err(RouteError::NotProto { .. })));
    // Two answers in one are none.
    let one = seldon(Some(Ndarray(list(vec![number(1.0)])))).encode_to_vec();
    let two = Message::proto("seldon.protos.SeldonMessage", one.repeat(2));
    assert!(route(Protocol::Seldon, &two).unwrap_err().to_string().contains("more than once"));
}

#[test]
fn routes_in_the_vectors() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/tests/vectors/seldon");
    let found = ["all", "none", "tensor", "out_of_range", "empty", "bad_data"].map(|case| {
        let body = std::fs::read(folder.join(format!("route_{case}.pb"))).unwrap();
        route(Protocol::Seldon, &Message::proto("seldon.protos.SeldonMessage", body)).ok()
    });
    assert_eq!(found, [Some(-1), Some(-2), Some(1), Some(7), None, None]);
}

#[test]
fn routes_in_tensorflow_and_v2_messages() {
    let predict = |tensors: Vec<tensorflow::TensorProto>| {
        let outputs = tensors.into_iter().enumerate().map(|(at, tensor)| (at.to_string(), tensor)).collect();
        of(&serving::PredictResponse { outputs, model_spec: Some(serving::ModelSpec::default()) })
    };
    let tensor = |dtype| tensorflow::TensorProto { dtype, ..Default::default() };
    assert_eq!(predict(vec![tensorflow::TensorProto { float_val: vec![2.0], ..tensor(1) }]), Ok(2));
    assert_eq!(predict(vec![tensorflow::TensorProto { int64_val: vec![-1, 9], ..tensor(9) }]), Ok(-1));
    let content = Bytes::copy_from_slice(&7i32.to_le_bytes());
    assert_eq!(predict(vec![tensorflow::TensorProto { tensor_content: content, ..tensor(3) }]), Ok(7));
    assert!(predict(vec![tensor(3)]).is_err());
    assert!(predict(vec![]).is_err());
    assert!(predict(vec![tensorflow::TensorProto { bool_val: vec![true], ..tensor(10) }]).is_err());
    assert!(predict(vec![tensorflow::TensorProto { int_val: vec![1], ..tensor(3) }, tensor(3)]).is_err());

    let infer = |datatype: &str, contents: Option<inference::InferTensorContents>, raw: Option<&[u8]>| {
        let output = inference::model_infer_response::InferOutputTensor {
            datatype: datatype.into(),
            contents,
            ..Default::default()
        };
        of(&inference::ModelInferResponse {
            outputs: vec![output],
            raw_output_contents: raw.map(Bytes::copy_from_slice).into_iter().collect(),
            ..Default::default()
        })
    };
    let typed = inference::InferTensorContents::default();
    assert_eq!(
        infer("INT32", Some(inference::InferTensorContents { int_contents: vec![-1], ..typed.clone() }), None),
        Ok(-1)
    );
    assert_eq!(
        infer("FP64", Some(inference::InferTensorContents { fp64_contents: vec![1.0], ..typed.clone() }), None),
        Ok(1)
    );
    assert_eq!(
        infer("UINT64", Some(inference::InferTensorContents { uint64_contents: vec![3], ..typed.clone() }), None),
        Ok(3)
    );
    assert_eq!(infer("INT64", Some(typed.clone()), Some(&5i64.to_le_bytes())), Ok(5));
    assert_eq!(infer("FP16", None, Some(&[0x00, 0x3c])), Ok(1));
    assert!(
        infer("BOOL", Some(inference::InferTensorContents { bool_contents: vec![true], ..typed.clone() }), None)
            .is_err()
    );
    assert!(infer("BOOL", None, Some(&[1])).is_err());
    assert!(infer("INT64", None, Some(&[1])).is_err());
    assert!(infer("INT64", Some(typed), None).is_err());
    assert!(infer("INT64", None, None).is_err());
    assert!(of(&inference::ModelInferResponse::default()).is_err());
}

#[test]
fn feedback_goes_to_the_child_that_answered() {
    let read = |body: &str| feedback_route(&Message::json(body.to_owned()), "a");
    assert_eq!(read(r#"{"response":{"meta":{"routing":{"b":0,"a":1}}},"reward":1}"#), Ok(1));
    assert_eq!(read(r#"{"response":{"meta":{"routing":{"a":-2}}}}"#), Ok(-2));
    for silent in ["{}", r#"{"response":null}"#, r#"{"response":{"meta":{"routing":{"b":0}}}}"#] {
        assert_eq!(read(silent), Ok(-1), "{silent}");
    }
    for wrong in
        [r#"{"response":{"meta":{"routing":{"a":"x"}}}}"#, r#"{"response":{"meta":{"routing":{"a":1.5}}}}"#, "{"]
    {
        assert!(read(wrong).is_err(), "{wrong}");
    }

    let response = |child| {
        let routing = [("a".to_owned(), child), ("b".to_owned(), 9)].into();
        let meta = Some(seldon::Meta { routing, ..Default::default() });
        Some(seldon::SeldonMessage { meta, ..Default::default() })
    };
    let feedback =
        |child| seldon::Feedback { response: response(child), reward: 1.0, ..Default::default() }.encode_to_vec();
    let read = |body: Vec<u8>, node| feedback_route(&Message::proto(FEEDBACK, body), node);
    for child in [0, 1, -1, -2] {
        assert_eq!(read(feedback(child), "a"), Ok(child));
    }
    assert_eq!(read(feedback(1), "c"), Ok(-1));
    assert_eq!(read(feedback(-3), "a"), Err(RouteError::NotRoute("-3".to_owned())));
    // The last one counts, as it does for who decodes it.
    assert_eq!(read([feedback(1), feedback(2)].concat(), "a"), Ok(2));
    assert!(read(vec![0x12, 5], "a").is_err());
    let request = seldon::Feedback { request: response(1), ..Default::default() }.encode_to_vec();
    assert_eq!(read(request, "a"), Ok(-1));
}
