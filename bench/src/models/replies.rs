//! What the stub servers answer: the request as an answer, or something small and valid.

use bytes::{BufMut, Bytes, BytesMut};
use millrace_proto::tensorflow::{DataType, TensorProto, TensorShapeProto, tensor_shape_proto::Dim};
use millrace_proto::{inference, seldon, tensorflow_serving as serving};
use prost::Message;

use super::Reply;

/// The answer to a prediction over REST.
pub(super) fn rest(reply: Reply, path: &str, body: Bytes) -> Bytes {
    let tensorflow = path.starts_with("/v1/");
    match reply {
        Reply::Echo if tensorflow => renamed(&body, br#""instances""#, br#""predictions""#),
        Reply::Echo if path.starts_with("/v2/") => renamed(&body, br#""inputs""#, br#""outputs""#),
        Reply::Echo => body,
        Reply::Fixed if tensorflow => {
            Bytes::from_static(br#"{"predictions":[[0.01,0.02,0.8,0.03,0.02,0.02,0.02,0.03,0.02,0.03]]}"#)
        }
        Reply::Fixed if path.starts_with("/v2/") => Bytes::from_static(
            br#"{"model_name":"model","outputs":[{"name":"y","datatype":"FP32","shape":[1,1],"data":[0.5]}]}"#,
        ),
        Reply::Fixed => Bytes::from_static(br#"{"data":{"names":["y"],"ndarray":[[0.5]]}}"#),
    }
}

/// The body with the first `from` made `to`.
fn renamed(body: &[u8], from: &[u8], to: &[u8]) -> Bytes {
    let at = body.windows(from.len()).position(|window| window == from);
    let Some(at) = at else { return Bytes::copy_from_slice(body) };
    let mut out = BytesMut::with_capacity(body.len() + to.len() - from.len());
    out.put_slice(&body[..at]);
    out.put_slice(to);
    out.put_slice(&body[at + from.len()..]);
    out.freeze()
}

/// How many rows a TensorFlow request has: the elements of its first list. 1 if it has none.
pub(super) fn rows(body: &[u8]) -> u64 {
    let Some(begin) = body.iter().position(|byte| *byte == b'[') else { return 1 };
    let (mut depth, mut commas, mut empty, mut in_text, mut escaped) = (0_u32, 0, true, false, false);
    for byte in &body[begin..] {
        if in_text {
            in_text = escaped || *byte != b'"';
            escaped = !escaped && *byte == b'\\';
            continue;
        }
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            b',' if depth == 1 => commas += 1,
            _ => {}
        }
        in_text = *byte == b'"';
        match depth {
            0 => break,
            1 => empty &= byte.is_ascii_whitespace() || *byte == b'[',
            _ => empty = false,
        }
    }
    if empty { 0 } else { commas + 1 }
}

/// The answer to a question about readiness over REST.
pub(super) fn ready_rest(path: &str) -> Bytes {
    if path.starts_with("/v1/") {
        return Bytes::from_static(
            br#"{"model_version_status":[{"version":"1","state":"AVAILABLE","status":{"error_code":"OK","error_message":""}}]}"#,
        );
    }
    Bytes::from_static(br#"{"ready":true}"#)
}

/// The answers over gRPC, by method; each with the five bytes that frame it.
pub(super) struct Grpc {
    answers: Vec<(&'static str, Bytes)>,
}

impl Grpc {
    pub(super) fn new() -> Self {
        let available = serving::ModelVersionStatus { version: 1, state: 30, ..Default::default() };
        let status = serving::GetModelStatusResponse { model_version_status: vec![available] };
        let answers = vec![
            ("/inference.GRPCInferenceService/ModelInfer", framed(&v2())),
            ("/tensorflow.serving.PredictionService/Predict", framed(&tensorflow())),
            ("/seldon.protos.Model/Predict", framed(&seldon())),
            ("/inference.GRPCInferenceService/ModelReady", framed(&inference::ModelReadyResponse { ready: true })),
            ("/inference.GRPCInferenceService/ServerReady", framed(&inference::ServerReadyResponse { ready: true })),
            ("/tensorflow.serving.ModelService/GetModelStatus", framed(&status)),
        ];
        Self { answers }
    }

    pub(super) fn answer(&self, path: &str) -> Option<Bytes> {
        self.answers.iter().find(|(method, _)| *method == path).map(|(_, answer)| answer.clone())
    }
}

fn framed(message: &impl Message) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(0);
    out.put_u32(message.encoded_len() as u32);
    message.encode(&mut out).expect("the buffer grows");
    out.freeze()
}

fn v2() -> inference::ModelInferResponse {
    let contents = inference::InferTensorContents { fp32_contents: vec![0.5], ..Default::default() };
    let output = inference::model_infer_response::InferOutputTensor {
        name: "y".to_owned(),
        datatype: "FP32".to_owned(),
        shape: vec![1, 1],
        contents: Some(contents),
        ..Default::default()
    };
    inference::ModelInferResponse { model_name: "model".to_owned(), outputs: vec![output], ..Default::default() }
}

fn tensorflow() -> serving::PredictResponse {
    let dim = [1, 10].map(|size| Dim { size, ..Default::default() }).to_vec();
    let tensor = TensorProto {
        dtype: DataType::DtFloat.into(),
        tensor_shape: Some(TensorShapeProto { dim, ..Default::default() }),
        float_val: vec![0.1; 10],
        ..Default::default()
    };
    serving::PredictResponse { outputs: [("y".to_owned(), tensor)].into(), ..Default::default() }
}

fn seldon() -> seldon::SeldonMessage {
    let tensor = seldon::Tensor { shape: vec![1, 1], values: vec![0.5] };
    let data_oneof = Some(seldon::default_data::DataOneof::Tensor(tensor));
    let data = seldon::DefaultData { data_oneof, ..Default::default() };
    seldon::SeldonMessage { data_oneof: Some(seldon::seldon_message::DataOneof::Data(data)), ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted() {
        assert_eq!(rows(br#"{"instances":[[1,2],[3,4],[5,6]]}"#), 3);
        assert_eq!(rows(br#"{"instances":[1.0]}"#), 1);
        assert_eq!(rows(br#"{"instances": [ ]}"#), 0);
        assert_eq!(rows(br#"{"instances":[{"a":[1,2],"b":"],[\",\\"},{"a":3}],"x":[1,2,3]}"#), 2);
        assert_eq!(rows(b"{}"), 1);
    }

    #[test]
    fn rows_become_predictions() {
        let answer = rest(Reply::Echo, "/v1/models/model:predict", Bytes::from_static(br#"{"instances":[[7],[8]]}"#));
        assert_eq!(&answer[..], br#"{"predictions":[[7],[8]]}"#);
    }

    #[test]
    fn every_fixed_answer_is_json() {
        for path in ["/predict", "/v1/models/model:predict", "/v2/models/model/infer"] {
            let answer = rest(Reply::Fixed, path, Bytes::new());
            assert!(serde_json::from_slice::<serde_json::Value>(&answer).unwrap().is_object(), "{path}");
        }
    }
}
