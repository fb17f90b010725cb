//! One child as its supervisor's [`Plan`](crate::plan::Plan) sees it, and the steps that change how it is. Pure.

use std::time::Duration;

use crate::{
    budget::{Budget, Restarts},
    exit::Exit,
    plan::{SlotId, Step},
    spec::RestartPolicy,
};

pub(crate) struct Slot {
    pub(crate) id: SlotId,
    pub(crate) name: String,
    pub(crate) policy: RestartPolicy,
    pub(crate) restarts: Restarts,
    pub(crate) state: SlotState,
    /// Somebody exists who takes orders.
    pub(crate) launched: bool,
    /// Must go down before it, or anyone, comes up again.
    pub(crate) cycle: Option<Exit>,
    /// Asked to leave on its own; others do not wait for it.
    pub(crate) leaving: bool,
    /// Comes up only after all elders are up.
    pub(crate) ordered: bool,
    /// The back-off it has still to wait.
    pub(crate) after: Duration,
    /// Why it is not restarted; the kill that follows is not its exit.
    pub(crate) given_up: Option<Exit>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotState {
    /// Not launched, or held.
    Down,
    /// A life ended; its state is not rebuilt yet.
    Failed,
    Starting,
    Running,
    Holding,
    Stopping {
        kill: bool,
    },
}

impl SlotState {
    pub(crate) fn is_killed(self) -> bool {
        self == Self::Stopping { kill: true }
    }
}

impl Slot {
    pub(crate) fn new(id: SlotId, name: String, policy: RestartPolicy, budget: Budget) -> Self {
        Self {
            id,
            name,
            policy,
            restarts: Restarts::new(budget),
            state: SlotState::Down,
            launched: false,
            cycle: None,
            leaving: false,
            ordered: true,
            after: Duration::ZERO,
            given_up: None,
        }
    }

    /// Nothing of the past counts any more.
    pub(crate) fn renew(&mut self) {
        self.restarts.reset();
        self.ordered = true;
        self.cycle = None;
        self.after = Duration::ZERO;
        self.given_up = None;
    }

    pub(crate) fn bring_up(&mut self) -> Step {
        let after = std::mem::take(&mut self.after);
        if std::mem::replace(&mut self.launched, true) {
            Step::Resume(self.id, after)
        } else {
            Step::Launch(self.id, after)
        }
    }

    /// Steps towards the end that were not taken yet.
    pub(crate) fn end(&mut self, kill: bool) -> Vec<Step> {
        let was = self.state;
        if was.is_killed() || (was == SlotState::Stopping { kill: false } && !kill) {
            return Vec::new();
        }
        if kill || self.given_up.is_some() {
            self.state = SlotState::Stopping { kill: true };
            return vec![Step::Kill(self.id)];
        }
        self.state = SlotState::Stopping { kill: false };
        match was {
            // One that is down must live to finish what it has.
            SlotState::Down | SlotState::Failed | SlotState::Holding => vec![self.bring_up(), Step::Drain(self.id)],
            _ => vec![Step::Drain(self.id)],
        }
    }
}
