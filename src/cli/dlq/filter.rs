//! Which dead letters are meant. Decides and does nothing else: the time is a parameter.

use std::time::SystemTime;

use super::args::{FilterArgs, When};
use crate::kafka::replay::browse::Span;
use crate::kafka::replay::letter::Letter;

/// What a letter has to be.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    since: Option<i64>,
    until: Option<i64>,
    class: Option<String>,
    node: Option<String>,
    key: Option<Vec<u8>>,
    partition: Option<i32>,
    offset: Option<i64>,
}

impl Filter {
    /// Durations are counted back from `now`.
    pub(super) fn new(arguments: &FilterArgs, now: SystemTime) -> Self {
        let millis = |when: Option<When>| when.map(|when| milliseconds(when, now));
        let hex = || arguments.key_hex.as_ref().map(|key| key.0.clone());
        Self {
            since: millis(arguments.since),
            until: millis(arguments.until),
            class: arguments.class.clone(),
            node: arguments.node.clone(),
            key: arguments.key.as_ref().map(|key| key.clone().into_bytes()).or_else(hex),
            partition: arguments.partition,
            offset: arguments.offset,
        }
    }

    /// Whether a letter is meant. What it does not tell is not what was asked for.
    pub(super) fn takes(&self, letter: &Letter, key: Option<&[u8]>) -> bool {
        let is = |wanted: &Option<String>, told: &Option<String>| wanted.is_none() || wanted == told;
        let since = self.since.is_none_or(|since| letter.failed_at.is_some_and(|at| at >= since));
        let until = self.until.is_none_or(|until| letter.failed_at.is_some_and(|at| at < until));
        since
            && until
            && is(&self.class, &letter.class)
            && is(&self.node, &letter.node)
            && self.key.as_ref().is_none_or(|wanted| key == Some(wanted))
            && self.partition.is_none_or(|partition| partition == letter.place.partition)
            && self.offset.is_none_or(|offset| offset == letter.place.offset)
    }

    /// What has to be read of a topic to find all that are meant.
    pub(super) fn narrow(&self, spans: Vec<Span>) -> Vec<Span> {
        let mut spans = spans;
        spans.retain(|span| self.partition.is_none_or(|partition| partition == span.partition));
        if let Some(offset) = self.offset {
            for span in &mut spans {
                // Outside of what there is, nothing is left.
                let there = (span.first..span.end).contains(&offset);
                *span = if there {
                    Span { first: offset, end: offset + 1, ..*span }
                } else {
                    Span { end: span.first, ..*span }
                };
            }
        }
        spans
    }
}

fn milliseconds(when: When, now: SystemTime) -> i64 {
    let time = match when {
        When::At(time) => time,
        When::Ago(ago) => now.checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH),
    };
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::cli::dlq::args::Bytes;
    use crate::kafka::replay::letter::Missing;
    use crate::kafka::replay::marks::Place;

    fn letter(partition: i32, offset: i64, class: Option<&str>, node: Option<&str>, failed_at: Option<i64>) -> Letter {
        Letter {
            place: Place { partition, offset },
            class: class.map(Into::into),
            message: None,
            node: node.map(Into::into),
            status: None,
            attempts: None,
            failed_at,
            source: None,
            missing: Missing::Nothing,
            replays: 0,
        }
    }

    fn filter(change: impl FnOnce(&mut FilterArgs)) -> Filter {
        let mut arguments = FilterArgs::default();
        change(&mut arguments);
        Filter::new(&arguments, SystemTime::UNIX_EPOCH + Duration::from_secs(100))
    }

    #[test]
    fn since_is_included_and_until_is_not() {
        let at = |failed_at| letter(0, 0, None, None, Some(failed_at));
        let since = filter(|of| of.since = Some(When::Ago(Duration::from_secs(40))));
        assert!(since.takes(&at(60_000), None) && !since.takes(&at(59_999), None));
        let until = filter(|of| of.until = Some(When::At(SystemTime::UNIX_EPOCH + Duration::from_mins(1))));
        assert!(until.takes(&at(59_999), None) && !until.takes(&at(60_000), None));
        assert!(!since.takes(&letter(0, 0, None, None, None), None), "without a time it is not known to be later");
        let ever = filter(|of| of.since = Some(When::Ago(Duration::MAX)));
        assert!(ever.takes(&at(0), None));
    }

    #[test]
    fn keys_are_compared_as_bytes() {
        let text = filter(|of| of.key = Some("k".into()));
        let binary = filter(|of| of.key_hex = Some(Bytes(vec![0xff])));
        let any = letter(0, 0, None, None, None);
        assert!(text.takes(&any, Some(b"k")) && !text.takes(&any, Some(b"kk")) && !text.takes(&any, None));
        assert!(binary.takes(&any, Some(b"\xff")) && !binary.takes(&any, Some(b"")));
    }

    proptest! {
        #[test]
        fn all_that_is_given_must_hold_and_what_is_not_read_is_not_meant(
            partition in proptest::option::of(0..3i32), offset in proptest::option::of(0..30i64),
            class in proptest::option::of(0..2usize), node in proptest::option::of(0..2usize),
        ) {
            let (classes, nodes) = (["timeout", "poison"], ["a", "b"]);
            let filter = filter(|of| {
                of.partition = partition;
                of.offset = offset.filter(|_| partition.is_some());
                of.class = class.map(|class| classes[class].into());
                of.node = node.map(|node| nodes[node].into());
            });
            let all: Vec<Span> = (0..3).map(|partition| Span { partition, first: 5, end: 20 }).collect();
            let narrowed = filter.narrow(all);
            for p in 0..3 {
                for o in 5..20 {
                    for (c, n) in [(0, Some(0)), (0, Some(1)), (1, Some(0)), (1, None)] {
                        let letter = letter(p, o, Some(classes[c]), n.map(|n: usize| nodes[n]), None);
                        let wanted = partition.is_none_or(|of| of == p)
                            && (partition.is_none() || offset.is_none_or(|of| of == o))
                            && class.is_none_or(|of| of == c) && (node.is_none() || node == n);
                        prop_assert_eq!(filter.takes(&letter, None), wanted);
                        let read = narrowed.iter().any(|span| span.partition == p && (span.first..span.end).contains(&o));
                        prop_assert!(read || !wanted);
                    }
                }
            }
        }
    }
}
