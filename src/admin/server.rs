//! Starts and stops the admin server on threads of its own.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::{App, HttpServer, web};
use tokio::sync::oneshot;

use super::{Error, State, routes};
use crate::config::settings::Admin;

/// A running server; it stops when this is dropped.
#[derive(Debug)]
pub struct AdminHandle {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl AdminHandle {
    /// Where it listens; tells the port if the system chose it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops listening and waits until the threads have ended.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the server was reported by the panic hook; there is nothing left to stop.
            thread.join().ok();
        }
    }
}

impl Drop for AdminHandle {
    fn drop(&mut self) {
        self.end();
    }
}

/// Listens and serves. Returns when the port listens.
pub fn start(settings: &Admin, state: State) -> Result<AdminHandle, Error> {
    let bind = |source| Error::Bind { address: format!("{}:{}", settings.host, settings.port), source };
    let host = settings.host.trim_matches(['[', ']']);
    let listener = TcpListener::bind((host, settings.port)).map_err(bind)?;
    let address = listener.local_addr().map_err(bind)?;
    let (stop, stopped) = oneshot::channel();
    let (started, start) = std::sync::mpsc::sync_channel(1);
    let allow_crash = settings.allow_crash;
    let thread = std::thread::Builder::new()
        .name("admin".to_owned())
        .spawn(move || {
            actix_rt::System::new().block_on(serve(listener, state, allow_crash, started, stopped));
        })
        .map_err(Error::Start)?;
    let handle = AdminHandle { address, stop: Some(stop), thread: Some(thread) };
    start.recv().unwrap_or_else(|_| Err(io::Error::other("its thread panicked"))).map_err(Error::Start)?;
    Ok(handle)
}

async fn serve(
    listener: TcpListener,
    state: State,
    allow_crash: bool,
    started: std::sync::mpsc::SyncSender<io::Result<()>>,
    stopped: oneshot::Receiver<()>,
) {
    let state = web::Data::new(state);
    let server =
        HttpServer::new(move || App::new().app_data(state.clone()).configure(|app| routes::add(app, allow_crash)))
            .workers(1)
            .backlog(128)
            .max_connections(256)
            .client_request_timeout(Duration::from_secs(5))
            .keep_alive(Duration::from_secs(30))
            .shutdown_timeout(1)
            .disable_signals()
            .listen(listener);
    let server = match server {
        Ok(server) => server.run(),
        Err(error) => return report(&started, Err(error)),
    };
    let handle = server.handle();
    report(&started, Ok(()));
    actix_rt::spawn(async move {
        // Sent or dropped, both mean stop.
        stopped.await.ok();
        handle.stop(false).await;
    });
    server.await.ok();
}

fn report(started: &std::sync::mpsc::SyncSender<io::Result<()>>, result: io::Result<()>) {
    // The receiver waits for exactly one result.
    started.send(result).ok();
}
