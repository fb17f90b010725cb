//! Mailboxes hold no more than their limit, whoever sends, and what cannot be delivered comes back.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::{cell::RefCell, rc::Rc};

use futures_util::future::join_all;
use millrace_actors::{Full, Gone, Place, Receive, Recipient, State, Strategy, TrySendError};
use support::*;
use tokio::time::{Instant, sleep};

#[test]
fn a_full_mailbox_takes_nothing_from_any_clone() {
    paused(async {
        let log = Log::default();
        let (to, _root) = single(&log, Script::default()).await;
        for _ in 0..4 {
            to.clone().try_send(Do::say("received")).unwrap();
        }
        for _ in 0..100 {
            let refused = to.clone().try_send(Do::say("received"));
            assert!(matches!(refused, Err(TrySendError::Full(_))));
        }
        assert_eq!((to.depth(), to.limit()), (4, 4));
        settle().await;
        assert_eq!(to.depth(), 0);
        assert_eq!(log.count("a received"), 4);
    });
}

#[test]
fn senders_wait_for_places_in_turn_and_the_wait_is_bounded_by_the_work() {
    paused(async {
        let log = Log::default();
        let (to, _root) = single(&log, Script::default()).await;
        let start = Instant::now();
        let order = Rc::new(RefCell::new(Vec::new()));
        join_all((0..40).map(|number| {
            let (to, order) = (to.clone(), Rc::clone(&order));
            async move {
                let permit = to.reserve().await;
                order.borrow_mut().push(number);
                assert!(to.depth() <= to.limit());
                // 5 ms of work that keeps its place.
                let work = Do::new(|_, ctx| {
                    let permit = ctx.take_permit();
                    ctx.spawn(sleep(ms(5)), |_, (), _| drop(permit));
                });
                to.send_with(permit, work).unwrap();
            }
        }))
        .await;
        // Four at a time: the last ones are let in after nine rounds.
        assert_eq!(start.elapsed(), ms(45));
        assert_eq!(*order.borrow(), (0..40).collect::<Vec<_>>());
    });
}

#[test]
fn nobody_takes_a_place_that_others_wait_for() {
    paused(async {
        let log = Log::default();
        let (to, _root) = single(&log, Script::default()).await;
        let mut held: Vec<_> = (0..4).map(|_| to.try_reserve().unwrap()).collect();
        let waiter = actix_rt::spawn(to.reserve());
        settle().await;
        held.pop();
        assert_eq!(to.try_reserve().err(), Some(Full), "the place belongs to the waiter");
        let got = waiter.await.unwrap();
        held.pop();
        let another = to.try_reserve();
        assert!(another.is_ok(), "nobody waits any more");
        drop(got);
    });
}

#[test]
fn a_wait_that_is_given_up_loses_no_place() {
    paused(async {
        let log = Log::default();
        let (to, _root) = single(&log, Script::default()).await;
        let held: Vec<_> = (0..4).map(|_| to.try_reserve().unwrap()).collect();
        let waiters: Vec<_> = (0..3).map(|_| actix_rt::spawn(to.reserve())).collect();
        settle().await;
        drop(held);
        for waiter in &waiters {
            waiter.abort();
        }
        settle().await;
        drop(waiters);
        let all = join_all((0..4).map(|_| to.reserve())).await;
        assert_eq!((all.len(), to.depth()), (4, 4));
    });
}

#[test]
fn a_permit_can_outlive_the_handler_but_not_the_life() {
    paused(async {
        let log = Log::default();
        let (to, _root) = single(&log, Script::default()).await;
        to.try_send(Do::new(|_, ctx| {
            let permit = ctx.take_permit().expect("sent with one");
            assert!(ctx.take_permit().is_none(), "there is one place");
            ctx.spawn(std::future::pending(), move |_, (), _| drop(permit));
        }))
        .unwrap();
        settle().await;
        assert_eq!(to.depth(), 1);
        to.try_send(Do::panic("poison")).unwrap();
        settle().await;
        assert_eq!(to.depth(), 0, "also the place of the message that panicked");
        to.tell(Do::new(|_, ctx| assert!(ctx.take_permit().is_none(), "told without a place"))).unwrap();
        sleep(ms(100)).await;
        assert_eq!(log.count("a restarting"), 1);
    });
}

#[test]
fn messages_sent_before_the_start_wait_for_it() {
    paused(async {
        let log = Log::default();
        let to = unborn("a");
        to.tell(Do::say("first")).unwrap();
        to.try_send(Do::say("second")).unwrap();
        assert_eq!(to.state(), State::Starting);
        let _root = root(Strategy::OneForOne, vec![probe(&to, Place::System, &log, Script::default())]);
        settle().await;
        assert_eq!(log.lines(), ["a started", "a first", "a second"]);
    });
}

#[test]
fn a_message_to_the_dead_comes_back() {
    struct Named(&'static str);
    impl Receive<Named> for Probe {
        fn receive(&mut self, _: Named, _: &mut millrace_actors::Ctx<'_, Self>) {}
    }
    paused(async {
        let log = Log::default();
        let (to, root) = single(&log, Script::default()).await;
        let recipient: Recipient<Named> = to.recipient();
        recipient.tell(Named("in time")).unwrap();
        root.kill().await;
        let Err(Gone(message)) = to.tell(Named("late")) else { panic!("delivered to the dead") };
        assert_eq!(message.0, "late");
        let permit = to.reserve().await;
        assert!(to.send_with(permit, Named("later")).is_err());
        let Err(TrySendError::Gone(message)) = recipient.try_send(Named("latest")) else { panic!("delivered") };
        assert_eq!(message.0, "latest");
        assert_eq!(to.depth(), 0, "what comes back holds no place");
        assert!(!recipient.is_available());
    });
}

#[test]
fn what_is_queued_is_dropped_with_its_actor_so_guards_speak() {
    struct Guard(Log);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.say("guard dropped");
        }
    }
    paused(async {
        let log = Log::default();
        let to = unborn("a");
        let guard = Guard(log.clone());
        to.tell(Do::new(move |_, _| drop(guard))).unwrap();
        let root = root(Strategy::OneForOne, vec![probe(&to, Place::System, &log, Script::default())]);
        root.kill().await;
        assert_eq!(log.lines(), ["guard dropped"]);
    });
}
