//! Tests of the REST client, on real sockets of this thread.

use std::future::Future;

use futures_util::future::join_all;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::*;
use crate::config::settings::{Breaker, CallLimit, Endpoint, Retry, WhenUnavailable};
use crate::model::Class;
use crate::model::headers::call_headers;
use crate::model::stub::Act::{self, Close, Hang, Reset, Wait};
use crate::model::stub::{Server, answer, send};
use crate::record::{CallKind, Headers, Message};

fn node(server: &Server) -> Node {
    Node {
        name: "m".into(),
        transport: None,
        rest: Some(Endpoint { host: "127.0.0.1".into(), port: server.port }),
        grpc: None,
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

pub(super) fn client(server: &Server) -> RestClient {
    RestClient::new(Protocol::V2, &node(server), 4 * 1024 * 1024).unwrap()
}

pub(super) fn request(body: &str) -> CallRequest {
    let mut record = Headers::default();
    record.push("x-a", "1");
    record.push("x-a", "2");
    let (headers, _) = call_headers(&record, "id-1");
    let message = Message::json(Bytes::copy_from_slice(body.as_bytes()));
    CallRequest { kind: CallKind::Predict, message, headers, timeout: Duration::from_secs(10) }
}

/// The result of one call to a server that always does the same.
pub(super) fn call(acts: Vec<Act>) -> Result<Reply, CallError> {
    run(async move { client(&Server::start(move |_, _| acts.clone()).await).call(request("{}")).await })
}

pub(super) fn run<T>(test: impl Future<Output = T>) -> T {
    actix_rt::System::new().block_on(test)
}

#[test]
fn a_call_says_what_it_should_and_passes_bytes_through() {
    run(async {
        let server = Server::start(|_, _| answer("200 OK", "{\"outputs\":[NaN,1.0]}")).await;
        let reply = client(&server).call(request("{\"inputs\":[9007199254740993]}")).await.unwrap();
        assert_eq!(reply.message.body, "{\"outputs\":[NaN,1.0]}");
        assert_eq!(reply.message.form, Form::Json { content_type: Some("application/json".into()) });
        let requests = server.requests.borrow();
        let (head, body) = requests[0].split_once("\r\n\r\n").unwrap();
        assert_eq!(body, "{\"inputs\":[9007199254740993]}");
        let mut lines: Vec<_> = head.lines().filter(|line| !line.starts_with("date: ")).collect();
        lines[1..].sort_unstable();
        let host = format!("host: 127.0.0.1:{}", server.port);
        let agent = concat!("user-agent: millrace/", env!("CARGO_PKG_VERSION"));
        assert_eq!(
            lines,
            [
                "POST /v2/models/m/infer HTTP/1.1",
                "content-length: 29",
                "content-type: application/json",
                &host,
                "seldon-puid: id-1",
                agent,
                "x-a: 1",
                "x-a: 2",
            ]
        );
    });
}

#[test]
fn an_error_answer_keeps_its_status_a_bounded_body_and_its_connection() {
    run(async {
        let server = Server::start(|_, number| match number {
            1 => answer("500 Internal Server Error", &"x".repeat(10_000)),
            2 => vec![send("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n")],
            3 => {
                let (date, until) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:57 GMT");
                let head = format!("Date: {date}\r\nRetry-After: {until}\r\nContent-Length: 0");
                vec![send(format!("HTTP/1.1 429 Too Many Requests\r\n{head}\r\n\r\n"))]
            }
            _ => answer("400 Bad Request", "{\"error\":\"shape\"}"),
        })
        .await;
        let client = client(&server);
        let error = client.call(request("{}")).await.unwrap_err();
        assert!(matches!(&error, CallError::Status { code: 500, body, .. } if body == &"x".repeat(4_096)), "{error:?}");
        let error = client.call(request("{}")).await.unwrap_err();
        assert_eq!((error.class(), error.retry_after()), (Class::Unavailable, Some(Duration::from_secs(7))));
        let error = client.call(request("{}")).await.unwrap_err();
        assert_eq!(
            (error.class(), error.retry_after()),
            (Class::Retryable, Some(Duration::from_secs(20))),
            "by its clock"
        );
        let error = client.call(request("{}")).await.unwrap_err();
        assert!(
            matches!(&error, CallError::Status { code: 400, body, .. } if body == "{\"error\":\"shape\"}"),
            "{error:?}"
        );
        assert_eq!(server.connections.get(), 1);
    });
}

#[test]
fn only_200_is_success_and_redirects_are_not_followed() {
    for status in ["201 Created", "204 No Content", "302 Found"] {
        run(async move {
            let server = Server::start(move |_, number| match number {
                1 => vec![send(format!("HTTP/1.1 {status}\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"))],
                _ => answer("200 OK", "{}"),
            })
            .await;
            let error = client(&server).call(request("{}")).await.unwrap_err();
            assert_eq!((error.class(), error.status().as_deref()), (Class::Permanent, Some(&status[..3])));
            assert_eq!(server.requests.borrow().len(), 1);
        });
    }
}

#[test]
fn a_reply_that_is_cut_is_not_taken_for_a_whole_one() {
    let head = "HTTP/1.1 200 OK\r\n";
    for acts in [
        vec![Close],
        vec![Reset],
        vec![send("HTTP/1.1 200 O"), Close],
        vec![send(format!("{head}Content-Length: 100\r\n\r\n{{\"outputs\"")), Close],
        vec![send(format!("{head}Content-Length: 100\r\n\r\n{{\"outputs\"")), Wait(50), Close],
        vec![send(format!("{head}Content-Length: 100\r\n\r\n{{\"outputs\"")), Wait(50), Reset],
        vec![send(format!("{head}Transfer-Encoding: chunked\r\n\r\n3\r\n{{}} \r\n")), Close],
        vec![send(format!("{head}Transfer-Encoding: chunked\r\n\r\n3\r\n{{}} \r\n")), Wait(50), Close],
        vec![send(format!("{head}Transfer-Encoding: chunked\r\n\r\n3\r\n{{")), Wait(50), Close],
        vec![send(format!("{head}Transfer-Encoding: chunked\r\n\r\n3\r\n{{}} \r\n")), Wait(50), Reset],
    ] {
        let error = call(acts).unwrap_err();
        assert!(matches!(error, CallError::Reset(_)), "{error:?}");
        assert_eq!(error.class(), Class::Unavailable);
    }
}

#[test]
fn a_whole_reply_is_one_however_it_is_framed() {
    let head = "HTTP/1.1 200 OK\r\n";
    for acts in [
        vec![send(format!("{head}Transfer-Encoding: chunked\r\n\r\n3\r\n{{}} \r\n2\r\n{{}}\r\n0\r\n\r\n")), Close],
        vec![
            send(format!("{head}Transfer-Encoding: chunked\r\n\r\n3\r\n{{}} \r\n2\r\n{{}}\r\n")),
            Wait(50),
            send("0\r\n\r\n"),
            Close,
        ],
        vec![
            send(format!("{head}Content-Length: 5\r\nContent-Encoding: identity\r\n\r\n{{}} ")),
            Wait(50),
            send("{}"),
            Close,
        ],
        vec![send("HTTP/1.0 200 OK\r\n\r\n{} {}"), Close],
    ] {
        assert_eq!(call(acts).unwrap().message.body, "{} {}");
    }
    assert_eq!(call(vec![send(format!("{head}Content-Length: 0\r\n\r\n"))]).unwrap().message.body, "");
}

#[test]
fn a_reply_that_cannot_be_taken_as_it_is_says_why() {
    let refused = |text: &str| call(vec![send(text), Close]).unwrap_err().to_string();
    assert_eq!(
        refused("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}"),
        "unusable reply: neither Content-Length nor chunked encoding, its end cannot be known",
    );
    assert_eq!(
        refused("HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 2\r\n\r\nxx"),
        "unusable reply: encoded as 'br', which was not asked for",
    );
    assert!(matches!(call(vec![send("\x15\x03\x01\x00\x02\x02\x46"), Close]).unwrap_err(), CallError::BadReply(_)));
}

#[test]
fn a_large_reply_is_read_up_to_the_limit() {
    let large = "x".repeat(3 * 1024 * 1024);
    assert_eq!(call(answer("200 OK", &large)).unwrap().message.body, large);
    let too_large = "x".repeat(5 * 1024 * 1024);
    let limit = 4 * 1024 * 1024;
    assert_eq!(call(answer("200 OK", &too_large)).unwrap_err(), CallError::ReplyTooLarge { limit });
    let chunked = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{too_large}\r\n0\r\n\r\n",
        too_large.len()
    );
    assert_eq!(call(vec![send(chunked)]).unwrap_err(), CallError::ReplyTooLarge { limit });
    // On its word alone.
    let promised = "HTTP/1.1 200 OK\r\nContent-Length: 4194305\r\n\r\n";
    assert_eq!(call(vec![send(promised), Hang]).unwrap_err(), CallError::ReplyTooLarge { limit });
}

#[test]
fn a_large_request_is_sent_whole() {
    run(async {
        let server = Server::start(|request, _| answer("200 OK", &request.len().to_string())).await;
        let body = "y".repeat(2 * 1024 * 1024);
        let reply = client(&server).call(request(&body)).await.unwrap();
        assert!(reply.message.body.len() == 7 && reply.message.body.starts_with(b"2097"), "{:?}", reply.message.body);
    });
}

#[test]
fn a_server_that_hangs_ends_in_a_timeout_and_spoils_no_connection() {
    run(async {
        let server = Server::start(|_, number| match number {
            1 => vec![Hang],
            2 => vec![send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"), Hang],
            _ => answer("200 OK", "{}"),
        })
        .await;
        let client = client(&server);
        for _ in 0..2 {
            let started = Instant::now();
            let short = CallRequest { timeout: Duration::from_millis(200), ..request("{}") };
            assert_eq!(client.call(short).await.unwrap_err(), CallError::Timeout(Duration::from_millis(200)));
            assert!(started.elapsed() < Duration::from_secs(5));
        }
        assert_eq!(client.call(request("{}")).await.unwrap().message.body, "{}");
        assert_eq!(server.connections.get(), 3);
    });
}

#[test]
fn a_port_without_a_server_is_refused_and_a_name_without_an_address_too() {
    run(async {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let mut node = node(&Server { port, ..Server::default() });
        for host in ["127.0.0.1", "no-such-host.invalid"] {
            node.rest.as_mut().unwrap().host = host.into();
            let client = RestClient::new(Protocol::V2, &node, 1).unwrap();
            let error = client.call(request("{}")).await.unwrap_err();
            assert!(matches!(error, CallError::Refused(_)), "{error:?}");
            assert!(matches!(client.probe().await, Err(CallError::Refused(_))));
        }
    });
}

#[test]
fn a_connection_that_is_not_made_is_no_model_that_does_not_answer() {
    run(async {
        // A full queue of connections that nobody accepts: the system drops further ones.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queue = Vec::new();
        while let Ok(Ok(socket)) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
            queue.push(socket);
        }
        let node =
            Node { timeout: Duration::from_millis(300), ..node(&Server { port: address.port(), ..Server::default() }) };
        let client = RestClient::new(Protocol::V2, &node, 1).unwrap();
        let short = CallRequest { timeout: node.timeout, ..request("{}") };
        assert_eq!(client.call(short).await.unwrap_err(), CallError::ConnectTimeout(Duration::from_millis(270)));
    });
}

#[test]
fn connections_are_kept_and_a_closed_one_is_not_used() {
    run(async {
        let server = Server::start(|_, number| match number {
            3 => [answer("200 OK", "{}"), vec![Close]].concat(),
            5 => vec![Close],
            _ => answer("200 OK", "{}"),
        })
        .await;
        let client = client(&server);
        for _ in 0..3 {
            client.call(request("{}")).await.unwrap();
        }
        assert_eq!(server.connections.get(), 1);
        // The server has closed it meanwhile.
        actix_rt::time::sleep(Duration::from_millis(20)).await;
        client.call(request("{}")).await.unwrap();
        assert_eq!(server.connections.get(), 2);
        // It closes it when it gets the next request: the model may have seen that one.
        let error = client.call(request("{}")).await.unwrap_err();
        assert!(matches!(error, CallError::Reset(_)), "{error:?}");
    });
}

#[test]
fn calls_within_the_limit_do_not_wait_for_a_connection() {
    run(async {
        let server = Server::start(|_, _| [vec![Wait(300)], answer("200 OK", "{}")].concat()).await;
        let client = RestClient::new(Protocol::V2, &Node { connections: 2, ..node(&server) }, 1_024).unwrap();
        let permits = Semaphore::new(client.limit());
        let calls = (0..10).map(|_| async {
            let _permit = permits.acquire().await.unwrap();
            // Five rounds take longer than one call may.
            client.call(CallRequest { timeout: Duration::from_millis(1_200), ..request("{}") }).await
        });
        for result in join_all(calls).await {
            assert_eq!(result.unwrap().message.body, "{}");
        }
        assert_eq!((client.limit(), server.connections.get()), (2, 2));
        // A probe has its own connection while all others are busy.
        let calls = join_all((0..2).map(|_| client.call(request("{}"))));
        let probe = async {
            actix_rt::time::sleep(Duration::from_millis(10)).await;
            client.probe().await.unwrap();
        };
        futures_util::future::join(calls, probe).await;
        assert_eq!(server.connections.get(), 3);
    });
}

#[test]
fn readiness_is_asked_on_the_paths_of_the_protocol() {
    let probe = |protocol, known: &'static str, acts: Vec<Act>| {
        run(async move {
            let server =
                Server::start(
                    move |request, _| {
                        if request.contains(known) { acts.clone() } else { answer("404 Not Found", "") }
                    },
                )
                .await;
            let node = Node { timeout: Duration::from_millis(300), ..node(&server) };
            let result = RestClient::new(protocol, &node, 1).unwrap().probe().await;
            let lines =
                server.requests.borrow().iter().map(|head| head.lines().next().unwrap().to_owned()).collect::<Vec<_>>();
            (result, lines)
        })
    };
    let (result, lines) = probe(Protocol::Seldon, "GET /health/status ", answer("200 OK", ""));
    assert_eq!((result, lines), (Ok(()), vec!["GET /health/status HTTP/1.1".to_owned()]));
    let (result, lines) =
        probe(Protocol::Tensorflow, "GET /v1/models/m ", answer("200 OK", "{\"state\": \"LOADING\"}"));
    assert_eq!((result.unwrap_err().status().as_deref(), lines.len()), (Some("200"), 1));
    let (result, lines) = probe(Protocol::V2, "GET /v2/models/m/ready ", answer("200 OK", ""));
    assert_eq!((result, lines.len()), (Ok(()), 1));
    let (result, lines) = probe(Protocol::V2, "GET /v2/health/ready ", answer("503 Service Unavailable", "loading"));
    assert_eq!((result.unwrap_err().status().as_deref(), lines.len()), (Some("503"), 2));
    let (result, lines) = probe(Protocol::V2, "nothing", vec![]);
    assert_eq!((result, lines.len()), (Ok(()), 2));
    let (result, _) = probe(Protocol::Seldon, "GET", vec![Hang]);
    assert_eq!(result, Err(CallError::Timeout(Duration::from_millis(300))));
}

#[test]
fn an_endpoint_that_is_none_is_refused_at_start() {
    for host in ["", "a b", "a/b", "user@host", "a:1"] {
        let mut node = node(&Server::default());
        node.rest.as_mut().unwrap().host = host.into();
        let error = run(async { RestClient::new(Protocol::Seldon, &node, 1).err() });
        let error = error.unwrap_or_else(|| panic!("'{host}' was taken")).to_string();
        assert!(error.starts_with("node 'm' has the endpoint '"), "{error}");
    }
}

#[test]
fn an_ipv6_address_and_a_name_are_endpoints() {
    run(async {
        for host in ["::1", "localhost"] {
            let mut node = node(&Server::default());
            node.rest = Some(Endpoint { host: host.into(), port: 1 });
            let client = RestClient::new(Protocol::Seldon, &node, 1).unwrap();
            let error = client.call(request("{}")).await.unwrap_err().to_string();
            assert!(error.contains("refused") || error.contains("assign"), "{host}: {error}");
        }
    });
}
