//! The admin port answers probes, metrics and actors on a real socket.

use std::sync::Mutex;

use serde_json::{Value, json};

use super::*;
use crate::config::settings::Admin;

#[derive(Default)]
struct Two(Mutex<Vec<String>>);

impl Actors for Two {
    fn snapshot(&self, _: Duration) -> Pin<Box<dyn Future<Output = Value>>> {
        Box::pin(async { json!([{ "name": "router/0" }, { "name": "producer/0" }]) })
    }

    fn crash(&self, name: &str) -> bool {
        self.0.lock().unwrap().push(name.to_owned());
        name == "router/0"
    }
}

fn settings(allow_crash: bool) -> Admin {
    Admin { host: "127.0.0.1".into(), port: 0, allow_crash }
}

fn state() -> State {
    State { health: Health::new(["scorer"]), registries: vec![Registry::new()], actors: Arc::new(Two::default()) }
}

/// Status and body.
fn ask(admin: &AdminHandle, method: &str, path: &str) -> (u16, String) {
    let url = format!("http://{}{path}", admin.address());
    let method = method.parse().unwrap();
    actix_rt::System::new().block_on(async move {
        let mut response = awc::Client::default().request(method, url).send().await.unwrap();
        let body = response.body().await.unwrap();
        (response.status().as_u16(), String::from_utf8(body.to_vec()).unwrap())
    })
}

fn get(admin: &AdminHandle, path: &str) -> (u16, Value) {
    let (status, body) = ask(admin, "GET", path);
    (status, serde_json::from_str(&body).unwrap())
}

#[test]
fn readiness_follows_the_checks_and_liveness_does_not() {
    let state = state();
    let health = state.health.clone();
    let admin = start(&settings(false), state).unwrap();
    assert_eq!(get(&admin, "/startupz").0, 503);
    let (status, body) = get(&admin, "/ready");
    assert_eq!((status, &body["ready"]), (503, &json!(false)));
    assert_eq!(get(&admin, "/live").0, 200);

    for name in [health::CONFIG, health::BROKERS, health::PRODUCER, &health::node("scorer")] {
        health.set(name, true, "");
    }
    health.set(health::GROUP, true, "waiting: the group has members with another kind of assignor");
    let (status, body) = get(&admin, "/v2/health/ready");
    assert_eq!((status, &body["ready"]), (200, &json!(true)));
    let group = &body["checks"][2];
    assert_eq!((&group["name"], &group["ok"]), (&json!("group"), &json!(true)));
    assert!(group["detail"].as_str().unwrap().starts_with("waiting"));
    assert!(humantime::parse_rfc3339(group["since"].as_str().unwrap()).is_ok());
    assert_eq!(get(&admin, "/startupz").0, 200);

    health.set(health::NOT_DRAINING, false, "SIGTERM");
    assert_eq!(get(&admin, "/ready").0, 503);
    assert_eq!(get(&admin, "/v2/health/live").0, 200);
    health.set_alive(false, "worker 0 makes no progress");
    let (status, body) = get(&admin, "/live");
    assert_eq!((status, &body["detail"]), (503, &json!("worker 0 makes no progress")));
}

#[test]
fn metrics_are_text_on_both_paths() {
    let state = state();
    let counter = prometheus::IntCounter::new("a_total", "help").unwrap();
    state.registries[0].register(Box::new(counter.clone())).unwrap();
    counter.inc();
    let admin = start(&settings(false), state).unwrap();
    for path in ["/metrics", "/prometheus"] {
        let (status, body) = ask(&admin, "GET", path);
        assert_eq!(status, 200);
        assert!(body.contains("a_total 1\n"), "{body}");
    }
}

#[test]
fn actors_are_listed_and_crashed_only_where_that_is_allowed() {
    let admin = start(&settings(true), state()).unwrap();
    let (status, body) = get(&admin, "/api/actors");
    assert_eq!((status, body["actors"].as_array().unwrap().len()), (200, 2));
    assert_eq!(ask(&admin, "POST", "/api/actors/router/0/crash").0, 202);
    assert_eq!(ask(&admin, "POST", "/api/actors/router%2F0/crash").0, 202);
    assert_eq!(ask(&admin, "POST", "/api/actors/nobody/crash").0, 404);
    assert_eq!(ask(&admin, "GET", "/api/actors/router/0/crash").0, 404);

    let state = state();
    let admin = start(&settings(false), state.clone()).unwrap();
    assert_eq!(ask(&admin, "POST", "/api/actors/router/0/crash").0, 404);
    assert_eq!(get(&admin, "/nothing").0, 404);
}

#[test]
fn a_taken_port_is_an_error_that_says_what_to_do() {
    let admin = start(&settings(false), state()).unwrap();
    let taken = Admin { port: admin.address().port(), ..settings(false) };
    let error = start(&taken, state()).unwrap_err().to_string();
    let expected = format!(
        "admin port: cannot listen on 127.0.0.1:{}: another process listens there; stop it, or choose another port with --http_port or admin.port",
        taken.port
    );
    assert_eq!(error, expected);

    let port = admin.address().port();
    admin.stop();
    let again = start(&Admin { port, ..settings(false) }, state()).expect("a stopped server has left its port");
    assert_eq!(again.address().port(), port);
}
