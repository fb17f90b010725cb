//! What the tests of the guarantees share: a broker, topics, model servers, the service as a process, and the check of
//! what came out. Nothing here knows the service's code: the tests see what an operator sees.
#![allow(dead_code, unreachable_pub, reason = "each test file is a program of its own and uses a part")]

pub mod check;
pub mod collect;
pub mod config;
pub mod groups;
pub mod grpc_models;
pub mod grpc_replies;
pub mod grpc_server;
pub mod http_client;
pub mod http_server;
pub mod kafka;
pub mod ledger;
pub mod load;
pub mod metrics;
pub mod models;
pub mod ports;
pub mod real_servers;
pub mod reaper;
pub mod requests;
pub mod scenario;
pub mod send;
pub mod service;
pub mod topics;
pub mod wait;
