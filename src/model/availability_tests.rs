//! Tests of availability: by example, and by a simulated endpoint that several clients call.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::health::EndpointStats;
use super::*;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn unavailable(ticket: Ticket) -> Event {
    Event::Failed { ticket, class: Class::Unavailable, last_answer: None, retry_after: None, tripped: false }
}

fn timed_out(ticket: Ticket, last_answer: Option<Duration>) -> Event {
    Event::Failed { ticket, class: Class::TimedOut, last_answer, retry_after: None, tripped: false }
}

fn down() -> Availability {
    let mut machine = Availability::new();
    let ticket = machine.start(ms(0)).unwrap();
    let step = machine.step(unavailable(ticket), ms(5), 1.0);
    let change = Some(Change::WentDown(Cause::Unavailable));
    assert_eq!(step, Step { verdict: Some(Verdict::Free), change, probe_in: Some(ms(100)) });
    machine
}

/// Up, and known to answer.
fn proven() -> Availability {
    let mut machine = Availability::new();
    let ticket = machine.start(ms(0)).unwrap();
    machine.step(Event::Answered(ticket), ms(1), 0.0);
    machine
}

#[test]
fn while_down_no_call_starts_until_a_probe_is_good() {
    let mut machine = down();
    assert_eq!(machine.down(), Some((Cause::Unavailable, ms(5))));
    assert!(!machine.admits() && machine.start(ms(6)).is_none());
    let step = machine.step(Event::ProbeOk, ms(105), 0.5);
    assert_eq!(step, Step { change: Some(Change::CameUp { after: ms(100) }), ..Step::default() });
    assert!(machine.admits() && machine.down().is_none());
}

#[test]
fn probes_back_off_until_a_call_is_answered() {
    let mut machine = down();
    let waits: Vec<_> = (0..7).map(|_| machine.step(Event::ProbeFailed, ms(10), 0.0).probe_in.unwrap()).collect();
    assert_eq!(waits, [100, 200, 400, 800, 1_600, 2_500, 2_500].map(ms));
    // Good probes alone do not make it trustworthy.
    machine.step(Event::ProbeOk, ms(20), 0.0);
    let ticket = machine.start(ms(20)).unwrap();
    assert_eq!(machine.step(unavailable(ticket), ms(21), 1.0).probe_in, Some(ms(5_000)));
    machine.step(Event::ProbeOk, ms(30), 0.0);
    let (first, second) = (machine.start(ms(30)).unwrap(), machine.start(ms(30)).unwrap());
    machine.step(Event::Answered(first), ms(31), 0.0);
    assert_eq!(machine.step(unavailable(second), ms(32), 1.0).probe_in, Some(ms(100)));
}

#[test]
fn calls_are_let_in_one_more_with_each_answer() {
    let mut machine = down();
    machine.step(Event::ProbeOk, ms(100), 0.0);
    let mut running: Vec<_> = std::iter::from_fn(|| machine.start(ms(100))).take(10).collect();
    assert_eq!(running.len(), TRIAL_CALLS);
    machine.step(Event::Dropped(running.pop().unwrap()), ms(101), 0.0);
    running.push(machine.start(ms(101)).unwrap());
    assert!(!machine.admits());
    let mut most = running.len();
    for _ in 0..ALL_CALLS {
        machine.step(Event::Answered(running.pop().unwrap()), ms(101), 0.0);
        running.extend(std::iter::from_fn(|| (most < 2_000).then(|| machine.start(ms(101))).flatten()).take(2_000));
        assert!(running.len() <= most + 1 || running.len() > ALL_CALLS);
        most = running.len();
    }
    assert!(most > ALL_CALLS, "no bound in the end");
}

#[test]
fn a_call_that_hangs_alone_costs_and_one_that_hangs_with_all_does_not() {
    for (last_answer, verdict) in [
        (None, Verdict::Free),
        (Some(ms(9_000)), Verdict::Free),
        (Some(ms(15_000)), Verdict::Free),
        (Some(ms(15_001)), Verdict::Costs),
        (Some(ms(20_000)), Verdict::Costs),
    ] {
        let mut machine = proven();
        let ticket = machine.start(ms(10_000)).unwrap();
        let step = machine.step(timed_out(ticket, last_answer), ms(20_000), 0.0);
        assert_eq!(step.verdict, Some(verdict), "{last_answer:?}");
        assert_eq!(step.change, (verdict == Verdict::Free).then_some(Change::WentDown(Cause::Hanging)));
        assert_eq!(machine.admits(), verdict == Verdict::Costs);
    }
}

#[test]
fn a_trial_call_that_a_server_lost_while_it_hung_costs_nothing_but_once() {
    let mut machine = down();
    machine.step(Event::ProbeOk, ms(0), 0.0);
    for verdict in [Verdict::Free, Verdict::Costs, Verdict::Costs] {
        let ticket = machine.start(ms(0)).unwrap();
        // Meanwhile other clients of the process are answered.
        let step = machine.step(timed_out(ticket, Some(ms(999))), ms(1_000), 0.0);
        assert_eq!(step, Step { verdict: Some(verdict), ..Step::default() });
    }
}

#[test]
fn failures_of_an_earlier_life_cost_nothing_and_change_nothing() {
    let mut machine = Availability::new();
    let old: Vec<_> = (0..4).map(|_| machine.start(ms(0)).unwrap()).collect();
    let mut old = old.into_iter();
    let mut step =
        |machine: &mut Availability, event: fn(Ticket) -> Event| machine.step(event(old.next().unwrap()), ms(90), 0.0);
    assert!(step(&mut machine, unavailable).change.is_some());
    assert_eq!(step(&mut machine, unavailable), Step { verdict: Some(Verdict::Free), ..Step::default() });
    machine.step(Event::ProbeOk, ms(90), 0.0);
    assert_eq!(step(&mut machine, unavailable), Step { verdict: Some(Verdict::Free), ..Step::default() });
    assert_eq!(step(&mut machine, |ticket| timed_out(ticket, None)).change, None);
    assert_eq!(std::iter::from_fn(|| machine.start(ms(91))).take(10).count(), TRIAL_CALLS, "old calls take no place");
}

#[test]
fn an_error_of_the_model_is_an_answer() {
    let mut machine = Availability::new();
    let mut event = |code| {
        let error = CallError::Status { code, body: bytes::Bytes::new(), retry_after: None };
        Event::failed(machine.start(ms(0)).unwrap(), &error, None, false)
    };
    assert!(matches!(event(400), Event::Answered(_)));
    assert!(matches!(event(500), Event::Erred { .. }));
    assert!(matches!(event(503), Event::Failed { class: Class::Unavailable, .. }));
    let bad_gateway = event(502);
    assert!(matches!(bad_gateway, Event::Failed { class: Class::Retryable, .. }));
    let step = machine.step(bad_gateway, ms(1), 0.0);
    assert_eq!(step, Step { verdict: Some(Verdict::Costs), ..Step::default() });
}

#[test]
fn too_many_errors_take_it_down_until_one_of_few_calls_succeeds() {
    let mut machine = proven();
    let erred = |machine: &mut Availability, tripped| {
        let ticket = machine.start(ms(10)).unwrap();
        machine.step(Event::Erred { ticket, tripped }, ms(10), 1.0)
    };
    assert_eq!(erred(&mut machine, false), Step::default());
    let step = erred(&mut machine, true);
    assert_eq!((step.change, step.verdict), (Some(Change::WentDown(Cause::Failing)), None), "an answer always costs");
    for wait in [200, 400] {
        machine.step(Event::ProbeOk, ms(20), 1.0);
        assert_eq!(machine.up_since(), ms(20));
        assert_eq!(erred(&mut machine, false), Step::default());
        assert_eq!(erred(&mut machine, false).probe_in, Some(ms(wait)), "none of the few succeeded");
    }
    machine.step(Event::ProbeOk, ms(30), 1.0);
    let ticket = machine.start(ms(30)).unwrap();
    machine.step(Event::Answered(ticket), ms(30), 1.0);
    for _ in 0..10 {
        assert_eq!(erred(&mut machine, false), Step::default());
    }
}

#[test]
fn a_server_that_asks_for_time_is_not_asked_before_it_is_over() {
    for (asked, wait) in [(ms(50), ms(100)), (ms(7_000), ms(7_000)), (Duration::MAX, MAX_ASKED)] {
        let mut machine = Availability::new();
        let (ticket, class) = (machine.start(ms(0)).unwrap(), Class::Unavailable);
        let retry_after = Some(asked);
        let event = Event::Failed { ticket, class, last_answer: None, retry_after, tripped: false };
        assert_eq!(machine.step(event, ms(1), 1.0).probe_in, Some(wait));
    }
}

#[test]
fn a_probe_that_nobody_waits_for_changes_nothing() {
    let mut machine = Availability::new();
    assert_eq!(machine.step(Event::ProbeFailed, ms(0), 0.0), Step::default());
    assert_eq!(machine.step(Event::ProbeOk, ms(0), 0.0), Step::default());
    assert!(machine.start(ms(0)).is_some());
}

/// What a simulated endpoint does with a call at some moment.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    Works,
    Hangs,
    Refuses,
}

const TIMEOUT: u64 = 1_000;

/// Several clients that always want to call one endpoint. Its mood changes over time; a call that works takes some of its
/// first half, a call that hangs takes its whole time and only fails then, and the probe says what it likes.
struct Simulation {
    stats: EndpointStats,
    clients: Vec<Availability>,
    /// (ends at, client, ticket, mood)
    calls: Vec<(u64, usize, Ticket, Mood)>,
    /// Time of each client's next probe.
    probes: Vec<Option<u64>>,
    costs: usize,
    free: usize,
}

impl Simulation {
    fn new(clients: usize) -> Self {
        Self {
            stats: EndpointStats::new(),
            clients: (0..clients).map(|_| Availability::new()).collect(),
            calls: Vec::new(),
            probes: vec![None; clients],
            costs: 0,
            free: 0,
        }
    }

    fn tick(&mut self, now: u64, mood: Mood, probe_ok: bool, random: f64) {
        for client in 0..self.clients.len() {
            if self.probes[client].is_some_and(|at| at <= now) {
                self.probes[client] = None;
                let event = if probe_ok { Event::ProbeOk } else { Event::ProbeFailed };
                self.apply(client, event, now, random);
            }
            // At most three calls at a time each.
            let running = self.calls.iter().filter(|call| call.1 == client).count();
            for _ in running..3 {
                if let Some(ticket) = self.clients[client].start(ms(now)) {
                    let takes = match mood {
                        Mood::Works => ((random * (3 + self.calls.len()) as f64).fract() * (TIMEOUT / 2) as f64) as u64,
                        Mood::Hangs => TIMEOUT,
                        Mood::Refuses => 1,
                    };
                    self.calls.push((now + takes, client, ticket, mood));
                }
            }
        }
        // A server that starts to hang keeps the calls that it has.
        if mood == Mood::Hangs {
            for call in &mut self.calls {
                if call.3 == Mood::Works && call.0 > now {
                    *call = (call.2.started().as_millis() as u64 + TIMEOUT, call.1, Ticket { ..call.2 }, Mood::Hangs);
                }
            }
        }
        let (ended, running) = std::mem::take(&mut self.calls).into_iter().partition(|call| call.0 <= now);
        self.calls = running;
        for (_, client, ticket, mood) in ended {
            if mood == Mood::Works {
                self.stats.answered(ms(now));
            }
            let last_answer = self.stats.last_answer();
            let event = match mood {
                Mood::Works => Event::Answered(ticket),
                Mood::Hangs => {
                    Event::Failed { ticket, class: Class::TimedOut, last_answer, retry_after: None, tripped: false }
                }
                Mood::Refuses => {
                    Event::Failed { ticket, class: Class::Unavailable, last_answer, retry_after: None, tripped: false }
                }
            };
            self.apply(client, event, now, random);
        }
    }

    fn apply(&mut self, client: usize, event: Event, now: u64, random: f64) {
        let step = self.clients[client].step(event, ms(now), random);
        match step.verdict {
            Some(Verdict::Costs) => self.costs += 1,
            Some(Verdict::Free) => self.free += 1,
            None => {}
        }
        if let Some(wait) = step.probe_in {
            assert_eq!(self.probes[client].replace(now + wait.as_millis() as u64), None, "two probes at a time");
        }
        assert_eq!(
            self.clients[client].down().is_some(),
            self.probes[client].is_some(),
            "down without a probe, or up with one"
        );
    }
}

proptest! {
    #[test]
    fn an_endpoint_that_works_for_none_costs_nothing_however_long(
        clients in 1..4usize,
        moods in vec((prop::sample::select(vec![Mood::Works, Mood::Hangs, Mood::Refuses]), 1_500..20_000u64), 1..8),
        probes in vec(any::<bool>(), 50),
        randoms in vec(0.0..1.0f64, 70),
    ) {
        let mut simulation = Simulation::new(clients);
        let mut now = 0;
        for (mood, lasts) in moods {
            let until = now + lasts;
            while now < until {
                now += 20;
                let at = now as usize / 20;
                simulation.tick(now, mood, probes[at % 50], randoms[at % 70]);
            }
        }
        prop_assert_eq!(simulation.costs, 0);
    }

    #[test]
    fn a_hanging_endpoint_is_not_flooded(
        clients in 1..4usize, probes in vec(any::<bool>(), 50), randoms in vec(0.0..1.0f64, 70),
    ) {
        let mut simulation = Simulation::new(clients);
        for now in (0..60_000).step_by(20) {
            let at = now as usize / 20;
            simulation.tick(now, Mood::Hangs, probes[at % 50], randoms[at % 70]);
        }
        // Three at first, then at most two per timeout and client.
        prop_assert!(simulation.free <= clients * (3 + TRIAL_CALLS * 60), "{}", simulation.free);
        prop_assert_eq!(simulation.costs, 0);
        // Once it works, it is found.
        for now in (60_000..70_000).step_by(20) {
            simulation.tick(now, Mood::Works, true, 0.5);
        }
        prop_assert!(simulation.clients.iter().all(|client| client.down().is_none()));
    }

    #[test]
    fn a_call_that_hangs_while_others_are_answered_costs(
        started in 0..10_000u64, takes in 2..60_000u64, answers in vec(0.0..1.0f64, 0..5), last in 0.51..1.0f64, random in 0.0..1.0f64,
    ) {
        let (stats, mut machine) = (EndpointStats::new(), proven());
        let hung = machine.start(ms(started)).unwrap();
        for part in answers.into_iter().chain([last]) {
            let other = machine.start(ms(started)).unwrap();
            let at = Duration::from_nanos((started as f64 * 1e6 + takes as f64 * 1e6 * part) as u64);
            stats.answered(at);
            machine.step(Event::Answered(other), at, random);
        }
        let step = machine.step(timed_out(hung, stats.last_answer()), ms(started + takes), random);
        prop_assert_eq!(step, Step { verdict: Some(Verdict::Costs), ..Step::default() });
        prop_assert!(machine.admits());
    }
}
