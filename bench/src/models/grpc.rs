//! The gRPC side of the stub servers, on h2: messages are not read, and answers were written before.

use std::rc::Rc;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::{Builder, SendResponse};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Request, Response};
use tokio::net::{TcpListener, TcpStream};

use super::Server;
use super::replies::Grpc;

/// Streams at once, and room for what they send: more than any load here needs.
const STREAMS: u32 = 10_000;
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 64 << 20;

/// Serves all connections until the process ends.
pub(super) async fn serve(listener: TcpListener, server: Rc<Server>) {
    let answers = Rc::new(Grpc::new());
    loop {
        if let Ok((stream, _)) = listener.accept().await
            && stream.set_nodelay(true).is_ok()
        {
            tokio::task::spawn_local(connection(stream, Rc::clone(&server), Rc::clone(&answers)));
        }
    }
}

async fn connection(stream: TcpStream, server: Rc<Server>, answers: Rc<Grpc>) {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(STREAMS)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let (server, answers) = (Rc::clone(&server), Rc::clone(&answers));
        // A call that fails is a call whose connection is gone.
        tokio::task::spawn_local(async move { drop(call(request, respond, &server, &answers).await) });
    }
}

async fn call(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    server: &Server,
    answers: &Grpc,
) -> Result<(), h2::Error> {
    let (head, mut body) = request.into_parts();
    while let Some(chunk) = body.data().await {
        let length = chunk?.len();
        body.flow_control().release_capacity(length)?;
    }
    let mut response = Response::new(());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    let Some(answer) = answers.answer(head.uri.path()) else {
        response.headers_mut().insert("grpc-status", HeaderValue::from_static("12"));
        return respond.send_response(response, true).map(drop);
    };
    server.work(1).await;
    let mut stream = respond.send_response(response, false)?;
    stream.send_data(answer, false)?;
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    stream.send_trailers(trailers)
}
