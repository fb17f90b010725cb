//! Who is restarted with whom, in which order, and what happens when restarting does not help.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::sync::{Arc, Mutex};

use millrace_actors::{
    ActorRef, Arbiters, Budget, Env, Exit, Happening, Phase, Place, RestartPolicy, Root, RootHandle, SpecError, State,
    Strategy, SupervisorSpec, supervisor,
};
use support::*;
use tokio::time::sleep;

fn three(log: &Log) -> ([ActorRef<Probe>; 3], Vec<millrace_actors::ChildSpec>) {
    let refs = ["a", "b", "c"].map(unborn);
    let children = refs.iter().map(|to| probe(to, Place::System, log, Script::default())).collect();
    (refs, children)
}

fn gave_up(child: &str, last: Exit, count: u32) -> Exit {
    let exit = Exit::TooManyRestarts { last: Box::new(last), count };
    Exit::ChildGaveUp { child: child.into(), exit: Box::new(exit) }
}

fn crashed(text: &str) -> Exit {
    Exit::Panicked { text: text.into(), phase: Phase::Crash }
}

#[test]
fn children_start_in_order_and_stop_in_reverse() {
    paused(async {
        let log = Log::default();
        let (_refs, children) = three(&log);
        let root = root(Strategy::OneForOne, children);
        settle().await;
        assert_eq!(root.kill().await, Exit::Killed);
        assert_eq!(log.lines(), ["a started", "b started", "c started", "c stopped", "b stopped", "a stopped"]);
    });
}

#[test]
fn one_for_one_restarts_nobody_else() {
    paused(async {
        let log = Log::default();
        let ([a, b, _], children) = three(&log);
        let _root = root(Strategy::OneForOne, children);
        settle().await;
        log.take();
        a.crash("down");
        settle().await;
        // An older sibling in back-off holds up nobody.
        b.crash("down too");
        sleep(ms(100)).await;
        assert_eq!(log.lines(), ["a restarting", "b restarting", "a started", "b started"]);
    });
}

#[test]
fn rest_for_one_holds_the_younger_until_the_failed_one_is_up() {
    paused(async {
        let log = Log::default();
        let ([a, b, c], children) = three(&log);
        let _root = root(Strategy::RestForOne, children);
        settle().await;
        log.take();
        b.crash("down");
        settle().await;
        assert_eq!(log.take(), ["c restarting", "b restarting"], "reverse order");
        assert_eq!([a.state(), b.state(), c.state()], [State::Running, State::BackingOff, State::Held]);
        c.tell(Do::say("got what was sent while held")).unwrap();
        sleep(ms(100)).await;
        assert_eq!(log.take(), ["b started", "c started", "c got what was sent while held"]);
        let why = ask(&c, |probe| probe.last_failure.clone()).await.flatten().unwrap();
        assert_eq!(why.exit, Exit::SiblingFailed { child: "b".into() });
    });
}

#[test]
fn one_for_all_restarts_all_in_order() {
    paused(async {
        let log = Log::default();
        let ([_, b, _], children) = three(&log);
        let _root = root(Strategy::OneForAll, children);
        settle().await;
        log.take();
        b.crash("down");
        sleep(ms(100)).await;
        let down = ["c restarting", "b restarting", "a restarting"];
        let up = ["a started", "b started", "c started"];
        assert_eq!(log.lines(), [down, up].concat());
    });
}

#[test]
fn two_failures_at_once_leave_everyone_up() {
    for strategy in [Strategy::OneForOne, Strategy::RestForOne, Strategy::OneForAll] {
        paused(async {
            let log = Log::default();
            let (refs, children) = three(&log);
            let root = root(strategy, children);
            settle().await;
            for (first, second) in [(0, 1), (1, 0), (0, 2), (2, 1)] {
                refs[first].crash("first");
                refs[second].crash("second");
                // Past the window, so that each round is judged alone.
                sleep(ms(11_000)).await;
                assert_eq!(refs.each_ref().map(ActorRef::state), [State::Running; 3], "{strategy:?} {first} {second}");
            }
            assert_eq!(root.kill().await, Exit::Killed);
        });
    }
}

#[test]
fn a_crash_loop_escalates_to_the_root_which_ends_everything_in_reverse() {
    paused(async {
        let log = Log::default();
        let ([a, b, c], children) = three(&log);
        let root = root(Strategy::OneForOne, children);
        settle().await;
        log.take();
        for _ in 0..4 {
            b.crash("hopeless");
            sleep(ms(500)).await;
        }
        let count = |text: &str| log.count(text);
        let gave_up = gave_up("b", crashed("hopeless"), 4);
        assert_eq!(root.ended().await, Exit::TooManyRestarts { last: Box::new(gave_up), count: 1 });
        assert_eq!((count("b restarting"), count("b started")), (3, 3));
        // Held first (which is a restart that never starts), then ended.
        let last: Vec<_> = log.lines().into_iter().rev().take(5).collect();
        assert_eq!(last, ["a stopped", "b stopped", "c stopped", "a restarting", "c restarting"]);
        assert!([a, b, c].iter().all(|to| to.state() == State::Stopped && to.tell(Do::say("lost")).is_err()));
    });
}

/// root (gives up at once) over `middle` (one restart) over a, b.
fn nested(log: &Log, listener: impl Fn(&Happening) + Send + Sync + 'static) -> ([ActorRef<Probe>; 3], RootHandle) {
    let (refs, mut children) = three(log);
    let outside = children.remove(0);
    let middle = SupervisorSpec {
        budget: Budget { max_restarts: 1, ..budget() },
        ..spec("middle", Strategy::RestForOne, children)
    };
    let spec =
        SupervisorSpec { budget: no_restart(), ..spec("root", Strategy::OneForOne, vec![outside, supervisor(middle)]) };
    (refs, Root::start(spec, Env::new(Arbiters::none()).with_listener(listener)).unwrap())
}

#[test]
fn a_supervisor_is_restarted_in_place_with_a_clean_record() {
    paused(async {
        let log = Log::default();
        let ([a, b, c], root) = nested(&log, |_| ());
        settle().await;
        log.take();
        for _ in 0..4 {
            b.crash("hopeless");
            sleep(ms(400)).await;
        }
        c.tell(Do::say("got it")).unwrap();
        sleep(ms(100)).await;
        assert_eq!([a.state(), b.state(), c.state()], [State::Running; 3]);
        assert_eq!(log.lines().last().unwrap(), "c got it", "addresses survive the restart of a supervisor");
        assert_eq!(log.count("a restarting"), 0);
        // The children's failures before the supervisor's restart do not count any more.
        for _ in 0..3 {
            b.crash("hopeless");
            sleep(ms(400)).await;
        }
        assert_eq!(b.state(), State::Running);
        b.crash("once too often");
        let exit = root.ended().await;
        let inner = gave_up("b", crashed("once too often"), 4);
        let outer = gave_up("middle", inner, 2);
        assert_eq!(exit, Exit::TooManyRestarts { last: Box::new(outer), count: 1 });
    });
}

#[test]
fn nested_supervisors_start_in_order_and_stop_in_reverse() {
    paused(async {
        let log = Log::default();
        let (_refs, root) = nested(&log, |_| ());
        settle().await;
        assert_eq!(root.kill().await, Exit::Killed);
        assert_eq!(log.lines(), ["a started", "b started", "c started", "c stopped", "b stopped", "a stopped"]);
    });
}

#[test]
fn what_happens_is_told_in_order() {
    paused(async {
        let log = Log::default();
        let told = Arc::new(Mutex::new(Vec::new()));
        let teller = Arc::clone(&told);
        let (refs, root) = nested(&log, move |happening| teller.lock().unwrap().push(happening.to_string()));
        settle().await;
        refs[1].crash("down");
        sleep(ms(100)).await;
        root.kill().await;
        let expected = [
            "a is up, life 1",
            "b is up, life 1",
            "c is up, life 1",
            "middle is up, life 1",
            "root is up, life 1",
            "b panicked in crash: down; restart after 50ms",
            "b is up, life 2",
            "c is up, life 2",
            "c ended: killed",
            "b ended: killed",
            "middle ended: killed",
            "a ended: killed",
            "root ended: killed",
        ];
        assert_eq!(*told.lock().unwrap(), expected);
    });
}

#[test]
fn a_panicking_listener_does_not_disturb_supervision() {
    paused(async {
        let log = Log::default();
        let ([_, b, _], root) = nested(&log, |_| panic!("listener"));
        settle().await;
        b.crash("down");
        sleep(ms(100)).await;
        assert_eq!(b.state(), State::Running);
        assert_eq!(root.kill().await, Exit::Killed);
    });
}

#[test]
fn policies_say_who_lives_again() {
    paused(async {
        let log = Log::default();
        let told = Arc::new(Mutex::new(Vec::new()));
        let teller = Arc::clone(&told);
        let (refs, children) = three(&log);
        let policies = [RestartPolicy::Permanent, RestartPolicy::Transient, RestartPolicy::Temporary];
        let children = children.into_iter().zip(policies).map(|(child, policy)| child.with_policy(policy)).collect();
        let env = Env::new(Arbiters::none()).with_listener(move |happening| {
            if let Happening::Ended { actor, exit } = happening {
                teller.lock().unwrap().push(format!("{actor} {exit}"));
            }
        });
        let _root = Root::start(spec("root", Strategy::OneForOne, children), env).unwrap();
        settle().await;
        refs[0].tell(Do::new(|_, ctx| ctx.stop())).unwrap();
        refs[1].crash("down");
        refs[2].crash("down");
        sleep(ms(100)).await;
        let states = || refs.each_ref().map(ActorRef::state);
        assert_eq!(states(), [State::Running, State::Running, State::Stopped]);
        refs[1].tell(Do::new(|_, ctx| ctx.stop())).unwrap();
        sleep(ms(100)).await;
        assert_eq!(states(), [State::Running, State::Stopped, State::Stopped]);
        assert_eq!(*told.lock().unwrap(), ["c panicked in crash: down", "b stopped by itself"]);
        assert_eq!((log.count("b stopped"), log.count("c stopped"), log.count("a stopped")), (1, 1, 0));
    });
}

#[test]
fn a_specification_that_cannot_work_is_refused() {
    paused(async {
        let log = Log::default();
        let start = |children| Root::start(spec("root", Strategy::OneForOne, children), Env::new(Arbiters::none()));
        let twice = || probe(&unborn("a"), Place::System, &log, Script::default());
        let refused = start(vec![twice(), twice()]).err();
        assert_eq!(refused, Some(SpecError::NameTaken { name: "a".into() }));
        let never = Budget { window: ms(350), ..budget() };
        let child = millrace_actors::actor(unborn("b"), Place::System, never, || unreachable!("refused"));
        let Some(SpecError::Budget { name, .. }) = start(vec![child]).err() else { panic!("accepted") };
        assert_eq!(name, "b");
    });
}
