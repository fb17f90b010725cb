//! Everything that may go wrong does, in random order, at two processes under load: every request is answered, in order, and
//! only what cannot be read is dead-lettered. A minute in the usual run, longer with MILLRACE_CHAOS=long; the seed is printed,
//! and MILLRACE_CHAOS_SEED repeats it.

mod support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use fastrand::Rng;
use support::config::Config;
use support::kafka::Broker;
use support::load::Sent;
use support::models::Model;
use support::scenario::Scenario;
use support::send::Draft;
use support::service::{Launch, Service};
use support::wait;

const SHORT: Duration = Duration::from_secs(45);
const LONG: Duration = Duration::from_mins(20);
const DRAIN: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug)]
enum Trouble {
    ActorPanics,
    ProcessKilled,
    ProcessStopped,
    ProcessHangs,
    ModelDown,
    ModelHangs,
    ModelHangsForOneKey,
    ModelBusy,
    ModelFailsNowAndThen,
    BrokerHangs,
    BrokerKilled,
    BadRecord,
}

use Trouble::*;

/// The likelier a trouble, the more often it stands here.
const TROUBLES: [Trouble; 18] = [
    ActorPanics,
    ActorPanics,
    ActorPanics,
    ActorPanics,
    ProcessKilled,
    ProcessKilled,
    ProcessStopped,
    ProcessStopped,
    ProcessHangs,
    ModelDown,
    ModelHangs,
    ModelHangsForOneKey,
    ModelBusy,
    ModelFailsNowAndThen,
    BrokerHangs,
    BrokerKilled,
    BadRecord,
    BadRecord,
];

struct World<'a> {
    scenario: &'a Scenario<'a>,
    config: Config,
    processes: [Service; 2],
    random: Rng,
    /// Requests that nobody can read; they must end as dead letters.
    bad: Vec<Sent>,
}

impl World<'_> {
    fn some_time(&mut self) -> Duration {
        Duration::from_millis(self.random.u64(500..3500))
    }

    fn process(&mut self) -> usize {
        self.random.usize(..self.processes.len())
    }

    fn spawn(&self) -> Service {
        Launch::with(&self.config).spawn()
    }

    fn make(&mut self, trouble: Trouble) {
        let time = self.some_time();
        let broker = self.scenario.broker;
        match trouble {
            ActorPanics => self.crash_some_actor(),
            ProcessKilled => {
                let (i, next) = (self.process(), self.spawn());
                std::mem::replace(&mut self.processes[i], next).kill();
            }
            ProcessStopped => {
                let i = self.process();
                let mut old = std::mem::replace(&mut self.processes[i], Launch::with(&self.config).spawn());
                old.signal("TERM");
                let status = old.wait_end(DRAIN + Duration::from_secs(10));
                assert_eq!(status.code(), Some(0), "{}", old.output());
            }
            ProcessHangs => {
                let i = self.process();
                self.processes[i].signal("STOP");
                wait::let_pass(time);
                self.processes[i].signal("CONT");
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
            BrokerHangs => {
                broker.signal(1, "STOP");
                wait::let_pass(time);
                broker.signal(1, "CONT");
            }
            BrokerKilled => {
                broker.signal(1, "KILL");
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
        self.heal_models();
    }

    fn heal_models(&self) {
        for model in [&self.scenario.double, &self.scenario.add_one] {
            model.change(|rules| {
                rules.hang_all = false;
                rules.hang.clear();
                rules.fail.clear();
                rules.fail_every = 0;
            });
        }
    }

    /// A process that has just been started may have no actors yet, and none that takes a crash.
    fn crash_some_actor(&mut self) {
        let i = self.process();
        if self.processes[i].get("/api/actors").is_ok_and(|answer| answer.status == 200) {
            let actors = self.processes[i].actors();
            if let Some(actor) = self.random.choice(&actors) {
                let status = self.processes[i].crash(&actor.name);
                eprintln!("           {} of process {i}: {status}", actor.name);
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

#[test]
fn whatever_goes_wrong_every_request_has_its_answer() {
    let time = if std::env::var("MILLRACE_CHAOS").is_ok_and(|mode| mode == "long") { LONG } else { SHORT };
    let seed = std::env::var("MILLRACE_CHAOS_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    eprintln!("MILLRACE_CHAOS_SEED={seed}, {time:?}");

    let broker = Broker::plain();
    let scenario = Scenario::new(&broker, "chaos", 4);
    scenario.double.change(|rules| rules.delay = Duration::from_millis(10));
    let mut config = scenario.config().set("limits/drain", format!("{}s", DRAIN.as_secs()));
    for node in ["double", "add-one"] {
        config = config.set(&format!("nodes/{node}/timeout"), "2s").set(&format!("nodes/{node}/retry/attempts"), 10);
    }
    let processes = [Service::start(&config), Service::start(&config)];
    let random = Rng::with_seed(seed);
    let mut world = World { scenario: &scenario, config, processes, random, bad: Vec::new() };
    let load = scenario.requests().keys(60).start(&broker, &scenario.input, 150);

    let begun = Instant::now();
    while begun.elapsed() < time {
        let trouble = TROUBLES[world.random.usize(..TROUBLES.len())];
        eprintln!("{:8.1} s {trouble:?}", begun.elapsed().as_secs_f64());
        world.make(trouble);
        let pause = Duration::from_millis(world.random.u64(200..1200));
        wait::let_pass(pause);
        for process in &mut world.processes {
            assert!(process.has_ended().is_none(), "a process ended after {trouble:?}\n{}", process.output());
        }
    }

    let mut sent = load.stop();
    sent.extend(world.bad.iter().cloned());
    let report = scenario.gather(&sent, Duration::from_mins(2));
    eprintln!("{report}");
    report.none_lost().in_order();
    let bad: BTreeSet<&str> = world.bad.iter().map(|sent| sent.id.as_str()).collect();
    let buried: BTreeSet<&str> = report.dead_lettered.iter().map(String::as_str).collect();
    assert_eq!(buried, bad, "exactly what cannot be read is dead-lettered");
    broker.wait_for_no_lag(&scenario.group, &scenario.input, Duration::from_mins(1));
}
