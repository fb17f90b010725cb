//! What a supervisor does about what happens to its children: pure, time and chance are parameters.
//!
//! Children are brought down in reverse order, one at a time, and brought up in order. Every input changes what is wanted
//! of whom, and [`Plan::next_steps`] compares that with how things are. [`crate::tree`] carries the steps out.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    budget::{Budget, Decision},
    exit::Exit,
    slot::{Slot, SlotState},
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

impl Plan {
    pub(crate) fn new(strategy: Strategy) -> Self {
        let goal = Goal::Held { why: Exit::Stopped, failed: false };
        Self { strategy, slots: Vec::new(), goal, reported: true, all_drained: true, next_id: 0 }
    }

    /// Appends a child to the order.
    pub(crate) fn add(&mut self, name: String, policy: RestartPolicy, budget: Budget) -> SlotId {
        let id = self.next_id;
        self.next_id += 1;
        let mut slot = Slot::new(id, name, policy, budget);
        // A child that joins independent siblings later does not wait for one that happens to be down.
        slot.ordered = self.goal != Goal::Up || self.strategy != Strategy::OneForOne;
        self.slots.push(slot);
        id
    }

    /// All up, with a clean record.
    pub(crate) fn resume(&mut self) {
        self.set_goal(Goal::Up);
        self.slots.iter_mut().for_each(Slot::renew);
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
            // Every hold and every kill is answered; taking this for the answer would leave that one to be mistaken later.
            SlotState::Holding if slot.launched => {}
            SlotState::Holding => slot.state = SlotState::Down,
            SlotState::Stopping { kill: true } => {}
            // What it still has must be finished, so it gets its restarts.
            SlotState::Stopping { kill: false } => {
                if slot.policy.restarts_after(exit)
                    && let Decision::Restart { after } = slot.restarts.on_failure(now, random)
                {
                    slot.after = after;
                    let step = slot.bring_up();
                    // In place it remembers that it drains.
                    let again = matches!(step, Step::Launch(..)).then_some(Step::Drain(id));
                    return (Verdict::Restart(after), std::iter::once(step).chain(again).collect());
                }
                return (Verdict::LetGo, self.let_go(id, exit));
            }
            SlotState::Down | SlotState::Failed | SlotState::Starting | SlotState::Running => {
                slot.state = if slot.launched { SlotState::Failed } else { SlotState::Down };
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
            slot.leaving = true;
            return (Verdict::LetGo, self.let_go(id, exit));
        }
        match slot.restarts.on_failure(now, random) {
            // Elders still to be drained need it, so it does not wait for its turn.
            Decision::Restart { after } if draining => {
                slot.state = SlotState::Starting;
                slot.after = after;
                (Verdict::Restart(after), vec![slot.bring_up()])
            }
            Decision::Restart { after } => {
                slot.after = after;
                self.couple(id);
                (Verdict::Restart(after), Vec::new())
            }
            Decision::GiveUp { count } => {
                let exit = Exit::TooManyRestarts { last: Box::new(exit.clone()), count };
                let gave_up = Exit::ChildGaveUp { child: slot.name.clone(), exit: Box::new(exit.clone()) };
                slot.given_up = Some(exit.clone());
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
            // Also the failed one: its broken state must be gone before anyone lives again.
            slot.cycle = Some(why.clone());
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

    /// It is not restarted: nobody waits for it.
    fn let_go(&mut self, id: SlotId, exit: &Exit) -> Vec<Step> {
        let Some(slot) = self.slot(id) else { return Vec::new() };
        if !slot.launched {
            return vec![self.forget(id, exit)];
        }
        slot.given_up = Some(exit.clone());
        slot.end(true)
    }

    /// Ends one child, whatever the others do.
    pub(crate) fn stop_child(&mut self, id: SlotId, kill: bool) -> Vec<Step> {
        let Some(slot) = self.slot(id) else { return Vec::new() };
        if slot.state == SlotState::Down && !slot.launched {
            return vec![self.forget(id, &Exit::Killed)];
        }
        slot.leaving = true;
        slot.end(kill)
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
                steps.extend(slot.end(kill));
                return false;
            }
            let why = match &self.goal {
                Goal::Held { why, .. } => Some(why.clone()),
                _ => slot.cycle.clone(),
            };
            let Some(why) = why else { continue };
            match slot.state {
                // One that gave up may never live again, so nothing is rebuilt.
                SlotState::Failed if self.goal != Goal::Up => {}
                SlotState::Down => {
                    slot.cycle = None;
                    slot.ordered = true;
                }
                SlotState::Failed | SlotState::Starting | SlotState::Running => {
                    slot.state = SlotState::Holding;
                    steps.push(Step::Hold(slot.id, why));
                    return false;
                }
                SlotState::Stopping { .. } if slot.leaving => slot.cycle = None,
                SlotState::Holding | SlotState::Stopping { .. } => return false,
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
                    let is_down = matches!(slot.state, SlotState::Down | SlotState::Failed);
                    if is_down && (elders_up || !slot.ordered) {
                        slot.state = SlotState::Starting;
                        steps.push(slot.bring_up());
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
        let given_up = self.slot(id).and_then(|slot| slot.given_up.take());
        self.slots.retain(|slot| slot.id != id);
        let exit = given_up.unwrap_or_else(|| exit.clone());
        // What ended before the stop was no part of it.
        self.all_drained &= !stopping || matches!(exit, Exit::Drained | Exit::Stopped);
        Step::Forget(id, exit)
    }

    fn slot(&mut self, id: SlotId) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.id == id)
    }
}
