//! Whether every record was answered, once, and those of a key in order.

/// What is known of the answers so far.
pub(crate) struct Check {
    seen: Vec<bool>,
    /// By key: one more than the last record of it.
    next: Vec<u64>,
    answered: u64,
    repeated: u64,
    disordered: u64,
    foreign: u64,
}

/// How the records ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) lost: u64,
    pub(crate) repeated: u64,
    /// Answers that came after the answer of a later record of their key.
    pub(crate) disordered: u64,
    /// Answers to no record of this load, or wrong ones.
    pub(crate) foreign: u64,
}

impl Check {
    /// Of a load whose records are numbered from 0.
    pub(crate) fn new(records: u64) -> Self {
        Self {
            seen: vec![false; records as usize],
            next: Vec::new(),
            answered: 0,
            repeated: 0,
            disordered: 0,
            foreign: 0,
        }
    }

    /// An answer; says whether it is the first to its record. `seq` is nothing if it could not be told, or is wrong.
    pub(crate) fn answer(&mut self, key: u32, seq: Option<u64>) -> bool {
        let Some((seq, seen)) = seq.and_then(|seq| Some((seq, self.seen.get_mut(seq as usize)?))) else {
            self.foreign += 1;
            return false;
        };
        if std::mem::replace(seen, true) {
            self.repeated += 1;
            return false;
        }
        self.answered += 1;
        let key = key as usize;
        if self.next.len() <= key {
            self.next.resize(key + 1, 0);
        }
        if seq < self.next[key] {
            self.disordered += 1;
        } else {
            self.next[key] = seq + 1;
        }
        true
    }

    pub(crate) fn answered(&self) -> u64 {
        self.answered
    }

    pub(crate) fn verdict(&self) -> Verdict {
        let lost = self.seen.len() as u64 - self.answered;
        Verdict { lost, repeated: self.repeated, disordered: self.disordered, foreign: self.foreign }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(records: u64, answers: &[(u32, u64)]) -> Verdict {
        let mut check = Check::new(records);
        for (key, seq) in answers {
            check.answer(*key, Some(*seq));
        }
        check.verdict()
    }

    #[test]
    fn keys_may_overtake_each_other() {
        assert_eq!(verdict(4, &[(1, 1), (0, 0), (1, 3), (0, 2)]), Verdict::default());
    }

    #[test]
    fn a_lost_record_is_seen() {
        assert_eq!(verdict(3, &[(0, 0), (0, 2)]), Verdict { lost: 1, ..Verdict::default() });
    }

    #[test]
    fn a_repeated_answer_is_no_disorder() {
        assert_eq!(verdict(2, &[(0, 0), (0, 1), (0, 0)]), Verdict { repeated: 1, ..Verdict::default() });
    }

    #[test]
    fn a_record_that_is_overtaken_is_seen() {
        assert_eq!(verdict(3, &[(0, 1), (0, 0), (0, 2)]), Verdict { disordered: 1, ..Verdict::default() });
    }

    #[test]
    fn answers_to_nothing_are_seen() {
        let mut check = Check::new(1);
        assert!(check.answer(0, Some(0)));
        assert!(!check.answer(0, Some(1)));
        assert!(!check.answer(0, None));
        assert_eq!(check.verdict(), Verdict { foreign: 2, ..Verdict::default() });
    }
}
