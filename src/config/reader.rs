//! Takes typed values out of the layers and notes every fault on the way.
//!
//! A faulty value is replaced by a harmless one, so that reading goes on and all faults are found at once; the caller
//! throws the result away if there is any.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::fault::{Faults, Origin, Rank, nearest};
use super::layers::{EVERY_NODE, Layers, Leaf, Path, annotated_timeout, dotted, path};
use super::names::{boolean, same_name, ways};
use super::settings::Transport;

/// Reads layers.
pub(super) struct Reader<'a> {
    layers: &'a Layers,
    /// What is wrong so far.
    pub(super) faults: &'a mut Faults,
    nodes_read: BTreeSet<String>,
}

/// Names an option's choices, with the value each stands for.
pub(super) type Choices<T> = [(&'static str, T)];

impl<'a> Reader<'a> {
    /// A reader of these layers.
    pub(super) fn new(layers: &'a Layers, faults: &'a mut Faults) -> Self {
        Self { layers, faults, nodes_read: BTreeSet::new() }
    }

    /// The value in effect, and where it was given.
    pub(super) fn leaf(&self, key: &str) -> Option<&'a Leaf> {
        self.layers.get(&path(key))
    }

    /// Who gave the value; the key itself if none did.
    pub(super) fn origin(&self, key: &str) -> Origin {
        self.leaf(key).map_or_else(|| Origin::new(Rank::Default, key), |leaf| leaf.origin.clone())
    }

    /// Text, if given and not empty.
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        self.leaf(key).and_then(|leaf| leaf.value.text()).filter(|text| !text.is_empty())
    }

    /// Text that must be given.
    pub(super) fn required(&mut self, key: &str) -> String {
        self.text(key).unwrap_or_else(|| {
            self.faults.add(key, "is not set", format!("give it with {}", ways(key)));
            String::new()
        })
    }

    /// Notes that the value of a key is wrong, and names its source.
    pub(super) fn fault(&mut self, key: &str, problem: impl Into<String>, remedy: impl Into<String>) {
        let leaf = self.leaf(key);
        self.fault_of(leaf, key, problem, remedy);
    }

    fn fault_of(&mut self, leaf: Option<&Leaf>, key: &str, problem: impl Into<String>, remedy: impl Into<String>) {
        let source = match leaf {
            Some(leaf) if leaf.origin.rank == Rank::Default => key.to_owned(),
            Some(leaf) if leaf.origin.text.ends_with(key) => leaf.origin.text.clone(),
            Some(leaf) => format!("{}: {key}", leaf.origin),
            None => key.to_owned(),
        };
        self.faults.add(source, problem, remedy);
    }

    /// One of some names, without regard to case, and `-` as good as `_`.
    pub(super) fn choice<T: Copy>(&mut self, key: &str, choices: &Choices<T>) -> T {
        self.choice_of(self.leaf(key), key, choices)
    }

    fn choice_of<T: Copy>(&mut self, leaf: Option<&Leaf>, key: &str, choices: &Choices<T>) -> T {
        let plain = |text: &str| text.to_ascii_lowercase().replace('-', "_");
        let text = leaf.and_then(|leaf| leaf.value.text()).unwrap_or_default();
        if let Some((_, value)) = choices.iter().find(|(name, _)| plain(name) == plain(&text)) {
            return *value;
        }
        let names = choices.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        self.fault_of(leaf, key, format!("{text:?} is not known"), format!("one of: {names}"));
        choices[0].1
    }

    /// A boolean.
    pub(super) fn boolean(&mut self, key: &str) -> bool {
        self.parsed(self.leaf(key), key, "true or false", |text| boolean(text).ok_or("no boolean"), false)
    }

    /// A whole number.
    pub(super) fn number(&mut self, key: &str, range: RangeInclusive<u64>) -> u64 {
        self.number_of(self.leaf(key), key, range)
    }

    fn number_of(&mut self, leaf: Option<&Leaf>, key: &str, range: RangeInclusive<u64>) -> u64 {
        let right = format!("a whole number from {} to {}", range.start(), range.end());
        let value = self.parsed(leaf, key, &right, str::parse::<u64>, *range.start());
        self.within(leaf, key, value, &range, &right)
    }

    /// A time with its unit.
    pub(super) fn duration(&mut self, key: &str, range: RangeInclusive<Duration>) -> Duration {
        self.duration_of(self.leaf(key), key, range)
    }

    fn duration_of(&mut self, leaf: Option<&Leaf>, key: &str, range: RangeInclusive<Duration>) -> Duration {
        let [from, to] = [range.start(), range.end()].map(|bound| humantime::format_duration(*bound));
        let right = format!("a time with its unit, such as 30s or 500ms, from {from} to {to}");
        let value = self.parsed(leaf, key, &right, humantime::parse_duration, *range.start());
        self.within(leaf, key, value, &range, &right)
    }

    /// A size in bytes.
    pub(super) fn size(&mut self, key: &str, range: RangeInclusive<u64>) -> usize {
        self.size_of(self.leaf(key), key, range)
    }

    fn size_of(&mut self, leaf: Option<&Leaf>, key: &str, range: RangeInclusive<u64>) -> usize {
        let [from, to] = [range.start(), range.end()].map(|bound| bytesize::ByteSize(*bound));
        let right = format!("bytes, or a size with its unit such as 64MiB, from {from} to {to}");
        let parse = |text: &str| text.parse::<bytesize::ByteSize>().map(|size| size.as_u64());
        let value = self.parsed(leaf, key, &right, parse, *range.start());
        self.within(leaf, key, value, &range, &right) as usize
    }

    fn within<T: PartialOrd + Copy>(
        &mut self,
        leaf: Option<&Leaf>,
        key: &str,
        value: T,
        range: &RangeInclusive<T>,
        right: &str,
    ) -> T {
        if !range.contains(&value) {
            let text = leaf.and_then(|leaf| leaf.value.text()).unwrap_or_default();
            self.fault_of(leaf, key, format!("{text} is out of range"), format!("give {right}"));
        }
        value
    }

    fn parsed<T, E: Display>(
        &mut self,
        leaf: Option<&Leaf>,
        key: &str,
        right: &str,
        parse: impl Fn(&str) -> Result<T, E>,
        otherwise: T,
    ) -> T {
        let text = leaf.and_then(|leaf| leaf.value.text()).unwrap_or_default();
        parse(text.trim()).unwrap_or_else(|_| {
            self.fault_of(leaf, key, format!("{text:?} is not {}", what(right)), format!("give {right}"));
            otherwise
        })
    }

    /// Properties below a key, in order.
    pub(super) fn properties(&mut self, key: &str) -> Vec<(String, &'a Leaf)> {
        let prefix = path(key);
        let layers = self.layers;
        let below: Vec<_> =
            layers.iter().filter(|(p, _)| p.len() == prefix.len() + 1 && p.starts_with(&prefix)).collect();
        below.into_iter().filter_map(|(p, leaf)| p.last().map(|name| (name.clone(), leaf))).collect()
    }

    /// A node's value: its own, else that of every node.
    pub(super) fn node_leaf(&mut self, node: &str, key: &str) -> Option<&'a Leaf> {
        self.own_leaf(node, key).or_else(|| self.every_leaf(&path(key)))
    }

    fn every_leaf(&self, tail: &[String]) -> Option<&'a Leaf> {
        self.layers.get(&[&["nodes".into(), EVERY_NODE.into()], tail].concat())
    }

    /// A node's own value.
    pub(super) fn own_leaf(&mut self, node: &str, key: &str) -> Option<&'a Leaf> {
        let tail = path(key);
        let mut best: Option<&'a Leaf> = None;
        let mut read = Vec::new();
        for (path, leaf) in self.layers.iter() {
            let [nodes, name, rest @ ..] = path.as_slice() else { continue };
            let from_environment = leaf.origin.rank != Rank::File;
            let mine = name == node || (from_environment && name != EVERY_NODE && same_name(name, node));
            if nodes == "nodes" && mine && rest == tail.as_slice() {
                read.push(name.clone());
                best = best.filter(|other| other.origin.rank > leaf.origin.rank).or(Some(leaf));
            }
        }
        self.nodes_read.extend(read);
        best
    }

    /// Text of a node.
    pub(super) fn node_text(&mut self, node: &str, key: &str) -> Option<(String, Origin)> {
        let leaf = self.node_leaf(node, key)?;
        leaf.value.text().filter(|text| !text.is_empty()).map(|text| (text, leaf.origin.clone()))
    }

    /// A whole number of a node.
    pub(super) fn node_number(&mut self, node: &str, key: &str, range: RangeInclusive<u64>) -> u64 {
        let leaf = self.node_leaf(node, key);
        self.number_of(leaf, &format!("nodes.{node}.{key}"), range)
    }

    /// A time of a node.
    pub(super) fn node_duration(&mut self, node: &str, key: &str, range: RangeInclusive<Duration>) -> Duration {
        let leaf = self.node_leaf(node, key);
        self.duration_of(leaf, &format!("nodes.{node}.{key}"), range)
    }

    /// A size in bytes of a node.
    pub(super) fn node_size(&mut self, node: &str, key: &str, range: RangeInclusive<u64>) -> usize {
        let leaf = self.node_leaf(node, key);
        self.size_of(leaf, &format!("nodes.{node}.{key}"), range)
    }

    /// A boolean of a node.
    pub(super) fn node_boolean(&mut self, node: &str, key: &str) -> bool {
        let leaf = self.node_leaf(node, key);
        let parse = |text: &str| boolean(text).ok_or("no boolean");
        self.parsed(leaf, &format!("nodes.{node}.{key}"), "true or false", parse, false)
    }

    /// A share of a node, above 0 and at most 1.
    pub(super) fn node_share(&mut self, node: &str, key: &str) -> f64 {
        let leaf = self.node_leaf(node, key);
        let parse = |text: &str| text.parse().ok().filter(|share| *share > 0.0 && *share <= 1.0).ok_or("no share");
        self.parsed(leaf, &format!("nodes.{node}.{key}"), "a share above 0 and at most 1, such as 0.5", parse, 1.0)
    }

    /// Time for an attempt at a node: its own, else that of every node, which an annotation may give for one transport.
    pub(super) fn node_timeout(
        &mut self,
        node: &str,
        transport: Transport,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        let annotated = self.layers.get(&annotated_timeout(transport));
        let leaf = self.own_leaf(node, "timeout").or_else(|| {
            let every = self.every_leaf(&path("timeout"));
            let weaker = |leaf: &&Leaf| every.is_none_or(|every| every.origin.rank <= leaf.origin.rank);
            annotated.filter(weaker).or(every)
        });
        self.duration_of(leaf, &format!("nodes.{node}.timeout"), range)
    }

    /// One of some names, if a node has one.
    pub(super) fn node_choice<T: Copy>(&mut self, node: &str, key: &str, choices: &Choices<T>) -> Option<(T, Origin)> {
        let leaf = self.node_leaf(node, key)?;
        let value = self.choice_of(Some(leaf), &format!("nodes.{node}.{key}"), choices);
        Some((value, leaf.origin.clone()))
    }

    /// Reports settings of nodes that are not in the graph. To be called when all nodes were read.
    pub(super) fn unread_nodes(&mut self, graph: &[String]) {
        let unread: Vec<(&Path, &Leaf)> = self
            .layers
            .iter()
            .filter(|(path, _)| path[0] == "nodes" && path[1] != EVERY_NODE && !self.nodes_read.contains(&path[1]))
            .collect();
        for (path, leaf) in unread {
            let names = graph.iter().map(String::as_str);
            let remedy = match nearest(&path[1], names.clone()) {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("its nodes are: {}", graph.join(", ")),
            };
            let source = leaf.origin.clone();
            self.faults.add(source, format!("`{}`: the graph has no such node", dotted(path)), remedy);
        }
    }
}

fn what(right: &str) -> &str {
    right.split(" from ").next().unwrap_or(right).trim_end_matches(',')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::value::document;

    fn read<T>(file: &str, take: impl FnOnce(&mut Reader<'_>) -> T) -> (T, Faults) {
        let (mut layers, mut faults) = (Layers::defaults(), Faults::default());
        layers.file("c.yaml", &document(file).unwrap(), Rank::File, &mut faults);
        let taken = take(&mut Reader::new(&layers, &mut faults));
        (taken, faults)
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn values_come_with_their_types() {
        let ((), faults) =
            read("limits: {drain: 1m 30s, window: '7', reply_bytes: 2MiB}\norder: Partition", |reader| {
                assert_eq!(reader.duration("limits.drain", SECOND..=100 * SECOND), 90 * SECOND);
                assert_eq!(reader.number("limits.window", 1..=9), 7);
                assert_eq!(reader.size("limits.reply_bytes", 0..=u64::MAX), 2 << 20);
                assert!(reader.boolean("kafka.create_topics"));
                assert_eq!(reader.choice("order", &[("key", 1), ("partition", 2)]), 2);
            });
        assert!(faults.is_empty(), "{faults}");
    }

    #[test]
    fn each_fault_names_its_source_and_what_is_right() {
        let ((), faults) = read("limits: {drain: 30, window: many}\norder: fifo\nadmin: {port: 70000}", |reader| {
            reader.duration("limits.drain", SECOND..=100 * SECOND);
            reader.number("limits.window", 1..=9);
            reader.choice("order", &[("key", 1), ("partition", 2)]);
            reader.number("admin.port", 0..=65535);
            reader.required("kafka.brokers");
        });
        let text = faults.to_string();
        for wanted in [
            "c.yaml:1: limits.drain: \"30\" is not a time with its unit, such as 30s or 500ms; give",
            "c.yaml:1: limits.window: \"many\" is not a whole number; give a whole number from 1 to 9",
            "c.yaml:2: order: \"fifo\" is not known; one of: key, partition",
            "c.yaml:3: admin.port: 70000 is out of range; give a whole number from 0 to 65535",
            "kafka.brokers: is not set; give it with --kafka_broker",
        ] {
            assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
        }
    }

    #[test]
    fn a_node_has_its_own_value_or_that_of_every_node() {
        let file = "nodes: {'*': {timeout: 2s}, a: {timeout: 1s}, c: {clients: 3}}";
        let ((), faults) = read(file, |reader| {
            assert_eq!(reader.node_duration("a", "timeout", SECOND..=9 * SECOND), SECOND);
            assert_eq!(reader.node_duration("b", "timeout", SECOND..=9 * SECOND), 2 * SECOND);
            reader.unread_nodes(&["a".into(), "b".into()]);
        });
        assert!(faults.to_string().contains("`nodes.c.clients`: the graph has no such node"), "{faults}");
        assert_eq!(faults.0.len(), 1);
    }
}
