//! Which of the waiting records of a partition may start, so that the promised order holds.
//!
//! Pure. Records of one lane run one after the other (or, without order, side by side); lanes take turns, so that a
//! crowded key cannot keep others waiting. Not for positions: see `offsets`.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use foldhash::fast::RandomState;

use super::offsets::Seq;
use crate::config::settings::Order;

/// What has to keep order among itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LaneId {
    /// All records of the partition.
    Whole,
    /// Records of one key.
    Key(Bytes),
    /// A record without a key.
    Alone(Seq),
}

#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<Seq>,
    running: usize,
    /// In `ready`, waiting for its turn.
    queued: bool,
}

/// The lanes of one partition.
#[derive(Debug)]
pub struct Lanes {
    order: Order,
    by_id: HashMap<LaneId, Lane, RandomState>,
    /// Of all lanes.
    waiting: usize,
    turns: Turns,
}

/// Whose turn it is.
#[derive(Debug)]
struct Turns {
    ready: VecDeque<LaneId>,
    /// A lane need not wait until what it started has left.
    side_by_side: bool,
    /// Nothing from here on gets its turn.
    end: Seq,
}

impl Lanes {
    /// No records yet.
    pub fn new(order: Order) -> Self {
        let turns = Turns { ready: VecDeque::new(), side_by_side: order == Order::None, end: Seq(u64::MAX) };
        Self { order, by_id: HashMap::default(), waiting: 0, turns }
    }

    /// The lane of a record.
    pub fn lane_of(&self, seq: Seq, key: Option<&Bytes>) -> LaneId {
        match (self.order, key) {
            (Order::Partition, _) => LaneId::Whole,
            (_, Some(key)) => LaneId::Key(key.clone()),
            (_, None) => LaneId::Alone(seq),
        }
    }

    /// A record was read: it waits behind those of its lane.
    pub fn push(&mut self, lane: LaneId, seq: Seq) {
        let entry = self.by_id.entry(lane.clone()).or_default();
        entry.waiting.push_back(seq);
        self.waiting += 1;
        self.turns.queue(entry, lane);
    }

    /// A record has to run again: in its lane, before all that were read after it. `left` tells whether [`Lanes::left`] was said of it before.
    pub fn again(&mut self, lane: LaneId, seq: Seq, left: bool) {
        let entry = self.by_id.entry(lane.clone()).or_default();
        if !left {
            entry.running = entry.running.saturating_sub(1);
        }
        let place = entry.waiting.partition_point(|other| *other < seq);
        entry.waiting.insert(place, seq);
        self.waiting += 1;
        self.turns.queue(entry, lane);
    }

    /// Whether it is the turn of any record.
    pub fn any_ready(&self) -> bool {
        !self.turns.ready.is_empty()
    }

    /// How many records could start now, each beside all others.
    pub fn ready(&self) -> usize {
        if self.turns.side_by_side { self.waiting } else { self.turns.ready.len() }
    }

    /// From now on it is only the turn of records before this one.
    pub fn only_before(&mut self, end: Seq) {
        self.turns.end = end;
        let by_id = &mut self.by_id;
        self.turns.ready.retain(|id| {
            let Some(lane) = by_id.get_mut(id) else { return false };
            lane.queued = lane.waiting.front().is_some_and(|first| *first < end);
            lane.queued
        });
    }

    /// Starts the record whose turn it is; its lane goes to the end of the line.
    pub fn start(&mut self) -> Option<Seq> {
        let id = self.turns.ready.pop_front()?;
        let lane = self.by_id.get_mut(&id)?;
        lane.queued = false;
        let seq = lane.waiting.pop_front()?;
        self.waiting -= 1;
        lane.running += 1;
        self.turns.queue(lane, id);
        Some(seq)
    }

    /// Starts a waiting record out of turn, or the one that goes before it in its lane.
    pub fn start_in(&mut self, id: &LaneId, seq: Seq) -> Option<Seq> {
        let lane = self.by_id.get_mut(id)?;
        let place = match self.order {
            Order::None => lane.waiting.iter().position(|other| *other == seq)?,
            Order::Partition | Order::Key => 0,
        };
        let seq = lane.waiting.remove(place)?;
        self.waiting -= 1;
        lane.running += 1;
        if self.order != Order::None || lane.waiting.is_empty() {
            lane.queued = false;
            self.turns.ready.retain(|other| other != id);
        }
        Some(seq)
    }

    /// A waiting record need not run any more.
    pub fn withdraw(&mut self, id: &LaneId, seq: Seq) {
        let Some(lane) = self.by_id.get_mut(id) else { return };
        let before = lane.waiting.len();
        lane.waiting.retain(|other| *other != seq);
        self.waiting -= before - lane.waiting.len();
        if lane.waiting.is_empty() {
            if lane.queued {
                lane.queued = false;
                self.turns.ready.retain(|other| other != id);
            }
            if lane.running == 0 {
                self.by_id.remove(id);
            }
        }
    }

    /// A started record's outcome has left in order: its lane goes on.
    pub fn left(&mut self, id: LaneId) {
        let Some(lane) = self.by_id.get_mut(&id) else { return };
        lane.running = lane.running.saturating_sub(1);
        if lane.running == 0 && lane.waiting.is_empty() {
            self.by_id.remove(&id);
        } else {
            self.turns.queue(lane, id);
        }
    }
}

impl Turns {
    /// Puts a lane in line, if it has something to start.
    fn queue(&mut self, lane: &mut Lane, id: LaneId) {
        let has_one = lane.waiting.front().is_some_and(|first| *first < self.end);
        if !lane.queued && has_one && (self.side_by_side || lane.running == 0) {
            lane.queued = true;
            self.ready.push_back(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(lanes: &mut Lanes, seq: u64, key: Option<&'static str>) {
        let key = key.map(|k| Bytes::from_static(k.as_bytes()));
        let lane = lanes.lane_of(Seq(seq), key.as_ref());
        lanes.push(lane, Seq(seq));
    }

    fn start_all(lanes: &mut Lanes) -> Vec<u64> {
        std::iter::from_fn(|| lanes.start()).map(|s| s.0).collect()
    }

    fn key(text: &'static str) -> LaneId {
        LaneId::Key(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn records_of_a_key_run_one_after_the_other_and_keys_side_by_side() {
        let mut lanes = Lanes::new(Order::Key);
        for (seq, k) in [(0, "a"), (1, "a"), (2, "b"), (3, "a")] {
            push(&mut lanes, seq, Some(k));
        }
        push(&mut lanes, 4, None);
        push(&mut lanes, 5, None);
        assert_eq!(start_all(&mut lanes), [0, 2, 4, 5]);
        lanes.left(key("a"));
        assert_eq!(start_all(&mut lanes), [1]);
    }

    #[test]
    fn a_record_that_runs_again_stays_first_in_its_lane() {
        let mut lanes = Lanes::new(Order::Key);
        push(&mut lanes, 0, Some("a"));
        push(&mut lanes, 1, Some("a"));
        assert_eq!(start_all(&mut lanes), [0]);
        lanes.again(key("a"), Seq(0), false);
        assert_eq!(start_all(&mut lanes), [0]);
        lanes.left(key("a"));
        assert_eq!(start_all(&mut lanes), [1]);
    }

    #[test]
    fn records_that_run_again_keep_their_read_order_whichever_comes_back_first() {
        let mut lanes = Lanes::new(Order::Key);
        for seq in 0..3 {
            push(&mut lanes, seq, Some("a"));
        }
        assert_eq!(lanes.start(), Some(Seq(0)));
        lanes.left(key("a"));
        assert_eq!(lanes.start(), Some(Seq(1)));
        lanes.again(key("a"), Seq(0), true);
        lanes.again(key("a"), Seq(1), false);
        assert_eq!(start_all(&mut lanes), [0]);
        lanes.left(key("a"));
        assert_eq!(start_all(&mut lanes), [1]);
    }

    #[test]
    fn order_partition_runs_one_record_at_a_time() {
        let mut lanes = Lanes::new(Order::Partition);
        push(&mut lanes, 0, Some("a"));
        push(&mut lanes, 1, None);
        assert_eq!(start_all(&mut lanes), [0]);
        lanes.left(LaneId::Whole);
        assert_eq!(start_all(&mut lanes), [1]);
    }

    #[test]
    fn out_of_turn_the_first_of_the_lane_starts_and_without_order_the_record_itself() {
        for (order, first, rest) in [(Order::Key, 0, vec![2]), (Order::None, 1, vec![0, 2])] {
            let mut lanes = Lanes::new(order);
            for (seq, k) in [(0, "a"), (1, "a"), (2, "b")] {
                push(&mut lanes, seq, Some(k));
            }
            assert_eq!(lanes.start_in(&key("a"), Seq(1)), Some(Seq(first)));
            assert_eq!(start_all(&mut lanes), rest);
        }
    }

    #[test]
    fn without_order_keys_still_take_turns() {
        let mut lanes = Lanes::new(Order::None);
        for seq in 0..4 {
            push(&mut lanes, seq, Some("crowded"));
        }
        push(&mut lanes, 4, Some("b"));
        assert_eq!(start_all(&mut lanes), [0, 4, 1, 2, 3]);
    }

    #[test]
    fn nothing_gets_its_turn_from_the_end_on() {
        let mut lanes = Lanes::new(Order::None);
        for (seq, k) in [(0, "a"), (1, "b"), (2, "a"), (3, "b")] {
            push(&mut lanes, seq, Some(k));
        }
        lanes.only_before(Seq(2));
        assert_eq!(start_all(&mut lanes), [0, 1]);
        lanes.again(key("a"), Seq(0), false);
        lanes.left(key("b"));
        assert_eq!(start_all(&mut lanes), [0]);
    }

    #[test]
    fn ready_are_the_first_of_each_lane_and_without_order_all() {
        for (order, ready) in [(Order::Partition, [1, 1]), (Order::Key, [2, 1]), (Order::None, [3, 2])] {
            let mut lanes = Lanes::new(order);
            for (seq, k) in [(0, "a"), (1, "a"), (2, "b")] {
                push(&mut lanes, seq, Some(k));
            }
            assert_eq!(lanes.ready(), ready[0]);
            lanes.withdraw(&lanes.lane_of(Seq(2), Some(&Bytes::from_static(b"b"))), Seq(2));
            assert_eq!(lanes.ready(), ready[1]);
            lanes.start();
            assert_eq!(lanes.ready(), usize::from(order == Order::None));
        }
    }

    #[test]
    fn a_finished_lane_is_forgotten() {
        let mut lanes = Lanes::new(Order::Key);
        push(&mut lanes, 0, Some("a"));
        lanes.start();
        lanes.left(key("a"));
        push(&mut lanes, 1, Some("b"));
        lanes.withdraw(&key("b"), Seq(1));
        assert!(lanes.by_id.is_empty() && lanes.turns.ready.is_empty() && lanes.waiting == 0);
    }
}
