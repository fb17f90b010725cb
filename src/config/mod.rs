//! Settings: where they come from, which wins, what is wrong with them, and the typed result.
//!
//! Sources from strong to weak: flags, environment, SeldonDeployment, configuration file, `config/default.yaml`. What
//! only fills a gap is weaker than all of them: the endpoints that Seldon's operator would assign and its group name.
//! All faults are found at once. Nothing here connects to anything.

mod fault;
#[cfg(test)]
mod fixture;
mod kafka;
mod layers;
mod load;
mod names;
mod nodes;
mod properties;
mod reader;
mod resolve;
mod rules;
mod security;
mod seldon;
pub mod settings;
mod shown;
mod value;

pub use fault::{Fault, Faults, Origin, Rank};
pub use layers::DEFAULT;
pub use load::{Inputs, Loaded, load};
pub use names::{Flag, flags, is_environment};
pub use resolve::AFTER_DRAIN;
pub use settings::Settings;
pub use shown::Shown;
