//! Calls with the requests of several records: who goes together, and what each hears of it.
//!
//! One right to run for all of them. What fails with several is made again in two halves, at no cost, until it fails with
//! one; only that failure is the record's. What says nothing of any request each of them hears as of a call of its own.

use std::time::Duration;

use millrace_actors::{Ctx, Receive};
use tokio::sync::oneshot;

use super::RequestRouterActor;
use super::calls::Served;
use super::flight::{Flight, Right};
use crate::codec::batch::Unsplit;
use crate::graph::NodeId;
use crate::kafka::suspects::Loss;
use crate::model::availability::{Ticket, Verdict};
use crate::model::batch::collector::Group;
use crate::model::batch::failing;
use crate::model::call::Reply;
use crate::model::error::CallError;
use crate::stream::endpoint::batching::Member;
use crate::stream::endpoint::{Endpoint, Failed};
use crate::stream::journey::{Event, Target};
use crate::stream::model_client::{End, Merged, MergedCalled, MergedEnd, MergedGuard, MergedMember};

/// A call that runs.
pub(super) struct Running {
    target: Target,
    ticket: Ticket,
    group: Group<Member>,
    /// Requests that still wait for it.
    left: usize,
    /// Dropped, it ends the call.
    _stop: oneshot::Sender<()>,
}

impl Endpoint {
    /// A request waits for a call with others, if it may.
    pub(super) fn collects(&mut self, id: u64, node: NodeId, flight: &Flight, now: Duration) -> bool {
        let Some(batch) = self.batch.as_mut() else { return false };
        // Records that may be at fault harm nobody beside them.
        let collected = !flight.is_loner(node)
            && !flight.is_suspect(node)
            && flight.journey.asks(node).is_some_and(|asked| batch.wait((id, node), asked, &flight.headers, now));
        if collected {
            self.parts.metrics.waiting().inc();
        }
        collected
    }
}

impl RequestRouterActor {
    /// Starts calls, with several records and with one, in turn. One that must be alone holds back all others.
    pub(super) fn serve_merging(&mut self, target: Target, now: Duration, ctx: &mut Ctx<'_, Self>) {
        self.collect_no_more(target);
        loop {
            let endpoint = &self.endpoints[target.0];
            let Some(batch) = endpoint.batch.as_ref() else { return };
            let suspect = endpoint.first().and_then(|(id, node)| Some(self.flights.get(id)?.is_suspect(node)));
            let merged_first = batch.turn && suspect != Some(true);
            let mut served = Served::Nobody;
            for merged in [merged_first, !merged_first] {
                let next = if merged { self.serve_group(target, now, ctx) } else { self.serve_first(target, now, ctx) };
                match next {
                    Served::One => served = Served::One,
                    Served::Nobody => {}
                    Served::NoPlace => return,
                }
                if let Some(batch) = self.endpoints[target.0].batch.as_mut().filter(|_| next == Served::One) {
                    batch.turn = !merged;
                }
            }
            if served == Served::Nobody {
                break;
            }
        }
        self.endpoints[target.0].no_longer_alone();
        self.look_later(target, now, ctx);
    }

    /// What is collected for a model that turned out not to answer row by row waits for calls of its own.
    fn collect_no_more(&mut self, target: Target) {
        let endpoint = &mut self.endpoints[target.0];
        let Some(batch) = endpoint.batch.as_mut() else { return };
        if batch.collector.is_empty() || batch.parts.learned.merges() {
            return;
        }
        let all = batch.collector.drain();
        endpoint.parts.metrics.waiting().sub(all.len() as i64);
        for member in all {
            endpoint.wait(member.flight, member.node);
        }
    }

    /// Looks again when those who wait for others have waited long enough.
    fn look_later(&mut self, target: Target, now: Duration, ctx: &mut Ctx<'_, Self>) {
        let Some(batch) = self.endpoints[target.0].batch.as_mut() else { return };
        let Some(due) = batch.collector.due(now) else { return };
        if batch.looks.is_none_or(|looks| looks > due) {
            batch.looks = Some(due);
            ctx.later(due.saturating_sub(now), move |router, ctx| {
                if let Some(batch) = router.endpoints[target.0].batch.as_mut() {
                    batch.looks = batch.looks.filter(|looks| *looks != due);
                }
                router.serve(target, ctx);
            });
        }
    }

    /// Starts the call of the first group.
    fn serve_group(&mut self, target: Target, now: Duration, ctx: &mut Ctx<'_, Self>) -> Served {
        let endpoint = &mut self.endpoints[target.0];
        let Some(batch) = endpoint.batch.as_mut() else { return Served::Nobody };
        if !batch.collector.is_ready(now) {
            return Served::Nobody;
        }
        let rows = batch.parts.learned.target();
        if endpoint.is_given_up() {
            return self.give_up_group(target, rows, now, ctx);
        }
        if !endpoint.availability.admits() {
            return Served::Nobody;
        }
        let Some((ticket, client, place)) = endpoint.start(false, now) else {
            self.plan(ctx);
            return Served::NoPlace;
        };
        let Some(mut group) = self.take_group(target, rows, now) else {
            self.endpoints[target.0].dropped(ticket, now);
            return Served::Nobody;
        };
        let number = self.next_merged;
        self.next_merged += 1;
        let (mut members, mut of_first) = (Vec::with_capacity(group.members.len()), None);
        let mut kept = Vec::with_capacity(group.members.len());
        for mut member in group.members {
            let (id, node) = (member.item.flight, member.item.node);
            let Some(flight) = self.flights.get_mut(id) else { continue };
            if !flight.is_current() {
                self.forget(id, ctx);
                continue;
            }
            let Some((call, kind, message)) = flight.call_with(node, target, number, now) else { continue };
            of_first.get_or_insert((kind, flight.headers.clone()));
            member.item.call = call;
            members.push(MergedMember {
                item: flight.item,
                message,
                part: member.item.part.clone(),
                crash: flight.crash,
            });
            kept.push(member);
        }
        group.members = kept;
        let endpoint = &mut self.endpoints[target.0];
        let (Some((kind, headers)), Some(batch)) = (of_first, endpoint.batch.as_mut()) else {
            endpoint.dropped(ticket, now);
            self.group_ended(target, &group, now);
            return Served::One;
        };
        batch.parts.metrics.begun(members.len(), group.rows());
        let headers = if members.len() == 1 { headers } else { headers.without_id() };
        let (stop, stopped) = oneshot::channel();
        let guard = MergedGuard::new(number, self.address.clone());
        let timeout = endpoint.parts.timeout;
        self.merged.insert(number, Running { target, ticket, left: members.len(), group, _stop: stop });
        // A client that is gone drops the call, whose guard says so.
        drop(client.send_with(place, Merged { guard, kind, headers, timeout, members, stopped }));
        self.plan(ctx);
        Served::One
    }

    fn take_group(&mut self, target: Target, rows: usize, now: Duration) -> Option<Group<Member>> {
        let endpoint = &mut self.endpoints[target.0];
        let group = endpoint.batch.as_mut()?.collector.take(rows, now)?;
        endpoint.parts.metrics.waiting().sub(group.members.len() as i64);
        Some(group)
    }

    /// Nobody is to wait for an endpoint that is down.
    fn give_up_group(&mut self, target: Target, rows: usize, now: Duration, ctx: &mut Ctx<'_, Self>) -> Served {
        let Some(group) = self.take_group(target, rows, now) else { return Served::Nobody };
        self.group_ended(target, &group, now);
        for member in group.members {
            let (error, Member { flight, node, .. }) = (&CallError::Down, member.item);
            self.step(flight, Event::Failed(node, error, Verdict::Costs), Some((target, error)), ctx);
        }
        Served::One
    }

    fn group_ended(&mut self, target: Target, group: &Group<Member>, now: Duration) {
        if let Some(batch) = self.endpoints[target.0].batch.as_mut() {
            let rows = batch.parts.learned.target();
            batch.parts.metrics.set_target(rows);
            batch.collector.ended(&group.kind, rows, now);
        }
    }

    /// A request does not wait for its call with others any more. The last one ends it.
    pub(super) fn leave_merged(&mut self, number: u64, now: Duration) {
        let Some(running) = self.merged.get_mut(&number) else { return };
        running.left = running.left.saturating_sub(1);
        if running.left == 0
            && let Some(Running { target, ticket, group, .. }) = self.merged.remove(&number)
        {
            self.endpoints[target.0].dropped(ticket, now);
            self.group_ended(target, &group, now);
        }
    }

    /// Takes a request's call out, if it still waits for it. One whose owner's life is over is forgotten.
    fn still_waits(&mut self, member: &Member, ctx: &mut Ctx<'_, Self>) -> bool {
        let Some(flight) = self.flights.get_mut(member.flight) else { return false };
        let runs = flight.ended(member.call).is_some_and(|running| matches!(running.right, Right::Merged(_)));
        if runs && !flight.is_current() {
            self.forget(member.flight, ctx);
            return false;
        }
        if runs {
            ctx.at_hand(flight.item);
        }
        runs
    }

    pub(super) fn merged_called(&mut self, called: MergedCalled, ctx: &mut Ctx<'_, Self>) {
        let now = self.now();
        let Some(running) = self.merged.remove(&called.number) else {
            return self.parts.events.late_results_dropped.inc();
        };
        let target = running.target;
        match called.end {
            end if running.group.members.len() == 1 => return self.only_called(running, end, now, ctx),
            MergedEnd::Lost(losses) => self.merged_lost(running, losses, now, ctx),
            MergedEnd::Answered(replies) => {
                let Running { ticket, group, .. } = running;
                self.endpoints[target.0].answered_all(group.members.len(), ticket, now);
                self.learn_answered(target, &group, now);
                self.group_ended(target, &group, now);
                for (member, reply) in group.members.iter().map(|member| &member.item).zip(replies) {
                    if self.still_waits(member, ctx) {
                        if let Some(flight) = self.flights.get_mut(member.flight) {
                            flight.clear(member.node);
                        }
                        self.step(member.flight, Event::Replied(member.node, reply), None, ctx);
                    }
                }
            }
            MergedEnd::Unsplit(why) => {
                self.endpoints[target.0].answered(running.ticket, now);
                self.learn_unsplit(target, &why);
                self.halve(target, running.group, &why, now, ctx);
            }
            MergedEnd::Failed(error) => self.merged_failed(running, &error, now, ctx),
        }
        ctx.clear_at_hand();
        self.serve(target, ctx);
    }

    /// A call that had nobody beside it is like any other.
    fn only_called(&mut self, running: Running, end: MergedEnd, now: Duration, ctx: &mut Ctx<'_, Self>) {
        let Running { target, ticket, group, .. } = running;
        self.group_ended(target, &group, now);
        let end = match end {
            MergedEnd::Answered(replies) => {
                self.learn_answered(target, &group, now);
                let reply = replies.into_iter().next().map(|message| Reply { message, elapsed: Duration::ZERO });
                reply.map_or(End::Lost(Loss::Innocent), |reply| End::Result(Ok(reply)))
            }
            MergedEnd::Unsplit(why) => End::Result(Err(CallError::BadReply(why.to_string()))),
            MergedEnd::Failed(error) => End::Result(Err(error)),
            MergedEnd::Lost(losses) => End::Lost(losses.into_iter().next().unwrap_or(Loss::Innocent)),
        };
        let Some(member) = group.members.into_iter().next().map(|member| member.item) else { return };
        let flight = self.flights.get_mut(member.flight);
        let Some(item) = flight.and_then(|flight| flight.ended(member.call).map(|_| flight.item)) else {
            return self.endpoints[target.0].dropped(ticket, now);
        };
        ctx.at_hand(item);
        self.ended(member.flight, member.node, (target, ticket), end, ctx);
    }

    fn learn_answered(&mut self, target: Target, group: &Group<Member>, now: Duration) {
        let Some(batch) = self.endpoints[target.0].batch.as_ref() else { return };
        if let Some((rows, half)) = group.answered() {
            batch.parts.learned.too_large(rows, half, now);
        }
        if group.members.len() > 1 {
            batch.parts.learned.answered(group.full, now);
        }
    }

    fn learn_unsplit(&mut self, target: Target, why: &Unsplit) {
        let Some(batch) = self.endpoints[target.0].batch.as_ref() else { return };
        self.parts.events.reply_not_split(&batch.parts.metrics, why);
        if matches!(why, Unsplit::Rows { .. }) && batch.parts.learned.unsplit() {
            self.parts.events.batching_stopped(&batch.parts.metrics, why);
        }
    }

    fn merged_lost(&mut self, running: Running, losses: Vec<Loss>, now: Duration, ctx: &mut Ctx<'_, Self>) {
        let Running { target, ticket, group, .. } = running;
        self.endpoints[target.0].dropped(ticket, now);
        self.group_ended(target, &group, now);
        let losses = losses.into_iter().chain(std::iter::repeat(Loss::Innocent));
        for (member, loss) in group.members.iter().map(|member| &member.item).zip(losses) {
            if !self.still_waits(member, ctx) {
                continue;
            }
            match loss {
                Loss::Innocent => self.step(member.flight, Event::Lost(member.node), None, ctx),
                loss => self.lost(member.flight, loss, ctx),
            }
        }
    }

    fn merged_failed(&mut self, running: Running, error: &CallError, now: Duration, ctx: &mut Ctx<'_, Self>) {
        let Running { target, ticket, group, .. } = running;
        let asks = failing(error);
        let endpoint = &mut self.endpoints[target.0];
        // How it was lost says nothing of any of them: no one was alone.
        let Failed { step, verdict, loss: _ } = endpoint.failed(ticket, error, now);
        if let Some(batch) = endpoint.batch.as_ref().filter(|_| asks.shrink && !group.is_half()) {
            batch.parts.learned.too_much(group.rows());
        }
        self.follow(target, step, Some(error), ctx);
        if asks.halve {
            return self.halve(target, group, error, now, ctx);
        }
        self.group_ended(target, &group, now);
        for member in group.members.iter().map(|member| &member.item) {
            if self.still_waits(member, ctx) {
                let event = Event::Failed(member.node, error, verdict);
                self.step(member.flight, event, Some((target, error)), ctx);
            }
        }
    }

    /// Whoever still waits is sent again, in two halves, and has paid nothing.
    fn halve(
        &mut self,
        target: Target,
        mut group: Group<Member>,
        why: &dyn std::fmt::Display,
        now: Duration,
        ctx: &mut Ctx<'_, Self>,
    ) {
        let (rows, mut left) = (group.rows(), std::mem::take(&mut group.members));
        left.retain(|member| {
            let (id, node) = (member.item.flight, member.item.node);
            self.still_waits(&member.item, ctx)
                && self.flights.get_mut(id).is_some_and(|flight| flight.journey.again(node, now))
        });
        let endpoint = &mut self.endpoints[target.0];
        if let Some(batch) = endpoint.batch.as_mut() {
            self.parts.events.call_halved(&batch.parts.metrics, left.len(), why);
            endpoint.parts.metrics.waiting().add(left.len() as i64);
            batch.collector.halve(&group.kind, left, rows);
        }
        self.group_ended(target, &group, now);
    }
}

impl Receive<MergedCalled> for RequestRouterActor {
    fn receive(&mut self, called: MergedCalled, ctx: &mut Ctx<'_, Self>) {
        self.merged_called(called, ctx);
    }
}
