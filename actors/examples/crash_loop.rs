//! The story of a crash, told as it happens: `cargo run -p millrace-actors --example crash_loop`.
//!
//! A router and a model on two worker threads. A poisonous request costs only itself; a lost thread costs a move; a model
//! that always fails costs, in the end, the tree: the program would then exit with code 70.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use millrace_actors::{
    Actor, ActorRef, Arbiters, Backoff, Budget, Ctx, Env, Exit, Failure, ItemId, Receive, Root, Strategy,
    SupervisorSpec, actor,
};
use tokio::time::sleep;

struct Request {
    offset: u64,
    value: &'static str,
}

/// Hands requests on.
struct Router {
    model: ActorRef<Model>,
}

impl Actor for Router {
    fn restarting(&mut self, why: &Failure) {
        println!("           router: new life because I {}", why.exit);
    }
}

impl Receive<Request> for Router {
    fn receive(&mut self, request: Request, _: &mut Ctx<'_, Self>) {
        if self.model.try_send(request).is_err() {
            println!("           router: the model is full or gone");
        }
    }
}

/// Answers requests, and dies of some.
struct Model {
    answered: u32,
}

impl Actor for Model {
    fn restarting(&mut self, why: &Failure) {
        self.answered = 0;
        println!("           model: new life because I {}; at hand was {:?}", why.exit, why.at_hand);
    }
}

impl Receive<Request> for Model {
    fn receive(&mut self, request: Request, ctx: &mut Ctx<'_, Self>) {
        ctx.at_hand(ItemId(request.offset));
        assert!(request.value != "poison", "cannot digest poison");
        self.answered += 1;
        println!("           model: answered {} (offset {}), {} so far", request.value, request.offset, self.answered);
    }
}

fn main() -> ExitCode {
    // Told by the listener, so the default report of each panic would be told twice.
    std::panic::set_hook(Box::new(|_| ()));
    let exit = actix_rt::System::new().block_on(story());
    println!("the root gave up: {exit}");
    println!("a service would exit with code 70 now; this is only a story");
    ExitCode::SUCCESS
}

async fn story() -> Exit {
    let arbiters = Arbiters::start(2).expect("two threads can be started");
    let (router, model) = (ActorRef::<Router>::unborn("router", 16), ActorRef::<Model>::unborn("model", 16));
    let budget = Budget {
        max_restarts: 4,
        window: Duration::from_secs(5),
        backoff: Backoff { min: Duration::from_millis(50), max: Duration::from_secs(1), jitter: 0.2 },
    };
    let to_model = model.clone();
    let spec = SupervisorSpec {
        name: "root".into(),
        strategy: Strategy::RestForOne,
        budget: Budget { max_restarts: 0, ..budget },
        children: vec![
            actor(model.clone(), arbiters.place(0), budget, || Model { answered: 0 }),
            actor(router.clone(), arbiters.place(1), budget, move || Router { model: to_model.clone() }),
        ],
    };
    let start = Instant::now();
    let tell = move |text: &dyn std::fmt::Display| println!("{:7.3}s   {text}", start.elapsed().as_secs_f64());
    let env = Env::new(arbiters.clone()).with_listener(move |happening| tell(happening));
    let root = Root::start(spec, env).expect("the specification is valid");

    tell(&"1. a poisonous request, and a good one behind it");
    let send = |offset, value| router.tell(Request { offset, value }).expect("the router lives");
    send(1, "good");
    send(2, "poison");
    send(3, "good");
    sleep(Duration::from_millis(300)).await;

    tell(&"2. the model's thread is lost; its reference is not");
    arbiters.iter().next().expect("there are two").lose();
    sleep(Duration::from_millis(300)).await;
    send(4, "good");
    sleep(Duration::from_millis(100)).await;

    tell(&"3. poison again and again");
    for offset in 5..20 {
        send(offset, "poison");
    }
    let exit = root.ended().await;
    tell(&"all are gone");
    arbiters.stop();
    exit
}
