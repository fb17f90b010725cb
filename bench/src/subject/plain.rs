//! The loop a good engineer writes in an afternoon: one thread a core, each with its own runtime, connections and share of the
//! records in flight; the client library commits by itself. No order, no retry of what the model refuses, no guarantee.

use std::rc::Rc;
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use clap::{Args, ValueEnum};
use futures_util::StreamExt;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::producer::{DefaultProducerContext, ThreadedProducer};
use tokio::sync::Semaphore;
use tokio::task::LocalSet;

use super::{Ends, grpc, http, produce};
use crate::Result;

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Transport {
    Rest,
    Grpc,
}

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    ends: Ends,
    /// Records that are at the model at a time
    #[arg(long, default_value_t = 1000)]
    in_flight: usize,
    #[arg(long, value_enum)]
    transport: Transport,
    /// HOST:PORT of the model server
    #[arg(long)]
    endpoint: String,
    /// Path of a prediction
    #[arg(long)]
    path: String,
}

/// The clients that all threads share. They live as long as the process, so that a message may outlive the stack.
#[derive(Clone, Copy)]
struct Clients {
    consumer: &'static StreamConsumer,
    producer: &'static ThreadedProducer<DefaultProducerContext>,
    output: &'static str,
}

/// A message whose value is sent without being copied.
#[derive(Clone)]
struct Request(Arc<BorrowedMessage<'static>>);

impl AsRef<[u8]> for Request {
    fn as_ref(&self) -> &[u8] {
        self.0.payload().unwrap_or_default()
    }
}

enum Caller {
    Rest(http::Pool),
    Grpc(grpc::Channel),
}

impl Caller {
    async fn new(options: &Options) -> Result<Self> {
        Ok(match options.transport {
            Transport::Rest => Self::Rest(http::Pool::new(&options.endpoint, &options.path)?),
            Transport::Grpc => Self::Grpc(grpc::Channel::open(&options.endpoint, &options.path).await?),
        })
    }

    async fn call(&self, request: &Request) -> Result<Bytes> {
        match self {
            Self::Rest(pool) => pool.call(Bytes::from_owner(request.clone())).await,
            Self::Grpc(channel) => channel.call(request.as_ref()).await,
        }
    }
}

/// Runs until it is killed.
pub(crate) fn run(options: &Options) -> Result<()> {
    let threads = thread::available_parallelism()?.get();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let consumer: StreamConsumer = {
        let _inside = runtime.enter();
        options.ends.consumer().create()?
    };
    consumer.subscribe(&[&options.ends.input])?;
    let clients = Clients {
        consumer: Box::leak(Box::new(consumer)),
        producer: Box::leak(Box::new(options.ends.producer()?)),
        output: Box::leak(options.ends.output.clone().into_boxed_str()),
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let runtime = runtime.expect("a thread may have a runtime");
                end_of(LocalSet::new().block_on(&runtime, work(options, clients, threads)));
            });
        }
        end_of(LocalSet::new().block_on(&runtime, work(options, clients, threads)));
    });
    Err("it ended".into())
}

/// A thread that ends says why; the others go on.
fn end_of(done: Result<()>) {
    if let Err(error) = done {
        eprintln!("plain: {error}");
    }
}

async fn work(options: &Options, clients: Clients, threads: usize) -> Result<()> {
    let caller = Rc::new(Caller::new(options).await?);
    let free = Rc::new(Semaphore::new(options.in_flight.div_ceil(threads)));
    let mut messages = clients.consumer.stream();
    loop {
        let permit = Rc::clone(&free);
        let Ok(permit) = permit.acquire().await.map(tokio::sync::SemaphorePermit::forget) else { return Ok(()) };
        let () = permit;
        let Some(message) = messages.next().await else { return Ok(()) };
        let request = Request(Arc::new(message?));
        let (caller, free) = (Rc::clone(&caller), Rc::clone(&free));
        tokio::task::spawn_local(async move {
            match caller.call(&request).await {
                Ok(answer) => end_of(produce(clients.producer, clients.output, &request.0, &answer)),
                Err(error) => eprintln!("plain: a record is lost: {error}"),
            }
            free.add_permits(1);
        });
    }
}
