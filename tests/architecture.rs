//! The rules of `docs/architecture.md` that a text can break: who may use whom, what a pure file may not know, sizes.
//!
//! A rule is a function from sources to complaints. One test applies it to the repository, another to small bad sources,
//! so that a rule that sees nothing is seen.

#[path = "architecture/source.rs"]
mod source;

use std::fs;
use std::path::Path;

use source::{Source, crate_paths, line_of, matching, sources, words};

/// Modules from left to right: a module may use those of the columns right of its own.
const COLUMNS: [&[&str]; 4] = [&["main", "cli"], &["stream", "admin"], &["kafka", "model", "tls"], &["codec", "graph"]];
/// Modules that all may use, and that use only each other.
const COMMON: [&str; 4] = ["record", "error", "config", "events"];
/// Files that decide and do nothing else. They stand in the last column, wherever they lie.
const PURE_FILES: [&str; 39] = [
    "kafka/offsets",
    "kafka/order",
    "kafka/partition",
    "kafka/partition/words",
    "kafka/permits",
    "kafka/start",
    "kafka/suspects",
    "kafka/outcome",
    "kafka/output",
    "kafka/dead_letter",
    "kafka/holdings",
    "kafka/sink/lane",
    "kafka/sink/lingering",
    "kafka/transaction",
    "kafka/transaction/book",
    "kafka/replay",
    "kafka/replay/letter",
    "kafka/replay/marks",
    "kafka/replay/restore",
    "model/retry",
    "model/availability",
    "model/clock",
    "model/error",
    "model/headers",
    "model/paths",
    "cli/demo/ledger",
    "cli/dlq/pace",
    "cli/dlq/table",
    "model/batch",
    "model/batch/collector",
    "model/breaker",
    "model/limiter",
    "model/shares",
    "model/suspects",
    "model/addresses",
    "model/methods",
    "stream/journey",
    "stream/journey/active",
    "stream/journey/rules",
];
/// Folders that hold pure files only.
const PURE_FOLDERS: [&str; 2] = ["codec", "graph"];
/// What the columns would allow and the plan does not: from, to.
const NEVER: [(&str, &str); 2] = [("model", "graph"), ("kafka", "model")];
/// What the columns would forbid and the plan allows: the tree and the service around it know all, and main runs the
/// command line.
const EXCEPTIONS: [(&str, &str); 5] = [
    ("stream/tree", "admin"),
    ("stream/service", "admin"),
    ("stream/service/actors", "admin"),
    ("stream/service/feedback", "admin"),
    ("main", "cli"),
];

const LARGEST_FILE: usize = 400;
const LARGEST_MAIN: usize = 120;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn service() -> Vec<Source> {
    sources(repository(), &["src"])
}

fn everything() -> Vec<Source> {
    sources(repository(), &["src", "actors", "proto", "tests", "examples", "bench"])
}

fn expect_none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "{} broken:\n{}", complaints.len(), complaints.join("\n"));
}

// ---- the arrows -------------------------------------------------------------------------------------------------

fn top(module: &str) -> &str {
    module.split('/').next().unwrap_or(module)
}

fn is_pure(module: &str) -> bool {
    PURE_FOLDERS.contains(&top(module)) || PURE_FILES.contains(&module)
}

/// The column of a module such as `kafka/offsets`; nothing for names that are no module of a column.
fn column(module: &str) -> Option<usize> {
    let at = COLUMNS.iter().position(|names| names.contains(&top(module)))?;
    Some(if is_pure(module) { COLUMNS.len() - 1 } else { at })
}

/// Why `from` may not use `to`, when it may not.
fn forbidden(from: &str, to: &str) -> Option<&'static str> {
    if COMMON.contains(&top(to)) || EXCEPTIONS.contains(&(from, top(to))) {
        return None;
    }
    let right = column(to)?;
    if COMMON.contains(&top(from)) {
        return Some("what all use (record, error, config, events) uses nothing else");
    }
    let left = column(from)?;
    if top(from) == top(to) {
        return (is_pure(from) && !is_pure(to)).then_some("a pure file uses no file that is not pure");
    }
    if NEVER.contains(&(top(from), top(to))) {
        return Some("model never names the graph, kafka never names a model");
    }
    // The record's journey is the pure machine that puts the other pure machines together.
    let composes = from.starts_with("stream/journey") && is_pure(to);
    (left >= right && !composes)
        .then_some("cli, main → stream, admin → kafka, model, tls → codec, graph and pure files")
}

fn arrows(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|source| !source.is_test()) {
        let module = source.module();
        let from = if source.path == "src/main.rs" { "main".to_owned() } else { module.join("/") };
        for (line, path) in crate_paths(&module, &source.code()) {
            let to = path.join("/");
            if let Some(rule) = forbidden(&from, &to) {
                complaints.push(format!("{}:{line}: {from} uses {to}; the rule: {rule}", source.path));
            }
        }
    }
    complaints
}

#[test]
fn modules_use_only_what_stands_right_of_them() {
    expect_none(arrows(&service()));
}

#[test]
fn a_wrong_arrow_is_seen() {
    let wrong = |path, text| arrows(&[Source::new(path, text)]).len();
    assert_eq!(wrong("src/kafka/sink.rs", "use crate::stream::tree;"), 1);
    assert_eq!(wrong("src/kafka/sink.rs", "use crate::{record::Offset, model::{rest, retry}};"), 2);
    assert_eq!(wrong("src/kafka/sink.rs", "fn f() {\n    crate::admin::serve()\n}"), 1);
    assert_eq!(wrong("src/graph/walk.rs", "use crate::kafka::offsets::Window;"), 1);
    assert_eq!(wrong("src/graph/walk.rs", "use super::super::kafka::client;"), 1);
    assert_eq!(wrong("src/model/rest.rs", "use crate::graph::plan;"), 1);
    assert_eq!(wrong("src/kafka/offsets.rs", "use super::client;"), 1);
    assert_eq!(wrong("src/stream/journey.rs", "use crate::model::rest;"), 1);
    assert_eq!(wrong("src/stream/router.rs", "use crate::admin;"), 1);
    assert_eq!(wrong("src/record.rs", "use crate::kafka::offsets;"), 1);
    assert_eq!(wrong("src/cli/mod.rs", "pub use crate::stream;\nuse crate::kafka;"), 0);
    assert_eq!(wrong("src/main.rs", "use millrace::cli;"), 0);
    assert_eq!(wrong("src/stream/tree.rs", "use crate::{admin, kafka::sink, config::Settings};"), 0);
    assert_eq!(wrong("src/stream/journey.rs", "use crate::model::retry;\nuse crate::graph::walk;"), 0);
    assert_eq!(wrong("src/kafka/partition.rs", "use super::order::Lanes;\nuse crate::record::Offset;"), 0);
    assert_eq!(wrong("src/kafka/mod.rs", "// crate::stream\nconst A: &str = \"crate::stream\";"), 0);
    assert_eq!(wrong("src/kafka/mod.rs", "#[cfg(test)]\nmod tests {\n    use crate::stream;\n}"), 0);
    assert_eq!(wrong("src/kafka/mod.rs", "#[cfg(test)]\npub(super) mod tests {\n    use crate::stream;\n}"), 0);
    assert_eq!(wrong("src/kafka/mod.rs", "#[cfg(test)]\nmod tests;\nuse crate::stream;"), 1);
    assert_eq!(wrong("src/kafka/mod.rs", "#[cfg(test)]\nmod tests {}\nuse crate::stream;"), 1);
    assert_eq!(wrong("src/stream/tree.rs", "pub(in crate::cli) fn f() {}"), 0);
    let told = arrows(&[Source::new("src/model/rest.rs", "//! Rest.\n\nuse crate::kafka::sink;")]);
    assert!(told[0].starts_with("src/model/rest.rs:3: model/rest uses kafka/sink"), "{told:?}");
}

// ---- pure files -------------------------------------------------------------------------------------------------

/// Whether the opening words of a file call it pure.
fn says_pure(text: &str) -> bool {
    text.lines().take_while(|line| line.starts_with("//!")).any(|line| words(line, "Pure").next().is_some())
}

fn impure(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|source| !source.is_test()) {
        let listed = is_pure(&source.module().join("/"));
        if !listed && says_pure(&source.text) {
            complaints
                .push(format!("{}:1: the rule: a file that calls itself pure is listed in this test", source.path));
        }
        if !listed {
            continue;
        }
        let code = source.code();
        for word in ["async", "await", "actix", "actix_rt", "tokio", "rdkafka", "Instant::now", "SystemTime", "sleep"] {
            for at in words(&code, word) {
                let line = line_of(&code, at);
                complaints
                    .push(format!("{}:{line}: {word}; the rule: a pure file has no runtime and no clock", source.path));
            }
        }
    }
    complaints
}

#[test]
fn pure_files_know_no_runtime_and_no_clock() {
    expect_none(impure(&service()));
}

#[test]
fn an_impure_file_is_seen() {
    let wrong = |path, text| impure(&[Source::new(path, text)]).len();
    assert_eq!(wrong("src/kafka/offsets.rs", "use std::time::Instant;\nfn f() { Instant::now(); }"), 1);
    assert_eq!(wrong("src/codec/v2.rs", "async fn f() {}\nuse actix::Actor;"), 2);
    assert_eq!(wrong("src/graph/mod.rs", "use rdkafka::Offset;"), 1);
    assert_eq!(wrong("src/kafka/offsets.rs", "//! No async.\nfn asynchronous(now: Instant) {}"), 0);
    assert_eq!(wrong("src/kafka/offsets.rs", "#[cfg(test)]\nmod tests { fn f() { Instant::now(); } }"), 0);
    assert_eq!(wrong("src/kafka/client.rs", "async fn f() {}"), 0);
    assert_eq!(wrong("src/kafka/client.rs", "//! A client. Pure."), 1);
    assert_eq!(wrong("src/kafka/offsets.rs", "//! Pure. Offsets."), 0);
}

// ---- crates -----------------------------------------------------------------------------------------------------

/// Names in the dependency tables of a `Cargo.toml`, with their lines.
fn dependencies(manifest: &str) -> Vec<(usize, String)> {
    let mut inside = false;
    let mut found = Vec::new();
    for (at, line) in manifest.lines().enumerate().map(|(at, line)| (at + 1, line.trim())) {
        if let Some(table) = line.strip_prefix('[') {
            let (kind, name) = table.trim_end_matches(']').rsplit_once("dependencies").unwrap_or((table, ""));
            inside = kind != table;
            found.extend(name.strip_prefix('.').map(|name| (at, name.to_owned())));
        } else if let Some((name, _)) = line.split_once(['=', '.']).filter(|_| inside && !line.starts_with('#')) {
            found.push((at, name.trim().trim_matches('"').to_owned()));
        }
    }
    found
}

fn foreign(path: &str, manifest: &str) -> Vec<String> {
    const FOREIGN: [&str; 10] =
        ["kafka", "http", "web", "awc", "hyper", "reqwest", "tonic", "prost", "tls", "millrace"];
    let names = dependencies(manifest).into_iter();
    names
        .filter(|(_, name)| FOREIGN.iter().any(|word| name.contains(word)))
        .map(|(line, name)| format!("{path}:{line}: {name}; the rule: the actors know no Kafka, no HTTP, no millrace"))
        .collect()
}

#[test]
fn actors_know_nothing_of_the_service() {
    let text = fs::read_to_string(repository().join("actors/Cargo.toml")).expect("the actors have a manifest");
    assert!(!dependencies(&text).is_empty(), "the manifest is read wrongly");
    expect_none(foreign("actors/Cargo.toml", &text));
}

#[test]
fn a_foreign_dependency_is_seen() {
    let bad = "[package]\nname = \"millrace-actors\"\n[dependencies]\nactix = \"0.13\"\nrdkafka.workspace = true\n\
               [dev-dependencies.awc]\nversion = \"3\"\n[lints]\nworkspace = true\n";
    let told = foreign("actors/Cargo.toml", bad);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("actors/Cargo.toml:5: rdkafka"), "{told:?}");
}

// ---- every file -------------------------------------------------------------------------------------------------

fn untidy(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        let mut complain = |line: usize, what: &str| complaints.push(format!("{}:{line}: {what}", source.path));
        let limit = if source.path == "src/main.rs" { LARGEST_MAIN } else { LARGEST_FILE };
        let lines = source.text.lines().count();
        if lines > limit {
            complain(lines, &format!("the rule: at most {limit} lines"));
        }
        if !source.text.starts_with("//!") {
            complain(1, "the rule: a module opens with //! and says what it is for");
        }
        let code = source.code();
        for mark in ["[allow(", "[expect("] {
            for (at, _) in code.match_indices(mark) {
                let attribute = &code[at..at + matching(&code[at..], '[', ']')];
                if words(attribute, "reason").next().is_none() {
                    complain(line_of(&code, at), "the rule: an allowed lint gives its reason");
                }
            }
        }
    }
    complaints
}

#[test]
fn files_are_small_and_say_what_they_are_for() {
    expect_none(untidy(&everything()));
}

#[test]
fn an_untidy_file_is_seen() {
    let wrong = |path, text: &str| untidy(&[Source::new(path, text)]).len();
    assert_eq!(wrong("src/a.rs", "//! A.\n"), 0);
    assert_eq!(wrong("src/a.rs", "use std::fs;\n"), 1);
    assert_eq!(wrong("src/a.rs", &"//! A.\n".repeat(LARGEST_FILE)), 0);
    assert_eq!(wrong("src/a.rs", &"//! A.\n".repeat(LARGEST_FILE + 1)), 1);
    assert_eq!(wrong("src/main.rs", &"//! A.\n".repeat(LARGEST_MAIN + 1)), 1);
    assert_eq!(wrong("src/a.rs", "//! A.\n#[allow(dead_code)]\nfn f() {}\n#![allow(unused)]"), 2);
    assert_eq!(wrong("src/a.rs", "//! A.\n#[allow(\n    dead_code,\n    reason = \"used [later]\",\n)]\nfn f() {}"), 0);
}

// ---- the reader itself ------------------------------------------------------------------------------------------

#[test]
fn comments_strings_and_tests_are_no_code() {
    let code = |text: &str| Source::new("src/a.rs", text).code();
    assert_eq!(code("a // b\nc").split_whitespace().collect::<Vec<_>>(), ["a", "c"]);
    assert_eq!(code("a /* b /* c */ d */ e").split_whitespace().collect::<Vec<_>>(), ["a", "e"]);
    assert_eq!(code(r#"f("a \" b") + 'x'"#).replace(' ', ""), "f()+");
    assert_eq!(code("f(r#\"a \" b\"#, '\\'', 'ä')").replace(' ', ""), "f(,,)");
    assert_eq!(code("fn f<'a>(x: &'a str) {}"), "fn f<'a>(x: &'a str) {}");
    assert_eq!(code("\"open {\"\n}").trim(), "}");
}

#[test]
fn the_repository_has_sources() {
    let paths: Vec<_> = everything().into_iter().map(|source| source.path).collect();
    for expected in ["src/lib.rs", "src/main.rs", "actors/src/lib.rs", "proto/src/lib.rs", "tests/architecture.rs"] {
        assert!(paths.iter().any(|path| path == expected), "{expected} is missing in {paths:?}");
    }
}
