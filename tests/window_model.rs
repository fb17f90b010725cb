//! Nothing is lost, nothing is started twice, no order is broken: the machine that owns a partition, under random
//! schedules.
//!
//! `MILLRACE_SCHEDULES` says how many schedules are run (100000); `MILLRACE_SEED` runs a single one and prints its
//! steps.

#[path = "window_model/life.rs"]
mod life;
#[path = "window_model/log.rs"]
mod log;
#[path = "window_model/rng.rs"]
mod rng;
#[path = "window_model/room.rs"]
mod room;
#[path = "window_model/tally.rs"]
mod tally;
#[path = "window_model/truth.rs"]
mod truth;
#[path = "window_model/world.rs"]
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use tally::Tally;
use world::World;

const SCHEDULES: u64 = 100_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

fn schedule(seed: u64, trace: bool) -> Result<Tally, String> {
    let run = || {
        let mut world = World::new(seed, trace);
        world.run().map(|()| world.tally)
    };
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err("the machine panicked".into()))
}

#[test]
fn no_schedule_loses_repeats_or_reorders_a_record() {
    if let Some(seed) = number("MILLRACE_SEED") {
        println!("{:#?}", schedule(seed, true));
        return schedule(seed, false).map_or_else(|fault| panic!("{fault}"), drop);
    }
    let schedules = number("MILLRACE_SCHEDULES").unwrap_or(SCHEDULES);
    let mut tally = Tally::default();
    for seed in 0..schedules {
        match schedule(seed, false) {
            Ok(one) => tally.add(&one),
            Err(fault) => {
                panic!("{fault}\nrepeat with: MILLRACE_SEED={seed} cargo test --test window_model -- --nocapture")
            }
        }
    }
    println!("{tally:?}");
    assert!(schedules < 1000 || tally.least() > schedules / 1000, "a case hardly ever came up: {tally:?}");
}
