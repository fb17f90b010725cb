//! A record that makes an actor panic is dead-lettered with the panic's text, and none of those that merely ran beside it is:
//! among 300 in flight, for each kind of actor, whether the record was at hand in the panic or not.

mod support;

use std::sync::LazyLock;
use std::time::Duration;

use support::kafka::Broker;
use support::scenario::Scenario;
use support::send::Draft;
use support::service::Service;
use support::wait;

static BROKER: LazyLock<Broker> = LazyLock::new(Broker::plain);
const SOON: Duration = Duration::from_mins(1);
/// Good records in flight when the poison record comes.
const BESIDE: u64 = 299;

#[track_caller]
fn only_the_poison_record_is_given_up(crash: &str) {
    let kind = crash.split(' ').next().expect("it names a kind of actor");
    let scenario = Scenario::new(&BROKER, &format!("poison-{}", crash.replace(' ', "-")), 2);
    scenario.double.change(|rules| rules.hang_all = true);
    let mut service = Service::start(&scenario.config());
    let sent = scenario.requests().keys(BESIDE).send(&BROKER, &scenario.input, BESIDE);
    wait::until_true(SOON, "all calls run", || scenario.double.running() == BESIDE as usize);

    let body = scenario.protocol.body("poison", "poison", 0, 1);
    let poison = Draft::value(body).key("poison").header("Seldon-Puid", "poison").header("millrace-crash", crash);
    if kind == "producer" {
        // It gets there only when it has its answer; by then the others are on their way too.
        scenario.double.change(|rules| rules.hang_all = false);
    }
    let place = BROKER.send(&scenario.input, &[poison])[0];
    wait::until_true(SOON, &format!("a {kind} panics"), || {
        let all = service.actors();
        all.iter().any(|actor| actor.name.starts_with(kind) && actor.restarts.count > 0)
    });
    scenario.double.change(|rules| rules.hang_all = false);

    let report = scenario.gather(&sent, SOON);
    eprintln!("{crash}: {report}");
    // The poison record is no request of the load, so the report knows its dead letter as a stranger.
    assert!(report.lost.is_empty() && report.wrong.is_empty(), "{report}");
    assert_eq!(report.answered, BESIDE as usize, "{report}");
    report.none_dead_lettered().in_order();
    BROKER.wait_for_no_lag(&scenario.group, &scenario.input, SOON);

    let mut letters = scenario.dead_letters();
    letters.read_to_end();
    assert_eq!(letters.records.len(), 1, "only the poison record is dead-lettered");
    let letter = &letters.records[0];
    assert_eq!(letter.must_have("Seldon-Puid"), "poison");
    assert_eq!(letter.must_have("millrace-error-class"), "poison");
    let message = letter.must_have("millrace-error-message");
    assert!(message.contains(&format!("a record asked for it with millrace-crash: {kind}")), "{message}");
    assert_eq!(letter.must_have("millrace-source-offset"), place.offset.to_string());
    assert!(service.has_ended().is_none(), "the process ended\n{}", service.output());
    service.stop();
}

#[test]
fn at_hand_in_the_consumer() {
    only_the_poison_record_is_given_up("consumer");
}

#[test]
fn at_hand_in_the_router() {
    only_the_poison_record_is_given_up("router");
}

#[test]
fn at_hand_in_the_model_client() {
    only_the_poison_record_is_given_up("model");
}

#[test]
fn at_hand_in_the_producer() {
    only_the_poison_record_is_given_up("producer");
}

#[test]
fn unseen_in_the_consumer() {
    only_the_poison_record_is_given_up("consumer unseen");
}

#[test]
fn unseen_in_the_router() {
    only_the_poison_record_is_given_up("router unseen");
}

#[test]
fn unseen_in_the_model_client() {
    only_the_poison_record_is_given_up("model unseen");
}

#[test]
fn unseen_in_the_producer() {
    only_the_poison_record_is_given_up("producer unseen");
}

#[test]
fn where_it_is_not_allowed_the_header_means_nothing() {
    let scenario = Scenario::new(&BROKER, "poison-not-allowed", 1);
    let draft = Draft::value(scenario.protocol.body("asks", "asks", 0, 1)).key("asks").header("Seldon-Puid", "asks");
    BROKER.send(&scenario.input, &[draft.header("millrace-crash", "router")]);
    let service = Service::start(&scenario.config().without("admin/allow_crash"));
    scenario.outputs().expect(1, SOON);
    assert!(service.actors().iter().all(|actor| actor.restarts.count == 0));
    service.stop();
}
