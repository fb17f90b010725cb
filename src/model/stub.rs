//! A model server for tests, on a real socket of this thread, that answers byte for byte as told.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the server does with a request, step by step; then it waits for the next one.
#[derive(Clone)]
pub(super) enum Act {
    Send(Vec<u8>),
    Wait(u64),
    Hang,
    Close,
    Reset,
}
use Act::{Close, Hang, Reset, Send, Wait};

/// Bytes to send.
pub(super) fn send(text: impl AsRef<[u8]>) -> Act {
    Send(text.as_ref().to_vec())
}

/// A whole answer.
pub(super) fn answer(status: &str, body: &str) -> Vec<Act> {
    vec![send(format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))]
}

#[derive(Clone, Default)]
pub(super) struct Server {
    pub(super) port: u16,
    pub(super) connections: Rc<Cell<usize>>,
    pub(super) requests: Rc<RefCell<Vec<String>>>,
}

impl Server {
    /// `acts` gets the head and body of each request, and its number over all connections.
    pub(super) async fn start(acts: impl Fn(&str, usize) -> Vec<Act> + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self { port: listener.local_addr().unwrap().port(), ..Self::default() };
        let (ours, acts) = (server.clone(), Rc::new(acts));
        actix_rt::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                ours.connections.set(ours.connections.get() + 1);
                actix_rt::spawn(ours.clone().serve(socket, Rc::clone(&acts)));
            }
        });
        server
    }

    async fn serve(self, mut socket: TcpStream, acts: Rc<impl Fn(&str, usize) -> Vec<Act>>) {
        while let Some(request) = read_request(&mut socket).await {
            self.requests.borrow_mut().push(request.clone());
            let number = self.requests.borrow().len();
            for act in acts(&request, number) {
                match act {
                    Send(bytes) => socket.write_all(&bytes).await.unwrap_or_default(),
                    Wait(millis) => actix_rt::time::sleep(Duration::from_millis(millis)).await,
                    Hang => std::future::pending().await,
                    Close => return,
                    Reset => return socket.set_zero_linger().unwrap(),
                }
            }
        }
    }
}

async fn read_request(socket: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
            if body.len() >= length {
                return Some(text.into_owned());
            }
        }
        if socket.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}
