//! Who kills a model: records whose calls were running whenever their endpoint went down. Pure.
//!
//! One that goes down under load takes all its calls along, and that makes nobody suspect. The second time does: such a
//! record is called alone from then on, so that it harms nobody and shows what it does. If the endpoint goes down under it
//! alone, three times, it is the record. Any answer clears it. Who may call alone is settled in [`shares`](super::shares).

use std::time::Duration;

/// Calls lost to an endpoint that went down, from which on a record is suspect.
const SUSPECT: u32 = 2;
/// Times that the endpoint goes down under a suspect alone.
pub const STRIKES: u32 = 3;

/// How a call was lost, as far as it tells of a death of its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The connection broke while the call ran.
    Reset,
    /// No answer came, to nobody.
    Hang {
        /// When the endpoint last answered any call of the process.
        last_answer: Option<Duration>,
    },
}

/// What is held against the calls of a record at one endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Suspicion {
    losses: u32,
    strikes: u32,
    /// When it was last lost.
    last: Duration,
}

impl Suspicion {
    /// Whether it is to be called alone.
    pub fn is_suspect(&self) -> bool {
        self.losses >= SUSPECT
    }

    /// Times that the endpoint went down under it alone.
    pub fn strikes(&self) -> u32 {
        self.strikes
    }

    /// The call was lost. `alone` says that no other ran beside it and that it began after a good probe. True once it is
    /// shown that the record does it.
    ///
    /// A server that is ready and hangs for all would convict whoever tries it. So a hang counts only if others were
    /// answered since the last one.
    pub fn lost(&mut self, loss: Loss, alone: bool, now: Duration) -> bool {
        let others_live = match loss {
            Loss::Reset => true,
            Loss::Hang { last_answer } => last_answer.is_some_and(|at| at > self.last),
        };
        if alone && self.is_suspect() && others_live {
            self.strikes += 1;
        }
        self.losses = self.losses.saturating_add(1);
        self.last = now;
        self.strikes >= STRIKES
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn one_restart_makes_nobody_suspect_and_the_second_does() {
        let mut record = Suspicion::default();
        assert!(!record.lost(Loss::Reset, false, s(1)) && !record.is_suspect());
        assert!(!record.lost(Loss::Reset, false, s(2)) && record.is_suspect());
        assert_eq!(record.strikes(), 0);
    }

    #[test]
    fn three_deaths_alone_convict() {
        let mut record = Suspicion::default();
        let convicted: Vec<_> = (0..5).map(|time| record.lost(Loss::Reset, true, s(time))).collect();
        assert_eq!(convicted, [false, false, false, false, true]);
    }

    #[test]
    fn a_hang_counts_only_if_others_were_answered_since() {
        let mut record = Suspicion::default();
        let hang = |at: Option<u64>| Loss::Hang { last_answer: at.map(s) };
        for time in 0..100 {
            assert!(!record.lost(hang(Some(0)), true, s(time + 1)), "it hangs for all");
        }
        assert!(record.is_suspect() && record.strikes() == 0);
        assert!(!record.lost(hang(Some(150)), true, s(200)));
        assert!(!record.lost(hang(Some(150)), true, s(300)), "the same answer");
        assert!(!record.lost(hang(Some(350)), true, s(400)));
        assert!(record.lost(hang(Some(450)), true, s(500)));
    }

    proptest! {
        #[test]
        fn nobody_is_convicted_beside_others(losses in prop::collection::vec(any::<bool>(), 0..100)) {
            let mut record = Suspicion::default();
            for (time, reset) in losses.into_iter().enumerate() {
                let now = s(2 * time as u64 + 1);
                let loss = if reset { Loss::Reset } else { Loss::Hang { last_answer: Some(now) } };
                prop_assert!(!record.lost(loss, false, now));
            }
        }
    }
}
