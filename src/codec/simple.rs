//! The fixed answer of SIMPLE_MODEL, for trying a graph out without a server: one row with the scores of three classes.
//!
//! In the protocol and encoding of the request. Seldon's has the classes as names. TensorFlow Serving's is
//! `predictions`, or over gRPC an output `scores` of doubles with the model's specification from the request. V2's is an
//! output `scores` of FP64, with the id, model name and version of the request. A request that cannot be read gets the
//! answer without these.

use millrace_proto::ProtoName;
use millrace_proto::inference::InferTensorContents;
use millrace_proto::inference::model_infer_response::InferOutputTensor;
use millrace_proto::seldon::default_data::DataOneof as Numbers;
use millrace_proto::seldon::seldon_message::DataOneof;
use millrace_proto::seldon::{DefaultData, SeldonMessage, Tensor};
use millrace_proto::tensorflow::tensor_shape_proto::Dim;
use millrace_proto::tensorflow::{DataType, TensorProto, TensorShapeProto};
use millrace_proto::tensorflow_serving::{PredictRequest, PredictResponse};
use prost::Message as _;

use super::json::members;
use super::tensor::infer::Infer;
use crate::config::settings::Protocol;
use crate::record::{Form, Message};

/// The row.
const SCORES: [f64; 3] = [0.1, 0.9, 0.5];
/// What its columns are.
const CLASSES: [&str; 3] = ["class0", "class1", "class2"];
/// Name of the output, in protocols where outputs have one.
const OUTPUT: &str = "scores";

/// The answer to a request.
pub fn answer(protocol: Protocol, request: &Message) -> Message {
    match (protocol, &request.form) {
        (Protocol::Seldon, Form::Proto(_)) => proto(&seldon()),
        (Protocol::Seldon, _) => Message::json(format!(
            "{{\"data\":{{\"names\":{CLASSES:?},\"tensor\":{{\"shape\":[1,3],\"values\":{SCORES:?}}}}}}}"
        )),
        (Protocol::Tensorflow, Form::Proto(_)) => proto(&tensorflow(request)),
        (Protocol::Tensorflow, _) => Message::json(format!("{{\"predictions\":[{SCORES:?}]}}")),
        (Protocol::V2, Form::Proto(name)) => v2(Infer::decode(name, &request.body).unwrap_or_default()),
        (Protocol::V2, form) => v2_json(request, form),
    }
}

fn proto<M: ProtoName>(message: &M) -> Message {
    Message::proto(M::PROTO_NAME, message.encode_to_vec())
}

fn seldon() -> SeldonMessage {
    let numbers = Numbers::Tensor(Tensor { shape: vec![1, 3], values: SCORES.to_vec() });
    let data = DefaultData { names: CLASSES.map(str::to_owned).to_vec(), data_oneof: Some(numbers) };
    SeldonMessage { data_oneof: Some(DataOneof::Data(data)), ..SeldonMessage::default() }
}

fn tensorflow(request: &Message) -> PredictResponse {
    let dim = [1, 3].map(|size| Dim { size, name: String::new() }).to_vec();
    let tensor = TensorProto {
        dtype: DataType::DtDouble as i32,
        tensor_shape: Some(TensorShapeProto { dim, unknown_rank: false }),
        double_val: SCORES.to_vec(),
        ..TensorProto::default()
    };
    let model_spec = PredictRequest::decode(request.body.clone()).ok().and_then(|request| request.model_spec);
    PredictResponse { outputs: [(OUTPUT.to_owned(), tensor)].into(), model_spec }
}

fn v2(request: Infer) -> Message {
    let tensor = InferOutputTensor {
        name: OUTPUT.to_owned(),
        datatype: "FP64".to_owned(),
        shape: vec![1, 3],
        contents: Some(InferTensorContents { fp64_contents: SCORES.to_vec(), ..InferTensorContents::default() }),
        ..InferOutputTensor::default()
    };
    let Infer { model_name, model_version, id, .. } = request;
    Infer { reply: true, model_name, model_version, id, tensors: vec![tensor], ..Infer::default() }.encode()
}

fn v2_json(request: &Message, form: &Form) -> Message {
    const KEPT: [&str; 3] = ["model_name", "model_version", "id"];
    let json = if let Form::Binary { json } = form { *json } else { request.body.len() };
    let text = request.body.get(..json).unwrap_or_default();
    let found = members(text, KEPT).map(|(_, found)| found).unwrap_or_default();
    let kept = KEPT.iter().zip(found).filter_map(|(key, member)| {
        let value = std::str::from_utf8(&text[member?.value]).ok()?;
        Some(format!("\"{key}\":{value},"))
    });
    let kept: String = kept.collect();
    Message::json(format!(
        "{{{kept}\"outputs\":[{{\"name\":\"{OUTPUT}\",\"shape\":[1,3],\"datatype\":\"FP64\",\"data\":{SCORES:?}}}]}}"
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::{convert, tensor};
    use crate::config::settings::Transport;

    fn text(message: &Message) -> String {
        assert_eq!(message.form, Form::Json { content_type: None });
        String::from_utf8(message.body.to_vec()).unwrap()
    }

    #[test]
    fn it_is_the_same_row_in_every_protocol_and_encoding() {
        for protocol in [Protocol::Seldon, Protocol::Tensorflow, Protocol::V2] {
            for request in [Message::json("?"), Message::proto("?", "?")] {
                let answer = answer(protocol, &request);
                assert_eq!(answer.transport(), request.transport());
                let read = tensor::read(protocol, &answer).unwrap();
                assert_eq!((read.len(), &read[0].shape[..], &read[0].values[..]), (1, &[1, 3][..], &SCORES[..]));
            }
        }
        let (json, grpc) =
            (answer(Protocol::Seldon, &Message::json("")), answer(Protocol::Seldon, &Message::proto("", "")));
        assert_eq!(
            text(&json),
            "{\"data\":{\"names\":[\"class0\", \"class1\", \"class2\"],\"tensor\":{\"shape\":[1,3],\"values\":[0.1, 0.9, 0.5]}}}"
        );
        assert_eq!(convert::to(Protocol::Seldon, &json, Transport::Grpc).unwrap(), grpc);
        assert_eq!(text(&answer(Protocol::Tensorflow, &Message::json(""))), "{\"predictions\":[[0.1, 0.9, 0.5]]}");
    }

    #[test]
    fn it_says_whom_it_answers() {
        let request = Message::json("{\"model_name\":\"m\",\"id\": \"a\\u0000\",\"inputs\":[]}");
        let rest = answer(Protocol::V2, &request);
        assert!(
            text(&rest).starts_with("{\"model_name\":\"m\",\"id\":\"a\\u0000\",\"outputs\":[{\"name\":\"scores\",")
        );
        let grpc = answer(Protocol::V2, &convert::to(Protocol::V2, &request, Transport::Grpc).unwrap());
        assert_eq!(convert::to(Protocol::V2, &rest, Transport::Grpc).unwrap(), grpc);
        let model_spec = Some(millrace_proto::tensorflow_serving::ModelSpec { name: "m".into(), ..Default::default() });
        let request = proto(&PredictRequest { model_spec: model_spec.clone(), ..PredictRequest::default() });
        let reply = PredictResponse::decode(answer(Protocol::Tensorflow, &request).body).unwrap();
        assert_eq!(reply.model_spec, model_spec);
    }

    proptest! {
        #[test]
        fn any_request_is_answered(body in proptest::collection::vec(any::<u8>(), 0..64), json in 0usize..70, form in 0usize..3) {
            let form = match form {
                0 => Form::Json { content_type: None },
                1 => Form::Binary { json },
                _ => Form::Proto("inference.ModelInferRequest"),
            };
            let request = Message { body: body.into(), form };
            for protocol in [Protocol::Seldon, Protocol::Tensorflow, Protocol::V2] {
                prop_assert!(tensor::read(protocol, &answer(protocol, &request)).is_ok());
            }
        }
    }
}
