//! What a sync tells whoever watches: each entry's fate, each warning, and running totals.
//!
//! The sync never prints. On a client the `cli` listens; on a server what matters travels to the client.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};

use crate::error::ExitCode;
use crate::plan::Decision;
use crate::tree::capability::Capability;
use crate::tree::entry::Entry;

/// Something that happened, told once, as it happens.
#[derive(Debug)]
pub enum Event<'a> {
    /// It was decided what is done about an entry, and that is now being done (or, in a dry run, would be).
    Item {
        /// The source's entry.
        entry: &'a Entry,
        /// What and why.
        decision: Decision,
        /// The earlier name that the entry becomes a hard link to.
        link_to: Option<&'a Path>,
    },
    /// Something that the source does not have was deleted (or would be).
    Deleted {
        /// Below the destination's root.
        path: &'a Path,
        /// Whether it was a directory.
        is_dir: bool,
    },
    /// Something went wrong with one entry; the sync goes on.
    Warning {
        /// What was tried on which path, and what the system said.
        text: &'a str,
        /// What the sync will exit with, unless something worse happens; `Ok` for a mere remark.
        code: ExitCode,
    },
    /// The destination's file system cannot keep something; told once for each thing, and no error.
    Unkept {
        /// What.
        capability: Capability,
        /// Where that was first noticed.
        path: &'a Path,
    },
    /// A remark for those who asked to hear more.
    Detail {
        /// What it is about.
        about: About,
        /// How much more: 1 for `-v`, 2 for `-vv`.
        level: u8,
        /// The remark.
        text: &'a str,
    },
}

/// What a remark is about; the numbers are those of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// Anything: why something is done, and what was measured.
    Course = 0,
    /// What was kept as a backup.
    Backup = 1,
    /// What was removed from the source.
    Removal = 2,
    /// A link that was left alone because it leads out of the tree.
    UnsafeLink = 3,
}

/// Who watches.
pub trait Events: Send + Sync {
    /// Is told what happened. May be called from several threads.
    fn event(&self, event: &Event<'_>);
}

/// Running totals for a progress display: each only ever grows.
#[derive(Debug, Default)]
pub struct Progress {
    /// Entries listed.
    pub entries: AtomicU64,
    /// Bytes of regular files listed.
    pub bytes: AtomicU64,
    /// Entries dealt with.
    pub entries_done: AtomicU64,
    /// Bytes of regular files dealt with: sent, received, copied, or found to be there already.
    pub bytes_done: AtomicU64,
    /// Whether the list is complete, so that the totals will not grow any more.
    pub listed: AtomicBool,
}

impl Progress {
    /// `entries` more of `bytes` in all are known.
    pub fn found(&self, entries: u64, bytes: u64) {
        self.entries.fetch_add(entries, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
    }

    /// One entry is dealt with.
    pub fn entry_done(&self) {
        self.entries_done.fetch_add(1, Relaxed);
    }

    /// So many bytes more are dealt with.
    pub fn bytes_done(&self, bytes: u64) {
        self.bytes_done.fetch_add(bytes, Relaxed);
    }
}

/// What a sync reports to: a watcher, the totals, and the worst that was reported so far.
pub struct Monitor {
    events: Box<dyn Events>,
    /// The running totals.
    pub progress: Progress,
    worst: Mutex<ExitCode>,
    /// The capabilities that are missing, each a bit.
    missing: AtomicU8,
}

impl Monitor {
    /// A monitor that tells `events`.
    pub fn new(events: Box<dyn Events>) -> Monitor {
        Monitor { events, progress: Progress::default(), worst: Mutex::new(ExitCode::Ok), missing: AtomicU8::new(0) }
    }

    /// Passes an event on.
    pub fn event(&self, event: &Event<'_>) {
        self.events.event(event);
    }

    /// Reports that one entry went wrong.
    pub fn warn(&self, code: ExitCode, text: &str) {
        let mut worst = self.worst.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if severity(code) > severity(*worst) {
            *worst = code;
        }
        drop(worst);
        self.events.event(&Event::Warning { text, code });
    }

    /// Reports that `action` on `path` failed, with [`ExitCode::Partial`].
    pub fn failed(&self, action: &str, path: &Path, error: &dyn std::fmt::Display) {
        self.warn(ExitCode::Partial, &format!("failed to {action} {}: {error}", path.display()));
    }

    /// Tells that a capability is missing, unless that has been told.
    pub fn unkept(&self, capability: Capability, path: &Path) {
        if self.missing.fetch_or(capability as u8, Relaxed) & capability as u8 == 0 {
            self.events.event(&Event::Unkept { capability, path });
        }
    }

    /// Whether a capability is known to be missing.
    pub fn misses(&self, capability: Capability) -> bool {
        self.missing.load(Relaxed) & capability as u8 != 0
    }

    /// A remark for `-v` (1) or `-vv` (2).
    pub fn detail(&self, level: u8, text: &str) {
        self.events.event(&Event::Detail { about: About::Course, level, text });
    }

    /// A remark for those who want to hear `about` something, which `-v` (1) or `-vv` (2) means.
    pub fn remark(&self, about: About, level: u8, text: &str) {
        self.events.event(&Event::Detail { about, level, text });
    }

    /// The exit code that the warnings so far ask for.
    pub fn exit_code(&self) -> ExitCode {
        *self.worst.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Which of two warnings' codes prevails: an error over a vanished file over a deletion that was stopped, as in rsync.
fn severity(code: ExitCode) -> u8 {
    match code {
        ExitCode::Ok => 0,
        ExitCode::MaxDelete => 1,
        ExitCode::Vanished => 2,
        _ => 3,
    }
}

#[cfg(test)]
impl Monitor {
    /// A monitor for tests that tells nobody.
    pub fn deaf() -> Monitor {
        struct Deaf;

        impl Events for Deaf {
            fn event(&self, _: &Event<'_>) {}
        }

        Monitor::new(Box::new(Deaf))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_warning_makes_the_exit_code() {
        let monitor = Monitor::deaf();
        assert_eq!(monitor.exit_code(), ExitCode::Ok);
        monitor.warn(ExitCode::MaxDelete, "");
        assert_eq!(monitor.exit_code(), ExitCode::MaxDelete);
        monitor.warn(ExitCode::Vanished, "");
        monitor.warn(ExitCode::MaxDelete, "");
        monitor.warn(ExitCode::Ok, "");
        assert_eq!(monitor.exit_code(), ExitCode::Vanished);
        monitor.warn(ExitCode::Partial, "");
        monitor.warn(ExitCode::Vanished, "");
        assert_eq!(monitor.exit_code(), ExitCode::Partial);
    }
}
