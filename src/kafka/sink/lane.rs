//! What one owner has handed over: how much of it is under way, and what waits behind that.
//!
//! Pure. What comes while something is under way goes together, once the last of it is settled.

use std::collections::VecDeque;

/// The outcomes of one owner, in order.
#[derive(Debug)]
pub(super) struct Lane<T> {
    under_way: usize,
    waiting: VecDeque<T>,
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self { under_way: 0, waiting: VecDeque::new() }
    }
}

impl<T> Lane<T> {
    /// Puts one in line. True if it may go now.
    pub(super) fn offer(&mut self, item: T) -> bool {
        self.waiting.push_back(item);
        self.under_way == 0
    }

    /// One that was under way is settled. True if what waits may go now.
    pub(super) fn settled(&mut self) -> bool {
        self.under_way = self.under_way.saturating_sub(1);
        self.under_way == 0 && !self.waiting.is_empty()
    }

    /// All that waits, which is under way from now on; nothing while something is.
    pub(super) fn go(&mut self) -> VecDeque<T> {
        if self.under_way > 0 {
            return VecDeque::new();
        }
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
        assert!(lane.offer(1));
        assert_eq!(lane.go(), [1]);
        assert!(!lane.offer(2) && !lane.offer(3));
        assert!(lane.go().is_empty());
        assert!(lane.settled());
        assert_eq!(lane.go(), [2, 3]);
        assert!(!lane.offer(4));
        lane.back([3].into());
        assert!(lane.go().is_empty(), "2 is under way");
        assert!(lane.settled());
        assert_eq!(lane.go(), [3, 4]);
    }

    proptest! {
        #[test]
        fn whatever_happens_each_goes_once_and_in_order(happenings in prop::collection::vec((0..4_u8, 0..5_usize), 1..200)) {
            let (mut lane, mut offered, mut gone, mut under_way) = (Lane::default(), 0, Vec::new(), 0);
            for (what, count) in happenings {
                match what {
                    0 | 1 => {
                        lane.offer(offered);
                        offered += 1;
                    }
                    2 if under_way > 0 => {
                        under_way -= 1;
                        lane.settled();
                    }
                    _ => {
                        let mut going = lane.go();
                        prop_assert!(going.is_empty() || under_way == 0);
                        let back = going.split_off(going.len().min(count));
                        under_way += going.len();
                        gone.extend(going);
                        lane.back(back);
                    }
                }
            }
            for _ in 0..under_way {
                lane.settled();
            }
            gone.extend(lane.go());
            prop_assert_eq!(gone, (0..offered).collect::<Vec<_>>());
        }
    }
}
