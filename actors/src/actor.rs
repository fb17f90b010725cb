//! What a business actor implements. Nothing here runs anything.

use crate::{ctx::Ctx, exit::Failure};

/// Something with state, a mailbox and a life that a supervisor can renew.
///
/// Hooks and handlers run one at a time and must not block: every actor of the arbiter waits meanwhile.
pub trait Actor: Sized + 'static {
    /// A life begins: the first, or one after a restart. No message has been received in it.
    fn started(&mut self, ctx: &mut Ctx<'_, Self>) {
        let _: &mut Ctx<'_, Self> = ctx;
    }

    /// A life was ended by `why`, and another one will begin after the back-off.
    ///
    /// Rebuild all state from what cannot be broken (a specification, shared handles), as a panic may have left anything
    /// half done. Tasks in flight were cancelled. The address and the messages queued behind it live on.
    fn restarting(&mut self, why: &Failure);

    /// Asked to finish what it has: call [`Ctx::drained`], now or later, when nothing is left.
    ///
    /// Messages sent before were received before. A life that begins while draining is asked anew.
    fn drain(&mut self, ctx: &mut Ctx<'_, Self>) {
        ctx.drained();
    }

    /// The last word before the actor is dropped for good.
    fn stopped(&mut self) {}

    /// What an operator may see: cheap, and no secrets.
    fn observe(&self) -> serde_json::Value {
        serde_json::Value::Null
    }
}

/// An actor that takes messages of type `M`.
pub trait Receive<M: Send + 'static>: Actor {
    /// Acts on one message.
    ///
    /// The message's place in the mailbox is given back on return, unless it is taken with [`Ctx::take_permit`].
    fn receive(&mut self, message: M, ctx: &mut Ctx<'_, Self>);
}
