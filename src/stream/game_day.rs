//! Crashes that a record asks for, on game days: with `admin.allow_crash` set, the header `millrace-crash` of a record names a
//! kind of actor, which then panics over this record. Without it the header means nothing.
//!
//! | value | what panics |
//! |---|---|
//! | `consumer`, `router`, `model` or `producer` | that kind of actor, with the record at hand |
//! | `router unseen`, and so on | the same, in a timer: nothing tells that it was this record |

use crate::record::Record;

/// The header.
pub const CRASH: &str = "millrace-crash";

/// A kind of actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// ConsumerActor.
    Consumer,
    /// RequestRouterActor.
    Router,
    /// ModelClientActor.
    Model,
    /// ProducerActor.
    Producer,
}

impl Kind {
    /// Its name in the header.
    pub fn label(self) -> &'static str {
        match self {
            Self::Consumer => "consumer",
            Self::Router => "router",
            Self::Model => "model",
            Self::Producer => "producer",
        }
    }
}

/// How it panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// While it handles the record.
    AtHand,
    /// While it holds the record, with nothing at hand.
    Unseen,
}

/// Whether records may ask for crashes.
#[derive(Clone, Copy, Debug)]
pub struct GameDay(pub bool);

impl GameDay {
    /// What a record asks of a kind of actor.
    pub fn asks(self, record: &Record, kind: Kind) -> Option<Manner> {
        let mut words = if self.0 { record.headers.text(CRASH)? } else { "" }.split_whitespace();
        if words.next() != Some(kind.label()) {
            return None;
        }
        Some(if words.next() == Some("unseen") { Manner::Unseen } else { Manner::AtHand })
    }
}

/// Does what the record asked for.
pub fn crash(kind: Kind) -> ! {
    panic!("a record asked for it with {CRASH}: {}", kind.label())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Headers, Offset, Partition};

    fn record(value: &'static str) -> Record {
        let mut headers = Headers::default();
        headers.push("Millrace-Crash", value);
        Record {
            topic: "in".into(),
            partition: Partition(0),
            offset: Offset(0),
            key: None,
            value: None,
            headers,
            timestamp: None,
            unreadable_headers: 0,
        }
    }

    #[test]
    fn a_record_asks_one_kind_of_actor_and_only_where_it_may() {
        let asked = record("router unseen");
        assert_eq!(GameDay(true).asks(&asked, Kind::Router), Some(Manner::Unseen));
        assert_eq!(GameDay(true).asks(&asked, Kind::Model), None);
        assert_eq!(GameDay(false).asks(&asked, Kind::Router), None);
        assert_eq!(GameDay(true).asks(&record("model"), Kind::Model), Some(Manner::AtHand));
        assert_eq!(GameDay(true).asks(&record(""), Kind::Model), None);
    }
}
