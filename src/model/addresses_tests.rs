//! Tests of the choice among addresses.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
struct Wire {
    at: SocketAddr,
    number: usize,
    room: usize,
    closed: Rc<Cell<bool>>,
}

impl Lane for Wire {
    fn is_closed(&self) -> bool {
        self.closed.get()
    }

    fn room(&self) -> usize {
        self.room
    }
}

/// Addresses whose connections are numbered as they are opened.
struct Bench {
    addresses: Addresses<Wire>,
    opened: usize,
    room: usize,
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn bench(ports: &[u16]) -> Bench {
    let mut addresses = Addresses::new();
    addresses.replace(&ports.iter().map(|port| at(*port)).collect::<Vec<_>>());
    Bench { addresses, opened: 0, room: 100 }
}

impl Bench {
    fn choose(&mut self, now: Duration, tried: &[u16]) -> Option<(Place, Wire)> {
        let tried: Vec<_> = tried.iter().map(|port| at(*port)).collect();
        let (opened, room) = (&mut self.opened, self.room);
        self.addresses.choose(now, &tried, |at| {
            *opened += 1;
            Wire { at, number: *opened, room, closed: Rc::default() }
        })
    }

    fn port(&mut self, now: Duration, tried: &[u16]) -> u16 {
        self.choose(now, tried).unwrap().0.address.port()
    }
}

#[test]
fn equals_take_turns_and_the_one_that_runs_less_goes_first() {
    let mut bench = bench(&[1, 2, 3]);
    let places: Vec<_> = (0..6).map(|_| bench.choose(s(0), &[]).unwrap().0).collect();
    assert_eq!(places.iter().map(|place| place.address.port()).collect::<Vec<_>>(), [1, 2, 3, 1, 2, 3]);
    bench.addresses.ended(places[1]);
    bench.addresses.ended(places[4]);
    assert_eq!((bench.port(s(0), &[]), bench.port(s(0), &[])), (2, 2));
}

#[test]
fn a_call_tries_each_address_once() {
    let mut bench = bench(&[1, 2]);
    assert_eq!(bench.port(s(0), &[1]), 2);
    assert!(bench.choose(s(0), &[2, 1]).is_none());
    assert!(self::bench(&[]).choose(s(0), &[]).is_none());
}

#[test]
fn a_dead_address_is_left_then_tried_by_one_call_and_taken_back_when_it_answers() {
    let mut bench = bench(&[1, 2]);
    let (first, _) = bench.choose(s(0), &[]).unwrap();
    let (second, _) = bench.choose(s(0), &[2]).unwrap();
    assert_eq!((first.address, second.address), (at(1), at(1)), "both wait for one connection");
    for place in [first, second] {
        bench.addresses.unreachable(place, s(0));
        bench.addresses.ended(place);
    }
    // It counted once: the first time, one second.
    assert!((0..10).all(|_| bench.port(Duration::from_millis(999), &[]) == 2));
    assert_eq!(bench.port(s(1), &[]), 1);
    assert_eq!(bench.port(s(1), &[]), 2, "one call finds out");
    let (place, _) = bench.choose(s(2), &[]).unwrap();
    assert_eq!(place.address, at(1));
    bench.addresses.unreachable(place, s(2));
    assert_eq!((bench.port(s(3), &[]), bench.port(s(3), &[])), (2, 2), "the second time it is left for longer");
    let (place, _) = bench.choose(s(4), &[]).unwrap();
    assert_eq!(place.address, at(1));
    bench.addresses.reached(place);
    assert_eq!((bench.port(s(4), &[]), bench.port(s(4), &[])), (1, 1), "it runs less");
}

#[test]
fn where_all_are_dead_each_is_tried_again() {
    let mut bench = bench(&[1, 2]);
    for port in [1, 2] {
        let (place, _) = bench.choose(s(0), &[3 - port]).unwrap();
        bench.addresses.unreachable(place, s(u64::from(port)));
        bench.addresses.ended(place);
    }
    assert_eq!(bench.port(s(1), &[]), 1, "it was left first");
    assert_eq!(bench.port(s(1), &[1]), 2);
}

#[test]
fn calls_share_a_connection_as_far_as_it_has_room() {
    let mut bench = Bench { room: 2, ..bench(&[1]) };
    let made: Vec<_> = (0..5).map(|_| bench.choose(s(0), &[]).unwrap()).collect();
    assert_eq!(made.iter().map(|(_, wire)| wire.number).collect::<Vec<_>>(), [1, 1, 2, 2, 3]);
    bench.addresses.ended(made[0].0);
    assert_eq!(bench.choose(s(0), &[]).unwrap().1.number, 1);
    // A server that allows none gets one a connection; one that allows any number, a hundred.
    let mut none = Bench { room: 0, ..self::bench(&[1]) };
    assert_eq!((none.choose(s(0), &[]).unwrap().1.number, none.choose(s(0), &[]).unwrap().1.number), (1, 2));
    let mut many = Bench { room: usize::MAX, ..self::bench(&[1]) };
    let last = (0..=CALLS_PER_LANE).map(|_| many.choose(s(0), &[]).unwrap().1.number).last();
    assert_eq!(last, Some(2));
}

#[test]
fn a_new_connection_has_the_room_that_the_last_answer_told_of() {
    let mut bench = bench(&[1, 2]);
    let (place, wire) = bench.choose(s(0), &[2]).unwrap();
    assert_eq!(bench.choose(s(0), &[2]).unwrap().1.number, wire.number);
    // The server says that it takes one.
    bench.room = 1;
    wire.closed.set(true);
    let (other, _) = bench.choose(s(0), &[2]).unwrap();
    bench.addresses.heard(other, s(0));
    bench.room = 100;
    let numbers: Vec<_> = (0..3).map(|_| bench.choose(s(0), &[2]).unwrap().1.number).collect();
    assert_eq!(numbers, [3, 4, 5]);
    bench.addresses.heard(place, s(0));
    assert_eq!(
        bench.choose(s(0), &[1]).unwrap().1.number,
        bench.choose(s(0), &[1]).unwrap().1.number,
        "another server"
    );
}

#[test]
fn a_connection_that_is_closed_old_or_silent_takes_no_new_calls() {
    let mut bench = bench(&[1]);
    let (place, wire) = bench.choose(s(0), &[]).unwrap();
    assert_eq!(bench.choose(s(74), &[]).unwrap().1.number, 1);
    assert_eq!(bench.choose(s(75), &[]).unwrap().1.number, 2, "too old");
    bench.addresses.ended(place);
    assert!(!wire.closed.get());
    let (_, wire) = bench.choose(s(76), &[]).unwrap();
    wire.closed.set(true);
    let (place, wire) = bench.choose(s(76), &[]).unwrap();
    assert_eq!(wire.number, 3);
    // Answered after the call began: the server works, and it was this call that took long.
    bench.addresses.heard(place, s(80));
    bench.addresses.silent(place, s(79));
    assert_eq!(bench.choose(s(85), &[]).unwrap().1.number, 3);
    bench.addresses.silent(place, s(80));
    assert_eq!(bench.choose(s(85), &[]).unwrap().1.number, 4);
    let (place, _) = bench.choose(s(85), &[]).unwrap();
    assert!(bench.addresses.close(place) && !bench.addresses.close(place));
    assert_eq!(bench.choose(s(85), &[]).unwrap().1.number, 5);
}

#[test]
fn what_a_name_stands_for_may_change_under_running_calls() {
    let mut bench = bench(&[1, 2]);
    let (place, _) = bench.choose(s(0), &[]).unwrap();
    bench.addresses.replace(&[at(2), at(3), at(3)]);
    assert_eq!(bench.addresses.all(), [at(2), at(3)]);
    for step in 0..3 {
        match step {
            0 => bench.addresses.unreachable(place, s(1)),
            1 => bench.addresses.heard(place, s(1)),
            _ => bench.addresses.ended(place),
        }
    }
    bench.addresses.replace(&[at(1)]);
    bench.addresses.ended(place);
    let (again, wire) = bench.choose(s(1), &[]).unwrap();
    assert_eq!((again.address, wire.number), (at(1), 2), "nothing is remembered of it");
    let many: Vec<_> = (1..1_000).map(at).collect();
    bench.addresses.replace(&many);
    assert_eq!(bench.addresses.all().len(), MAX_ADDRESSES);
}

proptest! {
    /// Whatever happens: a call gets an untried address if there is one, on a connection of that address that is open and
    /// has room, and what runs is counted as what was started and not ended.
    #[test]
    fn a_call_is_never_left_without_an_address(steps in proptest::collection::vec((0..8_u8, any::<usize>()), 1..200)) {
        let mut bench = Bench { room: 3, ..bench(&[1, 2, 3]) };
        let calls = RefCell::new(Vec::<(Place, Wire)>::new());
        let mut now = s(0);
        for (step, pick) in steps {
            let taken = || {
                let mut calls = calls.borrow_mut();
                (!calls.is_empty()).then(|| { let at = pick % calls.len(); calls.swap_remove(at) })
            };
            match step {
                0..=2 => {
                    let tried = [1 + (pick % 3) as u16];
                    let (place, wire) = bench.choose(now, &tried).unwrap();
                    prop_assert!(place.address != at(tried[0]) && wire.at == place.address && !wire.closed.get());
                    calls.borrow_mut().push((place, wire.clone()));
                    let beside = calls.borrow().iter().filter(|(_, other)| other.number == wire.number).count();
                    prop_assert!(beside <= 3, "{beside} on one connection");
                }
                3 => if let Some((place, _)) = taken() { bench.addresses.ended(place) },
                4 => if let Some((place, _)) = taken() {
                    bench.addresses.unreachable(place, now);
                    bench.addresses.ended(place);
                },
                5 => if let Some((place, _)) = taken() {
                    bench.addresses.silent(place, now);
                    bench.addresses.ended(place);
                },
                6 => if let Some((place, wire)) = taken() {
                    wire.closed.set(true);
                    bench.addresses.reached(place);
                    bench.addresses.ended(place);
                },
                _ => now += Duration::from_millis((pick % 2_000) as u64),
            }
            let running: usize = bench.addresses.known.iter().map(|known| known.running).sum();
            prop_assert_eq!(running, calls.borrow().len());
        }
    }
}
