//! What is noted of an entry beyond what every sync needs: only what the options ask for, so that nobody else pays.
//!
//! A [`Tree`](super::dir::Tree) has its notes from when it is opened; whoever lists it or looks into it then finds them in
//! the entries. What takes more than the `stat` that is made anyway is read here and nowhere else.

use std::io;

use rustix::fs::{OFlags, Stat};

use super::entry::Entry;
use super::stat;

/// What is noted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Access times, of all but directories: to list one is to access it.
    pub atimes: bool,
    /// Nothing but a way to read: files are opened such that their access times stay, where the system lets us.
    pub unnoticed: bool,
}

impl Notes {
    /// Adds to `entry`, of which `stat` tells, what is noted of it.
    pub(super) fn add(&self, entry: &mut Entry, stat: &Stat) -> io::Result<()> {
        if self.atimes && !entry.is_dir() {
            entry.seldom.get_or_insert_default().atime = Some(stat::atime(stat));
        }
        Ok(())
    }

    /// The flags that files are opened with besides those that everybody opens them with.
    pub(super) fn flags(&self) -> OFlags {
        if self.unnoticed { unnoticed() } else { OFlags::empty() }
    }
}

#[cfg(target_os = "linux")]
fn unnoticed() -> OFlags {
    OFlags::NOATIME
}

#[cfg(not(target_os = "linux"))]
fn unnoticed() -> OFlags {
    OFlags::empty()
}
