//! Whoever is stuck is seen from outside, and reported until it goes on.
#![expect(clippy::disallowed_methods, reason = "a thread has to be stuck for the watchdog to see it")]
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::{
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use millrace_actors::{
    ActorRef, Arbiters, Env, Limits, Root, RootHandle, Sighting, State, Strategy, Subject, Watchdog,
};
use support::*;
use tokio::time::sleep;

struct Stage {
    arbiters: Arbiters,
    a: ActorRef<Probe>,
    b: ActorRef<Probe>,
    root: RootHandle,
    sightings: Arc<Mutex<Vec<Sighting>>>,
    watchdog: Watchdog,
}

/// `a` on one worker, `b` on another.
async fn stage() -> Stage {
    let (log, arbiters) = (Log::default(), Arbiters::start(2).unwrap());
    let (a, b) = (unborn("a"), unborn("b"));
    let children = vec![
        probe(&a, arbiters.place(0), &log, Script::default()),
        probe(&b, arbiters.place(1), &log, Script::default()),
    ];
    let env = Env::new(arbiters.clone());
    let sightings = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&sightings);
    let limits = Limits { blocked: ms(100), stalled: ms(100), arbiter: ms(200) };
    let watchdog = Watchdog::start(&env, limits, move |sighting| seen.lock().unwrap().push(sighting.clone())).unwrap();
    let root = Root::start(spec("root", Strategy::OneForOne, children), env).unwrap();
    until(|| b.state() == State::Running).await;
    Stage { arbiters, a, b, root, sightings, watchdog }
}

impl Stage {
    fn wedged(&self) -> Vec<Subject> {
        let sightings = self.sightings.lock().unwrap();
        let wedged = sightings.iter().filter_map(|sighting| match sighting {
            Sighting::Wedged { subject, .. } => Some(subject.clone()),
            _ => None,
        });
        wedged.collect()
    }

    fn recovered(&self) -> Vec<Subject> {
        let sightings = self.sightings.lock().unwrap();
        let recovered = sightings.iter().filter_map(|sighting| match sighting {
            Sighting::Recovered { subject, lasted } if *lasted >= ms(100) => Some(subject.clone()),
            _ => None,
        });
        recovered.collect()
    }

    async fn end(self) {
        drop(self.watchdog);
        self.root.kill().await;
        self.arbiters.stop();
    }
}

fn actor(name: &str) -> Subject {
    Subject::Actor(name.into())
}

#[test]
fn a_blocked_handler_is_seen_with_its_arbiter_and_so_is_its_recovery() {
    real(async {
        let stage = stage().await;
        let (release, stuck) = mpsc::channel::<()>();
        stage.a.tell(Do::new(move |_, _| assert!(stuck.recv().is_err(), "released"))).unwrap();
        let worker = Subject::Arbiter("worker-0".into());
        until(|| stage.wedged() == [actor("a"), worker.clone()]).await;
        assert_eq!((stage.a.state(), stage.b.state()), (State::Wedged, State::Running));
        assert!(!stage.a.is_available());
        until(|| stage.sightings.lock().unwrap().iter().any(|seen| matches!(seen, Sighting::StillWedged { .. }))).await;
        // The dashboard still answers, within its limit.
        let reports = stage.root.observer().snapshot(ms(50)).await;
        let report = |name: &str| reports.iter().find(|report| report.name == name).unwrap();
        assert_eq!((report("a").state, report("b").state), (State::Wedged, State::Running));
        assert!(report("a").observed.is_null());
        assert_eq!(report("b").observed, serde_json::json!({ "state": 0 }));
        drop(release);
        until(|| stage.recovered().len() == 2).await;
        assert_eq!(stage.a.state(), State::Running);
        assert!(stage.recovered().contains(&worker));
        stage.end().await;
    });
}

#[test]
fn work_that_comes_to_nothing_is_seen() {
    real(async {
        let stage = stage().await;
        stage
            .a
            .try_send(Do::new(|_, ctx| {
                // A timer is no progress.
                ctx.every(ms(10), |_, _| ());
                let permit = ctx.take_permit();
                ctx.spawn(std::future::pending(), |_, (), _| drop(permit));
            }))
            .unwrap();
        until(|| stage.wedged() == [actor("a")]).await;
        // A message that is handled is.
        until(|| {
            stage.a.tell(Do::new(|_, _| ())).unwrap();
            stage.recovered() == [actor("a")]
        })
        .await;
        stage.end().await;
    });
}

#[test]
fn an_actor_that_holds_a_place_for_long_but_works_is_not_stuck() {
    real(async {
        let stage = stage().await;
        let hold = Do::new(|_, ctx| {
            let permit = ctx.take_permit();
            ctx.spawn(std::future::pending(), |_, (), _| drop(permit));
        });
        stage.a.try_send(hold).unwrap();
        for _ in 0..10 {
            sleep(ms(40)).await;
            stage.a.tell(Do::new(|_, _| ())).unwrap();
        }
        assert_eq!(stage.wedged(), []);
        stage.end().await;
    });
}

#[test]
fn an_idle_actor_is_not_stuck() {
    real(async {
        let stage = stage().await;
        sleep(ms(400)).await;
        assert_eq!(stage.wedged(), []);
        stage.end().await;
    });
}

#[test]
fn a_protected_wait_and_a_touched_computation_are_not_stuck() {
    real(async {
        let stage = stage().await;
        stage
            .a
            .try_send(Do::new(|_, ctx| {
                let (permit, zone) = (ctx.take_permit(), ctx.progress().protected());
                ctx.spawn(sleep(ms(400)), move |probe, (), _| {
                    drop((permit, zone));
                    probe.say("over");
                });
            }))
            .unwrap();
        stage
            .b
            .try_send(Do::new(|_, ctx| {
                for _ in 0..20 {
                    std::thread::sleep(Duration::from_millis(20));
                    ctx.progress().touch();
                }
            }))
            .unwrap();
        sleep(ms(500)).await;
        let wedged: Vec<_> =
            stage.wedged().into_iter().filter(|subject| matches!(subject, Subject::Actor(_))).collect();
        assert_eq!(wedged, []);
        stage.end().await;
    });
}

#[test]
fn a_stuck_system_arbiter_is_seen() {
    real(async {
        let stage = stage().await;
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(stage.wedged(), [Subject::Arbiter("system".into())]);
        until(|| stage.recovered() == [Subject::Arbiter("system".into())]).await;
        stage.end().await;
    });
}
