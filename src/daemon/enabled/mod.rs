//! The daemon: one process for a user and a machine.
//!
//! | module | for |
//! |---|---|
//! | `runtime_dir` | where its socket and its secrets are, and whom that directory may belong to |
//! | `control` | what is said to it, but for sessions: frames of JSON, and links handed over as descriptors |
//! | `lifecycle` | `start`, `stop`, `status`, as seen by who calls them |
//! | `process` | the process itself: accepts, counts, waits, ends |
//! | `sessions` | one link: its greeting, then sessions one after another |
//! | `manager`, `host`, `master` | connections to other machines: who shares one, the links on it, the `ssh` that carries it |
//! | `lease` | a sync's side: gets a link from the daemon, gives it back |
//! | `log`, `token` | the file that it writes to; what opens its port |
//!
//! It acts as its user and for its user only. It opens no network address, asks nobody for a password, and refuses a directory or
//! a socket that somebody else could have put there.

mod control;
mod host;
mod lease;
mod lifecycle;
mod log;
mod manager;
mod master;
mod process;
mod runtime_dir;
mod sessions;
mod token;

pub use lease::sync;
pub use lifecycle::run;

use super::Use;
use crate::error::Result;

/// Whether this build can do as `--use-daemon` says.
///
/// # Errors
/// Never.
pub fn available(_: Use) -> Result<()> {
    Ok(())
}

/// Which daemons and clients understand each other: the program's version and the protocols that it speaks.
pub(crate) fn version() -> String {
    use crate::protocol::hello::{MAX_VERSION, MIN_VERSION};
    format!("{} ({MIN_VERSION}-{MAX_VERSION})", env!("CARGO_PKG_VERSION"))
}
