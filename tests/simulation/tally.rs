//! How often what matters came up: a simulation that never meets a case proves nothing about it.

macro_rules! tally {
    ($($name:ident),*) => {
        #[derive(Debug, Default, Clone)]
        pub(crate) struct Tally {
            $(pub(crate) $name: u64,)*
        }

        impl Tally {
            pub(crate) fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }

            /// What came up least, and how often.
            pub(crate) fn least(&self) -> (&'static str, u64) {
                [$((stringify!($name), self.$name)),*].into_iter().min_by_key(|(_, count)| *count).unwrap_or(("", 0))
            }
        }
    };
}

tally!(
    steps,
    crashes,
    sleeps,
    rebalances,
    expelled,
    lost,
    retention,
    outside,
    owner_panics,
    router_panics,
    model_panics,
    producer_panics,
    poisoned,
    refused,
    dead_refused,
    undelivered,
    commits_failed,
    late_results,
    mood_changes,
    downs,
    transactions,
    aborted,
    unknown_applied,
    unknown_not_applied,
    fenced,
    timed_out,
    offsets_refused,
    renew_failed,
    fences_met,
    settled_late,
    unseen
);
