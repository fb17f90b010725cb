//! What the numbers were measured on.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct Machine {
    processor: String,
    cores: usize,
    memory_gb: f64,
    kernel: String,
    load_before: String,
    millrace: String,
    commit: String,
    kafka: String,
    librdkafka: String,
    java: String,
    rustc: String,
}

impl Machine {
    pub(crate) fn look(millrace: &Path) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let after = |text: &str, name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.trim_start_matches([' ', '\t', ':']).to_owned()
        };
        let kilobytes: f64 =
            after(&read("/proc/meminfo"), "MemTotal").trim_end_matches(" kB").parse().unwrap_or_default();
        let jars = read(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/kafka/pom.xml"));
        let kafka = jars.split_once("<kafka.version>").and_then(|(_, rest)| rest.split_once('<'));
        Self {
            processor: after(&read("/proc/cpuinfo"), "model name"),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gb: (kilobytes * 1024.0 / 1e9).round(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load_before: read("/proc/loadavg").trim().to_owned(),
            millrace: first_line(&millrace.display().to_string(), &["--version"]),
            commit: first_line("git", &["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--dirty"]),
            kafka: kafka.map(|(version, _)| version.to_owned()).unwrap_or_default(),
            librdkafka: rdkafka::util::get_rdkafka_version().1,
            java: first_line("java", &["-version"]),
            rustc: first_line("rustc", &["--version"]),
        }
    }

    /// As the table's head shows it.
    pub(crate) fn text(&self) -> String {
        let Self { processor, cores, memory_gb, kernel, load_before, kafka, librdkafka, .. } = self;
        format!(
            "{processor}, {cores} cores, {memory_gb} GB, Linux {kernel}; load before {load_before}\n\
             {} ({}), Kafka {kafka}, librdkafka {librdkafka}, {}",
            self.millrace, self.commit, self.rustc
        )
    }
}

/// The first line that a program prints; nothing if there is no such program.
fn first_line(program: &str, args: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(args).output() else { return String::new() };
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned()
}
