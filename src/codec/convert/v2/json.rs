//! V2's protobuf to JSON.

use bytes::Bytes;
use millrace_proto::inference::infer_parameter::ParameterChoice;

use super::super::ConvertError;
use crate::codec::json::edit::{list, quote};
use crate::codec::json::fields::Object;
use crate::codec::json::number;
use crate::codec::tensor::infer::{Infer, Parameters};
use crate::codec::tensor::v2::BINARY_SIZE;
use crate::record::Message;

/// A `ModelInferRequest` or `ModelInferResponse` as plain JSON, data flat.
pub(in super::super) fn to_json(name: &'static str, body: &Bytes) -> Result<Message, ConvertError> {
    let infer = Infer::decode(name, body).map_err(|error| ConvertError::read(error, "JSON"))?;
    let mut out = String::with_capacity(body.len());
    print(&mut out, &infer).map_err(ConvertError::to_json)?;
    Ok(Message::json(out))
}

fn print(out: &mut String, infer: &Infer) -> Result<(), String> {
    let mut object = Object::open(out);
    for (key, value) in [("model_name", &infer.model_name), ("model_version", &infer.model_version), ("id", &infer.id)]
    {
        if !value.is_empty() {
            quote(object.key(key), value);
        }
    }
    parameters(&mut object, &infer.parameters)?;
    if !infer.raw.is_empty() && infer.raw.len() != infer.tensors.len() {
        return Err(format!("it has {} raw contents for {} tensors", infer.raw.len(), infer.tensors.len()));
    }
    let out = object.key(if infer.reply { "outputs" } else { "inputs" });
    out.push('[');
    for at in 0..infer.tensors.len() {
        if at > 0 {
            out.push(',');
        }
        tensor(out, infer, at).map_err(|what| format!("'{}': {what}", infer.tensors[at].name))?;
    }
    out.push(']');
    if !infer.requested.is_empty() {
        let out = object.key("outputs");
        out.push('[');
        let mut done = Ok(());
        list(out, &infer.requested, |out, output| {
            let mut object = Object::open(out);
            quote(object.key("name"), &output.name);
            if let Err(what) = parameters(&mut object, &output.parameters) {
                done = Err(format!("'{}': {what}", output.name));
            }
            object.close();
        });
        done?;
        out.push(']');
    }
    object.close();
    Ok(())
}

fn tensor(out: &mut String, infer: &Infer, at: usize) -> Result<(), String> {
    let tensor = &infer.tensors[at];
    let mut object = Object::open(out);
    quote(object.key("name"), &tensor.name);
    let out = object.key("shape");
    out.push('[');
    list(out, &tensor.shape, |out, size| out.push_str(&size.to_string()));
    out.push(']');
    quote(object.key("datatype"), &tensor.datatype);
    parameters(&mut object, &tensor.parameters)?;
    let out = object.key("data");
    out.push('[');
    let (mut first, mut printed) = (true, Ok(()));
    infer.elements(at, |element| {
        if !first {
            out.push(',');
        }
        first = false;
        if let Err(what) = element.print(out) {
            printed = Err(what);
        }
    })?;
    printed?;
    out.push(']');
    object.close();
    Ok(())
}

fn parameters(object: &mut Object<'_>, parameters: &Parameters) -> Result<(), String> {
    let mut kept = parameters.iter().filter(|(name, _)| *name != BINARY_SIZE).peekable();
    if kept.peek().is_none() {
        return Ok(());
    }
    let mut inner = Object::open(object.key("parameters"));
    for (name, parameter) in kept {
        let out = inner.key(name);
        match &parameter.parameter_choice {
            Some(ParameterChoice::BoolParam(value)) => out.push_str(&value.to_string()),
            Some(ParameterChoice::Int64Param(value)) => out.push_str(&value.to_string()),
            Some(ParameterChoice::Uint64Param(value)) => out.push_str(&value.to_string()),
            Some(ParameterChoice::DoubleParam(value)) => number::print(out, *value),
            Some(ParameterChoice::StringParam(value)) => quote(out, value),
            None => return Err(format!("the parameter '{name}' has no value")),
        }
    }
    inner.close();
    Ok(())
}
