//! The router, the model clients and the producer of a replica, as far as they carry out what machines decide.

use std::time::Duration;

use bytes::Bytes;
use millrace::kafka::offsets::Seq;
use millrace::kafka::transaction::Event as TxEvent;
use millrace::model::availability::{Availability, Event as Health, Step, Verdict};
use millrace::model::error::CallError;
use millrace::record::{Message, Offset, Partition};
use millrace::stream::journey::{Command, Event, Journey};

use crate::happening::{Ending, How, What, Word};
use crate::replica::{Flight, Guard, Outgoing, Unacked};
use crate::world::{Defect, Mood, World};

const TIMEOUT: u64 = 50;

impl World {
    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// The guard, if its epoch is not over.
    fn current(&mut self, r: usize, guard: Guard) -> Option<Guard> {
        if self.replicas[r].is_current(guard) {
            return Some(guard);
        }
        self.tally.late_results += 1;
        let now = self.replicas[r].reigns.get(&guard.partition).map(|reign| reign.epoch);
        now.filter(|_| self.defect == Some(Defect::LateResult)).map(|epoch| Guard { epoch, ..guard })
    }

    pub(crate) fn request(&mut self, r: usize, outgoing: Outgoing) {
        if self.broker.record(outgoing.guard.id).is_some_and(|input| input.poison) {
            return self.router_panics(r, Some(outgoing.guard));
        }
        let rules = self.rules.clone();
        let flight =
            Flight { guard: outgoing.guard, key: outgoing.key, journey: Journey::new(&rules, b"id"), call: None };
        let id = self.number();
        self.replicas[r].flights.insert(id, flight);
        self.travel(r, id, Event::Begin(Message::json(r#"{"strData":"x"}"#)));
    }

    fn travel(&mut self, r: usize, id: u64, event: Event<'_>) {
        let (now, rules) = (self.time(), self.rules.clone());
        let mut commands = Vec::new();
        let Some(flight) = self.replicas[r].flights.get_mut(&id) else { return };
        let rng = &mut self.rng;
        flight.journey.step(event, now, &mut || rng.below(1000) as f64 / 1000.0, &rules, &mut commands);
        for command in commands {
            match command {
                Command::Call(node, _) => self.wait(r, id, node.index()),
                Command::CallAfter(node, _, wait) => {
                    self.later(r, wait.as_millis() as u64, What::CallAgain { flight: id, node: node.index() });
                }
                Command::Answer(_) => self.finish(r, id, None),
                Command::Fail(_) => self.finish(r, id, Some(0)),
                Command::Stop(_) | Command::Shadow { .. } | Command::Compare { .. } => {}
            }
        }
    }

    pub(crate) fn wait(&mut self, r: usize, id: u64, node: usize) {
        let now = self.time();
        let Some((at, _)) = self.rules.plan.nodes().nth(node) else { return };
        if self.replicas[r].flights.get_mut(&id).is_some_and(|flight| flight.journey.waits(at, now)) {
            self.replicas[r].waiting[node].push_back(id);
        }
        self.serve(r, node);
    }

    fn serve(&mut self, r: usize, node: usize) {
        let now = self.time();
        let Some((at, _)) = self.rules.clone().plan.nodes().nth(node) else { return };
        while let Some(id) = self.replicas[r].waiting[node].front().copied() {
            let Some(guard) = self.replicas[r].flights.get(&id).map(|flight| flight.guard) else {
                self.replicas[r].waiting[node].pop_front();
                continue;
            };
            if self.current(r, guard).is_none() {
                self.replicas[r].waiting[node].pop_front();
                self.replicas[r].flights.remove(&id);
                continue;
            }
            let Some(ticket) = self.replicas[r].endpoints[node].start(now) else { return };
            self.replicas[r].waiting[node].pop_front();
            let call = self.number();
            let Some(flight) = self.replicas[r].flights.get_mut(&id) else { return };
            flight.journey.start(at, now);
            flight.call = Some((call, node, ticket));
            let (after, ending) = self.model(node, guard);
            self.later(r, after, What::CallEnds { flight: id, call, ending });
        }
    }

    /// What a model makes of a call, and when.
    fn model(&mut self, node: usize, guard: Guard) -> (u64, Ending) {
        if node == 0 && self.broker.record(guard.id).is_some_and(|input| input.refused) {
            return (2, Ending::Status(400));
        }
        let (quick, flakes) = (self.rng.between(1, 10) as u64, self.chance(3));
        match self.moods[node] {
            Mood::Well if flakes => (quick, Ending::Status(503)),
            Mood::Well => (quick, Ending::Answered),
            Mood::Failing => (quick, Ending::Status(500)),
            Mood::Hanging => (TIMEOUT, Ending::TimedOut),
            Mood::Slow => (quick * 4, Ending::Answered),
            Mood::Gone => (0, Ending::Reset),
        }
    }

    pub(crate) fn call_ends(&mut self, r: usize, id: u64, call: u64, ending: Ending) {
        let now = self.time();
        let Some(flight) = self.replicas[r].flights.get_mut(&id) else {
            self.tally.late_results += 1;
            return;
        };
        let Some((_, node, ticket)) = flight.call.take_if(|running| running.0 == call) else {
            self.tally.late_results += 1;
            return;
        };
        let guard = flight.guard;
        let Some((at, _)) = self.rules.clone().plan.nodes().nth(node) else { return };
        let replica = &mut self.replicas[r];
        let error = match ending {
            Ending::Answered => None,
            Ending::Status(code) => Some(CallError::Status { code, body: Bytes::new(), retry_after: None }),
            Ending::Reset => Some(CallError::Reset("gone".into())),
            Ending::TimedOut => Some(CallError::Timeout(Duration::from_millis(TIMEOUT))),
            Ending::Lost => {
                replica.endpoints[node].step(Health::Dropped(ticket), now, 0.5);
                self.travel(r, id, Event::Lost(at));
                return self.serve(r, node);
            }
        };
        if error.as_ref().is_none_or(CallError::is_answer) {
            replica.last_answer[node] = Some(now);
        }
        match error {
            None => {
                replica.endpoints[node].step(Health::Answered(ticket), now, 0.5);
                match self.current(r, guard) {
                    Some(guard) => {
                        if let Some(flight) = self.replicas[r].flights.get_mut(&id) {
                            flight.guard = guard;
                        }
                        self.travel(r, id, Event::Replied(at, Message::json(r#"{"strData":"x"}"#)));
                    }
                    None => drop(self.replicas[r].flights.remove(&id)),
                }
            }
            Some(error) => {
                let last_answer = replica.last_answer[node];
                // Whether the breaker's window is over its share is left to chance.
                let tripped = self.chance(3);
                let event = Health::failed(ticket, &error, last_answer, tripped);
                let step = self.replicas[r].endpoints[node].step(event, now, 0.5);
                let verdict = step.verdict.unwrap_or(Verdict::Costs);
                self.follow(r, node, step);
                self.travel(r, id, Event::Failed(at, &error, verdict));
            }
        }
        self.serve(r, node);
    }

    fn follow(&mut self, r: usize, node: usize, step: Step) {
        self.tally.downs += u64::from(step.change.is_some());
        if let Some(wait) = step.probe_in {
            self.later(r, wait.as_millis() as u64, What::Probe(node));
        }
    }

    pub(crate) fn probe(&mut self, r: usize, node: usize) {
        let now = self.time();
        let good = self.moods[node] != Mood::Gone && !(self.moods[node] == Mood::Hanging && self.chance(50));
        let event = if good { Health::ProbeOk } else { Health::ProbeFailed };
        let step = self.replicas[r].endpoints[node].step(event, now, 0.5);
        self.follow(r, node, step);
        self.serve(r, node);
    }

    fn finish(&mut self, r: usize, id: u64, dead: Option<u8>) {
        if let Some(flight) = self.replicas[r].flights.remove(&id) {
            self.produce(r, Outgoing { guard: flight.guard, key: flight.key, dead });
        }
    }

    // ---- the producer ----

    pub(crate) fn produce(&mut self, r: usize, outgoing: Outgoing) {
        self.replicas[r].producer.push_back(outgoing);
        self.soon(r, What::Produce);
    }

    /// Outcomes are handed over in the order in which they came.
    pub(crate) fn hand_over(&mut self, r: usize) {
        let Some(mut outgoing) = self.replicas[r].producer.pop_front() else { return };
        let Some(guard) = self.current(r, outgoing.guard) else { return };
        outgoing.guard = guard;
        let Guard { partition, epoch, seq, id } = guard;
        if !self.exactly_once() {
            self.replicas[r].unacked.push_back(Unacked { outgoing, stored: false });
            self.soon(r, What::Arrive);
            return self.soon(r, What::Hear(partition, epoch, seq, Word::Enqueued));
        }
        let bytes = 1;
        let next = Offset(id.1).next();
        // A defect: the order in which outcomes come, instead of that in which their records were read.
        let numbered = if self.defect == Some(Defect::OutOfOrder) { self.arrival(r, guard) } else { seq };
        let event = TxEvent::Outcome {
            partition: Partition(partition as i32),
            epoch,
            seq: numbered,
            next,
            bytes,
            writes: true,
            item: outgoing,
        };
        self.replicas[r].driver.inbox.push_back(event);
        self.soon(r, What::Hear(partition, epoch, seq, Word::Held(bytes)));
    }

    fn arrival(&mut self, r: usize, guard: Guard) -> Seq {
        let counts = &mut self.replicas[r].arrivals;
        let count = counts.entry(guard.epoch.0).or_insert(0);
        *count += 1;
        Seq(*count - 1)
    }

    /// The first send that is not stored reaches the broker.
    pub(crate) fn arrive(&mut self, r: usize) {
        let Some(at) = self.replicas[r].unacked.iter().position(|send| !send.stored) else { return };
        let Outgoing { guard, key, dead } = self.replicas[r].unacked[at].outgoing;
        if self.is_refused(guard, dead) {
            self.replicas[r].unacked.remove(at);
            return self.soon(r, What::Hear(guard.partition, guard.epoch, guard.seq, Word::Refused { dead }));
        }
        self.broker.append(guard.id, key, dead.is_some());
        self.replicas[r].unacked[at].stored = true;
        self.soon(r, What::Ack);
    }

    /// The broker takes no answer of a large record, and no dead letter with all of it.
    pub(crate) fn is_refused(&mut self, guard: Guard, dead: Option<u8>) -> bool {
        let large = self.broker.record(guard.id).is_some_and(|input| input.large);
        let refused = large && dead.is_none_or(|left_out| left_out < 1);
        self.tally.refused += u64::from(refused && dead.is_none());
        self.tally.dead_refused += u64::from(refused && dead.is_some());
        refused
    }

    pub(crate) fn ack(&mut self, r: usize) {
        if self.replicas[r].unacked.front().is_some_and(|send| send.stored)
            && let Some(send) = self.replicas[r].unacked.pop_front()
        {
            let Guard { partition, epoch, seq, .. } = send.outgoing.guard;
            self.soon(r, What::Hear(partition, epoch, seq, Word::Acked));
        }
    }

    /// The client is replaced: its successor is given what was not acknowledged, stored or not, before anything new.
    pub(crate) fn client_is_replaced(&mut self, r: usize) {
        for at in 0..self.replicas[r].unacked.len() {
            self.tally.undelivered += 1;
            self.replicas[r].unacked[at].stored = false;
            self.soon(r, What::Arrive);
        }
    }

    // ---- panics ----

    /// With a record at hand only that one is suspect; with none, all that were held.
    pub(crate) fn router_panics(&mut self, r: usize, at_hand: Option<Guard>) {
        self.tally.router_panics += 1;
        let flights = std::mem::take(&mut self.replicas[r].flights);
        for queue in &mut self.replicas[r].waiting {
            queue.clear();
        }
        self.replicas[r].endpoints = [Availability::new(), Availability::new()];
        let alone = flights.len() == 1;
        for guard in flights.into_values().map(|flight| flight.guard) {
            let how = if at_hand.is_some() { How::Innocent } else { How::Unseen(alone) };
            self.tally.unseen += u64::from(at_hand.is_none());
            self.soon(r, What::Drop(guard, how));
        }
        if let Some(guard) = at_hand {
            self.soon(r, What::Drop(guard, How::AtHand));
        }
    }

    pub(crate) fn model_panics(&mut self, r: usize, node: usize) {
        self.tally.model_panics += 1;
        let calls =
            self.replicas[r].flights.iter().filter_map(|(id, f)| Some((*id, f.call.as_ref()?))).collect::<Vec<_>>();
        let calls: Vec<_> = calls.into_iter().filter(|(_, c)| c.1 == node).map(|(id, c)| (id, c.0)).collect();
        for (flight, call) in calls {
            self.soon(r, What::CallEnds { flight, call, ending: Ending::Lost });
        }
    }

    pub(crate) fn producer_panics(&mut self, r: usize) {
        self.tally.producer_panics += 1;
        for outgoing in std::mem::take(&mut self.replicas[r].producer) {
            self.soon(r, What::Drop(outgoing.guard, How::Innocent));
        }
    }
}
