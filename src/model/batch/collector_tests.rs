//! Who goes together, in which turn, and when: examples, and random histories in virtual time.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

const TARGET: usize = 4;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn collector(wait: u64, calls: usize) -> Collector<u32> {
    Collector::new(Bounds { bytes: 100, wait: ms(wait), calls })
}

fn request(item: u32, rows: usize, bytes: usize, since: u64) -> Waiting<u32> {
    Waiting { item, rows, bytes, since: ms(since) }
}

impl Collector<u32> {
    fn come(&mut self, kind: &str, items: &[u32], now: u64) {
        for item in items {
            self.wait(kind.as_bytes(), request(*item, 1, 1, now), TARGET, ms(now));
        }
    }

    /// The call that is made now, if one may be.
    fn call(&mut self, now: u64) -> Option<Group<u32>> {
        self.is_ready(ms(now)).then(|| self.take(TARGET, ms(now)).unwrap())
    }

    fn items(&mut self, now: u64) -> Vec<u32> {
        self.call(now).map(|group| items(&group)).unwrap_or_default()
    }
}

fn items(group: &Group<u32>) -> Vec<u32> {
    group.members.iter().map(|member| member.item).collect()
}

#[test]
fn the_first_goes_at_once_and_others_collect_while_calls_run() {
    let mut waiting = collector(0, 1);
    waiting.come("a", &[1], 0);
    let first = waiting.call(0).unwrap();
    assert_eq!((items(&first), first.full), (vec![1], false));
    waiting.come("a", &[2, 3, 4, 5, 6, 7], 1);
    assert!(!waiting.is_ready(ms(1)), "one call runs");
    waiting.ended(&first.kind, TARGET, ms(2));
    let second = waiting.call(2).unwrap();
    assert_eq!((items(&second), second.full), (vec![2, 3, 4, 5], true));
    waiting.ended(&second.kind, TARGET, ms(3));
    assert_eq!(waiting.items(3), [6, 7]);
    assert!(waiting.is_empty());
}

#[test]
fn other_kinds_are_not_held_back_and_take_turns() {
    let mut waiting = collector(0, 2);
    waiting.come("a", &[1], 0);
    waiting.come("b", &[2], 0);
    waiting.come("a", &[3, 4, 5, 6, 7, 8], 0);
    waiting.come("c", &[9], 0);
    assert_eq!(waiting.items(0), [1, 3, 4, 5]);
    assert_eq!(waiting.items(0), [2]);
    assert_eq!(waiting.items(0), [9]);
    assert_eq!(waiting.items(0), [6, 7, 8]);
    waiting.come("a", &[10], 0);
    assert!(!waiting.is_ready(ms(0)), "two calls of the only kind that waits run");
}

#[test]
fn rows_and_bytes_are_bounds_and_what_is_larger_goes_alone() {
    let mut waiting = collector(0, 9);
    for (item, rows, bytes) in [(1, 2, 1), (2, 3, 1), (3, 9, 1), (4, 1, 60), (5, 1, 50), (6, 1, 300), (7, 1, 1)] {
        waiting.wait(b"a", request(item, rows, bytes, 0), TARGET, ms(0));
    }
    let calls: Vec<_> = (0..6).map(|_| waiting.items(0)).collect();
    assert_eq!(calls, [vec![1], vec![2], vec![3], vec![4], vec![5], vec![6]]);
    assert_eq!(waiting.items(0), [7]);
}

#[test]
fn a_request_waits_for_others_until_there_are_enough_or_it_has_waited_long_enough() {
    let mut waiting = collector(10, 1);
    waiting.come("a", &[1, 2], 0);
    waiting.come("b", &[3], 5);
    assert!(!waiting.is_ready(ms(9)));
    assert_eq!(waiting.due(ms(9)), Some(ms(10)));
    waiting.come("b", &[4, 5, 6], 9);
    assert_eq!(waiting.items(9), [3, 4, 5, 6], "there are enough of b");
    assert_eq!(waiting.items(10), [1, 2]);
    waiting.come("a", &[7], 11);
    waiting.ended(&Kind::from(&b"a"[..]), TARGET, ms(50));
    assert_eq!(waiting.items(50), [7], "it has waited long enough while the call ran");
}

#[test]
fn nothing_is_due_for_those_who_have_left() {
    let mut waiting = collector(10, 1);
    waiting.come("a", &[1], 0);
    waiting.come("a", &[2, 3, 4], 1);
    assert_eq!(waiting.items(1), [1, 2, 3, 4]);
    assert_eq!(waiting.due(ms(10)), None);
}

#[test]
fn a_failed_call_is_made_again_in_halves_before_all_others() {
    let mut waiting = collector(0, 1);
    waiting.come("a", &[1, 2, 3, 4], 0);
    let whole = waiting.call(0).unwrap();
    assert!(!whole.is_half() && whole.answered().is_none());
    waiting.come("a", &[5], 1);
    let (kind, rows) = (whole.kind.clone(), whole.rows());
    // One of them is not waited for any more.
    waiting.halve(&kind, whole.members.into_iter().filter(|it| it.item != 2).collect(), rows);
    waiting.ended(&kind, TARGET, ms(2));
    assert_eq!(waiting.len(), 4);
    let first = waiting.call(2).unwrap();
    assert_eq!((items(&first), first.is_half()), (vec![1, 3], true));
    waiting.ended(&kind, TARGET, ms(3));
    let second = waiting.call(3).unwrap();
    assert_eq!(items(&second), [4]);
    assert_eq!(first.answered(), None);
    assert_eq!(second.answered(), Some((4, 2)), "both halves of four rows were answered");
    waiting.ended(&kind, TARGET, ms(4));
    assert_eq!(waiting.items(4), [5]);
}

#[test]
fn all_can_be_taken_out() {
    let mut waiting = collector(0, 1);
    waiting.come("a", &[1], 0);
    let running = waiting.call(0).unwrap();
    waiting.come("a", &[2, 3], 1);
    waiting.come("b", &[4], 2);
    assert_eq!(waiting.drain(), [2, 3, 4]);
    assert!(waiting.is_empty() && !waiting.is_ready(ms(9)));
    waiting.ended(&running.kind, TARGET, ms(9));
    assert!(waiting.queues.is_empty(), "nothing is kept of kinds that nobody waits for");
}

#[derive(Clone, Debug)]
enum Happening {
    Comes { kind: u8, rows: usize, bytes: usize },
    Calls,
    Answered(usize),
    Fails(usize),
    Passes(u64),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => (0..4u8, 1..6usize, 1..120usize).prop_map(|(kind, rows, bytes)| Happening::Comes { kind, rows, bytes }),
        4 => Just(Happening::Calls),
        2 => (0..9usize).prop_map(Happening::Answered),
        1 => (0..9usize).prop_map(Happening::Fails),
        1 => (0..20u64).prop_map(Happening::Passes),
    ]
}

proptest! {
    #[test]
    fn nobody_is_lost_doubled_overtaken_or_left(
        wait in 0..15u64, calls in 1..4usize, happenings in proptest::collection::vec(happening(), 0..300),
    ) {
        let mut waiting = collector(wait, calls);
        let (mut now, mut count) = (0, 0);
        let mut running: Vec<Group<u32>> = Vec::new();
        let (mut came, mut begun, mut done) = (HashMap::<Kind, Vec<u32>>::new(), HashMap::<Kind, Vec<u32>>::new(), 0);
        let end = (0..2_000).map(|n| match n % 3 {
            0 => Happening::Calls,
            1 => Happening::Answered(n),
            _ => Happening::Passes(15),
        });
        for happening in happenings.into_iter().chain(end) {
            match happening {
                Happening::Comes { kind, rows, bytes } => {
                    came.entry(Kind::from([kind])).or_default().push(count);
                    waiting.wait(&[kind], request(count, rows, bytes, now), TARGET, ms(now));
                    count += 1;
                }
                Happening::Calls => {
                    let Some(group) = waiting.call(now) else { continue };
                    prop_assert!(!group.members.is_empty());
                    let bytes: usize = group.members.iter().map(|member| member.bytes).sum();
                    prop_assert!(group.members.len() == 1 || (group.rows() <= TARGET && bytes <= 100));
                    if !group.is_half() {
                        begun.entry(group.kind.clone()).or_default().extend(items(&group));
                    }
                    running.push(group);
                    let of = |kind: &Kind| running.iter().filter(|group| group.kind == *kind).count();
                    prop_assert!(of(&running.last().unwrap().kind) <= calls);
                }
                Happening::Answered(which) if !running.is_empty() => {
                    let group = running.swap_remove(which % running.len());
                    done += group.members.len();
                    waiting.ended(&group.kind, TARGET, ms(now));
                }
                Happening::Fails(which) if !running.is_empty() => {
                    let group = running.swap_remove(which % running.len());
                    let (rows, kind) = (group.rows(), group.kind);
                    if group.members.len() > 1 {
                        waiting.halve(&kind, group.members, rows);
                    } else {
                        done += 1;
                    }
                    waiting.ended(&kind, TARGET, ms(now));
                }
                Happening::Passes(time) => now += time,
                Happening::Answered(_) | Happening::Fails(_) => {}
            }
            let held: usize = running.iter().map(|group| group.members.len()).sum();
            prop_assert_eq!(waiting.len() + held + done, count as usize);
        }
        prop_assert_eq!(done, count as usize, "nobody is left");
        prop_assert_eq!(came, begun, "each in the order of its kind");
        prop_assert!(waiting.queues.is_empty());
    }
}
