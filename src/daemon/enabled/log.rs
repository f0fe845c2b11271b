//! What the daemon has to say: lines on standard error, which is a file of bounded size unless it runs in the foreground.
//!
//! The file is where such files are: `$XDG_STATE_HOME/sy/daemon.log`, below `~/.local/state` where that is not set, or
//! `~/Library/Logs` on a Mac. One that is full becomes `daemon.log.old`. Standard error itself leads to it, so that whatever else
//! speaks there (a panic) is kept too.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::runtime_dir::open_private;
use crate::error::{Error, Result};

/// Size at which the file gives way to a new one, in bytes. There are two, so twice that is all it ever takes.
const FULL: u64 = 1 << 20;

/// Where lines go.
pub struct Log {
    /// `None` in the foreground.
    path: Option<PathBuf>,
    turn: Mutex<()>,
}

impl Log {
    /// A log on standard error, which leads to the file at `path` if there is one.
    pub fn new(path: Option<PathBuf>) -> Log {
        Log { path, turn: Mutex::default() }
    }

    /// Says a line.
    pub fn say(&self, text: &str) {
        let _turn = self.turn.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(path) = &self.path
            && path.metadata().is_ok_and(|file| file.len() >= FULL)
        {
            begin_anew(path);
        }
        let now = jiff::Timestamp::now();
        // Nobody to tell is nobody to tell.
        let _ = writeln!(std::io::stderr(), "{now:.0} sy[{}]: {text}", std::process::id());
    }
}

/// A full file that cannot be put aside goes on growing no further than its disk lets it: better than to say nothing.
fn begin_anew(path: &Path) {
    let _ = std::fs::rename(path, path.with_extension("log.old"));
    if let Ok(file) = open(path) {
        let _ = rustix::stdio::dup2_stderr(file);
    }
}

/// Opens the file, to be appended to. Its directory is made if need be.
///
/// # Errors
/// When that cannot be.
pub fn open(path: &Path) -> Result<File> {
    if let Some(dir) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| Error::io("make", dir, error))?;
    }
    open_private(path, OpenOptions::new().append(true).create(true)).map_err(|error| Error::io("open", path, error))
}

/// Where the file is; `None` for a user without a home.
pub fn path() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|dir| dir.is_absolute());
    let state = set("XDG_STATE_HOME");
    let dir = match (state, cfg!(target_os = "macos")) {
        (Some(state), _) => state.join("sy"),
        (None, true) => set("HOME")?.join("Library/Logs/sy"),
        (None, false) => set("HOME")?.join(".local/state/sy"),
    };
    Some(dir.join("daemon.log"))
}
