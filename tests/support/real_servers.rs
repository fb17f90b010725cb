//! Real model servers out of `target/servers`, where `make test-servers` installs them: started as processes, shared by the tests
//! that run at the time, ended with all their children. Their models are in `tests/servers`.

use std::fs::File;
use std::ops::Deref;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tempfile::TempDir;

use super::{http_client, ports, reaper, wait};

/// From the start of a process until it answers, on a busy machine that reads its libraries for the first time.
const READY: Duration = Duration::from_mins(2);
const LOCAL: &str = "127.0.0.1";
/// How much of what a server wrote a failed test shows.
const LAST_LINES: usize = 40;

/// What is to be started.
struct Start<'a> {
    /// Its folder under `target/servers`.
    environment: &'a str,
    script: &'a str,
    args: Vec<String>,
    env: Vec<(&'a str, String)>,
    /// Answers 200 when the model is loaded.
    ready: &'a str,
    rest: u16,
    grpc: u16,
}

/// A running server with the processes that it has started itself; all are killed when it is dropped.
pub struct Server {
    name: String,
    /// First of its group, whose id is its own.
    child: Child,
    folder: TempDir,
    rest: u16,
    grpc: u16,
}

impl Server {
    /// MLServer with the model iris: V2 by REST and gRPC.
    pub fn mlserver() -> Self {
        let (folder, rest, grpc) = (folder(), ports::one(), ports::one());
        let models = folder.path().join("models").display().to_string();
        let args = vec![models, rest.to_string(), grpc.to_string(), ports::one().to_string()];
        let ready = "/v2/models/iris/ready";
        let start =
            Start { environment: "mlserver", script: "mlserver_iris.py", args, env: Vec::new(), ready, rest, grpc };
        Self::start("mlserver", folder, start)
    }

    /// KServe with the model iris: V1 by REST, V2 by REST and gRPC.
    pub fn kserve() -> Self {
        let (rest, grpc) = (ports::one(), ports::one());
        let args = vec![format!("--http_port={rest}"), format!("--grpc_port={grpc}")];
        let ready = "/v2/models/iris/ready";
        let start = Start { environment: "kserve", script: "kserve_iris.py", args, env: Vec::new(), ready, rest, grpc };
        Self::start("kserve", folder(), start)
    }

    /// A class of `tests/servers/nodes.py` as seldon-core serves it. `parameters` are those of a SeldonDeployment's node, in JSON.
    pub fn seldon(name: &str, class: &str, service: &str, parameters: &str) -> Self {
        let (rest, grpc) = (ports::one(), ports::one());
        let args = [class, "--service-type", service, "--log-level", "WARNING"].map(str::to_owned).to_vec();
        let env = vec![
            ("PREDICTIVE_UNIT_ID", name.to_owned()),
            ("PREDICTIVE_UNIT_PARAMETERS", parameters.to_owned()),
            ("PREDICTIVE_UNIT_HTTP_SERVICE_PORT", rest.to_string()),
            ("PREDICTIVE_UNIT_GRPC_SERVICE_PORT", grpc.to_string()),
            ("PREDICTIVE_UNIT_METRICS_SERVICE_PORT", ports::one().to_string()),
        ];
        let ready = "/health/ping";
        let start = Start { environment: "seldon", script: "seldon_node.py", args, env, ready, rest, grpc };
        Self::start(name, folder(), start)
    }

    fn start(name: &str, folder: TempDir, start: Start<'_>) -> Self {
        let python = environments().join(start.environment).join("bin/python");
        // The link's target is what the process runs in the end, and by which it is known later.
        let program = python.canonicalize().unwrap_or_else(|e| {
            panic!("{}: {e}; `make test-servers` installs the servers", python.display());
        });
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers");
        let log = File::create(folder.path().join("log")).expect("the folder can be written");
        let child = Command::new(&python)
            .arg(scripts.join(start.script))
            .args(&start.args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", folder.path())
            // Its classes are found by their module's name.
            .env("PYTHONPATH", &scripts)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            // Many processes share few cores.
            .env("OMP_NUM_THREADS", "1")
            .envs(start.env)
            .current_dir(folder.path())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("one more handle"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|e| panic!("{}: {e}", python.display()));
        reaper::group(child.id(), &program);
        let mut server = Self { name: name.to_owned(), child, folder, rest: start.rest, grpc: start.grpc };
        server.wait_ready(start.ready);
        server
    }

    fn wait_ready(&mut self, path: &str) {
        let done = wait::try_until(READY, || {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("{} ended with {status} before it was ready\n{}", self.name, self.last_lines());
            }
            let rest = http_client::get(self.rest, path).is_ok_and(|answer| answer.status == 200);
            (rest && std::net::TcpStream::connect((LOCAL, self.grpc)).is_ok()).then_some(())
        });
        assert!(done.is_some(), "{} is not ready in {READY:?}\n{}", self.name, self.last_lines());
    }

    /// Its node's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The port of its REST server.
    pub fn rest_port(&self) -> u16 {
        self.rest
    }

    /// Host and port of its REST server.
    pub fn rest(&self) -> String {
        format!("{LOCAL}:{}", self.rest)
    }

    /// Host and port of its gRPC server.
    pub fn grpc(&self) -> String {
        format!("{LOCAL}:{}", self.grpc)
    }

    fn last_lines(&self) -> String {
        let all = std::fs::read(self.folder.path().join("log")).unwrap_or_default();
        let all = String::from_utf8_lossy(&all);
        let lines: Vec<&str> = all.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The whole group, and before the first is waited for: until then its id is nobody else's.
        let kill = format!("kill -s KILL -- -{}", self.child.id());
        if let Err(why) = Command::new("sh").args(["-c", &kill]).status() {
            eprintln!("{}: {kill}: {why}", self.name);
        }
        drop(self.child.wait());
    }
}

/// Where the virtual environments are.
fn environments() -> PathBuf {
    let made_elsewhere = std::env::var_os("MILLRACE_SERVERS").filter(|path| !path.is_empty()).map(PathBuf::from);
    made_elsewhere.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/servers"))
}

fn folder() -> TempDir {
    tempfile::Builder::new().prefix("millrace-server-").tempdir().expect("a temporary folder")
}

/// A server that is started for the first test that asks and ended with the last that has it.
pub struct Shared {
    start: fn() -> Server,
    running: Mutex<Weak<Server>>,
}

impl Shared {
    pub const fn new(start: fn() -> Server) -> Self {
        Self { start, running: Mutex::new(Weak::new()) }
    }

    /// The server, ready.
    pub fn get(&self) -> Lease {
        // A start that failed left nothing half done behind.
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let server = running.upgrade().unwrap_or_else(|| Arc::new((self.start)()));
        *running = Arc::downgrade(&server);
        Lease(server)
    }

    /// Several servers, started beside each other.
    pub fn all<const N: usize>(servers: [&'static Self; N]) -> [Lease; N] {
        let started = servers.map(|server| std::thread::spawn(|| server.get()));
        started.map(|thread| thread.join().unwrap_or_else(|why| std::panic::resume_unwind(why)))
    }
}

/// A test's hold on a server. When the test fails, it shows what the server wrote last.
pub struct Lease(Arc<Server>);

impl Deref for Lease {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- {} wrote at last ----\n{}\n----", self.0.name, self.0.last_lines());
        }
    }
}
