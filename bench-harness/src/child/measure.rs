//! `__measure`: runs one command and writes what it took; the same wrapper at both ends and around every subject.
//!
//! It hands its own standard streams on by inheritance, so no byte of a sync passes through it. Time is taken here and
//! not in the lab, so the wrapper's own start is in no local figure. The usage is wait4's: user and system time of the
//! child and of all that it waited for, and the largest resident set among them. (Not `RUSAGE_CHILDREN`: a login shell
//! that execs this wrapper leaves it the usage of whatever the shell's start-up files ran.) A small process has to do the
//! spawning, because Linux counts the spawner's own size into a child's peak.
//!
//! The time ends with the command. What it leaves behind in its process group, as sy does with an `ssh` that has only to
//! say goodbye, is waited for afterwards, so that it is in the usage and not in the next sample.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, killpg};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use wait4::{ResUse, Wait4};

use super::first_byte::Watcher;

/// What one command took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// When it was started, in nanoseconds since 1970 by this host's clock.
    pub started_ns: u64,
    /// From just before its start to just after its end, in seconds.
    pub wall_s: f64,
    /// User time, in seconds.
    pub user_s: f64,
    /// System time, in seconds.
    pub sys_s: f64,
    /// The largest resident set of any process of it, in KiB.
    pub max_rss_kib: u64,
    /// Its exit code; none when a signal ended it.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Whether it was ended because its time was up.
    pub timed_out: bool,
    /// When the first byte of a file was seen at the destination, in nanoseconds since 1970 by this host's clock.
    pub first_byte_ns: Option<u64>,
}

/// How to run a command under the wrapper.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the usage goes.
    pub result: PathBuf,
    /// The destination to watch for a first byte.
    pub watch: Option<PathBuf>,
    /// After how many seconds the command is ended.
    pub timeout_s: u64,
    /// Whether standard input is the lab's leash, and not the command's.
    pub leash: bool,
}

impl Plan {
    /// The arguments that `main` understands, ending just before the command.
    pub fn arguments(&self) -> Vec<OsString> {
        let mut args: Vec<OsString> = vec![super::MEASURE.into(), "--result".into(), self.result.clone().into()];
        if let Some(dir) = &self.watch {
            args.extend(["--watch".into(), dir.clone().into()]);
        }
        args.extend(["--timeout".into(), self.timeout_s.to_string().into()]);
        if self.leash {
            args.push("--leash".into());
        }
        args.push("--".into());
        args
    }

    fn parse(args: &[OsString]) -> Result<(Self, &[OsString])> {
        let mut plan = Plan { result: PathBuf::new(), watch: None, timeout_s: 0, leash: false };
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            let mut value = || rest.next().with_context(|| format!("{arg:?} needs a value"));
            match arg.to_str() {
                Some("--result") => plan.result = value()?.into(),
                Some("--watch") => plan.watch = Some(value()?.into()),
                Some("--timeout") => {
                    plan.timeout_s = value()?.to_str().and_then(|s| s.parse().ok()).context("timeout")?
                }
                Some("--leash") => plan.leash = true,
                Some("--") if !rest.as_slice().is_empty() => return Ok((plan, rest.as_slice())),
                _ => bail!("unexpected argument {arg:?}"),
            }
        }
        bail!("no command")
    }
}

/// Nanoseconds since 1970 by this host's clock.
pub fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64)
}

/// The hidden command. Its exit code is the command's, 128 + n for signal n, 124 when the time was up.
///
/// # Errors
/// When the arguments are wrong, the command cannot be started, or the result cannot be written.
pub fn main(args: &[OsString]) -> Result<ExitCode> {
    let (plan, command) = Plan::parse(args)?;
    let watcher = plan.watch.as_deref().map(Watcher::start).transpose()?;
    let mut child = Command::new(&command[0]);
    child.args(&command[1..]).process_group(0);
    if plan.leash {
        child.stdin(Stdio::null());
    }
    let (started_ns, start) = (now_ns(), Instant::now());
    adopt_orphans()?;
    let mut child = child.spawn().with_context(|| format!("cannot run {}", command[0].display()))?;
    let group = Pid::from_raw(child.id() as i32);
    let timed_out = guard(group, &plan);
    let used = child.wait4().context("cannot wait for the command")?;
    let wall = start.elapsed();
    let mut usage = usage(started_ns, wall, &used, timed_out.load(Ordering::SeqCst), watcher);
    wait_for_the_rest(group, &mut usage)?;
    write_whole(&plan.result, &serde_json::to_vec(&usage)?)?;
    Ok(exit_code(&usage))
}

/// Ends the command's process group when its time is up or when the lab is gone.
fn guard(group: Pid, plan: &Plan) -> Arc<AtomicBool> {
    let timed_out = Arc::new(AtomicBool::new(false));
    if plan.timeout_s > 0 {
        let (flag, limit) = (Arc::clone(&timed_out), Duration::from_secs(plan.timeout_s));
        thread::spawn(move || {
            thread::sleep(limit);
            flag.store(true, Ordering::SeqCst);
            // ESRCH: it ended at the same moment.
            let _ = killpg(group, Signal::SIGKILL);
        });
    }
    if plan.leash {
        thread::spawn(move || {
            let _ = std::io::stdin().read(&mut [0]);
            let _ = killpg(group, Signal::SIGKILL);
        });
    }
    timed_out
}

/// Makes what a command leaves behind a child of this process. Elsewhere than on Linux it is another's, and its usage
/// unknown.
fn adopt_orphans() -> Result<()> {
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_child_subreaper(true).context("cannot adopt orphans")?;
    Ok(())
}

/// Waits until a process group is empty, and adds what it took.
fn wait_for_the_rest(group: Pid, usage: &mut Usage) -> Result<()> {
    let before = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let any = Pid::from_raw(-group.as_raw());
    let mut adopted = false;
    while waitpid(any, None).is_ok() {
        adopted = true;
    }
    if adopted {
        let after = getrusage(UsageWho::RUSAGE_CHILDREN)?;
        let seconds = |time: TimeVal| time.num_microseconds() as f64 / 1e6;
        usage.user_s += seconds(after.user_time() - before.user_time());
        usage.sys_s += seconds(after.system_time() - before.system_time());
        usage.max_rss_kib = usage.max_rss_kib.max(rss_kib(&after));
    }
    // Whom another process has adopted is gone soon as well.
    while killpg(group, None).is_ok() {
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// The largest resident set: Linux counts it in KiB, macOS in bytes.
fn rss_kib(usage: &nix::sys::resource::Usage) -> u64 {
    let unit = if cfg!(target_os = "macos") { 1024 } else { 1 };
    (usage.max_rss() / unit).max(0) as u64
}

fn usage(started_ns: u64, wall: Duration, used: &ResUse, timed_out: bool, watcher: Option<Watcher>) -> Usage {
    Usage {
        started_ns,
        wall_s: wall.as_secs_f64(),
        user_s: used.rusage.utime.as_secs_f64(),
        sys_s: used.rusage.stime.as_secs_f64(),
        max_rss_kib: used.rusage.maxrss / 1024,
        exit_code: used.status.code(),
        signal: used.status.signal(),
        timed_out,
        first_byte_ns: watcher.and_then(Watcher::finish),
    }
}

fn exit_code(usage: &Usage) -> ExitCode {
    let code = match (usage.timed_out, usage.exit_code, usage.signal) {
        (true, ..) => 124,
        (_, Some(code), _) => code as u8,
        (_, None, signal) => 128 + signal.unwrap_or(0) as u8,
    };
    ExitCode::from(code)
}

/// Whoever finds the file finds all of it.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(OsStr::new(".part"));
    fs::write(&part, bytes)
        .and_then(|()| fs::rename(&part, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_back_as_they_were_written() {
        let plan = Plan { result: "/r".into(), watch: Some("/w".into()), timeout_s: 9, leash: true };
        let mut args = plan.arguments().split_off(1);
        args.extend(["true".into(), "--".into(), "-x".into()]);
        let (read, command) = Plan::parse(&args).unwrap();
        assert_eq!(format!("{read:?}"), format!("{plan:?}"));
        assert_eq!(command, ["true", "--", "-x"]);
    }

    #[test]
    fn a_missing_command_or_a_stray_word_is_an_error() {
        assert!(Plan::parse(&["--result".into(), "/r".into(), "--".into()]).is_err());
        assert!(Plan::parse(&["word".into()]).is_err());
    }
}
