//! One schedule: replicas, brokers and models in virtual time, what goes wrong among them, and their coming to rest.

use std::sync::Arc;
use std::time::Duration;

use millrace::config::settings::{GraphNode, NodeKind, Order, Protocol, Retry};
use millrace::graph::Plan;
use millrace::kafka::partition::Bounds;
use millrace::kafka::transaction::Rules as TxRules;
use millrace::stream::journey::{NodeRules, Rules, Target};

use crate::broker::Broker;
use crate::happening::{Queue, Top, What};
use crate::replica::{Limits, Replica};
use crate::rng::Rng;
use crate::tally::Tally;

/// A wrong wiring, to see that the checks find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Defect {
    /// The largest finished offset plus one is committed.
    CommitMax,
    /// An outcome counts as acknowledged when it is handed over.
    CommitBeforeAck,
    /// Outcomes leave in the order in which they come.
    OutOfOrder,
    /// A late result is taken for one of the present epoch.
    LateResult,
    /// A transaction of which nobody knows the end is written again.
    ResendUnknown,
}

/// How the models are, each for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    Failing,
    Hanging,
    Slow,
    Gone,
}

pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) now: u64,
    pub(crate) queue: Queue,
    pub(crate) broker: Broker,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) moods: [Mood; 2],
    pub(crate) rules: Arc<Rules>,
    pub(crate) order: Order,
    pub(crate) bounds: Bounds,
    pub(crate) limits: Limits,
    pub(crate) tx_rules: TxRules,
    pub(crate) epochs: u64,
    pub(crate) numbers: u64,
    pub(crate) calm: bool,
    pub(crate) defect: Option<Defect>,
    pub(crate) tally: Tally,
    pub(crate) trace: bool,
    /// Transactional ids were configured.
    pub(crate) fixed_name: bool,
}

/// The graph of every schedule: two models in a chain. Made once, it never changes.
pub(crate) fn rules() -> Arc<Rules> {
    let millis = Duration::from_millis;
    let chain = GraphNode::new("a", NodeKind::Model, vec![GraphNode::new("b", NodeKind::Model, Vec::new())]);
    let plan = Plan::new(&chain).expect("a sound graph");
    let retry = Retry { attempts: 3, min_backoff: millis(5), max_backoff: millis(40) };
    let node = |target| NodeRules { retry, transport: None, rest: Some(Target(target)), grpc: None };
    Arc::new(Rules {
        plan,
        nodes: vec![node(0), node(1)],
        protocol: Protocol::Seldon,
        deadline: millis(5000),
        inject_routing: false,
        feedback: false,
    })
}

impl World {
    pub(crate) fn new(seed: u64, rules: &Arc<Rules>, defect: Option<Defect>, trace: bool) -> Self {
        let mut rng = Rng(seed);
        let exactly_once = match defect {
            Some(Defect::CommitMax | Defect::CommitBeforeAck) => false,
            Some(Defect::ResendUnknown) => true,
            _ => rng.percent(60),
        };
        let order = rng.pick(&[Order::Key, Order::Key, Order::Partition, Order::None]).unwrap_or(Order::Key);
        let limits = Limits { records: rng.between(1, 8), bytes: rng.between(4, 60), held: rng.between(8, 200) };
        let drain_starts = Duration::from_millis(rng.between(0, 60) as u64);
        let (window, commit_span) = (rng.between(1, 8), rng.between(1, 10));
        let bounds = Bounds { window, ready: 1 + (window + commit_span) % 4, commit_span, drain_starts };
        let tx_rules = TxRules {
            interval: Duration::from_millis(rng.between(2, 40) as u64),
            records: rng.between(1, 10),
            bytes: 100,
        };
        let mut broker = Broker {
            input: Broker::logs(&mut rng),
            transaction_timeout: rng.between(100, 400) as u64,
            exactly_once,
            ..Broker::default()
        };
        if rng.percent(50) {
            for log in &mut broker.input {
                log.committed = Some(log.records[0].offset);
            }
        }
        let replicas: Vec<Replica> = (0..rng.between(1, 3)).map(|_| Replica::new(1, limits, tx_rules)).collect();
        let mut world = Self {
            rng,
            now: 0,
            queue: Queue::default(),
            broker,
            replicas,
            moods: [Mood::Well; 2],
            rules: Arc::clone(rules),
            order,
            bounds,
            limits,
            tx_rules,
            epochs: 0,
            numbers: 0,
            calm: false,
            defect,
            tally: Tally::default(),
            trace,
            fixed_name: false,
        };
        world.fixed_name = world.rng.percent(30);
        if trace {
            eprintln!("exactly once {exactly_once}, order {order:?}, {bounds:?}, {limits:?}, {tx_rules:?}");
        }
        for r in 0..world.replicas.len() {
            world.start(r);
        }
        world.queue.put(1, Top::Brokers);
        for _ in 0..world.rng.between(1, 4) {
            let at = world.rng.between(5, 150) as u64;
            world.queue.put(at, Top::Fault);
        }
        world
    }

    pub(crate) fn exactly_once(&self) -> bool {
        self.broker.exactly_once
    }

    pub(crate) fn time(&self) -> Duration {
        Duration::from_millis(self.now)
    }

    /// A happening in this life of a replica, after a short time.
    pub(crate) fn soon(&mut self, r: usize, what: What) {
        let after = self.rng.below(4) as u64;
        self.later(r, after, what);
    }

    pub(crate) fn later(&mut self, r: usize, after: u64, what: What) {
        let life = self.replicas[r].life;
        self.queue.put(self.now + after, Top::Replica(r, life, what));
    }

    fn start(&mut self, r: usize) {
        self.soon(r, What::Join);
        self.soon(r, What::CommitDue);
        self.soon(r, What::TxTick);
    }

    /// Trouble for a time, then everything heals and has to come to rest.
    pub(crate) fn run(&mut self) -> Result<(), String> {
        let trouble = self.rng.between(100, 500) as u64;
        for step in 0.. {
            if !self.calm && self.now >= trouble {
                self.heal();
            }
            let Some((at, top)) = self.queue.take() else { return Err("nothing happens any more".into()) };
            self.now = self.now.max(at);
            self.happen(top);
            if let Some(fault) = self.broker.fault.take() {
                return Err(fault);
            }
            self.check_bounds()?;
            self.tally.steps += 1;
            if self.calm && step % 16 == 0 && self.is_at_rest() {
                break;
            }
            if step > 100_000 || self.now > trouble + 600_000 {
                return Err(format!("it does not come to rest: {}", self.what_is_left()));
            }
        }
        self.broker.verdict(self.order != Order::None)
    }

    fn is_at_rest(&self) -> bool {
        let done = self.broker.input.iter().all(|log| log.committed == Some(log.end));
        done && !self.broker.is_open()
            && self.replicas.iter().all(|replica| {
                replica.flights.is_empty() && replica.reigns.values().all(|reign| reign.machine.unfinished() == 0)
            })
    }

    fn what_is_left(&self) -> String {
        let committed: Vec<_> = self.broker.input.iter().map(|log| (log.committed, log.end)).collect();
        let replicas: Vec<_> = self
            .replicas
            .iter()
            .map(|r| {
                let reigns: Vec<_> =
                    r.reigns.iter().map(|(p, g)| (*p, g.epoch, g.machine.unfinished(), g.machine.running())).collect();
                format!(
                    "up {} member {:?} reigns {reigns:?} flights {} callback {} resumes {:?} busy {} held {}",
                    r.up,
                    r.member,
                    r.flights.len(),
                    r.callback.is_some(),
                    r.resumes,
                    r.driver.busy,
                    r.driver.machine.held()
                )
            })
            .collect();
        format!("committed and end {committed:?}; owners {:?}; {}", self.broker.owners, replicas.join("; "))
    }

    fn happen(&mut self, top: Top) {
        match top {
            Top::Replica(r, life, what) => {
                let replica = &self.replicas[r];
                if replica.life != life || !replica.up {
                    return;
                }
                if replica.asleep_until > self.now {
                    let at = replica.asleep_until;
                    return self.queue.put(at, Top::Replica(r, life, what));
                }
                if self.trace {
                    eprintln!("{:6} replica {r}: {what:?}", self.now);
                }
                self.replica_happens(r, what);
            }
            Top::Session(member) => self.session_ends(member),
            Top::Restart(r) => {
                let life = self.replicas[r].life;
                if self.replicas[r].up {
                    return;
                }
                self.replicas[r] = Replica::new(life + 1, self.limits, self.tx_rules);
                self.start(r);
            }
            Top::Rebalance => self.rebalance(),
            Top::RebalanceDeadline(number) => self.rebalance_deadline(number),
            Top::Brokers => {
                self.tally.timed_out += self.broker.time_out(self.now) as u64;
                self.queue.put(self.now + 20, Top::Brokers);
            }
            Top::Fault => self.fault(),
        }
    }

    fn check_bounds(&self) -> Result<(), String> {
        for replica in &self.replicas {
            let used = replica.permits.records_used();
            if used > self.limits.records {
                return Err(format!("{used} records run, and {} may", self.limits.records));
            }
            for (partition, reign) in &replica.reigns {
                let (unfinished, span) = (reign.machine.unfinished(), reign.machine.span());
                let window = self.bounds.window + if self.exactly_once() { self.bounds.commit_span + 1 } else { 0 };
                if unfinished > window || span > self.bounds.commit_span {
                    return Err(format!("partition {partition}: window {unfinished}, span {span}"));
                }
            }
        }
        Ok(())
    }
}
