//! One HTTP/2 connection to one address: made once, shared by its calls, and never made again.
//!
//! gRPC libraries hide the connection behind a channel that mends itself, one waiting call after the other: with a server
//! that swallows packets, the last of fifty calls would hear of it after fifty connect timeouts. Here all of them hear at
//! once, and errors keep their type, by which they are told apart. No pings are sent: servers end connections that ping
//! more often than they like. A server that vanished shows in timeouts, and then nobody goes on using its connection.

use std::net::SocketAddr;
use std::time::Duration;

use actix_rt::net::TcpStream;
use actix_rt::task::JoinHandle;
use bytes::{BufMut, Bytes, BytesMut};
use h2::client::{Builder, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tonic::Code;
use tonic::codegen::http::{Request, Response};

use super::addresses::{CALLS_PER_LANE, Lane};
use super::error::CallError;

/// Bytes of one reply, and of all replies of a connection, that a server may send before they are read. Enough to fill the
/// line to a server in the same network with one large tensor.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// Bytes of headers and trailers that are taken; an error's text is among them.
const HEADER_BYTES: u32 = 64 * 1024;
/// Bytes before a message: whether it is packed, and its length.
pub(super) const PREFIX: usize = 5;
/// A message up to this goes in one frame with what stands before it.
const SMALL: usize = 8 * 1024;

/// A connection, made when its first call needs it.
pub(super) struct Connection {
    address: SocketAddr,
    /// Time to make it.
    limit: Duration,
    made: OnceCell<Result<Made, CallError>>,
}

struct Made {
    sender: SendRequest<Bytes>,
    /// Moves bytes until the connection ends.
    driver: JoinHandle<()>,
}

impl Drop for Made {
    fn drop(&mut self) {
        // Nobody uses it any more. A server that takes nothing could otherwise hold it for ever.
        self.driver.abort();
    }
}

/// Why a request got no reply.
#[derive(Debug)]
pub(super) enum Fault {
    /// The connection takes no more requests: nobody has seen this one.
    NotSent(CallError),
    /// The server did not look at it, because others were enough.
    Refused(CallError),
    /// The server may have seen it.
    Sent(CallError),
}

impl Connection {
    /// A connection that is not made yet.
    pub(super) fn new(address: SocketAddr, limit: Duration) -> Self {
        Self { address, limit, made: OnceCell::new() }
    }

    /// Makes it, or waits for whoever does.
    pub(super) async fn made(&self) -> Result<(), CallError> {
        let made = self.made.get_or_init(|| connect(self.address, self.limit)).await;
        made.as_ref().map(|_| ()).map_err(CallError::clone)
    }

    /// Sends a request with one message, as it is. The reply's body is still to come.
    pub(super) async fn send(&self, head: Request<()>, message: Bytes) -> Result<Response<RecvStream>, Fault> {
        let made = self.made.get_or_init(|| connect(self.address, self.limit)).await;
        let sender = made.as_ref().map_err(|error| Fault::NotSent(error.clone()))?.sender.clone();
        let mut sender = sender.ready().await.map_err(|error| Fault::NotSent(failure(&error)))?;
        let (reply, mut stream) = sender.send_request(head, false).map_err(|error| Fault::NotSent(failure(&error)))?;
        // What could not be sent is told of by the reply, too.
        drop(send_message(&mut stream, message));
        match reply.await {
            Ok(reply) => Ok(reply),
            // On a goodbye a server names the last request that it took; others get this error.
            Err(error) if error.is_go_away() && error.is_remote() && error.reason() == Some(Reason::NO_ERROR) => {
                Err(Fault::NotSent(failure(&error)))
            }
            Err(error) if error.is_reset() && error.is_remote() && error.reason() == Some(Reason::REFUSED_STREAM) => {
                Err(Fault::Refused(failure(&error)))
            }
            Err(error) => Err(Fault::Sent(failure(&error))),
        }
    }
}

impl Lane for std::rc::Rc<Connection> {
    fn is_closed(&self) -> bool {
        self.made.get().is_some_and(|made| made.as_ref().map_or(true, |made| made.driver.is_finished()))
    }

    fn room(&self) -> usize {
        let made = self.made.get().and_then(|made| made.as_ref().ok());
        made.map_or(CALLS_PER_LANE, |made| made.sender.current_max_send_streams())
    }
}

async fn connect(address: SocketAddr, limit: Duration) -> Result<Made, CallError> {
    let made = async {
        let refused = |error: std::io::Error| CallError::Refused(format!("{address}: {error}"));
        let socket = TcpStream::connect(address).await.map_err(refused)?;
        socket.set_nodelay(true).map_err(refused)?;
        let handshake = Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(HEADER_BYTES)
            .initial_max_send_streams(CALLS_PER_LANE)
            .enable_push(false)
            .handshake::<_, Bytes>(socket);
        handshake.await.map_err(|error| CallError::Refused(format!("{address}: {error}")))
    };
    let (sender, connection) = timeout(limit, made).await.map_err(|_| CallError::ConnectTimeout(limit))??;
    let driver = actix_rt::spawn(async move {
        // Each call is told of the end itself.
        drop(connection.await);
    });
    Ok(Made { sender, driver })
}

/// A message that is not packed. A large one is not copied: the library cuts it into frames as the server takes them.
fn send_message(stream: &mut SendStream<Bytes>, message: Bytes) -> Result<(), h2::Error> {
    let small = if message.len() > SMALL { 0 } else { message.len() };
    let mut first = BytesMut::with_capacity(PREFIX + small);
    first.put_u8(0);
    first.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    first.put_slice(&message[..small]);
    let whole = small == message.len();
    stream.send_data(first.freeze(), whole)?;
    if whole { Ok(()) } else { stream.send_data(message, true) }
}

/// The library's error as ours, by its type.
///
/// A stream that the server reset is one request's failure, with the code that gRPC gives the reason. The end of the whole
/// connection is the endpoint's. What this side found wrong with the other's bytes is no HTTP/2.
pub(super) fn failure(error: &h2::Error) -> CallError {
    if error.is_library() {
        return CallError::BadReply(format!("no sound HTTP/2 ({error}); is this the server's gRPC port?"));
    }
    if error.is_io() || error.is_go_away() {
        return CallError::Reset(error.to_string());
    }
    let code = match error.reason() {
        Some(Reason::REFUSED_STREAM) => Code::Unavailable,
        Some(Reason::CANCEL) => Code::Cancelled,
        Some(Reason::ENHANCE_YOUR_CALM) => Code::ResourceExhausted,
        Some(Reason::INADEQUATE_SECURITY) => Code::PermissionDenied,
        Some(_) => Code::Internal,
        // Of this side's own making, such as headers that are too long for HTTP/2.
        None => return CallError::BadReply(format!("HTTP/2 does not carry the call: {error}")),
    };
    CallError::Grpc { code, message: format!("the server broke the call off: {error}"), retry_after: None }
}
