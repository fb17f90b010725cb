//! A model that hangs or is away makes the service wait: it stays in the group, stays small, buries nothing, starves nobody.

mod support;

use std::collections::HashSet;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use support::config::Config;
use support::kafka::Broker;
use support::models::{Model, Rules};
use support::scenario::Scenario;
use support::service::Service;
use support::wait;

static BROKER: LazyLock<Broker> = LazyLock::new(Broker::plain);
const SOON: Duration = Duration::from_secs(30);
const POLL_INTERVAL_MS: u64 = 4000;
/// Five times longer than a consumer may go without polling.
const TROUBLE: Duration = Duration::from_millis(5 * POLL_INTERVAL_MS);
const RATE: u64 = 200;
const MIB: u64 = 1024 * 1024;
/// The configured bound of bytes in flight; the service may not grow by more.
const BOUND: u64 = 64 * MIB;

fn config(scenario: &Scenario<'_>) -> Config {
    scenario
        .config()
        .consumer("session.timeout.ms", 2000)
        .consumer("heartbeat.interval.ms", 300)
        .consumer("max.poll.interval.ms", POLL_INTERVAL_MS)
        .set("limits/drain", "3s")
        .set("limits/in_flight_bytes", "64MiB")
}

/// The ids of the group's members.
fn members(scenario: &Scenario<'_>) -> Vec<String> {
    let group = BROKER.group(&scenario.group).expect("the group exists");
    group.members.into_iter().map(|member| member.id).collect()
}

/// Lets the trouble last, and sees that the group keeps its member and the process its size.
fn endure(scenario: &Scenario<'_>, service: &mut Service) {
    let before = members(scenario);
    assert_eq!(before.len(), 1);
    let small = service.memory().0;
    wait::holds_for(TROUBLE, "it stays in the group", || {
        assert!(service.has_ended().is_none(), "it ended\n{}", service.output());
        wait::let_pass(Duration::from_millis(500));
        members(scenario) == before
    });
    let grown = service.memory().1.saturating_sub(small);
    assert!(grown < BOUND, "it grew by {} MiB", grown / MIB);
}

#[test]
fn a_model_that_hangs_for_some_keys_holds_up_nobody_else() {
    let scenario = Scenario::new(&BROKER, "hang-some", 4);
    let keys: u64 = 20;
    let hanging: HashSet<&str> = ["k0", "k1"].into();
    let config = config(&scenario).set("nodes/double/timeout", "90s").set("limits/record_deadline", "120s");
    let mut service = Service::start(&config);
    let load = scenario.requests().keys(keys).start(&BROKER, &scenario.input, RATE);
    let mut outputs = scenario.outputs();
    let mut rate_of_others = |time: Duration| {
        outputs.read_to_end();
        let (begun, known) = (Instant::now(), outputs.records.len());
        outputs.read_until(time, |_| begun.elapsed() >= time);
        let others = |r: &&support::collect::Record| !hanging.contains(r.key_text().unwrap_or_default().as_str());
        outputs.records[known..].iter().filter(others).count() as f64 / begun.elapsed().as_secs_f64()
    };
    wait::until_true(SOON, "requests are answered", || service.outcomes("answered") > 500);
    let before = rate_of_others(Duration::from_secs(6));

    scenario.double.change(|rules| rules.hang = hanging.iter().map(|key| format!(r#""key":"{key}""#)).collect());
    let during = std::thread::scope(|scope| {
        let measured = scope.spawn(|| rate_of_others(TROUBLE));
        endure(&scenario, &mut service);
        measured.join().expect("no panic")
    });
    eprintln!("other keys: {before:.0} answers a second before, {during:.0} while two keys hang");
    let oldest = service.metrics().sum("millrace_oldest_unfinished_seconds", &[]);
    assert!(oldest > TROUBLE.as_secs_f64() / 2.0, "oldest_unfinished_seconds shows {oldest} only");
    assert!(during >= 0.8 * before, "other keys went from {before:.0} to {during:.0} answers a second");

    scenario.double.change(|rules| rules.hang.clear());
    let sent = load.stop();
    let report = scenario.gather(&sent, Duration::from_mins(1));
    report.none_lost().none_dead_lettered().none_duplicated().in_order();
    BROKER.wait_for_no_lag(&scenario.group, &scenario.input, SOON);
    service.stop();
}

/// Trouble that concerns every call to a model, and its end.
fn unavailable(stem: &str, begin: impl FnOnce(&Model), end: impl FnOnce(&Model)) {
    let scenario = Scenario::new(&BROKER, stem, 4);
    let config = config(&scenario)
        .set("nodes/double/timeout", "1s")
        .set("nodes/add-one/timeout", "1s")
        .set("limits/record_deadline", "5s");
    let mut service = Service::start(&config);
    let load = scenario.requests().keys(20).start(&BROKER, &scenario.input, RATE);
    wait::until_true(SOON, "requests are answered", || service.outcomes("answered") > 300);

    begin(&scenario.add_one);
    endure(&scenario, &mut service);
    end(&scenario.add_one);

    let answered = service.outcomes("answered");
    wait::until_true(SOON, "work resumes", || service.outcomes("answered") > answered + 100);
    let sent = load.stop();
    let report = scenario.gather(&sent, Duration::from_mins(1));
    eprintln!("{stem}\n{report}");
    report.none_lost().none_dead_lettered().none_duplicated().in_order();
    service.stop();
}

#[test]
fn a_model_that_is_down_for_all_costs_no_dead_letter() {
    unavailable("down", Model::down, Model::up);
}

#[test]
fn a_model_that_hangs_for_all_costs_no_dead_letter() {
    let set = |on: bool| move |model: &Model| model.change(|rules: &mut Rules| rules.hang_all = on);
    unavailable("hang-all", set(true), set(false));
}

#[test]
fn a_model_that_answers_503_for_all_costs_no_dead_letter() {
    let busy = |model: &Model| model.change(|rules| rules.fail.push((String::new(), 503, "busy".to_owned())));
    unavailable("busy", busy, |model| model.change(|rules| rules.fail.clear()));
}
