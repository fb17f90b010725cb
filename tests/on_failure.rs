//! What becomes of a record that failed is a choice: a dead letter, nothing, or the end of the service at that record.

mod support;

use std::sync::LazyLock;
use std::time::Duration;

use support::kafka::Broker;
use support::load::Sent;
use support::scenario::Scenario;
use support::service::{Launch, Service};
use support::wait;

static BROKER: LazyLock<Broker> = LazyLock::new(Broker::plain);
const SOON: Duration = Duration::from_mins(1);
const ALL: u64 = 100;
/// The request that the first model refuses.
const BAD: usize = 40;

/// Requests of which the model refuses one.
fn with_a_bad_one(scenario: &Scenario<'_>) -> Vec<Sent> {
    let sent = scenario.requests().keys(10).send(&BROKER, &scenario.input, ALL);
    let id = format!("\"{}\"", sent[BAD].id);
    scenario.double.change(|rules| rules.fail = vec![(id, 400, "not this one".to_owned())]);
    sent
}

#[test]
fn dead_letter_writes_the_record_with_the_reason_and_goes_on() {
    let scenario = Scenario::new(&BROKER, "failure-dead", 2);
    let sent = with_a_bad_one(&scenario);
    let service = Service::start(&scenario.config().set("on_failure", "dead_letter"));
    let report = scenario.gather(&sent, SOON);
    report.none_lost().in_order();
    assert_eq!(report.dead_lettered, [sent[BAD].id.clone()]);
    BROKER.wait_for_no_lag(&scenario.group, &scenario.input, SOON);
    service.stop();
}

#[test]
fn skip_writes_nothing_counts_it_and_tells_its_position() {
    let scenario = Scenario::new(&BROKER, "failure-skip", 2);
    let mut sent = with_a_bad_one(&scenario);
    let mut service = Service::start(&scenario.config().set("on_failure", "skip"));
    let bad = sent.remove(BAD);
    scenario.gather(&sent, SOON).none_lost().none_dead_lettered().in_order();
    BROKER.wait_for_no_lag(&scenario.group, &scenario.input, SOON);
    let place = format!("partition: {}", bad.place.partition);
    let offset = format!("offset: {}", bad.place.offset);
    service.tells(&["record failed and is skipped", "model_error", "double", &place, &offset], SOON);
    assert_eq!((service.outcomes("skipped"), service.outcomes("dead_lettered")), (1, 0));
    assert_eq!(service.outcomes("answered"), ALL - 1);
    service.stop();
}

#[test]
fn stop_ends_at_the_record_and_a_new_start_answers_all_once_it_can() {
    let scenario = Scenario::new(&BROKER, "failure-stop", 2);
    let sent = with_a_bad_one(&scenario);
    let bad = &sent[BAD];
    let config = scenario.config().set("on_failure", "stop");
    for _ in 0..2 {
        let ended = Launch::with(&config).run(SOON);
        ended.says(65, &["stopped at a record that failed", "model_error", "on_failure to dead_letter or skip"]);
        let last = ended.output.lines().last().unwrap_or_default();
        let position = [
            format!("topic: {}", scenario.input),
            format!("partition: {}", bad.place.partition),
            format!("offset: {}", bad.place.offset),
            "node: double".to_owned(),
        ];
        assert!(position.iter().all(|part| last.contains(part)), "{position:?} not in the last line\n{last}");
        let committed = BROKER.committed(&scenario.group, &scenario.input)[bad.place.partition as usize];
        assert!(
            committed.is_none_or(|next| next <= bad.place.offset),
            "committed {committed:?}, failed {:?}",
            bad.place
        );
        let members = BROKER.group(&scenario.group).map_or(0, |group| group.members.len());
        assert_eq!(members, 0, "it did not leave the group");
    }

    scenario.double.change(|rules| rules.fail.clear());
    let service = Service::start(&config);
    scenario.gather(&sent, SOON).none_lost().none_dead_lettered().in_order();
    BROKER.wait_for_no_lag(&scenario.group, &scenario.input, SOON);
    service.stop();
}

#[test]
fn several_that_fail_at_once_end_it_once_and_one_of_them_is_named() {
    let scenario = Scenario::new(&BROKER, "failure-all", 4);
    let sent = scenario.requests().keys(50).send(&BROKER, &scenario.input, ALL);
    scenario.double.change(|rules| rules.fail = vec![("\"n\":".to_owned(), 400, "none of them".to_owned())]);
    let ended = Launch::with(&scenario.config().set("on_failure", "stop")).run(SOON);
    ended.says(65, &["stopped at a record that failed", "status 400"]);
    assert_eq!(ended.output.matches("stopped at a record that failed").count(), 1, "{}", ended.output);
    assert!(BROKER.committed(&scenario.group, &scenario.input).iter().flatten().all(|next| *next == 0));

    scenario.double.change(|rules| rules.fail.clear());
    let _next = Service::start(&scenario.config().set("on_failure", "stop"));
    wait::until_true(SOON, "they are answered", || scenario.outputs().read_to_end().len() as u64 >= ALL);
    scenario.gather(&sent, SOON).none_lost().none_dead_lettered().in_order();
}
