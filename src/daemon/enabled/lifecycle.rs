//! `sy daemon start`, `stop`, `status`, as seen by who calls them; and how a sync finds a daemon or starts one.
//!
//! A daemon is this program run anew, in a session of its own: nothing is forked that has threads. Whoever starts one hears from it
//! when it can be reached. Of several that are started at once the one with the lock stays and the others say so, so everybody
//! finds the same one.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::control::{Answer, Connection, Request, Status};
use super::process::{NotBecome, become_daemon};
use super::runtime_dir::RuntimeDir;
use super::{log, version};
use crate::daemon::{Action, COMMAND, Start};
use crate::error::{Error, ExitCode, Result};
use crate::session::channel::is_link_failure;

/// How long a daemon may take to be there, or one that is ending to be gone, before a start gives up.
const START_WAIT: Duration = Duration::from_secs(20);
/// How long a daemon may take to say what it does.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// How long to wait for a daemon that somebody else has started and that does not listen yet.
const POLL: Duration = Duration::from_millis(5);
/// What a daemon says to the one who started it.
const READY: &str = "ready";
/// What it says instead if there is one.
const RUNS: &str = "runs";

/// `sy daemon ...`.
///
/// # Errors
/// What could not be done, and why.
pub fn run(action: &Action) -> Result<ExitCode> {
    match action {
        Action::Start(start) if start.foreground => foreground(start),
        Action::Start(start) => background(start),
        Action::Stop { now } => stop(*now),
        Action::Status { json } => status(*json),
    }
}

/// What somebody on another machine has to know of the daemon on this one.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reach {
    /// Where it listens.
    pub socket: Vec<u8>,
    /// Its port, if that was asked for.
    #[serde(default)]
    pub port: Option<u16>,
    /// What opens the port.
    #[serde(default)]
    pub token: Option<String>,
}

fn foreground(start: &Start) -> Result<ExitCode> {
    if start.detached {
        // Fails only for one who leads a group of processes, and that is no reason not to go on.
        let _ = rustix::process::setsid();
        // No directory is to be kept from going. What is relative begins at home, whatever the process thinks.
        let _ = rustix::process::chdir("/");
    }
    let dir = RuntimeDir::find()?;
    match become_daemon(start, &dir, || {
        if start.detached {
            report(READY)
        }
    }) {
        Ok(code) => Ok(code),
        Err(NotBecome::Runs) if start.detached => {
            report(RUNS);
            Ok(ExitCode::Ok)
        }
        Err(NotBecome::Runs) => Err(Error::Start("a daemon runs already (see `sy daemon status`)".into())),
        Err(NotBecome::Error(error)) => Err(error),
    }
}

/// Tells the one who waits for it, and lets go of the pipe on which he does.
fn report(word: &str) {
    let mut output = io::stdout();
    let _ = writeln!(output, "{word}").and_then(|()| output.flush());
    if let Ok(null) = File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(null);
    }
}

fn background(start: &Start) -> Result<ExitCode> {
    let dir = RuntimeDir::find()?;
    let found = find_or_start(&dir, start)?;
    if start.for_link {
        let mut reach = Reach { socket: dir.socket().as_os_str().as_bytes().to_vec(), port: None, token: None };
        if let Some(port) = start.port {
            (reach.port, reach.token) = listening(&mut connect(&dir)?, port)?;
        }
        return print(&format!("{}\n", serde_json::json!(reach)));
    }
    let told = if found.started { "started" } else { "runs already" };
    print(&format!("the daemon {told}: process {}, {}\n", found.status.pid, found.status.socket))
}

fn listening(daemon: &mut Connection, port: u16) -> Result<(Option<u16>, Option<String>)> {
    match daemon.ask(Request::Listen { port })?.0 {
        Answer::Listening { port, token } => Ok((Some(port), Some(token))),
        Answer::Refused { why } => Err(Error::Start(why)),
        other => Err(unexpected(&other)),
    }
}

/// A daemon that was found or started.
pub struct Found {
    /// Whether it was started.
    pub started: bool,
    /// What it does.
    pub status: Status,
}

/// The daemon, started if there is none. One of another version is replaced, if nobody uses it.
///
/// # Errors
/// Why there is none, or none of our version.
pub fn find_or_start(dir: &RuntimeDir, start: &Start) -> Result<Found> {
    let (begun, mut started) = (Instant::now(), false);
    while begun.elapsed() < START_WAIT {
        let mut daemon = match connect(dir) {
            Ok(daemon) => daemon,
            Err(error) if nobody_listens(&error) => {
                started |= launch(start)?;
                continue;
            }
            Err(error) => return Err(error),
        };
        let status = match ask_status(&mut daemon) {
            Err(error) if has_ended(&error) => {
                std::thread::sleep(POLL);
                continue;
            }
            other => other?,
        };
        if status.stopping {
            daemon.wait_at_most(Some(START_WAIT)).map_err(|error| Error::io("wait for", &dir.socket(), error))?;
            daemon.await_end();
        } else if status.version != version() {
            replace(&mut daemon, &status)?;
        } else {
            if let Some(port) = start.port.filter(|_| status.port.is_none()) {
                listening(&mut daemon, port)?;
            }
            return Ok(Found { started, status });
        }
    }
    Err(Error::Start(format!("the daemon is not there after {} seconds{}", START_WAIT.as_secs(), see_log())))
}

/// Ends a daemon of another version, if nobody uses it.
fn replace(daemon: &mut Connection, status: &Status) -> Result<()> {
    if status.sessions > 0 || status.hosts.iter().any(|host| host.lent > 0) {
        let theirs = &status.version;
        return Err(Error::Start(format!("the daemon is of version {theirs}, and in use; this is {}", version())));
    }
    match daemon.ask(Request::Stop { now: false }) {
        Err(error) if !has_ended(&error) => return Err(error),
        _ => {}
    }
    daemon.await_end();
    Ok(())
}

/// Starts a daemon and waits for its word; whether it is the one that is there now.
fn launch(start: &Start) -> Result<bool> {
    let failed = |error| Error::Start(format!("failed to start the daemon: {error}"));
    let mut command = Command::new(std::env::current_exe().map_err(failed)?);
    command.args([COMMAND, "start", "--foreground", "--detached", "--idle"]).arg(start.idle.to_string());
    if start.leave {
        command.arg("--leave");
    }
    if let Some(port) = start.port {
        command.arg("--port").arg(port.to_string());
    }
    let log = log::path().map(|path| log::open(&path)).transpose()?;
    let mut daemon = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log.map_or_else(Stdio::null, Stdio::from))
        .spawn()
        .map_err(failed)?;
    let mut word = String::new();
    if let Some(output) = daemon.stdout.take() {
        BufReader::new(output).read_line(&mut word).map_err(failed)?;
    }
    match word.trim() {
        READY => Ok(true),
        RUNS => {
            std::thread::sleep(POLL);
            Ok(false)
        }
        _ => Err(Error::Start(format!("the daemon did not start{}", see_log()))),
    }
}

fn see_log() -> String {
    log::path().map(|path| format!(" (see {})", path.display())).unwrap_or_default()
}

fn stop(now: bool) -> Result<ExitCode> {
    let dir = RuntimeDir::find()?;
    let mut found = false;
    loop {
        let mut daemon = match connect(&dir) {
            Err(error) if nobody_listens(&error) => {
                return print(if found { "the daemon has ended\n" } else { "no daemon runs\n" });
            }
            other => other?,
        };
        found = true;
        match daemon.ask(Request::Stop { now }) {
            // It ended while we asked; nobody else begins to listen there unless somebody wants that.
            Err(error) if has_ended(&error) => {}
            other => {
                other?;
                daemon.wait_at_most(None).map_err(|error| Error::io("wait for", &dir.socket(), error))?;
                daemon.await_end();
                return print("the daemon has ended\n");
            }
        }
    }
}

fn status(json: bool) -> Result<ExitCode> {
    let dir = RuntimeDir::find()?;
    let status = match connect(&dir) {
        Err(error) if nobody_listens(&error) => None,
        other => Some(ask_status(&mut other?)?),
    };
    let code = if status.is_some() { ExitCode::Ok } else { ExitCode::Start };
    let text = match (&status, json) {
        (Some(status), true) => format!("{}\n", serde_json::json!({ "schema": 1, "running": true, COMMAND: status })),
        (None, true) => format!("{}\n", serde_json::json!({ "schema": 1, "running": false })),
        (Some(status), false) => table(status),
        (None, false) => "no daemon runs\n".into(),
    };
    print(&text).map(|_| code)
}

fn table(status: &Status) -> String {
    let ending = if status.stopping { ", ends when its sessions have" } else { "" };
    let mut text = format!(
        "the daemon runs: process {}, version {}, for {} s{ending}\nlistens at {}",
        status.pid, status.version, status.uptime_seconds, status.socket
    );
    if let Some(port) = status.port {
        text.push_str(&format!(" and 127.0.0.1:{port}"));
    }
    text.push_str(&format!(
        "\nsessions: {} now, {} in all, {} failed; {} links\n",
        status.sessions, status.served, status.failed, status.links
    ));
    for host in &status.hosts {
        let state = if host.connected { "connected" } else { "not connected" };
        text.push_str(&format!("{}: {state}, {} links wait, {} in use\n", host.host, host.waiting, host.lent));
    }
    text
}

/// Connects to the daemon that runs.
///
/// # Errors
/// Why none answers; see [`nobody_listens`].
pub fn connect(dir: &RuntimeDir) -> Result<Connection> {
    let path = dir.socket();
    let daemon = Connection::open(&path).map_err(|error| Error::io("connect to the daemon at", &path, error))?;
    daemon.wait_at_most(Some(ANSWER_WAIT)).map_err(|error| Error::io("wait for", &path, error))?;
    Ok(daemon)
}

fn nobody_listens(error: &Error) -> bool {
    let kinds = [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused];
    matches!(error, Error::Io { source, .. } if kinds.contains(&source.kind()))
}

/// Whether a daemon that was asked something has gone without an answer.
fn has_ended(error: &Error) -> bool {
    is_link_failure(error)
}

fn ask_status(daemon: &mut Connection) -> Result<Status> {
    match daemon.ask(Request::Status)?.0 {
        Answer::Status(status) => Ok(*status),
        other => Err(unexpected(&other)),
    }
}

fn unexpected(answer: &Answer) -> Error {
    Error::Stream(format!("the daemon answers something else: {answer:?}"))
}

fn print(text: &str) -> Result<ExitCode> {
    // A reader that went away has seen enough.
    let _ = io::stdout().write_all(text.as_bytes());
    Ok(ExitCode::Ok)
}
