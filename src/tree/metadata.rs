//! Giving an entry on disk the owner, group, extended attributes, ACLs, mode and times of another.
//!
//! In this order, since a change of owner clears setuid and some attributes; nothing is called where the present state
//! is known to be equal. By name no link is followed, a planted one included. What stays possible by name is that another
//! entry is exchanged for ours between two calls, by somebody who may write into that very directory; by file handle
//! ([`apply_to_file`], [`finish_file`]) not even that.
//!
//! The umask is read once: asking for it changes it, for all threads.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::OnceLock;

use rustix::fs::{
    AtFlags, Gid, Stat, Timespec, Timestamps, UTIME_OMIT, Uid, chownat, fchmod, fchown, fstat, futimens, utimensat,
};
use rustix::io::Errno;
use rustix::path::Arg;

use super::acl::{self, Acls};
use super::capability::Capability;
use super::dir::Tree;
use super::entry::{Entry, Kind, Timestamp};
use super::fake;
use super::stat::{self, bits, mode_of};
use super::xattrs::{self, Held, Scope, Xattr};

const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;

/// Which of an entry's metadata is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// Permission bits with setuid, setgid and sticky.
    pub perms: bool,
    /// Modification time.
    pub times: bool,
    /// Access time.
    pub atimes: bool,
    /// Owner.
    pub owner: bool,
    /// Group.
    pub group: bool,
    /// Extended attributes, those of this scope.
    pub xattrs: Option<Scope>,
    /// Access control lists.
    pub acls: bool,
    /// Whether a regular file can be executed, where `perms` are not kept (`-E`).
    pub executability: bool,
    /// Owner, group and mode are said in an attribute (`--fake-super`).
    pub fake: bool,
}

/// Gives what is at `relative` the metadata of `entry`, whose owner and group are this machine's. `present` is what is
/// there now, where that is known.
///
/// # Errors
/// The first failure, after the rest has been tried. Where the owner (group) could not be given, setuid (setgid) is not.
pub fn apply(tree: &Tree, relative: &Path, entry: &Entry, keep: &Keep, present: Option<&Entry>) -> io::Result<()> {
    let change = Change::between(entry, keep, present);
    if change.is_empty() {
        return Ok(());
    }
    let (parent, name) = tree.at(relative)?;
    let is_link = matches!(entry.kind, Kind::Symlink { .. }) && !keep.fake;
    change.make(&Named { parent: parent.as_fd(), name, is_link })
}

/// Gives the open file the metadata of `entry`, whose owner and group are this machine's.
///
/// # Errors
/// As [`apply`].
pub fn apply_to_file(file: &File, entry: &Entry, keep: &Keep, present: Option<&Entry>) -> io::Result<()> {
    Change::between(entry, keep, present).make(file)
}

/// Gives a file that is about to take the place of `replaced` all its metadata: its mode too where that is not kept, as
/// [`with_umask_mode`] says, for a temporary file is made closed to everybody else.
///
/// # Errors
/// As [`apply`].
pub fn finish_file(file: &File, entry: &Entry, keep: &Keep, replaced: Option<&Entry>) -> io::Result<()> {
    let mut mode = with_umask_mode(entry.mode, replaced.map(|entry| entry.mode), keep.perms);
    if keep.executability && !keep.perms {
        mode = with_executability(mode, entry.mode);
    }
    let mut change = Change::between(entry, keep, None);
    change.mode = Some(mode);
    change.make(file)
}

/// The mode of a file: the source's where permissions are kept, else its own where it `existing`ly had one, else the
/// source's without special bits as far as the umask allows.
pub fn with_umask_mode(source: u32, existing: Option<u32>, perms: bool) -> u32 {
    match existing {
        _ if perms => source,
        Some(mode) => mode,
        None => source & 0o777 & !umask(),
    }
}

/// `mode`, as far as execution goes like `source`: for nobody, or, if nobody had it, for whoever may read.
pub fn with_executability(mode: u32, source: u32) -> u32 {
    match (can_be_executed(source), can_be_executed(mode)) {
        (false, _) => mode & !0o111,
        (true, false) => mode | ((mode & 0o444) >> 2),
        (true, true) => mode,
    }
}

/// Whether a file of this mode can be executed by anybody.
pub fn can_be_executed(mode: u32) -> bool {
    mode & 0o111 != 0
}

/// The umask of the process, as it was when first asked for; ask once before there are threads.
pub fn umask() -> u32 {
    static UMASK: OnceLock<u32> = OnceLock::new();
    *UMASK.get_or_init(|| umask_of_status().unwrap_or_else(umask_by_setting))
}

#[cfg(target_os = "linux")]
fn umask_of_status() -> Option<u32> {
    let status = std::fs::read("/proc/self/status").ok()?;
    let line = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"Umask:"))?;
    u32::from_str_radix(std::str::from_utf8(line).ok()?.trim(), 8).ok()
}

#[cfg(not(target_os = "linux"))]
fn umask_of_status() -> Option<u32> {
    None
}

/// For the blink of an eye the umask is the strictest: a file made meanwhile by another thread is closed, never open.
fn umask_by_setting() -> u32 {
    let umask = rustix::process::umask(bits(0o777));
    rustix::process::umask(umask);
    mode_of(umask)
}

/// What has to be called.
#[derive(Debug, Default)]
struct Change<'e> {
    xattrs: Option<(&'e [Xattr], &'e Scope)>,
    /// What has other lists, which are set with the mode that they share items with.
    acls: Option<&'e Entry>,
    owner: Option<u32>,
    group: Option<u32>,
    mode: Option<u32>,
    /// The mode that it has and keeps, where a change of owner takes bits of it away.
    again: Option<u32>,
    mtime: Option<Timestamp>,
    atime: Option<Timestamp>,
    /// Where owner, group and mode are only said: of what.
    said: Option<&'e Kind>,
}

impl<'e> Change<'e> {
    fn between(entry: &'e Entry, keep: &'e Keep, present: Option<&Entry>) -> Self {
        let owner = keep.owner && present.is_none_or(|present| present.uid != entry.uid);
        let group = keep.group && present.is_none_or(|present| present.gid != entry.gid);
        // A chown clears these two, so they have to be given again.
        let cleared = (owner || group) && entry.mode & (SETUID | SETGID) != 0;
        let is_link = matches!(entry.kind, Kind::Symlink { .. });
        let acls = keep.acls && !is_link && present.is_none_or(|present| present.acls() != entry.acls());
        let mode = keep.perms && (cleared || acls || present.is_none_or(|present| present.mode != entry.mode));
        let executability = match present {
            Some(present) if keep.executability && !keep.perms && matches!(entry.kind, Kind::File { .. }) => {
                Some(with_executability(present.mode, entry.mode)).filter(|mode| *mode != present.mode)
            }
            _ => None,
        };
        let differ = |scope: &&Scope| present.is_none_or(|now| !xattrs::agree(entry.xattrs(), now.xattrs(), scope));
        let mtime = keep.times && present.is_none_or(|present| present.mtime != entry.mtime);
        Self {
            acls: acls.then_some(entry),
            xattrs: keep.xattrs.as_ref().filter(differ).map(|scope| (entry.xattrs(), scope)),
            owner: owner.then_some(entry.uid),
            group: group.then_some(entry.gid),
            mode: (mode && (!is_link || keep.fake)).then_some(entry.mode).or(executability),
            again: present.filter(|now| (owner || group) && now.mode & (SETUID | SETGID) != 0).map(|now| now.mode),
            mtime: mtime.then_some(entry.mtime),
            atime: entry.atime().filter(|atime| keep.atimes && present.is_none_or(|now| now.atime() != Some(*atime))),
            said: keep.fake.then_some(&entry.kind),
        }
    }

    fn is_empty(&self) -> bool {
        let owned = self.owner.is_none() && self.group.is_none();
        let special = self.said.is_some_and(|kind| !matches!(kind, Kind::File { .. } | Kind::Dir));
        let moded = self.mode.is_some() || special;
        owned && self.xattrs.is_none() && self.acls.is_none() && !moded && self.timestamps().is_none()
    }

    fn timestamps(&self) -> Option<Timestamps> {
        let of = |time: Option<Timestamp>| match time {
            Some(time) => Timespec { tv_sec: time.secs, tv_nsec: time.nanos.into() },
            None => Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        };
        let times = Timestamps { last_access: of(self.atime), last_modification: of(self.mtime) };
        (self.atime.is_some() || self.mtime.is_some()).then_some(times)
    }

    /// Says what it would take root to make so.
    fn say(&self, target: &impl Target, kind: &Kind) -> io::Result<()> {
        let kept = self.xattrs.map_or(Ok(()), |(wanted, scope)| keep_xattrs(target, wanted, scope));
        let wanted = fake::Wanted { kind, mode: self.mode, uid: self.owner, gid: self.group };
        let said = fake::say(&target.held()?, &target.stat()?, wanted, |mode| target.set_mode(mode));
        let timed = self.timestamps().map_or(Ok(()), |times| target.set_times(&times));
        said.and(timed).and(kept)
    }

    fn make(&self, target: &impl Target) -> io::Result<()> {
        if let Some(kind) = self.said {
            return self.say(target, kind);
        }
        let owned = self.give_away(target);
        // After the owner, which some attributes do not survive, and before the mode, which may close the file to us.
        let kept = self.xattrs.map_or(Ok(()), |(wanted, scope)| keep_xattrs(target, wanted, scope));
        let listed = self.acls.map_or(Ok(()), |entry| keep_acls(target, entry));
        let mode = self.mode.map(|mode| match &owned {
            Ok(()) => mode,
            // A program must not run with the rights of an owner that it was never meant to have.
            Err(_) => mode & !self.unearned(),
        });
        let mode = mode.or(self.again.filter(|_| owned.is_ok()));
        let moded = mode.map_or(Ok(()), |mode| target.set_mode(mode));
        let timed = self.timestamps().map_or(Ok(()), |times| target.set_times(&times));
        owned.and(moded).and(timed).and(kept).and(listed)
    }

    /// Owner and group in one call, or, where that fails, each on its own: one of the two may be allowed.
    fn give_away(&self, target: &impl Target) -> io::Result<()> {
        let (owner, group) = (self.owner.map(Uid::from_raw), self.group.map(Gid::from_raw));
        if owner.is_none() && group.is_none() {
            return Ok(());
        }
        let both = target.set_owner(owner, group);
        if both.is_err() && owner.is_some() && group.is_some() {
            let group = target.set_owner(None, group);
            let owner = target.set_owner(owner, None);
            return owner.and(group);
        }
        both
    }

    fn unearned(&self) -> u32 {
        self.owner.map_or(0, |_| SETUID) | self.group.map_or(0, |_| SETGID)
    }
}

/// Attributes of the user's are for who may read a file or write to it: its owner can always see to that.
fn keep_xattrs(target: &impl Target, wanted: &[Xattr], scope: &Scope) -> io::Result<()> {
    const OPEN: u32 = 0o600;
    let keep = || -> io::Result<()> { Ok(xattrs::reconcile(&target.held()?, wanted, scope)?) };
    let kept = match keep() {
        Err(error) if error.raw_os_error() == Some(Errno::ACCESS.raw_os_error()) => {
            let mode = stat::mode(&target.stat()?);
            target.set_mode(mode | OPEN)?;
            let kept = keep();
            target.set_mode(mode)?;
            kept
        }
        kept => kept,
    };
    let unsupported = |error: &io::Error| Errno::from_io_error(error).is_some_and(xattrs::is_unsupported);
    kept.map_err(|error| if unsupported(&error) { Capability::Xattrs.error() } else { error })
}

fn keep_acls(target: &impl Target, entry: &Entry) -> io::Result<()> {
    let none = Acls::default();
    let kept = acl::reconcile(&target.held()?, entry.acls().unwrap_or(&none), entry.mode, entry.is_dir());
    kept.map_err(|error| if xattrs::is_unsupported(error) { Capability::Acls.error() } else { error.into() })
}

/// Where metadata is set: an open file, or a name in an open directory.
trait Target {
    fn set_owner(&self, owner: Option<Uid>, group: Option<Gid>) -> io::Result<()>;
    fn set_mode(&self, mode: u32) -> io::Result<()>;
    fn set_times(&self, times: &Timestamps) -> io::Result<()>;
    fn stat(&self) -> io::Result<Stat>;
    fn held(&self) -> io::Result<Held<'_>>;
}

impl Target for File {
    fn set_owner(&self, owner: Option<Uid>, group: Option<Gid>) -> io::Result<()> {
        Ok(fchown(self, owner, group)?)
    }

    fn set_mode(&self, mode: u32) -> io::Result<()> {
        Ok(fchmod(self, bits(mode))?)
    }

    fn set_times(&self, times: &Timestamps) -> io::Result<()> {
        Ok(futimens(self, times)?)
    }

    fn stat(&self) -> io::Result<Stat> {
        Ok(fstat(self)?)
    }

    fn held(&self) -> io::Result<Held<'_>> {
        Ok(Held::File(self))
    }
}

struct Named<'a> {
    parent: BorrowedFd<'a>,
    name: &'a OsStr,
    is_link: bool,
}

impl Target for Named<'_> {
    fn set_owner(&self, owner: Option<Uid>, group: Option<Gid>) -> io::Result<()> {
        Ok(chownat(self.parent, self.name, owner, group, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    fn set_mode(&self, mode: u32) -> io::Result<()> {
        if self.is_link { Ok(()) } else { set_mode_at(self.parent, self.name, mode) }
    }

    fn set_times(&self, times: &Timestamps) -> io::Result<()> {
        Ok(utimensat(self.parent, self.name, times, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    fn stat(&self) -> io::Result<Stat> {
        stat::of_name(self.parent, self.name)
    }

    fn held(&self) -> io::Result<Held<'_>> {
        Held::at(self.parent, &self.name.as_cow_c_str()?, false)
    }
}

/// Sets the mode of `name` in `parent` without following it.
///
/// Linux's `fchmodat` always follows, so the entry itself is opened with `O_PATH`, whatever it is, and changed by way of
/// that handle's name in `/proc`. Without `/proc` only what may be opened for reading can be changed, for only that gives
/// a handle which `fchmod` takes.
#[cfg(target_os = "linux")]
pub(super) fn set_mode_at(parent: BorrowedFd<'_>, name: impl Arg + Copy, mode: u32) -> io::Result<()> {
    use std::os::fd::AsRawFd;

    use rustix::fs::{CWD, Mode, OFlags, chmodat, openat};

    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let handle = openat(parent, name, flags, Mode::empty())?;
    let link = format!("/proc/self/fd/{}", handle.as_raw_fd());
    match chmodat(CWD, link.as_str(), bits(mode), AtFlags::empty()) {
        Err(Errno::NOENT) => {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
            Ok(fchmod(openat(parent, name, flags, Mode::empty())?, bits(mode))?)
        }
        result => Ok(result?),
    }
}

/// Sets the mode of `name` in `parent` without following it.
#[cfg(not(target_os = "linux"))]
pub(super) fn set_mode_at(parent: BorrowedFd<'_>, name: impl Arg + Copy, mode: u32) -> io::Result<()> {
    Ok(rustix::fs::chmodat(parent, name, bits(mode), AtFlags::SYMLINK_NOFOLLOW)?)
}

#[cfg(test)]
mod tests;
