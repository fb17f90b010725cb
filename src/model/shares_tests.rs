//! Tests of the shares: their sum, who gets them, and the right to be alone.

use proptest::prelude::*;

use super::*;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn start_all(shares: &Shares, thread: usize) -> usize {
    (0..10_000).take_while(|_| shares.start(thread)).count()
}

#[test]
fn shares_go_where_calls_wait() {
    let shares = Shares::new(2, false, 1, 10);
    assert_eq!((shares.share(0), shares.share(1)), (5, 5));
    assert_eq!(start_all(&shares, 0), 5);
    shares.waits(0, 20);
    shares.tick(ms(20));
    assert_eq!((shares.share(0), shares.share(1)), (10, 0), "nobody wants the other's");
    assert_eq!(start_all(&shares, 0), 5);
    shares.waits(1, 1);
    shares.tick(ms(40));
    assert!(!shares.start(1), "not while the first has ten calls running");
    shares.ended(0, End::Answered, ms(0), ms(50));
    shares.tick(ms(60));
    assert!(shares.start(1) && !shares.start(0));
}

#[test]
fn the_only_place_goes_round() {
    let shares = Shares::new(3, false, 1, 1);
    let mut calls = [0; 3];
    let mut running = None;
    for tick in 1..600 {
        (0..3).for_each(|thread| shares.waits(thread, 5));
        if let Some(thread) = running.take() {
            shares.ended(thread, End::Answered, ms(0), ms(tick * 20));
        }
        shares.tick(ms(tick * 20));
        for (thread, calls) in calls.iter_mut().enumerate() {
            if running.is_none() && shares.start(thread) {
                *calls += 1;
                running = Some(thread);
            }
        }
    }
    assert!(calls.iter().all(|calls| *calls > 100), "{calls:?}");
}

#[test]
fn who_is_alone_waits_for_the_others_and_keeps_them_out() {
    let shares = Shares::new(2, false, 1, 10);
    assert!(shares.start(1));
    assert!(!shares.start_alone(0), "one runs");
    assert!(!shares.start(0) && !shares.start(1) && !shares.start_alone(1));
    shares.ended(1, End::Other, ms(0), ms(1));
    assert!(shares.start_alone(0) && shares.running() == 1);
    assert!(!shares.start(0) && !shares.start(1) && !shares.start_alone(0));
    shares.release(1);
    assert!(!shares.start(1), "it is not his to give");
    shares.ended(0, End::Other, ms(0), ms(2));
    shares.release(0);
    assert!(shares.start(1));
    shares.leave(1);
    assert_eq!(shares.running(), 0);
}

#[test]
fn overload_answers_shrink_the_limit_and_late_ones_do_not() {
    let shares = Shares::new(1, true, 1, 100);
    assert_eq!(start_all(&shares, 0), 100);
    shares.tick(ms(20));
    for _ in 0..10 {
        shares.ended(0, End::Overloaded, ms(0), ms(55));
    }
    assert_eq!(shares.tick(ms(60)), Some(70));
    assert_eq!(start_all(&shares, 0), 0, "no new call until it is back within the limit");
    shares.ended(0, End::Overloaded, ms(0), ms(100));
    assert_eq!(shares.tick(ms(130)), None, "it began before the change");
}

proptest! {
    #[test]
    fn running_calls_and_shares_never_pass_the_limit(
        threads in 1..5usize, limit in 1..50usize, steps in prop::collection::vec((0..4u8, 0..5usize, 0..60usize), 0..300),
    ) {
        let shares = Shares::new(threads, false, 1, limit);
        let mut running = vec![0; threads];
        for (at, (step, thread, count)) in steps.into_iter().enumerate() {
            let thread = thread % threads;
            match step {
                0 => running[thread] += (0..count).take_while(|_| shares.start(thread)).count(),
                1 => {
                    for _ in 0..count.min(running[thread]) {
                        shares.ended(thread, End::Answered, ms(0), ms(1));
                        running[thread] -= 1;
                    }
                }
                2 => shares.waits(thread, count),
                _ => drop(shares.tick(ms(at as u64 * 20))),
            }
            let held = (0..threads).map(|thread| shares.share(thread).max(running[thread])).sum::<usize>();
            prop_assert!(held <= limit, "{held} of {limit}");
            prop_assert_eq!(shares.running(), running.iter().sum::<usize>());
        }
    }
}
