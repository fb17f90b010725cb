//! Feedback that comes by a topic of its own teaches the nodes that its request went through, and nobody else.

mod support;

use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use support::collect::Collector;
use support::http_server::{Request, Response};
use support::kafka::Broker;
use support::models::Model;
use support::requests::Protocol;
use support::scenario::Scenario;
use support::send::Draft;
use support::service::{Launch, Service};
use support::wait;

static BROKER: LazyLock<Broker> = LazyLock::new(Broker::plain);
const SOON: Duration = Duration::from_secs(30);

/// What was learnt, in order: the node and the feedback.
type Learnt = Arc<Mutex<Vec<(String, Value)>>>;

fn pupil(name: &str, learnt: &Learnt) -> Model {
    let (who, learnt) = (name.to_owned(), Arc::clone(learnt));
    Model::answering(name, move |request: &Request| match request.path.as_str() {
        "/send-feedback" => {
            let feedback = serde_json::from_str(&request.text()).expect("JSON");
            learnt.lock().expect("no test panics here").push((who.clone(), feedback));
            Response::json(200, "{}")
        }
        "/route" => Response::json(200, r#"{"data":{"ndarray":[[1]]}}"#),
        _ => Response::json(200, request.text()),
    })
}

#[test]
fn feedback_goes_where_its_request_went_children_first() {
    let scenario = Scenario::new(&BROKER, "feedback", 1).protocol(Protocol::Seldon);
    let topic = format!("{}.feedback", scenario.name);
    BROKER.create_topic(&topic, 1, &[]);
    let learnt = Learnt::default();
    let [router, a, b] = ["router", "a", "b"].map(|name| pupil(name, &learnt));
    let children = json!([{"name": "a", "type": "MODEL"}, {"name": "b", "type": "MODEL"}]);
    let config = scenario
        .config()
        .without("nodes/double")
        .without("nodes/add-one")
        .set("kafka/feedback_topic", topic.as_str())
        .set("graph", json!({"name": "router", "type": "ROUTER", "children": children}))
        .set("nodes/router/endpoint", router.endpoint())
        .set("nodes/a/endpoint", a.endpoint())
        .set("nodes/b/endpoint", b.endpoint());
    let service = Service::start(&config);

    // Requests go on beside it.
    BROKER.send(&scenario.input, &[Draft::value(r#"{"strData":"x"}"#)]);
    scenario.outputs().expect(1, SOON);

    let to_b = json!({"response": {"meta": {"routing": {"router": 1}}}, "reward": 0.5});
    let to_all = json!({"response": {"meta": {}}, "reward": 1.0});
    let drafts = [to_b.to_string(), "no feedback".into(), to_all.to_string()];
    BROKER.send(&topic, &drafts.map(|text| Draft::value(text).key("one")));
    let count = || learnt.lock().expect("no test panics here").len();
    wait::until_true(SOON, "all has been learnt", || count() == 5);
    BROKER.wait_for_no_lag(&format!("{}.feedback", scenario.group), &topic, SOON);

    let learnt = learnt.lock().expect("no test panics here").clone();
    let names: Vec<&str> = learnt.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names[..2], ["b", "router"], "children first");
    assert_eq!((&names[4], learnt[0].1 == to_b, learnt[4].1 == to_all), (&"router", true, true));
    let mut all = names[2..4].to_vec();
    all.sort_unstable();
    assert_eq!(all, ["a", "b"], "without a route, all");

    let mut dead = Collector::open(&BROKER, &format!("{topic}.dlq"));
    let letter = &dead.expect(1, SOON)[0];
    assert_eq!(
        (letter.text().as_str(), letter.must_have("millrace-error-class").as_str()),
        ("no feedback", "undecodable")
    );
    assert_eq!(scenario.outputs().read_to_end().len(), 1, "feedback has no answer");
    let skipped = [("stream", "feedback"), ("outcome", "skipped")];
    wait::until_true(SOON, "it is counted", || service.metrics().sum("millrace_outcomes_total", &skipped) as u64 == 2);
    assert_eq!(service.outcomes("answered"), 1);

    // An actor of it may crash as any other, and the stop drains both.
    assert_eq!(service.crash("feedback/router-0"), 202);
    BROKER.send(&topic, &[Draft::value(to_b.to_string())]);
    BROKER.wait_for_no_lag(&format!("{}.feedback", scenario.group), &topic, SOON);
    service.stop();
}

#[test]
fn feedback_is_of_seldons_protocol_and_has_a_topic_of_its_own() {
    let scenario = Scenario::without_topics(&BROKER, "no-feedback");
    let config = scenario.config().set("kafka/feedback_topic", "feedback");
    Launch::with(&config).run(SOON).says(78, &["kafka.feedback_topic", "only protocol seldon"]);
    let same = scenario.config().set("protocol", "seldon").set("kafka/feedback_topic", scenario.input.as_str());
    Launch::with(&same).run(SOON).says(78, &["kafka.feedback_topic", "give a topic of its own"]);
}
