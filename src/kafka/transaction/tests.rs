//! The transactions' machine beside a broker of a few lines: an output is written once, in read order, and offsets go with it.

use proptest::prelude::*;

use super::*;
use crate::record::Offset;

const P: Partition = Partition(0);
const RULES: Rules = Rules { interval: Duration::from_millis(100), records: 1000, bytes: 1 << 20 };

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A machine whose commands are looked at one by one.
struct Bench {
    machine: Transactions<u64>,
    now: u64,
}

impl Bench {
    /// With a client, and a partition that is read from 0 on.
    fn ready() -> Self {
        let mut bench = Self { machine: Transactions::new(RULES), now: 0 };
        assert_eq!(bench.tell(Event::Tick), [Command::Renew]);
        assert_eq!(bench.tell(Event::Ready), []);
        let assigned = Event::Assigned { partition: P, epoch: Epoch(1), start: NextOffset(0), commit: false };
        assert_eq!(bench.tell(assigned), []);
        bench
    }

    fn tell(&mut self, event: Event<u64>) -> Vec<Command<u64>> {
        let mut commands = Vec::new();
        self.machine.step(event, ms(self.now), &mut commands);
        commands
    }

    fn outcome(&mut self, seq: u64) -> Vec<Command<u64>> {
        self.tell(outcome(seq))
    }

    fn later(&mut self, millis: u64) -> Vec<Command<u64>> {
        self.now += millis;
        self.tell(Event::Tick)
    }
}

fn outcome(seq: u64) -> Event<u64> {
    let next = Offset(seq as i64).next();
    Event::Outcome { partition: P, epoch: Epoch(1), seq: Seq(seq), next, bytes: 1, writes: true, item: seq }
}

fn offsets(next: i64) -> Command<u64> {
    Command::SendOffsets(vec![(P, Epoch(1), NextOffset(next))])
}

#[test]
fn outcomes_leave_in_read_order_and_are_committed_with_their_offsets() {
    let mut bench = Bench::ready();
    bench.outcome(1);
    assert_eq!(bench.later(0), [], "number 0 goes first");
    bench.outcome(0);
    assert_eq!(bench.later(0), [Command::Begin, Command::Send(0), Command::Send(1)]);
    bench.outcome(3);
    assert_eq!(bench.later(99), []);
    assert_eq!(bench.later(1), [offsets(2)]);
    bench.outcome(2);
    assert_eq!(bench.later(50), [], "what comes now is for the next transaction");
    assert_eq!(bench.tell(Event::OffsetsSent), [Command::Commit]);
    let acked = [Command::Acked(0), Command::Acked(1)];
    let next = [Command::Begin, Command::Send(2), Command::Send(3)];
    assert_eq!(bench.tell(Event::Committed), acked.into_iter().chain(next).collect::<Vec<_>>());
    assert_eq!(bench.machine.held(), 2);
}

#[test]
fn an_aborted_transaction_is_written_again_after_a_pause() {
    let mut bench = Bench::ready();
    bench.outcome(0);
    bench.later(0);
    assert_eq!(bench.tell(Event::Undelivered), [Command::Abort]);
    bench.outcome(1);
    assert_eq!(bench.tell(Event::Aborted), []);
    assert_eq!(bench.later(10), []);
    assert_eq!(bench.later(10), [Command::Begin, Command::Send(0), Command::Send(1)]);
    bench.later(100);
    assert_eq!(bench.tell(Event::Failed), [Command::Abort]);
}

#[test]
fn what_was_not_written_is_not_committed_though_the_client_library_does_not_know() {
    let mut bench = Bench::ready();
    bench.outcome(0);
    bench.later(0);
    bench.now += 100;
    assert_eq!(bench.tell(Event::Tick), [offsets(1)]);
    assert_eq!(bench.tell(Event::Undelivered), []);
    assert_eq!(bench.tell(Event::OffsetsSent), [Command::Abort]);
}

#[test]
fn a_refused_outcome_comes_back_and_another_takes_its_place() {
    let mut bench = Bench::ready();
    for seq in 0..3 {
        bench.outcome(seq);
    }
    bench.later(0);
    let refused = Event::Refused { partition: P, epoch: Epoch(1), seq: Seq(1) };
    assert_eq!(bench.tell(refused), [Command::Abort]);
    assert_eq!(bench.tell(Event::Aborted), [Command::Refuse(1), Command::Begin, Command::Send(0)]);
    let Event::Outcome { partition, epoch, seq, next, bytes, writes, .. } = outcome(1) else { unreachable!() };
    bench.tell(Event::Outcome { partition, epoch, seq, next, bytes, writes, item: 77 });
    assert_eq!(bench.later(0), [Command::Send(77), Command::Send(2)]);
}

#[test]
fn an_end_that_nobody_knows_is_found_out_before_anything_is_written_again() {
    for (committed, again) in [(Some(NextOffset(2)), vec![2]), (Some(NextOffset(1)), vec![1, 2]), (None, vec![0, 1, 2])]
    {
        let mut bench = Bench::ready();
        bench.outcome(0);
        bench.outcome(1);
        bench.later(0);
        bench.later(100);
        bench.tell(Event::OffsetsSent);
        assert_eq!(bench.tell(Event::Lost), [Command::Renew]);
        bench.outcome(2);
        assert_eq!(bench.tell(Event::NotReady), []);
        assert_eq!(bench.later(20), [Command::Renew]);
        assert_eq!(bench.tell(Event::Ready), [Command::ReadPositions(vec![P])]);
        let told = bench.tell(Event::Positions(vec![(P, committed)]));
        let sent: Vec<_> = told.iter().filter_map(|c| if let Command::Send(n) = c { Some(*n) } else { None }).collect();
        let acked: Vec<_> =
            told.iter().filter_map(|c| if let Command::Acked(n) = c { Some(*n) } else { None }).collect();
        assert_eq!(sent, again);
        assert_eq!(acked, (0..3).filter(|n| !again.contains(n)).collect::<Vec<_>>());
    }
}

#[test]
fn a_partition_that_leaves_is_committed_at_once_and_what_waits_for_others_is_dropped() {
    let mut bench = Bench::ready();
    for seq in [0, 1, 3] {
        bench.outcome(seq);
    }
    bench.later(0);
    assert_eq!(bench.tell(Event::Settle(P, Epoch(1))), [offsets(2)]);
    bench.outcome(2);
    bench.tell(Event::OffsetsSent);
    let told = bench.tell(Event::Committed);
    assert_eq!(told, [Command::Acked(0), Command::Acked(1), Command::Released(P, Epoch(1))]);
    assert_eq!((bench.machine.held(), bench.machine.held_bytes()), (0, 0));
    assert_eq!(bench.tell(Event::Settle(P, Epoch(1))), [Command::Released(P, Epoch(1))]);
}

#[test]
fn a_partition_that_was_lost_spoils_the_transaction_that_holds_it_until_its_offsets_are_sent() {
    let mut bench = Bench::ready();
    bench.outcome(0);
    bench.later(0);
    assert_eq!(bench.tell(Event::Fence(P, Epoch(2))), [], "of another epoch");
    assert_eq!(bench.tell(Event::Fence(P, Epoch(1))), [Command::Abort]);

    let mut bench = Bench::ready();
    bench.outcome(0);
    bench.later(0);
    bench.later(100);
    assert_eq!(bench.tell(Event::Fence(P, Epoch(1))), []);
    assert_eq!(bench.tell(Event::OffsetsSent), [Command::Commit]);
    assert_eq!(bench.tell(Event::Committed), []);
}

#[test]
fn positions_alone_are_committed_too() {
    let mut bench = Bench::ready();
    bench.tell(Event::EndsAt { partition: P, epoch: Epoch(1), position: NextOffset(7) });
    assert_eq!(bench.later(0), [Command::Begin]);
    assert_eq!(bench.later(100), [offsets(7)]);
    // What is told after the offsets were sent is not part of this transaction.
    bench.tell(Event::EndsAt { partition: P, epoch: Epoch(1), position: NextOffset(9) });
    bench.tell(Event::OffsetsSent);
    assert_eq!(bench.tell(Event::Committed), [Command::Begin]);
    assert_eq!(bench.later(100), [offsets(9)]);
}

#[test]
fn a_second_outcome_of_a_record_is_not_written() {
    let mut bench = Bench::ready();
    bench.outcome(0);
    bench.outcome(0);
    assert_eq!(bench.later(0), [Command::Begin, Command::Send(0)]);
    bench.outcome(0);
    assert_eq!((bench.later(0), bench.machine.held()), (vec![], 1));
}

/// What a transaction of the broker holds, and what is committed.
#[derive(Default)]
struct Broker {
    open: Vec<u64>,
    open_offset: Option<i64>,
    output: Vec<u64>,
    offset: i64,
}

impl Broker {
    fn commit(&mut self) {
        self.output.append(&mut self.open);
        self.offset = self.open_offset.take().unwrap_or(self.offset);
    }

    fn abort(&mut self) {
        self.open.clear();
        self.open_offset = None;
    }
}

proptest! {
    #[test]
    fn whatever_fails_each_outcome_is_committed_once_in_order_with_its_offset(
        order in Just((0..40_u64).collect::<Vec<_>>()).prop_shuffle(), faults in prop::collection::vec(0..100_u8, 400)
    ) {
        let mut bench = Bench::ready();
        let (mut broker, mut acked) = (Broker::default(), Vec::new());
        let mut coming = order.into_iter();
        let mut faults = faults.into_iter();
        for _ in 0..2000 {
            let mut told = match coming.next() {
                Some(seq) => bench.outcome(seq),
                None => bench.later(30),
            };
            let mut at = 0;
            while at < told.len() {
                let fault = faults.next().unwrap_or(99);
                let answer = match &told[at] {
                    Command::Renew => { broker.abort(); Some(if fault < 20 { Event::NotReady } else { Event::Ready }) }
                    Command::ReadPositions(_) if fault < 20 => Some(Event::NotRead),
                    Command::ReadPositions(_) => Some(Event::Positions(vec![(P, Some(NextOffset(broker.offset)))])),
                    Command::Send(item) => { broker.open.push(*item); (fault < 5).then_some(Event::Undelivered) }
                    Command::SendOffsets(list) => {
                        broker.open_offset = Some(list[0].2.0);
                        Some(match fault { 0..10 => Event::Failed, 10..15 => Event::Lost, _ => Event::OffsetsSent })
                    }
                    // Lost after it was committed, lost before, failed, or well.
                    Command::Commit => Some(match fault {
                        0..15 => { broker.commit(); Event::Lost }
                        15..30 => { broker.abort(); Event::Lost }
                        30..40 => Event::Failed,
                        _ => { broker.commit(); Event::Committed }
                    }),
                    Command::Abort => Some(if fault < 10 { Event::Lost } else { broker.abort(); Event::Aborted }),
                    Command::Acked(item) => { acked.push(*item); None }
                    _ => None,
                };
                prop_assert!((broker.output.len() as i64) == broker.offset, "outputs and offset differ");
                at += 1;
                if let Some(answer) = answer {
                    told.extend(bench.tell(answer));
                }
            }
        }
        prop_assert_eq!(&broker.output, &(0..40).collect::<Vec<_>>());
        prop_assert_eq!(acked, broker.output);
        prop_assert_eq!((bench.machine.held(), bench.machine.held_bytes()), (0, 0));
    }
}
