//! Where dead letters are read: settings, topics and the client.

use std::time::SystemTime;

use super::Problem;
use super::args::FilterArgs;
use super::filter::Filter;
use crate::cli::args::Source;
use crate::cli::exit::Exit;
use crate::cli::load;
use crate::config::settings::Settings;
use crate::kafka::replay::browse::{Browser, Reading, Span};
use crate::kafka::replay::letter::Letter;
use crate::kafka::replay::marks::Marks;
use crate::record::Record;

/// A dead letter as it is looked at.
pub(super) struct Found {
    /// What it says.
    pub(super) letter: Letter,
    /// All of it.
    pub(super) record: Record,
    /// Whether it was replayed.
    pub(super) replayed: bool,
}

/// Settings, topics and the client.
pub(super) struct Desk {
    pub(super) settings: Settings,
    /// The dead letters.
    pub(super) topic: String,
    /// Which of them were replayed.
    pub(super) markers: String,
    pub(super) browser: Browser,
}

impl Desk {
    /// Reads the settings and makes the client.
    pub(super) fn open(source: &Source, topic: Option<&String>) -> Result<Self, Problem> {
        let faults = |faults| {
            let text = load::report(&faults);
            Problem::new(Exit::Configuration, text.trim_start_matches("millrace: "))
        };
        let settings = load::settings(source).map_err(faults)?.settings;
        let topic = topic.unwrap_or(&settings.kafka.dead_letter_topic).clone();
        let markers = format!("{topic}.replayed");
        let browser = Browser::new(&settings).map_err(Problem::unavailable)?;
        Ok(Self { settings, topic, markers, browser })
    }

    /// What is there now.
    pub(super) fn spans(&self) -> Result<Vec<Span>, Problem> {
        let found = self.browser.spans(&self.topic).map_err(Problem::unavailable)?;
        found.ok_or_else(|| {
            let text = format!("dead-letter topic {} does not exist, or this user may not describe it", self.topic);
            Problem::unavailable(text)
        })
    }

    /// The letters that are meant. Markers are read first, so that one that comes meanwhile hides nothing that is shown.
    pub(super) fn letters(&self, arguments: &FilterArgs, include_replayed: bool) -> Result<Letters<'_>, Problem> {
        let spans = self.spans()?;
        let marks = self.browser.marks(&self.markers, &spans).map_err(Problem::unavailable)?;
        let filter = Filter::new(arguments, SystemTime::now());
        let reading = self.browser.read(&self.topic, filter.narrow(spans));
        Ok(Letters { reading, marks, filter, include_replayed, left: arguments.limit.unwrap_or(usize::MAX) })
    }
}

/// Letters as they are read.
pub(super) struct Letters<'a> {
    reading: Reading<'a>,
    marks: Marks,
    filter: Filter,
    include_replayed: bool,
    left: usize,
}

impl Letters<'_> {
    /// The next one that is meant; nothing at the end.
    pub(super) fn next(&mut self) -> Result<Option<Found>, Problem> {
        while self.left > 0 {
            let Some(record) = self.reading.next().map_err(Problem::unavailable)? else { break };
            let letter = Letter::of(&record);
            let replayed = self.marks.contains(letter.place);
            if (self.include_replayed || !replayed) && self.filter.takes(&letter, record.key.as_deref()) {
                self.left -= 1;
                return Ok(Some(Found { letter, record, replayed }));
            }
        }
        Ok(None)
    }

    /// Offsets that are still to be read.
    pub(super) fn unread(&self) -> u64 {
        self.reading.left()
    }
}
