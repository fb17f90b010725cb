//! Ends what a test process started, also when that process is killed or leaves through `exit` without dropping its statics.
//! A shell holds the reading end of a pipe; when the test process is gone, for whatever reason, the shell sees the end of the
//! pipe and ends the brokers, services and groups of processes that were named to it, and only those.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, Mutex};

const SCRIPT: &str = r#"
trap '' INT TERM HUP
processes='' groups='' brokers=''
while read -r kind a b; do
  case $kind in
    process) processes="$processes $a:$b" ;;
    group) groups="$groups $a:$b" ;;
    broker) brokers="$brokers $a" ;;
  esac
done
for p in $processes; do
  case $(readlink "/proc/${p%%:*}/exe") in "${p#*:}"*) kill -KILL "${p%%:*}" ;; esac
done
for g in $groups; do
  for p in /proc/[0-9]*; do
    case $(readlink "$p/exe") in "${g#*:}"*) ;; *) continue ;; esac
    stat=$(cat "$p/stat") || continue
    set -- ${stat##*) }
    [ "$3" != "${g%%:*}" ] || { kill -s KILL -- "-${g%%:*}"; break; }
  done
done
for d in $brokers; do
  [ ! -e "$d" ] || { "$0" stop --wait 0 --data "$d"; rm -rf "$d"; }
done
"#;

static SHELL: LazyLock<Mutex<Child>> = LazyLock::new(|| {
    let shell = Command::new("sh")
        .args(["-c", SCRIPT, super::kafka::SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("there is a shell");
    Mutex::new(shell)
});

/// A process of this test: ended with it, if it then still runs this program.
pub fn process(pid: u32, program: &str) {
    name(&format!("process {pid} {program}"));
}

/// A group of processes, by the id of the first: ended with this process, if one of it then still runs this program.
pub fn group(id: u32, program: &Path) {
    name(&format!("group {id} {}", program.display()));
}

/// A broker's folder: its brokers are ended and it is removed with this process, if it still exists.
pub fn broker(folder: &Path) {
    name(&format!("broker {}", folder.display()));
}

fn name(line: &str) {
    let mut shell = SHELL.lock().expect("no test panics while it writes a line");
    writeln!(shell.stdin.as_mut().expect("its input is a pipe"), "{line}").expect("the shell reads");
}
