//! The brokers may be away, at the start and in the middle: the service waits and goes on, and nothing is lost.

mod support;

use std::time::Duration;

use support::kafka::Broker;
use support::scenario::Scenario;
use support::service::{Launch, Service};
use support::wait;

const OUTAGE: Duration = Duration::from_mins(1);
const BACK: Duration = Duration::from_mins(1);

#[test]
fn a_start_without_brokers_waits_for_them() {
    let broker = Broker::plain();
    let scenario = Scenario::new(&broker, "late", 2);
    let sent = scenario.requests().send(&broker, &scenario.input, 500);
    broker.stop();

    let mut service = Launch::with(&scenario.config()).spawn();
    service.tells(&[broker.bootstrap()], Duration::from_secs(30));
    wait::holds_for(OUTAGE, "it is alive and not ready", || {
        service.has_ended().is_none()
            && service.get("/live").is_ok_and(|answer| answer.status == 200)
            && service.readiness().is_some_and(|readiness| !readiness.ready)
    });

    broker.start_again();
    service.wait_ready(BACK);
    let report = scenario.gather(&sent, BACK);
    report.none_lost().none_dead_lettered().none_duplicated().in_order();
    service.stop();
}

#[test]
fn an_outage_in_the_middle_is_waited_for() {
    let broker = Broker::plain();
    let scenario = Scenario::new(&broker, "gap", 2);
    let mut service = Service::start(&scenario.config());
    let load = scenario.requests().start(&broker, &scenario.input, 200);
    wait::until_true(Duration::from_secs(30), "requests are answered", || service.outcomes("answered") > 500);

    broker.signal(1, "KILL");
    wait::holds_for(OUTAGE, "it is alive", || {
        service.has_ended().is_none() && service.get("/live").is_ok_and(|answer| answer.status == 200)
    });
    broker.start_again();

    let answered = service.outcomes("answered");
    wait::until_true(BACK, "it answers again", || service.outcomes("answered") > answered + 100);
    let sent = load.stop();
    let report = scenario.gather(&sent, Duration::from_mins(2));
    eprintln!("{report}");
    report.none_lost().none_dead_lettered().in_order();
    broker.wait_for_no_lag(&scenario.group, &scenario.input, BACK);
    service.stop();
}
