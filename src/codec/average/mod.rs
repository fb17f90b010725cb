//! The element-wise mean of several replies, for AVERAGE_COMBINER. Any protocol and any encoding of its tensors.
//!
//! Sums are doubles. Floating point types stay what they are, integers become doubles. All that is no number comes from
//! the first reply. Not for deciding whose replies are combined.

use std::collections::BTreeMap;

use super::tensor::{self, ReadError, Tensor};
use crate::config::settings::Protocol;
use crate::record::Message;

/// Why replies have no mean. They are answers, so no retry can help. Replies are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AverageError {
    /// Nobody answered.
    #[error("there is no reply to take the mean of; an AVERAGE_COMBINER needs children")]
    NoReplies,
    /// A reply has no numbers to take the mean of.
    #[error("no mean can be taken, because of reply {reply}: {error}")]
    Unreadable {
        /// Which reply.
        reply: usize,
        /// What is wrong with it.
        error: ReadError,
    },
    /// Replies that do not belong together.
    #[error("no mean can be taken: reply {reply} differs from reply 1 in {difference}")]
    Differs {
        /// Which reply.
        reply: usize,
        /// What differs.
        difference: String,
    },
}

/// The mean of the replies, in the encoding of the first. A single reply is its own mean, as the same bytes.
pub fn average(protocol: Protocol, replies: &[Message]) -> Result<Message, AverageError> {
    let Some((first, others)) = replies.split_first() else { return Err(AverageError::NoReplies) };
    if others.is_empty() {
        return Ok(first.clone());
    }
    let unreadable = |reply| move |error| AverageError::Unreadable { reply, error };
    let read = tensor::read(protocol, first).map_err(unreadable(1))?;
    let mut sums: Vec<Mean> = read.iter().map(|tensor| Mean::new(&tensor.values, replies.len())).collect();
    for (at, other) in others.iter().enumerate() {
        let reply = at + 2;
        let theirs = tensor::read(protocol, other).map_err(unreadable(reply))?;
        let pairs = pairs(&read, &theirs).map_err(|difference| AverageError::Differs { reply, difference })?;
        for (sum, (_, tensor)) in sums.iter_mut().zip(pairs) {
            sum.add(&tensor.values);
        }
    }
    tensor::replace(protocol, first, sums.into_iter().map(Mean::take).collect()).map_err(unreadable(1))
}

/// The tensors of the same name, in the order of the first reply. The error says in what the replies differ.
pub fn pairs<'a>(first: &'a [Tensor], other: &'a [Tensor]) -> Result<Vec<(&'a Tensor, &'a Tensor)>, String> {
    let mut named: BTreeMap<&str, &Tensor> = other.iter().map(|it| (it.name.as_str(), it)).collect();
    if first.len() != other.len() || named.len() != other.len() {
        return Err(format!("its outputs: {} for {}", names(other), names(first)));
    }
    let pair = |ours: &'a Tensor| {
        let Some(theirs) = named.remove(ours.name.as_str()) else {
            return Err(format!("its outputs: {} for {}", names(other), names(first)));
        };
        if ours.shape != theirs.shape {
            return Err(format!("the shape of '{}': {:?} for {:?}", ours.name, theirs.shape, ours.shape));
        }
        if ours.columns != theirs.columns {
            return Err(format!("the names of '{}': {:?} for {:?}", ours.name, theirs.columns, ours.columns));
        }
        Ok((ours, theirs))
    };
    first.iter().map(pair).collect()
}

fn names(tensors: &[Tensor]) -> String {
    let names: Vec<_> = tensors.iter().map(|tensor| format!("'{}'", tensor.name)).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// A mean that is being taken.
struct Mean {
    sums: Vec<f64>,
    /// The sum of shares, for where the sum is too large for a double and the mean is not.
    shares: Vec<f64>,
    count: f64,
}

impl Mean {
    fn new(values: &[f64], count: usize) -> Self {
        let count = count as f64;
        Self { sums: values.to_vec(), shares: values.iter().map(|value| value / count).collect(), count }
    }

    fn add(&mut self, values: &[f64]) {
        for ((sum, share), value) in self.sums.iter_mut().zip(&mut self.shares).zip(values) {
            *sum += value;
            *share += value / self.count;
        }
    }

    fn take(self) -> Vec<f64> {
        let mean = |(sum, share): (f64, f64)| if sum.is_infinite() { share } else { sum / self.count };
        self.sums.into_iter().zip(self.shares).map(mean).collect()
    }
}

#[cfg(test)]
mod tests;
