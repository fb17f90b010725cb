//! Which key a record gets: round robin, drawn evenly, or drawn as in life, where few keys have most records.

use serde::Serialize;

/// How the keys of a load are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Keys {
    RoundRobin(u32),
    Uniform(u32),
    /// The k-th most frequent key is 1/k as frequent as the first.
    Zipf(u32),
}

/// Chooses the keys of one load; the same load has the same keys in every run.
pub(crate) struct Chooser {
    keys: Keys,
    random: fastrand::Rng,
    /// Of Zipf: the share of keys up to and including each.
    cumulated: Vec<f64>,
}

impl Chooser {
    pub(crate) fn new(keys: Keys) -> Self {
        let cumulated = match keys {
            Keys::Zipf(count) => zipf(count),
            Keys::RoundRobin(_) | Keys::Uniform(_) => Vec::new(),
        };
        Self { keys, random: fastrand::Rng::with_seed(7), cumulated }
    }

    /// The key of record number `seq`.
    pub(crate) fn key(&mut self, seq: u64) -> u32 {
        match self.keys {
            Keys::RoundRobin(count) => (seq % u64::from(count)) as u32,
            Keys::Uniform(count) => self.random.u32(0..count),
            Keys::Zipf(_) => {
                let drawn = self.random.f64();
                let at = self.cumulated.partition_point(|share| *share <= drawn);
                at.min(self.cumulated.len() - 1) as u32
            }
        }
    }
}

fn zipf(count: u32) -> Vec<f64> {
    let total: f64 = (1..=count).map(|k| 1.0 / f64::from(k)).sum();
    let mut sum = 0.0;
    (1..=count)
        .map(|k| {
            sum += 1.0 / f64::from(k) / total;
            sum
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(keys: Keys, of: usize) -> Vec<u32> {
        let mut chooser = Chooser::new(keys);
        let mut counts = vec![0; of];
        (0..100_000).for_each(|seq| counts[chooser.key(seq) as usize] += 1);
        counts
    }

    #[test]
    fn keys_go_round() {
        let mut chooser = Chooser::new(Keys::RoundRobin(3));
        assert_eq!((0..5).map(|seq| chooser.key(seq)).collect::<Vec<_>>(), [0, 1, 2, 0, 1]);
    }

    #[test]
    fn even_keys_are_even() {
        let counts = counts(Keys::Uniform(10), 10);
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
    }

    #[test]
    fn the_second_key_of_zipf_is_half_as_frequent() {
        let counts = counts(Keys::Zipf(100), 100);
        let of = |rank: usize| f64::from(counts[0]) / f64::from(counts[rank - 1]);
        assert!((1.9..2.1).contains(&of(2)), "{counts:?}");
        assert!((9.0..11.0).contains(&of(10)), "{counts:?}");
        assert!(counts[99] > 0, "{counts:?}");
    }

    #[test]
    fn the_same_load_has_the_same_keys() {
        assert_eq!(counts(Keys::Zipf(50), 50), counts(Keys::Zipf(50), 50));
    }
}
