//! SIGTERM and SIGINT: the first asks for the end, the second ends the process at once.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::Stopper;

/// From now on a signal no longer ends the process by itself; it is kept until [`act_on`] looks.
pub(super) fn catch() -> std::io::Result<Signals> {
    Signals::new([SIGTERM, SIGINT])
}

/// Acts on signals, on a thread of its own: those that have come already first.
pub(super) fn act_on(mut signals: Signals, stopper: Stopper) -> std::io::Result<()> {
    let wait = move || {
        let mut seen = signals.forever();
        if let Some(signal) = seen.next() {
            stopper.stop(if signal == SIGTERM { "SIGTERM" } else { "SIGINT" });
        }
        if let Some(signal) = seen.next() {
            exit_now(128 + signal as u8);
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(wait).map(drop)
}

#[expect(clippy::disallowed_methods, reason = "nothing can be drained or joined any more")]
pub(super) fn exit_now(code: u8) {
    std::process::exit(i32::from(code));
}
