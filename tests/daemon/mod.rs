//! The daemon: its life, its socket, the sessions on it, and syncs through a real `ssh`.

mod hostile;
mod lifecycle;
mod links;
mod shared;
#[cfg(target_os = "linux")]
mod users;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::harness::process::{Program, signal_process, wait_until};

/// A place where a daemon may run whom nobody else knows; whatever runs there ends with it.
pub struct Den {
    dir: tempfile::TempDir,
}

impl Den {
    pub fn new() -> Den {
        let den = Den { dir: tempfile::Builder::new().prefix("sy-den-").tempdir().expect("a temporary directory") };
        for name in ["run", "home"] {
            fs::create_dir(den.path(name)).expect("a directory of ours");
            fs::set_permissions(den.path(name), Permissions::from_mode(0o700)).expect("a directory of ours");
        }
        den
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn socket(&self) -> PathBuf {
        self.path("run/sy.sock")
    }

    /// A program that finds this place and no other.
    pub fn settle(&self, program: Program) -> Program {
        let program = program.env("XDG_RUNTIME_DIR", self.path("run")).env("HOME", self.path("home"));
        program.env_remove("XDG_STATE_HOME")
    }

    /// `sy daemon ARGUMENTS`.
    pub fn daemon(&self, arguments: &[&str]) -> Program {
        self.settle(Program::sy(&["daemon"]).args(arguments))
    }

    /// Starts the daemon; its process.
    pub fn start(&self, arguments: &[&str]) -> u32 {
        self.daemon(&["start"]).args(arguments).run().ok();
        self.pid().expect("it has been started")
    }

    /// What the daemon says that it does; `None` if there is none.
    pub fn status(&self) -> Option<Value> {
        let told = self.daemon(&["status", "--json"]).run();
        let mut told: Value = serde_json::from_slice(&told.stdout).unwrap_or_else(|_| panic!("{}", told.told()));
        (told["running"] == true).then(|| told["daemon"].take())
    }

    pub fn pid(&self) -> Option<u32> {
        self.status().map(|status| number(&status["pid"]) as u32)
    }

    pub fn connect(&self) -> UnixStream {
        UnixStream::connect(self.socket()).expect("the daemon listens")
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("home/.local/state/sy/daemon.log")).unwrap_or_default()
    }
}

impl Drop for Den {
    fn drop(&mut self) {
        let noted = || -> Option<u32> { fs::read_to_string(self.path("run/sy/lock")).ok()?.trim().parse().ok() };
        // The number of a process that is gone may be somebody else's by now.
        if let Some(pid) = noted().filter(|pid| is_daemon(*pid)) {
            signal_process(pid, Signal::SIGTERM);
            signal_process(pid, Signal::SIGTERM);
            wait_until("the daemon has ended", || !is_daemon(pid));
        }
    }
}

pub fn is_daemon(pid: u32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline"))
        .is_ok_and(|line| line.split(|byte| *byte == 0).any(|word| word == b"daemon"))
}

pub fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

/// Ends a process as nothing can that it could prepare for.
pub fn kill(pid: u32) {
    signal_process(pid, Signal::SIGKILL);
    wait_until("it is gone", || !is_daemon(pid));
}

/// How many of something a process has: `fd` or `task`.
pub fn held(pid: u32, what: &str) -> usize {
    fs::read_dir(format!("/proc/{pid}/{what}")).expect("it runs").count()
}

/// What a process has in memory now, in KiB.
pub fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux tells it");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number")
}

/// Names below `dir` that are no tree's: temporary and partial files.
pub fn half_written(dir: &Path) -> Vec<PathBuf> {
    let items = fs::read_dir(dir).into_iter().flatten().flatten().map(|item| item.path());
    items.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))).collect()
}
