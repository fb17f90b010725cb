//! `millrace dlq show`: one dead letter with headers, what the node said, and the value.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};

use bytes::Bytes;
use serde_json::Value;

use super::args::{FilterArgs, ShowArgs};
use super::desk::{Desk, Found};
use super::{Problem, describe, table};
use crate::cli::exit::Exit;
use crate::cli::print;
use crate::kafka::dead_letter::ERROR_BODY;
use crate::kafka::replay::letter::Missing;
use crate::kafka::replay::restore::mismatch;

pub(super) fn show(arguments: &ShowArgs) -> Result<Exit, Problem> {
    let desk = Desk::open(&arguments.source, arguments.topic.as_ref())?;
    let place = arguments.place;
    let one = FilterArgs {
        partition: Some(place.partition),
        offset: Some(place.offset),
        limit: Some(1),
        ..FilterArgs::default()
    };
    let Some(mut found) = desk.letters(&one, true)?.next()? else {
        return Err(Problem::new(Exit::Data, format!("there is no dead letter at {place} of {}", desk.topic)));
    };
    if found.replayed && !arguments.include_replayed {
        let text = format!("the dead letter at {place} was replayed; --include-replayed shows it");
        return Err(Problem::new(Exit::Data, text));
    }
    let note = fetched(&desk, &mut found)?;
    if let Some(file) = &arguments.output {
        let value = found.record.value.clone().unwrap_or_default();
        let failed = |error| Problem::new(Exit::Data, format!("{}: {error}", file.display()));
        std::fs::write(file, value).map_err(failed)?;
    }
    if arguments.json {
        print(&Value::Object(describe::whole(&found)).to_string());
        return Ok(Exit::Done);
    }
    print(&head(&found, note.as_deref()));
    if arguments.output.is_none() {
        // A reader that went away is no fault of ours.
        value(found.record.value.as_ref()).ok();
    }
    Ok(Exit::Done)
}

/// Puts in what is missing, if it still stands at the source; says what was done.
fn fetched(desk: &Desk, found: &mut Found) -> Result<Option<String>, Problem> {
    let (letter, record) = (&found.letter, &found.record);
    if letter.missing == Missing::Nothing {
        return Ok(None);
    }
    let Some(source) = &letter.source else { return Ok(Some("missing, and no source is told".into())) };
    let at = format!("{} {}", source.topic, source.place);
    let there = desk.browser.fetch(&source.topic, source.place).map_err(Problem::unavailable)?;
    let Some(there) = there else { return Ok(Some(format!("missing; {at} was removed by retention"))) };
    if let Some(why) = mismatch(record, letter, source, &there) {
        return Ok(Some(format!("missing; {at}: {why}")));
    }
    if letter.missing == Missing::Everything {
        found.record.key = there.key;
    }
    found.record.value = there.value;
    Ok(Some(format!("too large for a dead letter, read at {at}")))
}

fn head(found: &Found, note: Option<&str>) -> String {
    let (letter, record) = (&found.letter, &found.record);
    let mut text = format!("dead letter  {}", letter.place);
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            write!(text, "\n{name:<11}  {}", table::plain(&value)).expect("memory takes all text");
        }
    };
    line("replayed", found.replayed.then(|| "yes".into()));
    line("failed at", describe::time(letter.failed_at));
    line("class", letter.class.clone());
    line("node", letter.node.clone());
    line("message", letter.message.clone());
    line("key", Some(describe::bytes(record.key.as_deref())));
    line("value", note.map(str::to_owned));
    text.push_str("\n\nheaders");
    for header in record.headers.0.iter().filter(|header| !header.name.eq_ignore_ascii_case(ERROR_BODY)) {
        let value = describe::bytes(header.value.as_deref());
        write!(text, "\n  {}: {}", table::plain(&header.name), table::plain(&value)).expect("memory takes all text");
    }
    if let Some(body) = record.headers.get(ERROR_BODY) {
        text.push_str("\n\nthe node's response\n");
        text.push_str(&lines(&String::from_utf8_lossy(body)));
    }
    text.push_str("\n\nvalue");
    text
}

/// Many lines, each without what a terminal would obey.
fn lines(text: &str) -> String {
    text.lines().map(table::plain).collect::<Vec<_>>().join("\n")
}

/// On a terminal in a form to be read, else as it is.
fn value(value: Option<&Bytes>) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let Some(value) = value else { return writeln!(out, "(none)") };
    if !out.is_terminal() {
        out.write_all(value)?;
        return writeln!(out);
    }
    let pretty = serde_json::from_slice::<Value>(value).ok().and_then(|json| serde_json::to_string_pretty(&json).ok());
    match (pretty, std::str::from_utf8(value)) {
        (Some(json), _) => writeln!(out, "{}", lines(&json)),
        (None, Ok(text)) => writeln!(out, "{}", lines(text)),
        (None, Err(_)) => writeln!(out, "({} bytes; -o FILE keeps them)", value.len()),
    }
}
