//! `millrace check`: all that is wrong with a configuration, or what it comes to.

use std::fmt::Write;

use bytesize::ByteSize;
use humantime::format_duration;

use super::args::CheckArgs;
use super::exit::Exit;
use super::{check_online, load, print, print_error};
use crate::config::settings::{Delivery, GraphNode, Order, Protocol, Settings};
use crate::config::{DEFAULT, Loaded};
use crate::kafka::client;

/// Checks, tells and returns the exit code.
pub(super) fn check(arguments: &CheckArgs) -> u8 {
    if arguments.defaults {
        print(DEFAULT);
        return Exit::Done.into();
    }
    let loaded = match load::settings(&arguments.source) {
        Ok(loaded) => loaded,
        Err(faults) => {
            print_error(&load::report(&faults));
            return Exit::Configuration.into();
        }
    };
    print(&summary(&loaded.settings));
    for note in &loaded.notices {
        print(&format!("note: {note}"));
    }
    if arguments.show {
        print(&values(&loaded));
    }
    if arguments.online { check_online::check(&loaded.settings).into() } else { Exit::Done.into() }
}

fn summary(settings: &Settings) -> String {
    let (kafka, limits, deployment) = (&settings.kafka, &settings.limits, &settings.deployment);
    let mut text = String::from("ok: the configuration is complete\n");
    let mut line = |name: &str, value: String| writeln!(text, "  {name:<12} {value}").expect("memory takes all text");
    line("group", kafka.group_id.clone());
    line("brokers", kafka.brokers.clone());
    line("topics", format!("{} -> {}", kafka.input_topic, kafka.output_topic));
    line("dead letters", kafka.dead_letter_topic.clone());
    line("delivery", format!("{}, order {}", delivery(settings.delivery), order(settings.order)));
    if !deployment.name.is_empty() {
        line(
            "deployment",
            format!("{} in {}, predictor {}", deployment.name, deployment.namespace, deployment.predictor),
        );
    }
    line("graph", format!("{} ({} over rest)", chain(&settings.graph), protocol(settings.protocol)));
    for node in settings.nodes.values() {
        let timeout = format_duration(node.timeout);
        line(
            "node",
            format!("{} at {}, {timeout} an attempt, {} attempts", node.name, node.addresses(), node.retry.attempts),
        );
    }
    let running = size(limits.in_flight_bytes);
    line("in flight", format!("{} records, {running}, on {} threads", limits.in_flight_records, settings.threads));
    let ahead = size(client::prefetch_bytes_per_partition(settings));
    line("memory", format!("at most {running} of running records, their replies, and {ahead} read ahead a partition"));
    line("admin port", format!("{}:{}", settings.admin.host, settings.admin.port));
    text
}

fn values(loaded: &Loaded) -> String {
    let rows = loaded.shown.iter().map(|shown| format!("  {} = {}   ({})", shown.key, shown.value, shown.source));
    rows.collect::<Vec<_>>().join("\n")
}

fn chain(graph: &GraphNode) -> String {
    let children: Vec<String> = graph.children.iter().map(chain).collect();
    if children.is_empty() { graph.name.clone() } else { format!("{} -> {}", graph.name, children.join(", ")) }
}

pub(super) fn size(bytes: usize) -> String {
    ByteSize(bytes as u64).to_string()
}

fn delivery(delivery: Delivery) -> &'static str {
    match delivery {
        Delivery::AtLeastOnce => "at_least_once",
    }
}

fn order(order: Order) -> &'static str {
    match order {
        Order::Partition => "partition",
        Order::Key => "key",
        Order::None => "none",
    }
}

fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Seldon => "seldon",
        Protocol::Tensorflow => "tensorflow",
        Protocol::V2 => "v2",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Inputs, load};

    #[test]
    fn the_summary_says_what_the_service_will_do() {
        let inputs = Inputs { deployment: Some("config/samples/cifar10.yaml".into()), ..Inputs::default() };
        let text = summary(&load(&inputs).unwrap().settings);
        for wanted in [
            "model.tfserving-cifar10.default",
            "cifar10-rest-input -> cifar10-rest-output",
            "cifar10-rest-input.dlq",
            "at_least_once, order key",
            "resnet32 at localhost:8501, 30s an attempt, 5 attempts",
            "64.0 MiB",
        ] {
            assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
        }
    }
}
