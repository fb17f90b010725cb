//! Just enough HTTP/1.1 for model servers that can misbehave below the level at which a framework would let them: keep-alive,
//! bodies with a length or in chunks, and connections that are reset.

use std::io;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// A request as it came in.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    /// The first header of that name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text, lossy where it is none.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A response to be written.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub content_type: &'static str,
    pub body: Vec<u8>,
    /// In chunks instead of with a length.
    pub chunked: bool,
    pub retry_after: Option<String>,
}

impl Response {
    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, content_type: "application/json", body: body.into(), chunked: false, retry_after: None }
    }

    pub fn text(status: u16, body: &str) -> Self {
        Self { status, content_type: "text/plain", body: body.into(), chunked: false, retry_after: None }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let (status, kind) = (self.status, self.content_type);
        let mut out = format!("HTTP/1.1 {status} Stub\r\ncontent-type: {kind}\r\n").into_bytes();
        if let Some(wait) = &self.retry_after {
            out.extend_from_slice(format!("retry-after: {wait}\r\n").as_bytes());
        }
        if self.chunked {
            out.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
            for chunk in self.body.chunks(1000) {
                out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                out.extend_from_slice(chunk);
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(b"0\r\n\r\n");
        } else {
            out.extend_from_slice(format!("content-length: {}\r\n\r\n", self.body.len()).as_bytes());
            out.extend_from_slice(&self.body);
        }
        out
    }
}

/// The requests of one connection, one after the other.
pub struct Requests {
    buffer: Vec<u8>,
}

impl Requests {
    pub fn new() -> Self {
        Self { buffer: Vec::with_capacity(8192) }
    }

    /// The next request; `None` when the other side has closed the connection.
    pub async fn next(&mut self, stream: &mut TcpStream) -> io::Result<Option<Request>> {
        let head = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break self.take(at + 4);
            }
            if !self.more(stream).await? {
                return Ok(None);
            }
        };
        let mut request = read_head(&String::from_utf8_lossy(&head))?;
        if request.header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
            request.body = self.chunks(stream).await?;
        } else if let Some(length) = request.header("content-length") {
            let length = length.parse().map_err(|_| invalid("content-length"))?;
            request.body = self.exactly(stream, length).await?;
        }
        Ok(Some(request))
    }

    async fn chunks(&mut self, stream: &mut TcpStream) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line(stream).await?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).map_err(|_| invalid("chunk size"))?;
            body.extend(self.exactly(stream, size).await?);
            let rest = self.line(stream).await?;
            if size == 0 && rest.is_empty() {
                return Ok(body);
            }
        }
    }

    async fn line(&mut self, stream: &mut TcpStream) -> io::Result<String> {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n") {
                let line = self.take(at + 2);
                return Ok(String::from_utf8_lossy(&line[..at]).into_owned());
            }
            self.must_have_more(stream).await?;
        }
    }

    async fn exactly(&mut self, stream: &mut TcpStream, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            self.must_have_more(stream).await?;
        }
        Ok(self.take(length))
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(length);
        std::mem::replace(&mut self.buffer, rest)
    }

    async fn more(&mut self, stream: &mut TcpStream) -> io::Result<bool> {
        Ok(stream.read_buf(&mut self.buffer).await? > 0)
    }

    async fn must_have_more(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        if self.more(stream).await? { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

fn read_head(head: &str) -> io::Result<Request> {
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(path)) = (first.next(), first.next()) else {
        return Err(invalid("request line"));
    };
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    Ok(Request { method: method.to_owned(), path: path.to_owned(), headers, body: Vec::new() })
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("no sound {what}"))
}
