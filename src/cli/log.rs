//! `--log-file`: what is done, line by line, behind the time and the process, at the end of a file.
//!
//! A dry run does nothing, so it logs nothing, as in rsync. Lines are kept together in memory and written when that is full and at
//! the end; what went wrong is written at once.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::format::{Format, Line, Scene};
use super::when;
use crate::error::{Error, Result};
use crate::plan::Action;

/// What is asked of a log.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Where it is.
    pub path: PathBuf,
    /// The line of an entry; none: entries are not mentioned.
    pub format: Option<Format>,
}

/// A log that is open.
pub struct Log {
    wanted: Wanted,
    lines: Mutex<Lines>,
}

struct Lines {
    file: BufWriter<File>,
    failure: Option<io::Error>,
}

impl Log {
    /// Opens it, and makes it where it is missing.
    ///
    /// # Errors
    /// [`Error::Io`] where that cannot be.
    pub fn open(wanted: &Wanted) -> Result<Log> {
        let file = OpenOptions::new().append(true).create(true).open(&wanted.path);
        let file = file.map_err(|error| Error::io("open", &wanted.path, error))?;
        let lines = Lines { file: BufWriter::new(file), failure: None };
        Ok(Log { wanted: wanted.clone(), lines: Mutex::new(lines) })
    }

    /// Writes an entry's line, if it is worth one.
    pub fn entry(&self, line: &Line<'_>, scene: &Scene) {
        let Some(format) = &self.wanted.format else { return };
        if line.is_told_by(format) {
            self.line(&format.line(line, scene));
        }
    }

    /// Writes a line.
    pub fn line(&self, line: &[u8]) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.failure.is_none() {
            let begin = format!("{} [{}] ", when::now(), std::process::id());
            let written = [begin.as_bytes(), line, b"\n"].into_iter().try_for_each(|part| lines.file.write_all(part));
            lines.failure = written.err();
        }
    }

    /// Hands all lines to the system.
    ///
    /// # Errors
    /// What kept this or an earlier line from being written.
    pub fn flush(&self) -> Result<()> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let result = match lines.failure.take() {
            Some(error) => Err(error),
            None => lines.file.flush(),
        };
        result.map_err(|error| Error::io("write", self.path(), error))
    }

    fn path(&self) -> &Path {
        &self.wanted.path
    }
}

impl Line<'_> {
    /// Whether it is mentioned in `format`: with rsync's letters whatever changes, without them what is more than attributes of a file.
    pub fn is_told_by(&self, format: &Format) -> bool {
        match self {
            Line::Deleted { .. } => true,
            Line::Item { decision, entry, .. } => match decision.action {
                Action::Skip => false,
                Action::Attributes => format.has(b"i") || entry.is_dir(),
                _ => decision.is_change(),
            },
        }
    }
}
