//! A lost arbiter is noticed and replaced, and its actors move under the same references.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::thread::ThreadId;

use millrace_actors::{Arbiters, Budget, Env, Exit, Place, Root, RootHandle, State, Strategy, SupervisorSpec};
use support::*;

fn two_on_one(log: &Log, strategy: Strategy) -> (Arbiters, [millrace_actors::ActorRef<Probe>; 2], RootHandle) {
    let arbiters = Arbiters::start(1).unwrap();
    let refs = ["a", "b"].map(unborn);
    let children = refs.iter().map(|to| probe(to, arbiters.place(0), log, Script::default())).collect();
    let budget = Budget { max_restarts: 0, ..budget() };
    let spec = SupervisorSpec { budget, ..spec("root", strategy, children) };
    let root = Root::start(spec, Env::new(arbiters.clone())).unwrap();
    (arbiters, refs, root)
}

async fn thread_of(to: &millrace_actors::ActorRef<Probe>) -> Option<ThreadId> {
    ask(to, |_| std::thread::current().id()).await
}

#[test]
fn actors_of_a_lost_arbiter_move_to_a_fresh_one_under_the_same_reference() {
    for strategy in [Strategy::OneForOne, Strategy::RestForOne, Strategy::OneForAll] {
        real(async move {
            let log = Log::default();
            let (arbiters, [a, b], root) = two_on_one(&log, strategy);
            until(|| b.state() == State::Running).await;
            let before = thread_of(&a).await.unwrap();
            assert_eq!(thread_of(&b).await, Some(before), "many actors share an arbiter");
            assert_ne!(before, std::thread::current().id());
            arbiters.iter().next().unwrap().lose();
            until(|| log.count("a started") == 2 && log.count("b started") == 2).await;
            let after = thread_of(&a).await.unwrap();
            assert_ne!(after, before, "{strategy:?}");
            assert_eq!(thread_of(&b).await, Some(after));
            assert_eq!((log.count("a stopped"), log.count("b stopped")), (1, 1), "the old ones had their last word");
            assert_eq!(arbiters.iter().next().unwrap().generation(), 2);
            let report = root.observer().snapshot(ms(500)).await.into_iter().find(|report| report.name == "a").unwrap();
            assert_eq!(report.restarts.by_reason.get("arbiter_lost"), Some(&1));
            assert_eq!(report.generation, 2);
            assert_eq!(root.kill().await, Exit::Killed);
            arbiters.stop();
        });
    }
}

#[test]
fn messages_sent_while_an_actor_moves_wait_for_it() {
    real(async {
        let log = Log::default();
        let (arbiters, [a, _], root) = two_on_one(&log, Strategy::OneForOne);
        until(|| a.state() == State::Running).await;
        arbiters.iter().next().unwrap().lose();
        until(|| a.state() != State::Running).await;
        a.tell(Do::say("got it")).unwrap();
        until(|| log.count("a got it") == 1).await;
        assert_eq!(root.kill().await, Exit::Killed);
        arbiters.stop();
    });
}

#[test]
fn an_arbiter_lost_while_its_actors_are_in_back_off_is_noticed() {
    real(async {
        let log = Log::default();
        let (arbiters, [a, b], root) = two_on_one(&log, Strategy::RestForOne);
        until(|| b.state() == State::Running).await;
        a.crash("down");
        until(|| b.state() == State::Held).await;
        arbiters.iter().next().unwrap().lose();
        until(|| a.state() == State::Running && b.state() == State::Running).await;
        assert_eq!(thread_of(&a).await, thread_of(&b).await);
        assert_eq!(root.kill().await, Exit::Killed);
        arbiters.stop();
    });
}

#[test]
fn an_arbiter_lost_while_draining_does_not_end_the_draining() {
    real(async {
        let log = Log::default();
        let (arbiters, [_, b], root) = two_on_one(&log, Strategy::OneForOne);
        until(|| b.state() == State::Running).await;
        arbiters.iter().next().unwrap().lose();
        assert_eq!(root.drain(ms(5000)).await, Exit::Drained);
        assert_eq!((log.count("a drain"), log.count("b drain")), (1, 1));
        arbiters.stop();
    });
}

#[test]
fn an_arbiter_that_dies_again_and_again_exceeds_the_budget() {
    real(async {
        let log = Log::default();
        let (arbiters, [a, _], root) = two_on_one(&log, Strategy::OneForOne);
        // Neither actor is ever long without an arbiter, but four losses are one too many.
        for life in 1..=4 {
            until(|| log.count("a started") == life && a.state() == State::Running).await;
            arbiters.iter().next().unwrap().lose();
        }
        let Exit::TooManyRestarts { last, .. } = root.ended().await else { panic!("ended otherwise") };
        assert!(last.to_string().ends_with("lost its arbiter"), "{last}");
        arbiters.stop();
    });
}

#[test]
fn a_tree_ends_although_an_actor_is_stuck_in_a_call() {
    real(async {
        let log = Log::default();
        let (arbiters, [a, b], root) = two_on_one(&log, Strategy::OneForOne);
        until(|| b.state() == State::Running).await;
        let (release, stuck) = std::sync::mpsc::channel::<()>();
        a.tell(Do::new(move |_, _| assert!(stuck.recv().is_err(), "released"))).unwrap();
        assert_eq!(root.drain(ms(50)).await, Exit::Killed);
        assert!(a.tell(Do::say("lost")).is_err());
        drop(release);
        arbiters.stop();
    });
}

#[test]
fn the_last_word_is_heard_when_the_system_stops() {
    let log = Log::default();
    let heard = log.clone();
    let system = actix_rt::System::new();
    let _root = system.block_on(async move {
        let (to, root) = single(&heard, Script::default()).await;
        until(|| to.state() == State::Running).await;
        actix_rt::System::current().stop();
        root
    });
    system.run().unwrap();
    assert_eq!(log.lines(), ["a started", "a stopped"]);
}

#[test]
fn actors_need_not_be_send() {
    struct Local(std::rc::Rc<()>);
    impl millrace_actors::Actor for Local {
        fn restarting(&mut self, _: &millrace_actors::Failure) {
            self.0 = std::rc::Rc::default();
        }
    }
    real(async {
        let arbiters = Arbiters::start(1).unwrap();
        let to = millrace_actors::ActorRef::unborn("local", 1);
        let child = millrace_actors::actor(to.clone(), arbiters.place(0), budget(), || Local(std::rc::Rc::default()));
        let root = Root::start(spec("root", Strategy::OneForOne, vec![child]), Env::new(arbiters.clone())).unwrap();
        until(|| to.state() == State::Running).await;
        assert!(matches!(arbiters.place(7), Place::On(ref arbiter) if arbiter.name() == "worker-0"));
        assert_eq!(root.kill().await, Exit::Killed);
        arbiters.stop();
    });
}
