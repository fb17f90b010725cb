//! Tests of reading numbers: replies that real servers gave, and tensors that contradict themselves.

use super::*;

fn vector(file: &str, name: &'static str) -> Message {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/tests/vectors").join(file);
    Message::proto(name, std::fs::read(path).unwrap())
}

#[test]
fn replies_of_real_servers_are_read() {
    const REPLY: &str = "inference.ModelInferResponse";
    for (file, shape) in [
        ("captured/kserve/grpc_infer_raw.pb", 2),
        ("captured/kserve/grpc_infer_typed.pb", 2),
        ("captured/mlserver/grpc_infer_raw.pb", 2),
        ("captured/mlserver/grpc_infer_typed.pb", 2),
        ("v2/chain_in_response_raw.pb", 2),
        ("v2/chain_in_response_typed.pb", 2),
    ] {
        let tensors = read(Protocol::V2, &vector(file, REPLY)).unwrap();
        assert_eq!(tensors[0].shape.len(), shape, "{file}");
        assert_eq!(tensors[0].values.len(), tensors[0].shape.iter().product::<usize>(), "{file}");
    }
    let raw = read(Protocol::V2, &vector("captured/kserve/grpc_infer_raw.pb", REPLY)).unwrap();
    let typed = read(Protocol::V2, &vector("captured/kserve/grpc_infer_typed.pb", REPLY)).unwrap();
    assert_eq!(raw, typed);
    let seldon = |file| read(Protocol::Seldon, &vector(file, "seldon.protos.SeldonMessage")).unwrap();
    let ndarray = seldon("captured/seldon/grpc_ndarray.pb");
    assert_eq!(ndarray, seldon("captured/seldon/grpc_tensor.pb"));
    assert_eq!((ndarray[0].columns[0].as_str(), &ndarray[0].shape[..]), ("setosa", &[2, 3][..]));
    let batch =
        read(Protocol::Tensorflow, &vector("tensorflow/batch_ab_response.pb", "tensorflow.serving.PredictResponse"));
    assert_eq!(batch.unwrap()[0].shape[0], 3);
}

#[test]
fn a_tensor_that_contradicts_itself_is_refused() {
    let refused = |json: &str| read(Protocol::V2, &Message::json(json.as_bytes().to_vec())).unwrap_err().to_string();
    let output = |rest: &str| format!("{{\"outputs\":[{{\"name\":\"y\",{rest}}}]}}");
    for (rest, reason) in [
        (
            "\"datatype\":\"FP32\",\"shape\":[3],\"data\":[1,2]",
            "'y': it has 2 elements, which are not those of its shape [3]",
        ),
        ("\"datatype\":\"FP32\",\"shape\":[-1],\"data\":[1]", "'y': its shape [-1] is no shape of data"),
        ("\"datatype\":\"FLOAT\",\"shape\":[1],\"data\":[1]", "'y': 'FLOAT' is no datatype of the protocol"),
        ("\"datatype\":\"INT8\",\"shape\":[1],\"data\":[300]", "'y': 300 is no value of INT8"),
        ("\"datatype\":\"FP32\",\"shape\":[1],\"data\":[null]", "'y': null is no value of FP32"),
        ("\"datatype\":\"FP32\",\"shape\":[1]", "'y': it has no 'data'"),
        (
            "\"datatype\":\"FP32\",\"shape\":[1],\"parameters\":{\"binary_data_size\":4}",
            "'y': its binary_data_size 4 is not there",
        ),
    ] {
        assert_eq!(refused(&output(rest)), reason);
    }
    assert_eq!(refused("{\"error\":\"x\"}"), "it has no numbers: a v2 reply has 'outputs'");
    let proto = |file| read(Protocol::V2, &vector(file, "inference.ModelInferRequest")).unwrap_err().to_string();
    assert!(proto("v2/bad_raw_size.pb").contains("30 raw bytes are no whole number of FP32"));
    assert!(proto("v2/bad_wrong_contents_field.pb").contains("not that of"));
    assert!(proto("v2/bad_no_data.pb").contains("0 elements"));
    assert!(proto("v2/bad_datatype.pb").contains("no datatype"));
    assert!(proto("v2/bad_truncated.pb").contains("is no inference.ModelInferRequest"));
}
