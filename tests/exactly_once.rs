//! `delivery: exactly_once`: readers of committed records see one outcome of each record, in order, whatever happens.

mod support;

use std::sync::LazyLock;
use std::time::Duration;

use support::config::Config;
use support::kafka::{Broker, Options};
use support::load::Sent;
use support::scenario::Scenario;
use support::send::Draft;
use support::service::{Launch, Service};
use support::wait;

/// A broker that looks for transactions of the dead more often than every ten seconds.
static BROKER: LazyLock<Broker> = LazyLock::new(|| {
    Broker::start(&Options::default().set("transaction.abort.timed.out.transaction.cleanup.interval.ms=1000"))
});
const SOON: Duration = Duration::from_mins(1);

fn config(scenario: &Scenario<'_>) -> Config {
    scenario.config().set("delivery", "exactly_once").set("kafka/transaction/timeout", "3s")
}

/// Every request has one answer, in order, and its offset is committed.
#[track_caller]
fn each_once(scenario: &Scenario<'_>, sent: &[Sent]) {
    let report = scenario.gather(sent, SOON);
    eprintln!("{report}");
    report.none_lost().none_dead_lettered().none_duplicated().in_order();
    BROKER.wait_for_no_lag(&scenario.group, &scenario.input, SOON);
}

#[test]
fn every_request_is_answered_once_and_its_offset_is_committed_with_it() {
    let scenario = Scenario::new(&BROKER, "once", 4);
    let sent = scenario.requests().keys(60).send(&BROKER, &scenario.input, 5_000);
    let service = Service::start(&config(&scenario));
    each_once(&scenario, &sent);
    let metrics = service.metrics();
    assert!(metrics.sum("millrace_transactions_total", &[("result", "committed")]) > 0.0);
    wait::until_true(SOON, "nothing waits", || service.metrics().sum("millrace_held_bytes", &[]) < 1.0);
    service.stop();
}

#[test]
fn ten_kills_under_load_lose_nothing_and_repeat_nothing() {
    let scenario = Scenario::new(&BROKER, "once-killed", 4);
    scenario.add_one.change(|rules| rules.delay = Duration::from_millis(20));
    let load = scenario.requests().keys(60).start(&BROKER, &scenario.input, 300);
    let seed = fastrand::get_seed();
    eprintln!("seed {seed}");
    for _ in 0..10 {
        let service = Service::start(&config(&scenario));
        wait::until_true(SOON, "requests are answered", || service.outcomes("answered") > 20);
        wait::let_pass(Duration::from_millis(fastrand::u64(0..800)));
        service.kill();
    }
    let service = Service::start(&config(&scenario));
    let sent = load.stop();
    each_once(&scenario, &sent);
    service.stop();
}

#[test]
fn actors_that_panic_and_threads_that_are_lost_repeat_nothing() {
    let scenario = Scenario::new(&BROKER, "once-panics", 4);
    let mut service = Service::start(&config(&scenario));
    let load = scenario.requests().keys(60).start(&BROKER, &scenario.input, 300);
    for kind in ["consumer", "router", "producer", "model", "assignment", "thread:worker", "consumer", "router"] {
        let before = service.outcomes("answered");
        wait::until_true(SOON, "the stream goes on", || service.outcomes("answered") > before + 100);
        if kind.starts_with("thread") {
            assert!((200..300).contains(&service.crash("thread:worker-0")));
            continue;
        }
        for actor in service.actors().iter().filter(|actor| actor.name.starts_with(kind) && actor.kind != "supervisor")
        {
            service.crash(&actor.name);
        }
    }
    assert!(service.has_ended().is_none(), "{}", service.output());
    let sent = load.stop();
    each_once(&scenario, &sent);
    service.stop();
}

#[test]
fn partitions_that_move_repeat_nothing() {
    let scenario = Scenario::new(&BROKER, "once-moves", 6);
    scenario.double.change(|rules| rules.delay = Duration::from_millis(5));
    let steady = Service::start(&config(&scenario));
    let load = scenario.requests().keys(60).start(&BROKER, &scenario.input, 300);
    for _ in 0..5 {
        let other = Service::start(&config(&scenario));
        wait::until_true(SOON, "both work", || other.outcomes("answered") > 50);
        other.stop();
    }
    let sent = load.stop();
    each_once(&scenario, &sent);
    steady.stop();
}

#[test]
fn a_zombie_that_wakes_repeats_nothing() {
    let scenario = Scenario::new(&BROKER, "once-zombie", 4);
    scenario.double.change(|rules| rules.delay = Duration::from_millis(5));
    let load = scenario.requests().keys(60).start(&BROKER, &scenario.input, 300);
    let first = Service::start(&config(&scenario));
    let second = Service::start(&config(&scenario));
    for service in [&first, &second, &first] {
        let before = service.outcomes("answered");
        wait::until_true(SOON, "it works", || service.outcomes("answered") > before + 50);
        service.signal("STOP");
        // Its session and its transaction are over.
        wait::let_pass(Duration::from_secs(7));
        service.signal("CONT");
        wait::until_true(SOON, "it works again", || service.outcomes("answered") > before + 200);
    }
    let sent = load.stop();
    each_once(&scenario, &sent);
    first.stop();
    second.stop();
}

#[test]
fn a_record_that_waits_for_its_model_holds_its_partition_and_nothing_else() {
    let scenario = Scenario::new(&BROKER, "once-held", 2);
    scenario.double.change(|rules| rules.hang.push(r#""key":"k0""#.into()));
    let config = config(&scenario).set("nodes/double/timeout", "60s").set("limits/commit_span", 500);
    let sent = scenario.requests().keys(40).send(&BROKER, &scenario.input, 4_000);
    let service = Service::start(&config);
    let held = sent.iter().find(|sent| sent.key == "k0").expect("there is one").place.partition;
    let elsewhere = sent.iter().filter(|sent| sent.place.partition != held).count() as u64;
    wait::until_true(SOON, "the other partition is answered", || service.outcomes("answered") >= elsewhere);
    wait::holds_for(Duration::from_secs(3), "the held partition is bounded", || {
        let label = held.to_string();
        let window = service.metrics().sum("millrace_window_records", &[("partition", &label)]);
        window <= 2000.0 + 501.0 && service.outcomes("answered") < elsewhere + 40
    });
    scenario.double.change(|rules| rules.hang.clear());
    scenario.gather(&sent, SOON).none_lost().none_dead_lettered().none_duplicated().in_order();
    service.stop();
}

#[test]
fn what_the_broker_refuses_becomes_a_dead_letter_in_a_transaction_of_its_own() {
    let scenario = Scenario::without_topics(&BROKER, "once-large");
    BROKER.create_topics(&[&scenario.input, &scenario.dead], 1, &[("max.message.bytes", "4000000")]);
    BROKER.create_topics(&[&scenario.output], 1, &[("max.message.bytes", "100000")]);
    let mut sent = scenario.requests().keys(10).send(&BROKER, &scenario.input, 100);
    let large =
        format!(r#"{{"instances":[{{"id":"large","key":"k1","seq":0,"n":1,"pad":"{}"}}]}}"#, "x".repeat(300_000));
    BROKER.send(&scenario.input, &[Draft::value(large).key("k1").header("Seldon-Puid", "large")]);
    let rest = support::load::Requests::new("rest").keys(10).send(&BROKER, &scenario.input, 100);
    let service = Service::start(&config(&scenario));
    wait::until_true(SOON, "the large one is dead-lettered", || service.outcomes("dead_lettered") == 1);
    scenario.dead_letters().expect(1, SOON);
    sent.extend(rest);
    wait::until_true(SOON, "the others are answered", || service.outcomes("answered") == 200);
    BROKER.wait_for_no_lag(&scenario.group, &scenario.input, SOON);
    service.stop();
}

#[test]
fn two_processes_with_one_instance_name_end_each_others_transactions_and_repeat_nothing() {
    let scenario = Scenario::new(&BROKER, "once-twins", 4);
    let config = config(&scenario).set("kafka/transaction/instance", "twin");
    let load = scenario.requests().keys(60).start(&BROKER, &scenario.input, 200);
    let first = Service::start(&config);
    wait::until_true(SOON, "it works", || first.outcomes("answered") > 50);
    let second = Launch::with(&config).start();
    wait::let_pass(Duration::from_secs(5));
    first.stop();
    let sent = load.stop();
    scenario.gather(&sent, SOON).none_lost().none_dead_lettered().none_duplicated().in_order();
    second.stop();
}

#[test]
fn brokers_of_two_clusters_are_refused() {
    let other = Broker::plain();
    let scenario = Scenario::new(&BROKER, "once-two", 1);
    let both = format!("{},{}", BROKER.bootstrap(), other.bootstrap());
    let mut service = Launch::with(&config(&scenario).set("kafka/brokers", both)).spawn();
    service.tells(&["two clusters", "at_least_once"], SOON);
    assert_eq!(service.terminate(SOON).code, Some(0));
}
