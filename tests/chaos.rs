//! Everything that may go wrong does, in random order, at three replicas on three brokers under load: every request is answered,
//! in order, and only what cannot be read is dead-lettered; in transactions nothing is answered twice. About a minute for each
//! guarantee in the usual run; with MILLRACE_CHAOS=long 100,000 requests and 50 `kill -9` for each. The seed is printed, and
//! MILLRACE_CHAOS_SEED repeats it; MILLRACE_CHAOS_DELIVERY runs one guarantee.

mod support;

#[path = "chaos/watcher.rs"]
mod watcher;
#[path = "chaos/world.rs"]
mod world;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use fastrand::Rng;
use support::kafka::{Broker, Options};
use support::scenario::Scenario;
use watcher::Watcher;
use world::{DRAIN, World};

const SHORT: Extent = Extent { time: Duration::from_secs(50), requests: 0, kills: 3, rate: 150 };
const LONG: Extent = Extent { time: Duration::ZERO, requests: 100_000, kills: 50, rate: 250 };
/// For what is left when the trouble is over.
const REST: Duration = Duration::from_mins(3);

/// The least that a run takes.
struct Extent {
    time: Duration,
    requests: u64,
    kills: usize,
    rate: u64,
}

/// One line of the table.
struct Row {
    delivery: &'static str,
    requests: usize,
    kills: usize,
    troubles: usize,
    lost: usize,
    duplicated: usize,
    reordered: usize,
    aborted_reads: usize,
    took: Duration,
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn run(broker: &Broker, delivery: &'static str, extent: &Extent, seed: u64) -> Row {
    let scenario = Scenario::new(broker, &format!("chaos-{}", &delivery[..2]), 6);
    scenario.double.change(|rules| rules.delay = Duration::from_millis(10));
    let mut config = scenario
        .config()
        .set("delivery", delivery)
        .set("kafka/transaction/timeout", "5s")
        .set("limits/drain", format!("{}s", DRAIN.as_secs()));
    for node in ["double", "add-one"] {
        config = config.set(&format!("nodes/{node}/timeout"), "2s").set(&format!("nodes/{node}/retry/attempts"), 10);
    }
    let watcher = Watcher::start(scenario.outputs());
    let mut world = World::new(&scenario, config, Rng::with_seed(seed));
    let load = scenario.requests().keys(60).start(broker, &scenario.input, extent.rate);

    let begun = Instant::now();
    while begun.elapsed() < extent.time || load.count() < extent.requests || world.kills < extent.kills {
        let trouble = world.go_on();
        eprintln!(
            "{:8.1} s {delivery} {} requests, {} kills, {trouble:?}",
            begun.elapsed().as_secs_f64(),
            load.count(),
            world.kills
        );
    }
    let mut sent = load.stop();
    sent.extend(world.bad.iter().cloned());
    let report = scenario.gather(&sent, REST);
    eprintln!("{delivery}\n{report}");
    let mut history = scenario.outputs();
    history.read_to_end();
    let aborted_reads = watcher.not_in(&history);

    report.none_lost().in_order();
    let bad: BTreeSet<&str> = world.bad.iter().map(|sent| sent.id.as_str()).collect();
    let buried: BTreeSet<&str> = report.dead_lettered.iter().map(String::as_str).collect();
    assert_eq!(buried, bad, "exactly what cannot be read is dead-lettered");
    if delivery == "exactly_once" {
        report.none_duplicated();
        assert!(aborted_reads.is_empty(), "read before it was committed, and never was: {aborted_reads:?}");
    }
    broker.wait_for_no_lag(&scenario.group, &scenario.input, REST);
    let (kills, troubles) = (world.kills, world.troubles);
    world.stop();
    Row {
        delivery,
        requests: sent.len(),
        kills,
        troubles,
        lost: report.lost.len(),
        duplicated: report.extra,
        reordered: report.out_of_order.len(),
        aborted_reads: aborted_reads.len(),
        took: begun.elapsed(),
    }
}

#[test]
fn whatever_goes_wrong_every_request_has_its_answer() {
    let long = variable("MILLRACE_CHAOS").is_some_and(|mode| mode == "long");
    let extent = if long { LONG } else { SHORT };
    let seed = variable("MILLRACE_CHAOS_SEED").and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    eprintln!("MILLRACE_CHAOS_SEED={seed}");
    let options = Options::default().three().set("transaction.abort.timed.out.transaction.cleanup.interval.ms=1000");
    let broker = Broker::start(&options);
    let only = variable("MILLRACE_CHAOS_DELIVERY");
    let rows: Vec<Row> = ["at_least_once", "exactly_once"]
        .into_iter()
        .filter(|delivery| only.as_deref().is_none_or(|only| only == *delivery))
        .map(|delivery| run(&broker, delivery, &extent, seed))
        .collect();
    eprintln!(
        "| delivery | requests | `kill -9` | troubles | lost | answered twice | out of order | aborted reads | took |"
    );
    eprintln!("|---|---|---|---|---|---|---|---|---|");
    for row in rows {
        let Row { delivery, requests, kills, troubles, lost, duplicated, reordered, aborted_reads, took } = row;
        let took = took.as_secs();
        eprintln!(
            "| {delivery} | {requests} | {kills} | {troubles} | {lost} | {duplicated} | {reordered} | {aborted_reads} | {took} s |"
        );
    }
}
