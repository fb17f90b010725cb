//! Where a partition is read from when it is assigned.
//!
//! Pure. The policy is ours, not the client library's: a position outside the log is never jumped over in silence.

use crate::config::settings::Start;
use crate::record::{NextOffset, Offset};

/// The log's first offset and the one after its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// Oldest offset that is kept.
    pub low: i64,
    /// Offset that the next record written will have.
    pub high: i64,
}

/// Where to begin, and what has to be told or done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// First offset to read.
    pub at: NextOffset,
    /// The group has no committed offset here: commit this one, so that lag can be seen from the start.
    pub commit: bool,
    /// The committed offset lies outside the log.
    pub outside: Option<Outside>,
}

/// A committed offset that the log does not hold any more, or not yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outside {
    /// What was committed.
    pub committed: NextOffset,
    /// First offset of the range that will not be read.
    pub from: Offset,
    /// Records (offsets) that will not be read.
    pub lost: i64,
}

/// Decides from what is committed, what the log holds and the policy.
pub fn begin(committed: Option<NextOffset>, log: Log, policy: Start) -> Beginning {
    let by_policy = match policy {
        Start::Earliest => log.low,
        Start::Latest => log.high,
    };
    match committed {
        None => Beginning { at: NextOffset(by_policy), commit: true, outside: None },
        Some(next) if (log.low..=log.high).contains(&next.0) => Beginning { at: next, commit: false, outside: None },
        Some(next) => {
            // Behind the log: all between is gone. Ahead of it: the log is another one, or was cut.
            let from = if next.0 < log.low { next.0 } else { log.low };
            let outside = Outside { committed: next, from: Offset(from), lost: (by_policy - from).max(0) };
            Beginning { at: NextOffset(by_policy), commit: true, outside: Some(outside) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: Log = Log { low: 10, high: 20 };

    #[test]
    fn a_committed_offset_inside_the_log_is_taken_as_it_is() {
        for next in [10, 15, 20] {
            let beginning = begin(Some(NextOffset(next)), LOG, Start::Latest);
            assert_eq!(beginning, Beginning { at: NextOffset(next), commit: false, outside: None });
        }
    }

    #[test]
    fn without_a_committed_offset_the_policy_decides_and_is_committed() {
        for (policy, at) in [(Start::Earliest, 10), (Start::Latest, 20)] {
            assert_eq!(begin(None, LOG, policy), Beginning { at: NextOffset(at), commit: true, outside: None });
        }
    }

    #[test]
    fn a_position_that_retention_overtook_names_what_is_lost() {
        let beginning = begin(Some(NextOffset(4)), LOG, Start::Earliest);
        assert_eq!(beginning.at, NextOffset(10));
        let outside = beginning.outside.unwrap();
        assert_eq!((outside.from, outside.lost), (Offset(4), 6));
        assert_eq!(begin(Some(NextOffset(4)), LOG, Start::Latest).outside.unwrap().lost, 16);
    }

    #[test]
    fn a_position_ahead_of_the_log_loses_nothing_when_all_of_it_is_read_again() {
        let beginning = begin(Some(NextOffset(99)), LOG, Start::Earliest);
        assert_eq!((beginning.at, beginning.outside.unwrap().lost), (NextOffset(10), 0));
        assert_eq!(begin(Some(NextOffset(99)), LOG, Start::Latest).outside.unwrap().lost, 10);
    }
}
