//! What a gRPC stub answers of itself: the request as the protocol's reply, every number made into another.

use bytes::Bytes;
use millrace_proto::seldon::{SeldonMessage, SeldonMessageList, default_data, seldon_message};
use millrace_proto::tensorflow_serving as serving;
use millrace_proto::well_known::value::Kind;
use millrace_proto::well_known::{ListValue, Value};
use millrace_proto::{inference, seldon};
use prost::Message;

use super::grpc_server::GrpcReply;
use super::models::Arithmetic;

/// The answer to a question about readiness; nothing if it is none.
pub fn readiness(path: &str, ready: bool) -> Option<Bytes> {
    let message = match path {
        "/inference.GRPCInferenceService/ModelReady" => inference::ModelReadyResponse { ready }.encode_to_vec(),
        "/inference.GRPCInferenceService/ServerReady" => inference::ServerReadyResponse { ready }.encode_to_vec(),
        "/tensorflow.serving.ModelService/GetModelStatus" => {
            let state = if ready { 30 } else { 20 };
            let version = serving::ModelVersionStatus { version: 1, state, ..Default::default() };
            serving::GetModelStatusResponse { model_version_status: vec![version] }.encode_to_vec()
        }
        _ => return None,
    };
    Some(message.into())
}

/// The stub's own answer.
pub fn reply(path: &str, body: Bytes, arithmetic: Arithmetic) -> GrpcReply {
    match path {
        "/tensorflow.serving.PredictionService/Predict" => tensorflow(body, arithmetic),
        "/inference.GRPCInferenceService/ModelInfer" => v2(body, arithmetic),
        "/seldon.protos.Model/Predict"
        | "/seldon.protos.Transformer/TransformInput"
        | "/seldon.protos.OutputTransformer/TransformOutput" => {
            let mut message: SeldonMessage = read(body)?;
            calculate_seldon(&mut message, arithmetic);
            Ok(written(&message))
        }
        "/seldon.protos.Router/Route" => Ok(written(&chosen(0))),
        "/seldon.protos.Combiner/Aggregate" => {
            let list: SeldonMessageList = read(body)?;
            let first = list.seldon_messages.into_iter().next();
            Ok(written(&first.ok_or_else(|| (3, "nothing to combine".to_owned()))?))
        }
        "/seldon.protos.Model/SendFeedback" => Ok(written(&SeldonMessage::default())),
        other => Err((12, format!("no method {other}"))),
    }
}

/// A router's answer: this child.
pub fn chosen(child: i32) -> SeldonMessage {
    let tensor = seldon::Tensor { shape: vec![1, 1], values: vec![f64::from(child)] };
    let data_oneof = Some(default_data::DataOneof::Tensor(tensor));
    let data = seldon::DefaultData { data_oneof, ..Default::default() };
    SeldonMessage { data_oneof: Some(seldon_message::DataOneof::Data(data)), ..Default::default() }
}

fn read<M: Message + Default>(body: Bytes) -> Result<M, (i32, String)> {
    M::decode(body).map_err(|error| (3, error.to_string()))
}

fn written(message: &impl Message) -> Bytes {
    message.encode_to_vec().into()
}

fn real(number: f64, arithmetic: Arithmetic) -> f64 {
    arithmetic(number as u64) as f64
}

fn tensorflow(body: Bytes, arithmetic: Arithmetic) -> GrpcReply {
    let serving::PredictRequest { model_spec, inputs: mut outputs, .. } = read(body)?;
    for tensor in outputs.values_mut() {
        tensor.double_val.iter_mut().for_each(|n| *n = real(*n, arithmetic));
        tensor.float_val.iter_mut().for_each(|n| *n = real(f64::from(*n), arithmetic) as f32);
        tensor.int_val.iter_mut().for_each(|n| *n = arithmetic(*n as u64) as i32);
        tensor.int64_val.iter_mut().for_each(|n| *n = arithmetic(*n as u64) as i64);
    }
    Ok(written(&serving::PredictResponse { outputs, model_spec }))
}

fn v2(body: Bytes, arithmetic: Arithmetic) -> GrpcReply {
    let request: inference::ModelInferRequest = read(body)?;
    let mut reply = inference::ModelInferResponse {
        model_name: request.model_name,
        model_version: request.model_version,
        id: request.id,
        ..Default::default()
    };
    for (place, input) in request.inputs.into_iter().enumerate() {
        let mut contents = input.contents;
        if let Some(numbers) = &mut contents {
            numbers.fp64_contents.iter_mut().for_each(|n| *n = real(*n, arithmetic));
            numbers.fp32_contents.iter_mut().for_each(|n| *n = real(f64::from(*n), arithmetic) as f32);
            numbers.int_contents.iter_mut().for_each(|n| *n = arithmetic(*n as u64) as i32);
            numbers.int64_contents.iter_mut().for_each(|n| *n = arithmetic(*n as u64) as i64);
        }
        if let Some(raw) = request.raw_input_contents.get(place) {
            reply.raw_output_contents.push(calculate_raw(&input.datatype, raw, arithmetic));
        }
        reply.outputs.push(inference::model_infer_response::InferOutputTensor {
            name: input.name,
            datatype: input.datatype,
            shape: input.shape,
            contents,
            ..Default::default()
        });
    }
    Ok(written(&reply))
}

/// Raw numbers; those of other types stay as they are.
fn calculate_raw(datatype: &str, raw: &Bytes, arithmetic: Arithmetic) -> Bytes {
    let long = raw.chunks_exact(8).map(|n| n.try_into().expect("eight bytes"));
    let short = raw.chunks_exact(4).map(|n| n.try_into().expect("four bytes"));
    let bytes: Vec<u8> = match datatype {
        "INT64" | "UINT64" => long.flat_map(|n| arithmetic(u64::from_le_bytes(n)).to_le_bytes()).collect(),
        "FP64" => long.flat_map(|n| real(f64::from_le_bytes(n), arithmetic).to_le_bytes()).collect(),
        "INT32" | "UINT32" => {
            short.flat_map(|n| (arithmetic(u64::from(u32::from_le_bytes(n))) as u32).to_le_bytes()).collect()
        }
        "FP32" => {
            short.flat_map(|n| (real(f64::from(f32::from_le_bytes(n)), arithmetic) as f32).to_le_bytes()).collect()
        }
        _ => return raw.clone(),
    };
    bytes.into()
}

fn calculate_seldon(message: &mut SeldonMessage, arithmetic: Arithmetic) {
    let Some(seldon_message::DataOneof::Data(data)) = &mut message.data_oneof else { return };
    match &mut data.data_oneof {
        Some(default_data::DataOneof::Tensor(tensor)) => {
            tensor.values.iter_mut().for_each(|n| *n = real(*n, arithmetic));
        }
        Some(default_data::DataOneof::Ndarray(rows)) => calculate_list(rows, arithmetic),
        _ => {}
    }
}

/// Numbers in lists in lists; a test's request is not deep.
fn calculate_list(list: &mut ListValue, arithmetic: Arithmetic) {
    for Value { kind } in &mut list.values {
        match kind {
            Some(Kind::NumberValue(n)) => *n = real(*n, arithmetic),
            Some(Kind::ListValue(inner)) => calculate_list(inner, arithmetic),
            _ => {}
        }
    }
}
