//! SIGTERM and SIGINT: the first asks for the end, the second ends the process at once.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::Stopper;

pub(super) fn on_signals(stopper: Stopper) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
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
