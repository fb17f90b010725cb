//! Changes to a document that leave every byte alone which is not meant, and text for what is put in.

use std::ops::Range;

/// Replacements in a text, in any order; they must not overlap.
#[derive(Default)]
pub struct Edits {
    /// Place, and where the new text stands in `text`.
    changes: Vec<(Range<usize>, Range<usize>)>,
    text: String,
}

impl Edits {
    /// Puts what `write` appends in the place of a range; an empty range makes room.
    pub fn put(&mut self, place: Range<usize>, write: impl FnOnce(&mut String)) {
        let start = self.text.len();
        write(&mut self.text);
        self.changes.push((place, start..self.text.len()));
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The body with the changes; those of the same place in the order in which they were put.
    pub fn apply(mut self, body: &[u8]) -> Vec<u8> {
        self.changes.sort_by_key(|(place, _)| (place.start, place.end));
        let mut changed = Vec::with_capacity(body.len() + self.text.len());
        let mut at = 0;
        for (place, text) in self.changes {
            changed.extend_from_slice(body.get(at..place.start).unwrap_or_default());
            changed.extend_from_slice(&self.text.as_bytes()[text]);
            at = place.end;
        }
        changed.extend_from_slice(body.get(at..).unwrap_or_default());
        changed
    }
}

/// Appends a JSON string.
pub fn quote(out: &mut String, text: &str) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

/// Appends the items with commas between them.
pub fn list<T>(out: &mut String, items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut String, T)) {
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(out, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_meant_changes() {
        let mut edits = Edits::default();
        assert!(edits.is_empty());
        edits.put(6..7, |out| out.push_str("two"));
        edits.put(1..1, |out| quote(out, "a\"\n"));
        edits.put(1..4, |out| list(out, [1, 2], |out, item: i32| out.push_str(&item.to_string())));
        assert_eq!(edits.apply(b"[one, 2 ]"), b"[\"a\\\"\\n\"1,2, two ]");
    }
}
