//! Tests of what the gRPC client sends, takes and makes of errors, against a server that answers frame by frame.

use std::future::Future;

use futures_util::future::join_all;
use h2::Reason;
use tonic::Code;

use super::*;
use crate::config::settings::{Breaker, CallLimit, Endpoint, Retry, WhenUnavailable};
use crate::model::Class;
use crate::model::grpc_stub::Act::{self, Data, Hang, Head, Reset, Trailers};
use crate::model::grpc_stub::{Server, answer, framed, head, packed, trailers};
use crate::model::gzip::gzip;
use crate::model::headers::call_headers;
use crate::record::{CallKind, Headers};

pub(super) const INFER: &str = "inference.ModelInferRequest";
pub(super) const MIB: usize = 1024 * 1024;

pub(super) fn node(port: u16) -> Node {
    Node {
        name: "m".into(),
        transport: Some(Transport::Grpc),
        rest: None,
        grpc: Some(Endpoint { host: "127.0.0.1".into(), port }),
        timeout: Duration::from_secs(10),
        retry: Retry { attempts: 1, min_backoff: Duration::ZERO, max_backoff: Duration::ZERO },
        clients: 1,
        connections: 8,
        when_unavailable: WhenUnavailable::Wait,
        limit: CallLimit::default(),
        breaker: Breaker::default(),
        batch: None,
        image: String::new(),
    }
}

pub(super) fn client(protocol: Protocol, port: u16) -> GrpcClient {
    GrpcClient::new(protocol, &node(port), Bounds { request_bytes: MIB, reply_bytes: 8 * MIB }).unwrap()
}

pub(super) fn request(name: &'static str, body: impl Into<Bytes>) -> CallRequest {
    let mut record = Headers::default();
    record.push("X-A", "1");
    record.push("x-a", "2");
    record.push("blob-bin", vec![0, 255]);
    record.push("grpc-timeout", "1n");
    record.push("Host", "elsewhere");
    let (headers, _) = call_headers(&record, "id-1");
    CallRequest {
        kind: CallKind::Predict,
        message: Message::proto(name, body),
        headers,
        timeout: Duration::from_secs(10),
    }
}

pub(super) fn run<T>(test: impl Future<Output = T>) -> T {
    actix_rt::System::new().block_on(test)
}

/// The result of one call to a server that always does the same.
fn call(acts: Vec<Act>) -> Result<Bytes, CallError> {
    run(async move {
        let server = Server::start(move |_, _| acts.clone()).await;
        let reply = client(Protocol::V2, server.port).call(request(INFER, "x")).await?;
        assert_eq!(reply.message.form, Form::Proto("inference.ModelInferResponse"));
        Ok(reply.message.body)
    })
}

#[test]
fn a_call_says_what_it_should_and_passes_bytes_through() {
    run(async {
        let server = Server::start(|asked, _| answer(&asked.body[5..])).await;
        // A field that no file of ours names: kept, since nobody reads the message.
        let body = [&b"\n\x01m"[..], &[0xfa, 0x7f, 0x02, 0xff, 0x00]].concat();
        let reply = client(Protocol::V2, server.port).call(request(INFER, body.clone())).await.unwrap();
        assert_eq!(reply.message.body, body);
        let asked = server.asked.borrow();
        assert_eq!(asked[0].body, framed(&body));
        assert_eq!(asked[0].path, "/inference.GRPCInferenceService/ModelInfer");
        let mut headers: Vec<_> =
            asked[0].headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        headers.sort_by_key(|(name, _)| *name);
        let agent = concat!("millrace/", env!("CARGO_PKG_VERSION"));
        let expected = [
            ("blob-bin", "AP8"),
            ("content-type", "application/grpc"),
            ("grpc-accept-encoding", "gzip,identity"),
            ("grpc-timeout", "10000000u"),
            ("seldon-puid", "id-1"),
            ("te", "trailers"),
            ("user-agent", agent),
            ("x-a", "1"),
            ("x-a", "2"),
        ];
        assert_eq!(headers, expected);
    });
}

#[test]
fn messages_of_any_size_go_both_ways() {
    run(async {
        let server = Server::start(|asked, _| answer(&asked.body[5..])).await;
        let client = client(Protocol::V2, server.port);
        // Beyond the 4 MiB that libraries take by default, and around the sizes of frames and of what goes in one piece.
        for size in [0, 1, 8_192, 8_193, 16_379, 16_384, 5 * MIB] {
            let body: Vec<u8> = (0..size).map(|at| at as u8).collect();
            let reply = client.call(request(INFER, body.clone())).await.unwrap();
            assert!(reply.message.body == body, "{size}");
        }
        assert_eq!(server.connections.get(), 1);
        let error = client.call(request(INFER, vec![0; 8 * MIB + 1])).await.unwrap_err();
        assert!(matches!(error, CallError::Unsupported(_)), "{error:?}");
    });
}

#[test]
fn a_reply_is_one_message_however_it_is_cut() {
    let whole = framed(b"abc");
    for cut in 0..=whole.len() {
        let (first, rest) = whole.split_at(cut);
        let acts = vec![head(&[]), Data(first.to_vec()), Data(Vec::new()), Data(rest.to_vec()), trailers("0")];
        assert_eq!(call(acts).unwrap(), "abc");
    }
    let bytes = whole.iter().map(|byte| Data(vec![*byte]));
    let acts = [head(&[])].into_iter().chain(bytes).chain([trailers("0")]).collect();
    assert_eq!(call(acts).unwrap(), "abc");
}

#[test]
fn a_reply_that_cannot_be_taken_as_it_is_says_why() {
    let other = |headers: &[(&'static str, &str)]| {
        Head(200, headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect())
    };
    for (why, acts) in [
        ("OK, but no message", vec![head(&[("grpc-status", "0")])]),
        ("OK, but no message", vec![head(&[]), trailers("0")]),
        ("OK, but no message", vec![head(&[]), Data(vec![0, 0, 0, 0]), trailers("0")]),
        ("OK, but half a message", vec![head(&[]), Data(packed(0, b"abc")[..7].to_vec()), trailers("0")]),
        ("more than one message", vec![head(&[]), Data([framed(b"a"), framed(b"b")].concat()), trailers("0")]),
        ("it ended without a status", vec![head(&[]), Data(framed(b"abc"))]),
        ("it ended without a status", vec![head(&[]), Data(framed(b"abc")), Trailers(Vec::new())]),
        ("a message of kind 2, which nobody knows", vec![head(&[]), Data(packed(2, b"abc")), trailers("0")]),
        ("packed in a way that was not asked for", vec![head(&[]), Data(packed(1, b"abc")), trailers("0")]),
        ("it is text/html and no gRPC", vec![other(&[("content-type", "text/html")]), Data(b"<p>".to_vec())]),
        ("it is nothing and no gRPC", vec![other(&[]), Data(framed(b"abc")), trailers("0")]),
    ] {
        assert_eq!(call(acts), Err(CallError::BadReply(why.to_owned())));
    }
}

#[test]
fn a_packed_reply_is_unpacked_within_the_limit() {
    let acts = |message: &[u8]| vec![head(&[("grpc-encoding", "gzip")]), Data(packed(1, message)), trailers("0")];
    assert_eq!(call(acts(&gzip(b"abc"))).unwrap(), "abc");
    let plain = vec![head(&[("grpc-encoding", "gzip")]), Data(framed(b"abc")), trailers("0")];
    assert_eq!(call(plain).unwrap(), "abc", "it may pack some messages and not others");
    assert_eq!(call(acts(&gzip(&vec![0; 8 * MIB + 1]))), Err(CallError::ReplyTooLarge { limit: 8 * MIB }));
    assert!(matches!(call(acts(b"abc")), Err(CallError::BadReply(_))));
}

#[test]
fn a_reply_that_is_too_large_is_refused_on_its_word_and_its_connection_kept() {
    run(async {
        let length = (8 * MIB as u32 + 1).to_be_bytes();
        let server = Server::start(move |asked, number| match number {
            1 => vec![head(&[]), Data([&[0][..], &length].concat()), Hang],
            _ => answer(&asked.body[5..]),
        })
        .await;
        let client = client(Protocol::V2, server.port);
        let error = client.call(request(INFER, "x")).await.unwrap_err();
        assert_eq!(error, CallError::ReplyTooLarge { limit: 8 * MIB });
        server.broken_off.notified().await;
        assert_eq!(client.call(request(INFER, "x")).await.unwrap().message.body, "x");
        assert_eq!(server.connections.get(), 1);
    });
}

#[test]
fn an_error_keeps_its_code_its_text_and_its_wish_to_be_left_alone() {
    let error = |code: Code, message: &str, retry_after| {
        Err(CallError::Grpc { code, message: message.to_owned(), retry_after })
    };
    // In the trailers, alone, and after a whole message.
    assert_eq!(
        call(vec![head(&[("grpc-status", "3"), ("grpc-message", "no%20shape%C3%A9%")])]),
        error(Code::InvalidArgument, "no shapeé%", None)
    );
    assert_eq!(call(vec![head(&[]), trailers("5")]), error(Code::NotFound, "", None));
    assert_eq!(call(vec![head(&[]), Data(framed(b"abc")), trailers("13")]), error(Code::Internal, "", None));
    let pushed_back = vec![("grpc-status", "14".to_owned()), ("grpc-retry-pushback-ms", "700".to_owned())];
    let after = Some(Duration::from_millis(700));
    assert_eq!(call(vec![head(&[]), Trailers(pushed_back)]), error(Code::Unavailable, "", after));
    let never = vec![("grpc-status", "8".to_owned()), ("grpc-retry-pushback-ms", "-1".to_owned())];
    let never = call(vec![head(&[]), Trailers(never)]).unwrap_err();
    assert!(never.class() == Class::Retryable && !never.is_retryable(), "it asks for no further call");
    assert_eq!(call(vec![head(&[("grpc-status", "99")])]), error(Code::Unknown, "", None));
    assert_eq!(call(vec![head(&[("grpc-status", "x")])]), error(Code::Unknown, "", None));
    // What cannot be read is not looked at, and a long text is cut.
    let long = "y".repeat(10_000);
    let acts = vec![head(&[("grpc-status", "2"), ("grpc-message", &long), ("grpc-status-details-bin", "!!")])];
    assert_eq!(call(acts), error(Code::Unknown, &long[..4_096], None));
}

#[test]
fn an_answer_of_something_before_the_server_is_an_http_status() {
    let acts = vec![Head(503, vec![("content-type", "text/plain".to_owned())]), Data(vec![b'x'; 5_000])];
    let error = call(acts).unwrap_err();
    assert!(matches!(&error, CallError::Status { code: 503, body, .. } if body.len() == 4_096), "{error:?}");
    assert_eq!(error.class(), Class::Unavailable);
    assert_eq!(call(vec![Head(404, Vec::new())]).unwrap_err().class(), Class::Permanent);
    let acts = vec![Head(503, vec![("grpc-status", "8".to_owned())])];
    assert_eq!(call(acts).unwrap_err().status(), Some("RESOURCE_EXHAUSTED".into()), "unless it speaks gRPC");
}

#[test]
fn a_call_that_the_server_breaks_off_is_that_calls_failure() {
    for (reason, status) in [
        (Reason::INTERNAL_ERROR, "INTERNAL"),
        (Reason::PROTOCOL_ERROR, "INTERNAL"),
        (Reason::CANCEL, "CANCELLED"),
        (Reason::ENHANCE_YOUR_CALM, "RESOURCE_EXHAUSTED"),
        (Reason::REFUSED_STREAM, "UNAVAILABLE"),
    ] {
        for acts in [vec![Reset(reason)], vec![head(&[]), Data(b"\0\0".to_vec()), Reset(reason)]] {
            assert_eq!(call(acts).unwrap_err().status(), Some(status.into()), "{reason:?}");
        }
    }
}

#[test]
fn what_has_no_method_is_not_sent() {
    run(async {
        let server = Server::start(|_, _| answer(b"")).await;
        let client = client(Protocol::V2, server.port);
        let kind = |kind| CallRequest { kind, ..request(INFER, "") };
        let mut json = request(INFER, "{}");
        json.message = Message::json("{}");
        let mut binary = request(INFER, "{}");
        binary.message.form = Form::Binary { json: 2 };
        let wrong = request("seldon.protos.SeldonMessage", "");
        for call in [json, binary, wrong, kind(CallKind::Aggregate), kind(CallKind::SendFeedback)] {
            let error = client.call(call).await.unwrap_err();
            assert!(matches!(error, CallError::Unsupported(_)), "{error:?}");
        }
        assert_eq!((server.connections.get(), server.asked.borrow().len()), (0, 0));
    });
}

#[test]
fn a_call_that_is_given_up_is_broken_off_at_the_server() {
    run(async {
        let server = Server::start(|asked, number| match number {
            1 => vec![Hang],
            2 => vec![head(&[]), Data(vec![0]), Hang],
            _ => answer(&asked.body[5..]),
        })
        .await;
        let client = client(Protocol::V2, server.port);
        let given_up = async {
            server.arrived.notified().await;
        };
        tokio::select! {
            result = client.call(request(INFER, "x")) => panic!("{result:?}"),
            () = given_up => {}
        }
        server.broken_off.notified().await;
        let short = CallRequest { timeout: Duration::from_millis(500), ..request(INFER, "x") };
        assert_eq!(client.call(short).await.unwrap_err(), CallError::Timeout(Duration::from_millis(500)));
        assert_eq!(server.asked.borrow()[1].header("grpc-timeout"), Some("500000u"));
        server.broken_off.notified().await;
        assert_eq!(client.call(request(INFER, "x")).await.unwrap().message.body, "x");
        assert_eq!(server.connections.get(), 1, "a server that answers keeps its connection");
    });
}

#[test]
fn calls_share_a_connection_and_take_further_ones_only_where_the_server_allows_no_more() {
    run(async {
        for (streams, connections) in [(100, 1), (3, 3)] {
            let server = Server::with(streams, 0, |asked, _| answer(&asked.body[5..])).await;
            let client = client(Protocol::V2, server.port);
            // The server's word on how many it takes comes with the first reply.
            client.call(request(INFER, "x")).await.unwrap();
            for result in join_all((0..8).map(|_| client.call(request(INFER, "x")))).await {
                result.unwrap();
            }
            assert_eq!(server.connections.get(), connections);
        }
    });
}
