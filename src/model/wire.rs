//! TCP connections of a client: no delay for small writes, and a way to see that a connection ended.
//!
//! awc takes the end of a connection for the end of a reply even in the middle of a chunked body. Who reads a reply asks
//! [`Ended`] to know better.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_rt::net::{ActixStream, Ready, TcpStream};
use actix_tls::connect::{ConnectError, ConnectInfo, Connection, Connector};
use actix_web::dev::Service;
use awc::http::Uri;
use futures_util::future::LocalBoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Whether a connection of this client was found ended since this was last cleared.
///
/// One for all connections: a reply is polled on the thread of its client, and polls no connection but its own.
#[derive(Clone, Debug, Default)]
pub(super) struct Ended(Rc<Cell<bool>>);

impl Ended {
    /// Forgets what was seen.
    pub(super) fn clear(&self) {
        self.0.set(false);
    }

    /// Whether an end was seen.
    pub(super) fn seen(&self) -> bool {
        self.0.get()
    }
}

/// Opens connections.
#[derive(Clone)]
pub(super) struct Connect {
    tcp: Rc<actix_tls::connect::ConnectorService>,
    ended: Ended,
}

impl Connect {
    /// Connections that report their end.
    pub(super) fn new(ended: Ended) -> Self {
        Self { tcp: Rc::new(Connector::default().service()), ended }
    }
}

impl Service<ConnectInfo<Uri>> for Connect {
    type Response = Connection<Uri, Wire>;
    type Error = ConnectError;
    type Future = LocalBoxFuture<'static, Result<Self::Response, ConnectError>>;

    fn poll_ready(&self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&self, info: ConnectInfo<Uri>) -> Self::Future {
        let (tcp, ended) = (Rc::clone(&self.tcp), self.ended.clone());
        Box::pin(async move {
            let (io, uri) = tcp.call(info).await?.into_parts();
            io.set_nodelay(true).map_err(ConnectError::Io)?;
            Ok(Connection::new(uri, Wire { io, ended }))
        })
    }
}

/// A connection.
#[derive(Debug)]
pub(super) struct Wire {
    io: TcpStream,
    ended: Ended,
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buffer);
        if let Poll::Ready(Ok(())) = polled
            && buffer.filled().len() == before
            && buffer.remaining() > 0
        {
            self.ended.0.set(true);
        }
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

impl ActixStream for Wire {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_read_ready(&self.io, cx)
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(&self.io, cx)
    }
}

/// The address of a host that is one already, so that no resolver is asked; an IPv6 address would not even resolve.
pub(super) fn literal(host: &str, port: u16) -> Option<SocketAddr> {
    host.parse().ok().map(|ip| SocketAddr::new(ip, port))
}
