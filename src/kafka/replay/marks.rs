//! Which dead letters were replayed: the records of the markers topic as a set of positions. Pure.
//!
//! A marker's key is `partition:offset` of its letter. One without a value takes the mark away again.

use std::collections::{BTreeMap, HashMap};

/// A position in the dead-letter topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Partition.
    pub partition: i32,
    /// Offset there.
    pub offset: i64,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.partition, self.offset)
    }
}

impl std::str::FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once(':').and_then(|(partition, offset)| {
            let (partition, offset) = (partition.parse().ok()?, offset.parse().ok()?);
            (partition >= 0 && offset >= 0).then_some(Self { partition, offset })
        });
        parsed.ok_or_else(|| format!("{text:?} is no PARTITION:OFFSET, such as 0:17"))
    }
}

/// A set of positions: a bit for each, 64 offsets in a word, so that it stays small where most letters were replayed.
/// Bounded by the letters that still exist: see [`Marks::keeping`].
#[derive(Clone, Debug, Default)]
pub struct Marks {
    words: HashMap<i32, BTreeMap<i64, u64>>,
    first: HashMap<i32, i64>,
}

impl Marks {
    /// Keeps only marks of letters at or after these offsets: `(partition, first offset)`. Older letters are gone, and
    /// partitions that are not named have none.
    pub fn keeping(first: impl IntoIterator<Item = (i32, i64)>) -> Self {
        Self { words: HashMap::new(), first: first.into_iter().collect() }
    }

    /// Takes a record of the markers topic in. False if its key is no marker's.
    pub fn take(&mut self, key: Option<&[u8]>, has_value: bool) -> bool {
        let place = key.and_then(|key| std::str::from_utf8(key).ok()).and_then(|key| key.parse::<Place>().ok());
        let Some(place) = place else { return false };
        if self.first.get(&place.partition).is_none_or(|&first| place.offset < first) {
            return true;
        }
        let words = self.words.entry(place.partition).or_default();
        let (at, bit) = position(place.offset);
        if has_value {
            *words.entry(at).or_default() |= bit;
        } else if let Some(word) = words.get_mut(&at) {
            *word &= !bit;
            if *word == 0 {
                words.remove(&at);
            }
        }
        true
    }

    /// Whether the letter there was replayed.
    pub fn contains(&self, place: Place) -> bool {
        let (at, bit) = position(place.offset);
        self.words.get(&place.partition).and_then(|words| words.get(&at)).is_some_and(|word| word & bit != 0)
    }
}

fn position(offset: i64) -> (i64, u64) {
    (offset / 64, 1 << (offset % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_set_of_what_was_marked_last(steps in proptest::collection::vec((0..3i32, 0..200i64, any::<bool>()), 0..200)) {
            let mut marks = Marks::keeping([(0, 0), (1, 100)]);
            let mut truth = BTreeSet::new();
            for (partition, offset, has_value) in steps {
                let place = Place { partition, offset };
                prop_assert!(marks.take(Some(place.to_string().as_bytes()), has_value));
                let kept = partition == 0 || partition == 1 && offset >= 100;
                if has_value && kept { truth.insert(place); } else { truth.remove(&place); }
            }
            for partition in 0..3 {
                for offset in 0..200 {
                    let place = Place { partition, offset };
                    prop_assert_eq!(marks.contains(place), truth.contains(&place));
                }
            }
        }
    }

    #[test]
    fn what_is_no_marker_is_told() {
        let mut marks = Marks::keeping([(0, 0)]);
        for key in [None, Some(&b"x"[..]), Some(b"1"), Some(b"1:"), Some(b"-1:2"), Some(b"1:-2"), Some(b"\xff:1")] {
            assert!(!marks.take(key, true), "{key:?}");
        }
        assert!(!marks.contains(Place { partition: 0, offset: 5 }));
    }
}
