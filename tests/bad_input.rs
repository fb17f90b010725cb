//! Bad records end as dead letters that tell why, and hold up nothing; bad settings are told in words that help.

mod support;

use std::sync::LazyLock;
use std::time::Duration;

use serde_json::json;
use support::collect::Record;
use support::config::Config;
use support::kafka::Broker;
use support::scenario::Scenario;
use support::send::{Draft, Place};
use support::service::{Ended, Launch, Service};
use support::{http_server, ports, wait};

static BROKER: LazyLock<Broker> = LazyLock::new(Broker::plain);
const SOON: Duration = Duration::from_secs(30);

// ---- records ----

/// A good request with an id.
fn good(scenario: &Scenario<'_>, id: &str) -> Draft {
    Draft::value(scenario.protocol.body(id, id, 0, 20)).key(id).header("Seldon-Puid", id)
}

/// Sends a record between two good ones, waits for the answers to these and for the end of the third.
/// Returns the answers that are not of the good ones, and the dead letters.
fn among_good_ones(scenario: &Scenario<'_>, bad: Draft) -> (Vec<Record>, Vec<Record>) {
    let drafts = [good(scenario, "before"), bad.clone(), good(scenario, "after")];
    let places = BROKER.send(&scenario.input, &drafts.map(|draft| draft.partition(0)));
    let service = Service::start(&scenario.config());
    let (mut outputs, mut dead) = (scenario.outputs(), scenario.dead_letters());
    wait::until_true(SOON, "every record has ended", || {
        outputs.read_to_end().len() + dead.read_to_end().len() >= places.len()
    });
    BROKER.wait_for_no_lag(&scenario.group, &scenario.input, SOON);
    let of_good = |r: &Record| matches!(r.header("Seldon-Puid").as_deref(), Some("before" | "after"));
    let (fine, other): (Vec<_>, Vec<_>) = outputs.records.into_iter().partition(of_good);
    assert_eq!(fine.len(), 2, "the records around it are answered");
    for letter in &dead.records {
        came_untouched(letter, &bad, &scenario.input, places[1]);
    }
    assert_eq!(service.outcomes("dead_lettered") as usize, dead.records.len());
    service.stop();
    (other, dead.records)
}

/// A dead letter is the record as it was, with headers that say where it came from and what went wrong.
fn came_untouched(letter: &Record, draft: &Draft, topic: &str, place: Place) {
    assert_eq!((&letter.key, &letter.value), (&draft.key, &draft.value), "key and value are as they were");
    for (name, value) in &draft.headers {
        assert_eq!(letter.header_bytes(name), value.as_deref(), "header {name} is as it was");
    }
    assert_eq!(letter.must_have("millrace-source-topic"), topic);
    assert_eq!(letter.must_have("millrace-source-partition"), place.partition.to_string());
    assert_eq!(letter.must_have("millrace-source-offset"), place.offset.to_string());
    assert!(letter.must_have("millrace-source-timestamp").parse::<i64>().is_ok_and(|time| time > 1_600_000_000_000));
    assert!(!letter.must_have("millrace-error-message").is_empty());
    assert!(!letter.must_have("millrace-failed-at").is_empty());
}

/// What becomes of a record that must not be answered.
#[track_caller]
fn buried(stem: &str, bad: Draft) -> Record {
    let scenario = Scenario::new(&BROKER, stem, 1);
    let (answers, mut letters) = among_good_ones(&scenario, bad);
    assert_eq!((answers.len(), letters.len()), (0, 1));
    letters.remove(0)
}

/// What becomes of a record whose value cannot be read.
#[track_caller]
fn undecodable(stem: &str, bad: Draft) -> String {
    let letter = buried(stem, bad);
    assert_eq!(letter.must_have("millrace-error-class"), "undecodable");
    letter.must_have("millrace-error-message")
}

#[test]
fn a_record_that_is_not_json_is_dead_lettered() {
    let message = undecodable("no-json", Draft::value("this is no JSON").key("k").header("x-trace", "7"));
    assert!(message.contains("JSON"), "{message}");
}

#[test]
fn a_record_that_is_a_list_is_dead_lettered() {
    let message = undecodable("list", Draft::value("[]").key("k"));
    assert!(message.contains("object"), "{message}");
}

#[test]
fn a_record_without_value_is_dead_lettered_without_value() {
    let message = undecodable("null", Draft::null().key("k"));
    assert!(message.contains("null") || message.contains("no value"), "{message}");
}

#[test]
fn a_record_with_an_empty_value_is_dead_lettered_with_an_empty_value() {
    let message = undecodable("empty", Draft::value("").key("k"));
    assert!(message.contains("empty"), "{message}");
}

#[test]
fn a_record_nested_too_deep_is_dead_lettered() {
    let nested = format!(r#"{{"instances":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    undecodable("deep", Draft::value(nested).key("k"));
}

#[test]
fn a_request_of_two_megabytes_is_answered() {
    let scenario = Scenario::without_topics(&BROKER, "large");
    let topics = [scenario.input.as_str(), &scenario.output, &scenario.dead];
    BROKER.create_topics(&topics, 1, &[("max.message.bytes", "5000000")]);
    let body = format!(r#"{{"instances":[{{"id":"big","text":"{}","n":20}}]}}"#, "x".repeat(2 * 1024 * 1024));
    let (answers, letters) = among_good_ones(&scenario, Draft::value(body.clone()).key("big"));
    assert_eq!((answers.len(), letters.len()), (1, 0));
    let wanted = body.replace("instances", "predictions").replace(r#""n":20"#, r#""n":41"#);
    assert!(answers[0].text() == wanted, "the answer is not the request with 41 for 20");
}

#[test]
fn an_answer_too_large_for_its_topic_is_dead_lettered() {
    let scenario = Scenario::without_topics(&BROKER, "too-large");
    BROKER.create_topics(&[&scenario.input, &scenario.dead], 1, &[]);
    BROKER.create_topic(&scenario.output, 1, &[("max.message.bytes", "100000")]);
    let body = format!(r#"{{"instances":[{{"id":"big","text":"{}","n":20}}]}}"#, "x".repeat(200_000));
    let (answers, letters) = among_good_ones(&scenario, Draft::value(body).key("big"));
    assert_eq!((answers.len(), letters.len()), (0, 1));
    assert_eq!(letters[0].must_have("millrace-error-class"), "too_large");
    let message = letters[0].must_have("millrace-error-message");
    assert!(message.contains(&scenario.output), "it does not name the topic: {message}");
}

#[test]
fn a_header_that_is_no_text_is_passed_on_as_it_is() {
    let bytes = [0xff, 0xfe, 0x00, 0x80];
    let scenario = Scenario::new(&BROKER, "bytes", 1);
    let draft = Draft::value(scenario.protocol.body("bytes", "k", 0, 20)).key("k").header("x-bytes", bytes);
    let (answers, letters) = among_good_ones(&scenario, draft);
    assert_eq!((answers.len(), letters.len()), (1, 0));
    assert_eq!(answers[0].header_bytes("x-bytes"), Some(&bytes[..]));

    // As an identity it cannot serve; the request gets one and is answered all the same.
    let scenario = Scenario::new(&BROKER, "bytes-puid", 1);
    let draft = Draft::value(scenario.protocol.body("bytes", "k", 0, 20)).key("k").header("Seldon-Puid", bytes);
    let (answers, letters) = among_good_ones(&scenario, draft);
    assert_eq!(answers.len() + letters.len(), 1);
}

#[test]
fn a_request_that_the_model_refuses_is_dead_lettered_with_its_words() {
    let scenario = Scenario::new(&BROKER, "refused", 1);
    let words = r#"{"error":"shape does not fit"}"#;
    scenario.add_one.change(|rules| rules.fail.push((r#""id":"bad""#.to_owned(), 400, words.to_owned())));
    let (answers, letters) = among_good_ones(&scenario, good(&scenario, "bad"));
    assert_eq!((answers.len(), letters.len()), (0, 1));
    let letter = &letters[0];
    assert_eq!(letter.must_have("millrace-error-class"), "model_error");
    assert_eq!(letter.must_have("millrace-error-node"), "add-one");
    assert_eq!(letter.must_have("millrace-error-status"), "400");
    assert_eq!(letter.must_have("millrace-error-body"), words);
    // Trying again what was refused helps nobody.
    assert_eq!((letter.must_have("millrace-error-attempts"), scenario.add_one.calls_of("bad")), ("1".to_owned(), 1));
}

#[test]
fn a_request_that_fails_again_and_again_is_dead_lettered_after_its_attempts() {
    let scenario = Scenario::new(&BROKER, "failing", 1);
    let body = "e".repeat(10_000);
    scenario.add_one.change(|rules| rules.fail.push((r#""id":"bad""#.to_owned(), 500, body.clone())));
    let (answers, letters) = among_good_ones(&scenario, good(&scenario, "bad"));
    assert_eq!((answers.len(), letters.len()), (0, 1));
    assert_eq!(letters[0].must_have("millrace-error-class"), "model_error");
    assert_eq!(letters[0].must_have("millrace-error-status"), "500");
    assert_eq!(letters[0].must_have("millrace-error-body").len(), 4096, "the first 4 KiB of the body");
    let attempts: u64 = letters[0].must_have("millrace-error-attempts").parse().expect("a number");
    assert!(attempts > 1, "tried {attempts} times");
    assert_eq!(scenario.add_one.calls_of("bad"), attempts);
    assert_eq!(scenario.double.calls_of("bad"), 1, "the node before is not asked again");
}

#[test]
fn a_model_that_answers_no_json_is_told_of() {
    let scenario = Scenario::new(&BROKER, "garbage", 1);
    scenario.double.change(|rules| {
        let own = |request: &http_server::Request| {
            let text = request.text().replace("instances", "predictions").replace(r#""n":20"#, r#""n":40"#);
            let bad = text.contains(r#""id":"bad""#);
            http_server::Response::json(200, if bad { "<html>".to_owned() } else { text })
        };
        rules.answer = Some(std::sync::Arc::new(own));
    });
    let (answers, letters) = among_good_ones(&scenario, good(&scenario, "bad"));
    assert_eq!((answers.len(), letters.len()), (0, 1));
    assert_eq!(letters[0].must_have("millrace-error-node"), "double");
    assert_eq!(letters[0].must_have("millrace-error-body"), "<html>");
}

// ---- places that are not there ----

#[test]
fn an_unknown_topic_is_told_and_waited_for() {
    let scenario = Scenario::without_topics(&BROKER, "unknown");
    let mut service = Launch::with(&scenario.config()).spawn();
    service.tells(&[&scenario.input, "not exist"], SOON);
    assert!(service.readiness().is_some_and(|readiness| !readiness.ready));
    assert!(!BROKER.topic_exists(&scenario.input), "an input topic is not for the service to make");

    BROKER.create_topics(&[&scenario.input, &scenario.output, &scenario.dead], 2, &[]);
    let sent = scenario.requests().send(&BROKER, &scenario.input, 20);
    scenario.gather(&sent, Duration::from_mins(1)).none_lost().none_dead_lettered();
    service.stop();
}

#[test]
fn a_wrong_port_is_told_and_tried_again() {
    let scenario = Scenario::new(&BROKER, "wrong-port", 1);
    let address = format!("127.0.0.1:{}", ports::one());
    let mut service = Launch::with(&scenario.config().set("kafka/brokers", address.as_str())).spawn();
    service.tells(&[&address, "refused"], SOON);
    assert!(service.readiness().is_some_and(|readiness| !readiness.ready));
    assert_eq!(service.get("/live").expect("the admin server answers").status, 200);
    service.stop();
}

#[test]
fn a_port_in_use_for_the_admin_server_is_told() {
    let scenario = Scenario::new(&BROKER, "admin-port", 1);
    let first = Service::start(&scenario.config());
    let port = scenario.double.port;
    let ended = Launch::default().with_file(&scenario.config().set("admin/port", port).yaml()).run(SOON);
    assert_ne!(ended.code, Some(0));
    assert!(ended.output.contains(&port.to_string()) && ended.output.contains("admin"), "{}", ended.output);
    first.stop();
}

// ---- settings ----

/// A configuration that would do, without a broker behind it.
fn sound() -> Config {
    Config::default()
        .set("protocol", "tensorflow")
        .set("kafka/brokers", "127.0.0.1:9092")
        .set("kafka/group_id", "g")
        .set("kafka/input_topic", "requests")
        .set("kafka/output_topic", "answers")
        .set("nodes/m/endpoint", "127.0.0.1:9000")
        .set("graph", json!({"name": "m", "type": "MODEL"}))
}

fn refused(config: &Config) -> Ended {
    Launch::with(config).run(Duration::from_secs(10))
}

#[test]
fn no_brokers_is_told_with_the_names_under_which_they_can_be_given() {
    let ended = refused(&sound().without("kafka/brokers"));
    ended.says(78, &["kafka.brokers", "KAFKA_BROKER"]);
}

#[test]
fn malformed_yaml_is_told_with_file_and_line() {
    let ended = Launch::default().with_file("kafka:\n  brokers: a\n bad: [1\n").run(Duration::from_secs(10));
    ended.says(78, &["config.yaml", "line 3"]);
}

#[test]
fn a_missing_file_is_told_with_its_path() {
    let ended = Launch::default().args(&["run", "-c", "no-such.yaml"]).run(Duration::from_secs(10));
    ended.says(78, &["no-such.yaml"]);
}

#[test]
fn an_unknown_key_is_told_with_the_nearest_right_one() {
    let ended = refused(&sound().without("kafka/brokers").set("kafka/broker", "127.0.0.1:9092"));
    ended.says(78, &["kafka.broker", "kafka.brokers", "config.yaml"]);
}

#[test]
fn two_faults_are_told_at_once() {
    let ended = refused(&sound().set("order", "sideways").set("limits/window", "many").set("loging/level", "info"));
    ended.says(78, &["order", "sideways", "partition", "limits.window", "many", "loging", "log"]);
}

#[test]
fn a_fault_in_the_environment_is_told_with_its_variable() {
    let ended = Launch::with(&sound()).env("MILLRACE__ORDER", "sideways").run(Duration::from_secs(10));
    ended.says(78, &["MILLRACE__ORDER", "sideways"]);
    let ended = Launch::with(&sound()).env("KAFKA_WORKERS", "0").run(Duration::from_secs(10));
    ended.says(78, &["KAFKA_WORKERS"]);
}

#[test]
fn a_client_property_that_the_service_owns_is_refused_with_the_reason() {
    let ended = refused(&sound().consumer("enable.auto.commit", true));
    ended.says(78, &["enable.auto.commit"]);
}

#[test]
fn a_graph_whose_node_has_no_endpoint_is_told() {
    let ended = refused(&sound().set("graph/children", json!([{"name": "lonely", "type": "MODEL"}])));
    ended.says(78, &["lonely", "endpoint"]);
}

#[test]
fn wrong_usage_is_told_with_the_right_one() {
    let ended = Launch::default().args(&["run", "--confg", "x"]).run(Duration::from_secs(10));
    ended.says(64, &["--confg"]);
}
