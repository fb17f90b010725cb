//! Tests of the gRPC client with servers that are not there, vanish, say goodbye or speak something else.

use std::net::SocketAddr;

use futures_util::future::join_all;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::tests::{INFER, client, node, request, run};
use super::*;
use crate::config::settings::Endpoint;
use crate::model::Class;
use crate::model::grpc_stub::Act::{Data, Hang, Kill};
use crate::model::grpc_stub::{Server, answer, head};

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

/// A port that takes no connection and refuses none: its queue is full. Kept by the sockets.
async fn silent_port() -> (u16, TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(Ok(socket)) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
        queue.push(socket);
    }
    (address.port(), listener, queue)
}

#[test]
fn a_server_that_dies_in_a_call_is_unavailable_and_the_next_call_connects_anew() {
    run(async {
        let server = Server::start(|asked, number| match number {
            1 => vec![Kill, Hang],
            2 => vec![head(&[]), Data(vec![0, 0, 0]), Kill, Hang],
            _ => answer(&asked.body[5..]),
        })
        .await;
        let client = client(Protocol::V2, server.port);
        for _ in 0..2 {
            let error = client.call(request(INFER, "x")).await.unwrap_err();
            assert!(matches!(error, CallError::Reset(_)), "{error:?}");
            assert_eq!(error.class(), Class::Unavailable);
        }
        client.call(request(INFER, "x")).await.unwrap();
        assert_eq!(server.connections.get(), 3);
    });
}

#[test]
fn a_request_that_a_server_did_not_take_goes_over_a_new_connection() {
    run(async {
        let server = Server::with(100, 2, |asked, _| answer(&asked.body[5..])).await;
        let client = client(Protocol::V2, server.port);
        assert_eq!(client.call(request(INFER, "x")).await.unwrap().message.body, "x");
        assert_eq!((server.connections.get(), server.asked.borrow().len()), (3, 1));
        // A server that takes nothing at all is not asked for ever.
        let server = Server::with(100, 100, |asked, _| answer(&asked.body[5..])).await;
        let error = self::client(Protocol::V2, server.port).call(request(INFER, "x")).await.unwrap_err();
        assert_eq!((error.class(), server.connections.get()), (Class::Unavailable, 3), "{error:?}");
    });
}

#[test]
fn a_port_without_a_server_is_refused_and_a_name_without_an_address_too() {
    run(async {
        let mut node = node(free_port().await);
        for host in ["127.0.0.1", "::1", "localhost", "no-such-host.invalid"] {
            node.grpc.as_mut().unwrap().host = host.into();
            for protocol in [Protocol::V2, Protocol::Seldon] {
                let client = GrpcClient::new(protocol, &node, Bounds { request_bytes: 1, reply_bytes: 1 }).unwrap();
                let name = if protocol == Protocol::V2 { INFER } else { "seldon.protos.SeldonMessage" };
                let error = client.call(request(name, "x")).await.unwrap_err();
                assert!(matches!(error, CallError::Refused(_)), "{host}: {error:?}");
                assert!(matches!(client.probe().await, Err(CallError::Refused(_))));
            }
        }
    });
}

#[test]
fn an_endpoint_that_is_none_is_refused_at_start() {
    for host in ["", "a b", "a/b", "user@host", "a:1"] {
        let node = Node { grpc: Some(Endpoint { host: host.into(), port: 1 }), ..node(1) };
        let made =
            run(async { GrpcClient::new(Protocol::V2, &node, Bounds { request_bytes: 1, reply_bytes: 1 }).err() });
        let error = made.unwrap_or_else(|| panic!("'{host}' was taken")).to_string();
        assert!(error.starts_with("node 'm' has the endpoint '"), "{error}");
    }
    let node = Node { grpc: None, ..node(1) };
    let made = run(async { GrpcClient::new(Protocol::V2, &node, Bounds { request_bytes: 1, reply_bytes: 1 }).err() });
    assert!(made.unwrap().to_string().ends_with("none is given for grpc"));
}

#[test]
fn all_calls_that_wait_for_a_connection_hear_at_once_that_there_is_none() {
    run(async {
        let (port, _listener, _queue) = silent_port().await;
        let node = Node { timeout: Duration::from_millis(500), connections: 20, ..node(port) };
        let client = GrpcClient::new(Protocol::V2, &node, Bounds { request_bytes: 9, reply_bytes: 9 }).unwrap();
        let calls = (0..20).map(|_| client.call(CallRequest { timeout: node.timeout, ..request(INFER, "x") }));
        for result in join_all(calls).await {
            assert!(matches!(result, Err(CallError::ConnectTimeout(_))), "{result:?}");
        }
        let seldon = GrpcClient::new(Protocol::Seldon, &node, Bounds { request_bytes: 9, reply_bytes: 9 }).unwrap();
        assert!(matches!(seldon.probe().await, Err(CallError::ConnectTimeout(_))));
    });
}

#[test]
fn a_dead_address_of_two_is_left_and_no_call_fails() {
    run(async {
        let server = Server::start(|asked, _| answer(&asked.body[5..])).await;
        let client = client(Protocol::V2, server.port);
        client.pool.set(&[at(free_port().await), at(server.port)]);
        for _ in 0..10 {
            client.call(request(INFER, "x")).await.unwrap();
        }
        for result in join_all((0..50).map(|_| client.call(request(INFER, "x")))).await {
            result.unwrap();
        }
        assert_eq!((server.connections.get(), server.asked.borrow().len()), (1, 60));
    });
}

#[test]
fn all_addresses_of_a_name_are_used_and_one_that_is_gone_is_not() {
    run(async {
        let first = Server::start(|asked, _| answer(&asked.body[5..])).await;
        let second = Server::start(|asked, _| answer(&asked.body[5..])).await;
        let client = client(Protocol::V2, first.port);
        client.pool.set(&[at(first.port), at(second.port)]);
        for _ in 0..10 {
            client.call(request(INFER, "x")).await.unwrap();
        }
        assert_eq!((first.asked.borrow().len(), second.asked.borrow().len()), (5, 5));
        client.pool.set(&[at(second.port)]);
        client.call(request(INFER, "x")).await.unwrap();
        client.call(request(INFER, "x")).await.unwrap();
        assert_eq!((first.asked.borrow().len(), second.asked.borrow().len()), (5, 7));
    });
}

#[test]
fn a_name_is_resolved_and_its_client_ends_with_its_resolver() {
    run(async {
        let server = Server::start(|asked, _| answer(&asked.body[5..])).await;
        let mut node = node(server.port);
        node.grpc.as_mut().unwrap().host = "localhost".into();
        let client = GrpcClient::new(Protocol::V2, &node, Bounds { request_bytes: 9, reply_bytes: 9 }).unwrap();
        for _ in 0..4 {
            client.call(request(INFER, "x")).await.unwrap();
        }
        assert_eq!(server.asked.borrow()[0].path, "/inference.GRPCInferenceService/ModelInfer");
        let known = client.pool.watched();
        drop(client);
        assert!(known.upgrade().is_none(), "nothing keeps what is known of a client that is gone");
    });
}

#[test]
fn a_server_that_vanished_does_not_keep_its_connection() {
    run(async {
        let server = Server::start(|asked, number| match number {
            1 | 2 => vec![Hang],
            _ => answer(&asked.body[5..]),
        })
        .await;
        let client = client(Protocol::V2, server.port);
        let short = || CallRequest { timeout: Duration::from_millis(200), ..request(INFER, "x") };
        // Both at once, on one connection that is silent.
        for result in join_all([client.call(short()), client.call(short())]).await {
            assert_eq!(result.unwrap_err(), CallError::Timeout(Duration::from_millis(200)));
        }
        assert_eq!(server.connections.get(), 1);
        client.call(request(INFER, "x")).await.unwrap();
        assert_eq!(server.connections.get(), 2);
    });
}

#[test]
fn a_server_that_speaks_http_1_is_no_grpc_server() {
    run(async {
        let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = other.local_addr().unwrap().port();
        actix_rt::spawn(async move {
            let (mut socket, _) = other.accept().await.unwrap();
            let text = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            tokio::io::AsyncWriteExt::write_all(&mut socket, text).await.unwrap();
            std::future::pending::<()>().await;
        });
        let error = client(Protocol::V2, port).call(request(INFER, "x")).await.unwrap_err();
        assert!(matches!(error, CallError::BadReply(_)), "{error:?}");
        assert!(error.to_string().contains("gRPC port"), "{error}");
    });
}
