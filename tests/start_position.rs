//! Where reading starts is the service's policy, what retention took is told, and a topic that is done has no lag.

mod support;

use std::sync::LazyLock;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use support::kafka::{Broker, PATIENCE};
use support::scenario::Scenario;
use support::service::Service;
use support::topics::client;
use support::wait;

static BROKER: LazyLock<Broker> = LazyLock::new(Broker::plain);
const SOON: Duration = Duration::from_secs(30);

#[test]
fn earliest_is_the_default_and_reads_what_was_there_before() {
    let scenario = Scenario::new(&BROKER, "earliest", 2);
    let sent = scenario.requests().send(&BROKER, &scenario.input, 100);
    let _service = Service::start(&scenario.config());
    scenario.gather(&sent, SOON).none_lost().none_dead_lettered().none_duplicated();
}

#[test]
fn latest_skips_what_was_there_and_misses_nothing_after() {
    let scenario = Scenario::new(&BROKER, "latest", 2);
    let config = scenario.config().set("kafka/start", "latest");
    scenario.requests().send(&BROKER, &scenario.input, 100);
    let ends: Vec<Option<i64>> = BROKER.watermarks(&scenario.input).into_iter().map(|(_, end)| Some(end)).collect();
    let service = Service::start(&config);
    // The position is fixed at once, so that what comes while the service is away is not skipped.
    wait::until_true(SOON, "both ends are committed", || BROKER.committed(&scenario.group, &scenario.input) == ends);
    service.stop();
    let mut later = scenario.requests();
    later.stem = format!("{}-later", scenario.name);
    let sent = later.send(&BROKER, &scenario.input, 50);
    let _service = Service::start(&config);
    scenario.gather(&sent, SOON).none_lost().none_dead_lettered().none_duplicated();
}

#[test]
fn a_partition_without_records_gets_a_committed_offset_too() {
    let scenario = Scenario::new(&BROKER, "idle", 3);
    let sent = scenario.requests().keys(1).send(&BROKER, &scenario.input, 10);
    let _service = Service::start(&scenario.config());
    scenario.gather(&sent, SOON).none_lost();
    let ends: Vec<Option<i64>> = BROKER.watermarks(&scenario.input).into_iter().map(|(_, end)| Some(end)).collect();
    assert_eq!(ends.iter().filter(|end| **end == Some(0)).count(), 2);
    wait::until_true(SOON, "all three are committed", || BROKER.committed(&scenario.group, &scenario.input) == ends);
}

#[test]
fn what_retention_took_before_it_was_read_is_told_and_counted() {
    let scenario = Scenario::new(&BROKER, "retention", 1);
    let first = scenario.requests().send(&BROKER, &scenario.input, 100);
    let service = Service::start(&scenario.config());
    scenario.gather(&first, SOON).none_lost();
    service.stop();
    assert_eq!(BROKER.committed(&scenario.group, &scenario.input), [Some(100)]);

    let mut requests = scenario.requests();
    requests.stem = format!("{}-more", scenario.name);
    let more = requests.send(&BROKER, &scenario.input, 100);
    BROKER.delete_records(&scenario.input, 0, 150);
    let service = Service::start(&scenario.config());
    let (_gone, left) = more.split_at(50);
    let mut known = first.clone();
    known.extend_from_slice(left);
    let report = scenario.gather(&known, SOON);
    report.none_lost().none_dead_lettered().none_duplicated();
    assert_eq!(service.metrics().sum("millrace_lost_positions_total", &[]) as u64, 50);
    let output = service.output();
    let told =
        |line: &str| ["outside the log", "100", "150", "50", "partition: 0"].iter().all(|part| line.contains(part));
    assert!(output.lines().any(told), "no line names the lost range\n{output}");
    BROKER.wait_for_no_lag(&scenario.group, &scenario.input, SOON);
}

#[test]
fn with_latest_a_position_before_the_log_goes_on_at_the_end() {
    let scenario = Scenario::new(&BROKER, "retention-latest", 1);
    let mut requests = scenario.requests();
    requests.send(&BROKER, &scenario.input, 100);
    commit(&scenario, 10);
    BROKER.delete_records(&scenario.input, 0, 50);
    let service = Service::start(&scenario.config().set("kafka/start", "latest"));
    BROKER.wait_for_no_lag(&scenario.group, &scenario.input, SOON);
    requests.stem = format!("{}-later", scenario.name);
    let sent = requests.send(&BROKER, &scenario.input, 20);
    scenario.gather(&sent, SOON).none_lost().none_duplicated();
    // From the committed offset to the end, all of it is skipped by policy.
    assert_eq!(service.metrics().sum("millrace_lost_positions_total", &[]) as u64, 90);
}

#[test]
fn a_position_past_the_end_starts_again_by_policy() {
    let scenario = Scenario::new(&BROKER, "past-the-end", 1);
    let sent = scenario.requests().send(&BROKER, &scenario.input, 40);
    commit(&scenario, 5000);
    let service = Service::start(&scenario.config());
    scenario.gather(&sent, SOON).none_lost().none_dead_lettered().none_duplicated();
    let output = service.output();
    let told = |line: &str| line.contains("outside the log") && line.contains("5000");
    assert!(output.lines().any(told), "no line names the position\n{output}");
    BROKER.wait_for_no_lag(&scenario.group, &scenario.input, SOON);
}

/// Commits an offset of partition 0 for the scenario's group, which has no member.
fn commit(scenario: &Scenario<'_>, offset: i64) {
    let mut config = client(BROKER.bootstrap());
    // Or it would commit, at its end, what it has fetched meanwhile.
    config.set("group.id", &scenario.group).set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create().expect("the settings are right");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&scenario.input, 0, rdkafka::Offset::Offset(offset)).expect("a sound list");
    consumer.assign(&list).expect("a sound list");
    consumer.commit(&list, CommitMode::Sync).expect("the coordinator answers");
    assert_eq!(BROKER.committed(&scenario.group, &scenario.input), [Some(offset)]);
}

#[test]
fn lag_reaches_zero_on_a_topic_written_in_transactions() {
    let scenario = Scenario::new(&BROKER, "markers", 1);
    let mut config = client(BROKER.bootstrap());
    config.set("transactional.id", &scenario.name);
    let producer: BaseProducer = config.create().expect("the settings are right");
    producer.init_transactions(PATIENCE).expect("the coordinator answers");
    let write = |ids: std::ops::Range<u64>| {
        producer.begin_transaction().expect("none is open");
        for id in ids {
            let body = scenario.protocol.body(&format!("t{id}"), "k", id, id);
            producer
                .send(BaseRecord::to(&scenario.input).key("k").payload(&body))
                .map_err(|(e, _)| e)
                .expect("there is room");
        }
        producer.flush(PATIENCE).expect("the broker takes them");
    };
    write(0..10);
    producer.commit_transaction(PATIENCE).expect("the coordinator answers");
    write(10..15);
    producer.abort_transaction(PATIENCE).expect("the coordinator answers");
    wait::until_true(SOON, "two markers stand among the records", || BROKER.watermarks(&scenario.input) == [(0, 17)]);

    let service = Service::start(&scenario.config());
    let mut outputs = scenario.outputs();
    outputs.expect(10, SOON);
    BROKER.wait_for_no_lag(&scenario.group, &scenario.input, SOON);
    assert_eq!(outputs.read_to_end().len(), 10, "what was taken back is not answered");

    // More of the same while it runs, and nothing again after a restart.
    write(15..20);
    producer.commit_transaction(PATIENCE).expect("the coordinator answers");
    outputs.expect(15, SOON);
    BROKER.wait_for_no_lag(&scenario.group, &scenario.input, SOON);
    service.stop();
    let _next = Service::start(&scenario.config());
    wait::holds_for(Duration::from_secs(2), "nothing is answered again", || outputs.read_to_end().len() == 15);
}
