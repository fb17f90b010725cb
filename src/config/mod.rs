//! Settings: where they come from, which wins, what is wrong with them, and the typed result.

pub mod settings;

pub use settings::Settings;
