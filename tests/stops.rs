//! SIGTERM at any moment, again and again under load: each time the service ends with 0 in its time, nothing is lost, and in
//! transactions nothing is answered twice. `MILLRACE_STOPS=200` makes it two hundred stops for each guarantee (6).

mod support;

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use support::kafka::Broker;
use support::scenario::Scenario;
use support::service::Launch;
use support::wait;

static BROKER: LazyLock<Broker> = LazyLock::new(Broker::plain);
const STOPS: usize = 6;
const IN_FLIGHT: usize = 100;
const DRAIN: Duration = Duration::from_secs(5);
/// For what comes after the drain: flush, commit, leave the group.
const REST: Duration = Duration::from_secs(5);

fn stop_again_and_again(delivery: &str) {
    let stops = std::env::var("MILLRACE_STOPS").map_or(STOPS, |text| text.parse().expect("a number"));
    eprintln!("seed {}", fastrand::get_seed());
    let scenario = Scenario::new(&BROKER, &format!("stops-{}", &delivery[..2]), 4);
    scenario.double.change(|rules| rules.delay = Duration::from_millis(20));
    let config = scenario
        .config()
        .set("delivery", delivery)
        .set("limits/in_flight_records", IN_FLIGHT)
        .set("limits/drain", format!("{}s", DRAIN.as_secs()));
    let load = scenario.requests().keys(60).start(&BROKER, &scenario.input, 200);
    let mut slowest = Duration::ZERO;
    for stop in 0..stops {
        let mut service = Launch::with(&config).spawn();
        // From before the group is joined to well after records flow.
        wait::let_pass(Duration::from_millis(fastrand::u64(0..2500)));
        service.signal("TERM");
        let begun = Instant::now();
        let status = service.wait_end(DRAIN + REST);
        slowest = slowest.max(begun.elapsed());
        // Ended by the signal itself, it had not read its configuration yet: nothing was begun.
        let early = status.code().is_none() && !service.output().contains("admin port listens");
        assert!(early || status.code() == Some(0), "stop {stop}: {status}\n{}", service.output());
    }
    let last = Launch::with(&config).start();
    let sent = load.stop();
    let report = scenario.gather(&sent, Duration::from_mins(2));
    eprintln!("{delivery}: {stops} stops, the slowest took {slowest:.2?}\n{report}");
    report.none_lost().none_dead_lettered().in_order();
    if delivery == "exactly_once" {
        report.none_duplicated();
    }
    BROKER.wait_for_no_lag(&scenario.group, &scenario.input, Duration::from_mins(1));
    last.stop();
}

#[test]
fn at_least_once_no_stop_loses_a_request() {
    stop_again_and_again("at_least_once");
}

#[test]
fn exactly_once_no_stop_loses_or_repeats_a_request() {
    stop_again_and_again("exactly_once");
}
