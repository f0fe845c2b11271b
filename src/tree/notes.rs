//! What is noted of an entry beyond what every sync needs: only what the options ask for, so that nobody else pays.
//!
//! A [`Tree`](super::dir::Tree) has its notes from when it is opened; whoever lists it or looks into it then finds them in
//! the entries. What takes more than the `stat` that is made anyway is read here and nowhere else.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::{OFlags, Stat};
use rustix::path::Arg;

use super::acl;
use super::entry::{Entry, Kind};
use super::fake;
use super::stat;
use super::xattrs::{self, Held, Scope};

/// What is noted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Access times, of all but directories: to list one is to access it.
    pub atimes: bool,
    /// Nothing but a way to read: files are opened such that their access times stay, where the system lets us.
    pub unnoticed: bool,
    /// Extended attributes, those of this scope.
    pub xattrs: Option<Scope>,
    /// Access control lists, of all but links.
    pub acls: bool,
    /// What is said of files is believed, and what is made is only said to be what it is (`--fake-super`).
    pub fake: bool,
}

impl Notes {
    /// Whether anything is noted of entries.
    pub(super) fn are_made(&self) -> bool {
        self.atimes || self.acls || self.fake || self.xattrs.is_some()
    }

    /// Adds to `entry`, of which `stat` tells and which is `name` in `parent`, what is noted of it; a link is
    /// taken for what it leads to where the tree `follows` it.
    pub(super) fn add(
        &self,
        entry: &mut Entry,
        stat: &Stat,
        parent: BorrowedFd<'_>,
        name: impl Arg,
        follows: bool,
    ) -> io::Result<()> {
        if self.atimes && !entry.is_dir() {
            entry.seldom.get_or_insert_default().atime = Some(stat::atime(stat));
        }
        if self.xattrs.is_none() && !self.acls && !self.fake {
            return Ok(());
        }
        let may_fail = self.xattrs.as_ref().is_none_or(|scope| scope.unreadable);
        let name = name.as_cow_c_str()?;
        let held = match Held::at(parent, &name, follows) {
            // Where it has to be opened for that: who sets something on it sees to that first.
            Err(error) if may_fail && error.kind() == io::ErrorKind::PermissionDenied => Held::Nothing,
            held => held?,
        };
        if self.fake {
            fake::believe(entry, &held, parent, &*name)?;
        }
        if let Some(scope) = &self.xattrs {
            let xattrs = xattrs::read(&held, scope)?;
            if !xattrs.is_empty() {
                entry.seldom.get_or_insert_default().xattrs = xattrs;
            }
        }
        if self.acls && !matches!(entry.kind, Kind::Symlink { .. }) {
            let acls = acl::read(&held, entry.is_dir())?;
            if !acls.are_none() {
                entry.seldom.get_or_insert_default().acls = Some(Box::new(acls));
            }
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
