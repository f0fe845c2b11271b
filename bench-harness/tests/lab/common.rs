//! A checkout in small: a scenario and subjects of its own, and the lab's binary run in it.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The lab's binary.
pub const LAB: &str = env!("CARGO_BIN_EXE_bench-harness");

const SCENARIO: &str = r#"
name = "tiny"
why = "a test"
directions = ["push", "pull"]
[[part]]
files = 20
layout = { nested = { dirs = 4 } }
size = { log_normal = { mean = 4000, sigma = 1.0, max = 20000 } }
content = "source"
extensions = ["rs", "c"]
executable = 0.3
[extras]
symlinks = 3
empty = 2
odd_names = true
modes = true
hard_links = 1
[delta]
share = 0.2
edits = "in_turn"
[quick]
files = 1.0
size = 1.0
"#;

const SUBJECTS: &str = r#"
[[subject]]
name = "rsync"
role = "reference"
why = "a test"
program = "rsync"
counters = "rsync"
first_byte = true
local = ["{program}", "-a", "--stats", "{src}/", "{dst}/"]
push = ["{program}", "-a", "--stats", "-e", "{rsh}", "--rsync-path", "{remote} {remote_program}", "{src}/", "{host}:{dst}/"]
pull = ["{program}", "-a", "--stats", "-e", "{rsh}", "--rsync-path", "{remote} {remote_program}", "{host}:{src}/", "{dst}/"]
"#;

/// A directory that the lab takes for a checkout, with these subjects besides rsync.
pub fn checkout(more_subjects: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("scenarios")).unwrap();
    for (path, text) in [
        ("Cargo.toml", String::new()),
        ("scenarios/tiny.toml", SCENARIO.into()),
        ("scenarios/subjects.toml", format!("{SUBJECTS}{more_subjects}")),
    ] {
        std::fs::write(dir.path().join(path), text).unwrap();
    }
    dir
}

/// Runs the lab there.
pub fn lab(checkout: &Path, args: &[&str]) -> Output {
    Command::new(LAB).args(args).current_dir(checkout).output().unwrap()
}

/// What it said.
pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Whether a program is there; a test that cannot run without it says so and ends.
pub fn have(program: &str) -> bool {
    let found = match program {
        "sshd" => bench_harness::ssh::server::find().is_some(),
        other => bench_harness::needs::find(other).is_some(),
    };
    if !found {
        println!("skipped: {}", bench_harness::needs::missing(program, "this test did not run"));
    }
    found
}

/// Whether a process ends within a while: a killed one is there until its new parent has waited for it.
pub fn gone(pid: &str) -> bool {
    let alive = || Command::new("kill").args(["-0", pid.trim()]).stderr(Stdio::null()).status().unwrap().success();
    eventually(|| !alive())
}

/// Whether something becomes true within a generous while.
pub fn eventually(what: impl Fn() -> bool) -> bool {
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(20) {
        if what() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}
