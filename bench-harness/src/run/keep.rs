//! What runs for a subject while a cell is measured: the open connection of `rsync-mux`, the daemon of `sy-warm`.
//!
//! It hangs on a leash as everything that the lab starts, so it ends with the lab however that ends. It is asked whether it is
//! there before the first round and after the last: a subject that went on without it, by a connection of its own, would
//! be measured as what it is not.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::{Lab, Transport};
use crate::child::leash::Leash;
use crate::interrupt;
use crate::place::{Place, layout};
use crate::subject::Subject;
use crate::tree::restore;

/// How long it may take until it is there; a connection over a long line takes seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is asked until then.
const NAP: Duration = Duration::from_millis(20);
const LOG: &str = "kept.log";

/// What is kept; it ends when this is dropped.
#[derive(Debug)]
pub struct Kept {
    ready: Vec<String>,
    close: Vec<String>,
    env: Vec<(String, String)>,
    leash: Leash,
}

impl Lab {
    /// Starts what a subject needs to have kept and waits until it is there; none for those that need nothing.
    ///
    /// # Errors
    /// When it cannot be started or does not come; the end of what it said is part of the text.
    pub fn keep(&self, transport: &Transport, subject: &Subject) -> Result<Option<Kept>> {
        let Some(keep) = &subject.keep else { return Ok(None) };
        let words = self.words(transport, subject, &subject.program);
        let env = subject.variables(&words)?;
        let command = subject.filled(&keep.command, &words)?;
        let (state, log) = (self.state(subject), self.near.dir().join(layout::OUT).join(LOG));
        restore::remove(&state)?;
        // A daemon refuses a directory that is open to others.
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&state)
            .with_context(|| format!("cannot create {}", state.display()))?;
        fs::write(&log, "").with_context(|| format!("cannot write {}", log.display()))?;
        let set = env.iter().map(|(name, value)| format!("{name}={value}"));
        let line: Vec<_> = ["env".to_owned()].into_iter().chain(set).chain(command).map(Into::into).collect();
        let mut kept = Kept {
            leash: Leash::new(&self.own, &[], &line, Some(&log))?,
            ready: subject.filled(&keep.ready, &words)?,
            close: subject.filled(&keep.close, &words)?,
            env,
        };
        let since = Instant::now();
        while !kept.is_there()? {
            interrupt::check()?;
            let said = fs::read_to_string(&log).unwrap_or_default();
            ensure!(!kept.leash.is_over(), "what it needs to have kept ended: {}", said.trim());
            ensure!(since.elapsed() < PATIENCE, "what it needs to have kept does not come: {}", said.trim());
            thread::sleep(NAP);
        }
        Ok(Some(kept))
    }
}

impl Kept {
    fn run(&self, command: &[String]) -> io::Result<bool> {
        let [program, args @ ..] = command else { return Ok(true) };
        let mut command = Command::new(program);
        command.args(args).envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(command.status()?.success())
    }

    fn is_there(&self) -> Result<bool> {
        self.run(&self.ready).with_context(|| format!("cannot run {:?}", self.ready))
    }

    /// Says whether it was there until now, and ends it.
    ///
    /// # Errors
    /// When it is gone: nobody knows since when.
    pub fn finish(self) -> Result<()> {
        match self.is_there()? {
            true => Ok(()),
            false => bail!("what it needs to have kept was gone after the last round"),
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // What it left at the other end; there is nobody to tell that it did not work.
        let _ = self.run(&self.close);
    }
}
