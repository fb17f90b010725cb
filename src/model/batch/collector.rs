//! Requests that wait for a call of several: those of one kind are sent together, in order. Pure; times are since any one
//! start.
//!
//! A kind is what its requests have in common, all that they must have to be merged. Of each kind so many calls run at a
//! time, and what comes meanwhile collects. Kinds take turns, so none starves behind another, and none is looked at but
//! those whose turn it is. The halves of a call that failed come before what waits, each as it is.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

/// Bounds of a call, and of calls.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Most bytes. A larger request goes alone.
    pub bytes: usize,
    /// The longest time that a request waits for others while a call could be made.
    pub wait: Duration,
    /// Calls of a kind that run at a time.
    pub calls: usize,
}

/// What requests have in common.
pub type Kind = Rc<[u8]>;

/// A request that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting<T> {
    /// Whose it is.
    pub item: T,
    /// Its rows.
    pub rows: usize,
    /// Its bytes.
    pub bytes: usize,
    /// Since when.
    pub since: Duration,
}

/// Requests for one call.
#[derive(Debug)]
pub struct Group<T> {
    /// What they have in common.
    pub kind: Kind,
    /// They, in order.
    pub members: Vec<Waiting<T>>,
    /// Whether there was no place for more.
    pub full: bool,
    /// The call that it is a half of.
    half: Option<Rc<Halved>>,
}

#[derive(Debug)]
struct Halved {
    rows: usize,
    half: usize,
    answered: std::cell::Cell<u8>,
}

impl<T> Group<T> {
    /// Rows of all.
    pub fn rows(&self) -> usize {
        rows(&self.members)
    }

    /// Whether it is a half of a call that failed.
    pub fn is_half(&self) -> bool {
        self.half.is_some()
    }

    /// It was answered. If so was the other half: rows of the call that failed, and of its larger half.
    pub fn answered(&self) -> Option<(usize, usize)> {
        let halved = self.half.as_ref()?;
        halved.answered.set(halved.answered.get() + 1);
        (halved.answered.get() == 2).then_some((halved.rows, halved.half))
    }
}

fn rows<T>(members: &[Waiting<T>]) -> usize {
    members.iter().map(|member| member.rows).sum()
}

/// Who waits.
#[derive(Debug)]
pub struct Collector<T> {
    bounds: Bounds,
    queues: HashMap<Kind, Queue<T>>,
    /// Kinds of which a call may be made, in turn.
    ready: VecDeque<Kind>,
    /// Kinds that wait for more requests, and until when. What is outdated is passed over.
    unripe: BinaryHeap<Reverse<(Duration, Kind)>>,
    len: usize,
}

#[derive(Debug)]
struct Queue<T> {
    waiting: VecDeque<Waiting<T>>,
    /// Rows of those that wait.
    rows: usize,
    halves: VecDeque<Group<T>>,
    running: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing waits, or enough calls run.
    Idle,
    /// For more requests, until then.
    Unripe(Duration),
    /// For its turn.
    Ready,
}

impl<T> Collector<T> {
    /// Nobody.
    pub fn new(bounds: Bounds) -> Self {
        let (queues, ready, unripe) = (HashMap::new(), VecDeque::new(), BinaryHeap::new());
        Self { bounds, queues, ready, unripe, len: 0 }
    }

    /// Requests that wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Kinds of which a call could be made.
    pub fn ready(&self) -> usize {
        self.ready.len()
    }

    /// A request waits. `target` is the number of rows that a call should have.
    pub fn wait(&mut self, kind: &[u8], request: Waiting<T>, target: usize, now: Duration) {
        self.len += 1;
        if let Some(queue) = self.queues.get_mut(kind) {
            queue.push(request);
            if queue.state == State::Ready || queue.running >= self.bounds.calls {
                return;
            }
        } else {
            let (waiting, halves) = (VecDeque::new(), VecDeque::new());
            let mut queue = Queue { waiting, rows: 0, halves, running: 0, state: State::Idle };
            queue.push(request);
            self.queues.insert(kind.into(), queue);
        }
        self.settle(kind, target, now);
    }

    /// Whether a call may be made now.
    pub fn is_ready(&mut self, now: Duration) -> bool {
        while let Some(Reverse((due, kind))) = self.unripe.peek() {
            let queue = self.queues.get_mut(kind).filter(|queue| queue.state == State::Unripe(*due));
            match queue {
                Some(_) if *due > now => break,
                Some(queue) => {
                    queue.state = State::Ready;
                    self.ready.push_back(kind.clone());
                }
                None => {}
            }
            self.unripe.pop();
        }
        !self.ready.is_empty()
    }

    /// When a call may be made, if some wait for more requests.
    pub fn due(&mut self, now: Duration) -> Option<Duration> {
        // What is outdated asks for nothing.
        self.is_ready(now);
        self.unripe.peek().map(|Reverse((due, _))| *due)
    }

    /// The requests of the call that is made now; [`Self::ended`] has to follow. `target` is the number of rows that it should
    /// have.
    pub fn take(&mut self, target: usize, now: Duration) -> Option<Group<T>> {
        let kind = self.ready.pop_front()?;
        let queue = self.queues.get_mut(&kind)?;
        queue.state = State::Idle;
        queue.running += 1;
        let group = match queue.halves.pop_front() {
            Some(half) => half,
            None => queue.group(kind.clone(), target, self.bounds.bytes),
        };
        self.len -= group.members.len();
        self.settle(&kind, target, now);
        Some(group)
    }

    /// The call of a group has ended.
    pub fn ended(&mut self, kind: &Kind, target: usize, now: Duration) {
        if let Some(queue) = self.queues.get_mut(kind) {
            queue.running = queue.running.saturating_sub(1);
        }
        self.settle(kind, target, now);
    }

    /// The call of these requests, which had so many rows, has failed: they wait for two calls, or one if only one is left.
    /// Before [`Self::ended`].
    pub fn halve(&mut self, kind: &Kind, mut first: Vec<Waiting<T>>, failed: usize) {
        self.len += first.len();
        let Some(queue) = self.queues.get_mut(kind) else { return };
        let second = first.split_off(first.len().div_ceil(2));
        let half = rows(&first).max(rows(&second));
        let halved = Rc::new(Halved { rows: failed, half, answered: std::cell::Cell::default() });
        for members in [first, second].into_iter().filter(|members| !members.is_empty()) {
            let (kind, half) = (kind.clone(), Some(Rc::clone(&halved)));
            queue.halves.push_back(Group { kind, members, full: false, half });
        }
    }

    /// Takes out all who wait, in their kinds' order.
    pub fn drain(&mut self) -> Vec<T> {
        self.len = 0;
        self.ready.clear();
        self.unripe.clear();
        let mut all = Vec::new();
        for queue in self.queues.values_mut() {
            queue.state = State::Idle;
            queue.rows = 0;
            let halves = queue.halves.drain(..).flat_map(|group| group.members);
            all.extend(halves.chain(queue.waiting.drain(..)));
        }
        self.queues.retain(|_, queue| queue.running > 0);
        all.sort_by_key(|request| request.since);
        all.into_iter().map(|request| request.item).collect()
    }

    fn settle(&mut self, kind: &[u8], target: usize, now: Duration) {
        let Some((kind, queue)) = self.queues.get_key_value(kind) else { return };
        let (kind, state) = (kind.clone(), queue.state);
        let oldest = queue.waiting.front().map(|first| first.since + self.bounds.wait);
        let due = if queue.halves.is_empty() && queue.rows < target { oldest } else { Some(now) };
        let Some(due) = due else {
            if queue.running == 0 {
                self.queues.remove(&kind);
            }
            return;
        };
        if queue.running >= self.bounds.calls || state == State::Ready {
            return;
        }
        let next = if due <= now { State::Ready } else { State::Unripe(due) };
        if next == state {
            return;
        }
        if let Some(queue) = self.queues.get_mut(&kind) {
            queue.state = next;
        }
        match next {
            State::Ready => self.ready.push_back(kind),
            State::Unripe(due) => self.unripe.push(Reverse((due, kind))),
            State::Idle => {}
        }
    }
}

impl<T> Queue<T> {
    fn push(&mut self, request: Waiting<T>) {
        self.rows += request.rows;
        self.waiting.push_back(request);
    }

    /// The first that wait, as many as make a call.
    fn group(&mut self, kind: Kind, target: usize, most_bytes: usize) -> Group<T> {
        let (mut rows, mut bytes, mut count) = (0, 0, 0);
        for request in &self.waiting {
            if count > 0 && (rows + request.rows > target || bytes + request.bytes > most_bytes) {
                break;
            }
            (rows, bytes, count) = (rows + request.rows, bytes + request.bytes, count + 1);
        }
        self.rows -= rows;
        let full = count < self.waiting.len() || rows >= target;
        Group { kind, members: self.waiting.drain(..count).collect(), full, half: None }
    }
}

#[cfg(test)]
#[path = "collector_tests.rs"]
mod tests;
