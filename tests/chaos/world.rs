//! Three brokers, three replicas of the service, two models, and the trouble that is made for them.

use std::time::Duration;

use fastrand::Rng;

use crate::support::config::Config;
use crate::support::load::Sent;
use crate::support::models::Model;
use crate::support::scenario::Scenario;
use crate::support::send::Draft;
use crate::support::service::{Launch, Service};
use crate::support::wait;

pub(crate) const DRAIN: Duration = Duration::from_secs(5);
const BROKERS: u16 = 3;
const REPLICAS: usize = 3;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    ActorPanics,
    ReplicaKilled,
    ReplicaStopped,
    RollingRestart,
    /// A zombie that wakes: for longer than its session, at times.
    ReplicaSleeps,
    ModelDown,
    ModelHangs,
    ModelHangsForOneKey,
    ModelBusy,
    ModelFailsNowAndThen,
    BrokerSleeps,
    BrokerKilled,
    BadRecord,
}

use Trouble::*;

/// The likelier a trouble, the more often it stands here.
const TROUBLES: [Trouble; 24] = [
    ActorPanics,
    ActorPanics,
    ActorPanics,
    ReplicaKilled,
    ReplicaKilled,
    ReplicaKilled,
    ReplicaKilled,
    ReplicaKilled,
    ReplicaKilled,
    ReplicaStopped,
    ReplicaStopped,
    RollingRestart,
    ReplicaSleeps,
    ReplicaSleeps,
    ModelDown,
    ModelHangs,
    ModelHangsForOneKey,
    ModelBusy,
    ModelFailsNowAndThen,
    BrokerSleeps,
    BrokerKilled,
    BrokerKilled,
    BadRecord,
    BadRecord,
];

pub(crate) struct World<'a> {
    scenario: &'a Scenario<'a>,
    config: Config,
    replicas: Vec<Service>,
    random: Rng,
    /// Requests that nobody can read; they must end as dead letters.
    pub(crate) bad: Vec<Sent>,
    /// `kill -9` of replicas and of brokers.
    pub(crate) kills: usize,
    pub(crate) troubles: usize,
}

impl<'a> World<'a> {
    pub(crate) fn new(scenario: &'a Scenario<'a>, config: Config, random: Rng) -> Self {
        let replicas = (0..REPLICAS).map(|_| Service::start(&config)).collect();
        Self { scenario, config, replicas, random, bad: Vec::new(), kills: 0, troubles: 0 }
    }

    /// Makes one trouble, waits a moment, and looks whether everyone still runs.
    pub(crate) fn go_on(&mut self) -> Trouble {
        let trouble = TROUBLES[self.random.usize(..TROUBLES.len())];
        self.make(trouble);
        self.troubles += 1;
        let pause = Duration::from_millis(self.random.u64(200..1200));
        wait::let_pass(pause);
        for replica in &mut self.replicas {
            assert!(replica.has_ended().is_none(), "a replica ended after {trouble:?}\n{}", replica.output());
        }
        trouble
    }

    /// Ends what still runs, in order.
    pub(crate) fn stop(self) {
        for replica in self.replicas {
            replica.stop();
        }
    }

    fn some_time(&mut self) -> Duration {
        Duration::from_millis(self.random.u64(500..3500))
    }

    fn replica(&mut self) -> usize {
        self.random.usize(..self.replicas.len())
    }

    fn broker(&mut self) -> u16 {
        self.random.u16(1..=BROKERS)
    }

    fn spawn(&self) -> Service {
        Launch::with(&self.config).spawn()
    }

    fn stop_one(&mut self, i: usize) {
        let next = self.spawn();
        let mut old = std::mem::replace(&mut self.replicas[i], next);
        old.signal("TERM");
        let status = old.wait_end(DRAIN + Duration::from_secs(10));
        assert_eq!(status.code(), Some(0), "{}", old.output());
    }

    fn make(&mut self, trouble: Trouble) {
        let time = self.some_time();
        let broker = self.scenario.broker;
        match trouble {
            ActorPanics => self.crash_some_actor(),
            ReplicaKilled => {
                let (i, next) = (self.replica(), self.spawn());
                std::mem::replace(&mut self.replicas[i], next).kill();
                self.kills += 1;
            }
            ReplicaStopped => {
                let i = self.replica();
                self.stop_one(i);
            }
            RollingRestart => (0..self.replicas.len()).for_each(|i| self.stop_one(i)),
            ReplicaSleeps => {
                let i = self.replica();
                self.replicas[i].signal("STOP");
                wait::let_pass(time * 2);
                self.replicas[i].signal("CONT");
            }
            ModelDown => {
                self.model().down();
                wait::let_pass(time);
                self.scenario.double.up();
                self.scenario.add_one.up();
            }
            ModelHangs => self.rules_for(time, |model| model.change(|rules| rules.hang_all = true)),
            ModelHangsForOneKey => {
                let key = format!(r#""key":"k{}""#, self.random.u64(..60));
                self.rules_for(time, |model| model.change(|rules| rules.hang.push(key)));
            }
            ModelBusy => {
                let busy = (String::new(), 503, String::new());
                self.rules_for(time, |model| model.change(|rules| rules.fail.push(busy)));
            }
            ModelFailsNowAndThen => self.rules_for(time, |model| model.change(|rules| rules.fail_every = 9)),
            BrokerSleeps => {
                let number = self.broker();
                broker.signal(number, "STOP");
                wait::let_pass(time);
                broker.signal(number, "CONT");
            }
            BrokerKilled => {
                broker.signal(self.broker(), "KILL");
                self.kills += 1;
                wait::let_pass(time);
                broker.start_again();
            }
            BadRecord => self.send_bad_record(),
        }
    }

    fn model(&mut self) -> &Model {
        if self.random.bool() { &self.scenario.double } else { &self.scenario.add_one }
    }

    /// Lets one model misbehave for a time.
    fn rules_for(&mut self, time: Duration, begin: impl FnOnce(&Model)) {
        begin(self.model());
        wait::let_pass(time);
        for model in [&self.scenario.double, &self.scenario.add_one] {
            model.change(|rules| {
                rules.hang_all = false;
                rules.hang.clear();
                rules.fail.clear();
                rules.fail_every = 0;
            });
        }
    }

    /// A replica that has just been started may have no actors yet, and none that takes a crash.
    fn crash_some_actor(&mut self) {
        let i = self.replica();
        if self.replicas[i].get("/api/actors").is_ok_and(|answer| answer.status == 200) {
            let actors = self.replicas[i].actors();
            if let Some(actor) = self.random.choice(&actors) {
                let status = self.replicas[i].crash(&actor.name);
                eprintln!("           {} of replica {i}: {status}", actor.name);
            }
        }
    }

    fn send_bad_record(&mut self) {
        let (id, key) = (format!("bad-{}", self.bad.len()), format!("k{}", self.random.u64(..60)));
        let draft = Draft::value("no JSON").key(&key).header("Seldon-Puid", id.as_str());
        let place = self.scenario.broker.send(&self.scenario.input, &[draft])[0];
        self.bad.push(Sent { id, key, seq: 0, n: 0, place });
    }
}
