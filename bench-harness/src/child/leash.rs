//! `__leash`: removes directories, and ends the one command it runs, as soon as the lab lets go or is gone.
//!
//! The lab holds the other end of its standard input. A normal end, Ctrl-C, a panic and a kill that no handler sees all
//! close it, so there is one way of cleaning up and it cannot be missed. It ends only what it started itself, and it ends
//! with its command where it has nothing to remove.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::tree::restore;

/// How often a leash looks whether its command has ended by itself.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// The lab's end of a leash: dropping it cleans up and waits until that is done.
#[derive(Debug)]
pub struct Leash {
    child: Child,
}

impl Leash {
    /// Directories to remove in the end, and a command to run until then, whose errors go to `log`. `own` is the lab's
    /// own binary.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn new(own: &Path, dirs: &[&Path], command: &[OsString], log: Option<&Path>) -> Result<Self> {
        let output = || -> Result<Stdio> {
            log.map_or(Ok(Stdio::inherit()), |path| {
                let file = File::options().append(true).create(true).open(path);
                Ok(file.with_context(|| format!("cannot write {}", path.display()))?.into())
            })
        };
        let mut leash = Command::new(own);
        leash.arg(super::LEASH).args(dirs).arg("--").args(command);
        // A group of its own: Ctrl-C is the lab's to handle, and the leash must outlive it.
        leash.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(output()?);
        Ok(Leash { child: leash.spawn().context("cannot start the lab's leash")? })
    }
}

impl Leash {
    /// Whether the command has ended by itself, soon after it has. One that holds directories stays.
    pub fn is_over(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // Its own errors are on its standard error; there is nobody left to hand them to.
        let _ = self.child.wait();
    }
}

/// The hidden command: `DIR... -- [COMMAND...]`.
///
/// # Errors
/// When the command cannot be started or a directory cannot be removed.
pub fn main(args: &[OsString]) -> Result<ExitCode> {
    let split = args.iter().position(|a| a == "--").context("leash without --")?;
    let dirs: Vec<PathBuf> = args[..split].iter().map(PathBuf::from).collect();
    let mut child = match &args[split + 1..] {
        [] => None,
        [program, rest @ ..] => {
            let mut command = Command::new(program);
            command.args(rest).stdin(Stdio::null());
            Some(command.spawn().with_context(|| format!("cannot run {}", program.display()))?)
        }
    };
    let stdin = std::io::stdin();
    while let Some(command) = &mut child {
        // Looked at in between, because a process that waits for one of two things would need a thread for the other.
        let held = poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&LOOK)).is_ok_and(|ready| ready == 0);
        let over = command.try_wait().context("cannot wait for the command on the leash")?.is_some();
        if over && dirs.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        if over || !held {
            break;
        }
    }
    let _ = stdin.lock().read(&mut [0]);
    if let Some(child) = &mut child
        && child.try_wait().context("cannot wait for the command on the leash")?.is_none()
    {
        // ESRCH: it ended by itself.
        let _ = kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM);
        child.wait().context("cannot wait for the command on the leash")?;
    }
    for dir in dirs {
        restore::remove(&dir)?;
    }
    Ok(ExitCode::SUCCESS)
}
