//! Every metric is registered and documented, and happenings are counted.

use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::Duration;

use prometheus::{Registry, TextEncoder};
use slog::{Drain, KV, OwnedKVList, Record as Line};

use super::*;
use crate::config::settings::{Deployment, Limits};
use crate::record::{Headers, NextOffset, Offset, Partition, Record};

fn deployment() -> Deployment {
    Deployment {
        name: "income".into(),
        namespace: "default".into(),
        predictor: "main".into(),
        predictor_version: String::new(),
        file: None,
    }
}

fn limits() -> Limits {
    Limits {
        in_flight_records: 1000,
        in_flight_bytes: 64 << 20,
        window: 2000,
        held_bytes: 5,
        commit_span: 10_000,
        prefetch_bytes: 8 << 20,
        request_bytes: 1 << 20,
        reply_bytes: 1 << 20,
        record_deadline: Duration::from_mins(1),
        drain: Duration::from_secs(20),
        termination_grace: Duration::from_secs(20),
    }
}

/// Keeps lines as `LEVEL message key=value …`, keys in the order they were given.
#[derive(Clone, Default)]
pub(crate) struct Kept(Arc<Mutex<Vec<String>>>);

impl Drain for Kept {
    type Ok = ();
    type Err = slog::Never;

    fn log(&self, line: &Line<'_>, _: &OwnedKVList) -> Result<(), slog::Never> {
        struct Text(Vec<String>);
        impl slog::Serializer for Text {
            fn emit_arguments(&mut self, key: slog::Key, value: &fmt::Arguments<'_>) -> slog::Result {
                self.0.push(format!("{key}={value}"));
                Ok(())
            }
        }
        let mut keys = Text(Vec::new());
        line.kv().serialize(line, &mut keys).unwrap();
        keys.0.reverse();
        let text = format!("{} {} {}", line.level().as_short_str(), line.msg(), keys.0.join(" "));
        self.0.lock().unwrap().push(text);
        Ok(())
    }
}

/// Events that are counted and kept.
pub(crate) fn events() -> (Events, Registry, Kept) {
    let registry = Registry::new();
    let metrics = Metrics::register(&registry, &deployment(), &limits()).unwrap();
    let kept = Kept::default();
    (Events::new(Logger::root(kept.clone(), slog::o!()), metrics), registry, kept)
}

fn record() -> Record {
    Record {
        topic: "in".into(),
        partition: Partition(3),
        offset: Offset(7),
        key: None,
        value: None,
        headers: Headers::default(),
        unreadable_headers: 2,
        timestamp: None,
    }
}

const NODE: NodeLabels<'static> =
    NodeLabels { node: "scorer", image: "host:5000/scorer:1.2", service: "/predict", method: "post" };

fn rendered(registry: &Registry) -> String {
    TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
}

/// Rows of the table in the documentation.
fn table() -> String {
    let mut rows = String::new();
    for metric in names::ALL {
        let kind = format!("{:?}", metric.kind).to_lowercase();
        writeln!(rows, "| `{}` | {kind} | {} | {} |", metric.name, metric.labels.join(", "), metric.help).unwrap();
    }
    rows
}

#[test]
fn the_registry_shows_what_the_documentation_lists() {
    let (events, registry, _) = events();
    events.assigned(&[Partition(0)], 1);
    events.committed(&[(Partition(0), NextOffset(5))]);
    events.partition(Partition(0)).set_lag(0);
    events.node(&NODE).call(CallOutcome::Answered, Some("200"), Duration::from_millis(3));
    events.shadow_skipped("b");
    events.batch("scorer").begun(2, 3);

    let mut shown: Vec<_> =
        rendered(&registry).lines().filter_map(|line| line.strip_prefix("# TYPE ").map(str::to_owned)).collect();
    let mut listed: Vec<_> = names::ALL
        .iter()
        .map(|metric| format!("{} {}", metric.name, format!("{:?}", metric.kind).to_lowercase()))
        .collect();
    shown.sort();
    listed.sort();
    assert_eq!(shown, listed);

    let documented = include_str!("../../docs/guide/metrics.md");
    assert!(documented.contains(&table()), "docs/guide/metrics.md should have these rows:\n{}", table());
}

#[test]
fn names_follow_the_conventions() {
    for metric in names::ALL {
        let ours = metric.name.starts_with("millrace_");
        assert!(ours || metric.name.starts_with("seldon_api_executor_"), "{}", metric.name);
        assert_eq!(metric.kind == names::Kind::Counter, metric.name.ends_with("_total"), "{}", metric.name);
        assert!(!metric.help.is_empty());
    }
}

#[test]
fn seldons_client_metrics_have_its_labels_and_count_only_responses() {
    let (events, registry, _) = events();
    let node = events.node(&NODE);
    node.call(CallOutcome::Answered, Some("200"), Duration::from_millis(20));
    node.call(CallOutcome::ModelError, Some("500"), Duration::from_millis(20));
    node.call(CallOutcome::Timeout, None, Duration::from_secs(5));
    let text = rendered(&registry);
    let labels = |code: u16| {
        format!(
            r#"{{code="{code}",deployment_name="income",method="post",model_image="host:5000/scorer",model_name="scorer",model_version="1.2",predictor_name="main",predictor_version="",service="/predict""#
        )
    };
    for code in [200, 500] {
        let labels = labels(code);
        for line in [
            format!("seldon_api_executor_client_requests_seconds_count{labels}}} 1\n"),
            format!("seldon_api_executor_client_requests_seconds_bucket{labels},le=\"0.025\"}} 1\n"),
            format!("seldon_api_executor_client_requests_seconds_summary_count{labels}}} 1\n"),
            format!("seldon_api_executor_client_requests_seconds_summary{labels},quantile=\"0.98\"}} 0.02"),
        ] {
            assert!(text.contains(&line), "{line} is not in\n{text}");
        }
    }
    assert!(text.contains("millrace_calls_total{node=\"scorer\",outcome=\"timeout\"} 1"));
    assert!(text.contains("millrace_call_seconds_count{node=\"scorer\"} 3"));
    assert!(text.contains("seldon_api_executor_server_requests_seconds_count{code=\"200\""));
}

#[test]
fn a_happening_is_logged_and_counted() {
    let (events, registry, kept) = events();
    events.dead_lettered(&record(), "timeout", Some("scorer"), "no reply within 5s");
    events.resumed_outside_log(Partition(3), NextOffset(10), NextOffset(25), 15);
    events.lost_partitions(&[Partition(3), Partition(4)], 1);
    let text = rendered(&registry);
    for line in [
        "millrace_dead_letters_total{class=\"timeout\"} 1",
        "millrace_dead_letters_total{class=\"poison\"} 0",
        "millrace_outcomes_total{outcome=\"dead_lettered\"} 0",
        "millrace_lost_positions_total 15",
        "millrace_rebalances_total{kind=\"lost\"} 1",
        "millrace_assigned_partitions 1",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    let lines = kept.0.lock().unwrap().clone();
    assert_eq!(
        lines[..2],
        [
            "WARN record dead-lettered topic=in partition=3 offset=7 class=timeout node=scorer error=no reply within 5s suppressed=0",
            "ERRO committed position is outside the log partition=3 offset=10 resumed_at=25 lost=15",
        ]
    );
}

#[test]
fn a_repeated_warning_is_counted_each_time_and_logged_once_a_second() {
    let (events, registry, kept) = events();
    for _ in 0..1000 {
        events.dead_lettered(&record(), "poison", None, "panicked");
    }
    assert!(rendered(&registry).contains("millrace_dead_letters_total{class=\"poison\"} 1000"));
    assert!(kept.0.lock().unwrap().len() < 100);
}

#[test]
fn the_classes_of_errors_are_those_of_outcomes() {
    let labels: Vec<_> = crate::kafka::outcome::ErrorClass::ALL.iter().map(|class| class.label()).collect();
    assert_eq!(labels, names::ERROR_CLASSES);
}
