//! Full protobuf names of the messages that may be the value of a record, as its `proto-name` header gives them.
//!
//! A label is a claim: the bytes of one type often decode as another without an error.

use crate::{inference, seldon, tensorflow_serving};

/// A message type that knows its full protobuf name.
pub trait ProtoName: prost::Message + Default {
    /// Package and name, as in `inference.ModelInferRequest`.
    const PROTO_NAME: &'static str;
}

macro_rules! proto_names {
    ($($package:literal $module:ident { $($name:ident)* })*) => {
        $($(impl ProtoName for $module::$name {
            const PROTO_NAME: &'static str = concat!($package, ".", stringify!($name));
        })*)*

        #[cfg(test)]
        mod tests {
            use super::*;

            #[test]
            fn names_are_those_of_the_packages() {
                $($({
                    let path = std::any::type_name::<$module::$name>().replace("::", ".");
                    let name = path.strip_prefix("millrace_proto.generated.").expect("all types live there");
                    assert_eq!(name, <$module::$name>::PROTO_NAME);
                })*)*
            }

            #[test]
            fn every_request_has_one_reply() {
                for call in CALLS {
                    assert_eq!(reply_of(call.request), Some(call.reply));
                }
                assert_eq!(reply_of("tensorflow.serving.PredictResponse"), None);
                assert_eq!(reply_of(""), None);
            }
        }
    };
}

proto_names! {
    "tensorflow.serving" tensorflow_serving {
        PredictRequest PredictResponse
        ClassificationRequest ClassificationResponse
        RegressionRequest RegressionResponse
        MultiInferenceRequest MultiInferenceResponse
        GetModelMetadataRequest GetModelMetadataResponse
        GetModelStatusRequest GetModelStatusResponse
    }
    "seldon.protos" seldon { SeldonMessage SeldonMessageList Feedback }
    "inference" inference {
        ModelInferRequest ModelInferResponse ModelStreamInferResponse
        ModelMetadataRequest ModelMetadataResponse
        ModelReadyRequest ModelReadyResponse
        ServerMetadataRequest ServerMetadataResponse
        ServerReadyRequest ServerReadyResponse
        ServerLiveRequest ServerLiveResponse
    }
}

/// The names of what a call takes and gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// `proto-name` of the request.
    pub request: &'static str,
    /// `proto-name` of the reply.
    pub reply: &'static str,
}

impl Call {
    const fn new<Request: ProtoName, Reply: ProtoName>() -> Self {
        Self { request: Request::PROTO_NAME, reply: Reply::PROTO_NAME }
    }
}

/// Every request type that a record may carry, with the type of its reply.
pub const CALLS: &[Call] = &[
    Call::new::<tensorflow_serving::PredictRequest, tensorflow_serving::PredictResponse>(),
    Call::new::<tensorflow_serving::ClassificationRequest, tensorflow_serving::ClassificationResponse>(),
    Call::new::<tensorflow_serving::RegressionRequest, tensorflow_serving::RegressionResponse>(),
    Call::new::<tensorflow_serving::MultiInferenceRequest, tensorflow_serving::MultiInferenceResponse>(),
    Call::new::<tensorflow_serving::GetModelMetadataRequest, tensorflow_serving::GetModelMetadataResponse>(),
    Call::new::<tensorflow_serving::GetModelStatusRequest, tensorflow_serving::GetModelStatusResponse>(),
    Call::new::<seldon::SeldonMessage, seldon::SeldonMessage>(),
    Call::new::<seldon::SeldonMessageList, seldon::SeldonMessage>(),
    Call::new::<seldon::Feedback, seldon::SeldonMessage>(),
    Call::new::<inference::ModelInferRequest, inference::ModelInferResponse>(),
];

/// The name of the reply to a request of this name; nothing when no call takes it.
pub fn reply_of(request: &str) -> Option<&'static str> {
    CALLS.iter().find(|call| call.request == request).map(|call| call.reply)
}
