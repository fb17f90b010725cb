//! V2's JSON to protobuf.

use bytes::Bytes;
use millrace_proto::inference::infer_parameter::ParameterChoice;
use millrace_proto::inference::model_infer_request::InferRequestedOutputTensor;
use millrace_proto::inference::model_infer_response::InferOutputTensor;
use millrace_proto::inference::{InferParameter, InferTensorContents};

use super::super::ConvertError;
use crate::codec::json::tape::{Kind, Tape, Value};
use crate::codec::json::{fields, number};
use crate::codec::tensor::datatype::Datatype;
use crate::codec::tensor::infer::{Infer, Parameters};
use crate::codec::tensor::v2::{BINARY_SIZE, Data, Described, described};
use crate::record::Message;

/// A request or reply whose first `json` bytes are text, the rest raw tensors.
pub(in super::super) fn to_proto(body: &Bytes, json: usize) -> Result<Message, ConvertError> {
    let json = json.min(body.len());
    let text = body.slice(..json);
    let tape = Tape::parse(&text)?;
    let root = tape.root();
    let mut infer = Infer { reply: root.get("inputs").is_none(), ..Infer::default() };
    if infer.reply && root.get("outputs").is_none() {
        let what = "it has neither 'inputs', as a request, nor 'outputs', as a reply".to_owned();
        return Err(ConvertError::to_proto(what));
    }
    let mut tensors = None;
    let read = fields::each(root, &[], |key, value| {
        match key {
            "model_name" => infer.model_name = fields::text(value)?,
            "model_version" => infer.model_version = fields::text(value)?,
            "id" => infer.id = fields::text(value)?,
            "parameters" => infer.parameters = parameters(value)?,
            "outputs" if !infer.reply => infer.requested = fields::list(value, requested)?,
            "inputs" | "outputs" => {
                tensors = Some(value);
                fields::list(value, known_keys)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    });
    read.map_err(ConvertError::to_proto)?;
    let Some(tensors) = tensors else { return Err(ConvertError::to_proto("it has no tensors".to_owned())) };

    let mut rest = body.slice(json..);
    let described = described(tensors, &mut rest).map_err(|error| ConvertError::read(error, "protobuf"))?;
    if !rest.is_empty() {
        let what = format!("{} bytes behind the JSON text belong to no tensor", rest.len());
        return Err(ConvertError::to_proto(what));
    }
    // A message is raw or typed, not both; 16-bit floats can only be raw.
    let raw =
        described.iter().any(|it| matches!((&it.data, it.datatype), (Data::Raw { .. }, _) | (_, Datatype::Half(_))));
    for (value, it) in tensors.items().zip(&described) {
        let named = |what| ConvertError::to_proto(format!("'{}': {what}", it.name));
        let (contents, bytes) = elements(it, raw).map_err(named)?;
        infer.raw.extend(bytes);
        infer.tensors.push(InferOutputTensor {
            name: it.name.clone(),
            datatype: it.datatype.name().to_owned(),
            shape: it.shape.clone(),
            parameters: value.get("parameters").map_or_else(|| Ok(Parameters::new()), parameters).map_err(named)?,
            contents,
        });
    }
    Ok(infer.encode())
}

/// The elements of a tensor, raw or typed.
fn elements(tensor: &Described<'_>, raw: bool) -> Result<(Option<InferTensorContents>, Option<Bytes>), String> {
    if !raw {
        let mut contents = InferTensorContents::default();
        tensor.elements(|element| element.push_typed(tensor.datatype, &mut contents))?;
        return Ok((Some(contents), None));
    }
    let mut bytes = Vec::new();
    tensor.elements(|element| element.push_raw(tensor.datatype, &mut bytes))?;
    Ok((None, Some(bytes.into())))
}

fn known_keys(tensor: Value<'_>) -> Result<(), String> {
    const KNOWN: [&str; 5] = ["name", "shape", "datatype", "parameters", "data"];
    fields::each(tensor, &[], |key, _| Ok(KNOWN.contains(&key)))
}

fn requested(value: Value<'_>) -> Result<InferRequestedOutputTensor, String> {
    let mut output = InferRequestedOutputTensor::default();
    fields::each(value, &[], |key, value| {
        match key {
            "name" => output.name = fields::text(value)?,
            "parameters" => output.parameters = parameters(value)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(output)
}

fn parameters(value: Value<'_>) -> Result<Parameters, String> {
    let mut parameters = fields::map(value, |value| Ok(InferParameter { parameter_choice: Some(parameter(value)?) }))?;
    parameters.remove(BINARY_SIZE);
    Ok(parameters)
}

fn parameter(value: Value<'_>) -> Result<ParameterChoice, String> {
    let unfit = || format!("{} is no value of a parameter", value.shown());
    match value.kind() {
        Kind::True | Kind::False => Ok(ParameterChoice::BoolParam(value.kind() == Kind::True)),
        Kind::Text => fields::text(value).map(ParameterChoice::StringParam),
        Kind::Number => {
            let text = value.raw();
            let signed = || text.parse().ok().map(ParameterChoice::Int64Param);
            let unsigned = || text.parse().ok().map(ParameterChoice::Uint64Param);
            let double = || number::kept(text).map(ParameterChoice::DoubleParam);
            signed().or_else(unsigned).or_else(double).ok_or_else(unfit)
        }
        Kind::Null | Kind::Array | Kind::Object => Err(unfit()),
    }
}
