//! A long run under faults: memory and open files at the end are what they were at the beginning. `MILLRACE_SOAK=30m` is the
//! long form; the usual run takes half a minute and allows more, since a process is still warming up then.

mod support;

use std::time::{Duration, Instant};

use support::kafka::Broker;
use support::ledger::Kept;
use support::scenario::{Scenario, chained};
use support::service::{Launch, Service};
use support::wait;

/// Requests a second that the machine gets through without faults: service, broker, models and generator together.
fn most(broker: &Broker, delivery: &str) -> u64 {
    const BACKLOG: usize = 60_000;
    let scenario = Scenario::new(broker, "most", 8);
    scenario.requests().keys(200).send(broker, &scenario.input, BACKLOG as u64);
    let service = Service::start(&scenario.config().set("delivery", delivery).set("threads", 2));
    let mut outputs = scenario.outputs();
    let mut written: Vec<i64> =
        outputs.expect(BACKLOG, Duration::from_mins(5)).iter().map(|record| record.timestamp).collect();
    service.stop();
    written.sort_unstable();
    // The first of it is start and warming up.
    let warm = BACKLOG / 5;
    let took = Duration::from_millis((written[BACKLOG - 1] - written[warm]) as u64);
    ((BACKLOG - warm) as f64 / took.as_secs_f64()) as u64
}

/// Resident bytes and open files of the service, the middle of a few looks.
fn look(service: &Service) -> (u64, usize) {
    let mut looks: Vec<(u64, usize)> = (0..9)
        .map(|_| {
            wait::let_pass(Duration::from_millis(300));
            let files = std::fs::read_dir(format!("/proc/{}/fd", service.pid())).expect("it runs").count();
            (service.memory().0, files)
        })
        .collect();
    looks.sort_unstable();
    let memory = looks[4].0;
    looks.sort_unstable_by_key(|look| look.1);
    (memory, looks[4].1)
}

#[test]
fn a_long_run_under_faults_costs_no_more_at_its_end_than_at_its_beginning() {
    let long = std::env::var("MILLRACE_SOAK").ok().map(|text| humantime::parse_duration(&text).expect("such as 30m"));
    let (time, first, tolerance) = match long {
        Some(time) => (time, time / 6, 1.05),
        None => (Duration::from_secs(30), Duration::from_secs(10), 1.3),
    };
    let quiet = if long.is_some() { Duration::from_secs(30) } else { Duration::ZERO };
    let delivery = std::env::var("MILLRACE_SOAK_DELIVERY").unwrap_or_else(|_| "exactly_once".into());
    let broker = Broker::plain();
    let rate = if long.is_some() { most(&broker, &delivery) / 2 } else { 300 };
    let scenario = Scenario::new(&broker, "soak", 8);
    let config = scenario.config().set("delivery", delivery.as_str()).set("threads", 2);
    // A backtrace would load all that is known for debugging, which is more memory than the service has.
    let service = Launch::with(&config).env("RUST_BACKTRACE", "0").start();
    let requests = scenario.requests().keys(200);
    // Checked as they come: half an hour's answers do not fit into memory.
    let ledger = Kept::start(requests.clone(), scenario.outputs(), chained);
    let load = requests.start(&broker, &scenario.input, rate);
    let begun = Instant::now();
    let mut before = None;
    let mut faults = 0;
    while begun.elapsed() < time {
        match faults % 4 {
            0 => scenario.double.change(|rules| rules.fail_every = 50),
            1 => {
                scenario.add_one.down();
                wait::let_pass(Duration::from_millis(500));
                scenario.add_one.up();
            }
            2 => scenario.double.change(|rules| rules.fail_every = 0),
            _ => {
                let actors = service.actors();
                let actor = &actors[fastrand::usize(..actors.len())];
                // Consumer, router, models, producer: what has a budget for this.
                if ["consumer-", "router-", "model-", "producer-"].iter().any(|kind| actor.name.starts_with(kind)) {
                    service.crash(&actor.name);
                }
            }
        }
        faults += 1;
        wait::let_pass(if long.is_some() { Duration::from_secs(5) } else { Duration::from_secs(1) });
        if before.is_none() && begun.elapsed() >= first {
            // Connections that a fault made necessary are closed again once they have been idle for a while.
            scenario.double.change(|rules| rules.fail_every = 0);
            wait::let_pass(quiet);
            before = Some(look(&service));
        }
    }
    scenario.double.change(|rules| rules.fail_every = 0);
    wait::let_pass(quiet);
    let (memory, files) = before.expect("it ran long enough");
    let (memory_now, files_now) = look(&service);
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    eprintln!(
        "{delivery}, {} requests at {rate}/s in {:?}, {faults} faults: {:.1} MiB after {first:?}, {:.1} MiB at the end; {files} and {files_now} files",
        load.count(),
        begun.elapsed(),
        mib(memory),
        mib(memory_now)
    );
    let sent = load.stop().len() as u64;
    let ledger = ledger.finish(sent, Duration::from_mins(5));
    assert_eq!(ledger.count, sent, "not every request was answered");
    assert!(ledger.wrong.is_empty() && ledger.out_of_order.is_empty(), "{:?} {:?}", ledger.wrong, ledger.out_of_order);
    assert!(ledger.extra == 0 || delivery != "exactly_once", "{} answers came twice", ledger.extra);
    assert!(memory_now as f64 <= memory as f64 * tolerance, "memory grew from {memory} to {memory_now} bytes");
    // In the short form connections to the models are still being made at the first look.
    let still_made = if long.is_some() { 0.0 } else { 64.0 };
    assert!(files_now as f64 <= files as f64 * tolerance + still_made, "open files grew from {files} to {files_now}");
    service.stop();
}
