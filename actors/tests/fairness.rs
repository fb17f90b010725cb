//! No actor keeps its arbiter to itself, however much it has to do, nor its tasks from its messages.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use millrace_actors::{Actor, ActorRef, Ctx, Exit, Failure, Place, Receive, Strategy, actor};
use support::*;
use tokio::task::yield_now;

/// Sends itself what it receives, so that its mailbox is never empty.
struct Busy {
    ticks: Arc<AtomicU64>,
    handled: Arc<AtomicU64>,
}

impl Actor for Busy {
    fn started(&mut self, ctx: &mut Ctx<'_, Self>) {
        ctx.spawn(yield_now(), Self::tick);
    }
    fn restarting(&mut self, _: &Failure) {}
}

impl Busy {
    /// Wakes at every turn of the arbiter.
    fn tick(&mut self, (): (), ctx: &mut Ctx<'_, Self>) {
        self.ticks.fetch_add(1, Relaxed);
        ctx.spawn(yield_now(), Self::tick);
    }
}

/// A task among the arbiter's tasks; the test itself has its turn only once for many of theirs.
async fn neighbour<T: 'static>(task: impl Future<Output = T> + 'static) -> T {
    actix_rt::spawn(task).await.unwrap()
}

struct Again(Arc<AtomicBool>);

impl Receive<Again> for Busy {
    fn receive(&mut self, again: Again, ctx: &mut Ctx<'_, Self>) {
        // An end, for the case that nobody else ever has a turn to say so.
        let handled = self.handled.fetch_add(1, Relaxed);
        if again.0.load(Relaxed) && handled < 10_000_000 {
            ctx.address().tell(again).unwrap();
        }
    }
}

#[test]
fn a_mailbox_that_is_never_empty_starves_neither_neighbours_nor_its_own_tasks() {
    paused(async {
        let (ticks, handled) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let to = ActorRef::<Busy>::unborn("busy", 1);
        let (in_ticks, in_handled) = (Arc::clone(&ticks), Arc::clone(&handled));
        let busy = move || Busy { ticks: Arc::clone(&in_ticks), handled: Arc::clone(&in_handled) };
        let root = root(Strategy::OneForOne, vec![actor(to.clone(), Place::System, budget(), busy)]);
        let again = Arc::new(AtomicBool::new(true));
        to.tell(Again(Arc::clone(&again))).unwrap();
        let turns = 1000;
        neighbour(async move {
            for _ in 0..turns {
                yield_now().await;
            }
        })
        .await;
        again.store(false, Relaxed);
        let (ticks, handled) = (ticks.load(Relaxed), handled.load(Relaxed));
        assert!(handled >= turns, "it works: {handled}");
        // A wake-up by a task of its own may bring the next turn forward.
        assert!(handled <= 2 * 64 * (turns + 10), "few messages for each turn of a neighbour: {handled}");
        assert!(ticks >= turns / 4, "its own tasks have their turns: {ticks}");
        assert_eq!(root.kill().await, Exit::Killed);
    });
}

#[test]
fn only_the_tasks_that_are_woken_are_polled() {
    paused(async {
        let log = Log::default();
        let (to, _root) = single(&log, Script::default()).await;
        let polls = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&polls);
        to.tell(Do::new(move |_, ctx| {
            for _ in 0..1000 {
                let polls = Arc::clone(&counted);
                let waits = std::future::poll_fn(move |_| {
                    polls.fetch_add(1, Relaxed);
                    std::task::Poll::<()>::Pending
                });
                ctx.spawn(waits, |_, (), _| ());
            }
        }))
        .unwrap();
        settle().await;
        for _ in 0..100 {
            ask(&to, |_| ()).await.unwrap();
        }
        assert_eq!(polls.load(Relaxed), 1000, "each once, when it was new");
    });
}

#[test]
fn many_results_at_once_let_neighbours_have_their_turns() {
    paused(async {
        let log = Log::default();
        let (to, _root) = single(&log, Script::default()).await;
        let done = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&done);
        to.tell(Do::new(move |_, ctx| {
            for _ in 0..6400 {
                let done = Arc::clone(&counted);
                ctx.spawn(std::future::ready(()), move |_, (), _| {
                    done.fetch_add(1, Relaxed);
                });
            }
        }))
        .unwrap();
        let most = neighbour(async move {
            let (mut most, mut seen) = (0, 0);
            while seen < 6400 {
                yield_now().await;
                let now = done.load(Relaxed);
                most = most.max(now - std::mem::replace(&mut seen, now));
            }
            most
        })
        .await;
        assert!(most <= 128, "{most} results in one turn");
    });
}

#[test]
fn timers_fire_in_their_time_and_not_once_cancelled() {
    paused(async {
        let log = Log::default();
        let (to, _root) = single(&log, Script::default()).await;
        to.tell(Do::new(|_, ctx| {
            let every = ctx.every(ms(10), |probe, _| probe.say("tick"));
            ctx.later(ms(35), move |_, _| every.cancel());
            let later = ctx.later(ms(20), |probe, _| probe.say("never"));
            later.cancel();
            ctx.later(ms(25), |probe, _| probe.say("once"));
        }))
        .unwrap();
        tokio::time::sleep(ms(100)).await;
        assert_eq!(log.lines(), ["a started", "a tick", "a tick", "a once", "a tick"]);
    });
}
