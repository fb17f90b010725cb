//! Batching: records go to a model in calls of many, each has its own answer, in order, once; and whatever a call with others
//! comes to, a record pays only for what it does alone.

mod support;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use support::config::Config;
use support::http_server::{Request, Response};
use support::kafka::Broker;
use support::load::Sent;
use support::models::Model;
use support::scenario::Scenario;
use support::send::Draft;
use support::service::Service;
use support::wait;

static BROKER: LazyLock<Broker> = LazyLock::new(Broker::plain);
const LONG: Duration = Duration::from_mins(2);
const SOON: Duration = Duration::from_secs(30);
const NODES: [&str; 2] = ["double", "add-one"];

fn config(scenario: &Scenario<'_>) -> Config {
    let config = scenario.config().set("threads", 2);
    NODES.iter().fold(config, |config, node| config.set(&format!("nodes/{node}/batch/rows"), 256))
}

fn rows(request: &Request) -> usize {
    request.text().matches(r#""n":"#).count()
}

/// What a model has seen, call by call.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<Request>>>);

impl Seen {
    /// Looks at a model's calls, and answers those that `instead` has an answer to.
    fn watch(model: &Model, instead: impl Fn(&Request) -> Option<Response> + Send + Sync + 'static) -> Self {
        let seen = Self::default();
        let kept = seen.clone();
        let objection = move |request: &Request| {
            kept.0.lock().expect("no test panics here").push(request.clone());
            instead(request)
        };
        model.change(|rules| rules.objection = Some(Arc::new(objection)));
        seen
    }

    fn of<T>(&self, look: impl Fn(&Request) -> T) -> Vec<T> {
        self.0.lock().expect("no test panics here").iter().map(look).collect()
    }

    fn merged(&self) -> usize {
        self.of(rows).into_iter().filter(|rows| *rows > 1).count()
    }
}

#[track_caller]
fn each_has_its_own_answer(delivery: &str) {
    let scenario = Scenario::new(&BROKER, &format!("own-{delivery}"), 4);
    let seen = Seen::watch(&scenario.double, |_| None);
    scenario.double.change(|rules| rules.delay = Duration::from_millis(5));
    let sent = scenario.requests().keys(500).send(&BROKER, &scenario.input, 4_000);
    let service = Service::start(&config(&scenario).set("delivery", delivery));
    let report = scenario.gather(&sent, LONG);
    eprintln!("{report}");
    report.none_lost().none_dead_lettered().none_duplicated().in_order();
    let sizes = seen.of(rows);
    assert_eq!(sizes.iter().sum::<usize>(), 4_000);
    assert!(sizes.len() < 1_000, "{} calls for 4000 records", sizes.len());
    assert!(sizes.iter().all(|rows| *rows <= 256), "{sizes:?}");
    let metrics = service.metrics();
    assert_eq!(metrics.sum("millrace_batch_rows_sum", &[("node", "double")]) as u64, 4_000);
    assert_eq!(metrics.sum("millrace_batch_rows_count", &[("node", "double")]) as u64, sizes.len() as u64);
    assert_eq!(metrics.sum("millrace_calls_total", &[("node", "double")]) as u64, sizes.len() as u64);
    BROKER.wait_for_no_lag(&scenario.group, &scenario.input, SOON);
    service.stop();
}

#[test]
fn each_record_has_its_own_answer_at_least_once() {
    each_has_its_own_answer("at_least_once");
}

#[test]
fn each_record_has_its_own_answer_exactly_once() {
    each_has_its_own_answer("exactly_once");
}

/// One of 200 records gets this status in whatever company.
#[track_caller]
fn one_bad_record_fails_alone(status: u16, attempts: u64) {
    let scenario = Scenario::new(&BROKER, &format!("bad-{status}"), 4);
    let text = format!(r#""id":"{}-57""#, scenario.name);
    let alone = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&alone);
    let seen = Seen::watch(&scenario.double, move |request| {
        let bad = request.text().contains(&text);
        counted.fetch_add(u64::from(bad && rows(request) == 1), Ordering::Relaxed);
        bad.then(|| Response::json(status, r#"{"error":"malformed"}"#))
    });
    scenario.double.change(|rules| rules.delay = Duration::from_millis(20));
    let sent = scenario.requests().keys(200).send(&BROKER, &scenario.input, 200);
    let service = Service::start(&config(&scenario));
    let report = scenario.gather(&sent, LONG);
    report.none_lost().none_duplicated().in_order();
    assert_eq!(report.dead_lettered, [format!("{}-57", scenario.name)], "{report}");
    let mut letters = scenario.dead_letters();
    let letter = &letters.read_to_end()[0];
    assert_eq!(letter.must_have("millrace-error-class"), "model_error");
    assert_eq!(letter.must_have("millrace-error-attempts"), attempts.to_string());
    assert_eq!(letter.must_have("millrace-error-body"), r#"{"error":"malformed"}"#);
    assert_eq!(alone.load(Ordering::Relaxed), attempts, "it is not sent with others once it failed alone");
    let halvings = service.metrics().sum("millrace_batch_halvings_total", &[("node", "double")]);
    assert!((1.0..=8.0).contains(&halvings), "{halvings} halvings, calls of {:?}", seen.of(rows));
    assert!(!service.output().contains("too many calls fail"), "{}", service.output());
    service.stop();
}

#[test]
fn one_bad_record_that_gets_400_fails_alone() {
    one_bad_record_fails_alone(400, 1);
}

#[test]
fn one_bad_record_that_gets_500_fails_alone() {
    one_bad_record_fails_alone(500, 5);
}

#[test]
fn a_record_that_failed_alone_is_not_sent_with_others_again() {
    let scenario = Scenario::new(&BROKER, "loner", 4);
    let bad = format!("{}-57", scenario.name);
    let text = format!(r#""id":"{bad}""#);
    let holds = text.clone();
    let seen = Seen::watch(&scenario.double, move |request| {
        request.text().contains(&text).then(|| Response::json(500, r#"{"error":"malformed"}"#))
    });
    scenario.double.change(|rules| rules.delay = Duration::from_millis(20));
    let service = Service::start(&config(&scenario).set("nodes/double/retry/min_backoff", "500ms"));
    // Others collect whenever it is tried again.
    let load = scenario.requests().keys(2_000).start(&BROKER, &scenario.input, 2_000);
    wait::until_true(LONG, "it is dead-lettered", || service.outcomes("dead_lettered") > 0);
    let report = scenario.gather(&load.stop(), LONG);
    report.none_lost().in_order();
    assert_eq!(report.dead_lettered, [bad], "{report}");
    let calls = seen.of(|request| request.text().contains(&holds).then(|| rows(request)));
    let calls: Vec<usize> = calls.into_iter().flatten().collect();
    let alone = calls.iter().position(|rows| *rows == 1).expect("it failed alone");
    assert_eq!(calls[alone..], [1; 5], "{calls:?}");
    assert!(seen.merged() > 20);
    service.stop();
}

#[test]
fn a_model_that_answers_other_rows_gets_no_merged_call_any_more() {
    let scenario = Scenario::new(&BROKER, "unmergeable", 4);
    let seen = Seen::watch(&scenario.double, |request| {
        (rows(request) > 1).then(|| Response::json(200, r#"{"predictions":[{"n":1}]}"#))
    });
    scenario.double.change(|rules| rules.delay = Duration::from_millis(5));
    let requests = scenario.requests().keys(500);
    let sent = requests.send(&BROKER, &scenario.input, 1_000);
    let mut service = Service::start(&config(&scenario));
    scenario.gather(&sent, LONG).none_lost().none_dead_lettered().none_duplicated().in_order();
    service.tells(&["batching stopped: the model does not answer row by row", "node: double"], SOON);
    let stopped = |node| service.metrics().sum("millrace_batch_stopped", &[("node", node)]) as u64;
    assert_eq!(NODES.map(stopped), [1, 0]);
    let routers: Vec<_> = service.actors().into_iter().filter(|actor| actor.name.starts_with("router")).collect();
    assert!(format!("{routers:?}").contains("stopped"), "{routers:?}");
    let merged = seen.merged();
    assert!((4..30).contains(&merged), "{merged} merged calls");
    let again = Scenario { name: format!("{}-again", scenario.name), ..scenario };
    let more = again.requests().keys(500).send(&BROKER, &again.input, 500);
    wait::until_true(LONG, "the others are answered", || service.outcomes("answered") >= 1_500);
    assert_eq!((seen.merged(), more.len()), (merged, 500), "not tried again");
    service.stop();
}

#[test]
fn a_server_that_takes_few_rows_at_a_time_soon_gets_no_more() {
    let scenario = Scenario::new(&BROKER, "few", 4);
    // As Triton does with max_batch_size.
    let seen = Seen::watch(&scenario.double, |request| {
        (rows(request) > 8).then(|| Response::json(400, r#"{"error":"batch-size must be <= 8"}"#))
    });
    scenario.double.change(|rules| rules.delay = Duration::from_millis(2));
    let sent = scenario.requests().keys(1_000).send(&BROKER, &scenario.input, 4_000);
    let service = Service::start(&config(&scenario));
    scenario.gather(&sent, LONG).none_lost().none_dead_lettered().none_duplicated().in_order();
    let sizes = seen.of(rows);
    let refused = sizes.iter().filter(|rows| **rows > 8).count();
    assert!(refused < sizes.len() / 4, "{refused} of {} calls had too many rows", sizes.len());
    assert!(sizes.len() < 1_500, "{} calls", sizes.len());
    service.stop();
}

#[test]
fn records_with_other_headers_or_rows_of_another_shape_do_not_share_a_call() {
    let scenario = Scenario::new(&BROKER, "unlike", 2);
    scenario.double.change(|rules| rules.delay = Duration::from_millis(20));
    let seen = Seen::watch(&scenario.double, |_| None);
    let draft = |i: usize| {
        let (tenant, odd) = (["red", "blue"][i % 2], i % 4 < 2);
        let id = format!("{tenant}-{odd}-{i}");
        let more = if odd { r#","odd":true"# } else { "" };
        let body = format!(r#"{{"instances":[{{"id":"{id}","n":{i}{more}}}]}}"#);
        Draft::value(body).key(&id).header("Seldon-Puid", id.as_str()).header("tenant", tenant)
    };
    BROKER.send(&scenario.input, &(0..400).map(draft).collect::<Vec<_>>());
    let service = Service::start(&config(&scenario));
    let mut outputs = scenario.outputs();
    for answer in outputs.expect(400, LONG) {
        let id = answer.must_have("Seldon-Puid");
        let i: u64 = id.rsplit('-').next().and_then(|i| i.parse().ok()).expect("a number");
        assert!(answer.text().contains(&format!(r#"[{{"id":"{id}","n":{}"#, 2 * i + 1)), "{}", answer.text());
    }
    for request in seen.of(Clone::clone) {
        let text = request.text();
        let kinds: BTreeSet<&str> =
            text.split(r#""id":""#).skip(1).filter_map(|rest| rest.rsplit_once('-')).map(|(kind, _)| kind).collect();
        let kinds: BTreeSet<String> =
            kinds.iter().map(|kind| kind.split('-').take(2).collect::<Vec<_>>().join("-")).collect();
        assert_eq!(kinds.len(), 1, "{text}");
        let tenant = request.header("tenant").expect("the header is passed on");
        assert!(kinds.iter().all(|kind| kind.starts_with(tenant)), "{tenant}: {text}");
        assert_eq!(request.header("seldon-puid").is_some(), rows(&request) == 1, "an id is that of one record");
    }
    assert!(seen.merged() > 0);
    service.stop();
}

#[test]
fn crashes_of_routers_and_model_clients_lose_nothing() {
    let scenario = Scenario::new(&BROKER, "crashes", 4);
    scenario.double.change(|rules| rules.delay = Duration::from_millis(10));
    let seen = Seen::watch(&scenario.double, |_| None);
    let mut service = Service::start(&config(&scenario));
    let load = scenario.requests().keys(1_000).start(&BROKER, &scenario.input, 2_000);
    wait::until_true(SOON, "requests are answered", || service.outcomes("answered") > 500);
    // Routers first: their crashes would bring back what a client forgot.
    for kind in ["router", "model"] {
        for round in 0..10 {
            let all = service.actors();
            let of_kind: Vec<_> = all.iter().filter(|actor| actor.name.starts_with(kind)).collect();
            let victim = of_kind[round % of_kind.len()];
            wait::until_true(SOON, "the actor takes the crash", || (200..300).contains(&service.crash(&victim.name)));
            wait::let_pass(Duration::from_millis(200));
        }
    }
    assert!(service.has_ended().is_none(), "the process ended\n{}", service.output());
    let sent = load.stop();
    scenario.gather(&sent, LONG).none_lost().none_dead_lettered().in_order();
    BROKER.wait_for_no_lag(&scenario.group, &scenario.input, SOON);
    assert!(seen.merged() > 0);
    service.stop();
}

/// A record makes the model client panic that has it in a call with others.
#[track_caller]
fn only_the_poison_record_is_given_up(crash: &str) {
    let scenario = Scenario::new(&BROKER, &format!("poison-{}", crash.replace(' ', "-")), 2);
    scenario.double.change(|rules| rules.hang_all = true);
    let mut service = Service::start(&config(&scenario));
    let requests = scenario.requests().keys(200);
    let first = requests.send(&BROKER, &scenario.input, 100);
    wait::until_true(SOON, "calls run", || scenario.double.running() > 2);
    // What comes now collects, the poison record in the middle.
    let body = scenario.protocol.body("poison", "poison", 0, 1);
    let poison = Draft::value(body).key("poison").header("Seldon-Puid", "poison").header("millrace-crash", crash);
    BROKER.send(&scenario.input, &[poison]);
    let mut others = scenario.requests().keys(200);
    others.stem = format!("{}-more", scenario.name);
    let more: Vec<Sent> = others.send(&BROKER, &scenario.input, 100);
    wait::until_true(SOON, "they wait", || service.metrics().sum("millrace_endpoint_waiting", &[]) > 90.0);
    scenario.double.change(|rules| rules.hang_all = false);
    wait::until_true(LONG, "all have ended", || {
        service.outcomes("answered") + service.outcomes("dead_lettered") >= (first.len() + more.len() + 1) as u64
    });
    let mut letters = scenario.dead_letters();
    let ids: Vec<_> = letters.read_to_end().iter().map(|letter| letter.must_have("Seldon-Puid")).collect();
    assert_eq!(ids, ["poison"]);
    assert_eq!(letters.records[0].must_have("millrace-error-class"), "poison");
    assert!(service.has_ended().is_none());
    service.stop();
}

#[test]
fn a_poison_record_in_a_call_with_others_is_given_up_alone() {
    only_the_poison_record_is_given_up("model");
}

#[test]
fn a_poison_record_in_a_call_with_others_is_found_where_nothing_tells_which_it_was() {
    only_the_poison_record_is_given_up("model unseen");
}

#[test]
fn a_record_that_kills_its_model_is_found_among_others() {
    let scenario = Scenario::new(&BROKER, "killer", 4);
    let killer = format!("{}-57", scenario.name);
    let (text, dies, over) = (format!(r#""id":"{killer}""#), AtomicBool::new(false), AtomicBool::new(false));
    scenario.double.change(|rules| rules.hang.push(text.clone()));
    scenario.double.change(|rules| rules.delay = Duration::from_millis(20));
    // It hangs with the killer in hand, and then its process ends.
    let watch = move |model: &Model| model.last().is_some_and(|last| last.text().contains(&text));
    let sent = scenario.requests().keys(200).send(&BROKER, &scenario.input, 200);
    let service = Service::start(&config(&scenario).set("nodes/double/timeout", "2s"));
    let report = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                if scenario.double.running() > 0 && watch(&scenario.double) {
                    dies.store(true, Ordering::Relaxed);
                    scenario.double.down();
                    wait::let_pass(Duration::from_millis(300));
                    scenario.double.up();
                }
                wait::let_pass(Duration::from_millis(2));
            }
        });
        let ended = wait::try_until(LONG, || {
            (service.outcomes("answered") + service.outcomes("dead_lettered") >= 200).then_some(())
        });
        over.store(true, Ordering::Relaxed);
        assert!(ended.is_some(), "not all records have ended\n{}", service.output());
        scenario.gather(&sent, SOON)
    });
    report.none_lost().in_order();
    assert!(dies.load(Ordering::Relaxed));
    assert_eq!(report.dead_lettered, [killer], "{report}");
    let mut letters = scenario.dead_letters();
    assert_eq!(letters.read_to_end()[0].must_have("millrace-error-class"), "kills_model");
    service.stop();
}

#[test]
fn a_free_slot_waits_for_more_rows_if_it_is_told_to() {
    let scenario = Scenario::new(&BROKER, "wait", 1);
    let seen = Seen::watch(&scenario.double, |_| None);
    let config = NODES.iter().fold(config(&scenario).set("threads", 1), |config, node| {
        config.set(&format!("nodes/{node}/batch/rows"), 20).set(&format!("nodes/{node}/batch/wait"), "10s")
    });
    let service = Service::start(&config);
    let sent = scenario.requests().keys(40).send(&BROKER, &scenario.input, 40);
    // Nothing is left over for which it would have to wait ten seconds.
    scenario.gather(&sent, LONG).none_lost().none_dead_lettered();
    assert_eq!(seen.of(rows), [20, 20]);
    service.stop();
}

/// How much it brings: a model of two workers that takes 2 ms for a call and 20 µs for a row. Printed, not judged: run alone.
#[test]
#[ignore = "a measurement"]
fn measure() {
    let mut rates = HashMap::new();
    for batched in [false, true] {
        let scenario = Scenario::new(&BROKER, "measure", 8);
        for model in [&scenario.double, &scenario.add_one] {
            let workers = std::sync::Mutex::new(());
            let other = std::sync::Mutex::new(());
            model.change(|rules| {
                rules.objection = Some(Arc::new(move |request| {
                    let _turn = workers.try_lock().map_or_else(|_| other.lock(), Ok).expect("no test panics here");
                    wait::let_pass(Duration::from_micros(2_000 + 20 * rows(request) as u64));
                    None
                }));
            });
        }
        let base = scenario.config().set("threads", 2).set("graph/children", serde_json::json!([]));
        let config = if batched { base.set("nodes/double/batch/rows", 256) } else { base };
        let count = if batched { 200_000 } else { 6_000 };
        scenario.requests().keys(10_000).send(&BROKER, &scenario.input, count);
        let service = Service::start(&config.without("nodes/add-one"));
        wait::until_true(LONG, "all are answered", || service.outcomes("answered") >= count);
        let mut outputs = scenario.outputs();
        let mut times: Vec<_> = outputs.read_to_end().iter().map(|answer| answer.timestamp).collect();
        times.sort_unstable();
        let (from, to) = (times.len() / 10, times.len() * 9 / 10);
        let rate = (to - from) as f64 * 1_000.0 / (times[to] - times[from]) as f64;
        let metrics = service.metrics();
        let rows = metrics.sum("millrace_batch_rows_sum", &[]) / metrics.sum("millrace_batch_rows_count", &[]);
        eprintln!("batching {batched}: {rate:.0} records/s, {rows:.0} rows a call");
        rates.insert(batched, rate);
        service.stop();
    }
    eprintln!("{:.1} times as many", rates[&true] / rates[&false]);
}
