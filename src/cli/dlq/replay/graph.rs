//! Letters through the graph, several at a time: the way of `millrace predict`, with answers as the service writes them.

use actix_rt::SystemRunner;
use bytes::Bytes;
use futures_util::{StreamExt, stream};

use crate::cli::dlq::Problem;
use crate::cli::exit::Exit;
use crate::cli::predict::request::Given;
use crate::cli::predict::{exit, trip};
use crate::codec;
use crate::config::settings::Settings;
use crate::kafka::outcome::OutRecord;
use crate::kafka::output::{Answers, PUID};
use crate::model::client::Client;
use crate::record::Record;
use crate::stream::journey::Rules;
use crate::stream::setting;
use crate::stream::targets::{NodeTarget, targets};

/// Why a letter has no answer again, and the exit code for it.
pub(super) type Refusal = (String, Exit);

/// The graph and the clients of its nodes.
pub(super) struct Graph {
    system: SystemRunner,
    settings: Settings,
    rules: Rules,
    targets: Vec<NodeTarget>,
    clients: Vec<Client>,
    answers: Answers,
    in_flight: usize,
}

impl Graph {
    pub(super) fn new(settings: &Settings, in_flight: u16) -> Result<Self, Problem> {
        let wrong = |text| Problem::new(Exit::Configuration, text);
        let (rules, targets) = setting::plan(settings).and_then(|plan| targets(settings, plan)).map_err(wrong)?;
        let system = actix_rt::System::new();
        let clients = system.block_on(async { trip::clients(settings, &targets) }).map_err(wrong)?;
        let answers = Answers::new(settings.kafka.output_topic.as_str());
        Ok(Self { system, settings: settings.clone(), rules, targets, clients, answers, in_flight: in_flight.into() })
    }

    /// The answer's record for each of these, in their order. The second of a pair is the partition of the output.
    pub(super) fn answers(&self, records: &[(Record, Option<i32>)]) -> Vec<Result<OutRecord, Refusal>> {
        let trips = stream::iter(records).map(|(record, partition)| self.answer(record, *partition));
        self.system.block_on(trips.buffered(self.in_flight).collect())
    }

    async fn answer(&self, record: &Record, partition: Option<i32>) -> Result<OutRecord, Refusal> {
        let Settings { protocol, transport, limits, .. } = &self.settings;
        let headers = &record.headers;
        let message = codec::decode(*protocol, *transport, headers, record.value.as_ref(), limits.request_bytes);
        let message = message.map_err(|error| (error.to_string(), Exit::Data))?;
        let puid = headers.text(PUID).map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned);
        let given = Given { message, headers: headers.clone(), puid: puid.clone() };
        let trip = trip::run(&self.rules, &self.targets, &self.clients, &given).await;
        let trip = trip.map_err(|problem| (problem, Exit::Configuration))?;
        match trip.result {
            Ok(answer) => Ok(self.answers.record(record, Bytes::from(puid), answer, partition)),
            Err(failure) => {
                let node = failure.node.as_ref().map(|node| format!(" at {node}")).unwrap_or_default();
                Err((format!("{}{node}: {}", failure.class, failure.message), exit(&failure)))
            }
        }
    }
}
