//! The production machines of whole processes in virtual time: partitions, requests, endpoints, transactions and assignments,
//! beside simulated models, brokers, a group and a coordinator of transactions, with everything going wrong that can.
//!
//! `MILLRACE_SIMULATE` says how many schedules are run (20000), `MILLRACE_SIMULATE_FROM` with which seed they begin;
//! `MILLRACE_SIMULATE_SEED` runs a single one and prints its steps.

#[path = "simulation/broker.rs"]
mod broker;
#[path = "simulation/driver.rs"]
mod driver;
#[path = "simulation/faults.rs"]
mod faults;
#[path = "simulation/group.rs"]
mod group;
#[path = "simulation/happening.rs"]
mod happening;
#[path = "simulation/owner.rs"]
mod owner;
#[path = "simulation/replica.rs"]
mod replica;
#[path = "window_model/rng.rs"]
mod rng;
#[path = "simulation/router.rs"]
mod router;
#[path = "simulation/tally.rs"]
mod tally;
#[path = "simulation/world.rs"]
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use millrace::stream::journey::Rules;
use tally::Tally;
use world::{Defect, World};

const SCHEDULES: u64 = 20_000;
/// A defect is found within so many.
const DEFECT_SCHEDULES: u64 = 2_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

fn schedule(seed: u64, rules: &Arc<Rules>, defect: Option<Defect>, trace: bool) -> Result<Tally, String> {
    let run = || {
        let mut world = World::new(seed, rules, defect, trace);
        world.run().map(|()| world.tally)
    };
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err("a machine panicked".into()))
}

#[test]
fn no_schedule_loses_repeats_or_reorders_a_record() {
    let rules = world::rules();
    if let Some(seed) = number("MILLRACE_SIMULATE_SEED") {
        println!("{:#?}", schedule(seed, &rules, None, true));
        return schedule(seed, &rules, None, false).map_or_else(|fault| panic!("{fault}"), drop);
    }
    let from = number("MILLRACE_SIMULATE_FROM").unwrap_or(0);
    let until = from + number("MILLRACE_SIMULATE").unwrap_or(SCHEDULES);
    let next = AtomicU64::new(from);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        let mut tally = Tally::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= until {
                return Ok(tally);
            }
            match schedule(seed, &rules, None, false) {
                Ok(one) => tally.add(&one),
                Err(fault) => return Err((seed, fault)),
            }
        }
    };
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().expect("panics are caught in it")).collect()
    });
    let mut tally = Tally::default();
    for result in results {
        match result {
            Ok(one) => tally.add(&one),
            Err((seed, fault)) => panic!(
                "{fault}\nrepeat with: MILLRACE_SIMULATE_SEED={seed} cargo test --test simulation no_schedule -- --nocapture"
            ),
        }
    }
    println!("{} schedules: {tally:?}", until - from);
    let (what, count) = tally.least();
    assert!(until - from < 10_000 || count > (until - from) / 500, "{what} came up only {count} times");
}

/// How many schedules it takes until the checks find a defect.
fn found(defect: Defect) -> u64 {
    let rules = world::rules();
    let seen = (0..DEFECT_SCHEDULES).find(|seed| schedule(*seed, &rules, Some(defect), false).is_err());
    let seen = seen.unwrap_or_else(|| panic!("{defect:?} is not found in {DEFECT_SCHEDULES} schedules"));
    println!("{defect:?} is found in schedule {seen}: {:?}", schedule(seen, &rules, Some(defect), false).err());
    seen
}

#[test]
fn a_commit_of_the_largest_finished_offset_is_found() {
    found(Defect::CommitMax);
}

#[test]
fn a_commit_before_the_acknowledgement_is_found() {
    found(Defect::CommitBeforeAck);
}

#[test]
fn outcomes_out_of_order_are_found() {
    found(Defect::OutOfOrder);
}

#[test]
fn a_late_result_that_counts_is_found() {
    found(Defect::LateResult);
}

#[test]
fn a_transaction_of_unknown_end_that_is_written_again_is_found() {
    found(Defect::ResendUnknown);
}
