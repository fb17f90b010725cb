//! The service as a process: started, watched through its admin port, crashed, stopped, killed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use super::config::Config;
use super::http_client::{self, Answer};
use super::metrics::Metrics;
use super::{ports, reaper, wait};

const PROGRAM: &str = env!("CARGO_BIN_EXE_millrace");
/// From the start of the process until it is ready, on a busy machine and with a rebalance.
const READY: Duration = Duration::from_mins(1);

/// How the service is to be started.
#[derive(Debug)]
pub struct Launch {
    args: Vec<String>,
    env: Vec<(String, String)>,
    folder: TempDir,
    admin: u16,
}

impl Default for Launch {
    fn default() -> Self {
        let folder = tempfile::Builder::new().prefix("millrace-service-").tempdir().expect("a temporary folder");
        Self { args: Vec::new(), env: Vec::new(), folder, admin: ports::one() }
    }
}

impl Launch {
    /// `run -c` with this configuration; its admin port is replaced by a free one.
    pub fn with(config: &Config) -> Self {
        let launch = Self::default();
        let config = config.clone().set("admin/host", "127.0.0.1").set("admin/port", launch.admin);
        launch.with_file(&config.yaml())
    }

    /// `run -c` with a file of this text, sound or not.
    pub fn with_file(self, text: &str) -> Self {
        let path = self.file("config.yaml", text);
        self.arg("run").arg("-c").arg(path)
    }

    /// Writes a file into the folder of this start.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("it is in the folder")).expect("the folder can be written");
        std::fs::write(&path, text).expect("the folder can be written");
        path.display().to_string()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    pub fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(|arg| (*arg).to_owned()));
        self
    }

    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// The port that was chosen for the admin server, for starts that name it themselves.
    pub fn admin_port(&self) -> u16 {
        self.admin
    }

    /// Starts the process and leaves it to itself.
    pub fn spawn(self) -> Service {
        let log = self.folder.path().join("log");
        let out = File::create(&log).expect("the folder can be written");
        let child = Command::new(PROGRAM)
            .args(&self.args)
            // Whatever this shell has set must not configure the service.
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("RUST_BACKTRACE", "1")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.path())
            .stdin(std::process::Stdio::null())
            .stdout(out.try_clone().expect("one more handle"))
            .stderr(out)
            .spawn()
            .expect("the program was built");
        reaper::process(child.id(), PROGRAM);
        Service { child, log, begun: Instant::now(), launch: self, ended: None }
    }

    /// Starts the process and waits until it is ready.
    #[track_caller]
    pub fn start(self) -> Service {
        let mut service = self.spawn();
        service.wait_ready(READY);
        service
    }

    /// Starts a process that should end by itself.
    #[track_caller]
    pub fn run(self, limit: Duration) -> Ended {
        let mut service = self.spawn();
        let ended = service.wait_end(limit);
        Ended { code: ended.code(), took: service.begun.elapsed(), output: service.output() }
    }
}

/// How a process ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// `None` after a signal.
    pub code: Option<i32>,
    pub took: Duration,
    pub output: String,
}

impl Ended {
    /// The exit code, and texts that the output must have, whatever their case.
    #[track_caller]
    pub fn says(&self, code: i32, texts: &[&str]) {
        assert_eq!(self.code, Some(code), "after {:?} with\n{}", self.took, self.output);
        let output = self.output.to_lowercase();
        let missing: Vec<_> = texts.iter().filter(|text| !output.contains(&text.to_lowercase())).collect();
        assert!(missing.is_empty(), "nothing of {missing:?} in\n{}", self.output);
        assert!(!self.output.contains("panicked at"), "it panicked\n{}", self.output);
    }
}

/// An actor as `/api/actors` shows it.
#[derive(Clone, Debug, Deserialize)]
pub struct Actor {
    pub name: String,
    pub kind: String,
    pub state: String,
    pub restarts: Restarts,
    #[serde(default)]
    pub mailbox: Mailbox,
    #[serde(default)]
    pub observed: Value,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Restarts {
    pub count: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Mailbox {
    pub depth: u64,
    pub limit: u64,
}

/// What `/ready` says.
#[derive(Clone, Debug, Deserialize)]
pub struct Readiness {
    pub ready: bool,
    pub checks: Vec<Check>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Check {
    pub name: String,
    pub ok: bool,
    #[serde(default)]
    pub detail: Value,
}

/// A running process; killed when dropped.
#[derive(Debug)]
pub struct Service {
    child: Child,
    log: PathBuf,
    begun: Instant,
    launch: Launch,
    ended: Option<ExitStatus>,
}

impl Service {
    #[track_caller]
    pub fn start(config: &Config) -> Self {
        Launch::with(config).start()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn uptime(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Everything it has written so far.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    // ---- what it says ----

    pub fn get(&self, path: &str) -> std::io::Result<Answer> {
        http_client::get(self.launch.admin, path)
    }

    /// `/ready`, if the admin server answers.
    pub fn readiness(&self) -> Option<Readiness> {
        let answer = self.get("/ready").ok()?;
        let readiness: Readiness = serde_json::from_str(&answer.body)
            .unwrap_or_else(|e| panic!("/ready answers {} with {}: {e}", answer.status, answer.body));
        assert_eq!(readiness.ready, answer.status == 200, "status and body of /ready differ: {answer:?}");
        Some(readiness)
    }

    #[track_caller]
    pub fn wait_ready(&mut self, limit: Duration) {
        let mut last = None;
        let done = wait::try_until(limit, || {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("the service ended with {status} before it was ready\n{}", self.output());
            }
            last = self.readiness();
            last.as_ref().is_some_and(|r| r.ready).then_some(())
        });
        assert!(done.is_some(), "not ready in {limit:?}: {last:?}\n{}", self.output());
    }

    pub fn actors(&self) -> Vec<Actor> {
        #[derive(Deserialize)]
        struct All {
            actors: Vec<Actor>,
        }
        let answer = self.get("/api/actors").unwrap_or_else(|e| panic!("/api/actors: {e}\n{}", self.output()));
        let all: All = serde_json::from_str(&answer.body)
            .unwrap_or_else(|e| panic!("/api/actors answers {} with {}: {e}", answer.status, answer.body));
        all.actors
    }

    pub fn metrics(&self) -> Metrics {
        let answer = self.get("/metrics").unwrap_or_else(|e| panic!("/metrics: {e}\n{}", self.output()));
        assert_eq!(answer.status, 200, "/metrics: {}", answer.body);
        Metrics::parse(&answer.body).unwrap_or_else(|e| panic!("/metrics: {e}"))
    }

    /// How many records ended so: `answered`, `dead_lettered` or `skipped`.
    pub fn outcomes(&self, outcome: &str) -> u64 {
        self.metrics().sum("millrace_outcomes_total", &[("outcome", outcome)]) as u64
    }

    /// Makes an actor panic; the status of the answer.
    pub fn crash(&self, actor: &str) -> u16 {
        let path = format!("/api/actors/{actor}/crash");
        http_client::post(self.launch.admin, &path, "").map_or(0, |answer| answer.status)
    }

    /// Waits until the log and `/ready` together have all of these texts, whatever their case, while it goes on running.
    #[track_caller]
    pub fn tells(&mut self, texts: &[&str], limit: Duration) {
        let mut said = String::new();
        let done = wait::try_until(limit, || {
            let ready = self.get("/ready").map(|answer| answer.body).unwrap_or_default();
            said = format!("{}\n/ready: {ready}", self.output());
            if let Some(status) = self.has_ended() {
                panic!("the service ended with {status} instead of waiting\n{said}");
            }
            let lower = said.to_lowercase();
            texts.iter().all(|text| lower.contains(&text.to_lowercase())).then_some(())
        });
        let lower = said.to_lowercase();
        let missing: Vec<_> = texts.iter().filter(|text| !lower.contains(&text.to_lowercase())).collect();
        assert!(done.is_some(), "nothing of {missing:?} in {limit:?}, only\n{said}");
    }

    // ---- what it costs ----

    /// Memory in use and the most that ever was, in bytes.
    pub fn memory(&self) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let kib = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).expect("the kernel tells it");
            line.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()).expect("a number of KiB")
        };
        (kib("VmRSS:") * 1024, kib("VmHWM:") * 1024)
    }

    /// Processor time that it has used, of its own and of the kernel for it.
    pub fn cpu_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("it runs");
        let after_name = stat.rsplit_once(')').expect("the name is in brackets").1;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks: u64 = fields[11..13].iter().map(|n| n.parse::<u64>().expect("a number")).sum();
        // Linux shows these in hundredths of a second on every machine.
        Duration::from_millis(ticks * 10)
    }

    // ---- its end ----

    /// Sends a signal by name (TERM, INT, STOP, CONT, KILL).
    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().expect("there is a shell");
        assert!(sent.success(), "kill -{name} {pid}: {sent}");
    }

    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("it is a child of this process");
        }
        self.ended
    }

    #[track_caller]
    pub fn wait_end(&mut self, limit: Duration) -> ExitStatus {
        match wait::try_until(limit, || self.has_ended()) {
            Some(status) => status,
            None => panic!("the service still runs after {limit:?}\n{}", self.output()),
        }
    }

    /// SIGTERM, and how it ended within the limit.
    #[track_caller]
    pub fn terminate(mut self, limit: Duration) -> Ended {
        let begun = Instant::now();
        self.signal("TERM");
        let status = self.wait_end(limit);
        Ended { code: status.code(), took: begun.elapsed(), output: self.output() }
    }

    /// SIGTERM; fails the test unless it ends with 0.
    #[track_caller]
    pub fn stop(self) -> Ended {
        let ended = self.terminate(READY);
        assert_eq!(ended.code, Some(0), "{}", ended.output);
        ended
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("it is a child of this process");
        self.ended = self.child.wait().ok();
    }
}

impl Service {
    /// What a failed test wants to know of a process that still runs.
    fn describe(&self) -> String {
        let get = |path: &str| self.get(path).map(|answer| answer.body).unwrap_or_default();
        let metrics = get("/metrics");
        let dull = |line: &str| line.contains("_bucket") || line.starts_with("millrace_actor_") || line.ends_with(" 0");
        let tells = |line: &&str| line.starts_with("millrace_") && !dull(line);
        let metrics: Vec<&str> = metrics.lines().filter(tells).collect();
        format!("/ready: {}\n/api/actors: {}\n{}", get("/ready"), get("/api/actors"), metrics.join("\n"))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if std::thread::panicking() && self.has_ended().is_none() {
            eprintln!("---- process {} ----\n{}", self.pid(), self.describe());
        }
        if self.has_ended().is_none() {
            // It may just have ended by itself, which is as good.
            drop(self.child.kill());
            drop(self.child.wait());
        }
        if std::thread::panicking() {
            let output = self.output();
            // The frames of a backtrace would hide what was logged around it.
            let is_frame =
                |line: &&str| !line.trim_start().starts_with(|c: char| c.is_ascii_digit()) && !line.contains("   at ");
            let lines: Vec<&str> = output.lines().filter(is_frame).collect();
            let last = lines[lines.len().saturating_sub(80)..].join("\n");
            eprintln!("---- the service wrote {} lines, at last ----\n{last}\n----", lines.len());
        }
    }
}
