//! millrace reads prediction requests from a Kafka topic, runs each through a graph of remote models and writes the
//! answers to a topic.
//!
//! ```text
//!              permits (how much room is left)            acks (this offset is safe)
//!         ◄───────────────────────────────────────────────────────────────────────────
//!  Kafka ─► ConsumerActor ─► RequestRouterActor ─► ModelClientActor ─► RequestRouterActor ─► ProducerActor ─► Kafka
//!  input    decode, order,    walks the graph,      one endpoint:        outcome of the        output or dead
//!  topic    owns the record   retries a node call   limit, health        whole graph           letter
//! ```
//!
//! Data goes right; only acks and permits go left. Modules may use those further right in
//! `cli → stream, admin → kafka, model → codec, graph`; `record`, `error`, `config` and `events` belong to all.

#![forbid(unsafe_code)]

pub mod admin;
pub mod cli;
pub mod codec;
pub mod config;
pub mod events;
pub mod graph;
pub mod kafka;
pub mod model;
pub mod record;
pub mod stream;
