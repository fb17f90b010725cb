//! What the partition machine decides, case by case.

use super::*;

mod drain;

const DRAIN: Duration = Duration::from_secs(5);

/// Room of a process with nobody else in it.
#[derive(Debug)]
struct Alone {
    records: usize,
    bytes: usize,
    held: usize,
    running: usize,
    /// Records of other partitions that run.
    others: usize,
    /// The process was asked for.
    asked: bool,
}

impl Room for Alone {
    fn take_record(&mut self) -> bool {
        let free = self.records > 0;
        self.records -= usize::from(free);
        self.running += usize::from(free);
        free
    }
    fn give_record(&mut self) {
        self.records += 1;
        self.running = self.running.saturating_sub(1);
    }
    fn take_process(&mut self) -> bool {
        self.asked = true;
        self.running + self.others == 0
    }
    fn give_process(&mut self) {
        assert!(std::mem::take(&mut self.asked), "given back, and never asked for");
    }
    fn take_bytes(&mut self, bytes: usize) {
        self.bytes += bytes;
    }
    fn give_bytes(&mut self, bytes: usize) {
        self.bytes -= bytes;
    }
    fn may_read(&mut self, held: usize) -> bool {
        held == 0 || self.bytes < 100
    }
    fn hold(&mut self, bytes: usize) {
        self.held += bytes;
    }
    fn release(&mut self, bytes: usize) {
        self.held -= bytes;
    }
}

/// A partition in epoch 1, and the room it works in.
struct Bench {
    partition: Partition<&'static str>,
    room: Alone,
    now: Duration,
}

impl Bench {
    fn new(order: Order, records: usize) -> Self {
        let bounds = Bounds { window: 4, ready: 4, commit_span: 4, drain_starts: DRAIN };
        let partition = Partition::new(Epoch(1), NextOffset(0), order, bounds);
        let room = Alone { records, bytes: 0, held: 0, running: 0, others: 0, asked: false };
        Self { partition, room, now: Duration::ZERO }
    }

    fn say(&mut self, event: Event<&'static str>) -> Vec<Command> {
        let mut commands = Vec::new();
        assert!(self.partition.step(Epoch(1), event, self.now, &mut self.room, &mut commands));
        commands
    }

    /// Reads records with these keys, at the offsets 0, 1 and so on; each of one byte.
    fn read(&mut self, keys: &[&'static str]) -> Vec<Command> {
        let read = |key: &&'static str| {
            let offset = Offset(self.partition.window.next_seq().0 as i64);
            self.say(Event::Read { offset, key: Some(Bytes::from_static(key.as_bytes())), bytes: 1, item: key })
        };
        keys.iter().flat_map(read).collect()
    }

    fn panicked(&mut self, seq: u64) -> Vec<Command> {
        self.say(Event::Lost { seq: Seq(seq), loss: Loss::AtHand("boom".into()) })
    }

    fn lost(&mut self, seq: u64) -> Vec<Command> {
        self.say(Event::Lost { seq: Seq(seq), loss: Loss::Innocent })
    }

    /// Its actor panicked with nothing at hand, and held nothing else if `alone`.
    fn unseen(&mut self, seq: u64, alone: bool) -> Vec<Command> {
        self.say(Event::Lost { seq: Seq(seq), loss: Loss::Unseen { panic: "boom".into(), alone } })
    }
}

fn start(seq: u64) -> Command {
    Command::Start(Seq(seq))
}

fn give_up(seq: u64) -> Command {
    Command::GiveUp(Seq(seq), "boom".into())
}

fn commit(position: i64) -> Command {
    Command::Commit(NextOffset(position))
}

#[test]
fn a_key_goes_on_when_the_outcome_is_enqueued_and_the_commit_waits_for_the_ack() {
    let mut bench = Bench::new(Order::Key, 9);
    assert_eq!(bench.read(&["a", "a", "b"]), [start(0), start(2)]);
    assert_eq!(bench.say(Event::Enqueued(Seq(0))), [start(1)]);
    assert_eq!(bench.say(Event::Enqueued(Seq(1))), []);
    assert_eq!(bench.say(Event::Acked(Seq(1))), []);
    assert_eq!(bench.say(Event::Acked(Seq(0))), [commit(2)]);
}

#[test]
fn an_ack_that_overtakes_the_word_enqueued_frees_lane_and_room_once() {
    let mut bench = Bench::new(Order::Partition, 1);
    assert_eq!(bench.read(&["a", "b"]), [start(0)]);
    assert_eq!(bench.say(Event::Acked(Seq(0))), [commit(1), start(1)]);
    assert_eq!(bench.say(Event::Enqueued(Seq(0))), []);
    assert_eq!((bench.room.records, bench.partition.running()), (0, 1));
}

#[test]
fn a_late_ack_takes_a_waiting_record_out_of_line() {
    for order in [Order::Partition, Order::Key, Order::None] {
        let mut bench = Bench::new(order, 1);
        bench.read(&["a"]);
        bench.say(Event::Enqueued(Seq(0)));
        bench.room.take_record();
        bench.say(Event::Undelivered(Seq(0)));
        assert_eq!(bench.say(Event::Acked(Seq(0))), [commit(1)]);
        bench.room.give_record();
        assert_eq!(bench.say(Event::Pump), []);
        assert_eq!(bench.read(&["a"]), [start(1)]);
    }
}

#[test]
fn a_late_ack_takes_a_suspect_out_of_line() {
    let mut bench = Bench::new(Order::Key, 9);
    bench.read(&["a", "b", "a"]);
    bench.panicked(0);
    assert_eq!(bench.say(Event::Acked(Seq(0))), [commit(1), start(2)]);
}

#[test]
fn an_event_of_another_epoch_changes_nothing() {
    let mut bench = Bench::new(Order::Key, 1);
    bench.read(&["a"]);
    let mut commands = Vec::new();
    for epoch in [Epoch(0), Epoch(2)] {
        let event = Event::Acked(Seq(0));
        assert!(!bench.partition.step(epoch, event, Duration::ZERO, &mut bench.room, &mut commands));
    }
    assert_eq!((commands.len(), bench.partition.unfinished(), bench.room.records), (0, 1, 0));
}

#[test]
fn a_refusal_that_overtakes_the_word_enqueued_lets_its_dead_letter_be_given_back() {
    let mut bench = Bench::new(Order::Key, 9);
    assert_eq!(bench.read(&["a", "a"]), [start(0)]);
    assert_eq!(bench.say(Event::Refused(Seq(0))), [start(1)]);
    bench.say(Event::Undelivered(Seq(0)));
    bench.say(Event::Enqueued(Seq(1)));
    assert_eq!(bench.partition.running(), 1, "the first runs again");
}

#[test]
fn undelivered_outcomes_of_a_key_are_run_again_in_read_order() {
    let mut bench = Bench::new(Order::Key, 1);
    bench.read(&["a", "a", "a"]);
    bench.say(Event::Enqueued(Seq(0)));
    bench.say(Event::Enqueued(Seq(1)));
    assert_eq!(bench.say(Event::Undelivered(Seq(0))), []);
    assert_eq!(bench.say(Event::Undelivered(Seq(1))), []);
    assert_eq!(bench.say(Event::Enqueued(Seq(2))), [start(0)]);
    assert_eq!(bench.say(Event::Enqueued(Seq(0))), [start(1)]);
}

#[test]
fn without_room_it_says_so_and_goes_on_at_the_next_pump() {
    let mut bench = Bench::new(Order::None, 0);
    assert_eq!(bench.read(&["a"]), [Command::Starved]);
    bench.room.give_record();
    assert_eq!(bench.say(Event::Pump), [start(0)]);
}

#[test]
fn reading_stops_at_the_window_and_at_the_commit_span() {
    let mut bench = Bench::new(Order::None, 9);
    assert_eq!(bench.partition.may_read(&mut bench.room), 4);
    bench.read(&["a", "b", "c", "d"]);
    assert_eq!(bench.partition.may_read(&mut bench.room), 0);
    bench.say(Event::Acked(Seq(1)));
    assert_eq!(bench.partition.may_read(&mut bench.room), 1);
    bench.read(&["e"]);
    bench.say(Event::Acked(Seq(2)));
    assert_eq!((bench.partition.may_read(&mut bench.room), bench.partition.span()), (0, 2));
}

#[test]
fn reading_stops_while_enough_records_wait_for_nothing_but_room() {
    let mut bench = Bench::new(Order::Key, 1);
    bench.partition.bounds = Bounds { window: 100, ready: 3, commit_span: 100, drain_starts: DRAIN };
    bench.read(&["a"]);
    for (key, may_read) in [("b", 3), ("c", 2), ("d", 1)] {
        assert_eq!(bench.partition.may_read(&mut bench.room), may_read);
        bench.read(&["a", key]);
    }
    assert_eq!(bench.partition.may_read(&mut bench.room), 0);
    assert_eq!(bench.say(Event::Enqueued(Seq(0))).len(), 2, "one starts, the next is starved");
    assert_eq!(bench.partition.may_read(&mut bench.room), 0, "one of a took the place in line of the one that started");
    bench.room.records = 2;
    assert_eq!(bench.say(Event::Pump), [start(4), start(6), Command::Starved]);
    assert_eq!(bench.partition.may_read(&mut bench.room), 2);
}

#[test]
fn reading_stops_while_bytes_are_short() {
    let mut bench = Bench::new(Order::None, 9);
    bench.room.bytes = 100;
    assert_eq!(bench.partition.may_read(&mut bench.room), 4);
    bench.read(&["a"]);
    assert_eq!(bench.partition.may_read(&mut bench.room), 0);
}

#[test]
fn a_suspect_runs_alone_and_is_given_up_at_its_second_panic() {
    let mut bench = Bench::new(Order::Key, 9);
    assert_eq!(bench.read(&["a", "b", "c"]), [start(0), start(1), start(2)]);
    assert_eq!(bench.panicked(1), []);
    bench.say(Event::Acked(Seq(0)));
    assert_eq!(bench.read(&["d"]), []);
    assert_eq!(bench.lost(2), [start(1)]);
    assert_eq!(bench.panicked(1), [give_up(1)]);
    assert_eq!(bench.say(Event::Enqueued(Seq(1))), [start(3), start(2)]);
    assert_eq!(bench.say(Event::Acked(Seq(1))), [commit(2)]);
}

#[test]
fn a_suspect_that_is_lost_without_a_panic_still_runs_alone() {
    let mut bench = Bench::new(Order::Key, 9);
    assert_eq!(bench.read(&["a"]), [start(0)]);
    assert_eq!(bench.panicked(0), [start(0)]);
    assert_eq!(bench.read(&["b"]), []);
    assert_eq!(bench.lost(0), [start(0)]);
    assert_eq!(bench.say(Event::Enqueued(Seq(0))), [start(1)]);
}

#[test]
fn a_suspect_waits_for_an_earlier_record_of_its_lane() {
    let mut bench = Bench::new(Order::Partition, 9);
    bench.read(&["a", "b"]);
    assert_eq!(bench.say(Event::Enqueued(Seq(0))), [start(1)]);
    assert_eq!(bench.say(Event::Undelivered(Seq(0))), []);
    assert_eq!(bench.panicked(1), [start(0)]);
    assert_eq!(bench.say(Event::Enqueued(Seq(0))), [start(1)]);
}

#[test]
fn what_was_given_up_never_runs_again() {
    let mut bench = Bench::new(Order::Key, 9);
    bench.read(&["a"]);
    bench.panicked(0);
    assert_eq!(bench.panicked(0), [give_up(0)]);
    assert_eq!(bench.lost(0), [give_up(0)]);
    assert_eq!(bench.say(Event::Enqueued(Seq(0))), []);
    assert_eq!(bench.say(Event::Undelivered(Seq(0))), [give_up(0)]);
}

#[test]
fn all_that_were_held_with_nothing_at_hand_run_again_one_at_a_time_and_only_the_culprit_is_given_up() {
    let mut bench = Bench::new(Order::Key, 9);
    assert_eq!(bench.read(&["a", "b", "c"]), [start(0), start(1), start(2)]);
    assert_eq!(bench.unseen(0, false), []);
    assert!(bench.room.asked, "nobody else begins anything from the first word on");
    assert_eq!(bench.unseen(1, false), []);
    assert_eq!(bench.unseen(2, false), [start(0)]);
    assert_eq!(bench.read(&["d"]), []);
    assert_eq!(bench.say(Event::Enqueued(Seq(0))), [start(1)]);
    assert_eq!(bench.unseen(1, true), [give_up(1)]);
    assert_eq!(bench.say(Event::Enqueued(Seq(1))), [start(2)]);
    assert_eq!(bench.say(Event::Enqueued(Seq(2))), [start(3)]);
    assert!(!bench.room.asked);
}

#[test]
fn a_suspect_waits_for_what_other_partitions_run() {
    let mut bench = Bench::new(Order::Key, 9);
    bench.room.others = 1;
    bench.read(&["a"]);
    assert_eq!(bench.unseen(0, true), [Command::Starved], "alone by chance proves nothing");
    bench.room.others = 0;
    assert_eq!(bench.say(Event::Pump), [start(0)]);
    assert_eq!(bench.unseen(0, false), [start(0)], "its actor held another record all the same");
    assert_eq!(bench.unseen(0, true), [give_up(0)]);
}

#[test]
fn an_earlier_record_of_the_lane_runs_before_a_suspect_and_is_none() {
    let mut bench = Bench::new(Order::Partition, 9);
    bench.read(&["a", "b"]);
    bench.say(Event::Enqueued(Seq(0)));
    bench.say(Event::Undelivered(Seq(0)));
    assert_eq!(bench.unseen(1, true), [start(0)]);
    assert_eq!(bench.unseen(0, true), [start(0)], "it is one from now on");
    assert_eq!(bench.say(Event::Enqueued(Seq(0))), [start(1)]);
    assert_eq!(bench.say(Event::Enqueued(Seq(1))), []);
    assert!(!bench.room.asked);
}

#[test]
fn the_process_is_given_back_by_a_drain_a_late_ack_and_a_close() {
    for case in 0..3 {
        let mut bench = Bench::new(Order::Key, 9);
        bench.room.others = 1;
        bench.read(&["a"]);
        bench.unseen(0, true);
        assert!(bench.room.asked);
        match case {
            0 => assert_eq!(bench.say(Event::Drain), [Command::Drained]),
            1 => assert_eq!(bench.say(Event::Acked(Seq(0))), [commit(1)]),
            _ => {
                bench.partition.close(&mut bench.room);
                assert!(!bench.room.asked);
                return;
            }
        }
        assert!(!bench.room.asked, "case {case}");
    }
}

#[test]
fn closing_gives_all_room_back() {
    let mut bench = Bench::new(Order::None, 3);
    bench.read(&["a", "b", "c", "d"]);
    bench.say(Event::Enqueued(Seq(0)));
    bench.panicked(1);
    bench.partition.close(&mut bench.room);
    assert_eq!((bench.room.records, bench.room.bytes), (3, 0));
}

#[test]
fn in_transactions_outcomes_that_wait_count_as_held_and_not_against_the_window() {
    let mut bench = Bench::new(Order::None, 10);
    bench.partition = Partition::new(
        Epoch(1),
        NextOffset(0),
        Order::None,
        Bounds { window: 2, ready: 2, commit_span: 4, drain_starts: DRAIN },
    );
    bench.partition = bench.partition.transactional();
    bench.read(&["a", "b"]);
    assert_eq!(bench.partition.may_read(&mut bench.room), 0);
    bench.say(Event::Held { seq: Seq(1), bytes: 10 });
    assert_eq!(bench.partition.may_read(&mut bench.room), 1);
    assert_eq!((bench.room.bytes, bench.room.held), (1, 11));
    bench.say(Event::Undelivered(Seq(1)));
    assert_eq!((bench.room.bytes, bench.room.held), (2, 0));
    bench.say(Event::Held { seq: Seq(1), bytes: 5 });
    bench.say(Event::Held { seq: Seq(0), bytes: 5 });
    bench.say(Event::Acked(Seq(0)));
    bench.say(Event::Acked(Seq(1)));
    assert_eq!((bench.room.bytes, bench.room.held), (0, 0));
}
