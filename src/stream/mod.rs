//! The actors that carry a record from input to output, and the tree that supervises them.

pub mod assignment;
pub mod blame;
pub mod consumer;
pub mod endpoint;
pub mod game_day;
pub mod halt;
pub mod journey;
pub mod messages;
pub mod model_client;
pub mod owners;
pub mod producer;
pub mod router;
pub mod service;
pub mod setting;
pub mod targets;
pub mod tree;
