//! One request's trip: the same machine that decides in the service, carried out without actors.

use std::cell::RefCell;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{AbortHandle, Abortable, LocalBoxFuture};
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::request::Given;
use crate::config::settings::Settings;
use crate::graph::NodeId;
use crate::kafka::outcome::Failure;
use crate::model::availability::Verdict;
use crate::model::call::{CallRequest, Reply};
use crate::model::client::{Bounds, Client};
use crate::model::error::CallError;
use crate::model::headers::{CallHeaders, call_headers};
use crate::record::{CallKind, Message};
use crate::stream::journey::{Command, Event, Journey, Rules, Target};
use crate::stream::targets::NodeTarget;

/// A call as it went.
pub(in crate::cli) struct Called {
    pub(in crate::cli) name: String,
    pub(in crate::cli) kind: CallKind,
    pub(in crate::cli) took: Duration,
    pub(in crate::cli) result: String,
}

/// What came of a request.
pub(in crate::cli) struct Trip {
    pub(in crate::cli) result: Result<Message, Failure>,
    pub(in crate::cli) calls: Vec<Called>,
    pub(in crate::cli) routes: Vec<(NodeId, i32)>,
    pub(in crate::cli) took: Duration,
}

type Ended = Result<(NodeId, Result<Reply, CallError>), futures_util::future::Aborted>;
type Running<'a> = FuturesUnordered<LocalBoxFuture<'a, Ended>>;

/// A client for each target. Made on the arbiter that uses them.
pub(in crate::cli) fn clients(settings: &Settings, targets: &[NodeTarget]) -> Result<Vec<Client>, String> {
    let limits = &settings.limits;
    let bounds = Bounds { request_bytes: limits.request_bytes, reply_bytes: limits.reply_bytes };
    let client = |of: &NodeTarget| Client::new(settings.protocol, &of.node, of.transport, bounds);
    targets.iter().map(client).collect::<Result<_, _>>().map_err(|error| error.to_string())
}

/// Sends a request through the graph.
pub(in crate::cli) async fn run(
    rules: &Rules,
    targets: &[NodeTarget],
    clients: &[Client],
    request: &Given,
) -> Result<Trip, String> {
    let (headers, _) = call_headers(&request.headers, &request.puid);
    let calls = Calls { rules, targets, clients, headers, begun: Instant::now(), log: RefCell::default() };

    let journey = RefCell::new(Journey::new(rules, request.puid.as_bytes()));
    let mut running = Running::new();
    let mut handles: Vec<(NodeId, AbortHandle)> = Vec::new();
    let mut commands = calls.step(&journey, Event::Begin(request.message.clone()));
    let result = loop {
        let mut result = None;
        for command in commands.drain(..) {
            match command {
                Command::Call(node, target) => {
                    calls.start(&journey, node, target, Duration::ZERO, &running, &mut handles);
                }
                Command::CallAfter(node, target, wait) => {
                    calls.start(&journey, node, target, wait, &running, &mut handles);
                }
                Command::Stop(node) => {
                    handles.iter().filter(|(of, _)| *of == node).for_each(|(_, handle)| handle.abort());
                }
                // Only the answer that is given was asked for.
                Command::Shadow { .. } | Command::Compare { .. } => {}
                Command::Answer(message) => result = Some(Ok(message)),
                Command::Fail(failure) => result = Some(Err(failure)),
            }
        }
        if let Some(result) = result {
            break result;
        }
        commands = match running.next().await {
            Some(Ok((node, Ok(reply)))) => calls.step(&journey, Event::Replied(node, reply.message)),
            Some(Ok((node, Err(error)))) => calls.step(&journey, Event::Failed(node, &error, Verdict::Costs)),
            Some(Err(_)) => Vec::new(),
            None => return Err("the graph asks for nothing more and gives no answer".into()),
        };
    };
    drop(running);
    let (took, routes) = (calls.begun.elapsed(), journey.into_inner().routes().to_vec());
    Ok(Trip { result, calls: calls.log.into_inner(), routes, took })
}

struct Calls<'a> {
    rules: &'a Rules,
    targets: &'a [NodeTarget],
    clients: &'a [Client],
    headers: CallHeaders,
    begun: Instant,
    log: RefCell<Vec<Called>>,
}

impl Calls<'_> {
    fn step(&self, journey: &RefCell<Journey>, event: Event<'_>) -> Vec<Command> {
        let mut commands = Vec::new();
        let now = self.begun.elapsed();
        journey.borrow_mut().step(event, now, &mut fastrand::f64, self.rules, &mut commands);
        commands
    }

    /// Starts a call after a time.
    fn start<'b>(
        &'b self,
        journey: &'b RefCell<Journey>,
        node: NodeId,
        target: Target,
        wait: Duration,
        running: &Running<'b>,
        handles: &mut Vec<(NodeId, AbortHandle)>,
    ) {
        let (handle, registration) = AbortHandle::new_pair();
        handles.push((node, handle));
        let call = async move {
            tokio::time::sleep(wait).await;
            let begun = Instant::now();
            let Some((kind, message)) = journey.borrow_mut().start(node, self.begun.elapsed()) else {
                // Stopped; the abort has not come through yet.
                return std::future::pending().await;
            };
            let (of, headers) = (&self.targets[target.0], self.headers.clone());
            let request = CallRequest { kind, message, headers, timeout: of.node.timeout };
            let result = self.clients[target.0].call(request).await;
            let told = match &result {
                Ok(reply) => format!("{} bytes", reply.message.body.len()),
                Err(error) => error.to_string(),
            };
            self.log.borrow_mut().push(Called { name: of.name(), kind, took: begun.elapsed(), result: told });
            (node, result)
        };
        running.push(Box::pin(Abortable::new(call, registration)));
    }
}
