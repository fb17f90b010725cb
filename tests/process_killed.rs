//! The process may be killed at any moment: what it had not finished is done by its next life.

mod support;

use std::time::Duration;

use support::kafka::Broker;
use support::scenario::Scenario;
use support::service::Service;
use support::wait;

const KILLS: usize = 10;

#[test]
fn ten_kills_under_load_lose_no_request() {
    let broker = Broker::plain();
    let scenario = Scenario::new(&broker, "killed", 4);
    // Calls take a while, so that a kill always meets some.
    scenario.add_one.change(|rules| rules.delay = Duration::from_millis(20));
    let load = scenario.requests().keys(60).start(&broker, &scenario.input, 300);
    let seed = fastrand::get_seed();
    eprintln!("seed {seed}");
    for _ in 0..KILLS {
        let service = Service::start(&scenario.config());
        wait::until_true(Duration::from_secs(30), "requests are answered", || service.outcomes("answered") > 20);
        wait::let_pass(Duration::from_millis(fastrand::u64(0..800)));
        service.kill();
    }
    let service = Service::start(&scenario.config());
    let sent = load.stop();
    let report = scenario.gather(&sent, Duration::from_mins(1));
    eprintln!("{KILLS} kills\n{report}");
    report.none_lost().none_dead_lettered().in_order();
    broker.wait_for_no_lag(&scenario.group, &scenario.input, Duration::from_secs(30));
    service.stop();
}
