//! Records through the service: what became of each, by its id.

use std::collections::HashMap;
use std::time::Duration;

use millrace_proto::ProtoName;
use serde_json::{Value, json};

use crate::BROKER;
use crate::support::collect::Record;
use crate::support::config::Config;
use crate::support::scenario::Scenario;
use crate::support::send::Draft;
use crate::support::service::Service;
use crate::support::wait;

/// A call that fails is tried again, a real server is slow at first, and other tests run beside.
const SOON: Duration = Duration::from_mins(2);

/// What became of the records, by id.
pub(crate) struct Ends {
    answers: HashMap<String, Record>,
    letters: HashMap<String, Record>,
}

impl Ends {
    /// How many were answered and how many dead-lettered.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.answers.len(), self.letters.len())
    }

    /// The answer to a record.
    #[track_caller]
    pub(crate) fn answer(&self, id: &str) -> &Record {
        self.answers.get(id).unwrap_or_else(|| match self.letters.get(id) {
            Some(letter) => panic!("{id} is a dead letter: {}", reason(letter)),
            None => panic!("{id} has no answer"),
        })
    }

    /// The dead letter of a record.
    #[track_caller]
    pub(crate) fn letter(&self, id: &str) -> &Record {
        self.letters.get(id).unwrap_or_else(|| panic!("{id} is no dead letter"))
    }

    /// The answer to a record as a message, which its header names.
    #[track_caller]
    pub(crate) fn message<M: ProtoName>(&self, id: &str) -> M {
        let record = self.answer(id);
        assert_eq!(record.must_have("proto-name"), M::PROTO_NAME);
        M::decode(record.value.as_deref().unwrap_or_default()).expect("it is what its header says")
    }
}

/// All that a dead letter says.
pub(crate) fn reason(letter: &Record) -> String {
    let names = ["class", "node", "status", "attempts", "message", "body"].map(|name| format!("millrace-error-{name}"));
    let texts = names.iter().filter_map(|name| Some(format!("{name}: {}", letter.header(name)?)));
    texts.collect::<Vec<_>>().join("\n")
}

/// A configuration with this graph; its nodes have to be added.
pub(crate) fn config(scenario: &Scenario<'_>, graph: Value) -> Config {
    scenario.config().without("nodes/double").without("nodes/add-one").set("graph", graph)
}

/// The graph of one model.
pub(crate) fn model(name: &str) -> Value {
    json!({"name": name, "type": "MODEL"})
}

/// A record that is known again by its id.
pub(crate) fn record(id: &str, value: impl Into<Vec<u8>>) -> Draft {
    Draft::value(value).key(id).header("Seldon-Puid", id)
}

/// A record with a message.
pub(crate) fn proto_record<M: ProtoName>(id: &str, message: &M) -> Draft {
    record(id, message.encode_to_vec()).header("proto-name", M::PROTO_NAME)
}

/// Runs the service over these records until each has ended, and once only.
#[track_caller]
pub(crate) fn run(scenario: &Scenario<'_>, config: &Config, drafts: &[Draft]) -> Ends {
    run_and_look(scenario, config, drafts, |_| ())
}

/// The same, and looks at the service before it is stopped.
#[track_caller]
pub(crate) fn run_and_look(
    scenario: &Scenario<'_>,
    config: &Config,
    drafts: &[Draft],
    look: impl FnOnce(&Service),
) -> Ends {
    let service = Service::start(config);
    BROKER.send(&scenario.input, drafts);
    let (mut outputs, mut dead) = (scenario.outputs(), scenario.dead_letters());
    wait::until_true(SOON, "every record has ended", || {
        outputs.read_to_end().len() + dead.read_to_end().len() >= drafts.len()
    });
    BROKER.wait_for_no_lag(&scenario.group, &scenario.input, SOON);
    look(&service);
    service.stop();
    outputs.read_to_end();
    dead.read_to_end();
    let ends = Ends { answers: by_id(outputs.records), letters: by_id(dead.records) };
    assert_eq!(ends.answers.len() + ends.letters.len(), drafts.len());
    ends
}

fn by_id(records: Vec<Record>) -> HashMap<String, Record> {
    let count = records.len();
    let by_id: HashMap<_, _> = records.into_iter().map(|record| (record.must_have("Seldon-Puid"), record)).collect();
    assert_eq!(by_id.len(), count, "a record has ended twice");
    by_id
}
