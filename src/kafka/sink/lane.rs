//! What one owner has handed over: how much of it is under way, and what waits behind that.
//!
//! Pure. What comes while something is under way goes together, once the last of it is settled. While there is much to send, it
//! lingers then: so that batches fill, it goes when its time has come.

use std::collections::VecDeque;

/// What becomes of what waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It may go now.
    Go,
    /// It lingers from now on.
    Lingers,
    /// Nothing waits, or it is known what it waits for.
    Known,
}

/// The outcomes of one owner, in order.
#[derive(Debug)]
pub(super) struct Lane<T> {
    under_way: usize,
    waiting: VecDeque<T>,
    lingers: bool,
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self { under_way: 0, waiting: VecDeque::new(), lingers: false }
    }
}

impl<T> Lane<T> {
    /// Puts one in line. `busy` tells whether there is much to send.
    pub(super) fn offer(&mut self, item: T, busy: bool) -> Turn {
        self.waiting.push_back(item);
        self.turn(busy)
    }

    /// One that was under way is settled.
    pub(super) fn settled(&mut self, busy: bool) -> Turn {
        self.under_way = self.under_way.saturating_sub(1);
        self.turn(busy)
    }

    fn turn(&mut self, busy: bool) -> Turn {
        if self.under_way > 0 || self.waiting.is_empty() {
            return Turn::Known;
        }
        if !busy {
            return Turn::Go;
        }
        if std::mem::replace(&mut self.lingers, true) { Turn::Known } else { Turn::Lingers }
    }

    /// All that waits, which is under way from now on; nothing while something is.
    pub(super) fn go(&mut self) -> VecDeque<T> {
        if self.under_way > 0 {
            return VecDeque::new();
        }
        self.lingers = false;
        self.under_way = self.waiting.len();
        std::mem::take(&mut self.waiting)
    }

    /// These are not under way after all, and wait in front of all others.
    pub(super) fn back(&mut self, mut items: VecDeque<T>) {
        self.under_way = self.under_way.saturating_sub(items.len());
        items.append(&mut self.waiting);
        self.waiting = items;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_comes_meanwhile_goes_together_behind_it() {
        let mut lane = Lane::default();
        assert_eq!(lane.offer(1, false), Turn::Go);
        assert_eq!(lane.go(), [1]);
        assert_eq!((lane.offer(2, false), lane.offer(3, true)), (Turn::Known, Turn::Known));
        assert!(lane.go().is_empty());
        assert_eq!(lane.settled(false), Turn::Go);
        assert_eq!(lane.go(), [2, 3]);
        assert_eq!(lane.offer(4, false), Turn::Known);
        lane.back([3].into());
        assert!(lane.go().is_empty(), "2 is under way");
        assert_eq!(lane.settled(false), Turn::Go);
        assert_eq!(lane.go(), [3, 4]);
    }

    #[test]
    fn with_much_to_send_it_lingers_until_it_is_let_go() {
        let mut lane = Lane::default();
        assert_eq!((lane.offer(1, true), lane.offer(2, true)), (Turn::Lingers, Turn::Known));
        assert_eq!(lane.go(), [1, 2]);
        assert_eq!((lane.settled(true), lane.offer(3, true)), (Turn::Known, Turn::Known));
        assert_eq!(lane.settled(true), Turn::Lingers);
        assert_eq!(lane.offer(4, false), Turn::Go, "there is little to send by now");
        assert_eq!(lane.go(), [3, 4]);
        assert_eq!((lane.settled(true), lane.settled(true)), (Turn::Known, Turn::Known), "nothing waits");
        assert_eq!(lane.offer(5, true), Turn::Lingers);
    }

    proptest! {
        #[test]
        fn whatever_happens_each_goes_once_and_in_order(happenings in prop::collection::vec((0..4_u8, 0..5_usize, any::<bool>()), 1..200)) {
            let (mut lane, mut offered, mut gone, mut under_way) = (Lane::default(), 0, Vec::new(), 0);
            // Told that it may go, or put down among those that linger.
            let mut known = false;
            for (what, count, busy) in happenings {
                match what {
                    0 | 1 => {
                        known |= lane.offer(offered, busy) != Turn::Known;
                        offered += 1;
                    }
                    2 if under_way > 0 => {
                        under_way -= 1;
                        known |= lane.settled(busy) != Turn::Known;
                    }
                    _ => {
                        let mut going = lane.go();
                        prop_assert!(going.is_empty() || under_way == 0 && known, "nobody would have let it go");
                        let back = going.split_off(going.len().min(count));
                        under_way += going.len();
                        gone.extend(going);
                        // Whoever puts some back knows of it.
                        known = !back.is_empty();
                        lane.back(back);
                    }
                }
            }
            for _ in 0..under_way {
                lane.settled(false);
            }
            gone.extend(lane.go());
            prop_assert_eq!(gone, (0..offered).collect::<Vec<_>>());
        }
    }
}
