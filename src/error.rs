//! What can end a sync, and the exit code that each ending gets: rsync's, since scripts rely on them.
//!
//! An error of one file is no [`Error`]: it is reported as a [`crate::events::Event::Warning`] and the sync goes on.

use std::io;
use std::path::{Path, PathBuf};

/// Exit codes, numbered as rsync numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Everything asked for was done.
    Ok = 0,
    /// The command line is wrong.
    Usage = 1,
    /// The two ends have no protocol in common.
    Protocol = 2,
    /// A source or the destination cannot be used as it is named.
    Selection = 3,
    /// This build cannot do what is asked.
    Unsupported = 4,
    /// The session could not be started: no connection, no `sy` at the other end.
    Start = 5,
    /// The link failed to be read or written.
    Socket = 10,
    /// The destination (or what the sync itself needs) could not be read or written.
    FileIo = 11,
    /// The peer died or sent what the protocol forbids.
    Stream = 12,
    /// Ended by SIGINT, SIGTERM or SIGHUP.
    Interrupted = 20,
    /// Some files were not transferred because of an error.
    Partial = 23,
    /// Some source files vanished before they were read.
    Vanished = 24,
    /// `--max-delete` stopped further deletions.
    MaxDelete = 25,
    /// The peer was silent for longer than the timeout, or the user's time was over.
    Timeout = 30,
}

impl ExitCode {
    const ALL: [ExitCode; 14] = [
        ExitCode::Ok,
        ExitCode::Usage,
        ExitCode::Protocol,
        ExitCode::Selection,
        ExitCode::Unsupported,
        ExitCode::Start,
        ExitCode::Socket,
        ExitCode::FileIo,
        ExitCode::Stream,
        ExitCode::Interrupted,
        ExitCode::Partial,
        ExitCode::Vanished,
        ExitCode::MaxDelete,
        ExitCode::Timeout,
    ];

    /// The code with this number; a number that is none of ours, as a peer may send, is [`ExitCode::Stream`].
    pub fn from_wire(number: u8) -> ExitCode {
        Self::ALL.into_iter().find(|code| *code as u8 == number).unwrap_or(ExitCode::Stream)
    }
}

/// What ends a sync before its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line asks for what cannot be.
    #[error("{0}")]
    Usage(String),
    /// A source or destination that cannot be used as it is named.
    #[error("{0}")]
    Selection(String),
    /// What this build has been made without.
    #[error("{0}")]
    Unsupported(String),
    /// The remote end could not be started.
    #[error("{0}")]
    Start(String),
    /// Something other than `sy` answered, or a `sy` of another age.
    #[error("{0}")]
    Protocol(String),
    /// The peer broke the protocol.
    #[error("protocol error: {0}")]
    Stream(String),
    /// The link ended before the session did.
    #[error("the connection to the other end was lost before the sync was complete")]
    Disconnected,
    /// The link could not be read or written.
    #[error("failed to {action} the connection: {source}")]
    Link {
        /// `read from` or `write to`.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The peer said nothing for too long.
    #[error("no word from the other end for {seconds} seconds (--timeout)")]
    Timeout {
        /// The limit that was reached.
        seconds: u64,
    },
    /// A signal asked us to stop.
    #[error("stopped by a signal")]
    Interrupted,
    /// The time that the user gave the sync is over.
    #[error("the time is over (--stop-after, --stop-at): what is missing is left to the next run")]
    Stopped,
    /// The destination itself, not one file in it, cannot be worked on.
    #[error("failed to {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The peer gave up and said why.
    #[error("{text} (reported by the other end)")]
    Peer {
        /// The peer's exit code.
        code: ExitCode,
        /// The peer's words, made safe to print.
        text: String,
    },
}

impl Error {
    /// An I/O error with what was tried on which path.
    pub fn io(action: &'static str, path: &Path, source: io::Error) -> Error {
        Error::Io { action, path: path.to_path_buf(), source }
    }

    /// The exit code of a sync that ends with this error.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Error::Usage(_) => ExitCode::Usage,
            Error::Selection(_) => ExitCode::Selection,
            Error::Unsupported(_) => ExitCode::Unsupported,
            Error::Start(_) => ExitCode::Start,
            Error::Protocol(_) => ExitCode::Protocol,
            Error::Stream(_) | Error::Disconnected => ExitCode::Stream,
            Error::Link { .. } => ExitCode::Socket,
            Error::Timeout { .. } | Error::Stopped => ExitCode::Timeout,
            Error::Interrupted => ExitCode::Interrupted,
            Error::Io { .. } => ExitCode::FileIo,
            Error::Peer { code, .. } => *code,
        }
    }
}

/// Whether an error of one file will be one of all that follow: the disk is full.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// What a sync, or a part of one, ends with.
pub type Result<T> = std::result::Result<T, Error>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_survives_the_wire() {
        for code in ExitCode::ALL {
            assert_eq!(ExitCode::from_wire(code as u8), code);
        }
        assert_eq!(ExitCode::from_wire(99), ExitCode::Stream);
    }
}
