//! Feedback: a second stream in the same process, with a topic, group, actors and metrics of its own.
//!
//! The two share nothing that one could hold up for the other. What ends one ends both.

use std::collections::HashMap;

use prometheus::Registry;

use super::{ServiceHandle, StartError};
use crate::admin::Health;
use crate::config::Settings;
use crate::config::settings::Stream;

/// Its name in logs, metrics and among the actors.
pub(super) const NAME: &str = "feedback";

/// Settings of the feedback stream, if there is one.
pub(super) fn of(settings: &Settings) -> Option<Settings> {
    let topic = settings.kafka.feedback_topic.clone()?;
    let mut feedback = settings.clone();
    feedback.stream = Stream::Feedback;
    feedback.kafka.feedback_topic = None;
    feedback.kafka.dead_letter_topic = format!("{topic}.dlq");
    feedback.kafka.group_id = format!("{}.{NAME}", settings.kafka.group_id);
    feedback.kafka.input_topic = topic;
    Some(feedback)
}

/// A registry whose metrics say whose they are.
pub(super) fn registry() -> Result<Registry, StartError> {
    let labels = HashMap::from([("stream".to_owned(), NAME.to_owned())]);
    Registry::new_custom(None, Some(labels)).map_err(|error| StartError::Settings(format!("metrics: {error}")))
}

/// The stream that runs beside the requests.
pub(super) struct Beside {
    pub(super) health: Health,
    pub(super) handle: ServiceHandle,
}

impl Beside {
    /// Its exit code, if it has ended by itself.
    pub(super) fn gave_up(&self) -> Option<u8> {
        self.handle.is_finished().then_some(super::GAVE_UP)
    }

    /// Shows its state as one condition of the whole.
    pub(super) fn show(&self, whole: &Health) {
        let snapshot = self.health.snapshot();
        let bad = snapshot.checks.iter().find(|check| !check.ok);
        let detail = bad.map_or("ready".to_owned(), |check| format!("{}: {}", check.name, check.detail));
        whole.set(NAME, snapshot.ready, detail);
    }

    /// Waits for its end.
    pub(super) fn end(self) {
        self.handle.stop.stop("the service ends");
        self.handle.join();
    }
}
