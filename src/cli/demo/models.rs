//! Two sample models: HTTP servers of Seldon's protocol in this process, which take a few milliseconds for a request.
//!
//! The chain of both makes `2 * (a + b + c)` of a row.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// Longest time that a model takes, in milliseconds.
const WORK_MS: u64 = 6;
const BODY_BYTES: usize = 1 << 20;

type Row = Vec<f64>;
type Model = fn(&[f64]) -> Row;

/// The running models; they stop when this is dropped.
pub(super) struct Models {
    /// Names in graph order, and where they listen.
    pub(super) endpoints: [(&'static str, SocketAddr); 2],
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Doubles every number.
fn scale(row: &[f64]) -> Row {
    row.iter().map(|number| number * 2.0).collect()
}

/// Adds the numbers up.
fn score(row: &[f64]) -> Row {
    vec![row.iter().sum()]
}

/// What the chain makes of a row.
pub(super) fn expected(row: &[f64]) -> f64 {
    score(&scale(row))[0]
}

impl Models {
    pub(super) fn start() -> io::Result<Self> {
        let sockets = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
        let endpoints = [("scale", sockets[0].local_addr()?), ("score", sockets[1].local_addr()?)];
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("models".to_owned())
            .spawn(move || actix_rt::System::new().block_on(serve(sockets, stopped)))?;
        Ok(Self { endpoints, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Models {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in there was reported by the panic hook.
            thread.join().ok();
        }
    }
}

async fn serve([first, second]: [TcpListener; 2], stopped: oneshot::Receiver<()>) {
    let mut handles = Vec::new();
    for (socket, model) in [(first, scale as Model), (second, score as Model)] {
        let app = move || {
            App::new()
                .app_data(web::Data::new(model))
                .app_data(web::PayloadConfig::new(BODY_BYTES))
                .route("/predict", web::post().to(predict))
                .default_service(web::get().to(HttpResponse::Ok))
        };
        let server = HttpServer::new(app).workers(1).disable_signals().shutdown_timeout(1).listen(socket);
        match server {
            Ok(server) => {
                let server = server.run();
                handles.push(server.handle());
                actix_rt::spawn(server);
            }
            Err(_) => return,
        }
    }
    // Sent or dropped, both mean stop.
    stopped.await.ok();
    for handle in handles {
        handle.stop(false).await;
    }
}

async fn predict(model: web::Data<Model>, body: web::Bytes) -> HttpResponse {
    actix_rt::time::sleep(Duration::from_millis(fastrand::u64(1..=WORK_MS))).await;
    match answer(**model, &body) {
        Ok(reply) => HttpResponse::Ok().json(reply),
        Err(why) => HttpResponse::BadRequest().json(json!({
            "status": { "status": 1, "info": why, "code": -1, "reason": "MICROSERVICE_BAD_DATA" }
        })),
    }
}

fn answer(model: Model, body: &[u8]) -> Result<Value, String> {
    let message: Value = serde_json::from_slice(body).map_err(|error| format!("not JSON: {error}"))?;
    let rows = rows(&message).ok_or("data.ndarray must be rows of numbers")?;
    let answers: Vec<Row> = rows.iter().map(|row| model(row)).collect();
    let mut reply = json!({ "data": { "names": [], "ndarray": answers } });
    if let Some(meta) = message.get("meta") {
        reply["meta"] = meta.clone();
    }
    Ok(reply)
}

/// Rows of `data.ndarray` in a message.
pub(super) fn rows(message: &Value) -> Option<Vec<Row>> {
    let row = |row: &Value| row.as_array()?.iter().map(Value::as_f64).collect();
    message.pointer("/data/ndarray")?.as_array()?.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(to: SocketAddr, body: String) -> (u16, String) {
        actix_rt::System::new().block_on(async move {
            let url = format!("http://{to}/predict");
            let mut response = awc::Client::default().post(url).send_body(body).await.unwrap();
            let body = response.body().await.unwrap();
            (response.status().as_u16(), String::from_utf8(body.to_vec()).unwrap())
        })
    }

    #[test]
    fn the_chain_of_both_gives_what_is_expected() {
        let models = Models::start().unwrap();
        let [(_, scale), (_, score)] = models.endpoints;
        let request = json!({ "meta": { "puid": "7" }, "data": { "ndarray": [[1, 2.5, 3]] } }).to_string();
        let (status, between) = post(scale, request);
        assert_eq!(status, 200, "{between}");
        let (_, reply) = post(score, between);
        let reply: Value = serde_json::from_str(&reply).unwrap();
        assert_eq!(rows(&reply), Some(vec![vec![expected(&[1.0, 2.5, 3.0])]]));
        assert_eq!(reply["meta"]["puid"], "7");
    }

    #[test]
    fn bad_data_is_refused_as_seldons_wrapper_does() {
        let models = Models::start().unwrap();
        for body in ["{", "[]", r#"{"data":{"ndarray":[["a"]]}}"#] {
            let (status, reply) = post(models.endpoints[0].1, body.to_owned());
            assert_eq!(status, 400);
            assert!(reply.contains("MICROSERVICE_BAD_DATA"), "{reply}");
        }
    }
}
