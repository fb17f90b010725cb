//! Output and dead-letter topics are made to fit the input topic, unless the service is told not to.

mod support;

use std::sync::LazyLock;
use std::time::Duration;

use support::kafka::Broker;
use support::scenario::Scenario;
use support::service::{Launch, Service};

static BROKER: LazyLock<Broker> = LazyLock::new(Broker::plain);
const SOON: Duration = Duration::from_secs(30);

#[test]
fn missing_topics_are_made_with_the_partitions_and_sizes_of_the_input() {
    let scenario = Scenario::without_topics(&BROKER, "made");
    BROKER.create_topic(&scenario.input, 3, &[("max.message.bytes", "3000000")]);
    let sent = scenario.requests().send(&BROKER, &scenario.input, 100);
    let service = Service::start(&scenario.config());
    scenario.gather(&sent, SOON).none_lost().none_dead_lettered().none_duplicated().in_order();
    for topic in [&scenario.output, &scenario.dead] {
        assert_eq!(BROKER.partitions(topic), Some(3), "{topic}");
        let size: u64 = BROKER.topic_setting(topic, "max.message.bytes").parse().expect("a number");
        assert!(size >= 3_000_000, "{topic} takes {size} bytes only");
    }
    service.stop();
}

#[test]
fn a_dead_letter_topic_of_another_name_is_made_and_used() {
    let scenario = Scenario::with_input_only(&BROKER, "graves", 2);
    let dead = format!("{}.graves", scenario.name);
    let _service = Service::start(&scenario.config().set("kafka/dead_letter/topic", dead.as_str()));
    BROKER.send(&scenario.input, &[support::send::Draft::value("no JSON")]);
    support::collect::Collector::open(&BROKER, &dead).expect(1, SOON);
    assert!(!BROKER.topic_exists(&scenario.dead));
}

#[test]
fn topics_that_exist_are_left_as_they_are() {
    let scenario = Scenario::with_input_only(&BROKER, "left", 4);
    BROKER.create_topic(&scenario.output, 2, &[("max.message.bytes", "70000")]);
    BROKER.create_topic(&scenario.dead, 1, &[]);
    let sent = scenario.requests().send(&BROKER, &scenario.input, 100);
    let _service = Service::start(&scenario.config());
    scenario.gather(&sent, SOON).none_lost().none_dead_lettered().in_order();
    assert_eq!((BROKER.partitions(&scenario.output), BROKER.partitions(&scenario.dead)), (Some(2), Some(1)));
    assert_eq!(BROKER.topic_setting(&scenario.output, "max.message.bytes"), "70000");
}

#[test]
fn nothing_is_made_when_that_is_forbidden() {
    let scenario = Scenario::with_input_only(&BROKER, "forbidden", 2);
    let sent = scenario.requests().send(&BROKER, &scenario.input, 20);
    let mut service = Launch::with(&scenario.config().set("kafka/create_topics", false)).spawn();
    service.tells(&[&scenario.output, "not exist"], SOON);
    assert!(service.readiness().is_some_and(|readiness| !readiness.ready));
    assert!(!BROKER.topic_exists(&scenario.output) && !BROKER.topic_exists(&scenario.dead));

    // Someone else makes them, and it goes on.
    BROKER.create_topics(&[&scenario.output, &scenario.dead], 2, &[]);
    scenario.gather(&sent, Duration::from_mins(1)).none_lost().none_dead_lettered();
    service.stop();
}

#[test]
fn an_output_that_is_the_input_is_refused() {
    let scenario = Scenario::with_input_only(&BROKER, "circle", 1);
    let config = scenario.config();
    let start = |path: &str| {
        let config = config.clone().set(path, scenario.input.as_str());
        Launch::with(&config).run(Duration::from_secs(10))
    };
    start("kafka/output_topic").says(78, &["kafka.output_topic", "input topic", &scenario.input]);
    start("kafka/dead_letter/topic").says(78, &["kafka.dead_letter.topic", "input topic", &scenario.input]);
}
