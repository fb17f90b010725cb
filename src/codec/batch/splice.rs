//! A text copied once, with other bytes in some of its places.

use std::ops::Range;

/// A copy that is under way.
pub(super) struct Splice<'a> {
    text: &'a [u8],
    at: usize,
    out: Vec<u8>,
}

impl<'a> Splice<'a> {
    /// Begins a copy that will have about so many bytes.
    pub(super) fn of(text: &'a [u8], capacity: usize) -> Self {
        Self { text, at: 0, out: Vec::with_capacity(capacity) }
    }

    /// Copies up to a place and leaves the place out; what is written to the bytes given back stands there instead.
    /// Places come in order.
    pub(super) fn at(&mut self, place: &Range<usize>) -> &mut Vec<u8> {
        self.out.extend_from_slice(self.text.get(self.at..place.start).unwrap_or_default());
        self.at = place.end;
        &mut self.out
    }

    /// Copies the rest.
    pub(super) fn done(mut self) -> Vec<u8> {
        self.out.extend_from_slice(self.text.get(self.at..).unwrap_or_default());
        self.out
    }
}
