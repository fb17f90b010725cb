//! `millrace dlq replay`: letters sent again, each in one transaction with the marker that says so.
//!
//! The order of its beginning is what makes it safe. First the transactional id is taken, which ends another replay and waits
//! for the end of what it had written; only then are markers read, so that none is missed.

mod graph;
mod report;
mod targets;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use serde_json::json;

use super::Problem;
use super::args::ReplayArgs;
use super::desk::{Desk, Found, Letters};
use super::pace::Pace;
use super::progress::Progress;
use crate::cli::exit::Exit;
use crate::kafka::client::replay_config;
use crate::kafka::outcome::{OutRecord, placement};
use crate::kafka::replay::browse::Browser;
use crate::kafka::replay::letter::Missing;
use crate::kafka::replay::marks::Place;
use crate::kafka::replay::restore::{mismatch, restored, sent_again};
use crate::kafka::replay::writer::{Error, ReplayWriter};
use crate::record::{Headers, Record};
use graph::Graph;
use report::Report;
use targets::Targets;

/// What one transaction holds at most.
const RECORDS: usize = 500;
const BYTES: usize = 8 << 20;
const TIME: Duration = Duration::from_secs(1);
/// An aborted transaction is tried again this often.
const TRIES: usize = 3;

/// A letter on its way.
struct Job {
    place: Place,
    /// Where to.
    topic: Arc<str>,
    partition: Option<i32>,
    record: Record,
}

pub(super) fn replay(arguments: &ReplayArgs) -> Result<Exit, Problem> {
    let desk = Desk::open(&arguments.source, arguments.filter.topic.as_ref())?;
    let graph = arguments.through_graph.then(|| Graph::new(&desk.settings, arguments.in_flight)).transpose()?;
    let mut targets = Targets::new(&desk.settings)?;
    let writer = if arguments.dry_run { None } else { Some(open(&desk, &mut targets, graph.is_some())?) };
    let letters = desk.letters(&arguments.filter, false)?;
    let mut run = Run {
        progress: Progress::new(letters.unread()),
        report: Report::new(arguments.json),
        pace: Pace::new(arguments.rate),
        begun: Instant::now(),
        sources: Browser::new(&desk.settings).map_err(Problem::unavailable)?,
        desk: &desk,
        letters,
        targets,
        graph,
    };
    let ended = run.all(writer.as_ref());
    drop(run.progress);
    run.report.tell(arguments.dry_run);
    ended.map(|()| run.report.exit())
}

/// Takes the transactional id, with a markers topic to write to.
fn open(desk: &Desk, targets: &mut Targets, through_graph: bool) -> Result<ReplayWriter, Problem> {
    let partitions = i32::try_from(desk.spans()?.len()).unwrap_or(i32::MAX);
    targets.ensure_markers(&desk.markers, partitions, &desk.settings)?;
    let kafka = &desk.settings.kafka;
    let target = if through_graph { &kafka.output_topic } else { &kafka.input_topic };
    let target = targets.topic(&target.as_str().into())?;
    let batch_bytes = target.and_then(|topic| topic.max_message_bytes);
    ReplayWriter::open(replay_config(&desk.settings), batch_bytes).map_err(|error| Problem::unavailable(&error))
}

struct Run<'a> {
    desk: &'a Desk,
    letters: Letters<'a>,
    /// Reads what letters miss.
    sources: Browser,
    targets: Targets,
    graph: Option<Graph>,
    pace: Pace,
    begun: Instant,
    progress: Progress,
    report: Report,
}

impl Run<'_> {
    fn all(&mut self, writer: Option<&ReplayWriter>) -> Result<(), Problem> {
        loop {
            let (jobs, more) = self.gather(writer.is_some())?;
            match writer {
                Some(writer) => self.carry_out(writer, jobs)?,
                None => jobs.iter().for_each(|job| self.report.would(job.place, &job.topic)),
            }
            self.progress.at(self.letters.unread(), &self.report.so_far());
            if !more {
                return Ok(());
            }
        }
    }

    /// What goes into the next transaction, and whether there may be more after it.
    fn gather(&mut self, paced: bool) -> Result<(Vec<Job>, bool), Problem> {
        let (mut jobs, mut bytes) = (Vec::new(), 0);
        let begun = Instant::now();
        while jobs.len() < RECORDS && bytes < BYTES && begun.elapsed() < TIME {
            let Some(found) = self.letters.next()? else { return Ok((jobs, false)) };
            let place = found.letter.place;
            match self.job(found)? {
                Ok(job) => {
                    if paced {
                        pause(self.pace.wait(self.begun.elapsed()));
                    }
                    bytes += job.record.size();
                    jobs.push(job);
                }
                Err(why) => self.report.failed(place, why, Exit::Data),
            }
        }
        Ok((jobs, true))
    }

    /// The record that a letter stands for and where it goes, or why it goes nowhere.
    fn job(&mut self, found: Found) -> Result<Result<Job, String>, Problem> {
        let Found { letter, record, .. } = found;
        let kafka = &self.desk.settings.kafka;
        let Some(source) = &letter.source else {
            return Ok(Err("it does not say where it came from: no dead letter of this service".into()));
        };
        let topic: Arc<str> = match &self.graph {
            Some(_) if kafka.feedback_topic.as_deref() == Some(&*source.topic) => {
                return Ok(Err("it is feedback, which has no answer: replay it without --through-graph".into()));
            }
            Some(_) => kafka.output_topic.as_str().into(),
            None if self.desk.topic == kafka.dead_letter_topic => kafka.input_topic.as_str().into(),
            None => source.topic.clone(),
        };
        let Some(target) = self.targets.topic(&topic)? else {
            return Ok(Err(format!("topic {topic} does not exist, or this user may not describe it")));
        };
        let mut there = None;
        if letter.missing != Missing::Nothing {
            let at = format!("{} {}", source.topic, source.place);
            there = self.sources.fetch(&source.topic, source.place).map_err(Problem::unavailable)?;
            match &there {
                None => return Ok(Err(format!("too large for a dead letter, and {at} was removed by retention"))),
                Some(other) => {
                    if let Some(why) = mismatch(&record, &letter, source, other) {
                        return Ok(Err(format!("too large for a dead letter, and at {at} {why}")));
                    }
                }
            }
        }
        let record = restored(&record, &letter, source, there.as_ref());
        let partition = placement(self.desk.settings.order, record.key.as_ref(), record.partition, target.partitions);
        Ok(Ok(Job { place: letter.place, topic, partition, record }))
    }

    /// Sends jobs through the graph, if that is wanted, and writes what came of them.
    fn carry_out(&mut self, writer: &ReplayWriter, jobs: Vec<Job>) -> Result<(), Problem> {
        let mut from = Vec::with_capacity(jobs.len());
        let mut pairs = Vec::with_capacity(jobs.len());
        let mut add = |place: Place, record: OutRecord| {
            let marker = marker(&self.desk.markers, place, &record.topic);
            from.push(place);
            pairs.push((record, marker));
        };
        match &self.graph {
            None => jobs.into_iter().for_each(|job| add(job.place, sent_again(job.record, job.topic, job.partition))),
            Some(graph) => {
                let places: Vec<Place> = jobs.iter().map(|job| job.place).collect();
                let records: Vec<_> = jobs.into_iter().map(|job| (job.record, job.partition)).collect();
                for (place, answer) in places.into_iter().zip(graph.answers(&records)) {
                    match answer {
                        Ok(record) => add(place, record),
                        Err((why, exit)) => self.report.failed(place, why, exit),
                    }
                }
            }
        }
        self.write(writer, &pairs, &from)
    }

    /// Writes pairs of records and markers, `from` being the letters' places.
    fn write(
        &mut self,
        writer: &ReplayWriter,
        pairs: &[(OutRecord, OutRecord)],
        from: &[Place],
    ) -> Result<(), Problem> {
        if pairs.is_empty() {
            return Ok(());
        }
        let mut tries = 0;
        loop {
            tries += 1;
            match writer.write(pairs) {
                Ok(()) => {
                    from.iter().zip(pairs).for_each(|(place, (record, _))| self.report.done(*place, &record.topic));
                    return Ok(());
                }
                Err(Error::Refused(which)) if pairs.len() == 1 => {
                    let code = which.first().map_or_else(String::new, |(_, code)| code.to_string());
                    self.report.failed(from[0], format!("refused by the broker: {code}"), Exit::Data);
                    return Ok(());
                }
                // A batch is refused as a whole: alone, those that are well are taken.
                Err(Error::Refused(_)) => {
                    let mut alone = from.chunks(1).zip(pairs.chunks(1));
                    return alone.try_for_each(|(from, pair)| self.write(writer, pair, from));
                }
                Err(Error::Aborted(_)) if tries < TRIES => {}
                Err(error) => return Err(given_up(&error)),
            }
        }
    }
}

fn given_up(error: &Error) -> Problem {
    let then = match error {
        Error::Fenced => "what this one has replayed is marked, and the other one goes on with the rest",
        Error::Unknown(_) => {
            "its letters are replayed and marked, or neither: `millrace dlq list` shows what is left; run the replay again"
        }
        _ => "nothing of the last transaction is replayed or marked; run the replay again",
    };
    Problem::unavailable(format!("{error}; {then}"))
}

/// The record that says that a letter was replayed.
fn marker(topic: &str, place: Place, to: &str) -> OutRecord {
    let now = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
    OutRecord {
        topic: topic.into(),
        partition: None,
        key: Some(place.to_string().into()),
        value: Some(Bytes::from(json!({"replayed_at": now, "to": to}).to_string())),
        headers: Headers::default(),
    }
}

#[expect(clippy::disallowed_methods, reason = "the only thread of a command; no actor lives on it")]
fn pause(time: Duration) {
    if !time.is_zero() {
        std::thread::sleep(time);
    }
}
