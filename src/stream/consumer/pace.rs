//! When an owner looks again, though nobody told it to.

use std::time::Duration;

use millrace_actors::Ctx;

use super::{ConsumerActor, Held};
use crate::kafka::partition::Event;
use crate::record::Epoch;

/// The net under a lost wake-up, and the pace of what is shown.
pub(super) const TICK: Duration = Duration::from_secs(1);
/// While another partition has the room this one waits for, and nothing of its own runs.
const STARVED: Duration = Duration::from_millis(2);
/// The same while something does, whose end is looked for anyway.
const NARROW: Duration = Duration::from_millis(10);
/// Before something that could not be handed over is tried again.
pub(super) const PAUSE: Duration = Duration::from_millis(100);

impl ConsumerActor {
    pub(super) fn wait_for_room(&mut self, ctx: &mut Ctx<'_, Self>) {
        let runs = self.reign.as_ref().is_some_and(|reign| reign.machine.running() > 0);
        self.plan_pump(if runs { NARROW } else { STARVED }, ctx);
    }

    pub(super) fn after_pause(&mut self, epoch: Epoch, event: Event<Held>, ctx: &mut Ctx<'_, Self>) {
        if self.reign.as_ref().is_some_and(|reign| reign.assigned.epoch == epoch) {
            self.later.push(event);
            self.plan_pump(PAUSE, ctx);
        }
    }

    pub(super) fn plan_pump(&mut self, after: Duration, ctx: &mut Ctx<'_, Self>) {
        if !std::mem::replace(&mut self.pump_planned, true) {
            ctx.later(after, |actor, ctx| {
                actor.pump_planned = false;
                actor.pump(ctx);
            });
        }
    }

    fn pump(&mut self, ctx: &mut Ctx<'_, Self>) {
        let Some(epoch) = self.reign.as_ref().map(|reign| reign.assigned.epoch) else { return };
        for event in std::mem::take(&mut self.later) {
            self.step(epoch, event, ctx);
        }
        self.step(epoch, Event::Pump, ctx);
        self.read_if_waiting(ctx);
    }

    pub(super) fn read_if_waiting(&mut self, ctx: &mut Ctx<'_, Self>) {
        self.show();
        match &self.reign {
            Some(reign) if reign.unread || reign.outside => self.read(ctx),
            _ => self.show_idle(),
        }
    }

    pub(super) fn tick(&mut self, ctx: &mut Ctx<'_, Self>) {
        self.settle(ctx);
        self.pump(ctx);
        self.read(ctx);
    }
}
