//! Model servers that cost next to nothing: they share the machine with what is measured. One thread, no decoding; the
//! answer is the request itself or a fixed one, at once or when a cost model says so.

mod cost;
mod grpc;
mod replies;
mod rest;
mod timer;

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::task::LocalSet;

use crate::Result;
use cost::Desk;
use timer::Timer;

/// What the answer to a REST request is. That to a gRPC request is always fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    /// The request itself; TensorFlow's rows become predictions.
    Echo,
    /// A small valid answer of the protocol.
    Fixed,
}

#[derive(Args)]
pub(crate) struct Options {
    /// Port of the REST server
    #[arg(long)]
    rest_port: u16,
    /// Port of the gRPC server
    #[arg(long)]
    grpc_port: u16,
    #[arg(long, value_enum, default_value_t = Reply::Echo)]
    reply: Reply,
    /// Microseconds that a call costs
    #[arg(long, default_value_t = 0)]
    call_us: u64,
    /// Microseconds that each row of a call costs
    #[arg(long, default_value_t = 0)]
    row_us: u64,
    /// Calls that are worked on at a time; 0: all of them
    #[arg(long, default_value_t = 0)]
    workers: usize,
}

/// What all connections share.
struct Server {
    reply: Reply,
    row: Duration,
    desk: RefCell<Desk>,
    timer: Option<Timer>,
}

impl Server {
    /// Whether somebody has to count the rows of a request.
    fn counts_rows(&self) -> bool {
        !self.row.is_zero()
    }

    /// Returns when a call with so many rows is done.
    async fn work(&self, rows: u64) {
        if let Some(timer) = &self.timer {
            let done = self.desk.borrow_mut().done(timer.now(), rows);
            timer.at(done).await;
        }
    }
}

/// Serves until it is killed.
pub(crate) fn run(options: &Options) -> Result<()> {
    let (call, row) = (Duration::from_micros(options.call_us), Duration::from_micros(options.row_us));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let timer = if call.is_zero() && row.is_zero() { None } else { Some(Timer::new()?) };
        let desk = RefCell::new(Desk::new(call, row, options.workers));
        let server = Rc::new(Server { reply: options.reply, row, desk, timer });
        let rest = listen(options.rest_port).await?;
        let grpc = listen(options.grpc_port).await?;
        tokio::task::spawn_local(rest::serve(rest, Rc::clone(&server)));
        grpc::serve(grpc, server).await;
        Ok(())
    })
}

async fn listen(port: u16) -> Result<TcpListener> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpListener::bind(address).await.map_err(|error| format!("{address}: {error}").into())
}
