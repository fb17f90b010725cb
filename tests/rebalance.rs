//! Partitions move between processes without a request lost; a group with old members is joined when it can be.

mod support;

use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use support::config::Config;
use support::kafka::Broker;
use support::scenario::Scenario;
use support::service::{Launch, Service};
use support::topics::client;
use support::wait;

static BROKER: LazyLock<Broker> = LazyLock::new(Broker::plain);
const SOON: Duration = Duration::from_secs(30);
const ROUNDS: usize = 10;

#[test]
fn a_second_process_that_comes_and_goes_loses_no_request() {
    let scenario = Scenario::new(&BROKER, "rebalance", 4);
    scenario.add_one.change(|rules| rules.delay = Duration::from_millis(20));
    let mut first = Service::start(&scenario.config());
    let load = scenario.requests().keys(60).start(&BROKER, &scenario.input, 300);
    for _ in 0..ROUNDS {
        let second = Service::start(&scenario.config());
        wait::until_true(SOON, "both processes hold partitions", || {
            let group = BROKER.group(&scenario.group);
            group.is_some_and(|g| g.members.len() == 2 && g.members.iter().all(|m| !m.partitions.is_empty()))
        });
        wait::until_true(SOON, "the second process answers", || second.outcomes("answered") > 10);
        second.stop();
        assert!(first.has_ended().is_none(), "the first process ended\n{}", first.output());
    }
    let sent = load.stop();
    let report = scenario.gather(&sent, Duration::from_mins(1));
    eprintln!("{ROUNDS} times stopped and started\n{report}");
    report.none_lost().none_dead_lettered().in_order();
    BROKER.wait_for_no_lag(&scenario.group, &scenario.input, SOON);
    first.stop();
}

#[test]
fn more_processes_than_partitions_are_ready_with_nothing_to_do() {
    let scenario = Scenario::new(&BROKER, "idle-member", 1);
    let _one = Service::start(&scenario.config());
    let _two = Service::start(&scenario.config());
    let sent = scenario.requests().send(&BROKER, &scenario.input, 50);
    scenario.gather(&sent, SOON).none_lost().none_dead_lettered();
}

/// A member such as the predecessor's: assigned by range, eagerly.
struct OldMember {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl OldMember {
    fn join(scenario: &Scenario<'_>) -> Self {
        let mut config = client(scenario.broker.bootstrap());
        config
            .set("group.id", &scenario.group)
            .set("client.id", "predecessor")
            .set("partition.assignment.strategy", "range,roundrobin")
            .set("enable.auto.commit", "false")
            .set("session.timeout.ms", "3000");
        let consumer: BaseConsumer = config.create().expect("the settings are right");
        consumer.subscribe(&[&scenario.input]).expect("a sound name");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                drop(consumer.poll(Duration::from_millis(50)));
            }
        });
        let member = Self { stop, thread: Some(thread) };
        scenario.broker.wait_for_members(&scenario.group, 1, SOON);
        member
    }

    fn leave(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().expect("taken only here").join().expect("no panic");
    }
}

impl Drop for OldMember {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn with_assignment(scenario: &Scenario<'_>, assignment: &str) -> Config {
    scenario.config().set("kafka/assignment", assignment)
}

#[test]
fn a_group_of_old_members_is_retried_and_shown_and_does_not_hold_readiness() {
    let scenario = Scenario::new(&BROKER, "mixed", 2);
    let old = OldMember::join(&scenario);
    let sent = scenario.requests().send(&BROKER, &scenario.input, 50);
    let mut service = Launch::with(&with_assignment(&scenario, "cooperative-sticky")).spawn();
    service.wait_ready(SOON);
    // What is wrong and what helps, where an operator looks.
    wait::until_true(SOON, "/ready tells of the mixed group and of kafka.assignment: range", || {
        let body = service.get("/ready").expect("the admin server answers").body;
        body.contains("kafka.assignment") && body.contains("range")
    });
    let group = BROKER.wait_for_members(&scenario.group, 1, SOON);
    assert_eq!(group.members[0].client, "predecessor");
    assert!(service.readiness().is_some_and(|r| r.ready), "a mixed group holds readiness");

    // When the last old member is gone, it joins by itself.
    old.leave();
    scenario.gather(&sent, Duration::from_mins(1)).none_lost().none_dead_lettered();
    let body = service.get("/ready").expect("the admin server answers").body;
    assert!(!body.contains("range"), "/ready still tells of old members: {body}");
    service.stop();
}

#[test]
fn with_range_assignment_it_joins_a_group_of_old_members() {
    let scenario = Scenario::new(&BROKER, "range", 2);
    let old = OldMember::join(&scenario);
    let service = Service::start(&with_assignment(&scenario, "range"));
    let group = BROKER.wait_for_members(&scenario.group, 2, SOON);
    assert_eq!(group.protocol, "range");
    wait::until_true(SOON, "each has a partition", || {
        BROKER.group(&scenario.group).is_some_and(|g| g.members.iter().all(|m| m.partitions.len() == 1))
    });
    let sent = scenario.requests().send(&BROKER, &scenario.input, 50);
    old.leave();
    scenario.gather(&sent, Duration::from_mins(1)).none_lost().none_dead_lettered();
    service.stop();
}
