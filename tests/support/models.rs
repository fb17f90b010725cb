//! Stub model servers, and how a test makes them slow, silent, failing or absent.
//!
//! A stub speaks the three protocols at once, by the path that is asked: the answer is the request with `instances` (or
//! `inputs`) renamed as the protocol wants it, every `"n":N` replaced by what the stub makes of it, all other text as it was.

use std::collections::HashMap;
use std::future::pending;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use super::http_server::{Request, Requests, Response};
use super::ports;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).thread_name("models").enable_all().build().expect("a runtime")
});

/// What a stub makes of a request's number.
pub type Arithmetic = fn(u64) -> u64;
/// A test's own answer to a predict call.
pub type Answer = Arc<dyn Fn(&Request) -> Response + Send + Sync>;

/// A test's objection to a predict call, if it has one.
pub type Objection = Arc<dyn Fn(&Request) -> Option<Response> + Send + Sync>;

/// How a stub behaves at this moment.
#[derive(Clone)]
pub struct Rules {
    pub arithmetic: Arithmetic,
    /// Takes the place of the stub's own answer to predict calls.
    pub answer: Option<Answer>,
    /// Comes before the stub's own answer.
    pub objection: Option<Objection>,
    pub delay: Duration,
    pub chunked: bool,
    /// Calls whose body holds one of these texts get no answer until the text is taken out of the list.
    pub hang: Vec<String>,
    pub hang_all: bool,
    /// Calls whose body holds the text get this status and body.
    pub fail: Vec<(String, u16, String)>,
    /// Every so-and-so-many-th call fails with 500; 0 is never.
    pub fail_every: u64,
    /// What the readiness paths answer.
    pub ready: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            arithmetic: |n| n,
            answer: None,
            objection: None,
            delay: Duration::ZERO,
            chunked: false,
            hang: Vec::new(),
            hang_all: false,
            fail: Vec::new(),
            fail_every: 0,
            ready: true,
        }
    }
}

impl Rules {
    fn hangs(&self, body: &str) -> bool {
        self.hang_all || self.hang.iter().any(|text| body.contains(text))
    }
}

struct Shared {
    name: String,
    rules: watch::Sender<Rules>,
    calls: AtomicU64,
    calls_by_id: Mutex<HashMap<String, u64>>,
    running: AtomicUsize,
    most_running: AtomicUsize,
    last: Mutex<Option<Request>>,
}

/// A model server on a port of its own; gone when dropped.
pub struct Model {
    pub port: u16,
    shared: Arc<Shared>,
    listening: Mutex<Option<AbortHandle>>,
}

impl Model {
    /// Starts a stub that answers as node `name`.
    pub fn start(name: &str, rules: Rules) -> Self {
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            rules: watch::Sender::new(rules),
            calls: AtomicU64::new(0),
            calls_by_id: Mutex::default(),
            running: AtomicUsize::new(0),
            most_running: AtomicUsize::new(0),
            last: Mutex::default(),
        });
        let model = Self { port: ports::one(), shared, listening: Mutex::default() };
        model.up();
        model
    }

    /// Answers with what it gets.
    pub fn echo(name: &str) -> Self {
        Self::start(name, Rules::default())
    }

    /// Answers with every number made into another.
    pub fn calculating(name: &str, arithmetic: Arithmetic) -> Self {
        Self::start(name, Rules { arithmetic, ..Rules::default() })
    }

    /// Answers predict calls as the test says.
    pub fn answering(name: &str, answer: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Self {
        Self::start(name, Rules { answer: Some(Arc::new(answer)), ..Rules::default() })
    }

    pub fn name(&self) -> &str {
        &self.shared.name
    }

    pub fn endpoint(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Changes the behaviour; calls that hang and need not any more get their answer.
    pub fn change(&self, change: impl FnOnce(&mut Rules)) {
        self.shared.rules.send_modify(change);
    }

    /// Closes the listener and resets every connection.
    pub fn down(&self) {
        let listening = self.listening.lock().expect("no test panics here").take();
        if let Some(listening) = listening {
            listening.abort();
            super::wait::until_true(Duration::from_secs(5), "the listener is closed", || listening.is_finished());
        }
    }

    /// Listens again, on the same port.
    pub fn up(&self) {
        let mut listening = self.listening.lock().expect("no test panics here");
        if listening.is_none() {
            let address = ("127.0.0.1", self.port);
            let listener = RUNTIME.block_on(TcpListener::bind(address)).expect("the port is ours");
            *listening = Some(RUNTIME.spawn(listen(listener, Arc::clone(&self.shared))).abort_handle());
        }
    }

    /// Predict calls that have arrived.
    pub fn calls(&self) -> u64 {
        self.shared.calls.load(Ordering::Relaxed)
    }

    /// Predict calls that have arrived for one request.
    pub fn calls_of(&self, id: &str) -> u64 {
        self.shared.calls_by_id.lock().expect("no test panics here").get(id).copied().unwrap_or(0)
    }

    /// Predict calls that have arrived and have no answer yet.
    pub fn running(&self) -> usize {
        self.shared.running.load(Ordering::Relaxed)
    }

    /// The most predict calls that ever ran at once.
    pub fn most_running(&self) -> usize {
        self.shared.most_running.load(Ordering::Relaxed)
    }

    /// The last predict call.
    pub fn last(&self) -> Option<Request> {
        self.shared.last.lock().expect("no test panics here").clone()
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        if let Some(listening) = self.listening.get_mut().expect("no test panics here").take() {
            listening.abort();
        }
    }
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    // Aborting this task drops the set, and with it every connection.
    let mut connections = JoinSet::new();
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            connections.spawn(serve(stream, Arc::clone(&shared)));
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let prepared = stream.set_nodelay(true).and_then(|()| stream.set_zero_linger());
    let mut requests = Requests::new();
    while let (Ok(()), Ok(Some(request))) = (&prepared, requests.next(&mut stream).await) {
        let last = request.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let response = tokio::select! {
            // Most answers are there at once; only a caller that has to wait is watched.
            biased;
            response = shared.respond(request) => response,
            () = closed(&stream) => return,
        };
        let written = stream.write_all(&response.bytes()).await;
        if written.is_err() || last && stream.shutdown().await.is_err() {
            return;
        }
    }
}

/// Comes back when the caller has hung up.
async fn closed(stream: &TcpStream) {
    if let Ok(1..) = stream.peek(&mut [0]).await {
        pending::<()>().await;
    }
}

/// Counts a call as running, also when its connection is dropped in the middle.
struct Running<'a>(&'a Shared);

impl<'a> Running<'a> {
    fn new(shared: &'a Shared) -> Self {
        let now = shared.running.fetch_add(1, Ordering::Relaxed) + 1;
        shared.most_running.fetch_max(now, Ordering::Relaxed);
        Self(shared)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Requests whose calls are counted, at most: a run of hours has millions, and a table of those stops its model while it grows.
const IDS: usize = 1 << 20;

impl Shared {
    async fn respond(&self, request: Request) -> Response {
        if request.method == "GET" {
            return self.status(&request.path);
        }
        let _running = Running::new(self);
        let text = request.text();
        let number = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(id) = id_of(&text).or(request.header("seldon-puid")) {
            let mut calls = self.calls_by_id.lock().expect("no test panics here");
            if calls.len() < IDS || calls.contains_key(id) {
                *calls.entry(id.to_owned()).or_default() += 1;
            }
        }
        *self.last.lock().expect("no test panics here") = Some(request.clone());

        let mut changes = self.rules.subscribe();
        let rules = changes.wait_for(|rules| !rules.hangs(&text)).await.map(|rules| rules.clone());
        let Ok(rules) = rules else { return pending().await };
        if !rules.delay.is_zero() {
            tokio::time::sleep(rules.delay).await;
        }
        if let Some((_, status, body)) = rules.fail.iter().find(|(part, ..)| text.contains(part)) {
            return Response::json(*status, body.as_str());
        }
        if rules.fail_every > 0 && number.is_multiple_of(rules.fail_every) {
            return Response::json(500, r#"{"error":"every so often"}"#);
        }
        if let Some(response) = rules.objection.as_ref().and_then(|objects| objects(&request)) {
            return response;
        }
        let mut response = match &rules.answer {
            Some(answer) => answer(&request),
            None => self.predict(&request.path, &text, rules.arithmetic),
        };
        response.chunked |= rules.chunked;
        response
    }

    /// The readiness paths of the three protocols.
    fn status(&self, path: &str) -> Response {
        let ready = self.rules.borrow().ready;
        let (model, v2) = (format!("/v1/models/{}", self.name), format!("/v2/models/{}/ready", self.name));
        if path == model {
            let state = if ready { "AVAILABLE" } else { "LOADING" };
            let status = r#"{"error_code":"OK","error_message":""}"#;
            let body = format!(r#"{{"model_version_status":[{{"version":"1","state":"{state}","status":{status}}}]}}"#);
            return Response::json(200, body);
        }
        let known =
            ["/health/status", "/health/ping", "/api/v1.0/health/status", "/v2/health/ready", "/v2/health/live"];
        if !known.contains(&path) && path != v2 {
            return Response::json(404, r#"{"error":"no such path"}"#);
        }
        Response::json(if ready { 200 } else { 503 }, format!(r#"{{"ready":{ready}}}"#))
    }

    fn predict(&self, path: &str, text: &str, arithmetic: Arithmetic) -> Response {
        let (tensorflow, v2) = (format!("/v1/models/{}:predict", self.name), format!("/v2/models/{}/infer", self.name));
        let (asks, answers) = if path == tensorflow {
            (r#""instances""#, r#""predictions""#)
        } else if path == v2 {
            (r#""inputs""#, r#""outputs""#)
        } else if path == "/predict" {
            ("", "")
        } else {
            return Response::json(404, r#"{"error":"no such path"}"#);
        };
        if !text.contains(asks) {
            return Response::json(400, format!(r#"{{"error":"Missing {}"}}"#, asks.replace('"', "'")));
        }
        Response::json(200, calculate(&text.replacen(asks, answers, 1), arithmetic))
    }
}

/// The text after `"id":"`, which every test request has.
fn id_of(text: &str) -> Option<&str> {
    let rest = &text[text.find(r#""id":""#)? + 6..];
    Some(&rest[..rest.find('"')?])
}

/// Replaces every `"n":N` and leaves all other text as it is.
fn calculate(text: &str, arithmetic: Arithmetic) -> String {
    const NAME: &str = r#""n":"#;
    let mut out = String::with_capacity(text.len() + 8);
    let mut rest = text;
    while let Some(at) = rest.find(NAME) {
        let (before, after) = rest.split_at(at + NAME.len());
        let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        out.push_str(before);
        match after[..digits].parse() {
            Ok(n) => out.push_str(&arithmetic(n).to_string()),
            Err(_) => out.push_str(&after[..digits]),
        }
        rest = &after[digits..];
    }
    out.push_str(rest);
    out
}
