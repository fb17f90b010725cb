//! The REST side of the stub servers, on hyper.

use std::convert::Infallible;
use std::rc::Rc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::{Server, replies};

/// Serves all connections until the process ends.
pub(super) async fn serve(listener: TcpListener, server: Rc<Server>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        if stream.set_nodelay(true).is_err() {
            continue;
        }
        let server = Rc::clone(&server);
        let service = service_fn(move |request| {
            let server = Rc::clone(&server);
            async move { Ok::<_, Infallible>(answer(request, &server).await) }
        });
        let connection = http1::Builder::new().auto_date_header(false).serve_connection(TokioIo::new(stream), service);
        // Whoever closes a connection has read what it wanted.
        tokio::task::spawn_local(async move { drop(connection.await) });
    }
}

async fn answer(request: Request<Incoming>, server: &Server) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    if head.method == Method::GET {
        return json(replies::ready_rest(head.uri.path()));
    }
    let Ok(body) = body.collect().await else {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return response;
    };
    let body = body.to_bytes();
    server.work(if server.counts_rows() { replies::rows(&body) } else { 1 }).await;
    json(replies::rest(server.reply, head.uri.path(), body))
}

fn json(body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
