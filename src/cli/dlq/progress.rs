//! How far a replay has come: a bar on a terminal, a line every few seconds elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::print_error;

/// Between two lines.
const LINES: Duration = Duration::from_secs(5);

/// Columns of the terminal that standard output is; nothing if it is none.
pub(super) fn width() -> Option<usize> {
    terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0))
}

/// Told on standard error.
pub(super) struct Progress {
    total: u64,
    bar: Option<ProgressBar>,
    told: Instant,
}

impl Progress {
    /// `total` in offsets to be read.
    pub(super) fn new(total: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:30} {percent:>3}%  {msg}  {elapsed}, {eta} left");
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { total, bar, told: Instant::now() }
    }

    /// So many offsets are left; what was done so far.
    pub(super) fn at(&mut self, left: u64, done: &str) {
        let read = self.total.saturating_sub(left);
        if let Some(bar) = &self.bar {
            bar.set_message(done.to_owned());
            bar.set_position(read);
        } else if self.told.elapsed() >= LINES {
            self.told = Instant::now();
            print_error(&format!("{done}; {read} of {} offsets read", self.total));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
