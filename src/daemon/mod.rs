//! The persistent server and its client: `sy daemon ...`, and `--use-daemon` on a sync. Seam for phase 4.1, `daemon`.
//!
//! `disabled` is the baseline: there is none, and both say so. `enabled` is one process for a user and a machine that plays two
//! parts: it serves sessions on a socket, and it keeps a connection to each machine that its user syncs with, on which links
//! to the daemon over there wait with their greetings exchanged. A local sync has no connection to save and uses none of it.

use clap::{Subcommand, ValueEnum};

use crate::session::{Outcome, Prepared};

#[cfg(any(test, not(feature = "daemon")))]
mod disabled;
#[cfg(feature = "daemon")]
mod enabled;

#[cfg(not(feature = "daemon"))]
pub use disabled::{available, run, sync};
#[cfg(feature = "daemon")]
pub use enabled::{available, run, sync};

/// The word that `sy` takes for all of this.
pub const COMMAND: &str = "daemon";

/// What `sy daemon` is to do.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Start the daemon, unless it runs already
    Start(Start),
    /// Stop the daemon once its sessions have ended; said twice, at once
    Stop {
        /// Do not wait for sessions
        #[arg(long)]
        now: bool,
    },
    /// Say whether the daemon runs, and what it does
    Status {
        /// As one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// How a daemon is started.
#[derive(Debug, clap::Args)]
pub struct Start {
    /// Listen on this port of the loopback too, for whoever knows the token in sy.token; 0: any port
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// Stay in the foreground, with the log on standard error
    #[arg(long)]
    pub foreground: bool,
    /// Close a connection that has not been used for so long
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    pub idle: u64,
    /// Leave when idle: for a daemon that was started by a sync
    #[arg(long, hide = true)]
    pub leave: bool,
    /// This process is to become the daemon, and to say `ready` on its standard output
    #[arg(long, hide = true, requires = "foreground")]
    pub detached: bool,
    /// Print how to reach the daemon, as one JSON object: for the daemon of another machine
    #[arg(long, hide = true)]
    pub for_link: bool,
}

/// Whether a sync goes through the daemon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Use {
    /// It does not.
    #[default]
    #[value(skip)]
    No,
    /// If it can; else it connects as without, and says so.
    Try,
    /// Or it fails.
    Require,
}

/// What has become of a sync that was to go through the daemon.
pub enum Attempt {
    /// It is done.
    Done(Outcome),
    /// It goes another way.
    Plain(Prepared),
}
