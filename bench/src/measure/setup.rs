//! What a measurement needs around it: the broker, the model servers, the subject with its settings.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde_json::json;
use tempfile::TempDir;

use super::read::Reader;
use crate::cells::{Cell, Measure, Program, Subject};
use crate::format::{Format, NODE};
use crate::kafka::{Broker, Topics};
use crate::keys::Keys;
use crate::load::Load;
use crate::process::{Process, pause};
use crate::{Result, ports};

/// How long a process may take until it answers.
const READY: Duration = Duration::from_mins(1);

/// What all measurements share.
pub(crate) struct Bench {
    pub(crate) broker: Broker,
    pub(crate) millrace: PathBuf,
    pub(crate) quick: bool,
    folder: TempDir,
    own: PathBuf,
}

/// The model servers of a cell.
pub(crate) struct Models {
    _process: Process,
    rest: u16,
    grpc: u16,
}

/// A running subject, and the port of its admin server if it has one.
pub(crate) struct Running {
    pub(crate) process: Process,
    admin: u16,
}

impl Bench {
    pub(crate) fn new(millrace: PathBuf, quick: bool) -> Result<Self> {
        if !millrace.is_file() {
            return Err(format!("{} is missing: cargo build --release -p millrace", millrace.display()).into());
        }
        let folder = tempfile::Builder::new().prefix("millrace-bench-").tempdir()?;
        let broker = Broker::start()?;
        warm_up(&broker)?;
        Ok(Self { broker, millrace, quick, folder, own: std::env::current_exe()? })
    }

    /// How much of a load this run has.
    pub(crate) fn amount(&self, subject: &Subject) -> u64 {
        subject.amount[usize::from(self.quick)]
    }

    /// New topics with a name of their own.
    pub(crate) fn topics(&self, cell: &Cell, subject: &Subject) -> Result<Topics<'_>> {
        self.broker.create(&format!("{}-{}-{:08x}", cell.name, subject.name, fastrand::u32(..)), subject.partitions)
    }

    pub(crate) fn models(&self, cell: &Cell) -> Result<Models> {
        let (rest, grpc, model) = (ports::one(), ports::one(), cell.model);
        let reply = model.reply.to_possible_value().ok_or("every reply has a name")?;
        let args = [
            "models".to_owned(),
            format!("--rest-port={rest}"),
            format!("--grpc-port={grpc}"),
            format!("--reply={}", reply.get_name()),
            format!("--call-us={}", model.call_us),
            format!("--row-us={}", model.row_us),
            format!("--workers={}", model.workers),
        ];
        let mut process = Process::start(&self.own, &args, self.folder.path(), "models")?;
        let begun = Instant::now();
        while ![rest, grpc].iter().all(|port| TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).is_ok()) {
            process.must_run()?;
            if begun.elapsed() > READY {
                return Err("the model servers do not listen".into());
            }
            pause(Duration::from_millis(5));
        }
        Ok(Models { _process: process, rest, grpc })
    }

    /// Starts a subject; it need not be ready yet.
    pub(crate) fn start(
        &self,
        cell: &Cell,
        subject: &Subject,
        topics: &Topics<'_>,
        models: &Models,
    ) -> Result<Running> {
        let port = if cell.format.is_grpc() { models.grpc } else { models.rest };
        let endpoint = format!("127.0.0.1:{port}");
        let admin = ports::one();
        // At full load many records share a batch; when they come one by one nobody waits for another.
        let linger = u32::from(matches!(cell.measure, Measure::Drain)) * 5;
        let mut args = match subject.program {
            Program::Millrace => {
                let config = settings(cell, subject, topics, &endpoint, admin);
                let file = self.folder.path().join("config.yaml");
                std::fs::write(&file, serde_json::to_string_pretty(&config)?)?;
                vec!["run".to_owned(), "-c".to_owned(), file.display().to_string()]
            }
            Program::Plain => vec![
                "plain".to_owned(),
                format!("--in-flight={}", cell.in_flight),
                format!("--transport={}", cell.format.transport()),
                format!("--endpoint={endpoint}"),
                format!("--path={}", cell.format.path()),
            ],
            Program::Copy => vec!["copy".to_owned()],
        };
        let program = if subject.program == Program::Millrace {
            &self.millrace
        } else {
            args.extend([
                format!("--brokers={}", topics.bootstrap()),
                format!("--group={}", topics.group),
                format!("--input={}", topics.input),
                format!("--output={}", topics.output),
                format!("--linger={linger}"),
            ]);
            &self.own
        };
        let process = Process::start(program, &args, self.folder.path(), subject.name)?;
        Ok(Running { process, admin })
    }
}

/// Has the broker compile what all subjects will use, or the first of them would wait for it: large and small writes, reads.
fn warm_up(broker: &Broker) -> Result<()> {
    let topics = broker.create("warm-up", 4)?;
    let keys = Keys::RoundRobin(1000);
    Load::new(&topics, Format::SeldonRest, keys, 5)?.backlog(200_000)?;
    Load::new(&topics, Format::SeldonRest, keys, 0)?.steady(10_000, 2_000, Instant::now())?;
    for _ in 0..3 {
        Reader::new(&topics, &topics.input, topics.partitions, false)?.each(|_| {})?;
    }
    Ok(())
}

/// The service's configuration. JSON is YAML too.
fn settings(cell: &Cell, subject: &Subject, topics: &Topics<'_>, endpoint: &str, admin: u16) -> serde_json::Value {
    let mut node = json!({"endpoint": endpoint});
    if subject.batch_rows > 0 {
        node["batch"] = json!({"rows": subject.batch_rows});
    }
    json!({
        "protocol": cell.format.protocol(),
        "transport": cell.format.transport(),
        "order": subject.order,
        "delivery": if subject.exactly_once { "exactly_once" } else { "at_least_once" },
        "kafka": {
            "brokers": topics.bootstrap(),
            "group_id": topics.group,
            "input_topic": topics.input,
            "output_topic": topics.output,
            "dead_letter": {"topic": topics.dead},
        },
        "limits": {"in_flight_records": cell.in_flight},
        "nodes": {NODE: node},
        "graph": {"name": NODE, "type": "MODEL"},
        "admin": {"host": "127.0.0.1", "port": admin},
    })
}

impl Running {
    /// Waits until the admin server says that the service is ready.
    pub(crate) fn ready(&mut self) -> Result<()> {
        let begun = Instant::now();
        while !is_ready(self.admin).unwrap_or_default() {
            self.process.must_run()?;
            if begun.elapsed() > READY {
                return Err(format!("not ready: {}", self.process.last_words()).into());
            }
            pause(Duration::from_millis(2));
        }
        Ok(())
    }
}

fn is_ready(port: u16) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    stream.write_all(b"GET /ready HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer.starts_with(b"HTTP/1.1 200"))
}
