//! Where each protocol takes calls over gRPC: the method of a call, by its kind and its message. It only looks up.

use millrace_proto::{ProtoName, inference, reply_of, seldon, tensorflow_serving as serving};

use crate::config::settings::Protocol;
use crate::record::CallKind;

/// A method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Method {
    /// Its path.
    pub(super) path: &'static str,
    /// Full name of the message that it answers with.
    pub(super) reply: &'static str,
}

/// The method for a call that sends a message of this full name; nothing if the protocol has none.
///
/// Of Seldon's protocol feedback goes to the service `Model` whatever the node is, as the predecessor sends it. The other
/// two know one thing that a node can do, so that is where requests go that a node changes or routes.
pub(super) fn method(protocol: Protocol, kind: CallKind, message: &str) -> Option<Method> {
    let path = match protocol {
        Protocol::Seldon => seldon_path(kind, message),
        Protocol::Tensorflow => tensorflow_path(kind, message),
        Protocol::V2 => (takes_requests(kind) && message == inference::ModelInferRequest::PROTO_NAME)
            .then_some("/inference.GRPCInferenceService/ModelInfer"),
    }?;
    Some(Method { path, reply: reply_of(message)? })
}

fn takes_requests(kind: CallKind) -> bool {
    match kind {
        CallKind::Predict | CallKind::TransformInput | CallKind::TransformOutput | CallKind::Route => true,
        CallKind::Aggregate | CallKind::SendFeedback => false,
    }
}

/// The method that requests of a protocol usually take, for metrics.
pub fn usual(protocol: Protocol, kind: CallKind) -> &'static str {
    let names = [
        seldon::SeldonMessage::PROTO_NAME,
        seldon::SeldonMessageList::PROTO_NAME,
        seldon::Feedback::PROTO_NAME,
        serving::PredictRequest::PROTO_NAME,
        inference::ModelInferRequest::PROTO_NAME,
    ];
    names.into_iter().find_map(|name| method(protocol, kind, name)).map_or("", |method| method.path)
}

fn seldon_path(kind: CallKind, message: &str) -> Option<&'static str> {
    let one = seldon::SeldonMessage::PROTO_NAME;
    // Only who combines takes a list.
    let kind = match kind {
        CallKind::Predict if message == seldon::SeldonMessageList::PROTO_NAME => CallKind::Aggregate,
        kind => kind,
    };
    let (path, takes) = match kind {
        CallKind::Predict => ("/seldon.protos.Model/Predict", one),
        CallKind::TransformInput => ("/seldon.protos.Transformer/TransformInput", one),
        CallKind::TransformOutput => ("/seldon.protos.OutputTransformer/TransformOutput", one),
        CallKind::Route => ("/seldon.protos.Router/Route", one),
        CallKind::Aggregate => ("/seldon.protos.Combiner/Aggregate", seldon::SeldonMessageList::PROTO_NAME),
        CallKind::SendFeedback => ("/seldon.protos.Model/SendFeedback", seldon::Feedback::PROTO_NAME),
    };
    (message == takes).then_some(path)
}

fn tensorflow_path(kind: CallKind, message: &str) -> Option<&'static str> {
    let paths = [
        (serving::PredictRequest::PROTO_NAME, "/tensorflow.serving.PredictionService/Predict"),
        (serving::ClassificationRequest::PROTO_NAME, "/tensorflow.serving.PredictionService/Classify"),
        (serving::RegressionRequest::PROTO_NAME, "/tensorflow.serving.PredictionService/Regress"),
        (serving::MultiInferenceRequest::PROTO_NAME, "/tensorflow.serving.PredictionService/MultiInference"),
    ];
    paths.into_iter().find(|(name, _)| takes_requests(kind) && *name == message).map(|(_, path)| path)
}

#[cfg(test)]
mod tests {
    use millrace_proto::CALLS;

    use super::*;

    /// Paths by kind, in their order; `-` is none.
    fn paths(protocol: Protocol, message: &str) -> String {
        CallKind::ALL.map(|kind| method(protocol, kind, message).map_or("-", |method| method.path)).join(" ")
    }

    #[test]
    fn each_kind_of_seldons_protocol_has_a_service() {
        let all = "/seldon.protos.Model/Predict /seldon.protos.Transformer/TransformInput \
                   /seldon.protos.OutputTransformer/TransformOutput /seldon.protos.Router/Route - -";
        assert_eq!(paths(Protocol::Seldon, "seldon.protos.SeldonMessage"), all);
        let list = "/seldon.protos.Combiner/Aggregate - - - /seldon.protos.Combiner/Aggregate -";
        assert_eq!(paths(Protocol::Seldon, "seldon.protos.SeldonMessageList"), list);
        assert_eq!(paths(Protocol::Seldon, "seldon.protos.Feedback"), "- - - - - /seldon.protos.Model/SendFeedback");
    }

    #[test]
    fn the_other_protocols_go_by_their_messages() {
        for (name, path) in [
            ("PredictRequest", "Predict"),
            ("ClassificationRequest", "Classify"),
            ("RegressionRequest", "Regress"),
            ("MultiInferenceRequest", "MultiInference"),
        ] {
            let path = format!("/tensorflow.serving.PredictionService/{path}");
            let all = format!("{path} {path} {path} {path} - -");
            assert_eq!(paths(Protocol::Tensorflow, &format!("tensorflow.serving.{name}")), all);
        }
        let infer = "/inference.GRPCInferenceService/ModelInfer";
        assert_eq!(paths(Protocol::V2, "inference.ModelInferRequest"), format!("{infer} {infer} {infer} {infer} - -"));
    }

    #[test]
    fn a_message_of_another_protocol_has_no_method() {
        for call in CALLS {
            let of = [Protocol::Seldon, Protocol::Tensorflow, Protocol::V2]
                .into_iter()
                .filter(|protocol| paths(*protocol, call.request) != "- - - - - -");
            assert!(of.count() <= 1, "{}", call.request);
        }
        assert_eq!(paths(Protocol::V2, "inference.ModelInferResponse"), "- - - - - -");
        let method = method(Protocol::V2, CallKind::Predict, "inference.ModelInferRequest").unwrap();
        assert_eq!(method.reply, "inference.ModelInferResponse");
    }
}
