//! A real Apache Kafka for one test file, on ports of its own, in a temporary folder.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::topics::Clients;
use super::{ports, reaper};

/// The script beside the tests that does the work; `tests/kafka/README.md` tells its verbs.
pub const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kafka/kafka");

/// What kind of broker a test wants.
#[derive(Clone, Debug)]
pub struct Options {
    brokers: u16,
    secure: bool,
    set: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self { brokers: 1, secure: false, set: Vec::new() }
    }
}

impl Options {
    /// Three brokers, of which one may die.
    pub fn three(mut self) -> Self {
        self.brokers = 3;
        self
    }

    /// TLS and SASL listeners too.
    pub fn secure(mut self) -> Self {
        self.secure = true;
        self
    }

    /// A line of server.properties.
    pub fn set(mut self, line: &str) -> Self {
        self.set.push(line.to_owned());
        self
    }
}

/// Running brokers; dropping it ends them. A broker in a static is ended with the process (see [`reaper`]).
pub struct Broker {
    folder: PathBuf,
    addresses: HashMap<String, String>,
    pub(super) clients: OnceLock<Clients>,
}

impl Broker {
    /// Starts brokers and waits until they take requests. Tries other ports when someone else was quicker.
    pub fn start(options: &Options) -> Self {
        let mut refused = String::new();
        for _ in 0..5 {
            let folder =
                tempfile::Builder::new().prefix("millrace-kafka-").tempdir().expect("a temporary folder").keep();
            reaper::broker(&folder);
            let mut args = vec!["--port".to_owned(), ports::block().to_string()];
            args.extend(["--brokers".to_owned(), options.brokers.to_string()]);
            if options.secure {
                args.push("--secure".to_owned());
            }
            for line in &options.set {
                args.extend(["--set".to_owned(), line.clone()]);
            }
            let mut broker = Self { folder, addresses: HashMap::new(), clients: OnceLock::new() };
            match broker.script("start", &args) {
                Ok(printed) => {
                    broker.addresses = printed
                        .lines()
                        .filter_map(|line| line.split_once('='))
                        .map(|(name, value)| (name.to_owned(), value.to_owned()))
                        .collect();
                    return broker;
                }
                Err(why) if why.contains("in use") => refused = why,
                Err(why) => panic!("the broker does not start: {why}"),
            }
        }
        panic!("the broker finds no ports: {refused}");
    }

    /// One plain broker.
    pub fn plain() -> Self {
        Self::start(&Options::default())
    }

    /// The addresses of the listener without TLS and SASL.
    pub fn bootstrap(&self) -> &str {
        self.listener("PLAINTEXT")
    }

    /// The addresses of a listener: PLAINTEXT, SSL, MTLS, SASL_PLAINTEXT, SASL_SSL.
    pub fn listener(&self, name: &str) -> &str {
        self.addresses.get(&format!("KAFKA_{name}")).unwrap_or_else(|| panic!("this broker has no listener {name}"))
    }

    /// A file of the certificates' folder, such as `ca.pem`.
    pub fn tls(&self, file: &str) -> PathBuf {
        Path::new(self.listener("TLS")).join(file)
    }

    /// The text of such a file.
    pub fn tls_text(&self, file: &str) -> String {
        std::fs::read_to_string(self.tls(file)).expect("the script made the certificates")
    }

    /// Sends a signal (KILL, TERM, STOP, CONT) to broker `number`, counted from 1.
    pub fn signal(&self, number: u16, signal: &str) {
        self.must("kill", &[number.to_string(), signal.to_owned()]);
    }

    /// Stops all brokers in order.
    pub fn stop(&self) {
        self.must("stop", &[]);
    }

    /// Brings back, with the same settings and data, what does not run.
    pub fn start_again(&self) {
        self.must("start", &[]);
    }

    fn must(&self, verb: &str, args: &[String]) {
        let begun = Instant::now();
        if let Err(why) = self.script(verb, args) {
            panic!("kafka {verb} failed after {:?}: {why}", begun.elapsed());
        }
    }

    fn script(&self, verb: &str, args: &[String]) -> Result<String, String> {
        let output = Command::new(SCRIPT)
            .args([verb, "--data"])
            .arg(&self.folder)
            .args(args)
            .output()
            .map_err(|e| format!("{SCRIPT}: {e}"))?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Nobody reads this data again, so the end need not be orderly; what goes wrong here must not hide the test's own result.
        if let Err(why) = self.script("stop", &["--wait".to_owned(), "0".to_owned()]) {
            eprintln!("kafka stop: {why}");
        }
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// How long a call to a healthy broker may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);
