//! A gRPC server for tests, on a real socket of this thread, that answers frame by frame as told.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tonic::codegen::http::{HeaderMap, HeaderName, HeaderValue, Request, Response};

/// What the server does with a call, step by step.
#[derive(Clone)]
pub(super) enum Act {
    Head(u16, Vec<(&'static str, String)>),
    Data(Vec<u8>),
    Trailers(Vec<(&'static str, String)>),
    Reset(Reason),
    /// Until the caller breaks the call off.
    Hang,
    /// Ends the connection.
    Kill,
}
use Act::{Data, Hang, Head, Kill, Reset, Trailers};

/// A message as it stands in a body.
pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    packed(0, message)
}

pub(super) fn packed(kind: u8, message: &[u8]) -> Vec<u8> {
    [&[kind][..], &(message.len() as u32).to_be_bytes(), message].concat()
}

pub(super) fn head(more: &[(&'static str, &str)]) -> Act {
    let more = more.iter().map(|(name, value)| (*name, (*value).to_owned()));
    Head(200, [("content-type", "application/grpc".to_owned())].into_iter().chain(more).collect())
}

pub(super) fn trailers(status: &str) -> Act {
    Trailers(vec![("grpc-status", status.to_owned())])
}

/// A whole answer.
pub(super) fn answer(message: &[u8]) -> Vec<Act> {
    vec![head(&[]), Data(framed(message)), trailers("0")]
}

/// A call as it came in, with the message's bytes and what stands before them.
pub(super) struct Asked {
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

type Acts = Rc<dyn Fn(&Asked, usize) -> Vec<Act>>;

#[derive(Clone)]
pub(super) struct Server {
    pub(super) port: u16,
    /// Streams that a connection takes.
    max_streams: u32,
    /// Connections that say goodbye at once.
    goodbyes: Rc<Cell<usize>>,
    pub(super) connections: Rc<Cell<usize>>,
    pub(super) asked: Rc<RefCell<Vec<Asked>>>,
    /// Told of each call that arrived, and of each that was broken off.
    pub(super) arrived: Rc<Notify>,
    pub(super) broken_off: Rc<Notify>,
}

impl Server {
    /// `acts` gets each call and its number over all connections.
    pub(super) async fn start(acts: impl Fn(&Asked, usize) -> Vec<Act> + 'static) -> Self {
        Self::with(100, 0, acts).await
    }

    pub(super) async fn with(
        max_streams: u32,
        goodbyes: usize,
        acts: impl Fn(&Asked, usize) -> Vec<Act> + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            max_streams,
            goodbyes: Rc::new(Cell::new(goodbyes)),
            connections: Rc::default(),
            asked: Rc::default(),
            arrived: Rc::default(),
            broken_off: Rc::default(),
        };
        let (ours, acts): (_, Acts) = (server.clone(), Rc::new(acts));
        actix_rt::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                ours.connections.set(ours.connections.get() + 1);
                actix_rt::spawn(ours.clone().serve(socket, Rc::clone(&acts)));
            }
        });
        server
    }

    async fn serve(self, socket: TcpStream, acts: Acts) {
        let mut builder = Builder::new();
        builder.max_concurrent_streams(self.max_streams).initial_window_size(1 << 20);
        let Ok(mut connection) = builder.handshake::<_, Bytes>(socket).await else { return };
        if self.goodbyes.get() > 0 {
            self.goodbyes.set(self.goodbyes.get() - 1);
            connection.abrupt_shutdown(Reason::NO_ERROR);
        }
        let killed = Rc::new(Notify::new());
        loop {
            let next = tokio::select! {
                () = killed.notified() => return,
                next = connection.accept() => next,
            };
            let Some(Ok((request, respond))) = next else { return };
            actix_rt::spawn(self.clone().answer(request, respond, Rc::clone(&acts), Rc::clone(&killed)));
        }
    }

    async fn answer(
        self,
        request: Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
        acts: Acts,
        killed: Rc<Notify>,
    ) {
        let (parts, mut incoming) = request.into_parts();
        let mut body = Vec::new();
        while let Some(Ok(chunk)) = incoming.data().await {
            incoming.flow_control().release_capacity(chunk.len()).unwrap();
            body.extend_from_slice(&chunk);
        }
        self.asked.borrow_mut().push(Asked { path: parts.uri.path().to_owned(), headers: parts.headers, body });
        self.arrived.notify_one();
        let todo = {
            let asked = self.asked.borrow();
            acts(asked.last().unwrap(), asked.len())
        };
        let mut stream: Option<SendStream<Bytes>> = None;
        let count = todo.len();
        for (step, act) in todo.into_iter().enumerate() {
            let last = step + 1 == count;
            match act {
                Head(status, headers) => {
                    let mut response = Response::builder().status(status);
                    response.headers_mut().unwrap().extend(map(&headers));
                    stream = respond.send_response(response.body(()).unwrap(), last).ok();
                }
                Data(bytes) => drop(stream.as_mut().unwrap().send_data(bytes.into(), last)),
                Trailers(headers) => drop(stream.as_mut().unwrap().send_trailers(map(&headers))),
                Reset(reason) => respond.send_reset(reason),
                Kill => killed.notify_one(),
                Hang => {
                    let reset = match &mut stream {
                        Some(stream) => poll_fn(|cx| stream.poll_reset(cx)).await,
                        None => poll_fn(|cx| respond.poll_reset(cx)).await,
                    };
                    if matches!(reset, Ok(Reason::CANCEL)) {
                        self.broken_off.notify_one();
                    }
                    return;
                }
            }
        }
    }
}

fn map(headers: &[(&'static str, String)]) -> HeaderMap {
    let entry = |(name, value): &(&'static str, String)| {
        (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())
    };
    headers.iter().map(entry).collect()
}
