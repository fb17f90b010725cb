//! What `millrace dlq` takes.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};

use crate::cli::args::Source;
use crate::kafka::outcome::ErrorClass;
use crate::kafka::replay::marks::Place;

/// What `dlq` takes.
#[derive(Args, Clone, Debug)]
pub struct DlqArgs {
    /// What to do.
    #[command(subcommand)]
    pub verb: DlqVerb,
}

/// What to do with dead letters.
#[derive(Subcommand, Clone, Debug)]
pub enum DlqVerb {
    /// Lists dead letters, those that were replayed left out
    List(ListArgs),
    /// Shows one dead letter: headers, what the node said, and the value
    Show(ShowArgs),
    /// Counts dead letters by class and node
    Count(ListArgs),
    /// Sends dead letters again, each once. A replay comes after later records of its key
    Replay(ReplayArgs),
}

/// A time as it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At this time.
    At(SystemTime),
    /// This long ago.
    Ago(Duration),
}

/// Which dead letters are meant. All that are given must hold.
#[derive(Args, Clone, Debug, Default)]
pub struct FilterArgs {
    /// Failed at or after this time: 2026-01-31T12:00:00Z, or 2h for two hours ago
    #[arg(long, value_name = "TIME", value_parser = when)]
    pub since: Option<When>,
    /// Failed before this time
    #[arg(long, value_name = "TIME", value_parser = when)]
    pub until: Option<When>,
    /// Class of the error, such as model_error
    #[arg(long, value_name = "CLASS", value_parser = class)]
    pub class: Option<String>,
    /// Node that failed
    #[arg(long, value_name = "NODE")]
    pub node: Option<String>,
    /// Key of the record, as text
    #[arg(long, value_name = "KEY", conflicts_with = "key_hex")]
    pub key: Option<String>,
    /// Key of the record, as hexadecimal digits
    #[arg(long, value_name = "HEX", value_parser = hex)]
    pub key_hex: Option<Bytes>,
    /// Partition of the dead-letter topic
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    pub partition: Option<i32>,
    /// Offset there
    #[arg(long, value_name = "N", requires = "partition", value_parser = clap::value_parser!(i64).range(0..))]
    pub offset: Option<i64>,
    /// No more than this many
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// The dead-letter topic, if it is not that of the configuration; replays go to the topic each letter came from
    #[arg(long, value_name = "NAME")]
    pub topic: Option<String>,
}

/// Bytes of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

/// What `dlq list` and `dlq count` take.
#[derive(Args, Clone, Debug)]
pub struct ListArgs {
    /// Which ones.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Those that were replayed too
    #[arg(long)]
    pub include_replayed: bool,
    /// One JSON object a line
    #[arg(long)]
    pub json: bool,
    /// Where the settings come from.
    #[command(flatten)]
    pub source: Source,
}

/// What `dlq show` takes.
#[derive(Args, Clone, Debug)]
pub struct ShowArgs {
    /// Which one, as `dlq list` names it
    #[arg(value_name = "PARTITION:OFFSET")]
    pub place: Place,
    /// Shows it even if it was replayed
    #[arg(long)]
    pub include_replayed: bool,
    /// Where to write the value's bytes
    #[arg(short = 'o', long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The dead-letter topic, if it is not that of the configuration
    #[arg(long, value_name = "NAME")]
    pub topic: Option<String>,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
    /// Where the settings come from.
    #[command(flatten)]
    pub source: Source,
}

/// What `dlq replay` takes.
#[derive(Args, Clone, Debug)]
pub struct ReplayArgs {
    /// Which ones; without any, all.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Sends them through the graph here, and the answers to the output topic
    #[arg(long)]
    pub through_graph: bool,
    /// Records that go through the graph at once
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub in_flight: u16,
    /// Says what would be done, and does nothing
    #[arg(long)]
    pub dry_run: bool,
    /// No more than this many records a second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub rate: Option<u32>,
    /// What was done as one JSON object a line
    #[arg(long)]
    pub json: bool,
    /// Where the settings come from.
    #[command(flatten)]
    pub source: Source,
}

fn when(text: &str) -> Result<When, String> {
    if let Ok(time) = humantime::parse_rfc3339_weak(text) {
        return Ok(When::At(time));
    }
    humantime::parse_duration(text)
        .map(When::Ago)
        .map_err(|_| "neither a time such as 2026-01-31T12:00:00Z (UTC) nor a duration such as 2h".into())
}

fn class(text: &str) -> Result<String, String> {
    let known = ErrorClass::ALL.map(ErrorClass::label);
    if known.contains(&text) { Ok(text.into()) } else { Err(format!("the classes are {}", known.join(", "))) }
}

fn hex(text: &str) -> Result<Bytes, String> {
    let wrong = || "pairs of hexadecimal digits are expected, such as 00ff".to_owned();
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return Err(wrong());
    }
    let byte = |at: usize| {
        let pair = &text[at..at + 2];
        let digits = pair.bytes().all(|digit| digit.is_ascii_hexdigit());
        u8::from_str_radix(pair, 16).ok().filter(|_| digits).ok_or_else(wrong)
    };
    (0..text.len()).step_by(2).map(byte).collect::<Result<_, _>>().map(Bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_absolute_or_ago() {
        assert_eq!(when("2h"), Ok(When::Ago(Duration::from_hours(2))));
        assert_eq!(when("1970-01-01T00:01:00Z"), Ok(When::At(SystemTime::UNIX_EPOCH + Duration::from_mins(1))));
        assert!(when("yesterday").is_err());
    }

    #[test]
    fn a_class_is_one_of_those_there_are() {
        assert_eq!(class("timeout"), Ok("timeout".into()));
        assert!(class("time_out").unwrap_err().contains("model_error"));
    }

    proptest! {
        #[test]
        fn any_key_can_be_given_in_digits(key in proptest::collection::vec(any::<u8>(), 0..20)) {
            let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap();
            let text: String = key.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect();
            prop_assert_eq!(hex(&text), Ok(Bytes(key)));
        }

        #[test]
        fn no_text_panics(text in ".{0,8}") {
            prop_assert!(hex(&text).is_err() || text.len() % 2 == 0);
            drop(when(&text));
        }
    }
}
