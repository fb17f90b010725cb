//! What may happen, and when: the queue of a schedule.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use millrace::kafka::offsets::Seq;
use millrace::kafka::transaction::Event as TxEvent;
use millrace::record::Epoch;

use crate::replica::{Guard, Outgoing};

/// How a record was held by an actor that died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Innocent,
    AtHand,
    /// Nothing was at hand in the panic; whether it was the only one held.
    Unseen(bool),
}

/// What an owner hears of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    Enqueued,
    Held(usize),
    Lost(How),
    Acked,
    Refused { dead: Option<u8> },
}

/// How a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Answered,
    Status(u16),
    Reset,
    TimedOut,
    /// The client died with it.
    Lost,
}

/// In one life of a replica.
#[derive(Debug)]
pub(crate) enum What {
    Read(usize),
    Pump(usize),
    Hear(usize, Epoch, Seq, Word),
    /// A request comes to the router.
    Request(Outgoing),
    CallEnds {
        flight: u64,
        call: u64,
        ending: Ending,
    },
    CallAgain {
        flight: u64,
        node: usize,
    },
    Probe(usize),
    /// The producer hands its first outcome over.
    Produce,
    /// The first send reaches the broker.
    Arrive,
    /// The broker's word on the first that is stored.
    Ack,
    /// The router's or producer's guard tells the owner.
    Drop(Guard, How),
    CommitDue,
    CommitArrives {
        member: u64,
        generation: u64,
        offsets: Vec<(usize, i64)>,
    },
    TxTick,
    TxAnswer(TxEvent<Outgoing>),
    OffsetsArrive {
        member: u64,
        generation: u64,
        offsets: Vec<(usize, i64)>,
    },
    EndArrives,
    Join,
    Assign {
        member: u64,
        generation: u64,
        partitions: Vec<usize>,
    },
    Revoke {
        member: u64,
        partitions: Vec<usize>,
        rebalance: u64,
    },
    Callback,
    /// It learns that the group has gone on without it.
    Lost(u64),
    Resume(usize, Epoch),
    ReadAnew(usize, Epoch),
}

#[derive(Debug)]
pub(crate) enum Top {
    Replica(usize, u64, What),
    Session(u64),
    Restart(usize),
    Rebalance,
    RebalanceDeadline(u64),
    Brokers,
    Fault,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key(u64, u64);

/// In order of time, and of their making where that is the same.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    order: BinaryHeap<Reverse<(Key, usize)>>,
    items: Vec<Option<Top>>,
    free: Vec<usize>,
    made: u64,
}

impl Queue {
    pub(crate) fn put(&mut self, at: u64, top: Top) {
        self.made += 1;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.items.push(None);
            self.items.len() - 1
        });
        self.items[slot] = Some(top);
        self.order.push(Reverse((Key(at, self.made), slot)));
    }

    pub(crate) fn take(&mut self) -> Option<(u64, Top)> {
        let Reverse((Key(at, _), slot)) = self.order.pop()?;
        self.free.push(slot);
        self.items[slot].take().map(|top| (at, top))
    }
}
