//! How often what matters came up: a model test that never meets a case proves nothing about it.

#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) steps: u64,
    pub(crate) starved: u64,
    pub(crate) given_up: u64,
    /// Of them, those that nobody saw at work: they panicked alone in the process.
    pub(crate) given_up_unseen: u64,
    /// Records that ran with nothing beside them in the process, and partitions that waited for that.
    pub(crate) sole: u64,
    pub(crate) waited_for_process: u64,
    pub(crate) halted: u64,
    pub(crate) drains: u64,
    /// Records that a drain started, for one read after them was started.
    pub(crate) drain_starts: u64,
    pub(crate) revokes: u64,
    pub(crate) crashes: u64,
    pub(crate) stale: u64,
    pub(crate) late: u64,
    pub(crate) strays: u64,
    pub(crate) acked_waiting: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.starved += other.starved;
        self.given_up += other.given_up;
        self.given_up_unseen += other.given_up_unseen;
        self.sole += other.sole;
        self.waited_for_process += other.waited_for_process;
        self.halted += other.halted;
        self.drains += other.drains;
        self.drain_starts += other.drain_starts;
        self.revokes += other.revokes;
        self.crashes += other.crashes;
        self.stale += other.stale;
        self.late += other.late;
        self.strays += other.strays;
        self.acked_waiting += other.acked_waiting;
    }

    /// The rarest of them.
    pub(crate) fn least(&self) -> u64 {
        [
            self.steps,
            self.starved,
            self.given_up,
            self.given_up_unseen,
            self.sole,
            self.waited_for_process,
            self.halted,
            self.drains,
            self.drain_starts,
            self.revokes,
            self.crashes,
            self.stale,
            self.late,
            self.strays,
            self.acked_waiting,
        ]
        .into_iter()
        .min()
        .unwrap_or(0)
    }
}
