//! A failed life costs what it held and nothing else: address, queue and neighbours live on.
//!
//! One test for each row of what actix does by itself that would hurt.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use millrace_actors::{Actor, ActorRef, Ctx, Exit, Failure, ItemId, Phase, Place, Receive, State, Strategy};
use support::*;
use tokio::time::sleep;

#[test]
fn panics_unwind_in_this_profile() {
    // Also shown by every other test here; this one says why they would abort.
    let unwinds = std::panic::catch_unwind(|| panic!("unwind"));
    assert!(unwinds.is_err() && std::hint::black_box(cfg!(panic = "unwind")), "supervision needs unwinding");
}

#[test]
fn a_panicking_handler_costs_its_message_only() {
    paused(async {
        let log = Log::default();
        let (to, _root) = single(&log, Script::default()).await;
        to.tell(Do::new(|probe, _| probe.state = 7)).unwrap();
        to.tell(Do::panic("poison")).unwrap();
        to.tell(Do::say("got the one behind")).unwrap();
        sleep(ms(100)).await;
        assert_eq!(log.lines(), ["a started", "a restarting", "a started", "a got the one behind"]);
        assert_eq!(ask(&to, |probe| probe.state).await, Some(0), "state is built anew");
        let exit = Exit::Panicked { text: "poison".into(), phase: Phase::Receive };
        assert_eq!(ask(&to, |probe| probe.last_failure.clone()).await, Some(Some(Failure { exit, at_hand: None })));
    });
}

#[test]
fn neighbours_do_not_notice_a_crash() {
    paused(async {
        let log = Log::default();
        let (a, b) = (unborn("a"), unborn("b"));
        let children = [&a, &b].map(|to| probe(to, Place::System, &log, Script::default()));
        let _root = root(Strategy::OneForOne, children.into());
        settle().await;
        a.crash("down");
        sleep(ms(100)).await;
        assert_eq!(log.count("a started"), 2);
        assert_eq!(log.count("b started"), 1);
    });
}

#[test]
fn a_panicking_task_ends_the_life() {
    paused(async {
        let log = Log::default();
        let (to, _root) = single(&log, Script::default()).await;
        to.tell(Do::new(|_, ctx| {
            ctx.spawn(async { sleep(ms(5)).await }, |_, (), _| panic!("in then"));
            ctx.spawn(async { sleep(ms(300)).await }, |probe, (), _| probe.say("survived"));
        }))
        .unwrap();
        sleep(ms(200)).await;
        let failure = ask(&to, |probe| probe.last_failure.clone()).await.flatten().unwrap();
        assert_eq!(failure.exit, Exit::Panicked { text: "in then".into(), phase: Phase::Task });
        to.tell(Do::new(|_, ctx| {
            let poll = async {
                sleep(ms(5)).await;
                panic!("in poll");
            };
            ctx.spawn(poll, |_, (), _| ());
        }))
        .unwrap();
        sleep(ms(1000)).await;
        let failure = ask(&to, |probe| probe.last_failure.clone()).await.flatten().unwrap();
        assert_eq!(failure.exit, Exit::Panicked { text: "in poll".into(), phase: Phase::Task });
        assert_eq!(log.count("a survived"), 0, "tasks of a life end with it");
    });
}

#[test]
fn tasks_are_cancelled_at_once_not_after_the_back_off() {
    struct Guard(Log);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.say("guard dropped");
        }
    }
    paused(async {
        let log = Log::default();
        let (to, _root) = single(&log, Script::default()).await;
        let guard = Guard(log.clone());
        to.tell(Do::new(move |_, ctx| {
            let holds = async move {
                std::future::pending::<()>().await;
                drop(guard);
            };
            ctx.spawn(holds, |_, (), _| ());
        }))
        .unwrap();
        to.tell(Do::panic("poison")).unwrap();
        settle().await;
        assert_eq!(log.lines(), ["a started", "guard dropped", "a restarting"]);
    });
}

#[test]
fn a_panic_in_a_cancelled_task_does_not_spoil_the_restart() {
    struct Bomb(Log);
    impl Drop for Bomb {
        fn drop(&mut self) {
            self.0.say("bomb");
            panic!("in drop");
        }
    }
    paused(async {
        let log = Log::default();
        let (to, _root) = single(&log, Script::default()).await;
        let bombs = [Bomb(log.clone()), Bomb(log.clone())];
        to.tell(Do::new(move |_, ctx| {
            for bomb in bombs {
                let holds = async move {
                    std::future::pending::<()>().await;
                    drop(bomb);
                };
                ctx.spawn(holds, |_, (), _| ());
            }
        }))
        .unwrap();
        to.tell(Do::panic("poison")).unwrap();
        sleep(ms(100)).await;
        assert_eq!(log.lines(), ["a started", "bomb", "bomb", "a restarting", "a started"]);
    });
}

#[test]
fn an_actor_that_stops_is_restarted_and_keeps_its_queue() {
    paused(async {
        let log = Log::default();
        let (to, _root) = single(&log, Script::default()).await;
        to.tell(Do::new(|_, ctx| ctx.stop())).unwrap();
        to.tell(Do::say("got the one behind")).unwrap();
        sleep(ms(100)).await;
        assert_eq!(log.lines(), ["a started", "a restarting", "a started", "a got the one behind"]);
    });
}

fn stop(ctx: &mut Ctx<'_, Probe>) {
    ctx.stop();
}

#[test]
fn stopping_in_started_backs_off_instead_of_spinning() {
    paused(async {
        let log = Log::default();
        let to = unborn("a");
        let child = probe(&to, Place::System, &log, Script::started(stop));
        let root = root(Strategy::OneForOne, vec![child]);
        let exit = root.ended().await;
        assert_eq!(log.times("a started"), [0, 50, 150, 350].map(|at| at + log.times("a started")[0]));
        assert_eq!(log.lines().last().unwrap(), "a stopped");
        let last = Exit::TooManyRestarts { last: Box::new(Exit::Stopped), count: 4 };
        let gave_up = Exit::ChildGaveUp { child: "a".into(), exit: Box::new(last) };
        assert_eq!(exit, Exit::TooManyRestarts { last: Box::new(gave_up), count: 1 });
    });
}

#[test]
fn an_actor_can_fail_without_a_panic() {
    paused(async {
        let log = Log::default();
        let (to, _root) = single(&log, Script::default()).await;
        to.tell(Do::new(|_, ctx| ctx.fail("fenced"))).unwrap();
        sleep(ms(100)).await;
        let failure = ask(&to, |probe| probe.last_failure.clone()).await.flatten().unwrap();
        assert_eq!(failure.exit, Exit::Failed { text: "fenced".into() });
    });
}

#[test]
fn a_panicking_factory_is_tried_again_and_loses_no_message() {
    struct Late;
    impl Actor for Late {
        fn restarting(&mut self, _: &Failure) {}
    }
    impl Receive<Log> for Late {
        fn receive(&mut self, log: Log, _: &mut Ctx<'_, Self>) {
            log.say("received");
        }
    }
    paused(async {
        let (log, tries) = (Log::default(), Arc::new(AtomicU32::new(0)));
        let to = ActorRef::<Late>::unborn("late", 4);
        to.tell(log.clone()).unwrap();
        let child = millrace_actors::actor(to.clone(), Place::System, budget(), move || {
            assert!(tries.fetch_add(1, Relaxed) >= 2, "not yet");
            Late
        });
        let _root = root(Strategy::OneForOne, vec![child]);
        sleep(ms(140)).await;
        assert_eq!(to.state(), State::BackingOff);
        sleep(ms(60)).await;
        assert_eq!(log.lines(), ["received"]);
    });
}

#[test]
fn a_panic_in_restarting_has_its_own_exit_and_is_tried_again() {
    paused(async {
        let (log, tries) = (Log::default(), Arc::new(AtomicU32::new(0)));
        let script = Script::restarting(move || assert!(tries.fetch_add(1, Relaxed) > 0, "half rebuilt"));
        let (to, _root) = single(&log, script).await;
        to.crash("down");
        sleep(ms(300)).await;
        assert_eq!(log.lines(), ["a started", "a restarting", "a restarting", "a started"]);
        let failure = ask(&to, |probe| probe.last_failure.clone()).await.flatten().unwrap();
        assert_eq!(failure.exit, Exit::Panicked { text: "half rebuilt".into(), phase: Phase::Restarting });
    });
}

#[test]
fn a_panicking_stopped_does_not_abort_the_process() {
    paused(async {
        let log = Log::default();
        let (to, root) = single(&log, Script::stopped(|| panic!("careless"))).await;
        to.tell(Do::panic("poison")).unwrap();
        settle().await;
        assert_eq!(root.kill().await, Exit::Killed);
        assert_eq!(log.lines(), ["a started", "a restarting", "a stopped"]);
    });
}

#[test]
fn an_actor_killed_before_its_first_turn_never_starts() {
    paused(async {
        let log = Log::default();
        let to = unborn("a");
        let root = root(Strategy::OneForOne, vec![probe(&to, Place::System, &log, Script::default())]);
        assert_eq!(root.kill().await, Exit::Killed);
        assert_eq!(log.count("a started"), 0);
        assert!(to.tell(Do::say("nothing")).is_err());
    });
}

#[test]
fn an_actor_that_nobody_knows_lives_on() {
    paused(async {
        let log = Log::default();
        let script = Script::started(|ctx| drop(ctx.every(ms(10), |probe, _| probe.say("ticked"))));
        let (to, _root) = single(&log, script).await;
        drop(to);
        sleep(ms(95)).await;
        assert_eq!(log.count("a ticked"), 9);
    });
}

#[test]
fn running_is_reported_only_when_started_is_over() {
    paused(async {
        let (log, tries) = (Log::default(), Arc::new(AtomicU32::new(0)));
        let first = unborn("first");
        let second = unborn("second");
        let script = Script::started(move |_| assert!(tries.fetch_add(1, Relaxed) > 0, "not yet"));
        let children =
            vec![probe(&first, Place::System, &log, script), probe(&second, Place::System, &log, Script::default())];
        let _root = root(Strategy::OneForOne, children);
        settle().await;
        assert_eq!(log.take(), ["first started", "first restarting"]);
        assert_eq!((first.state(), second.state()), (State::BackingOff, State::Starting));
        sleep(ms(60)).await;
        assert_eq!(log.take(), ["first started", "second started"]);
        assert_eq!((first.state(), second.state()), (State::Running, State::Running));
    });
}

#[test]
fn the_item_at_hand_is_known_after_a_panic_and_only_then() {
    paused(async {
        let log = Log::default();
        let (to, _root) = single(&log, Script::default()).await;
        let at_hand =
            || async { ask(&to, |probe| probe.last_failure.as_ref().and_then(|failure| failure.at_hand)).await };
        // A message that is over is not suspect.
        to.tell(Do::new(|_, ctx| ctx.at_hand(ItemId(1)))).unwrap();
        to.tell(Do::panic("another")).unwrap();
        assert_eq!(at_hand().await, Some(None));
        to.tell(Do::new(|_, ctx| {
            ctx.at_hand(ItemId(2));
            panic!("poison");
        }))
        .unwrap();
        assert_eq!(at_hand().await, Some(Some(ItemId(2))));
        // A task's suspect is what was at hand when it was spawned.
        to.tell(Do::new(|_, ctx| {
            ctx.at_hand(ItemId(3));
            ctx.spawn(async { sleep(ms(5)).await }, |_, (), _| panic!("late poison"));
        }))
        .unwrap();
        sleep(ms(1000)).await;
        assert_eq!(at_hand().await, Some(Some(ItemId(3))));
        // Past the window, so that the budget lasts.
        sleep(ms(11_000)).await;
        to.tell(Do::new(|_, ctx| {
            ctx.at_hand(ItemId(4));
            let poll = async {
                sleep(ms(5)).await;
                panic!("later poison");
            };
            ctx.spawn(poll, |_, (), _| ());
            // What is at hand after that is not what the task works on, nor is a timer's tick.
            ctx.at_hand(ItemId(5));
        }))
        .unwrap();
        sleep(ms(1000)).await;
        assert_eq!(at_hand().await, Some(Some(ItemId(4))));
        to.tell(Do::new(|_, ctx| {
            ctx.at_hand(ItemId(6));
            ctx.later(ms(5), |_, _| panic!("tick"));
        }))
        .unwrap();
        sleep(ms(1000)).await;
        assert_eq!(at_hand().await, Some(None));
    });
}

#[test]
fn a_crash_on_demand_has_nothing_at_hand() {
    paused(async {
        let log = Log::default();
        let (to, _root) = single(&log, Script::default()).await;
        to.tell(Do::new(|_, ctx| ctx.at_hand(ItemId(1)))).unwrap();
        to.crash("game day");
        sleep(ms(100)).await;
        let exit = Exit::Panicked { text: "game day".into(), phase: Phase::Crash };
        assert_eq!(ask(&to, |probe| probe.last_failure.clone()).await.flatten(), Some(Failure { exit, at_hand: None }));
    });
}
