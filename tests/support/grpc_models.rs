//! Stub model servers over gRPC, and how a test makes them slow, silent, failing or absent.
//!
//! A stub speaks the three protocols at once, by the method that is called. Its own answer is the request as a reply, with
//! every number made into what the stub makes of it; a router chooses the first child, a combiner takes the first answer.

use std::collections::HashMap;
use std::future::pending;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tonic::codegen::http::HeaderMap;

use super::grpc_replies::{readiness, reply};
use super::grpc_server::{GrpcCall, GrpcReply, serve};
use super::models::Arithmetic;
use super::ports;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).thread_name("grpc-models").enable_all().build().expect("a runtime")
});

/// A test's own answer to a call, from its path, message and metadata.
pub type GrpcAnswer = Arc<dyn Fn(&str, Bytes, &HeaderMap) -> GrpcReply + Send + Sync>;

/// How a stub behaves at this moment. Questions about readiness follow `ready` and nothing else.
#[derive(Clone)]
pub struct GrpcRules {
    pub arithmetic: Arithmetic,
    /// Takes the place of the stub's own answer.
    pub answer: Option<GrpcAnswer>,
    pub delay: Duration,
    /// Calls whose message holds one of these get no answer until it is taken out of the list.
    pub hang: Vec<Vec<u8>>,
    pub hang_all: bool,
    /// Calls whose message holds the bytes get this code and text.
    pub fail: Vec<(Vec<u8>, i32, String)>,
    /// Every so-and-so-many-th call fails with INTERNAL; 0 is never.
    pub fail_every: u64,
    pub ready: bool,
}

impl Default for GrpcRules {
    fn default() -> Self {
        Self {
            arithmetic: |n| n,
            answer: None,
            delay: Duration::ZERO,
            hang: Vec::new(),
            hang_all: false,
            fail: Vec::new(),
            fail_every: 0,
            ready: true,
        }
    }
}

impl GrpcRules {
    fn hangs(&self, call: &GrpcCall) -> bool {
        self.hang_all || self.hang.iter().any(|part| call.holds(part))
    }
}

struct Shared {
    name: String,
    rules: watch::Sender<GrpcRules>,
    calls: AtomicU64,
    calls_by: Mutex<HashMap<String, u64>>,
    running: AtomicUsize,
    most_running: AtomicUsize,
    last: Mutex<Option<GrpcCall>>,
}

/// A model server on a port of its own; gone when dropped.
pub struct GrpcModel {
    pub port: u16,
    shared: Arc<Shared>,
    listening: Mutex<Option<AbortHandle>>,
}

impl GrpcModel {
    /// Starts a stub that answers as node `name`.
    pub fn start(name: &str, rules: GrpcRules) -> Self {
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            rules: watch::Sender::new(rules),
            calls: AtomicU64::new(0),
            calls_by: Mutex::default(),
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
        Self::start(name, GrpcRules::default())
    }

    /// Answers with every number made into another.
    pub fn calculating(name: &str, arithmetic: Arithmetic) -> Self {
        Self::start(name, GrpcRules { arithmetic, ..GrpcRules::default() })
    }

    /// Answers as the test says.
    pub fn answering(
        name: &str,
        answer: impl Fn(&str, Bytes, &HeaderMap) -> GrpcReply + Send + Sync + 'static,
    ) -> Self {
        Self::start(name, GrpcRules { answer: Some(Arc::new(answer)), ..GrpcRules::default() })
    }

    pub fn name(&self) -> &str {
        &self.shared.name
    }

    pub fn endpoint(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Changes the behaviour; calls that hang and need not any more get their answer.
    pub fn change(&self, change: impl FnOnce(&mut GrpcRules)) {
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

    /// Calls that have arrived, without questions about readiness.
    pub fn calls(&self) -> u64 {
        self.shared.calls.load(Ordering::Relaxed)
    }

    /// Calls that have arrived for one request, by the `seldon-puid` that they carry.
    pub fn calls_of(&self, id: &str) -> u64 {
        self.counted(id)
    }

    /// Calls that have arrived at one method.
    pub fn calls_at(&self, path: &str) -> u64 {
        self.counted(path)
    }

    /// Calls that have arrived and have no answer yet.
    pub fn running(&self) -> usize {
        self.shared.running.load(Ordering::Relaxed)
    }

    /// The most calls that ever ran at once.
    pub fn most_running(&self) -> usize {
        self.shared.most_running.load(Ordering::Relaxed)
    }

    /// The last call.
    pub fn last(&self) -> Option<GrpcCall> {
        self.shared.last.lock().expect("no test panics here").clone()
    }

    fn counted(&self, what: &str) -> u64 {
        self.shared.calls_by.lock().expect("no test panics here").get(what).copied().unwrap_or(0)
    }
}

impl Drop for GrpcModel {
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
        if let Ok((stream, _)) = listener.accept().await
            && stream.set_nodelay(true).and_then(|()| stream.set_zero_linger()).is_ok()
        {
            let shared = Arc::clone(&shared);
            connections.spawn(serve(stream, move |call| Arc::clone(&shared).respond(call)));
        }
        while connections.try_join_next().is_some() {}
    }
}

/// Counts a call as running, also when it is dropped in the middle.
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

impl Shared {
    async fn respond(self: Arc<Self>, call: GrpcCall) -> GrpcReply {
        let ready = self.rules.borrow().ready;
        if let Some(answer) = readiness(&call.path, ready) {
            return Ok(answer);
        }
        let _running = Running::new(&self);
        let number = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        {
            let mut counts = self.calls_by.lock().expect("no test panics here");
            for what in [Some(call.path.as_str()), call.header("seldon-puid")].into_iter().flatten() {
                *counts.entry(what.to_owned()).or_default() += 1;
            }
        }
        *self.last.lock().expect("no test panics here") = Some(call.clone());

        let mut changes = self.rules.subscribe();
        let rules = changes.wait_for(|rules| !rules.hangs(&call)).await.map(|rules| rules.clone());
        let Ok(rules) = rules else { return pending().await };
        if !rules.delay.is_zero() {
            tokio::time::sleep(rules.delay).await;
        }
        if let Some((_, code, text)) = rules.fail.iter().find(|(part, ..)| call.holds(part)) {
            return Err((*code, text.clone()));
        }
        if rules.fail_every > 0 && number.is_multiple_of(rules.fail_every) {
            return Err((13, "every so often".to_owned()));
        }
        match &rules.answer {
            Some(answer) => answer(&call.path, call.body, &call.metadata),
            None => reply(&call.path, call.body, rules.arithmetic),
        }
    }
}
