//! `millrace check`: all that is wrong with a configuration, or what it comes to.

use std::fmt::Write;

use bytesize::ByteSize;
use humantime::format_duration;

use super::args::CheckArgs;
use super::exit::Exit;
use super::graph::picture::{role, shares};
use super::{check_online, load, print, print_error};
use crate::config::settings::{Delivery, GraphNode, Implementation, Node, Order, Settings};
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
    line("protocol", format!("{} over {}", settings.protocol, settings.transport));
    line("graph", shape(&settings.graph));
    for (at, _) in settings.graph.flat() {
        line("node", settings.nodes.get(&at.name).map_or_else(|| at.name.clone(), |node| described(at, node)));
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

/// The graph on one line: `a -> (b -> c, d)`.
fn shape(graph: &GraphNode) -> String {
    let mut text = String::new();
    // What is still to be written, last first.
    let mut open: Vec<Result<&GraphNode, &str>> = vec![Ok(graph)];
    while let Some(next) = open.pop() {
        let node = match next {
            Ok(node) => node,
            Err(mark) => {
                text.push_str(mark);
                continue;
            }
        };
        text.push_str(&node.name);
        let several = node.children.len() > 1;
        open.extend(several.then_some(Err(")")));
        for (index, child) in node.children.iter().enumerate().rev() {
            open.push(Ok(child));
            open.extend((index > 0).then_some(Err(", ")));
        }
        open.extend(match node.children.len() {
            0 => None,
            1 => Some(Err(" -> ")),
            _ => Some(Err(" -> (")),
        });
    }
    text
}

/// A node on one line: what it is, and where and how its server is called.
fn described(at: &GraphNode, node: &Node) -> String {
    let what = match &at.implementation {
        Implementation::RandomAbtest(split) => format!("{} {}", role(at), shares(split).collect::<Vec<_>>().join(", ")),
        _ => role(at),
    };
    if at.calls().is_empty() {
        let why = if at.implementation.name().is_some() { "done here" } else { "no call" };
        return format!("{} {what}, {why}", at.name);
    }
    let timeout = format_duration(node.timeout);
    let own = node.transport.map(|own| format!(" over {own}")).unwrap_or_default();
    format!("{} {what} at {}{own}, {timeout} an attempt, {} attempts", at.name, node.addresses(), node.retry.attempts)
}

pub(super) fn size(bytes: usize) -> String {
    ByteSize(bytes as u64).to_string()
}

fn delivery(delivery: Delivery) -> &'static str {
    match delivery {
        Delivery::AtLeastOnce => "at_least_once",
        Delivery::ExactlyOnce => "exactly_once",
    }
}

fn order(order: Order) -> &'static str {
    match order {
        Order::Partition => "partition",
        Order::Key => "key",
        Order::None => "none",
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
            "protocol     tensorflow over rest",
            "graph        resnet32\n",
            "resnet32 MODEL at localhost:8501, 30s an attempt, 5 attempts",
            "64.0 MiB",
        ] {
            assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
        }
    }
    #[test]
    fn branches_and_what_is_done_here_are_shown() {
        let config = "protocol: v2\nkafka: {brokers: 'b:1', group_id: g, input_topic: i, output_topic: o}\n\
                      graph: {name: ab, implementation: RANDOM_ABTEST, parameters: [{name: ratioA, type: FLOAT, value: 0.25}],\n\
                      children: [{name: prep, type: TRANSFORMER, children: [{name: x}]}, {name: y, type: MODEL, methods: [SEND_FEEDBACK]}]}\n\
                      nodes: {'*': {endpoint: 'h:1', timeout: 1s}, y: {transport: grpc}}";
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, config.as_bytes()).unwrap();
        let text = summary(&load(&Inputs { config: Some(file.path().into()), ..Inputs::default() }).unwrap().settings);
        for wanted in [
            "protocol     v2 over rest\n",
            "graph        ab -> (prep -> x, y)\n",
            "node         ab RANDOM_ABTEST 25 %, 75 %, done here\n",
            "node         prep TRANSFORMER at h:1, 1s an attempt, 5 attempts\n",
            "node         y MODEL+SEND_FEEDBACK at h:1 over grpc, 1s an attempt, 5 attempts\n",
        ] {
            assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
        }
    }
}
