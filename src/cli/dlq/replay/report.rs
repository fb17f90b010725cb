//! What became of the letters, and how the command ends for it.

use serde_json::json;

use crate::cli::dlq::table;
use crate::cli::exit::Exit;
use crate::cli::{print, print_error};
use crate::kafka::replay::marks::Place;

/// Failures that are told one by one.
const TOLD: usize = 1000;

/// Counts and failures.
pub(super) struct Report {
    json: bool,
    done: u64,
    would: u64,
    failed: u64,
    failures: Vec<(Place, String)>,
    exit: Exit,
}

impl Report {
    pub(super) fn new(json: bool) -> Self {
        Self { json, done: 0, would: 0, failed: 0, failures: Vec::new(), exit: Exit::Done }
    }

    /// Replayed and marked.
    pub(super) fn done(&mut self, place: Place, to: &str) {
        self.done += 1;
        if self.json {
            print(
                &json!({"partition": place.partition, "offset": place.offset, "replayed": true, "to": to}).to_string(),
            );
        }
    }

    /// Would be, if this were no dry run.
    pub(super) fn would(&mut self, place: Place, to: &str) {
        self.would += 1;
        if self.json {
            print(
                &json!({"partition": place.partition, "offset": place.offset, "replayed": false, "to": to}).to_string(),
            );
        } else {
            print(&format!("{place} would go to {to}"));
        }
    }

    /// Neither replayed nor marked.
    pub(super) fn failed(&mut self, place: Place, why: String, exit: Exit) {
        self.failed += 1;
        // Who is away may come back: that is what whoever runs it again wants to know first.
        if self.exit != Exit::Unavailable {
            self.exit = exit;
        }
        if self.json {
            print(&json!({"partition": place.partition, "offset": place.offset, "failed": why}).to_string());
        } else if self.failures.len() < TOLD {
            self.failures.push((place, why));
        }
    }

    pub(super) fn so_far(&self) -> String {
        format!("{} replayed, {} not", self.done, self.failed)
    }

    /// Failures one by one, and how many in all.
    pub(super) fn tell(&self, dry_run: bool) {
        for (place, why) in &self.failures {
            print_error(&format!("{place} is not replayed: {}", table::plain(why)));
        }
        let more = self.failed.saturating_sub(self.failures.len() as u64);
        if more > 0 && !self.json {
            print_error(&format!("… and {more} more"));
        }
        print_error(&if dry_run {
            format!("{} would be replayed, {} would not; nothing was done", self.would, self.failed)
        } else {
            self.so_far()
        });
    }

    pub(super) fn exit(&self) -> Exit {
        self.exit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_away_counts_more_than_what_is_wrong() {
        let place = Place { partition: 0, offset: 1 };
        let mut report = Report::new(false);
        assert_eq!(report.exit(), Exit::Done);
        report.failed(place, "bad".into(), Exit::Data);
        assert_eq!(report.exit(), Exit::Data);
        report.failed(place, "away".into(), Exit::Unavailable);
        report.failed(place, "bad".into(), Exit::Data);
        assert_eq!((report.exit(), report.so_far().as_str()), (Exit::Unavailable, "0 replayed, 3 not"));
    }
}
