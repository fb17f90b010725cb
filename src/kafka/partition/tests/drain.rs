//! How a partition drains: what it still starts, and when it says that it is done.

use super::*;

#[test]
fn a_failure_that_stops_the_service_leaves_its_record_unfinished_and_nothing_starts() {
    let mut bench = Bench::new(Order::Partition, 9);
    bench.read(&["a", "b"]);
    assert_eq!(bench.say(Event::Halted(Seq(0))), [Command::Drained]);
    assert_eq!((bench.partition.may_read(&mut bench.room), bench.partition.safe()), (0, NextOffset(0)));
    assert_eq!(bench.say(Event::Pump), [Command::Drained]);

    let mut refused = Bench::new(Order::Key, 9);
    refused.read(&["a", "b"]);
    refused.say(Event::Enqueued(Seq(0)));
    assert_eq!(refused.say(Event::Halted(Seq(0))), [], "b still runs");
    assert_eq!(refused.say(Event::Acked(Seq(1))), [Command::Drained]);
    assert_eq!((refused.partition.unfinished(), refused.room.running), (1, 0));
}

#[test]
fn draining_starts_nothing_new_and_commits_before_it_says_drained() {
    let mut bench = Bench::new(Order::Partition, 9);
    bench.read(&["a", "b"]);
    assert_eq!(bench.say(Event::Drain), []);
    assert_eq!(bench.partition.may_read(&mut bench.room), 0);
    assert_eq!(bench.say(Event::Enqueued(Seq(0))), []);
    assert_eq!(bench.say(Event::Acked(Seq(0))), [commit(1), Command::Drained]);
}

/// Of the key `a`, the second and the third wait; a later record runs.
fn behind() -> Bench {
    let mut bench = Bench::new(Order::Key, 9);
    assert_eq!(bench.read(&["a", "a", "b", "a"]), [start(0), start(2)]);
    bench.say(Event::Enqueued(Seq(2)));
    assert_eq!(bench.say(Event::Drain), []);
    bench
}

#[test]
fn draining_finishes_what_was_read_before_a_record_that_was_started() {
    let mut bench = behind();
    assert_eq!(bench.say(Event::Acked(Seq(2))), []);
    assert_eq!(bench.say(Event::Enqueued(Seq(0))), [start(1)]);
    assert_eq!(bench.say(Event::Acked(Seq(0))), [commit(1)]);
    // Given back: it still goes before what is finished.
    assert_eq!(bench.say(Event::Lost { seq: Seq(1), loss: Loss::Innocent }), [start(1)]);
    assert_eq!(bench.say(Event::Enqueued(Seq(1))), [], "the last one is not needed");
    assert_eq!(bench.say(Event::Acked(Seq(1))), [commit(3), Command::Drained]);
}

#[test]
fn draining_starts_what_is_still_to_be_finished_for_a_while_only() {
    let mut bench = behind();
    bench.say(Event::Acked(Seq(2)));
    bench.now = DRAIN;
    assert_eq!(bench.say(Event::Enqueued(Seq(0))), []);
    assert_eq!(bench.say(Event::Acked(Seq(0))), [commit(1), Command::Drained]);
}

#[test]
fn a_drain_after_a_failure_that_stops_the_service_starts_nothing() {
    let mut bench = behind();
    bench.say(Event::Acked(Seq(2)));
    assert_eq!(bench.say(Event::Halted(Seq(0))), [Command::Drained]);
    assert_eq!(bench.say(Event::Drain), [Command::Drained]);
}

#[test]
fn in_transactions_a_drain_does_not_wait_for_what_cannot_be_stored_any_more() {
    let mut bench = Bench::new(Order::Key, 10);
    bench.partition = bench.partition.transactional();
    bench.read(&["a", "b", "a", "c"]);
    bench.say(Event::Held { seq: Seq(3), bytes: 1 });
    assert_eq!(bench.say(Event::Drain), []);
    bench.say(Event::Held { seq: Seq(0), bytes: 1 });
    bench.say(Event::Held { seq: Seq(1), bytes: 1 });
    assert_eq!(bench.say(Event::Acked(Seq(0))), [Command::Commit(NextOffset(1))]);
    // Number 2 waits for its turn and never gets it: number 3 is not stored in this epoch.
    assert_eq!(bench.say(Event::Acked(Seq(1))), [Command::Commit(NextOffset(2)), Command::Drained]);
}
