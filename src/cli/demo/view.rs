//! The terminal view as text.

use std::fmt::Write as _;
use std::time::Duration;

use super::ledger::{Latency, Recent, Totals};

/// Lines are no wider.
const WIDTH: usize = 100;

/// What is shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    pub(super) elapsed: Duration,
    pub(super) seconds: Option<u64>,
    pub(super) admin: String,
    pub(super) phase: &'static str,
    pub(super) totals: Totals,
    pub(super) recent: Recent,
    pub(super) gauges: Gauges,
    /// Actors that were crashed on purpose.
    pub(super) crashes: u64,
    /// Whether the producer waits because the backlog is at its bound.
    pub(super) held_back: bool,
    /// The last log lines.
    pub(super) log: Vec<String>,
}

/// What the service's metrics tell.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Gauges {
    pub(super) assigned: u64,
    pub(super) in_flight: u64,
    pub(super) in_flight_limit: u64,
    pub(super) restarts: u64,
    pub(super) redispatched: u64,
    pub(super) endpoints: Vec<EndpointState>,
}

/// State of a node's endpoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct EndpointState {
    pub(super) node: String,
    pub(super) up: bool,
    pub(super) waiting: u64,
}

/// The picture, always of the same height.
pub(super) fn picture(s: &Snapshot) -> Vec<String> {
    let mut lines = vec![
        format!("millrace demo   {}   {}{}", s.phase, time(s.elapsed), until(s)),
        String::new(),
        row("requests", &requests(&s.totals)),
        row(
            "rate",
            &format!("in {:.0}/s   out {:.0}/s{}", s.recent.sent_per_second, s.recent.answered_per_second, held(s)),
        ),
        row("latency", &format!("{}   (last 10 s, producer to reader)", latency(&s.recent.latency))),
        row("in flight", &format!("{} of {}", number(s.gauges.in_flight), number(s.gauges.in_flight_limit))),
        row("endpoints", &endpoints(&s.gauges.endpoints)),
        row("actors", &actors(s)),
        row("admin", &format!("{}  paths /ready /metrics /api/actors", s.admin)),
        String::new(),
    ];
    for at in 0..3 {
        let name = if at == 0 { "log" } else { "" };
        lines.push(row(name, s.log.get(at).map_or("", String::as_str)));
    }
    lines.push(String::new());
    lines.push("Ctrl-C stops and sums up".to_owned());
    lines.iter().map(|line| clip(line)).collect()
}

/// One line, where there is no terminal to draw on.
pub(super) fn line(s: &Snapshot) -> String {
    format!(
        "{:>5} {}  sent {} answered {} open {} duplicated {}  in {:.0}/s out {:.0}/s  p50 {} p99 {}  in flight {}  restarts {}",
        time(s.elapsed),
        s.phase,
        s.totals.sent,
        s.totals.answered,
        s.totals.open,
        s.totals.duplicated,
        s.recent.sent_per_second,
        s.recent.answered_per_second,
        millis(s.recent.latency.p50),
        millis(s.recent.latency.p99),
        s.gauges.in_flight,
        s.gauges.restarts,
    )
}

/// The last words.
pub(super) fn summary(s: &Snapshot, all: &Latency) -> Vec<String> {
    let t = &s.totals;
    let mut lines = vec![
        String::new(),
        format!("summary after {}", time(s.elapsed)),
        row("sent", &number(t.sent)),
        row("answered", &number(t.answered)),
        row("lost", &number(t.open)),
        row("duplicated", &number(t.duplicated)),
        row("restarts", &format!("{} ({} crashed on purpose)", number(s.gauges.restarts), number(s.crashes))),
        row("latency", &format!("{}   max {}", latency(all), millis(all.max))),
    ];
    for (name, count) in [("dead letters", t.dead_lettered), ("wrong", t.wrong), ("unknown", t.unknown)] {
        if count > 0 {
            lines.push(row(name, &number(count)));
        }
    }
    lines
}

fn row(name: &str, text: &str) -> String {
    format!("  {name:<12}{text}").trim_end().to_owned()
}

fn requests(t: &Totals) -> String {
    let mut text = format!(
        "sent {}   answered {}   on their way {}   duplicated {}",
        number(t.sent),
        number(t.answered),
        number(t.open),
        number(t.duplicated)
    );
    if t.dead_lettered > 0 {
        write!(text, "   dead letters {}", number(t.dead_lettered)).expect("a string grows as needed");
    }
    text
}

fn until(s: &Snapshot) -> String {
    s.seconds.map_or_else(String::new, |seconds| format!(" of {}", time(Duration::from_secs(seconds))))
}

fn held(s: &Snapshot) -> &'static str {
    if s.held_back { "   (producer waits: the backlog is at its bound)" } else { "" }
}

fn actors(s: &Snapshot) -> String {
    let crashed = if s.crashes > 0 { format!("   crashed on purpose {}", number(s.crashes)) } else { String::new() };
    format!(
        "restarts {}   records dispatched again {}{crashed}",
        number(s.gauges.restarts),
        number(s.gauges.redispatched)
    )
}

fn endpoints(all: &[EndpointState]) -> String {
    let one = |endpoint: &EndpointState| {
        let state = if endpoint.up { "up" } else { "DOWN" };
        format!("{} {state} ({} waiting)", endpoint.node, number(endpoint.waiting))
    };
    all.iter().map(one).collect::<Vec<_>>().join("   ")
}

fn latency(latency: &Latency) -> String {
    format!("p50 {}   p90 {}   p99 {}", millis(latency.p50), millis(latency.p90), millis(latency.p99))
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn time(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

/// With a comma between thousands.
fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn clip(line: &str) -> String {
    line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(WIDTH).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        Snapshot {
            elapsed: Duration::from_secs(12),
            seconds: Some(90),
            admin: "http://127.0.0.1:8000".into(),
            phase: "running",
            totals: Totals { sent: 2400, answered: 2391, open: 9, ..Totals::default() },
            recent: Recent {
                sent_per_second: 200.0,
                answered_per_second: 199.6,
                latency: Latency {
                    p50: Duration::from_micros(12_340),
                    p90: Duration::from_millis(15),
                    p99: Duration::from_millis(22),
                    max: Duration::from_millis(30),
                },
            },
            gauges: Gauges {
                assigned: 4,
                in_flight: 3,
                in_flight_limit: 1000,
                restarts: 2,
                redispatched: 5,
                endpoints: vec![EndpointState { node: "scale".into(), up: true, waiting: 0 }],
            },
            crashes: 2,
            held_back: false,
            log: vec!["WARN actor failed\nactor=router/0".into()],
        }
    }

    #[test]
    fn the_picture_shows_what_happens() {
        let expected = "\
millrace demo   running   12 s of 1 min 30 s

  requests    sent 2,400   answered 2,391   on their way 9   duplicated 0
  rate        in 200/s   out 200/s
  latency     p50 12.3 ms   p90 15.0 ms   p99 22.0 ms   (last 10 s, producer to reader)
  in flight   3 of 1,000
  endpoints   scale up (0 waiting)
  actors      restarts 2   records dispatched again 5   crashed on purpose 2
  admin       http://127.0.0.1:8000  paths /ready /metrics /api/actors

  log         WARN actor failed actor=router/0



Ctrl-C stops and sums up";
        assert_eq!(picture(&snapshot()).join("\n"), expected);
    }

    #[test]
    fn the_picture_keeps_its_height_and_width() {
        let mut busy = snapshot();
        busy.log = vec!["x".repeat(500); 5];
        busy.totals.dead_lettered = 7;
        let lines = picture(&busy);
        assert_eq!(lines.len(), picture(&Snapshot::default()).len());
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH));
    }

    #[test]
    fn numbers_have_commas() {
        assert_eq!([0, 999, 1000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn the_summary_tells_what_was_lost() {
        let text = summary(&snapshot(), &Latency::default()).join("\n");
        assert!(text.contains("lost        9\n"), "{text}");
        assert!(!text.contains("dead letters"), "{text}");
    }
}
