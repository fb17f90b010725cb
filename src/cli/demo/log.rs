//! Keeps the last log lines for the view: lines on a terminal that is drawn on would tear the picture.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use slog::{Drain, KV, Level, Logger, OwnedKVList, Record};

const LINES: usize = 3;

/// The last lines, and how many there were.
#[derive(Clone, Default)]
pub(super) struct LogLines(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    count: usize,
    last: VecDeque<String>,
}

impl LogLines {
    /// A logger whose warnings and errors are kept.
    pub(super) fn logger(&self) -> Logger {
        Logger::root(self.clone(), slog::o!())
    }

    /// Keeps panics off the terminal. Those of actors are told by their supervisor; only others become a line.
    pub(super) fn take_panics(&self) {
        let lines = self.clone();
        std::panic::set_hook(Box::new(move |info| {
            let thread = std::thread::current();
            let own = ["main", "admin", "models", "demo-load", "demo-checker"];
            if thread.name().is_some_and(|name| own.contains(&name)) {
                lines.push(format!("CRIT {info}"));
            }
        }));
    }

    /// The last lines, the oldest first.
    pub(super) fn last(&self) -> Vec<String> {
        self.lines(|lines| lines.last.iter().cloned().collect())
    }

    /// Lines that came after the first `seen` ones, and the new number of lines. Only the last few are still there.
    pub(super) fn since(&self, seen: usize) -> (Vec<String>, usize) {
        self.lines(|lines| {
            let new = lines.count.saturating_sub(seen).min(lines.last.len());
            (lines.last.iter().skip(lines.last.len() - new).cloned().collect(), lines.count)
        })
    }

    fn push(&self, line: String) {
        self.lines(|lines| {
            lines.count += 1;
            lines.last.push_back(line);
            if lines.last.len() > LINES {
                lines.last.pop_front();
            }
        });
    }

    fn lines<T>(&self, f: impl FnOnce(&mut Lines) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drain for LogLines {
    type Ok = ();
    type Err = slog::Never;

    fn log(&self, record: &Record<'_>, context: &OwnedKVList) -> Result<(), slog::Never> {
        if !record.level().is_at_least(Level::Warning) {
            return Ok(());
        }
        let mut keys = Keys(Vec::new());
        // The serializer below cannot fail.
        record.kv().serialize(record, &mut keys).ok();
        context.serialize(record, &mut keys).ok();
        let mut line = format!("{} {}", record.level().as_short_str(), record.msg());
        for key in keys.0.iter().rev() {
            write!(line, " {key}").expect("a string grows as needed");
        }
        self.push(line);
        Ok(())
    }
}

/// Pairs as `key=value`, the last one first.
struct Keys(Vec<String>);

impl slog::Serializer for Keys {
    fn emit_arguments(&mut self, key: slog::Key, value: &fmt::Arguments<'_>) -> slog::Result {
        self.0.push(format!("{key}={value}"));
        Ok(())
    }

    fn emit_none(&mut self, _: slog::Key) -> slog::Result {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_warnings_are_kept() {
        let lines = LogLines::default();
        let log = lines.logger();
        slog::info!(log, "not kept");
        for n in 1..=5 {
            slog::warn!(log, "kept"; "actor" => "router/0", "attempt" => n, "node" => None::<&str>);
        }
        let last = lines.last();
        assert_eq!(last.len(), 3);
        assert_eq!(last[2], "WARN kept actor=router/0 attempt=5");
        let (new, count) = lines.since(4);
        assert_eq!((new, count), (vec![last[2].clone()], 5));
        assert_eq!(lines.since(5), (Vec::new(), 5));
    }
}
