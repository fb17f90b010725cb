//! Draws the view: over itself on a terminal, as a line a second elsewhere.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use super::log::LogLines;
use super::view::{self, Snapshot};

/// Time between pictures on a terminal.
pub(super) const REDRAW: Duration = Duration::from_millis(250);
const LINE: Duration = Duration::from_secs(1);

/// Where the view goes.
pub(super) struct Screen<W> {
    out: W,
    terminal: bool,
    /// Lines of the last picture.
    drawn: usize,
    last_line: Option<Instant>,
    log_seen: usize,
}

impl Screen<io::Stdout> {
    /// The standard output.
    pub(super) fn stdout() -> Self {
        let out = io::stdout();
        let terminal = out.is_terminal();
        Self::new(out, terminal)
    }
}

impl<W: Write> Screen<W> {
    pub(super) fn new(out: W, terminal: bool) -> Self {
        Self { out, terminal, drawn: 0, last_line: None, log_seen: 0 }
    }

    /// Shows how it stands.
    pub(super) fn show(&mut self, snapshot: &Snapshot, log: &LogLines, now: Instant) -> io::Result<()> {
        if self.terminal {
            return self.draw(&view::picture(snapshot));
        }
        if self.last_line.is_none_or(|last| now.saturating_duration_since(last) >= LINE) {
            let (new, count) = log.since(std::mem::replace(&mut self.log_seen, 0));
            self.log_seen = count;
            for line in new {
                writeln!(self.out, "        {}", line.replace('\n', " "))?;
            }
            writeln!(self.out, "{}", view::line(snapshot))?;
            self.last_line = Some(now);
        }
        Ok(())
    }

    /// Writes lines below what is shown.
    pub(super) fn say(&mut self, lines: &[String]) -> io::Result<()> {
        self.drawn = 0;
        for line in lines {
            writeln!(self.out, "{line}")?;
        }
        self.out.flush()
    }

    fn draw(&mut self, lines: &[String]) -> io::Result<()> {
        // Up to the first line of the last picture; then each line, and what the old one had beyond it is erased.
        if self.drawn > 0 {
            write!(self.out, "\x1b[{}A", self.drawn)?;
        }
        for line in lines {
            writeln!(self.out, "\r{line}\x1b[K")?;
        }
        self.drawn = lines.len();
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_drawn_over_and_a_file_gets_a_line_a_second() {
        let snapshot = Snapshot::default();
        let log = LogLines::default();
        let height = view::picture(&snapshot).len();
        let start = Instant::now();

        let mut drawn = Vec::new();
        let mut terminal = Screen::new(&mut drawn, true);
        terminal.show(&snapshot, &log, start).unwrap();
        terminal.show(&snapshot, &log, start).unwrap();
        let text = String::from_utf8(drawn).unwrap();
        assert_eq!(text.lines().count(), 2 * height);
        assert_eq!(text.matches(&format!("\x1b[{height}A")).count(), 1);

        let mut written = Vec::new();
        let mut file = Screen::new(&mut written, false);
        for millis in [0, 250, 500, 1000, 1250] {
            file.show(&snapshot, &log, start + Duration::from_millis(millis)).unwrap();
        }
        let text = String::from_utf8(written).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(!text.contains('\x1b'));
    }
}
