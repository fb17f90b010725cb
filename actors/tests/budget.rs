//! A budget that validates is exceeded by a crash loop, and by nothing slower than its window allows.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::time::Duration;

use millrace_actors::{Backoff, Budget, BudgetError, Decision, Restarts};
use proptest::prelude::*;
use tokio::time::Instant;

fn budgets() -> impl Strategy<Value = Budget> {
    (0_u32..40, 0_u64..2_000, 1_u64..50, 0.0..=1.0_f64, 1_u64..400_000).prop_map(
        |(max_restarts, min, factor, jitter, window)| {
            let min = Duration::from_millis(min);
            let backoff = Backoff { min, max: min * u32::try_from(factor).unwrap(), jitter };
            Budget { max_restarts, window: Duration::from_millis(window), backoff }
        },
    )
}

proptest! {
    #[test]
    fn a_crash_loop_exceeds_every_valid_budget(budget in budgets(), luck in proptest::collection::vec(0.0..1.0_f64, 41)) {
        prop_assume!(budget.validate().is_ok());
        let mut restarts = Restarts::new(budget);
        let mut now = Instant::now();
        for (failures, random) in (1..).zip(luck) {
            match restarts.on_failure(now, random) {
                Decision::Restart { after } => {
                    prop_assert!(failures <= budget.max_restarts);
                    now += after;
                }
                Decision::GiveUp { count } => {
                    prop_assert_eq!(count, budget.max_restarts + 1);
                    return Ok(());
                }
            }
        }
        prop_assert!(false, "never gave up");
    }

    #[test]
    fn failures_a_window_apart_never_exceed_a_budget(budget in budgets(), random in 0.0..1.0_f64) {
        prop_assume!(budget.max_restarts > 0);
        let mut restarts = Restarts::new(budget);
        let mut now = Instant::now();
        for _ in 0..100 {
            let Decision::Restart { after } = restarts.on_failure(now, random) else {
                return Err(TestCaseError::fail("gave up"));
            };
            prop_assert!(after <= budget.backoff.min.mul_f64(1.0 + budget.backoff.jitter) + Duration::from_nanos(1));
            now += budget.window;
        }
    }

    #[test]
    fn a_back_off_stays_between_its_bounds(budget in budgets(), restart in 1_u32..100, random in 0.0..1.0_f64) {
        let Backoff { min, max, jitter } = budget.backoff;
        let wait = budget.backoff.before(restart, random);
        prop_assert!(wait >= min);
        prop_assert!(wait <= max.mul_f64(1.0 + jitter) + Duration::from_nanos(1));
        prop_assert!(budget.backoff.before(restart + 1, random) >= wait, "it never shrinks");
    }

    #[test]
    fn validation_counts_every_back_off_with_its_jitter(budget in budgets()) {
        let needed: Duration = (1..=budget.max_restarts).map(|restart| budget.backoff.before(restart, 1.0)).sum();
        let expected = if budget.window > needed {
            Ok(())
        } else {
            Err(BudgetError::WindowTooShort { window: budget.window, needed, max_restarts: budget.max_restarts })
        };
        prop_assert_eq!(budget.validate(), expected);
    }
}

#[test]
fn jitter_spreads_a_pool() {
    let backoff = Backoff { min: Duration::from_millis(100), max: Duration::from_secs(1), jitter: 0.5 };
    assert_eq!(backoff.before(2, 0.0), Duration::from_millis(200));
    assert_eq!(backoff.before(2, 0.5), Duration::from_millis(250));
}

#[test]
fn nonsense_is_named() {
    let (min, max) = (Duration::from_secs(2), Duration::from_secs(1));
    let budget =
        |min, jitter| Budget { max_restarts: 3, window: Duration::from_mins(1), backoff: Backoff { min, max, jitter } };
    assert_eq!(budget(min, 0.0).validate(), Err(BudgetError::MinExceedsMax { min, max }));
    assert_eq!(budget(max, 1.5).validate(), Err(BudgetError::Jitter { jitter: 1.5 }));
    assert!(matches!(budget(max, f64::NAN).validate(), Err(BudgetError::Jitter { .. })));
}

#[test]
fn a_huge_allowance_is_validated_at_once() {
    let backoff = Backoff { min: Duration::from_secs(1), max: Duration::from_mins(1), jitter: 0.2 };
    let budget = Budget { max_restarts: u32::MAX, window: Duration::from_mins(10), backoff };
    assert!(budget.validate().is_err());
}
