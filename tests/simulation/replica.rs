//! One process: the production machines of its partitions, its router, its producer and its transactions, and the words that
//! are under way between them. It decides nothing that a machine decides.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use millrace::kafka::holdings::{Holdings, Marks};
use millrace::kafka::offsets::Seq;
use millrace::kafka::partition::Partition as Machine;
use millrace::kafka::permits::{Permits, Share};
use millrace::kafka::transaction::{Command as TxCommand, Event as TxEvent, Transactions};
use millrace::model::availability::{Availability, Ticket};
use millrace::record::Epoch;
use millrace::stream::journey::Journey;

use crate::broker::Id;

/// What is kept of a record while it is owned.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) id: Id,
    pub(crate) key: Option<u8>,
    /// A dead letter is to be written, of which so much has been left out.
    pub(crate) dead: Option<u8>,
    /// A dead letter is under way in place of an outcome that was refused.
    pub(crate) replaced: bool,
}

/// A record on its way through a replica, with its guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Guard {
    pub(crate) partition: usize,
    pub(crate) epoch: Epoch,
    pub(crate) seq: Seq,
    pub(crate) id: Id,
}

/// An outcome on its way to the brokers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outgoing {
    pub(crate) guard: Guard,
    pub(crate) key: Option<u8>,
    pub(crate) dead: Option<u8>,
}

/// A request in the router.
pub(crate) struct Flight {
    pub(crate) guard: Guard,
    pub(crate) key: Option<u8>,
    pub(crate) journey: Journey,
    /// The call that runs: its number, its node's index, its ticket.
    pub(crate) call: Option<(u64, usize, Ticket)>,
}

/// One epoch of an owner.
pub(crate) struct Reign {
    pub(crate) epoch: Epoch,
    pub(crate) machine: Machine<Held>,
    pub(crate) share: Share,
    pub(crate) marks: Arc<Marks>,
    /// Where to read on.
    pub(crate) position: i64,
    pub(crate) outside: bool,
    pub(crate) drained: bool,
}

/// What a consumer's thread is in the middle of.
pub(crate) struct Callback {
    pub(crate) partitions: Vec<usize>,
    pub(crate) deadline: u64,
    /// Epochs whose transaction is waited for, once the owners are drained.
    pub(crate) settling: Option<Vec<(usize, Epoch)>>,
    pub(crate) rebalance: Option<u64>,
}

/// A send that the broker has not answered.
#[derive(Clone, Copy)]
pub(crate) struct Unacked {
    pub(crate) outgoing: Outgoing,
    /// Stored; only the word of it is under way.
    pub(crate) stored: bool,
}

/// The driver of the transactions.
pub(crate) struct Driver {
    pub(crate) machine: Transactions<Outgoing>,
    pub(crate) commands: VecDeque<TxCommand<Outgoing>>,
    pub(crate) inbox: VecDeque<TxEvent<Outgoing>>,
    /// A call blocks.
    pub(crate) busy: bool,
    pub(crate) epoch: u64,
    /// Seqs of refused outcomes are not remembered: the reason does not matter here.
    pub(crate) out: Vec<TxCommand<Outgoing>>,
}

pub(crate) struct Replica {
    /// Counts its crashes: whatever was under way in an earlier life is gone.
    pub(crate) life: u64,
    pub(crate) up: bool,
    /// It sleeps (SIGSTOP) until then.
    pub(crate) asleep_until: u64,
    pub(crate) member: Option<(u64, u64)>,
    pub(crate) permits: Arc<Permits>,
    pub(crate) holdings: Holdings,
    pub(crate) reigns: BTreeMap<usize, Reign>,
    /// Panics of the owner with this record at hand.
    pub(crate) strikes: BTreeMap<Id, u8>,
    pub(crate) flights: BTreeMap<u64, Flight>,
    pub(crate) waiting: [VecDeque<u64>; 2],
    pub(crate) endpoints: [Availability; 2],
    pub(crate) last_answer: [Option<Duration>; 2],
    pub(crate) producer: VecDeque<Outgoing>,
    pub(crate) unacked: VecDeque<Unacked>,
    pub(crate) driver: Driver,
    pub(crate) callback: Option<Callback>,
    pub(crate) resumes: Vec<(usize, Epoch)>,
    pub(crate) committing: bool,
    pub(crate) lost: bool,
    /// Outcomes that came, by epoch; only a defect looks at it.
    pub(crate) arrivals: BTreeMap<u64, u64>,
}

/// Running records, bytes and held bytes of a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
    pub(crate) held: usize,
}

impl Replica {
    pub(crate) fn new(life: u64, limits: Limits, rules: millrace::kafka::transaction::Rules) -> Self {
        Self {
            life,
            up: true,
            asleep_until: 0,
            member: None,
            permits: Permits::with_held(limits.records, limits.bytes, limits.held),
            holdings: Holdings::default(),
            reigns: BTreeMap::new(),
            strikes: BTreeMap::new(),
            flights: BTreeMap::new(),
            waiting: [VecDeque::new(), VecDeque::new()],
            endpoints: [Availability::new(), Availability::new()],
            last_answer: [None, None],
            producer: VecDeque::new(),
            unacked: VecDeque::new(),
            driver: Driver {
                machine: Transactions::new(rules),
                commands: VecDeque::new(),
                inbox: VecDeque::new(),
                busy: false,
                epoch: 0,
                out: Vec::new(),
            },
            callback: None,
            resumes: Vec::new(),
            committing: false,
            lost: false,
            arrivals: BTreeMap::new(),
        }
    }

    /// Whether the epoch of a guard is over.
    pub(crate) fn is_current(&self, guard: Guard) -> bool {
        let partition = millrace::record::Partition(guard.partition as i32);
        self.holdings.marks(partition, guard.epoch).is_some_and(|marks| !marks.is_over())
    }
}
