//! V2's protobuf request and reply as one type: they have the same tensors, in fields with other names.

use std::collections::BTreeMap;

use bytes::Bytes;
use millrace_proto::ProtoName;
use millrace_proto::inference::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use millrace_proto::inference::model_infer_response::InferOutputTensor;
use millrace_proto::inference::{InferParameter, ModelInferRequest, ModelInferResponse};
use prost::Message as _;

use super::ReadError;
use super::datatype::{Datatype, Element, elements, raw_elements, typed_elements};
use super::sizes;
use crate::record::Message;

/// Parameters by name.
pub type Parameters = BTreeMap<String, InferParameter>;

/// A request or a reply.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Infer {
    /// A reply rather than a request.
    pub reply: bool,
    /// Model it is for or from.
    pub model_name: String,
    /// Version of the model.
    pub model_version: String,
    /// Comes back in the reply.
    pub id: String,
    /// Of the whole message.
    pub parameters: Parameters,
    /// Inputs of a request, outputs of a reply.
    pub tensors: Vec<InferOutputTensor>,
    /// Outputs that a request asks for.
    pub requested: Vec<InferRequestedOutputTensor>,
    /// Elements of the tensors as bytes, one entry for each; none when they are in typed lists.
    pub raw: Vec<Bytes>,
}

impl Infer {
    /// Reads a message of this full name.
    pub fn decode(name: &'static str, body: &Bytes) -> Result<Self, ReadError> {
        let broken = |error: prost::DecodeError| ReadError::NotProto { name, reason: error.to_string() };
        if name == ModelInferRequest::PROTO_NAME {
            let it = ModelInferRequest::decode(body.clone()).map_err(broken)?;
            let tensors =
                it.inputs.into_iter().map(|InferInputTensor { name, datatype, shape, parameters, contents }| {
                    InferOutputTensor { name, datatype, shape, parameters, contents }
                });
            Ok(Self {
                reply: false,
                model_name: it.model_name,
                model_version: it.model_version,
                id: it.id,
                parameters: it.parameters,
                tensors: tensors.collect(),
                requested: it.outputs,
                raw: it.raw_input_contents,
            })
        } else if name == ModelInferResponse::PROTO_NAME {
            let it = ModelInferResponse::decode(body.clone()).map_err(broken)?;
            Ok(Self {
                reply: true,
                model_name: it.model_name,
                model_version: it.model_version,
                id: it.id,
                parameters: it.parameters,
                tensors: it.outputs,
                requested: Vec::new(),
                raw: it.raw_output_contents,
            })
        } else {
            Err(ReadError::NoTensors(format!("a {name} is neither a ModelInferRequest nor a ModelInferResponse")))
        }
    }

    /// The message.
    pub fn encode(self) -> Message {
        if self.reply {
            let reply = ModelInferResponse {
                model_name: self.model_name,
                model_version: self.model_version,
                id: self.id,
                parameters: self.parameters,
                outputs: self.tensors,
                raw_output_contents: self.raw,
            };
            return Message::proto(ModelInferResponse::PROTO_NAME, reply.encode_to_vec());
        }
        let inputs =
            self.tensors.into_iter().map(|InferOutputTensor { name, datatype, shape, parameters, contents }| {
                InferInputTensor { name, datatype, shape, parameters, contents }
            });
        let request = ModelInferRequest {
            model_name: self.model_name,
            model_version: self.model_version,
            id: self.id,
            parameters: self.parameters,
            inputs: inputs.collect(),
            outputs: self.requested,
            raw_input_contents: self.raw,
        };
        Message::proto(ModelInferRequest::PROTO_NAME, request.encode_to_vec())
    }

    /// Shows the elements of a tensor to `each`; gives its datatype and shape. Raw bytes and typed lists exclude each
    /// other in a message, and there are as many elements as the shape says.
    pub fn elements(&self, at: usize, mut each: impl FnMut(Element)) -> Result<(Datatype, Vec<usize>), String> {
        let Some(tensor) = self.tensors.get(at) else { return Err("there is no such tensor".to_owned()) };
        let datatype = Datatype::read(&tensor.datatype)?;
        let (shape, count) = sizes(&tensor.shape)?;
        let mut seen = 0;
        let count_each = |element| {
            seen += 1;
            each(element);
        };
        if self.raw.is_empty() {
            let contents = tensor.contents.as_ref();
            contents.map_or(Ok(()), |contents| typed_elements(datatype, contents, count_each))?;
        } else {
            if self.raw.len() != self.tensors.len() {
                return Err(format!("{} raw contents for {} tensors", self.raw.len(), self.tensors.len()));
            }
            if tensor.contents.as_ref().is_some_and(|contents| elements(contents) > 0) {
                return Err("it has typed contents beside raw ones".to_owned());
            }
            raw_elements(datatype, &self.raw[at], count_each)?;
        }
        if seen == count { Ok((datatype, shape)) } else { Err(wrong_count(seen, &tensor.shape)) }
    }
}

/// What is wrong with a tensor that has this many elements.
pub fn wrong_count(count: usize, shape: &[i64]) -> String {
    format!("it has {count} elements, which are not those of its shape {shape:?}")
}
