//! The plan against children that obey late, fail at any moment and vanish with their threads.

use std::{collections::VecDeque, time::Duration};

use proptest::prelude::*;
use tokio::time::Instant;

use crate::{
    budget::{Backoff, Budget},
    exit::{Exit, Phase},
    plan::{Plan, SlotId, Step},
    spec::{RestartPolicy, Strategy as Restart},
};

/// Crossing messages are rare, so it takes many.
const CASES: u32 = 5000;

/// A child that does one thing at a time, whenever the test lets it.
#[derive(Default)]
struct Child {
    launched: bool,
    living: bool,
    up: bool,
    draining: bool,
    orders: VecDeque<Step>,
    news: VecDeque<News>,
}

enum News {
    Running,
    Held,
    Failed(Exit),
    Ended(Exit),
}

struct World {
    plan: Plan,
    strategy: Restart,
    children: Vec<Child>,
    forgotten: Vec<SlotId>,
    reports: Vec<Step>,
    now: Instant,
}

impl World {
    fn new(strategy: Restart, count: usize, max_restarts: u32) -> Self {
        let mut plan = Plan::new(strategy);
        let backoff = Backoff { min: Duration::ZERO, max: Duration::ZERO, jitter: 0.0 };
        let budget = Budget { max_restarts, window: Duration::from_secs(1), backoff };
        for number in 0..count {
            plan.add(number.to_string(), RestartPolicy::Permanent, budget);
        }
        plan.resume();
        let children = (0..count).map(|_| Child::default()).collect();
        let mut world =
            Self { plan, strategy, children, forgotten: Vec::new(), reports: Vec::new(), now: Instant::now() };
        world.follow_up();
        world
    }

    fn follow_up(&mut self) {
        loop {
            let steps = self.plan.next_steps();
            if steps.is_empty() {
                return;
            }
            self.carry_out(steps);
        }
    }

    fn carry_out(&mut self, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Launch(id, _) => {
                    self.check_order(id);
                    let child = &mut self.children[id as usize];
                    assert!(!child.launched, "{id} was there");
                    *child = Child { launched: true, ..Child::default() };
                    child.orders.push_back(step);
                }
                Step::Resume(id, _) => {
                    self.check_order(id);
                    self.order(id, step);
                }
                Step::Hold(id, _) | Step::Drain(id) | Step::Kill(id) => self.order(id, step),
                Step::Forget(id, _) => self.forgotten.push(id),
                _ => self.reports.push(step),
            }
        }
    }

    fn order(&mut self, id: SlotId, step: Step) {
        assert!(!self.forgotten.contains(&id), "{id} was forgotten");
        // To one that is gone, if the news of it is still on its way.
        let child = &mut self.children[id as usize];
        if child.launched {
            child.orders.push_back(step);
        }
    }

    /// Where children depend on each other, nobody comes up before its elders are up and its youngers down.
    fn check_order(&self, id: SlotId) {
        if self.strategy == Restart::OneForOne || self.plan.is_stopping() {
            return;
        }
        let (elders, youngers) = self.children.split_at(id as usize);
        assert!(elders.iter().all(|child| child.up || !child.news.is_empty()), "an elder of {id} is down");
        assert!(youngers[1..].iter().all(|child| !child.living || !child.news.is_empty()), "a younger of {id} lives");
    }

    fn act(&mut self, id: usize) -> bool {
        let child = &mut self.children[id];
        if !child.launched {
            return false;
        }
        let Some(order) = child.orders.pop_front() else {
            if child.living && child.draining {
                child.end(Exit::Drained);
            } else if child.living && !child.up {
                child.up = true;
                child.news.push_back(News::Running);
            } else {
                return false;
            }
            return true;
        };
        match order {
            Step::Launch(..) | Step::Resume(..) => child.living = true,
            Step::Hold(..) => {
                (child.living, child.up) = (false, false);
                child.news.push_back(News::Held);
            }
            Step::Drain(_) => child.draining = true,
            _ => child.end(Exit::Killed),
        }
        true
    }

    fn deliver(&mut self, id: usize) -> bool {
        let Some(news) = self.children[id].news.pop_front() else { return false };
        let slot = id as SlotId;
        let steps = match news {
            News::Running => {
                self.plan.on_running(slot);
                Vec::new()
            }
            News::Held => {
                self.plan.on_held(slot);
                Vec::new()
            }
            News::Failed(exit) => self.plan.on_failed(slot, &exit, self.now, 0.0).1,
            News::Ended(exit) => self.plan.on_ended(slot, &exit, self.now, 0.0).1,
        };
        self.carry_out(steps);
        self.follow_up();
        true
    }

    fn fail(&mut self, id: usize) {
        let child = &mut self.children[id];
        if child.living {
            (child.living, child.up) = (false, false);
            child.news.push_back(News::Failed(Exit::Panicked { text: String::new(), phase: Phase::Receive }));
        }
    }

    fn lose(&mut self, id: usize) {
        let child = &mut self.children[id];
        if child.launched {
            child.end(Exit::ArbiterLost);
        }
    }

    fn settle(&mut self) {
        for round in 0.. {
            assert!(round < 10_000, "it never comes to rest");
            let moved: Vec<bool> = (0..self.children.len()).map(|id| self.act(id) | self.deliver(id)).collect();
            if !moved.contains(&true) {
                return;
            }
        }
    }
}

impl Child {
    fn end(&mut self, exit: Exit) {
        (self.launched, self.living, self.up) = (false, false, false);
        self.orders.clear();
        self.news.push_back(News::Ended(exit));
    }
}

#[derive(Clone, Copy, Debug)]
enum Move {
    Act(usize),
    Deliver(usize),
    Fail(usize),
    Lose(usize),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let child = 0_usize..4;
    proptest::collection::vec(
        prop_oneof![
            8 => child.clone().prop_map(Move::Act),
            8 => child.clone().prop_map(Move::Deliver),
            2 => child.clone().prop_map(Move::Fail),
            1 => child.prop_map(Move::Lose),
        ],
        0..120,
    )
}

fn strategies() -> impl Strategy<Value = Restart> {
    prop_oneof![Just(Restart::OneForOne), Just(Restart::RestForOne), Just(Restart::OneForAll)]
}

fn play(world: &mut World, moves: Vec<Move>) {
    for next in moves {
        match next {
            Move::Act(id) => _ = world.act(id),
            Move::Deliver(id) => _ = world.deliver(id),
            Move::Fail(id) => world.fail(id),
            Move::Lose(id) => world.lose(id),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_fails_all_are_up_in_the_end(strategy in strategies(), before in moves()) {
        let mut world = World::new(strategy, 4, u32::MAX);
        play(&mut world, before);
        world.settle();
        prop_assert!(world.children.iter().all(|child| child.up));
        prop_assert_eq!(world.reports, vec![Step::ReportRunning]);
    }

    #[test]
    fn a_supervisor_that_failed_is_held_and_can_be_resumed(strategy in strategies(), before in moves()) {
        let mut world = World::new(strategy, 4, 1);
        play(&mut world, before);
        world.settle();
        let Some(Step::ReportFailed(_)) = world.reports.last() else { return Ok(()) };
        prop_assert!(world.children.iter().all(|child| !child.living));
        world.plan.resume();
        world.follow_up();
        world.settle();
        prop_assert!(world.children.iter().all(|child| child.up));
        prop_assert_eq!(world.reports.last(), Some(&Step::ReportRunning));
    }

    #[test]
    fn a_held_tree_lives_nowhere_until_it_is_resumed(strategy in strategies(), before in moves(), during in moves()) {
        let mut world = World::new(strategy, 4, u32::MAX);
        play(&mut world, before);
        world.plan.hold(Exit::SiblingFailed { child: "elder".into() });
        world.follow_up();
        play(&mut world, during);
        world.settle();
        prop_assert!(world.children.iter().all(|child| !child.living));
        prop_assert_eq!(world.reports.last(), Some(&Step::ReportHeld));
        world.plan.resume();
        world.follow_up();
        world.settle();
        prop_assert!(world.children.iter().all(|child| child.up));
    }

    #[test]
    fn whatever_fails_a_stop_ends_everyone_once(
        strategy in strategies(), before in moves(), during in moves(), max_restarts in 0_u32..5, kill: bool,
    ) {
        let mut world = World::new(strategy, 4, max_restarts);
        play(&mut world, before);
        world.plan.stop(kill);
        world.follow_up();
        play(&mut world, during);
        world.settle();
        prop_assert!(world.children.iter().all(|child| !child.launched));
        let mut forgotten = world.forgotten;
        forgotten.sort_unstable();
        prop_assert_eq!(forgotten, vec![0, 1, 2, 3]);
        let ended = matches!(world.reports.last(), Some(Step::ReportEnded(_)));
        prop_assert!(ended);
    }

    #[test]
    fn a_drain_without_failures_is_a_clean_one(strategy in strategies(), before in moves()) {
        let mut world = World::new(strategy, 4, u32::MAX);
        play(&mut world, before);
        world.plan.stop(false);
        world.follow_up();
        world.settle();
        prop_assert_eq!(world.reports.last(), Some(&Step::ReportEnded(Exit::Drained)));
    }
}

#[test]
fn a_failure_that_crosses_with_a_hold_is_not_its_answer() {
    use Move::{Act, Deliver, Fail, Lose};
    let mut world = World::new(Restart::RestForOne, 4, u32::MAX);
    let up = [Act(0), Act(0), Deliver(0), Act(1)];
    // 1 is told to hold, and fails before it hears of it.
    let crossing = [Lose(0), Deliver(0), Fail(1), Deliver(1)];
    let up_again = [Act(0), Act(0), Deliver(0)];
    // It hears of it now, and of what came after; the next hold must not be taken for answered.
    let late = [Act(1), Act(1), Lose(0), Deliver(0), Deliver(1)];
    play(&mut world, [&up[..], &crossing, &up_again, &late].concat());
    world.settle();
    assert!(world.children.iter().all(|child| child.up));
}
