//! Log lines on standard error: JSON or for people, written by a thread of its own.
//!
//! Who logs never waits: when the thread falls behind, lines are dropped and their number is logged.

use std::io::{self, Write};
use std::time::SystemTime;

use slog::{Drain, FnValue, LevelFilter, Logger, Never, OwnedKVList, PushFnValue, Record, o};
use slog_async::{AsyncGuard, OverflowStrategy};

use crate::config::settings::{Log, LogFormat};

/// Lines that may wait to be written.
const WAITING: usize = 8192;

/// A logger, and what writes its last lines when it is dropped.
pub struct Logging {
    /// The root logger.
    pub log: Logger,
    _guard: AsyncGuard,
}

/// Starts logging to standard error.
pub fn start(settings: Log) -> Logging {
    match settings.format {
        LogFormat::Json => asynchronous(settings.level, json(io::stderr())),
        LogFormat::Terminal => {
            let decorator = slog_term::TermDecorator::new().stderr().build();
            let format = slog_term::FullFormat::new(decorator).use_utc_timestamp().build();
            asynchronous(settings.level, format.ignore_res())
        }
    }
}

fn asynchronous(level: slog::Level, drain: impl Drain<Ok = (), Err = Never> + Send + 'static) -> Logging {
    let (drain, guard) = slog_async::Async::new(drain)
        .chan_size(WAITING)
        .overflow_strategy(OverflowStrategy::DropAndReport)
        .thread_name("log".into())
        .build_with_guard();
    // Outside, so that a line that is not wanted costs nothing.
    let drain = LevelFilter::new(drain, level).ignore_res();
    Logging { log: Logger::root(drain, o!()), _guard: guard }
}

fn json<W: Write + Send + 'static>(to: W) -> impl Drain<Ok = (), Err = Never> + Send {
    let drain = slog_json::Json::new(to)
        .set_newlines(true)
        .set_flush(true)
        .add_key_value(o!(
            "msg" => PushFnValue(|record: &Record<'_>, serializer| serializer.emit(record.msg())),
            "level" => FnValue(|record: &Record<'_>| record.level().as_str().to_ascii_lowercase()),
            "ts" => FnValue(|_: &Record<'_>| humantime::format_rfc3339_millis(SystemTime::now()).to_string()),
        ))
        .build();
    Locked(std::sync::Mutex::new(drain)).ignore_res()
}

/// One writer at a time; there is only one, but a drain may be shared.
struct Locked<D>(std::sync::Mutex<D>);

impl<D: Drain> Drain for Locked<D> {
    type Ok = D::Ok;
    type Err = D::Err;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<D::Ok, D::Err> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).log(record, values)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(level: slog::Level, write: impl FnOnce(&Logger)) -> Vec<serde_json::Value> {
        let written = Written::default();
        let logging = asynchronous(level, json(written.clone()));
        write(&logging.log);
        drop(logging);
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_is_one_json_object() {
        let lines = lines(slog::Level::Info, |log| {
            slog::debug!(log, "hidden");
            slog::warn!(log, "shown"; "topic" => "a\nb", "offset" => 7);
        });
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["msg"], "shown");
        assert_eq!(lines[0]["level"], "warning");
        assert_eq!(lines[0]["topic"], "a\nb");
        assert_eq!(lines[0]["offset"], 7);
        assert!(lines[0]["ts"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn who_logs_never_waits_and_what_is_dropped_is_counted() {
        struct Stuck(Mutex<std::sync::mpsc::Receiver<()>>, Written);
        impl Drain for Stuck {
            type Ok = ();
            type Err = Never;
            fn log(&self, record: &Record<'_>, _: &OwnedKVList) -> Result<(), Never> {
                // Waits for the test's word the first time; later the sender is gone.
                self.0.lock().unwrap().recv().ok();
                writeln!(self.1.clone(), "{}", record.msg()).unwrap();
                Ok(())
            }
        }
        let (go, wait) = std::sync::mpsc::channel();
        let written = Written::default();
        let logging = asynchronous(slog::Level::Info, Stuck(Mutex::new(wait), written.clone()));
        for _ in 0..WAITING + 100 {
            slog::info!(logging.log, "line");
        }
        drop(go);
        drop(logging);
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let count = text.lines().filter(|line| *line == "line").count();
        assert!((WAITING..WAITING + 100).contains(&count), "{count}");
    }
}
