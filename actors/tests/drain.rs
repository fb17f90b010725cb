//! Draining lets everyone finish, in reverse order and in time; killing does not.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use millrace_actors::{
    ActorRef, Arbiters, Env, Exit, How, Place, Root, SpecError, StartError, State, Strategy, supervisor,
};
use support::*;
use tokio::time::{Instant, sleep};

const LONG: Duration = Duration::from_secs(30);

/// Finishes 100 ms after it is asked to.
fn slow() -> Script {
    Script::drain(|ctx| {
        ctx.later(ms(100), |_, ctx| ctx.drained());
    })
}

#[test]
fn drain_finishes_what_is_queued_in_reverse_order() {
    paused(async {
        let log = Log::default();
        let refs = ["a", "b"].map(unborn);
        let root = root(Strategy::OneForOne, refs.iter().map(|to| probe(to, Place::System, &log, slow())).collect());
        settle().await;
        let start = Instant::now();
        refs[1].tell(Do::say("worked")).unwrap();
        let drained = root.drain(LONG);
        settle().await;
        assert_eq!(refs[1].state(), State::Draining);
        // The older one still serves the younger.
        let a = refs[0].clone();
        refs[1].tell(Do::new(move |_, _| a.tell(Do::say("helped")).unwrap())).unwrap();
        assert_eq!(drained.await, Exit::Drained);
        assert_eq!(start.elapsed(), ms(200));
        let expected =
            ["a started", "b started", "b worked", "b drain", "a helped", "b stopped", "a drain", "a stopped"];
        assert_eq!(log.lines(), expected);
    });
}

#[test]
fn what_does_not_finish_by_the_deadline_is_killed() {
    paused(async {
        let log = Log::default();
        let refs = ["a", "b"].map(unborn);
        let never = Script::drain(|_| ());
        let root = root(
            Strategy::OneForOne,
            vec![probe(&refs[0], Place::System, &log, Script::default()), probe(&refs[1], Place::System, &log, never)],
        );
        settle().await;
        let start = Instant::now();
        assert_eq!(root.drain(LONG).await, Exit::Killed);
        assert_eq!(start.elapsed(), LONG);
        assert_eq!(log.lines().last().unwrap(), "a stopped");
    });
}

#[test]
fn a_crash_while_draining_does_not_end_the_draining() {
    paused(async {
        let (log, asked) = (Log::default(), Arc::new(AtomicU32::new(0)));
        let script = Script::drain(move |ctx| {
            assert!(asked.fetch_add(1, Relaxed) > 0, "at the first try");
            ctx.drained();
        });
        let (to, root) = single(&log, script).await;
        let drained = root.drain(LONG);
        to.tell(Do::say("worked")).unwrap();
        assert_eq!(drained.await, Exit::Drained);
        let expected = ["a started", "a drain", "a restarting", "a started", "a worked", "a drain", "a stopped"];
        // The message was sent before the order arrived, or after; it is received in either case.
        let mut lines = log.lines();
        lines.retain(|line| line != "a worked");
        assert_eq!(lines, expected.into_iter().filter(|line| *line != "a worked").collect::<Vec<_>>());
        assert_eq!(log.count("a worked"), 1);
    });
}

#[test]
fn one_in_back_off_is_brought_up_to_finish() {
    paused(async {
        let log = Log::default();
        let (to, root) = single(&log, Script::default()).await;
        to.crash("down");
        settle().await;
        assert_eq!(to.state(), State::BackingOff);
        to.tell(Do::say("worked")).unwrap();
        assert_eq!(root.drain(LONG).await, Exit::Drained);
        assert_eq!(log.lines(), ["a started", "a restarting", "a started", "a worked", "a drain", "a stopped"]);
    });
}

#[test]
fn one_held_for_a_sibling_is_brought_up_to_finish() {
    paused(async {
        let log = Log::default();
        let refs = ["a", "b"].map(unborn);
        let children = refs.iter().map(|to| probe(to, Place::System, &log, Script::default())).collect();
        let root = root(Strategy::RestForOne, children);
        settle().await;
        refs[0].crash("down");
        settle().await;
        assert_eq!(refs.each_ref().map(ActorRef::state), [State::BackingOff, State::Held]);
        refs[1].tell(Do::say("worked")).unwrap();
        assert_eq!(root.drain(LONG).await, Exit::Drained);
        assert_eq!(log.count("b worked"), 1);
    });
}

#[test]
fn kill_waits_for_nothing() {
    paused(async {
        let log = Log::default();
        let (to, root) = single(&log, slow()).await;
        let start = Instant::now();
        to.tell(Do::say("worked")).unwrap();
        assert_eq!(root.kill().await, Exit::Killed);
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(log.count("a drain"), 0);
    });
}

#[test]
fn drained_means_nothing_unless_asked() {
    paused(async {
        let log = Log::default();
        let (to, _root) = single(&log, Script::default()).await;
        to.tell(Do::new(|_, ctx| ctx.drained())).unwrap();
        sleep(ms(100)).await;
        assert_eq!(log.lines(), ["a started"]);
    });
}

#[test]
fn a_drain_can_still_become_a_kill() {
    paused(async {
        let log = Log::default();
        let (_to, root) = single(&log, Script::drain(|_| ())).await;
        let drained = root.drain(LONG);
        settle().await;
        let start = Instant::now();
        assert_eq!(root.kill().await, Exit::Killed);
        assert_eq!(drained.await, Exit::Killed);
        assert_eq!(start.elapsed(), Duration::ZERO);
    });
}

#[test]
fn children_come_and_go_while_the_tree_runs() {
    paused(async {
        let log = Log::default();
        let workers = supervisor(spec("workers", Strategy::OneForOne, Vec::new()));
        let env = Env::new(Arbiters::none());
        let workers_ref = env.observer.supervisor("workers");
        let child = |name: &str, script| probe(&unborn(name), Place::System, &log, script);
        // Asked before the tree starts.
        let first = workers_ref.start_child(child("a", slow()));
        let root = Root::start(spec("root", Strategy::OneForOne, vec![workers]), env).unwrap();
        first.await.unwrap();
        workers_ref.start_child(child("b", slow())).await.unwrap();
        let taken = workers_ref.start_child(child("a", slow())).await;
        assert_eq!(taken, Err(StartError::Spec(SpecError::NameTaken { name: "a".into() })));
        assert_eq!(root.observer().names(), ["a", "b", "root", "workers"]);

        // Both at once, each within its own time.
        let start = Instant::now();
        let both = [How::Drain(LONG), How::Drain(ms(30))].into_iter().zip(["a", "b"]);
        let both = both.map(|(how, name)| workers_ref.stop_child(name, how));
        let exits = futures_util::future::join_all(both).await;
        assert_eq!(exits, [Exit::Drained, Exit::Killed]);
        assert_eq!(start.elapsed(), ms(100));
        assert_eq!(workers_ref.stop_child("a", How::Kill).await, Exit::Stopped, "it is not there");
        workers_ref.start_child(child("a", Script::default())).await.unwrap();
        assert_eq!(root.drain(LONG).await, Exit::Drained);
        let late = workers_ref.start_child(child("c", Script::default())).await;
        assert_eq!(late, Err(StartError::NoSupervisor));
    });
}

#[test]
fn a_child_that_gives_up_before_it_is_up_says_so() {
    paused(async {
        let log = Log::default();
        let env = Env::new(Arbiters::none());
        let tree = spec("root", Strategy::OneForOne, Vec::new());
        let root = Root::start(tree, env).unwrap();
        let hopeless = probe(&unborn("a"), Place::System, &log, Script::started(|_| panic!("hopeless")));
        let hopeless = hopeless.with_policy(millrace_actors::RestartPolicy::Temporary);
        let Err(StartError::Ended(exit)) = root.supervisor("root").start_child(hopeless).await else {
            panic!("started")
        };
        assert_eq!(exit.to_string(), "panicked in started: hopeless");
    });
}
