//! Reads Rust sources as text: files, code without comments and strings, the crate paths that code names.
//!
//! No parser: it knows comments, strings, braces and paths, which is all that the rules of `architecture.rs` ask for.

use std::fs;
use std::path::Path;

/// A source file, by its path from the repository's root.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// The text with comments, strings and inline test modules blanked out; lines stay where they are.
    pub(crate) fn code(&self) -> String {
        without_tests(&blank(&self.text))
    }

    /// Whether all of the file is test code that a module includes.
    pub(crate) fn is_test(&self) -> bool {
        self.path.ends_with("tests.rs")
    }

    /// Its place in the module tree: `src/kafka/offsets.rs` is `["kafka", "offsets"]`.
    pub(crate) fn module(&self) -> Vec<String> {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path).trim_end_matches(".rs");
        let inside = if matches!(inside, "lib" | "main" | "mod") { "" } else { inside.trim_end_matches("/mod") };
        inside.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
    }
}

/// All `.rs` files below some folders; folders that do not exist hold none.
pub(crate) fn sources(root: &Path, folders: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    let mut todo: Vec<_> = folders.iter().map(|folder| root.join(folder)).collect();
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("entries can be read").path();
            if path.is_dir() && !path.ends_with("target") {
                todo.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).expect("sources are text");
                let name = path.strip_prefix(root).expect("found below the root").to_string_lossy().replace('\\', "/");
                found.push(Source { path: name, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The number of the line that holds this byte.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// Spaces for whatever stands in comments, strings and character literals.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text[at..];
        let previous = at.checked_sub(1).map_or(b' ', |before| bytes[before]);
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if rest.starts_with('"') {
            string(rest)
        } else if rest.starts_with('r') && !is_word(previous as char) {
            raw_string(rest)
        } else if rest.starts_with('\'') {
            character(rest)
        } else {
            0
        };
        for byte in &mut out[at..at + length] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at += length.max(rest.chars().next().map_or(1, char::len_utf8));
    }
    String::from_utf8(out).expect("whole characters were replaced")
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest.as_bytes()[at..rest.len().min(at + 2)] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" if depth == 1 => return at + 2,
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    rest.len()
}

fn string(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// `r"…"`, `r#"…"#`; 0 when the `r` only begins a word.
fn raw_string(rest: &str) -> usize {
    let marks = rest[1..].bytes().take_while(|&byte| byte == b'#').count();
    if rest.as_bytes().get(1 + marks) != Some(&b'"') {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(marks));
    rest[marks + 2..].find(&end).map_or(rest.len(), |at| marks + 2 + at + end.len())
}

/// `'x'` or `'\n'`; 0 when the quote begins a lifetime.
fn character(rest: &str) -> usize {
    if rest.starts_with("'\\") {
        return rest.get(3..).and_then(|tail| tail.find('\'')).map_or(0, |at| at + 4);
    }
    let mut chars = rest.char_indices().skip(2);
    chars.next().filter(|&(_, c)| c == '\'').map_or(0, |(at, _)| at + 1)
}

/// Blanks `#[cfg(test)] mod name { … }`, whatever its visibility.
fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut out = code.to_owned();
    let mut from = 0;
    while let Some(start) = out[from..].find(MARK).map(|at| from + at) {
        from = start + MARK.len();
        let item = out[from..].trim_start();
        let opening = out[from..].find(['{', ';']).map(|at| from + at);
        let is_module = item[..item.find(['{', ';']).unwrap_or(0)].split_whitespace().rev().nth(1) == Some("mod");
        if let Some(open) = opening.filter(|&at| is_module && out[at..].starts_with('{')) {
            let end = open + matching(&out[open..], '{', '}');
            let blanked: String = out[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
            // Comments and strings are gone, but a name may still have letters of several bytes.
            out.replace_range(start..end, &blanked);
        }
    }
    out
}

/// Length up to and with the bracket that closes the first one.
pub(crate) fn matching(text: &str, open: char, close: char) -> usize {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        if c == open {
            depth += 1;
        } else if c == close {
            depth -= 1;
            if depth == 0 {
                return at + 1;
            }
        }
    }
    text.len()
}

pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where a word stands as a word of its own.
pub(crate) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |&at| !code[..at].ends_with(is_word) && !code[at + word.len()..].starts_with(is_word))
}

/// Every path that code names from the crate's root, with its line: `crate::a::b`, `millrace::a`, `super::b`, and what
/// stands in braces. At most two parts of a path are told.
pub(crate) fn crate_paths(module: &[String], code: &str) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    for start in ["crate", "millrace", "super"] {
        for at in words(code, start) {
            let Some(mut rest) = code[at + start.len()..].strip_prefix("::") else { continue };
            // `pub(in crate::a)` names who may see, not what is used.
            if code[..at].ends_with("(in ") {
                continue;
            }
            let mut base: &[String] = &[];
            if start == "super" {
                if code[..at].ends_with("super::") {
                    continue;
                }
                base = &module[..module.len().saturating_sub(1)];
                while let Some(next) = rest.strip_prefix("super::") {
                    (rest, base) = (next, &base[..base.len().saturating_sub(1)]);
                }
            }
            for tail in tails(rest, 2) {
                let path: Vec<_> = base.iter().cloned().chain(tail).take(2).collect();
                found.push((line_of(code, at), path));
            }
        }
    }
    found
}

/// The paths that `rest` begins with: one, or one for each entry in braces.
fn tails(rest: &str, depth: usize) -> Vec<Vec<String>> {
    let rest = rest.trim_start();
    if depth == 0 {
        return vec![Vec::new()];
    }
    if rest.starts_with('{') {
        let inside = &rest[1..matching(rest, '{', '}').max(2) - 1];
        return entries(inside).into_iter().flat_map(|entry| tails(entry, depth)).collect();
    }
    let name: String = rest.chars().take_while(|&c| is_word(c)).collect();
    match rest[name.len()..].strip_prefix("::") {
        _ if name.is_empty() || name == "self" => vec![Vec::new()],
        Some(next) => {
            tails(next, depth - 1).into_iter().map(|tail| std::iter::once(name.clone()).chain(tail).collect()).collect()
        }
        None => vec![vec![name]],
    }
}

/// Splits at the commas that stand outside braces.
fn entries(inside: &str) -> Vec<&str> {
    let (mut depth, mut from, mut found) = (0, 0, Vec::new());
    for (at, c) in inside.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(&inside[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    found.push(&inside[from..]);
    found.retain(|entry| !entry.trim().is_empty());
    found
}
