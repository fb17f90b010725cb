//! Tests of the limit, by a server that is simulated call by call.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

/// A server with so many workers (0 is any number), and clients that always want to run `wanted` calls.
struct Server {
    workers: usize,
    service_ms: u64,
    /// Calls that it takes; it turns further ones away at once.
    room: usize,
    limiter: Limiter,
    /// (began, served until, unless it waits for a worker)
    calls: VecDeque<(u64, Option<u64>)>,
    wanted: usize,
    now: u64,
    changed: u64,
    answered: u64,
    turned_away: u64,
}

impl Server {
    fn new(workers: usize, service_ms: u64, max: usize, wanted: usize) -> Self {
        let limiter = Limiter::new(1, max);
        let calls = VecDeque::new();
        let (now, changed, answered, turned_away) = (0, 0, 0, 0);
        Self { workers, service_ms, room: usize::MAX, limiter, calls, wanted, now, changed, answered, turned_away }
    }

    /// Runs for some time, in windows of 50 ms that have at least eight answers.
    fn run(&mut self, millis: u64) {
        let end = self.now + millis;
        while self.now < end {
            let (began, mut latencies, mut oldest) = (self.now, Vec::new(), u64::MAX);
            let mut window = Window::default();
            while self.now < began + 50 || (latencies.len() < 8 && window.overloads == 0 && self.now < began + 1_000) {
                self.now += 1;
                let allowed = self.limiter.limit().min(self.wanted);
                while self.calls.len() < allowed {
                    if self.calls.len() >= self.room {
                        window.overloads += 1;
                        self.turned_away += 1;
                        break;
                    }
                    self.calls.push_back((self.now, None));
                }
                let mut busy = self.calls.iter().filter(|call| call.1.is_some()).count();
                for call in self.calls.iter_mut().filter(|call| call.1.is_none()) {
                    if self.workers == 0 || busy < self.workers {
                        call.1 = Some(self.now + self.service_ms);
                        busy += 1;
                    }
                }
                window.peak = window.peak.max(self.calls.len());
                let now = self.now;
                self.calls.retain(|(began, until)| {
                    let ends = until.is_some_and(|until| until <= now);
                    if ends {
                        latencies.push(now - began);
                        oldest = oldest.min(*began);
                    }
                    !ends
                });
            }
            window.took = Duration::from_millis(self.now - began);
            window.answered = latencies.len() as u64;
            self.answered += window.answered;
            let mean = latencies.iter().sum::<u64>() as f64 / latencies.len().max(1) as f64;
            window.latency = Duration::from_secs_f64(mean / 1_000.0);
            window.fastest = Duration::from_millis(latencies.iter().min().copied().unwrap_or(0));
            window.short = self.wanted > self.limiter.limit();
            window.settled = oldest >= self.changed;
            let before = self.limiter.limit();
            if self.limiter.window(&window) < before {
                self.changed = self.now;
            }
        }
    }
}

#[test]
fn a_server_with_any_number_of_workers_keeps_the_maximum_whatever_its_latency() {
    for (service, wanted) in [(1, 2_000), (10, 2_000), (100, 2_000), (100, 100), (10, 5)] {
        let mut server = Server::new(0, service, 1_000, wanted);
        server.run(20_000);
        assert_eq!(server.limiter.limit(), 1_000, "{service} ms, {wanted} wanted");
    }
}

#[test]
fn a_server_with_two_workers_gets_few_calls_and_loses_no_throughput() {
    let mut server = Server::new(2, 10, 1_000, 1_000);
    server.run(30_000);
    let limit = server.limiter.limit();
    assert!((2..=16).contains(&limit), "{limit}");
    let before = server.answered;
    server.run(10_000);
    let (rate, limit) = ((server.answered - before) / 10, server.limiter.limit());
    assert!(rate >= 170, "{rate} a second of about 182, with a limit of {limit}");
    assert!((2..=16).contains(&limit), "{limit}");
}

#[test]
fn overload_answers_shrink_it_and_it_is_back_within_seconds() {
    let mut server = Server::new(0, 10, 1_000, 1_000);
    server.room = 8;
    server.run(10_000);
    assert!(server.limiter.limit() <= 12, "{}", server.limiter.limit());
    let turned_away = server.turned_away;
    server.run(10_000);
    assert!(server.turned_away - turned_away < 1_000);
    server.room = usize::MAX;
    server.run(8_000);
    assert_eq!(server.limiter.limit(), 1_000);
}

#[test]
fn a_server_that_takes_longer_from_now_on_gets_its_calls_back() {
    let mut server = Server::new(0, 10, 500, 500);
    server.run(5_000);
    server.service_ms = 100;
    server.run(30_000);
    assert_eq!(server.limiter.limit(), 500);
}

proptest! {
    #[test]
    fn it_stays_between_its_bounds_and_falls_by_a_part_at_most(
        min in 0..20usize, max in 1..2_000usize,
        windows in prop::collection::vec((0..2_000u64, 0..500u64, 0..1_000u64, 0..3u64, 0..3_000usize, any::<bool>(), any::<bool>()), 0..100),
    ) {
        let mut limiter = Limiter::new(min, max);
        prop_assert_eq!(limiter.limit(), max.max(min).max(1));
        for (took, answered, latency, overloads, peak, short, settled) in windows {
            let (took, latency) = (Duration::from_millis(took), Duration::from_millis(latency));
            let fastest = latency / 2;
            let before = limiter.limit();
            let after = limiter.window(&Window { took, answered, latency, fastest, overloads, peak, short, settled });
            prop_assert!(after >= min.max(1) && after <= max.max(min).max(1));
            prop_assert!(after + 1 >= ((before.min(peak.max(1)) as f64) * OVERLOAD) as usize);
            prop_assert!(overloads == 0 || after <= before);
        }
    }
}
