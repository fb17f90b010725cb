//! Comparisons: children of a SHADOW node that get a copy of a request, and whose answers nobody waits for.
//!
//! They run beside the request, for at most the record's deadline, and only while there is room for them. What comes of one
//! is told as an event with both latencies and the difference. Its failure or slowness harms nobody.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use millrace_actors::Ctx;

use super::RequestRouterActor;
use super::flight::{Flight, Owner};
use crate::codec::difference;
use crate::events::Comparison;
use crate::graph::NodeId;
use crate::kafka::outcome::{ErrorClass, Failure};
use crate::record::Message;
use crate::stream::journey::{Event, Journey};

/// Both sides of a comparison, as far as they are known.
pub(super) struct Pair {
    puid: String,
    node: NodeId,
    child: NodeId,
    begun: Duration,
    primary: Option<(Message, Duration)>,
    shadow: Option<(Result<Message, Failure>, Duration)>,
}

impl RequestRouterActor {
    /// Starts the copy of a request through a child.
    pub(super) fn shadow(&mut self, id: u64, node: NodeId, child: NodeId, message: Message, ctx: &mut Ctx<'_, Self>) {
        let now = self.now();
        let name = self.parts.rules.name(child);
        let Some(flight) = self.flights.get_mut(id) else { return };
        if self.shadows >= self.parts.shadows {
            return self.parts.events.shadow_skipped(name);
        }
        // A copy of a copy is compared with the copy.
        let puid = match &flight.owner {
            Owner::Record(request) => String::from_utf8_lossy(&request.puid).into_owned(),
            Owner::Shadow(pair) => pair.borrow().puid.clone(),
        };
        let journey = Journey::at(&self.parts.rules, child, puid.as_bytes());
        let pair = Pair { puid, node, child, begun: now, primary: None, shadow: None };
        let pair = Rc::new(RefCell::new(pair));
        flight.pairs.push((node, Rc::clone(&pair)));
        let copy = Flight::new(Owner::Shadow(pair), journey, flight.headers.clone(), flight.item, None);
        let copy = self.flights.insert(copy);
        self.shadows += 1;
        ctx.later(self.parts.rules.deadline, move |router, ctx| router.expire(copy, ctx));
        self.step(copy, Event::Begin(message), None, ctx);
    }

    /// The first child of a node has answered.
    pub(super) fn compare(&mut self, id: u64, node: NodeId, message: Message) {
        let now = self.now();
        let Some(flight) = self.flights.get_mut(id) else { return };
        for (_, pair) in flight.pairs.extract_if(.., |(of, _)| *of == node) {
            let mut pair = pair.borrow_mut();
            pair.primary = Some((message.clone(), now.saturating_sub(pair.begun)));
            tell(&pair, &self.parts);
        }
    }

    /// A copy has come to its end.
    pub(super) fn shadowed(&mut self, pair: &Rc<RefCell<Pair>>, result: Result<Message, Failure>) {
        let mut pair = pair.borrow_mut();
        pair.shadow = Some((result, self.now().saturating_sub(pair.begun)));
        tell(&pair, &self.parts);
    }

    fn expire(&mut self, copy: u64, ctx: &mut Ctx<'_, Self>) {
        if self.flights.get(copy).is_some() {
            let failure = Failure::of_record(ErrorClass::Timeout, "no answer within limits.record_deadline");
            self.dead_letter(copy, failure, ctx);
        }
    }
}

/// Tells of a pair that is complete.
fn tell(pair: &Pair, parts: &super::Parts) {
    let (Some((primary, primary_took)), Some((shadow, shadow_took))) = (&pair.primary, &pair.shadow) else { return };
    let difference = match shadow {
        Ok(shadow) => Ok(difference::compare(parts.rules.protocol, primary, shadow)),
        Err(failure) => Err(failure.message.as_str()),
    };
    parts.events.compared(&Comparison {
        puid: &pair.puid,
        node: parts.rules.name(pair.node),
        child: parts.rules.name(pair.child),
        primary_took: *primary_took,
        shadow_took: *shadow_took,
        difference: difference.as_ref().map(ToString::to_string).map_err(|text| (*text).to_owned()),
        equal: difference.is_ok_and(|difference| difference.is_equal()),
    });
}
