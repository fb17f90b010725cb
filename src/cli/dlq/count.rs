//! `millrace dlq count`: how many dead letters there are of each class and node.

use std::collections::BTreeMap;

use serde_json::json;

use super::args::ListArgs;
use super::desk::Desk;
use super::{Problem, table};
use crate::cli::exit::Exit;
use crate::cli::print;

/// Classes and nodes are few, but anything may stand in a topic: what comes after these is counted together.
const KINDS: usize = 1000;

pub(super) fn count(arguments: &ListArgs) -> Result<Exit, Problem> {
    let desk = Desk::open(&arguments.source, arguments.filter.topic.as_ref())?;
    let mut letters = desk.letters(&arguments.filter, arguments.include_replayed)?;
    let mut counts: BTreeMap<(Option<String>, Option<String>), u64> = BTreeMap::new();
    let mut total = 0_u64;
    while let Some(found) = letters.next()? {
        total += 1;
        let kind = (found.letter.class, found.letter.node);
        let known = counts.len() < KINDS || counts.contains_key(&kind);
        *counts.entry(if known { kind } else { (Some("others".into()), None) }).or_default() += 1;
    }
    if arguments.json {
        for ((class, node), count) in &counts {
            print(&json!({"class": class, "node": node, "count": count}).to_string());
        }
        return Ok(Exit::Done);
    }
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
    let rows = counts.iter().map(|((class, node), count)| [text(class), text(node), count.to_string()]);
    let rows: Vec<_> = rows.chain([["total".into(), String::new(), total.to_string()]]).collect();
    print(&table::lines(["CLASS", "NODE", "COUNT"], &rows, super::progress::width()).join("\n"));
    Ok(Exit::Done)
}
