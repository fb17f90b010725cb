//! Which protobuf messages a record of each protocol may carry, as its `proto-name` header says.

use millrace_proto::{ProtoName, inference, seldon, tensorflow_serving as serving};

use crate::config::settings::Protocol;

/// Full name of Seldon's message of feedback.
pub const FEEDBACK: &str = seldon::Feedback::PROTO_NAME;

/// Full names of the requests of a protocol.
pub const fn request_names(protocol: Protocol) -> &'static [&'static str] {
    match protocol {
        Protocol::Seldon => &[seldon::SeldonMessage::PROTO_NAME, seldon::SeldonMessageList::PROTO_NAME],
        Protocol::Tensorflow => &[
            serving::PredictRequest::PROTO_NAME,
            serving::ClassificationRequest::PROTO_NAME,
            serving::RegressionRequest::PROTO_NAME,
            serving::MultiInferenceRequest::PROTO_NAME,
        ],
        Protocol::V2 => &[inference::ModelInferRequest::PROTO_NAME],
    }
}

/// Whether zero bytes are a request of this name. They are a message of any name; these are the requests whose fields a
/// model may all do without.
pub(super) fn may_be_empty(name: &str) -> bool {
    [seldon::SeldonMessage::PROTO_NAME, serving::PredictRequest::PROTO_NAME].contains(&name)
}

/// The protocol's name in messages for people.
pub(super) const fn label(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Seldon => "seldon",
        Protocol::Tensorflow => "tensorflow",
        Protocol::V2 => "v2",
    }
}
