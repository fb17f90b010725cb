//! Tests of what the REST client sends and takes besides plain JSON, and where.

use super::tests::{call, client, request, run};
use super::*;
use crate::model::gzip::gzip;
use crate::model::stub::{Act, Server, answer, send};

/// A whole reply with further header lines.
fn framed(lines: &str, body: &[u8]) -> Vec<Act> {
    let head = format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: {}\r\n\r\n", body.len());
    vec![send([head.as_bytes(), body].concat())]
}

#[test]
fn a_packed_reply_is_unpacked_within_the_limit() {
    for name in ["gzip", "x-gzip", " GZIP"] {
        let lines = format!("Content-Encoding: {name}\r\nContent-Type: application/json\r\n");
        assert_eq!(call(framed(&lines, &gzip(b"{\"outputs\":[]}"))).unwrap().message.body, "{\"outputs\":[]}");
    }
    let bomb = framed("Content-Encoding: gzip\r\n", &gzip(&vec![b' '; 5 * 1024 * 1024]));
    assert_eq!(call(bomb).unwrap_err(), CallError::ReplyTooLarge { limit: 4 * 1024 * 1024 });
    let error = call(framed("Content-Encoding: gzip\r\n", b"{}")).unwrap_err();
    assert!(matches!(error, CallError::BadReply(_)), "{error:?}");
}

#[test]
fn the_binary_form_goes_both_ways() {
    run(async {
        let server = Server::start(|_, _| framed("Inference-Header-Content-Length: 2\r\n", b"{}\x01")).await;
        let mut asked = request("{}abc");
        asked.message.form = Form::Binary { json: 2 };
        let reply = client(&server).call(asked).await.unwrap().message;
        assert_eq!((reply.form, &reply.body[..]), (Form::Binary { json: 2 }, &b"{}\x01"[..]));
        let requests = server.requests.borrow();
        let lines: Vec<_> = requests[0].lines().collect();
        for line in ["content-type: application/octet-stream", "inference-header-content-length: 2"] {
            assert_eq!(lines.iter().filter(|other| *other == &line).count(), 1, "{line} in {lines:?}");
        }
    });
    for length in ["3", "-1", "x"] {
        let error = call(framed(&format!("Inference-Header-Content-Length: {length}\r\n"), b"{}")).unwrap_err();
        assert!(matches!(error, CallError::BadReply(_)), "{length}: {error:?}");
    }
}

#[test]
fn each_kind_of_call_has_its_path_and_what_has_none_is_not_sent() {
    run(async {
        let server = Server::start(|_, _| answer("200 OK", "{}")).await;
        let client = client(&server);
        for kind in CallKind::ALL {
            let result = client.call(CallRequest { kind, ..request("{}") }).await;
            assert_eq!(matches!(result, Err(CallError::Unsupported(_))), kind == CallKind::SendFeedback, "{result:?}");
        }
        let mut proto = request("");
        proto.message.form = Form::Proto("inference.ModelInferRequest");
        assert!(matches!(client.call(proto).await, Err(CallError::Unsupported(_))));
        let requests = server.requests.borrow();
        let paths: Vec<_> = requests.iter().map(|request| request.split(' ').nth(1).unwrap()).collect();
        let infer = "/v2/models/m/infer";
        assert_eq!(paths, [infer, infer, infer, "/route", "/aggregate"]);
    });
}
