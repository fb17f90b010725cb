//! A process that is measured or helps to measure: started, stopped for a while, asked for its processor time and memory.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::{Result, reaper};

/// How long an orderly end may take before it is made short.
const END: Duration = Duration::from_secs(20);

/// Stops this thread for a while.
#[expect(clippy::disallowed_methods, reason = "the threads of the benchmark belong to it and run no actors")]
pub(crate) fn pause(time: Duration) {
    if !time.is_zero() {
        std::thread::sleep(time);
    }
}

/// A running process; killed when dropped.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
    begun: Instant,
}

impl Process {
    /// Starts a program; what it prints goes to a file named after it in `folder`.
    pub(crate) fn start(program: &Path, args: &[impl AsRef<OsStr>], folder: &Path, name: &str) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let out = File::create(&log)?;
        let begun = Instant::now();
        let child = Command::new(program)
            .args(args)
            // Whatever this shell has set must not configure what is measured.
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        reaper::process(child.id(), &program.display().to_string());
        Ok(Self { child, log, begun })
    }

    /// How long ago it was started.
    pub(crate) fn age(&self) -> Duration {
        self.begun.elapsed()
    }

    /// An error with its last words, if it has ended.
    pub(crate) fn must_run(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(format!("ended with {status}: {}", self.last_words()).into()),
        }
    }

    /// The last lines it printed.
    pub(crate) fn last_words(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(self.child.id() as i32).ok_or("a process has a number")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Processor time so far, of the user and of the system, of all threads.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        cpu_of(&stat).ok_or_else(|| "/proc/PID/stat is not as expected".into())
    }

    /// Resident memory now and at most, in bytes.
    pub(crate) fn memory(&self) -> Result<(u64, u64)> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let of = |name| bytes_of(&status, name).ok_or_else(|| format!("no {name} in /proc/PID/status"));
        Ok((of("VmRSS:")?, of("VmHWM:")?))
    }

    /// Ends it in order, or else at once.
    pub(crate) fn stop(mut self) {
        if self.signal(Signal::TERM).is_ok() {
            let begun = Instant::now();
            while begun.elapsed() < END && matches!(self.child.try_wait(), Ok(None)) {
                pause(Duration::from_millis(5));
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill().and_then(|()| self.child.wait()));
    }
}

/// The kernel counts in hundredths of a second on every architecture that this is built for.
const TICK: Duration = Duration::from_millis(10);

fn cpu_of(stat: &str) -> Option<Duration> {
    // The name in parentheses may hold spaces; user and system time are the 12th and 13th field after it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks: u32 = fields.next()?.parse::<u32>().ok()? + fields.next()?.parse::<u32>().ok()?;
    Some(TICK * ticks)
}

fn bytes_of(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_read_rightly() {
        let stat = "12 (a b) c) S 1 12 12 0 -1 4194560 1 0 0 0 150 25 7 7 20 0 9 0 100 1 1";
        assert_eq!(cpu_of(stat), Some(Duration::from_millis(1750)));
        let status = "VmPeak:\t  9 kB\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(bytes_of(status, "VmHWM:"), Some(2 << 20));
        assert_eq!(bytes_of(status, "VmSwap:"), None);
    }
}
