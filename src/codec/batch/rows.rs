//! How many rows each part of a merged request has, and the words for a reply that has others.

use super::{Part, Unsplit};

/// Rows of the parts in their order.
pub(super) struct Rows {
    each: Vec<usize>,
    sum: usize,
}

impl Rows {
    pub(super) fn of(parts: &[Part]) -> Self {
        let each: Vec<_> = parts.iter().map(Part::rows).collect();
        let sum = each.iter().fold(0, |sum: usize, rows| sum.saturating_add(*rows));
        Self { each, sum }
    }

    /// Rows of all parts.
    pub(super) fn sum(&self) -> usize {
        self.sum
    }

    /// Rows of each part.
    pub(super) fn each(&self) -> impl Iterator<Item = usize> + Clone {
        self.each.iter().copied()
    }

    /// Elements of each part in a tensor of this shape, if its rows are as many as those of the parts.
    pub(super) fn elements<'r>(&'r self, shape: &[usize]) -> Result<impl Iterator<Item = usize> + use<'r>, Unsplit> {
        let row = match shape {
            [rows, row @ ..] if *rows == self.sum => product(row),
            _ => return Err(self.unsplit(format!("an output of shape {shape:?}"))),
        };
        let fits = row.filter(|row| row.checked_mul(self.sum).is_some());
        let row = fits.ok_or_else(|| self.unsplit(format!("an output of shape {shape:?}, too large to be one")))?;
        Ok(self.each().map(move |rows| rows * row))
    }

    /// Why a reply cannot be split.
    pub(super) fn unsplit(&self, found: String) -> Unsplit {
        Unsplit::Rows { sent: self.sum, found }
    }
}

/// Elements of a shape, if they can be counted.
pub(super) fn product(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |product, size| product.checked_mul(*size))
}

/// Rows of a request's tensor of this shape with so many elements: one or more, all of them there.
pub(super) fn rows(shape: &[usize], elements: usize) -> Option<usize> {
    let rows = *shape.first()?;
    (elements > 0 && product(shape) == Some(elements)).then_some(rows)
}
