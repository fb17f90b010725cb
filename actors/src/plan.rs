//! What a supervisor does about what happens to its children: pure, time and chance are parameters.
//!
//! Children are brought down in reverse order, one at a time, and brought up in order. Every input changes what is wanted
//! of whom, and [`Plan::next_steps`] compares that with how things are. [`crate::tree`] carries the steps out.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    budget::{Budget, Decision, Restarts},
    exit::Exit,
    spec::{RestartPolicy, Strategy},
};

/// Names a child for as long as it belongs to the supervisor.
pub(crate) type SlotId = u64;

/// To be carried out, in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// Make it anew and let it live.
    Launch(SlotId, Duration),
    Resume(SlotId, Duration),
    Hold(SlotId, Exit),
    Drain(SlotId),
    Kill(SlotId),
    /// It is gone for good.
    Forget(SlotId, Exit),
    /// All are up.
    ReportRunning,
    /// All are held, as ordered.
    ReportHeld,
    /// A child gave up, and all are held.
    ReportFailed(Exit),
    /// All are gone.
    ReportEnded(Exit),
}

/// What was decided about a failure, for the listener.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    Restart(Duration),
    GiveUp(Exit),
    LetGo,
    /// It was going down anyway.
    Nothing,
}

pub(crate) struct Plan {
    strategy: Strategy,
    /// In start order.
    slots: Vec<Slot>,
    goal: Goal,
    /// The goal was reached and said so.
    reported: bool,
    all_drained: bool,
    next_id: SlotId,
}

#[derive(Clone, Debug, PartialEq)]
enum Goal {
    Up,
    /// `failed` tells whether it is this supervisor's own failure.
    Held {
        why: Exit,
        failed: bool,
    },
    Stopped {
        kill: bool,
    },
}

struct Slot {
    id: SlotId,
    name: String,
    policy: RestartPolicy,
    restarts: Restarts,
    state: SlotState,
    /// Somebody exists who takes orders.
    launched: bool,
    /// Must go down before it, or anyone, comes up again.
    cycle: Option<Exit>,
    /// Asked to leave on its own; others do not wait for it.
    leaving: bool,
    /// Comes up only after all elders are up.
    ordered: bool,
    after: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SlotState {
    Down,
    Starting,
    Running,
    Holding,
    Stopping { kill: bool },
}

impl Plan {
    pub(crate) fn new(strategy: Strategy) -> Self {
        let goal = Goal::Held { why: Exit::Stopped, failed: false };
        Self { strategy, slots: Vec::new(), goal, reported: true, all_drained: true, next_id: 0 }
    }

    /// Appends a child to the order.
    pub(crate) fn add(&mut self, name: String, policy: RestartPolicy, budget: Budget) -> SlotId {
        let id = self.next_id;
        self.next_id += 1;
        // A child that joins independent siblings later does not wait for one that happens to be down.
        let ordered = self.goal != Goal::Up || self.strategy != Strategy::OneForOne;
        self.slots.push(Slot {
            id,
            name,
            policy,
            restarts: Restarts::new(budget),
            state: SlotState::Down,
            launched: false,
            cycle: None,
            leaving: false,
            ordered,
            after: Duration::ZERO,
        });
        id
    }

    /// All up, with a clean record.
    pub(crate) fn resume(&mut self) {
        self.set_goal(Goal::Up);
        for slot in &mut self.slots {
            slot.restarts.reset();
            slot.ordered = true;
            slot.after = Duration::ZERO;
        }
    }

    pub(crate) fn hold(&mut self, why: Exit) {
        if !matches!(self.goal, Goal::Stopped { .. }) {
            self.set_goal(Goal::Held { why, failed: false });
        }
    }

    pub(crate) fn stop(&mut self, kill: bool) {
        let already = Goal::Stopped { kill: true };
        if self.goal != already {
            self.set_goal(Goal::Stopped { kill });
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        matches!(self.goal, Goal::Stopped { .. })
    }

    pub(crate) fn find(&self, name: &str) -> Option<SlotId> {
        self.slots.iter().find(|slot| slot.name == name).map(|slot| slot.id)
    }

    pub(crate) fn on_running(&mut self, id: SlotId) {
        if let Some(slot) = self.slot(id)
            && slot.state == SlotState::Starting
        {
            slot.state = SlotState::Running;
            slot.ordered = false;
        }
    }

    pub(crate) fn on_held(&mut self, id: SlotId) {
        if let Some(slot) = self.slot(id)
            && slot.state == SlotState::Holding
        {
            slot.state = SlotState::Down;
        }
    }

    /// A life ended; the child waits for an order.
    pub(crate) fn on_failed(&mut self, id: SlotId, exit: &Exit, now: Instant, random: f64) -> (Verdict, Vec<Step>) {
        let goal = self.goal.clone();
        let Some(slot) = self.slot(id) else { return (Verdict::Nothing, Vec::new()) };
        match slot.state {
            SlotState::Holding => slot.state = SlotState::Down,
            SlotState::Stopping { kill: true } => {}
            // What it still has must be finished, so it gets its restarts.
            SlotState::Stopping { kill: false } => {
                if slot.policy.restarts_after(exit)
                    && let Decision::Restart { after } = slot.restarts.on_failure(now, random)
                {
                    let step = slot.bring_up(after);
                    let again = matches!(step, Step::Launch(..)).then_some(Step::Drain(id));
                    return (Verdict::Restart(after), std::iter::once(step).chain(again).collect());
                }
                slot.state = SlotState::Stopping { kill: true };
                return (Verdict::LetGo, vec![if slot.launched { Step::Kill(id) } else { self.forget(id, exit) }]);
            }
            SlotState::Down | SlotState::Starting | SlotState::Running => {
                slot.state = SlotState::Down;
                if !matches!(goal, Goal::Held { .. } | Goal::Stopped { kill: true }) {
                    return self.judge(id, exit, now, random);
                }
            }
        }
        (Verdict::Nothing, Vec::new())
    }

    fn judge(&mut self, id: SlotId, exit: &Exit, now: Instant, random: f64) -> (Verdict, Vec<Step>) {
        let draining = self.is_stopping();
        let Some(slot) = self.slot(id) else { return (Verdict::Nothing, Vec::new()) };
        if !slot.policy.restarts_after(exit) {
            let step = if slot.launched { slot.leave(true) } else { self.forget(id, exit) };
            return (Verdict::LetGo, vec![step]);
        }
        match slot.restarts.on_failure(now, random) {
            // Elders still to be drained need it, so it does not wait for its turn.
            Decision::Restart { after } if draining => {
                slot.state = SlotState::Starting;
                (Verdict::Restart(after), vec![slot.bring_up(after)])
            }
            Decision::Restart { after } => {
                slot.after = after;
                self.couple(id);
                (Verdict::Restart(after), Vec::new())
            }
            Decision::GiveUp { count } => {
                let exit = Exit::TooManyRestarts { last: Box::new(exit.clone()), count };
                let gave_up = Exit::ChildGaveUp { child: slot.name.clone(), exit: Box::new(exit.clone()) };
                if !draining {
                    self.set_goal(Goal::Held { why: gave_up, failed: true });
                }
                (Verdict::GiveUp(exit), Vec::new())
            }
        }
    }

    /// Whoever depends on the failed child goes down before it comes up again.
    fn couple(&mut self, failed: SlotId) {
        let Some(at) = self.slots.iter().position(|slot| slot.id == failed) else { return };
        let why = Exit::SiblingFailed { child: self.slots[at].name.clone() };
        let first = match self.strategy {
            Strategy::OneForOne => return,
            Strategy::RestForOne => at,
            Strategy::OneForAll => 0,
        };
        for slot in self.slots.iter_mut().skip(first).filter(|slot| !slot.leaving) {
            slot.ordered = true;
            if slot.id != failed {
                slot.cycle = Some(why.clone());
            }
        }
    }

    /// Nobody takes orders for this child any more.
    pub(crate) fn on_ended(&mut self, id: SlotId, exit: &Exit, now: Instant, random: f64) -> (Verdict, Vec<Step>) {
        let Some(slot) = self.slot(id) else { return (Verdict::Nothing, Vec::new()) };
        slot.launched = false;
        if matches!(slot.state, SlotState::Stopping { .. }) && (!exit.is_failure() || slot.state.is_killed()) {
            return (Verdict::LetGo, vec![self.forget(id, exit)]);
        }
        self.on_failed(id, exit, now, random)
    }

    /// Ends one child, whatever the others do.
    pub(crate) fn stop_child(&mut self, id: SlotId, kill: bool) -> Vec<Step> {
        let Some(slot) = self.slot(id) else { return Vec::new() };
        match slot.state {
            SlotState::Stopping { kill: true } => Vec::new(),
            SlotState::Stopping { kill: false } if !kill => Vec::new(),
            SlotState::Down if !slot.launched => vec![self.forget(id, &Exit::Killed)],
            // One that is down has no way to finish.
            SlotState::Down | SlotState::Holding => vec![slot.leave(true)],
            _ => vec![slot.leave(kill)],
        }
    }

    /// What is to be done now. Call after each input until nothing comes out.
    pub(crate) fn next_steps(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.bring_down(&mut steps) {
            self.bring_up(&mut steps);
        }
        steps
    }

    /// True when all who must be down are.
    fn bring_down(&mut self, steps: &mut Vec<Step>) -> bool {
        for at in (0..self.slots.len()).rev() {
            let stop = match &self.goal {
                Goal::Stopped { kill } => Some(*kill),
                _ => None,
            };
            let slot = &mut self.slots[at];
            if let Some(kill) = stop {
                if slot.state == SlotState::Down && !slot.launched {
                    let id = slot.id;
                    steps.push(self.forget(id, if kill { &Exit::Killed } else { &Exit::Drained }));
                    continue;
                }
                steps.extend(slot.stop_step(kill));
                return false;
            }
            let why = match &self.goal {
                Goal::Held { why, .. } => Some(why.clone()),
                _ => slot.cycle.clone(),
            };
            let Some(why) = why else { continue };
            match slot.state {
                SlotState::Down => {
                    slot.cycle = None;
                    slot.ordered = true;
                }
                SlotState::Starting | SlotState::Running => {
                    slot.state = SlotState::Holding;
                    steps.push(Step::Hold(slot.id, why));
                    return false;
                }
                SlotState::Holding => return false,
                SlotState::Stopping { .. } if slot.leaving => slot.cycle = None,
                SlotState::Stopping { .. } => return false,
            }
        }
        true
    }

    fn bring_up(&mut self, steps: &mut Vec<Step>) {
        let report = match &self.goal {
            Goal::Held { why, failed: true } => Step::ReportFailed(why.clone()),
            Goal::Held { .. } => Step::ReportHeld,
            Goal::Stopped { .. } if self.all_drained => Step::ReportEnded(Exit::Drained),
            Goal::Stopped { .. } => Step::ReportEnded(Exit::Killed),
            Goal::Up => {
                let mut elders_up = true;
                for slot in self.slots.iter_mut().filter(|slot| !slot.leaving) {
                    if slot.state == SlotState::Down && (elders_up || !slot.ordered) {
                        slot.state = SlotState::Starting;
                        steps.push(slot.bring_up(slot.after));
                    }
                    elders_up &= slot.state == SlotState::Running;
                }
                if !elders_up {
                    return;
                }
                Step::ReportRunning
            }
        };
        if !std::mem::replace(&mut self.reported, true) {
            steps.push(report);
        }
    }

    fn set_goal(&mut self, goal: Goal) {
        self.goal = goal;
        self.reported = false;
    }

    fn forget(&mut self, id: SlotId, exit: &Exit) -> Step {
        let stopping = self.is_stopping();
        self.slots.retain(|slot| slot.id != id);
        // What ended before the stop was no part of it.
        self.all_drained &= !stopping || matches!(exit, Exit::Drained | Exit::Stopped);
        Step::Forget(id, exit.clone())
    }

    fn slot(&mut self, id: SlotId) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.id == id)
    }
}

impl SlotState {
    fn is_killed(self) -> bool {
        self == Self::Stopping { kill: true }
    }
}

impl Slot {
    fn bring_up(&mut self, after: Duration) -> Step {
        self.after = Duration::ZERO;
        if std::mem::replace(&mut self.launched, true) {
            Step::Resume(self.id, after)
        } else {
            Step::Launch(self.id, after)
        }
    }

    fn leave(&mut self, kill: bool) -> Step {
        self.leaving = true;
        self.state = SlotState::Stopping { kill };
        if kill { Step::Kill(self.id) } else { Step::Drain(self.id) }
    }

    fn stop_step(&mut self, kill: bool) -> Option<Step> {
        let kill = match self.state {
            SlotState::Stopping { kill: true } => return None,
            SlotState::Stopping { kill: false } if !kill => return None,
            // One that is down has no way to finish.
            SlotState::Down | SlotState::Holding => true,
            SlotState::Starting | SlotState::Running | SlotState::Stopping { .. } => kill,
        };
        self.state = SlotState::Stopping { kill };
        Some(if kill { Step::Kill(self.id) } else { Step::Drain(self.id) })
    }
}
