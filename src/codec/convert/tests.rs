//! Tests of what holds for every protocol.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

#[test]
fn what_travels_so_already_is_the_same_bytes() {
    for protocol in [Protocol::Seldon, Protocol::Tensorflow, Protocol::V2] {
        let body = Bytes::from_static(b"not even a message");
        for (form, transport) in [
            (Form::Json { content_type: Some("text/x".into()) }, Transport::Rest),
            (Form::Binary { json: 3 }, Transport::Rest),
            (Form::Proto("x"), Transport::Grpc),
        ] {
            let message = Message { body: body.clone(), form };
            let same = to(protocol, &message, transport).unwrap();
            assert_eq!((same.body.as_ptr(), &same), (body.as_ptr(), &message));
        }
    }
}

#[test]
fn tensorflow_is_not_converted_and_says_why() {
    assert!(possible(Protocol::Seldon).is_ok() && possible(Protocol::V2).is_ok());
    let reason = possible(Protocol::Tensorflow).unwrap_err();
    assert!(reason.contains("JSON does not say the types"), "{reason}");
    let refused = to(Protocol::Tensorflow, &Message::json("{}"), Transport::Grpc).unwrap_err();
    assert_eq!(refused.to_string(), reason);
}

#[test]
fn messages_of_other_types_are_refused_by_name() {
    for protocol in [Protocol::Seldon, Protocol::V2] {
        let message = Message::proto("tensorflow.serving.PredictRequest", Bytes::new());
        let refused = to(protocol, &message, Transport::Rest).unwrap_err().to_string();
        assert!(refused.contains("tensorflow.serving.PredictRequest"), "{refused}");
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..80), json in 0usize..90, form in 0usize..7) {
        let (form, transport) = match form {
            0 => (Form::Json { content_type: None }, Transport::Grpc),
            1 => (Form::Binary { json }, Transport::Grpc),
            2 => (Form::Proto("inference.ModelInferRequest"), Transport::Rest),
            3 => (Form::Proto("inference.ModelInferResponse"), Transport::Rest),
            4 => (Form::Proto("seldon.protos.SeldonMessage"), Transport::Rest),
            5 => (Form::Proto("seldon.protos.SeldonMessageList"), Transport::Rest),
            _ => (Form::Proto("seldon.protos.Feedback"), Transport::Rest),
        };
        let message = Message { body: body.into(), form };
        for protocol in [Protocol::Seldon, Protocol::V2] {
            let _unused = to(protocol, &message, transport);
        }
    }
}
