//! The end of the log: an idle partition's position past control records is committed too, so that its lag reaches 0.

use millrace_actors::Ctx;

use super::ConsumerActor;
use crate::kafka::partition::Event;
use crate::record::{Epoch, NextOffset};

impl ConsumerActor {
    /// The log was read to here, past control records.
    pub(super) fn ends_at(&mut self, epoch: Epoch, position: NextOffset, ctx: &mut Ctx<'_, Self>) {
        let idle = self.reign.as_ref().is_some_and(|reign| reign.machine.unfinished() == 0);
        if let Some(transactor) = self.parts.transactor.as_ref().filter(|_| idle) {
            transactor.ends_at(self.partition, epoch, position);
        }
        self.step(epoch, Event::EndsAt(position), ctx);
    }

    /// Tells the consumer's thread whether it is worth asking where the log ends.
    pub(super) fn show_idle(&self) {
        if let Some(reign) = &self.reign {
            reign.assigned.marks.set_idle_at_end(reign.at_end && reign.machine.unfinished() == 0);
        }
    }
}
