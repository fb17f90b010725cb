//! The requests of the loads: body, headers and the address that answers them, in each protocol.

use std::fmt::Write as _;

use bytes::Bytes;
use millrace_proto::tensorflow::{DataType, TensorProto, TensorShapeProto, tensor_shape_proto::Dim};
use millrace_proto::{ProtoName, inference, tensorflow_serving as serving};
use prost::Message;
use serde::Serialize;

/// The name of the one node.
pub(crate) const NODE: &str = "model";
/// The header that says which record an answer belongs to.
pub(crate) const PUID: &str = "Seldon-Puid";
const PREFIX: &str = "bench-";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// Four numbers, as Seldon's JSON.
    SeldonRest,
    /// One row of two numbers, as TensorFlow's JSON; the first is the record's number.
    RowRest,
    /// A picture of 32 x 32 x 3 numbers, as TensorFlow's JSON: some 60 KB.
    CifarRest,
    /// Four numbers, as V2's protobuf.
    V2Grpc,
    /// 3,072 numbers, as TensorFlow's protobuf: 12 KB.
    TensorflowGrpc,
}

impl Format {
    /// As the configuration names the protocol.
    pub(crate) fn protocol(self) -> &'static str {
        match self {
            Self::SeldonRest => "seldon",
            Self::RowRest | Self::CifarRest | Self::TensorflowGrpc => "tensorflow",
            Self::V2Grpc => "v2",
        }
    }

    pub(crate) fn is_grpc(self) -> bool {
        matches!(self, Self::V2Grpc | Self::TensorflowGrpc)
    }

    pub(crate) fn transport(self) -> &'static str {
        if self.is_grpc() { "grpc" } else { "rest" }
    }

    /// The path of a prediction.
    pub(crate) fn path(self) -> String {
        match self {
            Self::SeldonRest => "/predict".to_owned(),
            Self::RowRest | Self::CifarRest => format!("/v1/models/{NODE}:predict"),
            Self::V2Grpc => "/inference.GRPCInferenceService/ModelInfer".to_owned(),
            Self::TensorflowGrpc => "/tensorflow.serving.PredictionService/Predict".to_owned(),
        }
    }

    /// The header `proto-name` of a record, which protobuf needs.
    pub(crate) fn proto_name(self) -> Option<&'static str> {
        match self {
            Self::V2Grpc => Some(inference::ModelInferRequest::PROTO_NAME),
            Self::TensorflowGrpc => Some(serving::PredictRequest::PROTO_NAME),
            Self::SeldonRest | Self::RowRest | Self::CifarRest => None,
        }
    }

    /// Makes the bodies of a load.
    pub(crate) fn bodies(self) -> Bodies {
        let fixed = match self {
            Self::SeldonRest => {
                Bytes::from_static(br#"{"data":{"names":["a","b","c","d"],"ndarray":[[5.1,3.5,1.4,0.2]]}}"#)
            }
            Self::CifarRest => Bytes::from(cifar()),
            Self::V2Grpc => Bytes::from(v2().encode_to_vec()),
            Self::TensorflowGrpc => Bytes::from(tensor().encode_to_vec()),
            Self::RowRest => Bytes::new(),
        };
        Bodies { format: self, fixed, text: String::new() }
    }
}

/// The bodies of a load; all alike, but for rows.
pub(crate) struct Bodies {
    format: Format,
    fixed: Bytes,
    text: String,
}

impl Bodies {
    pub(crate) fn body(&mut self, seq: u64) -> &[u8] {
        if self.format != Format::RowRest {
            return &self.fixed;
        }
        self.text.clear();
        write!(self.text, r#"{{"instances":[[{seq},0.5]]}}"#).expect("a text takes all");
        self.text.as_bytes()
    }
}

/// Whether the body can be the answer to record `seq`.
pub(crate) fn answers(format: Format, body: &[u8], seq: u64) -> bool {
    if format != Format::RowRest {
        return !body.is_empty();
    }
    let Some((_, rest)) = std::str::from_utf8(body).ok().and_then(|text| text.split_once("[[")) else { return false };
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..digits].parse() == Ok(seq) && !rest.contains('[')
}

/// The header's text for record `seq`.
pub(crate) fn puid(seq: u64) -> String {
    format!("{PREFIX}{seq:010}")
}

/// The record that a header's text names.
pub(crate) fn seq_of(puid: &[u8]) -> Option<u64> {
    std::str::from_utf8(puid).ok()?.strip_prefix(PREFIX)?.parse().ok()
}

fn cifar() -> String {
    let mut random = fastrand::Rng::with_seed(7);
    let mut pixel = || format!("{:.16}", f64::from(random.u8(..)) / 255.0);
    let mut list = |_| format!("[{},{},{}]", pixel(), pixel(), pixel());
    let rows: Vec<_> = (0..32).map(|_| format!("[{}]", (0..32).map(&mut list).collect::<Vec<_>>().join(","))).collect();
    format!(r#"{{"instances":[[{}]]}}"#, rows.join(","))
}

fn v2() -> inference::ModelInferRequest {
    let contents = inference::InferTensorContents { fp32_contents: vec![5.1, 3.5, 1.4, 0.2], ..Default::default() };
    let input = inference::model_infer_request::InferInputTensor {
        name: "x".to_owned(),
        datatype: "FP32".to_owned(),
        shape: vec![1, 4],
        contents: Some(contents),
        ..Default::default()
    };
    inference::ModelInferRequest { model_name: NODE.to_owned(), inputs: vec![input], ..Default::default() }
}

fn tensor() -> serving::PredictRequest {
    let mut random = fastrand::Rng::with_seed(7);
    let content: Vec<u8> = (0..3072).flat_map(|_| random.f32().to_le_bytes()).collect();
    let dim = [1, 32, 32, 3].map(|size| Dim { size, ..Default::default() }).to_vec();
    let tensor = TensorProto {
        dtype: DataType::DtFloat.into(),
        tensor_shape: Some(TensorShapeProto { dim, ..Default::default() }),
        tensor_content: content.into(),
        ..Default::default()
    };
    let spec = serving::ModelSpec { name: NODE.to_owned(), ..Default::default() };
    serving::PredictRequest { model_spec: Some(spec), inputs: [("x".to_owned(), tensor)].into(), ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_as_said() {
        let size = |format: Format| format.bodies().body(0).len();
        assert!(size(Format::SeldonRest) < 100);
        assert!(size(Format::V2Grpc) < 100);
        assert!((55_000..65_000).contains(&size(Format::CifarRest)), "{}", size(Format::CifarRest));
        assert!((12_288..12_400).contains(&size(Format::TensorflowGrpc)), "{}", size(Format::TensorflowGrpc));
    }

    #[test]
    fn a_header_names_its_record() {
        assert_eq!(seq_of(puid(123).as_bytes()), Some(123));
        assert_eq!(seq_of(b"0a1b"), None);
    }

    #[test]
    fn an_answer_has_its_own_row() {
        let answered = |body: &str| answers(Format::RowRest, body.as_bytes(), 12);
        assert!(answered(r#"{"predictions":[[12,0.5]]}"#));
        assert!(answered("{\n  \"predictions\": [[12, 0.5]]}"));
        assert!(!answered(r#"{"predictions":[[123,0.5]]}"#));
        assert!(!answered(r#"{"predictions":[[12,0.5],[13,0.5]]}"#));
        assert!(!answered(r#"{"predictions":[]}"#));
        assert!(answers(Format::SeldonRest, b"{}", 12) && !answers(Format::SeldonRest, b"", 12));
    }
}
