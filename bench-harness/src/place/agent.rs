//! A place on a far host: the lab's own binary there, asked over SSH, one JSON request and one JSON answer a line.
//!
//! The agent works in a directory of its own, removes it together with the directory it was started from when its
//! standard input ends, and does nothing that was not asked. The bytes of a sync never pass through it.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::disk::{self, Need};
use super::workshop::Workshop;
use super::{Place, Request, Response};
use crate::child::{self, measure::now_ns};
use crate::tree::restore;

/// How often the clocks are compared; the exchange with the shortest way counts.
const CLOCK_TRIALS: usize = 9;

/// What the agent says first.
#[derive(Debug, Serialize, Deserialize)]
struct Hello {
    version: String,
    dir: PathBuf,
}

/// The lab's end of an agent.
#[derive(Debug)]
pub struct Agent {
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    dir: PathBuf,
    clock_ahead_ns: i64,
    /// The shortest time that a request and its answer took, in seconds.
    pub rtt_s: f64,
}

impl Agent {
    /// Starts the agent that was copied to `home` on the far host, for trees that take at most `need`.
    ///
    /// # Errors
    /// When it does not start or is not of this version.
    pub fn start(mut ssh: Command, home: &str, need: Need) -> Result<Self> {
        ssh.arg(format!("{home}/bench-harness {} {need} {home}", child::AGENT));
        let mut child = ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("cannot start ssh")?;
        let (requests, answers) = (child.stdin.take(), child.stdout.take().context("ssh has no output")?);
        let mut agent = Agent {
            child,
            requests,
            answers: BufReader::new(answers),
            dir: PathBuf::new(),
            clock_ahead_ns: 0,
            rtt_s: 0.0,
        };
        let line = agent.read_line().context("the lab's binary does not run on the far host")?;
        let hello: Hello = serde_json::from_str(&line)
            .with_context(|| format!("the far host said {:?} in the place of a greeting", line.trim_end()))?;
        if hello.version != env!("CARGO_PKG_VERSION") {
            bail!("the agent on the far host is of version {}", hello.version);
        }
        agent.dir = hello.dir;
        agent.compare_clocks()?;
        Ok(agent)
    }

    fn read_line(&mut self) -> Result<String> {
        let mut line = String::new();
        match self.answers.read_line(&mut line).context("cannot read from the agent")? {
            0 => bail!("the connection to the agent ended"),
            _ => Ok(line),
        }
    }

    fn compare_clocks(&mut self) -> Result<()> {
        let mut best = u64::MAX;
        for _ in 0..CLOCK_TRIALS {
            let before = now_ns();
            let Response::Clock(far) = self.call(&Request::Clock)? else { bail!("the agent does not tell the time") };
            let way = now_ns().saturating_sub(before);
            if way < best {
                best = way;
                self.clock_ahead_ns = far as i64 - (before + way / 2) as i64;
            }
        }
        self.rtt_s = best as f64 / 1e9;
        Ok(())
    }
}

impl Place for Agent {
    fn call(&mut self, request: &Request) -> Result<Response> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        self.requests.as_mut().context("the agent was ended")?.write_all(&line).context("cannot write to the agent")?;
        match serde_json::from_str(&self.read_line()?).context("cannot parse the agent's answer")? {
            Response::Failed(error) => bail!("on the far host: {error}"),
            response => Ok(response),
        }
    }

    fn dir(&self) -> PathBuf {
        self.dir.clone()
    }

    fn clock_ahead_ns(&self) -> i64 {
        self.clock_ahead_ns
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.requests.take());
        // It cleans up and ends; what it could not do is on its standard error.
        let _ = self.child.wait();
    }
}

/// The hidden command: `NEED HOME`.
///
/// # Errors
/// When there is no room for the trees or the answers cannot be written.
pub fn main(args: &[OsString]) -> Result<ExitCode> {
    let [need, home] = args else { bail!("the agent takes two arguments") };
    let need = need.to_str().and_then(|s| s.parse().ok()).context("the agent's first argument is no need")?;
    let done = serve(need);
    restore::remove(Path::new(home))?;
    done.map(|()| ExitCode::SUCCESS)
}

fn serve(need: Need) -> Result<()> {
    let dir =
        tempfile::Builder::new().prefix("sy-lab-").tempdir_in(disk::choose(need, None)?).context("no directory")?;
    let mut shop = Workshop::new(dir.path())?;
    let mut out = std::io::stdout().lock();
    let hello = Hello { version: env!("CARGO_PKG_VERSION").into(), dir: dir.path().to_owned() };
    writeln!(out, "{}", serde_json::to_string(&hello)?).and_then(|()| out.flush()).context("cannot greet")?;
    for line in std::io::stdin().lock().lines() {
        let answer = match serde_json::from_str(&line.context("cannot read a request")?) {
            Ok(request) => shop.call(&request).unwrap_or_else(|e| Response::Failed(format!("{e:#}"))),
            Err(error) => Response::Failed(format!("not a request: {error}")),
        };
        writeln!(out, "{}", serde_json::to_string(&answer)?).and_then(|()| out.flush()).context("cannot answer")?;
    }
    restore::remove(dir.path())
}
