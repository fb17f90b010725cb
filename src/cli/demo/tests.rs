//! The demo around a service that only copies: brokers, models, producer, reader and view are the real ones.

use std::pin::Pin;
use std::thread::JoinHandle;

use prometheus::{IntGauge, Registry};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::{Value, json};

use super::*;
use crate::admin::Actors;
use crate::events::names;

/// Answers every request itself.
struct Copying {
    registry: Registry,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

struct NoActors;

impl Actors for NoActors {
    fn snapshot(&self, _: Duration) -> Pin<Box<dyn Future<Output = Value>>> {
        Box::pin(async { json!([]) })
    }

    fn crash(&self, _: &str) -> bool {
        false
    }
}

impl Service for Copying {
    fn actors(&self) -> Arc<dyn Actors> {
        Arc::new(NoActors)
    }

    fn registry(&self) -> Registry {
        self.registry.clone()
    }

    fn finished(&self) -> bool {
        self.thread.is_finished()
    }

    fn drain(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    fn join(self: Box<Self>) -> u8 {
        self.thread.join().unwrap();
        0
    }
}

/// Starts it; each `skip`th request is left out.
fn start(settings: &Settings, skip: Option<usize>) -> Box<dyn Service> {
    let mut config = broker::client(&settings.kafka.brokers);
    config.set("group.id", &settings.kafka.group_id).set("auto.offset.reset", "earliest");
    for (name, value) in &settings.kafka.consumer_properties {
        config.set(name, value);
    }
    let consumer: BaseConsumer = config.create().unwrap();
    let producer: BaseProducer = broker::client(&settings.kafka.brokers).create().unwrap();
    consumer.subscribe(&[&settings.kafka.input_topic]).unwrap();
    let output = settings.kafka.output_topic.clone();
    let registry = Registry::new();
    let assigned = IntGauge::new(names::ASSIGNED_PARTITIONS.name, "h").unwrap();
    registry.register(Box::new(assigned.clone())).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let thread = std::thread::spawn(move || {
        let mut read = 0;
        while !stopped.load(Ordering::Relaxed) {
            let message = consumer.poll(Duration::from_millis(20));
            assigned.set(consumer.assignment().unwrap().count() as i64);
            let Some(Ok(message)) = message else { continue };
            read += 1;
            if skip.is_some_and(|skip| read % skip == 0) {
                continue;
            }
            let request: Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
            let row = &models::rows(&request).unwrap()[0];
            let answer = json!({ "data": { "ndarray": [[models::expected(row)]] } }).to_string();
            let puid = message.headers().unwrap().get(0);
            let headers = OwnedHeaders::new().insert(puid);
            producer.send(BaseRecord::<(), _>::to(&output).payload(&answer).headers(headers)).unwrap();
            producer.poll(Duration::ZERO);
        }
        producer.flush(Duration::from_secs(5)).unwrap();
    });
    Box::new(Copying { registry, stop, thread })
}

fn demo(seconds: u64) -> (u8, String) {
    let mut out = Vec::new();
    let options = Options { seconds: Some(seconds), ..Options::default() };
    let started = Demo::start(
        options,
        |settings, _| Ok(start(&settings, None)),
        Screen::new(&mut out, false),
        LogLines::default(),
    );
    let code = started.unwrap_or_else(|(_, why)| panic!("{why}")).run(&AtomicBool::new(false));
    (code, String::from_utf8(out).unwrap())
}

/// Number after a name in the summary.
fn figure(text: &str, name: &str) -> u64 {
    let line = text.lines().rev().find(|line| line.trim_start().starts_with(name));
    let words = line.unwrap_or_else(|| panic!("no {name} in {text}")).split_whitespace();
    words.last().unwrap().replace(',', "").parse().unwrap()
}

#[test]
fn a_service_that_answers_all_gives_exit_code_0() {
    let (code, text) = demo(2);
    assert_eq!(code, 0, "{text}");
    let sent = figure(&text, "sent");
    assert!((200..=440).contains(&sent), "{text}");
    assert_eq!(figure(&text, "answered"), sent, "{text}");
    assert_eq!((figure(&text, "lost"), figure(&text, "duplicated")), (0, 0), "{text}");
}

#[test]
fn a_service_that_drops_a_request_is_found_out() {
    let broker = Broker::start().unwrap();
    let books = Arc::new(Mutex::new(Ledger::new(Instant::now())));
    let checker = Checker::start(&broker.bootstrap, Arc::clone(&books)).unwrap();
    let models = Models::start().unwrap();
    let settings = service::settings(&Options::default(), &broker.bootstrap, &models.endpoints);
    let service = start(&settings, Some(50));
    let load = Load::start(&broker.bootstrap, 500, Arc::clone(&books)).unwrap();
    let totals = || books.lock().unwrap().totals();
    let deadline = Instant::now() + Duration::from_secs(20);
    while totals().answered < 200 && Instant::now() < deadline {
        pause(Duration::from_millis(20));
    }
    load.stop();
    let left = |t: ledger::Totals| t.sent - t.answered;
    while left(totals()) > totals().sent / 50 && Instant::now() < deadline {
        pause(Duration::from_millis(20));
    }
    service.drain();
    assert_eq!(service.join(), 0);
    checker.stop();
    assert_eq!(totals().open, totals().sent / 50, "{:?}", totals());
    assert!(totals().open > 0);
}
