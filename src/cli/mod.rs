//! What an operator types: arguments to actions, one file a subcommand.

pub mod demo;
