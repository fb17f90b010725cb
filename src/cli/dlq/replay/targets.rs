//! The topics that letters are sent to: whether they exist, and how many partitions they have.

use std::collections::HashMap;
use std::sync::Arc;

use crate::cli::dlq::Problem;
use crate::config::settings::Settings;
use crate::kafka::client::admin_config;
use crate::kafka::topics::{Topic, TopicAdmin};

/// Letters of one topic come from few topics; beyond these, each is asked for anew.
const KNOWN: usize = 1000;

/// Topics as they were when first asked for.
pub(super) struct Targets {
    admin: TopicAdmin,
    known: HashMap<Arc<str>, Option<Topic>>,
}

impl Targets {
    pub(super) fn new(settings: &Settings) -> Result<Self, Problem> {
        let admin = TopicAdmin::new(&admin_config(settings)).map_err(Problem::unavailable)?;
        Ok(Self { admin, known: HashMap::new() })
    }

    /// A topic; nothing if there is none.
    pub(super) fn topic(&mut self, name: &Arc<str>) -> Result<Option<Topic>, Problem> {
        if let Some(known) = self.known.get(name) {
            return Ok(known.clone());
        }
        let found = self.admin.describe(name).map_err(Problem::unavailable)?;
        if self.known.len() < KNOWN {
            self.known.insert(name.clone(), found.clone());
        }
        Ok(found)
    }

    /// Makes the markers topic if it is missing and may be made.
    pub(super) fn ensure_markers(&self, name: &str, partitions: i32, settings: &Settings) -> Result<(), Problem> {
        let made = self.admin.ensure_compacted(name, partitions, settings.kafka.create_topics);
        made.map_err(|error| Problem::unavailable(format!("{error} (with cleanup.policy=compact)")))
    }
}
