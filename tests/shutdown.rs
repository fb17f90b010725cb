//! SIGTERM and SIGINT end the service in order and in time; a second signal ends it at once. Nothing is lost either way.

mod support;

use std::sync::LazyLock;
use std::time::Duration;

use support::kafka::Broker;
use support::scenario::Scenario;
use support::service::Service;
use support::wait;

static BROKER: LazyLock<Broker> = LazyLock::new(Broker::plain);
const SOON: Duration = Duration::from_secs(30);
/// For what comes after the drain: flush, commit, leave the group.
const REST: Duration = Duration::from_secs(5);

#[test]
fn a_signal_under_load_drains_commits_and_leaves_within_its_budget() {
    const IN_FLIGHT: usize = 100;
    const DRAIN: Duration = Duration::from_secs(10);
    let scenario = Scenario::new(&BROKER, "drain", 4);
    scenario.double.change(|rules| rules.delay = Duration::from_millis(100));
    let config = scenario
        .config()
        .set("limits/in_flight_records", IN_FLIGHT)
        .set("limits/drain", "10s")
        // Only a member that leaves is gone before this is over.
        .consumer("session.timeout.ms", 30_000)
        .consumer("max.poll.interval.ms", 60_000);
    let load = scenario.requests().keys(60).start(&BROKER, &scenario.input, 300);
    let signals = ["TERM", "INT", "TERM"];
    for signal in signals {
        let mut service = Service::start(&config);
        wait::until_true(SOON, "requests are answered", || service.outcomes("answered") > 100);
        wait::until_true(SOON, "calls are running", || scenario.double.running() > 0);
        service.signal(signal);
        let begun = std::time::Instant::now();
        let status = service.wait_end(DRAIN + REST);
        eprintln!("{signal}: {status} after {:.2?}", begun.elapsed());
        assert_eq!(status.code(), Some(0), "{}", service.output());
        assert_eq!(scenario.double.running(), 0, "calls were left behind");
        let members = BROKER.group(&scenario.group).map_or(0, |group| group.members.len());
        assert_eq!(members, 0, "it did not leave the group");
    }
    let last = Service::start(&config);
    let sent = load.stop();
    let report = scenario.gather(&sent, Duration::from_mins(1));
    eprintln!("{report}");
    let bound = signals.len() * IN_FLIGHT;
    report.none_lost().none_dead_lettered().in_order().at_most_duplicated(bound);
    last.stop();
}

#[test]
fn calls_that_do_not_end_are_left_behind_when_the_drain_is_over() {
    let scenario = Scenario::new(&BROKER, "overdue", 2);
    scenario.double.change(|rules| rules.hang_all = true);
    let config = scenario.config().set("limits/drain", "3s").set("nodes/double/timeout", "60s");
    let sent = scenario.requests().send(&BROKER, &scenario.input, 100);
    let service = Service::start(&config);
    wait::until_true(SOON, "calls hang", || scenario.double.running() > 0);
    let ended = service.terminate(Duration::from_secs(3) + REST);
    assert_eq!(ended.code, Some(0), "{}", ended.output);

    scenario.double.change(|rules| rules.hang_all = false);
    let _next = Service::start(&config);
    scenario.gather(&sent, SOON).none_lost().none_dead_lettered().in_order();
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let scenario = Scenario::new(&BROKER, "twice", 2);
    scenario.double.change(|rules| rules.hang_all = true);
    let config = scenario
        .config()
        .set("limits/drain", "30s")
        .set("limits/termination_grace", "60s")
        .set("nodes/double/timeout", "60s")
        .consumer("max.poll.interval.ms", 60_000);
    let sent = scenario.requests().send(&BROKER, &scenario.input, 100);
    let mut service = Service::start(&config);
    wait::until_true(SOON, "calls hang", || scenario.double.running() > 0);
    service.signal("TERM");
    wait::until_true(SOON, "it is not ready any more", || service.readiness().is_some_and(|r| !r.ready));
    wait::holds_for(Duration::from_secs(2), "it drains", || service.has_ended().is_none());
    service.signal("TERM");
    service.wait_end(Duration::from_secs(2));

    scenario.double.change(|rules| rules.hang_all = false);
    let _next = Service::start(&config);
    scenario.gather(&sent, Duration::from_mins(1)).none_lost().none_dead_lettered().in_order();
}
