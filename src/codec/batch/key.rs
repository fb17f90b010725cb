//! What requests must have in common, as bytes that no two different lists of things have.

use std::sync::Arc;

/// A list of things, each with its length before it.
pub(super) struct Key(Vec<u8>);

impl Key {
    /// Begins with the kind of request.
    pub(super) fn new(kind: u8) -> Self {
        Self(vec![kind])
    }

    /// Adds bytes.
    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    /// Adds a number.
    pub(super) fn number(mut self, number: u64) -> Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    /// Adds bytes, or that there are none.
    pub(super) fn optional(self, bytes: Option<&[u8]>) -> Self {
        match bytes {
            None => self.number(0),
            Some(bytes) => self.number(1).bytes(bytes),
        }
    }

    /// Adds a list, and how long it is.
    pub(super) fn each<T>(self, items: impl ExactSizeIterator<Item = T>, add: impl FnMut(Self, T) -> Self) -> Self {
        let counted = self.number(items.len() as u64);
        items.fold(counted, add)
    }

    pub(super) fn done(self) -> Arc<[u8]> {
        self.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_elsewhere_is_another_key() {
        let of = |items: &[&str]| Key::new(0).each(items.iter(), |key, item| key.bytes(item.as_bytes())).done();
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["a"]), of(&["a", ""]));
        assert_ne!(Key::new(0).optional(None).done(), Key::new(0).optional(Some(b"")).done());
        assert_eq!(of(&["a"]), of(&["a"]));
    }
}
