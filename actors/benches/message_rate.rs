//! What supervision costs: messages per second of a supervised actor against a bare actix actor whose messages carry a
//! semaphore permit, both on the arbiter of their sender.
//!
//! `cargo bench -p millrace-actors`. The claim is: within 10 %.

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use millrace_actors::{
    Actor, ActorRef, Arbiters, Backoff, Budget, Ctx, Env, Failure, Place, Receive, Root, Strategy, SupervisorSpec,
    actor,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

const LIMIT: usize = 1024;
const MESSAGES: u64 = 100_000;

struct Work(u64);

/// Says when it has seen all.
struct Counter {
    sum: u64,
    left: u64,
    done: Option<oneshot::Sender<u64>>,
}

impl Counter {
    fn idle() -> Self {
        Self { sum: 0, left: 0, done: None }
    }

    fn expect(&mut self, count: u64, done: oneshot::Sender<u64>) {
        (self.left, self.done) = (count, Some(done));
    }

    fn count(&mut self, value: u64) {
        self.sum = self.sum.wrapping_add(black_box(value));
        self.left -= 1;
        if self.left == 0
            && let Some(done) = self.done.take()
        {
            done.send(self.sum).ok();
        }
    }
}

struct Expect(u64, oneshot::Sender<u64>);

struct Bare(Counter);

impl actix::Actor for Bare {
    type Context = actix::Context<Self>;
}

struct WithPermit(Work, OwnedSemaphorePermit);

impl actix::Message for WithPermit {
    type Result = ();
}

impl actix::Message for Expect {
    type Result = ();
}

impl actix::Handler<WithPermit> for Bare {
    type Result = ();

    fn handle(&mut self, WithPermit(work, permit): WithPermit, _: &mut Self::Context) {
        self.0.count(work.0);
        drop(permit);
    }
}

impl actix::Handler<Expect> for Bare {
    type Result = ();

    fn handle(&mut self, Expect(count, done): Expect, _: &mut Self::Context) {
        self.0.expect(count, done);
    }
}

struct Supervised(Counter);

impl Actor for Supervised {
    fn restarting(&mut self, _: &Failure) {
        self.0 = Counter::idle();
    }
}

impl Receive<Work> for Supervised {
    fn receive(&mut self, work: Work, _: &mut Ctx<'_, Self>) {
        self.0.count(work.0);
    }
}

impl Receive<Expect> for Supervised {
    fn receive(&mut self, Expect(count, done): Expect, _: &mut Ctx<'_, Self>) {
        self.0.expect(count, done);
    }
}

fn bare(system: &actix_rt::SystemRunner) -> impl Fn() -> Duration {
    let address = system.block_on(async { actix::Actor::start(Bare(Counter::idle())) });
    let semaphore = Arc::new(Semaphore::new(LIMIT));
    move || {
        let (done, all) = oneshot::channel();
        let start = Instant::now();
        system.block_on(async {
            address.do_send(Expect(MESSAGES, done));
            for number in 0..MESSAGES {
                let permit = Arc::clone(&semaphore).acquire_owned().await.expect("the semaphore is never closed");
                address.do_send(WithPermit(Work(number), permit));
            }
            black_box(all.await).ok();
        });
        start.elapsed()
    }
}

fn supervised(system: &actix_rt::SystemRunner) -> impl Fn() -> Duration {
    let counter = ActorRef::<Supervised>::unborn("counter", LIMIT);
    let budget = Budget {
        max_restarts: 1,
        window: Duration::from_secs(1),
        backoff: Backoff { min: Duration::from_millis(1), max: Duration::from_millis(1), jitter: 0.0 },
    };
    let child = actor(counter.clone(), Place::System, budget, || Supervised(Counter::idle()));
    let spec = SupervisorSpec { name: "root".into(), strategy: Strategy::OneForOne, budget, children: vec![child] };
    system.block_on(async {
        Root::start(spec, Env::new(Arbiters::none())).expect("the specification is valid");
    });
    move || {
        let (done, all) = oneshot::channel();
        let start = Instant::now();
        system.block_on(async {
            counter.tell(Expect(MESSAGES, done)).expect("the actor lives");
            for number in 0..MESSAGES {
                let permit = counter.reserve().await;
                counter.send_with(permit, Work(number)).expect("the actor lives");
            }
            black_box(all.await).ok();
        });
        start.elapsed()
    }
}

fn message_rate(criterion: &mut Criterion) {
    let system = actix_rt::System::new();
    let (bare, supervised) = (bare(&system), supervised(&system));
    let mut group = criterion.benchmark_group("messages");
    group.throughput(Throughput::Elements(MESSAGES)).sample_size(20);
    group.bench_function(BenchmarkId::from_parameter("bare"), |b| {
        b.iter_custom(|rounds| (0..rounds).map(|_| bare()).sum());
    });
    group.bench_function(BenchmarkId::from_parameter("supervised"), |b| {
        b.iter_custom(|rounds| (0..rounds).map(|_| supervised()).sum());
    });
    group.finish();
    // The machine's mood changes between two benchmarks, so the ratio is taken round by round.
    let mut ratios: Vec<f64> = (0..41).map(|_| supervised().as_secs_f64() / bare().as_secs_f64()).collect();
    ratios.sort_by(f64::total_cmp);
    println!("supervised / bare, median of {} rounds in turn: {:.3}", ratios.len(), ratios[ratios.len() / 2]);
}

criterion_group!(benches, message_rate);
criterion_main!(benches);
