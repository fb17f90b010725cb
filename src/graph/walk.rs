//! One request's way through a plan: which node is called next, or that it is finished.
//!
//! It holds no message: who drives the walk keeps the last answer and hands it on by the protocol's chaining rule.

use super::plan::{NodeId, Plan};

/// What to do after the walk moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Call this node with the latest message.
    Call(NodeId),
    /// Nothing now: the reply was not awaited (late, or given twice).
    Wait,
    /// The latest message is the graph's answer.
    Done,
}

/// State of one request in a graph.
#[derive(Clone, Debug, Default)]
pub struct Walk {
    state: State,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    New,
    Awaiting(NodeId),
    Done,
}

impl Walk {
    /// A request that has not entered the graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// Enters the graph. Entering twice does nothing.
    pub fn begin(&mut self, plan: &Plan) -> Next {
        match self.state {
            State::New => self.call(plan.root()),
            State::Awaiting(_) | State::Done => Next::Wait,
        }
    }

    /// A node has answered. A failed attempt that is tried again is no answer: the walk does not move.
    pub fn replied(&mut self, plan: &Plan, node: NodeId) -> Next {
        match self.state {
            State::Awaiting(awaited) if awaited == node => {
                let child = plan.node(node).children.first();
                if let Some(&child) = child { self.call(child) } else { self.finish() }
            }
            State::New | State::Awaiting(_) | State::Done => Next::Wait,
        }
    }

    /// The node whose answer is awaited.
    pub fn awaited(&self) -> Option<NodeId> {
        match self.state {
            State::Awaiting(node) => Some(node),
            State::New | State::Done => None,
        }
    }

    fn call(&mut self, node: NodeId) -> Next {
        self.state = State::Awaiting(node);
        Next::Call(node)
    }

    fn finish(&mut self) -> Next {
        self.state = State::Done;
        Next::Done
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::settings::{GraphNode, NodeKind};

    fn chain(length: usize) -> Plan {
        let node = |index: usize, children| GraphNode::new(format!("n{index}"), NodeKind::Model, children);
        let last = node(length - 1, vec![]);
        Plan::new(&(0..length - 1).rev().fold(last, |child, index| node(index, vec![child]))).unwrap()
    }

    #[test]
    fn a_late_or_repeated_reply_moves_nothing() {
        let plan = chain(2);
        let ids: Vec<_> = plan.nodes().map(|(id, _)| id).collect();
        let mut walk = Walk::new();
        assert_eq!(walk.replied(&plan, ids[0]), Next::Wait);
        assert_eq!(walk.begin(&plan), Next::Call(ids[0]));
        assert_eq!(walk.begin(&plan), Next::Wait);
        assert_eq!(walk.replied(&plan, ids[1]), Next::Wait);
        assert_eq!(walk.replied(&plan, ids[0]), Next::Call(ids[1]));
        assert_eq!(walk.replied(&plan, ids[0]), Next::Wait);
        assert_eq!(walk.awaited(), Some(ids[1]));
        assert_eq!(walk.replied(&plan, ids[1]), Next::Done);
        assert_eq!(walk.replied(&plan, ids[1]), Next::Wait);
        assert_eq!(walk.awaited(), None);
    }

    proptest! {
        #[test]
        fn a_chain_is_called_in_order_each_node_once(length in 1..50usize, noise in proptest::collection::vec(0..50usize, 0..100)) {
            let plan = chain(length);
            let ids: Vec<_> = plan.nodes().map(|(id, _)| id).collect();
            let mut walk = Walk::new();
            let mut next = walk.begin(&plan);
            let mut called = Vec::new();
            let mut noise = noise.into_iter();
            while let Next::Call(node) = next {
                called.push(node);
                // Replies that nobody awaits, at any moment.
                if let Some(other) = noise.next().and_then(|index| ids.get(index)).filter(|other| **other != node) {
                    prop_assert_eq!(walk.replied(&plan, *other), Next::Wait);
                }
                next = walk.replied(&plan, node);
            }
            prop_assert_eq!(next, Next::Done);
            prop_assert_eq!(called, ids);
        }
    }
}
