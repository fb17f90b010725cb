//! `millrace predict`: one request through the graph, without Kafka.
//!
//! The answer goes to standard output, as its bytes; what was called, how long it took and which way was taken goes to standard
//! error. Nothing waits for a model that is away: that is what the command is asked to find out.

pub(super) mod request;
pub(super) mod trip;

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::time::Duration;

use super::args::PredictArgs;
use super::exit::Exit;
use super::{load, print_error};
use crate::codec::convert;
use crate::config::settings::{Settings, Transport};
use crate::kafka::outcome::{ErrorClass, Failure};
use crate::record::Message;
use crate::stream::journey::Rules;
use crate::stream::setting;
use crate::stream::targets::{NodeTarget, targets};
use trip::Trip;

/// Sends the request, tells and returns the exit code.
pub(super) fn predict(arguments: &PredictArgs) -> u8 {
    let loaded = match load::settings(&arguments.source) {
        Ok(loaded) => loaded,
        Err(faults) => {
            print_error(&load::report(&faults));
            return Exit::Configuration.into();
        }
    };
    let wired = setting::plan(&loaded.settings).and_then(|plan| targets(&loaded.settings, plan));
    let (rules, targets) = match wired {
        Ok(wired) => wired,
        Err(problem) => {
            print_error(&format!("millrace: {problem}"));
            return Exit::Configuration.into();
        }
    };
    match request::read(arguments, &loaded.settings) {
        Ok(request) => send(arguments, &loaded.settings, &rules, &targets, &request).into(),
        Err(problem) => {
            print_error(&format!("millrace: {problem}"));
            Exit::Data.into()
        }
    }
}

fn send(
    arguments: &PredictArgs,
    settings: &Settings,
    rules: &Rules,
    targets: &[NodeTarget],
    request: &request::Given,
) -> Exit {
    let trip = actix_rt::System::new().block_on(async {
        let clients = trip::clients(settings, targets)?;
        trip::run(rules, targets, &clients, request).await
    });
    let trip = match trip {
        Ok(trip) => trip,
        Err(problem) => {
            print_error(&format!("millrace: {problem}"));
            return Exit::Configuration;
        }
    };
    print_error(&told(&trip, rules));
    match &trip.result {
        Ok(answer) => match give(arguments, settings, answer) {
            Ok(()) => Exit::Done,
            Err(problem) => {
                print_error(&format!("millrace: the answer cannot be written: {problem}"));
                Exit::Data
            }
        },
        Err(failure) => {
            print_error(&failed(failure));
            exit(failure)
        }
    }
}

/// How a process ends for want of this answer.
pub(super) fn exit(failure: &Failure) -> Exit {
    match (failure.class, failure.status.as_deref()) {
        (ErrorClass::Timeout | ErrorClass::Unavailable, _)
        | (ErrorClass::ModelError, None | Some("503" | "UNAVAILABLE")) => Exit::Unavailable,
        _ => Exit::Data,
    }
}

/// Calls in the order in which they ended, and the way that was taken.
fn told(trip: &Trip, rules: &Rules) -> String {
    let widest = trip.calls.iter().map(|call| call.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for call in &trip.calls {
        let (name, kind, took) = (&call.name, call.kind.name(), milliseconds(call.took));
        writeln!(text, "  {name:<widest$}  {kind:<16} {took:>10}  {}", call.result).expect("memory takes all text");
    }
    let routes = trip.routes.iter().map(|(node, route)| format!("{} {route}", rules.name(*node)));
    let routes = routes.collect::<Vec<_>>().join(", ");
    writeln!(text, "  route: {}", if routes.is_empty() { "none" } else { &routes }).expect("memory takes all text");
    write!(text, "  in all: {}", milliseconds(trip.took)).expect("memory takes all text");
    text
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn failed(failure: &Failure) -> String {
    let body = failure.body.as_ref().map(|body| String::from_utf8_lossy(&body[..body.len().min(4096)]).into_owned());
    let body = body.filter(|body| !body.trim().is_empty()).map(|body| format!("\n  {body}")).unwrap_or_default();
    format!("millrace: no answer ({}): {}{body}", failure.class, failure.message)
}

/// The answer's bytes to where they are wanted. Protobuf on a terminal is shown as JSON where it has one.
fn give(arguments: &PredictArgs, settings: &Settings, answer: &Message) -> std::io::Result<()> {
    if let Some(file) = &arguments.output {
        return std::fs::write(file, &answer.body);
    }
    let mut out = std::io::stdout().lock();
    let shown = (out.is_terminal() && answer.transport() == Transport::Grpc)
        .then(|| convert::to(settings.protocol, answer, Transport::Rest).ok())
        .flatten();
    match shown {
        Some(json) => out.write_all(&json.body)?,
        None if out.is_terminal() && answer.transport() == Transport::Grpc => {
            write!(out, "({} bytes of protobuf; -o FILE keeps them)", answer.body.len())?;
        }
        None => return out.write_all(&answer.body).and_then(|()| out.flush()),
    }
    writeln!(out)
}
