//! One request's way through the graph: which node is called next, what a failed call costs, when it is given up.
//!
//! Pure: `step(event, now, random, rules) -> command`. Bodies and messages stay with the actor that carries this out.

use std::time::Duration;

use crate::config::settings::Retry;
use crate::graph::{Next, NodeId, Plan, Walk};
use crate::model::availability::Verdict;
use crate::model::clock::{Clock, Mark};
use crate::model::error::CallError;
use crate::model::retry::{Attempts, Decision};

/// What all requests go by.
#[derive(Debug)]
pub struct Rules {
    /// The graph.
    pub plan: Plan,
    /// Retries of each node, by its number.
    pub retries: Vec<Retry>,
    /// Time that a record may cost while its endpoints work.
    pub deadline: Duration,
}

/// What happened to the request.
#[derive(Debug)]
pub enum Event<'a> {
    /// It came.
    Begin,
    /// The call that was asked for has started; it had waited without cost.
    Started,
    /// The node answered.
    Replied,
    /// The call failed. `verdict` says whether that costs the record anything.
    Failed(&'a CallError, Verdict),
    /// The call was lost in an actor that died: nobody's fault.
    Lost,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Call this node as soon as it admits a call.
    Call(NodeId),
    /// The same, after this time.
    CallAfter(NodeId, Duration),
    /// The last reply is the answer.
    Answer,
    /// Dead-letter it: no (further) retry can help or is allowed.
    Fail(GaveUp),
    /// Nothing: the event was late.
    Nothing,
}

/// Why a request ends without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GaveUp {
    /// The failure is permanent.
    Permanent,
    /// All attempts were used.
    Attempts,
    /// The record's time is over.
    Deadline,
}

/// State of one request.
#[derive(Debug)]
pub struct Journey {
    walk: Walk,
    attempts: Attempts,
    clock: Clock,
    mark: Option<Mark>,
}

impl Journey {
    /// A request at the start of its way.
    pub fn new(rules: &Rules) -> Self {
        let root = rules.retries[rules.plan.root().index()];
        Self { walk: Walk::new(), attempts: Attempts::new(root), clock: Clock::new(rules.deadline), mark: None }
    }

    /// Attempts of the present call that failed and counted.
    pub fn failed_attempts(&self) -> u32 {
        self.attempts.failed()
    }

    /// Takes an event in. `random` is drawn from 0 to 1.
    pub fn step(&mut self, event: Event<'_>, now: Duration, random: f64, rules: &Rules) -> Command {
        match event {
            Event::Begin => {
                let next = self.walk.begin(&rules.plan);
                self.follow(next, rules)
            }
            Event::Started => {
                self.clock.resume(now);
                self.mark = Some(self.clock.mark(now));
                Command::Nothing
            }
            Event::Replied => {
                self.clock.pause(now);
                let Some(node) = self.walk.awaited() else { return Command::Nothing };
                let next = self.walk.replied(&rules.plan, node);
                self.follow(next, rules)
            }
            Event::Failed(error, verdict) => self.failed(error, verdict, now, random),
            Event::Lost => self.again_for_free(now),
        }
    }

    fn follow(&mut self, next: Next, rules: &Rules) -> Command {
        match next {
            Next::Call(node) => {
                self.attempts = Attempts::new(rules.retries[node.index()]);
                Command::Call(node)
            }
            Next::Done => Command::Answer,
            Next::Wait => Command::Nothing,
        }
    }

    fn failed(&mut self, error: &CallError, verdict: Verdict, now: Duration, random: f64) -> Command {
        if verdict == Verdict::Free {
            return self.again_for_free(now);
        }
        let Some(node) = self.walk.awaited() else { return Command::Nothing };
        let decision = self.attempts.after_failure(self.clock.left(now), error.retry_after(), random);
        if !error.is_retryable() {
            return Command::Fail(GaveUp::Permanent);
        }
        match decision {
            Decision::RetryIn(wait) => Command::CallAfter(node, wait),
            Decision::OutOfAttempts => Command::Fail(GaveUp::Attempts),
            Decision::OutOfTime => Command::Fail(GaveUp::Deadline),
        }
    }

    fn again_for_free(&mut self, now: Duration) -> Command {
        if let Some(mark) = self.mark.take() {
            self.clock.forgive(mark, now);
        }
        self.clock.pause(now);
        self.walk.awaited().map_or(Command::Nothing, Command::Call)
    }

    /// The call waits for an endpoint, a limit or a permit: that costs no time.
    pub fn waits(&mut self, now: Duration) {
        self.clock.pause(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::{GraphNode, NodeKind};
    use bytes::Bytes;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn rules(attempts: u32) -> Rules {
        let leaf = GraphNode::new("b", NodeKind::Model, vec![]);
        let root = GraphNode::new("a", NodeKind::Model, vec![leaf]);
        let retry = Retry { attempts, min_backoff: s(1), max_backoff: s(4) };
        Rules { plan: Plan::new(&root).unwrap(), retries: vec![retry; 2], deadline: s(60) }
    }

    fn status(code: u16) -> CallError {
        CallError::Status { code, body: Bytes::new(), retry_after: None }
    }

    fn node(rules: &Rules, name: &str) -> NodeId {
        rules.plan.find(name).unwrap()
    }

    #[test]
    fn a_chain_is_called_in_order_and_its_last_reply_is_the_answer() {
        let rules = rules(3);
        let mut journey = Journey::new(&rules);
        assert_eq!(journey.step(Event::Begin, s(0), 0.0, &rules), Command::Call(node(&rules, "a")));
        journey.step(Event::Started, s(0), 0.0, &rules);
        assert_eq!(journey.step(Event::Replied, s(1), 0.0, &rules), Command::Call(node(&rules, "b")));
        journey.step(Event::Started, s(1), 0.0, &rules);
        assert_eq!(journey.step(Event::Replied, s(2), 0.0, &rules), Command::Answer);
        assert_eq!(journey.step(Event::Replied, s(3), 0.0, &rules), Command::Nothing);
    }

    #[test]
    fn a_failure_that_costs_ends_after_the_attempts() {
        let rules = rules(3);
        let mut journey = Journey::new(&rules);
        journey.step(Event::Begin, s(0), 0.0, &rules);
        for _ in 0..2 {
            journey.step(Event::Started, s(0), 0.0, &rules);
            let command = journey.step(Event::Failed(&status(500), Verdict::Costs), s(0), 1.0, &rules);
            assert!(matches!(command, Command::CallAfter(..)), "{command:?}");
        }
        let command = journey.step(Event::Failed(&status(500), Verdict::Costs), s(0), 1.0, &rules);
        assert_eq!(command, Command::Fail(GaveUp::Attempts));
        assert_eq!(journey.failed_attempts(), 3);
    }

    #[test]
    fn a_permanent_failure_is_not_tried_again() {
        let rules = rules(3);
        let mut journey = Journey::new(&rules);
        journey.step(Event::Begin, s(0), 0.0, &rules);
        let command = journey.step(Event::Failed(&status(400), Verdict::Costs), s(0), 0.0, &rules);
        assert_eq!(command, Command::Fail(GaveUp::Permanent));
        assert_eq!(journey.failed_attempts(), 1);
    }

    #[test]
    fn what_is_free_costs_neither_attempts_nor_time_however_often() {
        let rules = rules(2);
        let mut journey = Journey::new(&rules);
        let a = node(&rules, "a");
        journey.step(Event::Begin, s(0), 0.0, &rules);
        for round in 0..1_000 {
            journey.step(Event::Started, s(round * 100), 0.0, &rules);
            let hung = CallError::Timeout(s(30));
            let command = journey.step(Event::Failed(&hung, Verdict::Free), s(round * 100 + 30), 0.0, &rules);
            assert_eq!(command, Command::Call(a));
            journey.step(Event::Started, s(round * 100 + 90), 0.0, &rules);
            assert_eq!(journey.step(Event::Lost, s(round * 100 + 91), 0.0, &rules), Command::Call(a));
        }
        assert_eq!((journey.failed_attempts(), journey.clock.left(s(100_000))), (0, s(60)));
    }

    #[test]
    fn the_deadline_ends_a_record_whose_endpoint_works() {
        let rules = rules(100);
        let mut journey = Journey::new(&rules);
        journey.step(Event::Begin, s(0), 0.0, &rules);
        let hung = CallError::Timeout(s(40));
        journey.step(Event::Started, s(0), 0.0, &rules);
        assert!(matches!(
            journey.step(Event::Failed(&hung, Verdict::Costs), s(40), 0.5, &rules),
            Command::CallAfter(..)
        ));
        journey.step(Event::Started, s(41), 0.0, &rules);
        let command = journey.step(Event::Failed(&hung, Verdict::Costs), s(81), 0.5, &rules);
        assert_eq!(command, Command::Fail(GaveUp::Deadline));
    }
}
