//! Models that fail in part: a record that kills its model, or that fails for good, leaves; the others are answered, in
//! order; and a model that cannot keep up gets fewer calls.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use support::check::Report;
use support::config::Config;
use support::http_server::{Request, Response};
use support::kafka::Broker;
use support::load::Sent;
use support::models::Model;
use support::scenario::Scenario;
use support::service::Service;
use support::wait;

static BROKER: LazyLock<Broker> = LazyLock::new(Broker::plain);
const LONG: Duration = Duration::from_mins(2);
const SOON: Duration = Duration::from_secs(30);

fn config(scenario: &Scenario<'_>) -> Config {
    scenario.config().set("threads", 2)
}

/// A model objects to calls.
fn object(model: &Model, objection: impl Fn(&Request) -> Option<Response> + Send + Sync + 'static) {
    model.change(|rules| rules.objection = Some(Arc::new(objection)));
}

/// Ends a model's process whenever it is called with this request, and starts it again a little later.
fn die_of(model: &Model, id: &str, over: &AtomicBool) {
    let mut deaths = 0;
    while !over.load(Ordering::Relaxed) {
        if model.calls_of(id) > deaths {
            deaths = model.calls_of(id);
            model.down();
            wait::let_pass(Duration::from_millis(300));
            model.up();
        }
        wait::let_pass(Duration::from_millis(2));
    }
}

/// The dead letters' class and attempts, of this record alone.
#[track_caller]
fn only_dead(scenario: &Scenario<'_>, sent: &[Sent], report: &Report, id: &str) -> (String, String) {
    report.none_lost().in_order();
    let mut dead = scenario.dead_letters();
    let ids: Vec<_> = dead.read_to_end().iter().map(|letter| letter.must_have("Seldon-Puid")).collect();
    assert_eq!(ids, [id], "of {} records", sent.len());
    (dead.records[0].must_have("millrace-error-class"), dead.records[0].must_have("millrace-error-attempts"))
}

#[test]
fn a_record_that_kills_its_model_leaves_and_all_others_are_answered() {
    let scenario = Scenario::new(&BROKER, "killer", 4);
    let killer = format!("{}-57", scenario.name);
    let text = format!(r#""id":"{killer}""#);
    scenario.double.change(|rules| {
        rules.hang.push(text);
        rules.delay = Duration::from_millis(20);
    });
    let sent = scenario.requests().send(&BROKER, &scenario.input, 200);
    let over = AtomicBool::new(false);
    let service = Service::start(&config(&scenario).set("nodes/double/timeout", "10s"));
    let report = std::thread::scope(|scope| {
        scope.spawn(|| die_of(&scenario.double, &killer, &over));
        let ended = wait::try_until(LONG, || {
            (service.outcomes("answered") + service.outcomes("dead_lettered") >= 200).then_some(())
        });
        over.store(true, Ordering::Relaxed);
        assert!(ended.is_some(), "not all records have ended\n{}", service.output());
        scenario.gather(&sent, SOON)
    });
    let (class, attempts) = only_dead(&scenario, &sent, &report, &killer);
    assert_eq!((class.as_str(), attempts.as_str()), ("kills_model", "3"));
    assert!(scenario.double.calls_of(&killer) <= 8, "{}", scenario.double.calls_of(&killer));
    assert!(service.metrics().sum("millrace_model_kills_total", &[("node", "double")]) >= 3.0);
    service.stop();
}

#[test]
fn malformed_input_that_gets_500_leaves_and_the_breaker_stays_closed() {
    let scenario = Scenario::new(&BROKER, "malformed", 4);
    let bad = format!("{}-7", scenario.name);
    let text = format!(r#""id":"{bad}""#);
    scenario.double.change(|rules| rules.fail.push((text, 500, r#"{"error":"malformed"}"#.to_owned())));
    let sent = scenario.requests().send(&BROKER, &scenario.input, 200);
    let service = Service::start(&config(&scenario));
    let report = scenario.gather(&sent, LONG);
    let (class, attempts) = only_dead(&scenario, &sent, &report, &bad);
    assert_eq!((class.as_str(), attempts.as_str()), ("model_error", "5"));
    assert_eq!(scenario.double.calls_of(&bad), 5);
    assert!(!service.output().contains("too many calls fail"), "{}", service.output());
    service.stop();
}

#[test]
fn a_server_that_asks_for_time_gets_it() {
    let scenario = Scenario::new(&BROKER, "asks", 1);
    let calls = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&calls);
    object(&scenario.double, move |_| {
        let mut seen = seen.lock().expect("no test panics here");
        seen.push(Instant::now());
        let response = Response { retry_after: Some("2".to_owned()), ..Response::json(429, "{}") };
        (seen.len() == 1).then_some(response)
    });
    let sent = scenario.requests().send(&BROKER, &scenario.input, 1);
    let service = Service::start(&config(&scenario));
    scenario.gather(&sent, LONG).none_lost().none_dead_lettered();
    let calls = calls.lock().expect("no test panics here");
    assert_eq!(calls.len(), 2);
    assert!(calls[1] - calls[0] >= Duration::from_secs(2), "{:?}", calls[1] - calls[0]);
    service.stop();
}

#[test]
fn where_nobody_is_to_wait_records_are_dead_lettered_as_unavailable() {
    let scenario = Scenario::new(&BROKER, "no-wait", 4);
    let config = config(&scenario).set("nodes/add-one/when_unavailable", "dead_letter");
    let service = Service::start(&config.set("nodes/add-one/retry/attempts", 3));
    scenario.add_one.down();
    let sent = scenario.requests().send(&BROKER, &scenario.input, 100);
    let mut dead = scenario.dead_letters();
    for letter in dead.expect(100, LONG) {
        let class = letter.must_have("millrace-error-class");
        assert_eq!((class.as_str(), letter.must_have("millrace-error-attempts").as_str()), ("unavailable", "3"));
        assert_eq!(letter.must_have("millrace-error-node"), "add-one");
    }
    assert_eq!(sent.len(), dead.records.len());
    scenario.add_one.up();
    BROKER.wait_for_no_lag(&scenario.group, &scenario.input, SOON);
    service.stop();
}

#[test]
fn a_model_that_answers_500_to_most_is_left_alone_until_it_is_better() {
    let scenario = Scenario::new(&BROKER, "breaker", 4);
    let failing = Arc::new(AtomicBool::new(true));
    let fails = Arc::clone(&failing);
    object(&scenario.double, move |_| fails.load(Ordering::Relaxed).then(|| Response::json(500, "{}")));
    let config = config(&scenario).set("nodes/double/retry/attempts", 100).set("limits/record_deadline", "10m");
    let mut service = Service::start(&config);
    let load = scenario.requests().start(&BROKER, &scenario.input, 100);
    let open = |service: &Service| service.metrics().sum("millrace_endpoint_breaker", &[("node", "double")]) > 1.5;
    wait::until_true(SOON, "the breaker is open", || open(&service));
    service.tells(&["too many calls fail"], SOON);
    let before = scenario.double.calls();
    wait::let_pass(Duration::from_secs(3));
    let tried = scenario.double.calls() - before;
    assert!(tried <= 60, "{tried} calls in three seconds to a model that fails them all");
    failing.store(false, Ordering::Relaxed);
    wait::until_true(SOON, "records are answered", || service.outcomes("answered") > 100);
    let sent = load.stop();
    scenario.gather(&sent, LONG).none_lost().none_dead_lettered().in_order();
    service.stop();
}

#[test]
fn a_model_that_is_overloaded_gets_fewer_calls_and_answers_all() {
    let scenario = Scenario::new(&BROKER, "overload", 4);
    let taken = Mutex::new((Instant::now(), 0));
    // It takes ten calls in 50 ms.
    object(&scenario.double, move |_| {
        let mut taken = taken.lock().expect("no test panics here");
        if taken.0.elapsed() > Duration::from_millis(50) {
            *taken = (Instant::now(), 0);
        }
        taken.1 += 1;
        (taken.1 > 10).then(|| Response::json(429, "{}"))
    });
    scenario.double.change(|rules| rules.delay = Duration::from_millis(20));
    let sent = scenario.requests().keys(500).send(&BROKER, &scenario.input, 1_000);
    let config = config(&scenario).set("nodes/double/retry/attempts", 100).set("limits/record_deadline", "10m");
    let service = Service::start(&config);
    let limit = |service: &Service| service.metrics().sum("millrace_endpoint_limit", &[("node", "double")]);
    wait::until_true(SOON, "the limit is small", || (1.0..100.0).contains(&limit(&service)));
    scenario.gather(&sent, LONG).none_lost().none_dead_lettered().in_order();
    assert!(limit(&service) < 200.0, "{}", limit(&service));
    service.stop();
}
