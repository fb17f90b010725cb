//! Batching of an endpoint's calls: how many rows a call should have, what the failure of one with several records means, and
//! whether the model takes such calls at all. Pure; times are since any one start. Who waits is in [`collector`].
//!
//! One for an endpoint and process. The target starts at its bound. It halves when a call was too much for the server, and
//! grows by a step with each full call that is answered. If both halves of a failed call are answered, the call was too
//! large whatever the server said of it: its size is not tried again for a while. A model whose replies have other rows than
//! it was sent, several times in a row, does not answer row by row: it gets no merged call any more.

pub mod collector;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tonic::Code;

use super::error::CallError;

/// Replies with other rows, one after the other, that show it is the model. One bad row makes fewer: some servers answer a
/// batch that failed with success and no rows, and then every other half is good.
const UNSPLIT: u32 = 4;
/// A size that was too large is not tried again for so long.
const CEILING: Duration = Duration::from_mins(1);
/// The target grows by this part of its bound.
const STEP: usize = 16;

/// What is learned of an endpoint, shared by the threads.
#[derive(Debug)]
pub struct Learned(Mutex<State>);

#[derive(Debug)]
struct State {
    rows: usize,
    target: usize,
    /// A size that was too large, and when.
    ceiling: Option<(usize, Duration)>,
    /// Replies in a row that had other rows.
    unsplit: u32,
}

/// What the failure of a call with several records asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failing {
    /// One of the records may be the reason: send them in two halves. If not, each waits as after a call of its own.
    pub halve: bool,
    /// It may have been too much for the server.
    pub shrink: bool,
}

/// What a failure asks for.
pub fn failing(error: &CallError) -> Failing {
    let (halve, shrink) = match error {
        CallError::Refused(_) | CallError::ConnectTimeout(_) | CallError::Down | CallError::Unsupported(_) => {
            (false, false)
        }
        CallError::Status { code: 429 | 503, .. } | CallError::Grpc { code: Code::Unavailable, .. } => (false, true),
        CallError::Grpc { code: Code::ResourceExhausted, message, .. } => (is_size(message), true),
        CallError::Grpc { code: Code::OutOfRange, message, .. } => (true, is_size(message)),
        // A server that does not want so many bytes may close the connection without a word.
        CallError::Reset(_)
        | CallError::Timeout(_)
        | CallError::ReplyTooLarge { .. }
        | CallError::Status { code: 408 | 413 | 504, .. }
        | CallError::Grpc { code: Code::DeadlineExceeded, .. } => (true, true),
        CallError::Status { .. } | CallError::Grpc { .. } | CallError::BadReply(_) => (true, false),
    };
    Failing { halve, shrink }
}

/// Whether gRPC speaks of the size of a message: the words of its C, Go, Java and Rust libraries.
fn is_size(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["larger than max", "exceeds maximum size", "too large"].iter().any(|words| message.contains(words))
}

impl Learned {
    /// Nothing yet. `rows` is the bound of a call.
    pub fn new(rows: usize) -> Self {
        let rows = rows.max(1);
        Self(Mutex::new(State { rows, target: rows, ceiling: None, unsplit: 0 }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rows that a call should have.
    pub fn target(&self) -> usize {
        self.state().target
    }

    /// Whether requests are merged at all.
    pub fn merges(&self) -> bool {
        self.state().unsplit < UNSPLIT
    }

    /// A call with several records was answered, and its reply split. `full` says that it had all rows that it should have.
    pub fn answered(&self, full: bool, now: Duration) {
        let mut state = self.state();
        if state.unsplit < UNSPLIT {
            state.unsplit = 0;
        }
        if full {
            state.ceiling = state.ceiling.filter(|(_, at)| now.saturating_sub(*at) < CEILING);
            let most = state.ceiling.map_or(state.rows, |(rows, _)| state.rows.min(rows - 1)).max(state.target);
            state.target = (state.target + (state.target / STEP).max(1)).min(most);
        }
    }

    /// A call that was no half of another, and had so many rows, was too much for the server.
    pub fn too_much(&self, rows: usize) {
        let mut state = self.state();
        state.target = state.target.min((rows / 2).max(1));
    }

    /// Both halves of a call that had failed were answered. It had so many rows, and the larger half `half`.
    pub fn too_large(&self, rows: usize, half: usize, now: Duration) {
        let mut state = self.state();
        state.target = state.target.min(half.max(1));
        state.ceiling = Some((rows.max(2), now));
    }

    /// A reply had other rows than were sent. True if the model gets no merged call from now on, and did before.
    pub fn unsplit(&self) -> bool {
        let mut state = self.state();
        state.unsplit = state.unsplit.saturating_add(1);
        state.unsplit == UNSPLIT
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Full calls until the target stays.
    fn grow(learned: &Learned, now: Duration) -> usize {
        for _ in 0..1_000 {
            learned.answered(true, now);
        }
        learned.target()
    }

    #[test]
    fn the_target_halves_at_once_and_grows_in_steps() {
        let learned = Learned::new(256);
        assert_eq!(learned.target(), 256);
        for _ in 0..4 {
            // All that ran at the time.
            learned.too_much(256);
        }
        assert_eq!(learned.target(), 128);
        learned.answered(false, s(1));
        assert_eq!(learned.target(), 128, "a call that was not full shows nothing");
        learned.answered(true, s(1));
        assert_eq!(learned.target(), 136);
        assert_eq!(grow(&learned, s(1)), 256);
    }

    #[test]
    fn a_size_that_was_too_large_is_left_alone_for_a_while() {
        let learned = Learned::new(256);
        learned.too_large(16, 8, s(0));
        assert_eq!(learned.target(), 8);
        assert_eq!(grow(&learned, s(1)), 15);
        learned.too_large(9, 5, s(2));
        assert_eq!(grow(&learned, s(61)), 8);
        assert_eq!(grow(&learned, s(62)), 256);
    }

    #[test]
    fn only_replies_in_a_row_show_that_a_model_does_not_answer_row_by_row() {
        let learned = Learned::new(8);
        for _ in 0..UNSPLIT - 1 {
            assert!(!learned.unsplit());
        }
        learned.answered(false, s(0));
        for _ in 0..UNSPLIT - 1 {
            assert!(!learned.unsplit());
        }
        assert!(learned.merges());
        assert!(learned.unsplit(), "told once");
        assert!(!learned.unsplit());
        learned.answered(true, s(0));
        assert!(!learned.merges(), "a chance hit does not count");
    }

    #[test]
    fn a_failure_says_whether_a_record_or_the_size_may_be_the_reason() {
        let status = |code| CallError::Status { code, body: Bytes::new(), retry_after: None };
        let grpc = |code, message: &str| CallError::Grpc { code, message: message.into(), retry_after: None };
        let large = "Received message larger than max (5000000 vs. 4194304)";
        for (error, halve, shrink) in [
            (status(400), true, false),
            (status(500), true, false),
            (status(413), true, true),
            (status(429), false, true),
            (status(503), false, true),
            (grpc(Code::InvalidArgument, ""), true, false),
            (grpc(Code::Unavailable, ""), false, true),
            (grpc(Code::ResourceExhausted, "busy"), false, true),
            (grpc(Code::ResourceExhausted, large), true, true),
            (CallError::Timeout(s(1)), true, true),
            (CallError::Reset("gone".into()), true, true),
            (CallError::Refused("no".into()), false, false),
            (CallError::BadReply("no".into()), true, false),
        ] {
            assert_eq!(failing(&error), Failing { halve, shrink }, "{error}");
        }
    }

    proptest! {
        #[test]
        fn the_target_stays_within_its_bounds(
            rows in 1..500usize, happenings in proptest::collection::vec((0..4u8, 1..600usize, 0..200u64), 0..200),
        ) {
            let learned = Learned::new(rows);
            for (what, size, at) in happenings {
                match what {
                    0 => learned.answered(true, s(at)),
                    1 => learned.too_much(size),
                    2 => learned.too_large(size, size / 2, s(at)),
                    _ => learned.answered(false, s(at)),
                }
                prop_assert!((1..=rows).contains(&learned.target()));
            }
        }
    }
}
