//! The paths of the admin port and their answers.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Path, ServiceConfig};
use prometheus::TextEncoder;
use serde_json::json;

use super::{State, health};

/// Time an actor has to tell its state.
const ANSWER: Duration = Duration::from_secs(1);
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) fn add(app: &mut ServiceConfig, allow_crash: bool) {
    for path in ["/live", "/v2/health/live"] {
        app.route(path, web::get().to(live));
    }
    for path in ["/ready", "/v2/health/ready"] {
        app.route(path, web::get().to(ready));
    }
    for path in ["/metrics", "/prometheus"] {
        app.route(path, web::get().to(metrics));
    }
    app.route("/startupz", web::get().to(started)).route("/api/actors", web::get().to(actors));
    if allow_crash {
        app.route("/api/actors/{name:.+}/crash", web::post().to(crash));
    }
    app.default_service(web::to(unknown));
}

async fn live(state: Data<State>) -> HttpResponse {
    let alive = state.health.alive();
    answer(alive.ok).json(json!({ "alive": alive.ok, "since": alive_since(&alive), "detail": alive.detail }))
}

fn alive_since(alive: &health::Check) -> String {
    humantime::format_rfc3339_millis(alive.since).to_string()
}

async fn ready(state: Data<State>) -> HttpResponse {
    let snapshot = state.health.snapshot();
    answer(snapshot.ready).json(snapshot)
}

async fn started(state: Data<State>) -> HttpResponse {
    let started = state.health.is_ok(health::CONFIG);
    answer(started).json(json!({ "started": started }))
}

async fn metrics(state: Data<State>) -> HttpResponse {
    match TextEncoder::new().encode_to_string(&state.gather()) {
        Ok(text) => HttpResponse::Ok().content_type(METRICS_TYPE).body(text),
        Err(error) => HttpResponse::InternalServerError().body(error.to_string()),
    }
}

async fn actors(state: Data<State>) -> HttpResponse {
    HttpResponse::Ok().json(json!({ "actors": state.actors.snapshot(ANSWER).await }))
}

async fn crash(state: Data<State>, name: Path<String>) -> HttpResponse {
    if state.actors.crash(&name) {
        HttpResponse::Accepted().json(json!({ "crashed": *name }))
    } else {
        HttpResponse::NotFound().json(json!({ "error": format!("there is no actor {name}; see /api/actors") }))
    }
}

async fn unknown() -> HttpResponse {
    HttpResponse::NotFound().json(json!({ "error": "no such path", "paths": PATHS }))
}

const PATHS: &[&str] = &["/live", "/ready", "/startupz", "/metrics", "/api/actors"];

fn answer(good: bool) -> actix_web::HttpResponseBuilder {
    let mut response = if good { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    response.insert_header(("Cache-Control", "no-store"));
    response
}
