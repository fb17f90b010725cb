//! An actor that panics is restarted in place: no request is lost, none is dead-lettered, the process goes on.

mod support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use support::kafka::Broker;
use support::scenario::Scenario;
use support::service::{Actor, Service};
use support::wait;

/// How often each kind of actor panics.
const CRASHES: usize = 20;
/// Time between two panics of a kind, so that they stay within its restart budget.
const SPACING: Duration = Duration::from_millis(300);
const KINDS: [&str; 4] = ["consumer", "router", "model", "producer"];

#[test]
fn every_kind_of_actor_may_panic_under_load() {
    let broker = Broker::plain();
    let scenario = Scenario::new(&broker, "crashes", 4);
    let mut service = Service::start(&scenario.config());
    let load = scenario.requests().keys(40).start(&broker, &scenario.input, 400);
    wait::until_true(Duration::from_secs(30), "requests are answered", || service.outcomes("answered") > 100);

    let mut kinds: BTreeSet<String> = service.actors().iter().map(|actor| kind(actor).to_owned()).collect();
    for wanted in KINDS {
        assert!(kinds.contains(wanted), "no actor is called {wanted}-…: {kinds:?}");
    }
    kinds.retain(|kind| KINDS.contains(&kind.as_str()) || kind == "assignment");
    for kind in &kinds {
        let answered = service.outcomes("answered");
        let begun = Instant::now();
        for round in 0..CRASHES {
            let crashed = Instant::now();
            crash_one(&service, kind, round);
            wait::let_pass(SPACING.saturating_sub(crashed.elapsed()));
        }
        let took = begun.elapsed();
        let done = service.outcomes("answered").saturating_sub(answered);
        eprintln!("{kind}: {CRASHES} panics in {took:.1?}, {done} requests answered meanwhile");
        assert!(service.has_ended().is_none(), "the process ended\n{}", service.output());
        assert!(done > 0, "nothing was answered while {kind} actors panicked");
    }
    let restarts = service.metrics().sum("millrace_actor_restarts_total", &[]);
    assert!(restarts >= (kinds.len() * CRASHES) as f64, "only {restarts} restarts were counted");

    let sent = load.stop();
    let report = scenario.gather(&sent, Duration::from_mins(1));
    eprintln!("{report}");
    report.none_lost().none_dead_lettered().in_order();
    broker.wait_for_no_lag(&scenario.group, &scenario.input, Duration::from_secs(30));
    assert!(service.readiness().is_some_and(|r| r.ready));
    service.stop();
}

#[test]
fn a_worker_thread_may_be_lost_under_load() {
    let broker = Broker::plain();
    let scenario = Scenario::new(&broker, "threads", 4);
    let service = Service::start(&scenario.config().set("threads", 2));
    let load = scenario.requests().keys(40).start(&broker, &scenario.input, 200);
    wait::until_true(Duration::from_secs(30), "requests are answered", || service.outcomes("answered") > 100);
    for thread in ["thread:worker-0", "thread:worker-1", "thread:worker-0"] {
        assert!((200..300).contains(&service.crash(thread)), "{thread} is not lost");
        let before = service.outcomes("answered");
        wait::until_true(Duration::from_secs(30), "the stream goes on", || service.outcomes("answered") > before + 400);
    }
    assert_eq!(service.crash("thread:worker-9"), 404);
    let sent = load.stop();
    scenario.gather(&sent, Duration::from_mins(1)).none_lost().none_dead_lettered().in_order();
    broker.wait_for_no_lag(&scenario.group, &scenario.input, Duration::from_secs(30));
    service.stop();
}

/// What stands before the first dash of an actor's name.
fn kind(actor: &Actor) -> &str {
    actor.name.split('-').next().unwrap_or_default()
}

/// Makes one actor of a kind panic and waits until it has been restarted.
fn crash_one(service: &Service, kind_: &str, round: usize) {
    let all = service.actors();
    let of_kind: Vec<&Actor> = all.iter().filter(|actor| kind(actor) == kind_).collect();
    assert!(!of_kind.is_empty(), "no {kind_} actor is left: {all:?}");
    let victim = of_kind[round % of_kind.len()];
    let limit = Duration::from_secs(15);
    wait::until_true(limit, &format!("{} takes the crash", victim.name), || {
        (200..300).contains(&service.crash(&victim.name))
    });
    wait::until_true(limit, &format!("{} is restarted", victim.name), || {
        service.actors().iter().any(|actor| actor.name == victim.name && actor.restarts.count > victim.restarts.count)
    });
}

#[test]
fn actors_cannot_be_crashed_from_outside_unless_it_is_allowed() {
    let broker = Broker::plain();
    let scenario = Scenario::new(&broker, "no-crash", 1);
    let service = Service::start(&scenario.config().without("admin/allow_crash"));
    let actors = service.actors();
    assert!(!actors.is_empty());
    assert!(actors.iter().all(|actor| service.crash(&actor.name) == 404));
    assert!(actors.iter().all(|actor| !actor.state.is_empty() && !actor.kind.is_empty()));
    assert!(actors.iter().any(|actor| actor.mailbox.limit > 0), "no actor shows a mailbox: {actors:?}");
}
