//! One request's way through a plan: what is done next where, and that it is finished.
//!
//! A node goes through its stages one after the other: input, branch, join, output. Children run at the same time. The first
//! failure in child order decides: later siblings are told to stop at once, earlier ones may still decide it otherwise.
//! Late and repeated events change nothing. Generic over the message, which it hands on and never looks at.

use super::plan::{Branch, Input, Join, NodeId, Output, Plan};
use crate::record::CallKind;

/// The message is passed on as it is; children are skipped.
pub const RETURN: i32 = -2;
/// All children go on.
pub const ALL: i32 = -1;

/// What to do after the walk moved.
#[derive(Clone, Debug, PartialEq)]
pub enum Next<M> {
    /// Call the node's server with this message; [`Walk::replied`] or [`Walk::failed`] ends it.
    Call(NodeId, CallKind, M),
    /// Ask the node's server for a route, with this message; [`Walk::routed`] or [`Walk::failed`] ends it.
    Route(NodeId, M),
    /// Have the node's server make one message of these; [`Walk::replied`] or [`Walk::failed`] ends it.
    Aggregate(NodeId, Vec<M>),
    /// Make the mean of these; as above.
    Average(NodeId, Vec<M>),
    /// Make the fixed answer to this; as above.
    Fixed(NodeId, M),
    /// Draw a child, by the plan's weights; [`Walk::routed`] ends it.
    Draw(NodeId),
    /// Read the route from this message; [`Walk::routed`] or [`Walk::failed`] ends it.
    Told(NodeId, M),
    /// Start a walk of its own at this node, of which this one hears no more. The parent and the child.
    Shadow(NodeId, NodeId, M),
    /// The first child of this node has answered, which its shadows are to be compared with.
    Compare(NodeId, M),
    /// What was begun at this node is not needed any more.
    Stop(NodeId),
    /// The graph's answer.
    Done(M),
    /// The failure of this node is the request's.
    Failed(NodeId),
}

/// A route that no child has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the route is {route}; it must be -2 (return), -1 (all children) or less than {children}, the number of children"
)]
pub struct NoSuchChild {
    /// The route.
    pub route: i32,
    /// How many children there are.
    pub children: usize,
}

/// State of one request in a graph.
#[derive(Clone, Debug)]
pub struct Walk<M> {
    root: NodeId,
    nodes: Vec<State<M>>,
    routes: Vec<(NodeId, i32)>,
}

#[derive(Clone, Debug)]
enum State<M> {
    New,
    Input,
    Branch(M),
    Below(Below<M>),
    Join,
    Output,
    /// Answered, failed or stopped.
    Over,
}

#[derive(Clone, Debug)]
struct Below<M> {
    /// Number of the first child that was asked.
    first: usize,
    replies: Vec<Option<M>>,
    open: usize,
    /// The child that decides so far, and the node whose failure it is.
    failed: Option<(usize, NodeId)>,
    /// What went down, if it goes on afterwards.
    kept: Option<M>,
}

type Out<M> = Vec<Next<M>>;

impl<M: Clone> Walk<M> {
    /// A request that has not entered the graph.
    pub fn new(plan: &Plan) -> Self {
        Self::at(plan, plan.root())
    }

    /// A request that goes only through this node and those below it.
    pub fn at(plan: &Plan, root: NodeId) -> Self {
        Self { root, nodes: (0..plan.size()).map(|_| State::New).collect(), routes: Vec::new() }
    }

    /// Enters the graph. Entering twice does nothing.
    pub fn begin(&mut self, plan: &Plan, message: M, out: &mut Out<M>) {
        if matches!(self.nodes[self.root.index()], State::New) {
            self.enter(plan, self.root, message, out);
        }
    }

    /// What was begun at a node has given a message. A failed attempt that is tried again is nothing: the walk does not move.
    pub fn replied(&mut self, plan: &Plan, node: NodeId, message: M, out: &mut Out<M>) {
        match self.nodes[node.index()] {
            State::Input => self.branch(plan, node, message, out),
            State::Join => self.output(plan, node, message, out),
            State::Output => self.finish(plan, node, message, out),
            State::New | State::Branch(_) | State::Below(_) | State::Over => {}
        }
    }

    /// The route at a node is known. A route that no child has moves nothing; it is for the caller to fail the node.
    pub fn routed(&mut self, plan: &Plan, node: NodeId, route: i32, out: &mut Out<M>) -> Result<(), NoSuchChild> {
        if !matches!(self.nodes[node.index()], State::Branch(_)) {
            return Ok(());
        }
        let children = plan.node(node).children.len();
        let only = usize::try_from(route).ok();
        if route < RETURN || only.is_some_and(|child| child >= children) {
            return Err(NoSuchChild { route, children });
        }
        let State::Branch(message) = std::mem::replace(&mut self.nodes[node.index()], State::Over) else {
            return Ok(());
        };
        self.note(node, route);
        match (route, only) {
            (RETURN, _) => self.output(plan, node, message, out),
            (_, Some(child)) => self.descend(plan, node, child, 1, message, out),
            (_, None) => self.descend(plan, node, 0, children, message, out),
        }
        Ok(())
    }

    /// What was begun at a node has failed for good.
    pub fn failed(&mut self, plan: &Plan, node: NodeId, out: &mut Out<M>) {
        if self.is_busy(node) {
            self.fail(plan, node, node, out);
        }
    }

    /// Whether something that was begun at this node has not ended.
    pub fn is_busy(&self, node: NodeId) -> bool {
        matches!(self.nodes[node.index()], State::Input | State::Branch(_) | State::Join | State::Output)
    }

    /// The route taken at each node that was reached; the last one of a node counts.
    pub fn routes(&self) -> &[(NodeId, i32)] {
        &self.routes
    }

    fn note(&mut self, node: NodeId, route: i32) {
        match self.routes.iter_mut().find(|(known, _)| *known == node) {
            Some(known) => known.1 = route,
            None => self.routes.push((node, route)),
        }
    }

    fn enter(&mut self, plan: &Plan, node: NodeId, message: M, out: &mut Out<M>) {
        match plan.node(node).input {
            Input::Pass => self.branch(plan, node, message, out),
            Input::Call(kind) => {
                self.note(node, ALL);
                self.nodes[node.index()] = State::Input;
                out.push(Next::Call(node, kind, message));
            }
            Input::Fixed => {
                self.note(node, ALL);
                self.nodes[node.index()] = State::Input;
                out.push(Next::Fixed(node, message));
            }
        }
    }

    fn branch(&mut self, plan: &Plan, node: NodeId, message: M, out: &mut Out<M>) {
        let at = plan.node(node);
        if at.children.is_empty() {
            return self.output(plan, node, message, out);
        }
        let next = match &at.branch {
            Branch::All => {
                self.note(node, ALL);
                return self.descend(plan, node, 0, at.children.len(), message, out);
            }
            Branch::First => {
                self.note(node, 0);
                return self.descend(plan, node, 0, 1, message, out);
            }
            Branch::Shadow => {
                self.note(node, 0);
                out.extend(at.children[1..].iter().map(|child| Next::Shadow(node, *child, message.clone())));
                return self.descend(plan, node, 0, 1, message, out);
            }
            Branch::Ask => Next::Route(node, message.clone()),
            Branch::Draw(_) => Next::Draw(node),
            Branch::Told => Next::Told(node, message.clone()),
        };
        self.nodes[node.index()] = State::Branch(message);
        out.push(next);
    }

    fn descend(&mut self, plan: &Plan, node: NodeId, first: usize, count: usize, message: M, out: &mut Out<M>) {
        let at = plan.node(node);
        let kept = (at.join == Join::Keep).then(|| message.clone());
        let below = Below { first, replies: vec![None; count], open: count, failed: None, kept };
        self.nodes[node.index()] = State::Below(below);
        let (last, others) = at.children[first..first + count].split_last().expect("there is a child to go to");
        for child in others {
            self.enter(plan, *child, message.clone(), out);
        }
        self.enter(plan, *last, message, out);
    }

    fn output(&mut self, plan: &Plan, node: NodeId, message: M, out: &mut Out<M>) {
        match plan.node(node).output {
            Output::Pass => self.finish(plan, node, message, out),
            Output::Call(kind) => {
                self.nodes[node.index()] = State::Output;
                out.push(Next::Call(node, kind, message));
            }
        }
    }

    fn finish(&mut self, plan: &Plan, node: NodeId, message: M, out: &mut Out<M>) {
        self.nodes[node.index()] = State::Over;
        match plan.node(node).parent.filter(|_| node != self.root) {
            None => out.push(Next::Done(message)),
            Some((parent, place)) => {
                let State::Below(below) = &mut self.nodes[parent.index()] else { return };
                if plan.node(parent).branch == Branch::Shadow {
                    out.push(Next::Compare(parent, message.clone()));
                }
                below.replies[place - below.first] = Some(message);
                below.open -= 1;
                self.settle(plan, parent, out);
            }
        }
    }

    /// `origin` is the node whose failure it is.
    fn fail(&mut self, plan: &Plan, node: NodeId, origin: NodeId, out: &mut Out<M>) {
        self.nodes[node.index()] = State::Over;
        let Some((parent, place)) = plan.node(node).parent.filter(|_| node != self.root) else {
            return out.push(Next::Failed(origin));
        };
        let State::Below(below) = &mut self.nodes[parent.index()] else { return };
        below.open -= 1;
        // Those after an earlier failure were stopped then.
        below.failed = Some((place, origin));
        let asked = below.first..below.first + below.replies.len();
        for later in &plan.node(parent).children[place + 1..asked.end] {
            if self.stop(plan, *later, out)
                && let State::Below(below) = &mut self.nodes[parent.index()]
            {
                below.open -= 1;
            }
        }
        self.settle(plan, parent, out);
    }

    /// Stops all that runs at a node and below it; says whether it was still going on.
    fn stop(&mut self, plan: &Plan, node: NodeId, out: &mut Out<M>) -> bool {
        if matches!(self.nodes[node.index()], State::Over) {
            return false;
        }
        let mut open = vec![node];
        while let Some(node) = open.pop() {
            if self.is_busy(node) {
                out.push(Next::Stop(node));
            }
            if matches!(self.nodes[node.index()], State::Below(_)) {
                open.extend(&plan.node(node).children);
            }
            self.nodes[node.index()] = State::Over;
        }
        true
    }

    fn settle(&mut self, plan: &Plan, node: NodeId, out: &mut Out<M>) {
        let State::Below(below) = &mut self.nodes[node.index()] else { return };
        if below.open > 0 {
            return;
        }
        if let Some((_, origin)) = below.failed {
            return self.fail(plan, node, origin, out);
        }
        let kept = below.kept.take();
        let mut replies = std::mem::take(&mut below.replies).into_iter().flatten();
        match plan.node(node).join {
            Join::Ask => {
                self.note(node, ALL);
                self.nodes[node.index()] = State::Join;
                out.push(Next::Aggregate(node, replies.collect()));
            }
            Join::Average => {
                self.note(node, ALL);
                self.nodes[node.index()] = State::Join;
                out.push(Next::Average(node, replies.collect()));
            }
            Join::First | Join::Keep => {
                if let Some(message) = kept.or_else(|| replies.next()) {
                    self.output(plan, node, message, out);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
