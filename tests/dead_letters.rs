//! `millrace dlq`: dead letters are listed, shown and counted, and sent again once, whatever happens meanwhile.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::Value;
use support::collect::Collector;
use support::config::Config;
use support::kafka::{Broker, Options};
use support::scenario::Scenario;
use support::send::Draft;
use support::service::Service;
use support::wait;

/// A broker that looks for transactions of the dead more often than every ten seconds.
static BROKER: LazyLock<Broker> = LazyLock::new(|| {
    Broker::start(&Options::default().set("transaction.abort.timed.out.transaction.cleanup.interval.ms=1000"))
});
const SOON: Duration = Duration::from_mins(1);

/// The command with one configuration.
struct Dlq(tempfile::TempDir);

struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Dlq {
    fn new(config: &Config) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("config.yaml"), config.yaml()).expect("it can be written");
        Self(folder)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
        command.arg("dlq").args(arguments).arg("-c").arg(self.0.path().join("config.yaml")).env_clear();
        command
    }

    fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it can be run")
    }

    /// Runs it to its end, which must have this exit code.
    #[track_caller]
    fn run(&self, code: i32, arguments: &[&str]) -> Said {
        let said = Said::of(self.start(arguments));
        assert_eq!(said.code, Some(code), "{arguments:?}:\n{}{}", said.stdout, said.stderr);
        said
    }

    /// `dlq list` as JSON.
    #[track_caller]
    fn list(&self, more: &[&str]) -> Vec<Value> {
        self.run(0, &[&["list", "--json"], more].concat()).objects()
    }

    /// Markers may be seen a moment after their transaction is committed.
    #[track_caller]
    fn wait_for(&self, count: usize) {
        wait::until_true(SOON, &format!("{count} letters are left"), || self.list(&[]).len() == count);
    }
}

impl Said {
    fn of(child: Child) -> Self {
        let output = child.wait_with_output().expect("it ends");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    #[track_caller]
    fn objects(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).expect("one object a line")).collect()
    }

    #[track_caller]
    fn says(&self, texts: &[&str]) {
        for text in texts {
            let found = self.stdout.contains(text) || self.stderr.contains(text);
            assert!(found, "no {text:?} in\n{}{}", self.stdout, self.stderr);
        }
    }
}

fn place(of: &Value) -> String {
    format!("{}:{}", of["partition"], of["offset"])
}

/// 100 requests of 10 keys, of which the first node refuses one key and the second another.
fn refused(scenario: &Scenario<'_>) -> Vec<support::load::Sent> {
    scenario.double.change(|rules| rules.fail.push((r#""key":"k1""#.into(), 400, r#"{"error":"too wide"}"#.into())));
    scenario.add_one.change(|rules| rules.fail.push((r#""key":"k2""#.into(), 422, "no".into())));
    scenario.requests().keys(10).send(&BROKER, &scenario.input, 100)
}

fn mended(scenario: &Scenario<'_>) {
    scenario.double.change(|rules| rules.fail.clear());
    scenario.add_one.change(|rules| rules.fail.clear());
}

#[test]
fn letters_are_seen_and_sent_again_once() {
    let scenario = Scenario::new(&BROKER, "dlq", 3);
    let sent = refused(&scenario);
    let dlq = Dlq::new(&scenario.config());
    let service = Service::start(&scenario.config());
    wait::until_true(SOON, "all have ended", || {
        (service.outcomes("answered"), service.outcomes("dead_lettered")) == (80, 20)
    });

    let listed = dlq.list(&[]);
    assert_eq!(listed.len(), 20);
    for letter in &listed {
        let (key, node) = (letter["key"].as_str().unwrap(), letter["node"].as_str().unwrap());
        assert_eq!((letter["class"].as_str(), letter["replays"].as_u64()), (Some("model_error"), Some(0)));
        assert!(matches!((key, node), ("k1", "double") | ("k2", "add-one")), "{letter}");
    }
    let table = dlq.run(0, &["list"]);
    table.says(&["AT", "CLASS", "model_error", "double", "add-one", "k1", &place(&listed[0])]);
    assert_eq!(table.stdout.lines().count(), 21);
    assert_eq!(dlq.list(&["--node", "double"]).len(), 10);
    assert_eq!(dlq.list(&["--key", "k2", "--since", "1h", "--limit", "3"]).len(), 3);
    assert_eq!(dlq.list(&["--key-hex", "6b31"]).len(), 10);
    assert_eq!(dlq.list(&["--until", "1h"]).len() + dlq.list(&["--class", "timeout"]).len(), 0);
    dlq.run(64, &["list", "--class", "nonsense"]).says(&["model_error"]);

    let counted = dlq.run(0, &["count", "--json"]).objects();
    let counted: BTreeMap<_, _> =
        counted.iter().map(|of| (of["node"].as_str().unwrap(), of["count"].as_u64())).collect();
    assert_eq!(counted, BTreeMap::from([("add-one", Some(10)), ("double", Some(10))]));
    dlq.run(0, &["count"]).says(&["total", "20"]);

    let wide = listed.iter().find(|of| of["node"] == "double").unwrap();
    let file = dlq.0.path().join("value.json");
    let shown = dlq.run(0, &["show", &place(wide), "-o", file.to_str().unwrap()]);
    shown.says(&["too wide", "millrace-error-status: 400", "Seldon-Puid", "k1"]);
    assert!(std::fs::read_to_string(&file).unwrap().contains(r#""key":"k1""#));
    dlq.run(65, &["show", "0:999999"]).says(&["no dead letter"]);

    let before = BROKER.watermarks(&scenario.input);
    dlq.run(0, &["replay", "--dry-run"]).says(&["20 would be replayed", &place(wide), &scenario.input]);
    assert_eq!(BROKER.watermarks(&scenario.input), before);
    assert!(!BROKER.topic_exists(&format!("{}.replayed", scenario.dead)));
    assert_eq!(dlq.list(&[]).len(), 20);

    // It fails again, twice: where it first came from stays, and replays are counted.
    let origin = |letter: &Value, name: &str| {
        let whole = dlq.run(0, &["show", "--json", &place(letter)]).objects().remove(0);
        let headers = whole["headers"].as_array().unwrap();
        headers.iter().find(|of| of["name"] == name).map(|of| of["value"].as_str().unwrap().to_owned())
    };
    let first = (wide["source"]["partition"].to_string(), wide["source"]["offset"].to_string());
    let mut again = wide.clone();
    for replays in 1..=2 {
        let (partition, offset) = (again["partition"].to_string(), again["offset"].to_string());
        dlq.run(0, &["replay", "--partition", &partition, "--offset", &offset]).says(&["1 replayed"]);
        wait::until_true(SOON, "it has failed again", || service.outcomes("dead_lettered") == 20 + replays);
        dlq.wait_for(20);
        again = dlq.list(&[]).into_iter().find(|of| of["replays"] == replays).expect("it counts");
        let found = (origin(&again, "millrace-origin-partition"), origin(&again, "millrace-origin-offset"));
        assert_eq!(found, (Some(first.0.clone()), Some(first.1.clone())));
        assert_eq!(origin(&again, "millrace-origin-topic").as_deref(), Some(scenario.input.as_str()));
    }
    dlq.run(65, &["show", &place(wide)]).says(&["was replayed"]);
    assert_eq!(dlq.list(&["--include-replayed"]).len(), 22);

    mended(&scenario);
    dlq.run(0, &["replay", "--node", "add-one"]).says(&["10 replayed"]);
    wait::until_true(SOON, "those are answered", || service.outcomes("answered") == 90);
    dlq.run(0, &["replay", "--rate", "1000"]).says(&["10 replayed"]);
    wait::until_true(SOON, "all are answered", || service.outcomes("answered") == 100);
    dlq.wait_for(0);
    assert_eq!(BROKER.topic_setting(&format!("{}.replayed", scenario.dead), "cleanup.policy"), "compact");
    let ends = BROKER.watermarks(&scenario.input);
    dlq.run(0, &["replay"]).says(&["0 replayed"]);
    assert_eq!(BROKER.watermarks(&scenario.input), ends);

    let mut outputs = scenario.outputs();
    let outputs = outputs.expect(100, SOON);
    let places: BTreeMap<_, _> = sent.iter().map(|sent| (sent.id.clone(), sent.place)).collect();
    let mut replayed = 0;
    for output in outputs {
        let Some(replays) = output.header("millrace-replays") else { continue };
        replayed += 1;
        assert!(["1", "3"].contains(&replays.as_str()), "{replays}");
        let place = places[&output.must_have("Seldon-Puid")];
        let origin = (output.must_have("millrace-origin-partition"), output.must_have("millrace-origin-offset"));
        assert_eq!(origin, (place.partition.to_string(), place.offset.to_string()));
        assert_eq!(output.header("millrace-error-class"), None);
    }
    assert_eq!(replayed, 20);
    service.stop();
}

#[test]
fn letters_go_through_the_graph_and_those_that_fail_again_stay() {
    let scenario = Scenario::new(&BROKER, "dlq-graph", 2);
    let sent = refused(&scenario);
    let service = Service::start(&scenario.config());
    wait::until_true(SOON, "all have ended", || service.outcomes("dead_lettered") == 20);
    BROKER.wait_for_no_lag(&scenario.group, &scenario.input, SOON);
    service.stop();
    let dlq = Dlq::new(&scenario.config().set("nodes/double/retry/attempts", 1));
    let ends = BROKER.watermarks(&scenario.input);
    scenario.double.change(|rules| rules.fail.clear());

    let said = dlq.run(65, &["replay", "--through-graph", "--in-flight", "4"]);
    said.says(&["10 replayed, 10 not", "model_error at add-one", "422"]);
    dlq.wait_for(10);
    assert_eq!(dlq.list(&["--node", "add-one"]).len(), 10);
    scenario.double.down();
    dlq.run(69, &["replay", "--through-graph", "--limit", "1"]).says(&["0 replayed, 1 not", "double"]);
    scenario.double.up();
    mended(&scenario);
    let said = dlq.run(0, &["replay", "--through-graph", "--json"]);
    assert_eq!(said.objects().iter().filter(|of| of["to"] == scenario.output.as_str()).count(), 10);
    dlq.wait_for(0);
    assert_eq!(BROKER.watermarks(&scenario.input), ends, "nothing went to the input topic");

    let mut outputs = scenario.outputs();
    let outputs = outputs.expect(100, SOON);
    let ids: BTreeSet<_> = outputs.iter().map(|output| output.must_have("Seldon-Puid")).collect();
    assert_eq!((outputs.len(), ids.len()), (100, 100));
    for sent in sent.iter().filter(|sent| ["k1", "k2"].contains(&sent.key.as_str())) {
        let output = outputs.iter().find(|output| output.must_have("Seldon-Puid") == sent.id).unwrap();
        assert!(
            output.text().contains(&format!(r#""n":{},"#, support::scenario::chained(sent.n))),
            "{}",
            output.text()
        );
        assert_eq!(output.must_have("millrace-source-offset"), sent.place.offset.to_string());
        assert_eq!(output.must_have("millrace-origin-offset"), sent.place.offset.to_string());
        assert_eq!(output.must_have("millrace-replays"), "1");
    }
}

#[test]
fn what_was_too_large_for_a_letter_is_fetched_where_it_came_from() {
    let scenario = Scenario::without_topics(&BROKER, "dlq-large");
    BROKER.create_topics(&[&scenario.input, &scenario.output], 1, &[]);
    BROKER.create_topics(&[&scenario.dead], 1, &[("max.message.bytes", "20000")]);
    scenario.double.change(|rules| rules.fail.push(("\"id\"".into(), 400, "no".into())));
    let large = |id: &str| {
        let pad = "x".repeat(100_000);
        let body = format!(r#"{{"instances":[{{"id":"{id}","key":"k","seq":0,"n":1,"pad":"{pad}"}}]}}"#);
        Draft::value(body).key("k").header("Seldon-Puid", id)
    };
    let places = BROKER.send(&scenario.input, &[large("gone"), large("kept")]);
    let service = Service::start(&scenario.config());
    wait::until_true(SOON, "both are dead", || service.outcomes("dead_lettered") == 2);
    let dlq = Dlq::new(&scenario.config());
    let listed = dlq.list(&[]);
    assert!(listed.len() == 2 && listed.iter().all(|of| of["missing"] == "value" && of["value_bytes"].is_null()));
    mended(&scenario);
    BROKER.delete_records(&scenario.input, 0, places[1].offset);

    let file = dlq.0.path().join("value.json");
    dlq.run(0, &["show", &place(&listed[1]), "-o", file.to_str().unwrap()]).says(&["too large"]);
    assert!(std::fs::metadata(&file).unwrap().len() > 100_000);
    dlq.run(65, &["replay"]).says(&["1 replayed, 1 not", "removed by retention", &place(&listed[0])]);
    wait::until_true(SOON, "it is answered", || service.outcomes("answered") == 1);
    assert_eq!(scenario.outputs().expect(1, SOON)[0].must_have("Seldon-Puid"), "kept");
    dlq.wait_for(1);
    service.stop();
}

/// Letters as the service would have written them, without it.
fn written(scenario: &Scenario<'_>, count: usize) {
    let letter = |i: usize| {
        let (id, key) = (format!("id-{i}"), format!("k{}", i % 50));
        let draft = Draft::value(format!("value {i} {}", "x".repeat(1000))).key(&key).header("Seldon-Puid", id);
        let facts = [("error-class", "timeout"), ("error-node", "double"), ("source-topic", scenario.input.as_str())];
        let draft = facts.iter().fold(draft, |draft, (name, value)| draft.header(&format!("millrace-{name}"), *value));
        draft.header("millrace-source-partition", "0").header("millrace-source-offset", i.to_string())
    };
    BROKER.send(&scenario.dead, &(0..count).map(letter).collect::<Vec<_>>());
}

/// What readers of committed records see in the input topic: every letter once, and those of a key in their order.
#[track_caller]
fn each_once(scenario: &Scenario<'_>, count: usize) {
    let mut read = Collector::open(&BROKER, &scenario.input);
    let records = read.expect(count, SOON);
    let mut last: BTreeMap<String, usize> = BTreeMap::new();
    let mut ids = BTreeSet::new();
    for record in records {
        let id = record.must_have("Seldon-Puid");
        let number: usize = id["id-".len()..].parse().expect("a number");
        if let Some(before) = last.insert(record.key_text().expect("a key"), number) {
            assert!(before < number, "{before} comes before {number}");
        }
        assert!(ids.insert(id.clone()), "{id} is there twice");
        assert_eq!(record.must_have("millrace-replays"), "1");
    }
    assert_eq!(ids.len(), count);
    assert_eq!(read.read_to_end().len(), count);
}

#[test]
fn replays_that_are_killed_repeat_nothing() {
    let scenario = Scenario::new(&BROKER, "dlq-killed", 3);
    written(&scenario, 10_000);
    let dlq = Dlq::new(&scenario.config().set("kafka/transaction/timeout", "3s"));
    let ends = || BROKER.watermarks(&scenario.input).iter().map(|(_, end)| end).sum::<i64>();
    // As soon as records are written, the first transaction is open; when there are more than it holds, it is committed.
    for more in [0, 600, 0, 600, 0, 600] {
        let before = ends();
        let mut child = dlq.start(&["replay", "--rate", "5000"]);
        wait::until_true(SOON, "it has begun", || ends() > before + more);
        wait::let_pass(Duration::from_millis(fastrand::u64(0..=more as u64 / 3)));
        child.kill().expect("it runs");
        child.wait().expect("it ends");
    }
    let said = dlq.run(0, &["replay", "--json"]);
    let left = said.objects().len();
    assert!((1..10_000).contains(&left), "the kills came in the middle: {left}");
    each_once(&scenario, 10_000);
    dlq.wait_for(0);
}

#[test]
fn a_record_whose_marker_cannot_be_written_is_not_replayed() {
    let scenario = Scenario::new(&BROKER, "dlq-both", 1);
    written(&scenario, 5);
    // Room for the broker's own word that a transaction is over, and for no marker.
    BROKER.create_topic(&format!("{}.replayed", scenario.dead), 1, &[("max.message.bytes", "100")]);
    let dlq = Dlq::new(&scenario.config());
    dlq.run(65, &["replay"]).says(&["0 replayed, 5 not", "refused by the broker"]);
    assert_eq!(Collector::open(&BROKER, &scenario.input).read_to_end().len(), 0);
    assert_eq!(dlq.list(&[]).len(), 5);
}

#[test]
fn a_second_replay_ends_the_first_and_goes_on_with_the_rest() {
    let scenario = Scenario::new(&BROKER, "dlq-twins", 3);
    written(&scenario, 1_000);
    let dlq = Dlq::new(&scenario.config());
    let first = dlq.start(&["replay", "--rate", "100"]);
    let ends = || BROKER.watermarks(&scenario.input).iter().map(|(_, end)| end).sum::<i64>();
    wait::until_true(SOON, "it has begun", || ends() > 0);
    dlq.run(0, &["replay"]);
    let first = Said::of(first);
    assert_eq!(first.code, Some(69), "{}", first.stderr);
    first.says(&["another replay", "is marked"]);
    each_once(&scenario, 1_000);
}

#[test]
fn the_letters_of_another_topic_go_where_each_came_from() {
    let scenario = Scenario::new(&BROKER, "dlq-other", 1);
    written(&scenario, 10);
    let config = scenario.config().set("kafka/input_topic", "not-this-one").set("kafka/dead_letter/topic", "nor-this");
    let dlq = Dlq::new(&config);
    dlq.run(69, &["list"]).says(&["nor-this does not exist"]);
    dlq.run(0, &["replay", "--topic", &scenario.dead]).says(&["10 replayed"]);
    each_once(&scenario, 10);
}
