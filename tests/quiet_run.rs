//! In a quiet run every request is answered exactly once, keys in order, numbers as they were written.

mod support;

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use support::collect::Record;
use support::kafka::Broker;
use support::requests::Protocol;
use support::scenario::Scenario;
use support::send::Draft;
use support::service::Service;
use support::wait;

static BROKER: LazyLock<Broker> = LazyLock::new(Broker::plain);
const SOON: Duration = Duration::from_secs(30);

#[test]
fn twenty_thousand_requests_are_answered_exactly_once_and_in_order() {
    const COUNT: u64 = 20_000;
    let scenario = Scenario::new(&BROKER, "quiet", 4);
    let sent = scenario.requests().keys(200).send(&BROKER, &scenario.input, COUNT);
    let service = Service::start(&scenario.config());
    let report = scenario.gather(&sent, Duration::from_mins(3));
    eprintln!("{report}");
    report.none_lost().none_dead_lettered().none_duplicated().in_order();

    // Every model was asked once for every request, and all of it is committed and counted.
    assert_eq!((scenario.double.calls(), scenario.add_one.calls()), (COUNT, COUNT));
    BROKER.wait_for_no_lag(&scenario.group, &scenario.input, SOON);
    assert_eq!(service.outcomes("answered"), COUNT);
    let metrics = service.metrics();
    assert_eq!(metrics.sum("millrace_records_consumed_total", &[]) as u64, COUNT);
    assert_eq!(metrics.sum("millrace_in_flight_records", &[]) as u64, 0);
    wait::until_true(SOON, "a commit is counted", || service.metrics().sum("millrace_commits_total", &[]) >= 1.0);
    assert!(metrics.sum("millrace_call_seconds_count", &[]) as u64 >= 2 * COUNT);
    wait::until_true(SOON, "the service itself sees no lag", || {
        let metrics = service.metrics();
        metrics.with("millrace_lag", &[]).count() == 4 && metrics.sum("millrace_lag", &[]).abs() < 0.5
    });
    for name in ["millrace_oldest_unfinished_seconds", "millrace_actor_restarts_total"] {
        assert!(metrics.has(name), "/metrics has no {name}");
    }
    // The scrape path that Seldon's operator configures shows the same.
    assert_eq!(service.get("/prometheus").expect("the admin server answers").status, 200);
    assert_eq!(service.get("/live").expect("the admin server answers").status, 200);

    // The next life begins where this one ended.
    service.stop();
    let _next = Service::start(&scenario.config());
    let ends = BROKER.watermarks(&scenario.output);
    wait::holds_for(Duration::from_secs(3), "nothing is answered again", || {
        BROKER.watermarks(&scenario.output) == ends
    });
}

#[test]
fn every_protocol_goes_through_the_chain_with_its_numbers_as_they_were() {
    for protocol in [Protocol::Seldon, Protocol::V2] {
        let scenario = Scenario::new(&BROKER, protocol.name(), 2).protocol(protocol);
        scenario.double.change(|rules| rules.chunked = true);
        let sent = scenario.requests().keys(10).send(&BROKER, &scenario.input, 500);
        let _service = Service::start(&scenario.config());
        let report = scenario.gather(&sent, SOON);
        report.none_lost().none_dead_lettered().none_duplicated().in_order();
    }
}

#[test]
fn order_partition_keeps_the_read_order_and_order_none_keeps_every_request() {
    let partition = Scenario::new(&BROKER, "by-partition", 2);
    partition.double.change(|rules| rules.delay = Duration::from_millis(5));
    let sent = partition.requests().keys(10).send(&BROKER, &partition.input, 400);
    let _service = Service::start(&partition.config().set("order", "partition"));
    partition.gather(&sent, SOON).none_lost().none_dead_lettered().none_duplicated().in_order();
    let mut outputs = partition.outputs();
    outputs.read_to_end();
    assert_eq!(out_of_read_order(&outputs.records), Vec::<String>::new());
    assert_eq!(partition.double.most_running(), 2, "one record of a partition at a time, and both partitions at once");

    let none = Scenario::new(&BROKER, "no-order", 2);
    none.double.change(|rules| rules.delay = Duration::from_millis(20));
    // One key for all: only without order can more than one a partition run at once.
    let sent = none.requests().keys(1).send(&BROKER, &none.input, 400);
    let _service = Service::start(&none.config().set("order", "none"));
    none.gather(&sent, SOON).none_lost().none_dead_lettered().none_duplicated();
    assert!(none.double.most_running() > 2, "records of one key run at once");
}

/// Answers that stand before the answer to an earlier record of the same source partition.
fn out_of_read_order(records: &[Record]) -> Vec<String> {
    let mut newest: HashMap<(i32, String), i64> = HashMap::new();
    let mut ordered: Vec<&Record> = records.iter().collect();
    ordered.sort_by_key(|record| record.place);
    let mut found = Vec::new();
    for record in ordered {
        let offset: i64 = record.must_have("millrace-source-offset").parse().expect("an offset");
        let newest =
            newest.entry((record.place.partition, record.must_have("millrace-source-partition"))).or_insert(-1);
        if offset < *newest {
            found.push(format!("{:?}: source offset {offset} after {newest}", record.place));
        }
        *newest = offset.max(*newest);
    }
    found
}

#[test]
fn an_answer_carries_key_identity_and_origin_of_its_request() {
    let scenario = Scenario::new(&BROKER, "headers", 3);
    let body = |id: &str| scenario.protocol.body(id, "k", 0, 1);
    let drafts = [
        Draft::value(body("a"))
            .key("k1")
            .header("Seldon-Puid", "puid-a")
            .header("x-tenant", "blue")
            .timestamp(1_700_000_000_123),
        Draft::value(body("b")).key("k2").header("seldon-puid", "puid-b").header("content-type", "application/json"),
        Draft::value(body("c"))
            .key("k3")
            .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        Draft::value(body("d")).partition(2),
    ];
    let places = BROKER.send(&scenario.input, &drafts);
    let _service = Service::start(&scenario.config());
    let mut outputs = scenario.outputs();
    outputs.expect(4, SOON);
    let find = |id: &str| {
        let holds = |r: &&Record| r.text().contains(&format!(r#""id":"{id}""#));
        outputs.records.iter().find(holds).unwrap_or_else(|| panic!("no answer to {id}"))
    };
    for (id, (draft, place)) in ["a", "b", "c", "d"].into_iter().zip(drafts.iter().zip(&places)) {
        let answer = find(id);
        assert_eq!(answer.key, draft.key);
        assert_eq!(answer.must_have("millrace-source-topic"), scenario.input);
        assert_eq!(answer.must_have("millrace-source-partition"), place.partition.to_string());
        assert_eq!(answer.must_have("millrace-source-offset"), place.offset.to_string());
        assert!(answer.must_have("content-type").starts_with("application/json"));
        if draft.key.is_some() {
            // The Java client's partitioner on both sides, and as many partitions.
            assert_eq!(answer.place.partition, place.partition, "{id}");
        }
    }
    let a = find("a");
    assert_eq!((a.must_have("seldon-puid"), a.must_have("x-tenant")), ("puid-a".into(), "blue".into()));
    assert_eq!(a.must_have("millrace-source-timestamp"), "1700000000123");
    let names = |r: &Record| r.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("seldon-puid")).count();
    assert_eq!((find("b").must_have("seldon-puid"), names(find("b"))), ("puid-b".into(), 1));
    assert!(find("c").must_have("traceparent").starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
    // A request without an identity gets one.
    assert_eq!(find("d").must_have("seldon-puid").len(), 36);
    assert_ne!(find("c").must_have("seldon-puid"), find("d").must_have("seldon-puid"));
}
