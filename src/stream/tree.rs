//! The supervision tree as data: who there is, in which order they start, and what happens when one fails.
//!
//! ```text
//! root (one for one)
//!   worker-N, one per thread (one for one; each actor has its own state, and guards bring back what one loses)
//!     consumers-N   consumer-PARTITION, started when a partition is first assigned
//!     router-N
//!     models-N      model-NODE-N-I, a pool per node
//!     producer-N
//!   assignment      last to start and first to stop: it brings records, and lets owners drain
//! ```
//!
//! Consumers stand before routers, so that no strategy that takes later siblings along could restart a consumer for a
//! router's sake. They start empty-handed: records come only when the assignment has joined the group.

use std::sync::Arc;
use std::time::Duration;

use millrace_actors::{
    ActorRef, Arbiters, Backoff, Budget, ChildSpec, Observer, Place, Pool, Strategy, SupervisorSpec, actor, supervisor,
};

use super::assignment::{self, AssignmentActor};
use super::consumer;
use super::endpoint::EndpointParts;
use super::journey::Target;
use super::model_client::{self, ModelClientActor};
use super::owners::{Directory, Worker};
use super::producer::{self, ProducerActor};
use super::router::{self, RequestRouterActor};
use super::setting::{EndpointSetting, Setting};
use crate::model::client::Bounds;

/// An actor that fails more often than this in a minute is not mended by restarting it.
pub const ACTOR: Budget = Budget {
    max_restarts: 50,
    window: Duration::from_mins(1),
    backoff: Backoff { min: Duration::from_millis(10), max: Duration::from_millis(500), jitter: 0.2 },
};

/// A group whose members gave up is tried anew a few times; then its own supervisor gives up, and at last the process.
pub const GROUP: Budget = Budget {
    max_restarts: 3,
    window: Duration::from_mins(10),
    backoff: Backoff { min: Duration::from_millis(500), max: Duration::from_secs(10), jitter: 0.2 },
};

/// The consumer's client is made anew as often as it takes: brokers may be away for hours.
pub const ASSIGNMENT: Budget = Budget {
    max_restarts: 100,
    window: Duration::from_mins(10),
    backoff: Backoff { min: Duration::from_millis(50), max: Duration::from_secs(4), jitter: 0.2 },
};

/// Mailbox places of actors whose messages are commands, bounded by what they command.
const COMMANDS: usize = 0;

/// The tree, and what reaches into it.
pub struct Tree {
    /// To be started.
    pub spec: SupervisorSpec,
    /// The actor that brings records; also takes new secrets for the consumer.
    pub assignment: ActorRef<AssignmentActor>,
}

/// Lays out the tree for these settings.
pub fn tree(setting: &Setting, arbiters: &Arbiters, observer: &Observer) -> Tree {
    let assignment = ActorRef::unborn("assignment", COMMANDS);
    let mut children = Vec::new();
    let mut workers = Vec::new();
    for index in 0..arbiters.len() {
        let (spec, worker) = worker(index, setting, arbiters, observer, &assignment);
        children.push(spec);
        workers.push(worker);
    }
    let parts = assignment::Parts {
        config: setting.consumer.clone(),
        topic: setting.input_topic.clone(),
        start: setting.start,
        drain: setting.drain,
        commit_interval: setting.commit_interval,
        prepare: setting.prepare.clone(),
        directory: Arc::new(Directory::new(workers, ACTOR)),
        events: setting.events.clone(),
        transactor: setting.writer.transactor().cloned(),
        status: setting.status.clone(),
        heartbeat: setting.consumer_heartbeat.clone(),
    };
    let place = Place::System;
    children.push(actor(assignment.clone(), place, ASSIGNMENT, move || AssignmentActor::new(parts.clone())));
    let spec = SupervisorSpec { name: "root".into(), strategy: Strategy::OneForOne, budget: GROUP, children };
    Tree { spec, assignment }
}

fn worker(
    index: usize,
    setting: &Setting,
    arbiters: &Arbiters,
    observer: &Observer,
    assignment: &ActorRef<AssignmentActor>,
) -> (ChildSpec, Worker) {
    let place = arbiters.place(index);
    let router: ActorRef<RequestRouterActor> = ActorRef::unborn(format!("router-{index}"), setting.in_flight + 1);
    // Answers wait here only while the client library has no room, so there is a place for each that runs.
    let producer: ActorRef<ProducerActor> = ActorRef::unborn(format!("producer-{index}"), 2 * setting.in_flight + 1);

    let mut models = Vec::new();
    let mut endpoints = Vec::new();
    for (target, endpoint) in setting.endpoints.iter().enumerate() {
        let (specs, parts) = pool(index, Target(target), endpoint, setting, &place, &router);
        models.extend(specs);
        endpoints.push(parts);
    }
    let router_parts = router::Parts {
        rules: setting.rules.clone(),
        endpoints,
        producer: producer.clone(),
        shadows: setting.in_flight,
        game_day: setting.game_day,
        began: setting.began,
        events: setting.events.clone(),
    };
    let producer_parts = producer::Parts {
        writer: setting.writer.clone(),
        output_topic: setting.output_topic.clone(),
        dead_letter_topic: setting.dead_letter_topic.clone(),
        order: setting.order,
        partitions: setting.partitions.clone(),
        on_failure: setting.on_failure,
        halt: setting.halt.clone(),
        game_day: setting.game_day,
        events: setting.events.clone(),
    };
    let consumer_parts = consumer::Parts {
        router: router.clone(),
        producer: producer.clone(),
        assignment: assignment.clone(),
        permits: setting.permits.clone(),
        protocol: setting.protocol,
        transport: setting.transport,
        feedback: setting.rules.feedback,
        transactor: setting.writer.transactor().cloned(),
        order: setting.order,
        bounds: setting.bounds,
        output_topic: setting.output_topic.clone(),
        dead_letter_topic: setting.dead_letter_topic.clone(),
        game_day: setting.game_day,
        request_bytes: setting.request_bytes,
        events: setting.events.clone(),
    };
    let consumers = format!("consumers-{index}");
    let address = router.clone();
    let children = vec![
        group(consumers.clone(), Vec::new()),
        actor(router, place.clone(), ACTOR, move || RequestRouterActor::new(router_parts.clone(), address.clone())),
        group(format!("models-{index}"), models),
        actor(producer, place.clone(), ACTOR, move || ProducerActor::new(producer_parts.clone())),
    ];
    (
        group(format!("worker-{index}"), children),
        Worker { place, consumers: observer.supervisor(&consumers), parts: consumer_parts },
    )
}

fn pool(
    worker: usize,
    target: Target,
    endpoint: &EndpointSetting,
    setting: &Setting,
    place: &Place,
    router: &ActorRef<RequestRouterActor>,
) -> (Vec<ChildSpec>, EndpointParts) {
    let (node, shown) = (&endpoint.of.node, endpoint.of.name());
    let name = shown.replace(" (", "-").replace(')', "");
    let clients = node.clients.max(1);
    let places = node.connections;
    let parts = model_client::Parts {
        target,
        node: node.clone(),
        transport: endpoint.of.transport,
        protocol: setting.protocol,
        bounds: Bounds { request_bytes: setting.request_bytes, reply_bytes: setting.reply_bytes },
        router: router.clone(),
        stats: endpoint.stats.clone(),
        metrics: endpoint.metrics.clone(),
        began: setting.began,
    };
    let members: Vec<ActorRef<ModelClientActor>> =
        (0..clients).map(|i| ActorRef::unborn(format!("model-{name}-{worker}-{i}"), places)).collect();
    let specs = members.iter().map(|member| {
        let parts = parts.clone();
        actor(member.clone(), place.clone(), ACTOR, move || ModelClientActor::new(parts.clone()))
    });
    let specs = specs.collect();
    let parts = EndpointParts {
        name: shown.into(),
        primary: endpoint.of.primary,
        pool: Arc::new(Pool::new(members)),
        timeout: node.timeout,
        stats: endpoint.stats.clone(),
        worker,
        when_unavailable: node.when_unavailable,
        shares: endpoint.shares.clone(),
        breaker: endpoint.breaker.clone(),
        metrics: endpoint.metrics.clone(),
        seen: endpoint.seen.clone(),
        batch: endpoint.batch.clone(),
    };
    (specs, parts)
}

fn group(name: String, children: Vec<ChildSpec>) -> ChildSpec {
    supervisor(SupervisorSpec { name, strategy: Strategy::OneForOne, budget: GROUP, children })
}
