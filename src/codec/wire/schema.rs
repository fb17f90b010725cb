//! The messages as tables: for each field its number and how it is encoded.
//!
//! They say what the files of `millrace-proto` say, as far as requests and replies reach; a test compares both. A map is
//! a repeated message with a key in field 1 and a value in field 2, which is what it is on the wire.

use Kind::{Bytes, Fixed32, Fixed32s, Fixed64, Fixed64s, Message, Text, Varint, Varints};
use millrace_proto::{ProtoName, inference, seldon, tensorflow_serving as serving};

/// A message type.
#[derive(Debug)]
pub struct Schema {
    name: &'static str,
    fields: &'static [(u32, Kind)],
}

/// How a field is encoded. Those in the plural may also be packed into one field of bytes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Any integer, a bool or an enum.
    Varint,
    /// Several of them.
    Varints,
    /// A float.
    Fixed32,
    /// Several of them.
    Fixed32s,
    /// A double.
    Fixed64,
    /// Several of them.
    Fixed64s,
    /// UTF-8.
    Text,
    /// Anything.
    Bytes,
    /// A message.
    Message(&'static Schema),
}

impl Schema {
    /// Full name, as in a `proto-name` header.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Kind of the field of this number, if there is one.
    pub fn kind(&self, number: u32) -> Option<Kind> {
        self.fields.iter().find(|(known, _)| *known == number).map(|(_, kind)| *kind)
    }

    /// Numbers and kinds of all fields.
    pub fn fields(&self) -> &'static [(u32, Kind)] {
        self.fields
    }
}

/// The schema of a message that travels by itself.
pub fn schema(name: &str) -> Option<&'static Schema> {
    ROOTS.iter().copied().find(|schema| schema.name == name)
}

static ROOTS: [&Schema; 10] = [
    &PREDICT_REQUEST,
    &PREDICT_RESPONSE,
    &CLASSIFICATION_REQUEST,
    &REGRESSION_REQUEST,
    &MULTI_INFERENCE_REQUEST,
    &SELDON_MESSAGE,
    &SELDON_MESSAGE_LIST,
    &FEEDBACK,
    &MODEL_INFER_REQUEST,
    &MODEL_INFER_RESPONSE,
];

// ---- google.protobuf --------------------------------------------------------------------------------------------

static INT64_VALUE: Schema = Schema { name: "google.protobuf.Int64Value", fields: &[(1, Varint)] };
static ANY: Schema = Schema { name: "google.protobuf.Any", fields: &[(1, Text), (2, Bytes)] };
static STRUCT: Schema = Schema { name: "google.protobuf.Struct", fields: &[(1, Message(&VALUE_ENTRY))] };
static LIST_VALUE: Schema = Schema { name: "google.protobuf.ListValue", fields: &[(1, Message(&VALUE))] };
static VALUE: Schema = Schema {
    name: "google.protobuf.Value",
    fields: &[(1, Varint), (2, Fixed64), (3, Text), (4, Varint), (5, Message(&STRUCT)), (6, Message(&LIST_VALUE))],
};
static VALUE_ENTRY: Schema = Schema { name: "an entry of a map", fields: &[(1, Text), (2, Message(&VALUE))] };
static TEXT_ENTRY: Schema = Schema { name: "an entry of a map", fields: &[(1, Text), (2, Text)] };
static NUMBER_ENTRY: Schema = Schema { name: "an entry of a map", fields: &[(1, Text), (2, Varint)] };

// ---- tensorflow -------------------------------------------------------------------------------------------------

static DIM: Schema = Schema { name: "tensorflow.TensorShapeProto.Dim", fields: &[(1, Varint), (2, Text)] };
static TENSOR_SHAPE: Schema =
    Schema { name: "tensorflow.TensorShapeProto", fields: &[(2, Message(&DIM)), (3, Varint)] };
static TENSOR_PROTO: Schema = Schema {
    name: "tensorflow.TensorProto",
    fields: &[
        (1, Varint),
        (2, Message(&TENSOR_SHAPE)),
        (3, Varint),
        (4, Bytes),
        (5, Fixed32s),
        (6, Fixed64s),
        (7, Varints),
        (8, Bytes),
        (9, Fixed32s),
        (10, Varints),
        (11, Varints),
        (12, Fixed64s),
        (13, Varints),
        (14, Bytes),
        (15, Bytes),
        (16, Varints),
        (17, Varints),
        (18, Bytes),
    ],
};
static TENSOR_ENTRY: Schema = Schema { name: "an entry of a map", fields: &[(1, Text), (2, Message(&TENSOR_PROTO))] };
static BYTES_LIST: Schema = Schema { name: "tensorflow.BytesList", fields: &[(1, Bytes)] };
static FLOAT_LIST: Schema = Schema { name: "tensorflow.FloatList", fields: &[(1, Fixed32s)] };
static INT64_LIST: Schema = Schema { name: "tensorflow.Int64List", fields: &[(1, Varints)] };
static FEATURE: Schema = Schema {
    name: "tensorflow.Feature",
    fields: &[(1, Message(&BYTES_LIST)), (2, Message(&FLOAT_LIST)), (3, Message(&INT64_LIST))],
};
static FEATURE_ENTRY: Schema = Schema { name: "an entry of a map", fields: &[(1, Text), (2, Message(&FEATURE))] };
static FEATURES: Schema = Schema { name: "tensorflow.Features", fields: &[(1, Message(&FEATURE_ENTRY))] };
static EXAMPLE: Schema = Schema { name: "tensorflow.Example", fields: &[(1, Message(&FEATURES))] };

// ---- tensorflow.serving -----------------------------------------------------------------------------------------

static MODEL_SPEC: Schema = Schema {
    name: "tensorflow.serving.ModelSpec",
    fields: &[(1, Text), (2, Message(&INT64_VALUE)), (3, Text), (4, Text)],
};
static PREDICT_REQUEST: Schema = Schema {
    name: serving::PredictRequest::PROTO_NAME,
    fields: &[(1, Message(&MODEL_SPEC)), (2, Message(&TENSOR_ENTRY)), (3, Text), (5, Bytes), (6, Bytes), (7, Bytes)],
};
static PREDICT_RESPONSE: Schema = Schema {
    name: serving::PredictResponse::PROTO_NAME,
    fields: &[(1, Message(&TENSOR_ENTRY)), (2, Message(&MODEL_SPEC))],
};
static EXAMPLE_LIST: Schema = Schema { name: "tensorflow.serving.ExampleList", fields: &[(1, Message(&EXAMPLE))] };
static EXAMPLES_IN_CONTEXT: Schema = Schema {
    name: "tensorflow.serving.ExampleListWithContext",
    fields: &[(1, Message(&EXAMPLE)), (2, Message(&EXAMPLE))],
};
static INPUT: Schema = Schema {
    name: "tensorflow.serving.Input",
    fields: &[(1, Message(&EXAMPLE_LIST)), (2, Message(&EXAMPLES_IN_CONTEXT))],
};
static CLASSIFICATION_REQUEST: Schema = Schema {
    name: serving::ClassificationRequest::PROTO_NAME,
    fields: &[(1, Message(&MODEL_SPEC)), (2, Message(&INPUT))],
};
static REGRESSION_REQUEST: Schema =
    Schema { name: serving::RegressionRequest::PROTO_NAME, fields: &[(1, Message(&MODEL_SPEC)), (2, Message(&INPUT))] };
static INFERENCE_TASK: Schema =
    Schema { name: "tensorflow.serving.InferenceTask", fields: &[(1, Message(&MODEL_SPEC)), (2, Text)] };
static MULTI_INFERENCE_REQUEST: Schema = Schema {
    name: serving::MultiInferenceRequest::PROTO_NAME,
    fields: &[(1, Message(&INFERENCE_TASK)), (2, Message(&INPUT))],
};

// ---- seldon.protos ----------------------------------------------------------------------------------------------

static STATUS: Schema =
    Schema { name: "seldon.protos.Status", fields: &[(1, Varint), (2, Text), (3, Text), (4, Varint)] };
static METRIC: Schema =
    Schema { name: "seldon.protos.Metric", fields: &[(1, Text), (2, Varint), (3, Fixed32), (4, Message(&TEXT_ENTRY))] };
static META: Schema = Schema {
    name: "seldon.protos.Meta",
    fields: &[
        (1, Text),
        (2, Message(&VALUE_ENTRY)),
        (3, Message(&NUMBER_ENTRY)),
        (4, Message(&TEXT_ENTRY)),
        (5, Message(&METRIC)),
    ],
};
static TENSOR: Schema = Schema { name: "seldon.protos.Tensor", fields: &[(1, Varints), (2, Fixed64s)] };
static DEFAULT_DATA: Schema = Schema {
    name: "seldon.protos.DefaultData",
    fields: &[(1, Text), (2, Message(&TENSOR)), (3, Message(&LIST_VALUE)), (4, Message(&TENSOR_PROTO))],
};
static SELDON_MESSAGE: Schema = Schema {
    name: seldon::SeldonMessage::PROTO_NAME,
    fields: &[
        (1, Message(&STATUS)),
        (2, Message(&META)),
        (3, Message(&DEFAULT_DATA)),
        (4, Bytes),
        (5, Text),
        (6, Message(&VALUE)),
        (7, Message(&ANY)),
    ],
};
static SELDON_MESSAGE_LIST: Schema =
    Schema { name: seldon::SeldonMessageList::PROTO_NAME, fields: &[(1, Message(&SELDON_MESSAGE))] };
static FEEDBACK: Schema = Schema {
    name: seldon::Feedback::PROTO_NAME,
    fields: &[
        (1, Message(&SELDON_MESSAGE)),
        (2, Message(&SELDON_MESSAGE)),
        (3, Fixed32),
        (4, Message(&SELDON_MESSAGE)),
    ],
};

// ---- inference --------------------------------------------------------------------------------------------------

static PARAMETER: Schema = Schema {
    name: "inference.InferParameter",
    fields: &[(1, Varint), (2, Varint), (3, Text), (4, Fixed64), (5, Varint)],
};
static PARAMETER_ENTRY: Schema = Schema { name: "an entry of a map", fields: &[(1, Text), (2, Message(&PARAMETER))] };
static CONTENTS: Schema = Schema {
    name: "inference.InferTensorContents",
    fields: &[
        (1, Varints),
        (2, Varints),
        (3, Varints),
        (4, Varints),
        (5, Varints),
        (6, Fixed32s),
        (7, Fixed64s),
        (8, Bytes),
    ],
};
/// Inputs and outputs have the same fields.
static INFER_TENSOR: Schema = Schema {
    name: "an inference tensor",
    fields: &[(1, Text), (2, Text), (3, Varints), (4, Message(&PARAMETER_ENTRY)), (5, Message(&CONTENTS))],
};
static REQUESTED_OUTPUT: Schema = Schema {
    name: "inference.ModelInferRequest.InferRequestedOutputTensor",
    fields: &[(1, Text), (2, Message(&PARAMETER_ENTRY))],
};
static MODEL_INFER_REQUEST: Schema = Schema {
    name: inference::ModelInferRequest::PROTO_NAME,
    fields: &[
        (1, Text),
        (2, Text),
        (3, Text),
        (4, Message(&PARAMETER_ENTRY)),
        (5, Message(&INFER_TENSOR)),
        (6, Message(&REQUESTED_OUTPUT)),
        (7, Bytes),
    ],
};
static MODEL_INFER_RESPONSE: Schema = Schema {
    name: inference::ModelInferResponse::PROTO_NAME,
    fields: &[(1, Text), (2, Text), (3, Text), (4, Message(&PARAMETER_ENTRY)), (5, Message(&INFER_TENSOR)), (6, Bytes)],
};
