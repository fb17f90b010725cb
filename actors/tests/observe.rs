//! Everything that lives can be seen, named and counted.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use millrace_actors::{Actor, ActorRef, Arbiters, Env, Exit, Place, Pool, Root, RootHandle, State, Strategy};
use prometheus::{Registry, TextEncoder};
use serde_json::json;
use support::*;
use tokio::time::sleep;

async fn watched(log: &Log) -> (ActorRef<Probe>, RootHandle, Registry) {
    let (to, registry) = (unborn("a"), Registry::new());
    let env = Env::new(Arbiters::none()).with_metrics(&registry).unwrap();
    let child = probe(&to, Place::System, log, Script::default());
    let root = Root::start(spec("root", Strategy::OneForOne, vec![child]), env).unwrap();
    settle().await;
    (to, root, registry)
}

fn text(registry: &Registry) -> String {
    TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
}

#[test]
fn every_live_actor_is_reported_as_json() {
    paused(async {
        let log = Log::default();
        let (to, root, _) = watched(&log).await;
        to.crash("down");
        sleep(ms(100)).await;
        to.tell(Do::new(|probe, _| probe.state = 7)).unwrap();
        let _place = to.try_reserve().unwrap();
        sleep(ms(2000)).await;
        let reports = serde_json::to_value(root.observer().snapshot(ms(50)).await).unwrap();
        let mut report = reports[0].clone();
        let busy = report["busy_ratio"].take().as_f64().unwrap();
        let age = report["last_progress_seconds"].take().as_f64().unwrap();
        assert!((0.0..0.01).contains(&busy) && (1.9..2.1).contains(&age), "{busy} {age}");
        let expected = json!({
            "name": "a", "kind": "Probe", "supervisor": "root", "arbiter": "system", "state": "running", "generation": 2,
            "restarts": { "count": 1, "by_reason": { "panicked": 1 }, "last": "panicked in crash: down" },
            "mailbox": { "depth": 1, "limit": 4 }, "tasks": 0,
            "last_progress_seconds": null, "busy_ratio": null,
            "observed": { "state": 7 },
        });
        assert_eq!(report, expected);
        let root = &reports[1];
        assert_eq!(
            (&root["name"], &root["kind"], &root["supervisor"]),
            (&json!("root"), &json!("supervisor"), &json!(null))
        );
    });
}

#[test]
fn a_snapshot_waits_for_nobody_in_back_off() {
    paused(async {
        let log = Log::default();
        let (to, root, _) = watched(&log).await;
        to.crash("down");
        settle().await;
        let before = tokio::time::Instant::now();
        let reports = root.observer().snapshot(ms(5000)).await;
        assert_eq!(before.elapsed(), ms(0));
        assert_eq!((reports[0].state, reports[0].observed.is_null()), (State::BackingOff, true));
    });
}

#[test]
fn a_panicking_observe_costs_no_life() {
    struct Shy;
    impl Actor for Shy {
        fn restarting(&mut self, _: &millrace_actors::Failure) {
            unreachable!("it was not to be restarted");
        }
        fn observe(&self) -> serde_json::Value {
            panic!("do not look")
        }
    }
    paused(async {
        let to = ActorRef::unborn("shy", 1);
        let root = root(Strategy::OneForOne, vec![millrace_actors::actor(to, Place::System, budget(), || Shy)]);
        settle().await;
        let reports = root.observer().snapshot(ms(50)).await;
        assert_eq!(reports[1].observed, json!({ "observe_panicked": "do not look" }));
        assert_eq!(reports[1].generation, 1);
    });
}

#[test]
fn an_actor_is_found_by_name_and_crashed_on_a_game_day() {
    paused(async {
        let log = Log::default();
        let (to, root, _) = watched(&log).await;
        assert_eq!(root.observer().names(), ["a", "root"]);
        root.observer().find("a").unwrap().crash("game day");
        sleep(ms(100)).await;
        assert_eq!((to.state(), log.count("a restarting")), (State::Running, 1));
        assert!(root.observer().find("nobody").is_none());
        assert_eq!(root.kill().await, Exit::Killed);
        assert_eq!(root.observer().names(), Vec::<String>::new());
    });
}

#[test]
fn the_metrics_are_these() {
    paused(async {
        let log = Log::default();
        let (to, root, registry) = watched(&log).await;
        for _ in 0..3 {
            to.tell(Do::say("worked")).unwrap();
        }
        let held: Vec<_> = (0..4).map(|_| to.try_reserve().unwrap()).collect();
        let waiter = actix_rt::spawn(to.reserve());
        sleep(ms(500)).await;
        drop(held);
        let _place = waiter.await.unwrap();
        to.crash("down");
        sleep(ms(10)).await;
        let during = text(&registry);
        assert!(during.contains("millrace_actor_up{actor=\"a\"} 0\n"), "{during}");
        assert!(during.contains("millrace_actor_backoff_seconds{actor=\"a\"} 0.05\n"), "{during}");
        sleep(ms(100)).await;
        let after = text(&registry);
        let expected = [
            "actor_up{actor=\"a\"} 1",
            "actor_up{actor=\"root\"} 1",
            "actor_generation{actor=\"a\"} 2",
            "actor_restarts_total{actor=\"a\",reason=\"panicked\"} 1",
            "actor_panics_total{actor=\"a\"} 1",
            "actor_backoff_seconds{actor=\"a\"} 0",
            "mailbox_depth{actor=\"a\"} 1",
            "mailbox_limit{actor=\"a\"} 4",
            "messages_total{actor=\"a\"} 3",
        ];
        for line in expected {
            assert!(after.contains(&format!("\nmillrace_{line}\n")), "no {line} in:\n{after}");
        }
        let value = |name: &str| {
            let line = after.lines().find(|line| line.starts_with(&format!("millrace_{name}{{actor=\"a\"}}"))).unwrap();
            line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
        };
        assert!((0.49..0.51).contains(&value("backpressure_seconds_total")), "{after}");
        assert!((0.0..0.2).contains(&value("last_progress_age_seconds")), "{after}");
        assert!((0.0..0.1).contains(&value("busy_ratio")), "{after}");
        root.kill().await;
        let gone = text(&registry);
        assert!(gone.contains("millrace_actor_up{actor=\"a\"} 0\n"), "{gone}");
        assert!(gone.contains("millrace_messages_total{actor=\"a\"} 3\n"), "{gone}");
    });
}

#[test]
fn counters_go_on_when_a_name_comes_back() {
    paused(async {
        let log = Log::default();
        let (_, root, registry) = watched(&log).await;
        for round in 1..=3 {
            let to = unborn("b");
            let child = probe(&to, Place::System, &log, Script::default());
            root.supervisor("root").start_child(child).await.unwrap();
            to.tell(Do::say("worked")).unwrap();
            settle().await;
            let how = millrace_actors::How::Drain(ms(100));
            assert_eq!(root.supervisor("root").stop_child("b", how).await, Exit::Drained);
            assert!(text(&registry).contains(&format!("millrace_messages_total{{actor=\"b\"}} {round}\n")));
        }
    });
}

#[test]
fn a_pool_skips_who_is_down_and_prefers_who_has_least_to_do() {
    paused(async {
        let log = Log::default();
        let members: Vec<_> = ["a", "b", "c"].map(unborn).into();
        let children = members.iter().map(|to| probe(to, Place::System, &log, Script::default())).collect();
        let root = root(Strategy::OneForOne, children);
        settle().await;
        let pool = Pool::new(members.clone());
        let picked = || pool.pick().map(|member| member.name().to_owned());
        let mut in_turn: Vec<_> = (0..3).filter_map(|_| picked()).collect();
        in_turn.sort();
        assert_eq!(in_turn, ["a", "b", "c"], "equals take turns");
        let held = [members[0].try_reserve().unwrap(), members[2].try_reserve().unwrap()];
        assert!((0..5).all(|_| picked().as_deref() == Some("b")), "least to do");
        members[1].crash("down");
        settle().await;
        assert!((0..5).all(|_| picked().is_some_and(|name| name != "b")), "not while in back-off");
        assert_eq!(pool.observe()[1], json!({ "name": "b", "state": "backing_off", "depth": 0, "limit": 4 }));
        sleep(ms(100)).await;
        assert_eq!(picked().as_deref(), Some("b"));
        drop(held);
        root.kill().await;
        assert_eq!(picked(), None);
        assert!(Pool::<Probe>::new(Vec::new()).pick().is_none());
    });
}
