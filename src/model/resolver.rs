//! Keeps up with what a name stands for: asks when it is made, from time to time, and when it is told of trouble.

use std::net::{SocketAddr, ToSocketAddrs};
use std::rc::Rc;
use std::time::Duration;

use actix_rt::task::{JoinHandle, spawn_blocking};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::error::CallError;

/// Time between two questions, if nobody is in trouble.
const EVERY: Duration = Duration::from_secs(30);
/// Time between two questions at least.
const AT_LEAST: Duration = Duration::from_secs(1);

/// Asks for one name, for as long as it lives.
pub(super) struct Resolver {
    trouble: Rc<Notify>,
    /// Why the last question had no answer; it changes with every answer.
    answer: watch::Receiver<Option<String>>,
    task: JoinHandle<()>,
}

impl Resolver {
    /// Asks, and hands every answer that has an address to `found`.
    pub(super) fn start(host: String, port: u16, found: impl Fn(&[SocketAddr]) + 'static) -> Self {
        let (told, answer) = watch::channel(None);
        let trouble = Rc::new(Notify::new());
        let task = actix_rt::spawn(ask(host, port, Rc::clone(&trouble), told, found));
        Self { trouble, answer, task }
    }

    /// Asks again, soon.
    pub(super) fn trouble(&self) {
        self.trouble.notify_one();
    }

    /// Waits for the next answer. Why there is none, if so.
    pub(super) async fn next(&self, limit: Duration) -> Result<(), CallError> {
        let mut answer = self.answer.clone();
        answer.mark_unchanged();
        self.trouble();
        let heard = timeout(limit, answer.changed()).await.is_ok();
        match &*answer.borrow() {
            Some(why) => Err(CallError::Refused(why.clone())),
            None if heard => Ok(()),
            None => Err(CallError::ConnectTimeout(limit)),
        }
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn ask(
    host: String,
    port: u16,
    trouble: Rc<Notify>,
    told: watch::Sender<Option<String>>,
    found: impl Fn(&[SocketAddr]),
) {
    loop {
        let name = host.clone();
        let looked_up = spawn_blocking(move || (name, port).to_socket_addrs().map(Iterator::collect::<Vec<_>>)).await;
        let why = match looked_up {
            Ok(Ok(addresses)) if addresses.is_empty() => Some(format!("'{host}' has no address")),
            Ok(Ok(addresses)) => {
                found(&addresses);
                None
            }
            Ok(Err(error)) => Some(format!("'{host}': {error}")),
            // The thread was lost; the next one may do better.
            Err(error) => Some(format!("'{host}': {error}")),
        };
        told.send_replace(why);
        sleep(AT_LEAST).await;
        // A question in between is remembered.
        drop(timeout(EVERY, trouble.notified()).await);
    }
}
