//! `millrace dlq list`: dead letters in the order of their partitions, as a table or as JSON.

use serde_json::Value;

use super::args::ListArgs;
use super::desk::{Desk, Found};
use super::{Problem, describe, table};
use crate::cli::exit::Exit;
use crate::cli::{print, print_error};

/// Rows that are held to find the widths of columns; then they are printed.
const ROWS: usize = 500;
const HEAD: [&str; 8] = ["AT", "FAILED AT", "CLASS", "NODE", "KEY", "REPLAYS", "", "MESSAGE"];
/// A key may be of any length, and a message is to be seen beside it.
const KEY: usize = 32;

pub(super) fn list(arguments: &ListArgs) -> Result<Exit, Problem> {
    let desk = Desk::open(&arguments.source, arguments.filter.topic.as_ref())?;
    let mut letters = desk.letters(&arguments.filter, arguments.include_replayed)?;
    let mut rows = Vec::new();
    let mut any = false;
    while let Some(found) = letters.next()? {
        any = true;
        if arguments.json {
            print(&Value::Object(describe::object(&found)).to_string());
            continue;
        }
        rows.push(row(&found));
        if rows.len() == ROWS {
            print(&told(&rows));
            rows.clear();
        }
    }
    if !rows.is_empty() {
        print(&told(&rows));
    } else if !any && !arguments.json {
        print_error(&format!("no dead letters in {}", desk.topic));
    }
    Ok(Exit::Done)
}

fn told(rows: &[[String; 8]]) -> String {
    table::lines(HEAD, rows, super::progress::width()).join("\n")
}

fn row(found: &Found) -> [String; 8] {
    let letter = &found.letter;
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
    [
        letter.place.to_string(),
        describe::time(letter.failed_at).unwrap_or_else(|| "-".into()),
        text(&letter.class),
        text(&letter.node),
        table::cut(&describe::bytes(found.record.key.as_deref()), KEY),
        letter.replays.to_string(),
        if found.replayed { "replayed".into() } else { String::new() },
        text(&letter.message),
    ]
}
