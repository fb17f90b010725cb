//! What the tree is built from: settings made ready for actors to share.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rdkafka::ClientConfig;
use tokio::time::Instant;

use super::endpoint::Seen;
use super::endpoint::batching::BatchParts;
use super::game_day::GameDay;
use super::halt::Halt;
use super::journey::Rules;
use super::producer::Partitions;
use super::targets::{NodeTarget, targets};
use crate::config::settings::{Delivery, OnFailure, Order, Protocol, Settings, Start, Stream, Transport};
use crate::events::{Events, NodeLabels, NodeMetrics};
use crate::graph::Plan;
use crate::kafka::client::{admin_config, consumer_config, producer_bytes, producer_config, transaction_config};
use crate::kafka::cluster;
use crate::kafka::consumer::Prepare;
use crate::kafka::partition::Bounds as WindowBounds;
use crate::kafka::permits::Permits;
use crate::kafka::sink::Sink;
use crate::kafka::status::{Heartbeat, Status};
use crate::kafka::topics::TopicAdmin;
use crate::kafka::transaction::Rules as TransactionRules;
use crate::kafka::transactor::{Setup, Transactor};
use crate::kafka::writer::Writer;
use crate::model::batch::Learned;
use crate::model::batch::collector::Bounds;
use crate::model::breaker::Breaker;
use crate::model::health::EndpointStats;
use crate::model::shares::Shares;

/// Records of a partition that wait for nothing but room in the process: enough to take it up when it comes. More would only take
/// memory, some times what they take in the client library.
const READY: usize = 64;

/// A node's endpoint for one transport.
pub struct EndpointSetting {
    /// Which node, and how it is called.
    pub of: NodeTarget,
    /// What all its clients know together.
    pub stats: Arc<EndpointStats>,
    /// How many calls run, from all workers.
    pub shares: Arc<Shares>,
    /// How many calls fail.
    pub breaker: Arc<Breaker>,
    /// What is counted.
    pub metrics: NodeMetrics,
    /// What readiness shows of it.
    pub seen: Arc<Seen>,
    /// Calls with several records, if it gets any.
    pub batch: Option<BatchParts>,
}

/// Everything that actors share.
#[allow(missing_docs, reason = "the fields are those of the settings and of the actors' parts")]
pub struct Setting {
    pub consumer: ClientConfig,
    pub input_topic: Arc<str>,
    pub output_topic: Arc<str>,
    pub dead_letter_topic: Arc<str>,
    pub start: Start,
    pub order: Order,
    pub protocol: Protocol,
    pub transport: Transport,
    pub commit_interval: Duration,
    pub drain: Duration,
    pub in_flight: usize,
    pub bounds: WindowBounds,
    pub request_bytes: usize,
    pub reply_bytes: usize,
    pub rules: Arc<Rules>,
    pub endpoints: Vec<EndpointSetting>,
    pub permits: Arc<Permits>,
    pub writer: Writer,
    pub partitions: Arc<Partitions>,
    pub on_failure: OnFailure,
    pub halt: Arc<Halt>,
    pub game_day: GameDay,
    pub prepare: Prepare,
    pub events: Events,
    pub status: Arc<Status>,
    pub consumer_heartbeat: Heartbeat,
    pub began: Instant,
}

/// What cannot be worked with, in words for whoever wrote the settings.
pub fn plan(settings: &Settings) -> Result<Plan, String> {
    let plan = match settings.stream {
        Stream::Requests => Plan::new(&settings.graph),
        Stream::Feedback => Plan::feedback(&settings.graph),
    };
    plan.map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        faults.join("; ")
    })
}

impl Setting {
    /// Makes settings ready. `plan` is that of the settings' graph, `halt` is told of a record that stops the service.
    pub fn new(
        settings: &Settings,
        plan: Plan,
        writer: Writer,
        halt: Arc<Halt>,
        events: Events,
    ) -> Result<Self, String> {
        let limits = &settings.limits;
        let (rules, targets) = targets(settings, plan)?;
        let endpoints = targets.into_iter().map(|of| {
            let (service, method) = of.service(settings.protocol);
            let labels = NodeLabels { node: &of.name(), image: &of.node.image, service: &service, method };
            let metrics = events.node(&labels);
            let (threads, limit) = (settings.threads.max(1), of.node.limit);
            let clients = threads.saturating_mul(of.node.clients.max(1)).saturating_mul(of.node.connections.max(1));
            // A request calls a node once at a time, and so does each that runs for comparison only.
            let most = limit.max.unwrap_or(usize::MAX).min(clients).min(2 * limits.in_flight_records).max(limit.min);
            let shares = Arc::new(Shares::new(threads, limit.adaptive, limit.min, most));
            metrics.set_limit(shares.limit());
            let breaker = Arc::new(Breaker::new(of.node.breaker));
            let batch = of.node.batch.map(|batch| BatchParts {
                protocol: settings.protocol,
                bounds: Bounds {
                    bytes: batch.bytes.min(limits.request_bytes),
                    wait: batch.wait,
                    calls: batch.calls.div_ceil(threads),
                },
                learned: Arc::new(Learned::new(batch.rows)),
                metrics: events.batch(&of.name()),
            });
            EndpointSetting { metrics, of, shares, breaker, batch, stats: Arc::default(), seen: Arc::default() }
        });
        let endpoints = endpoints.collect();
        let partitions = Arc::new(Partitions::default());
        Ok(Self {
            consumer: consumer_config(settings),
            input_topic: settings.kafka.input_topic.as_str().into(),
            output_topic: settings.kafka.output_topic.as_str().into(),
            dead_letter_topic: settings.kafka.dead_letter_topic.as_str().into(),
            start: settings.kafka.start,
            order: settings.order,
            protocol: settings.protocol,
            transport: settings.transport,
            commit_interval: settings.kafka.commit_interval,
            drain: limits.drain,
            in_flight: limits.in_flight_records,
            bounds: WindowBounds {
                window: limits.window,
                ready: READY,
                commit_span: limits.commit_span,
                // What was started last has the other half.
                drain_starts: limits.drain / 2,
            },
            request_bytes: limits.request_bytes,
            reply_bytes: limits.reply_bytes,
            rules: Arc::new(rules),
            endpoints,
            permits: Permits::with_held(limits.in_flight_records, limits.in_flight_bytes, limits.held_bytes),
            prepare: prepare(settings, partitions.clone(), writer.clone(), events.clone()),
            writer,
            partitions,
            on_failure: settings.on_failure,
            halt,
            game_day: GameDay(settings.admin.allow_crash),
            events,
            status: Arc::default(),
            consumer_heartbeat: Heartbeat::new(),
            began: Instant::now(),
        })
    }
}

/// The way to the brokers that these settings ask for, with its thread.
pub fn writer(settings: &Settings, events: &Events, heartbeat: &Heartbeat) -> Result<Writer, String> {
    let (events, heartbeat) = (events.clone(), heartbeat.clone());
    match settings.delivery {
        Delivery::AtLeastOnce => Sink::start(producer_config(settings), producer_bytes(settings), events, heartbeat)
            .map(|(sink, _)| Writer::AtOnce(sink))
            .map_err(|error| format!("the producer could not be made: {error}")),
        Delivery::ExactlyOnce => {
            let transaction = &settings.kafka.transaction;
            let setup = Setup {
                producer: transaction_config(settings),
                positions: consumer_config(settings),
                topic: settings.kafka.input_topic.as_str().into(),
                rules: TransactionRules {
                    interval: transaction.interval,
                    records: transaction.records,
                    // So that what comes next finds room while this much is committed.
                    bytes: settings.limits.held_bytes / 4,
                },
                events,
                heartbeat,
            };
            Transactor::start(setup)
                .map(|(transactor, _)| Writer::InTransactions(transactor))
                .map_err(|error| format!("no thread for transactions: {error}"))
        }
    }
}

/// Before the group is joined, its topics must be there.
fn prepare(settings: &Settings, partitions: Arc<Partitions>, writer: Writer, events: Events) -> Prepare {
    let (config, topics) = (admin_config(settings), settings.kafka.clone());
    let largest = settings.limits.request_bytes.max(settings.limits.reply_bytes) as u64;
    let one_cluster = settings.delivery == Delivery::ExactlyOnce;
    Arc::new(move || {
        if one_cluster && let Err(why) = cluster::is_one(&config) {
            events.topics_not_ready(&why);
            return Err(why);
        }
        let facts = TopicAdmin::new(&config).map_err(|error| error.to_string())?.ensure(&topics, largest);
        match facts {
            Ok(facts) => {
                partitions.output.store(facts.output.partitions, Relaxed);
                partitions.dead_letter.store(facts.dead_letter.partitions, Relaxed);
                let smallest =
                    [&facts.output, &facts.dead_letter].iter().filter_map(|topic| topic.max_message_bytes).min();
                writer.begin(smallest);
                for (topic, name) in
                    [(&facts.output, &topics.output_topic), (&facts.dead_letter, &topics.dead_letter_topic)]
                {
                    if topic.created {
                        events.topic_created(name, topic.partitions);
                    }
                }
                Ok(())
            }
            Err(error) => {
                events.topics_not_ready(&error);
                Err(error.to_string())
            }
        }
    })
}
