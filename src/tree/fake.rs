//! `--fake-super`: what only root could give a file is said in an attribute of it, in rsync's words, and believed when it is
//! read again.
//!
//! The attribute holds the mode with its file type, the device number, and the owner's and group's numbers:
//! `%o MAJOR,MINOR UID:GID`. A link, FIFO, socket or device is a regular file with it: of a link it holds the target, else nothing. The
//! file itself belongs to whoever made it, who can always read and write it; bits that would give others its rights
//! are in the attribute alone. Where there is nothing to say there is no attribute.

use std::ffi::{CStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags, Stat, openat};
use rustix::path::Arg;

use super::entry::{Entry, Kind};
use super::stat;
use super::xattrs::Held;

/// What the names of rsync's own attributes begin with.
pub(super) const PREFIX: &[u8] = if cfg!(target_os = "linux") { b"user.rsync." } else { b"rsync." };
/// The attribute.
const NAME: &CStr = if cfg!(target_os = "linux") { c"user.rsync.%stat" } else { c"rsync.%stat" };
/// Longest target of a link, in bytes.
const MAX_TARGET: u64 = 64 << 10;
/// The bits of a mode that say what a file is: the same numbers everywhere.
const TYPE: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
const LINK: u32 = 0o120_000;
const CHARACTER: u32 = 0o020_000;
const BLOCK: u32 = 0o060_000;
const FIFO: u32 = 0o010_000;
const SOCKET: u32 = 0o140_000;

/// What is said of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Said {
    /// With its type.
    mode: u32,
    /// Major and minor number.
    device: (u32, u32),
    uid: u32,
    gid: u32,
}

/// What is to be said; the rest stays as it is said to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'e> {
    /// What it is.
    pub(super) kind: &'e Kind,
    /// Permission bits.
    pub(super) mode: Option<u32>,
    /// The owner.
    pub(super) uid: Option<u32>,
    /// The group.
    pub(super) gid: Option<u32>,
}

impl Said {
    fn parse(text: &[u8]) -> Option<Said> {
        let text = std::str::from_utf8(text).ok()?.trim_end_matches(['\0', '\n']);
        let (mode, rest) = text.split_once(' ')?;
        let (device, owners) = rest.split_once(' ')?;
        let (major, minor) = device.split_once(',')?;
        let (uid, gid) = owners.split_once(':')?;
        let device = (major.parse().ok()?, minor.parse().ok()?);
        let mode = u32::from_str_radix(mode, 8).ok()?;
        Some(Said { mode, device, uid: uid.parse().ok()?, gid: gid.parse().ok()? })
    }

    fn text(&self) -> String {
        let Said { mode, device: (major, minor), uid, gid } = self;
        format!("{mode:o} {major},{minor} {uid}:{gid}")
    }

    /// What a file is by itself.
    fn of(stat: &Stat) -> Said {
        let kind = if stat::is_dir(stat) { DIRECTORY } else { REGULAR };
        Said { mode: kind | stat::mode(stat), device: (0, 0), uid: stat.st_uid, gid: stat.st_gid }
    }

    /// Reads what is said of what is held; none where nothing is.
    fn read(held: &Held<'_>) -> io::Result<Option<Said>> {
        let Some(text) = held.get(NAME)? else { return Ok(None) };
        let senseless = || {
            let text = format!("its attribute {NAME:?} makes no sense: {:?}", text.escape_ascii().to_string());
            io::Error::new(io::ErrorKind::InvalidData, text)
        };
        Said::parse(&text).ok_or_else(senseless).map(Some)
    }
}

/// Makes of `entry`, a file or directory that is `name` in `parent`, what is said of it.
pub(super) fn believe(entry: &mut Entry, held: &Held<'_>, parent: BorrowedFd<'_>, name: impl Arg) -> io::Result<()> {
    if !matches!(entry.kind, Kind::File { .. } | Kind::Dir) {
        return Ok(());
    }
    let Some(said) = Said::read(held)? else { return Ok(()) };
    let rdev = stat::device_of(said.device);
    let kind = match said.mode & TYPE {
        _ if entry.is_dir() => None,
        LINK => Some(Kind::Symlink { target: target(parent, name)?.into() }),
        CHARACTER => Some(Kind::CharDevice { rdev }),
        BLOCK => Some(Kind::BlockDevice { rdev }),
        FIFO => Some(Kind::Fifo),
        SOCKET => Some(Kind::Socket),
        _ => None,
    };
    if let Some(kind) = kind {
        entry.kind = kind;
    }
    (entry.mode, entry.uid, entry.gid) = (said.mode & 0o7777, said.uid, said.gid);
    Ok(())
}

fn target(parent: BorrowedFd<'_>, name: impl Arg) -> io::Result<PathBuf> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let mut target = Vec::new();
    File::from(openat(parent, name, flags, Mode::empty())?).take(MAX_TARGET).read_to_end(&mut target)?;
    if target.is_empty() || target.contains(&0) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is said to be a link and leads nowhere"));
    }
    Ok(PathBuf::from(OsString::from_vec(target)))
}

/// Makes the file that stands for something else, and holds `contents`.
pub(super) fn make(parent: BorrowedFd<'_>, name: impl Arg, contents: &[u8]) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    File::from(openat(parent, name, flags, Mode::RUSR | Mode::WUSR)?).write_all(contents)
}

/// Says of what is held what is `wanted`; it is by itself as `now` says. `set_mode` sets its own mode.
pub(super) fn say(
    held: &Held<'_>,
    now: &Stat,
    wanted: Wanted<'_>,
    set_mode: impl FnOnce(u32) -> io::Result<()>,
) -> io::Result<()> {
    let before = Said::read(held)?;
    let last = before.unwrap_or(Said::of(now));
    let (kind, device) = match wanted.kind {
        Kind::File { .. } => (REGULAR, (0, 0)),
        Kind::Dir => (DIRECTORY, (0, 0)),
        Kind::Symlink { .. } => (LINK, (0, 0)),
        Kind::Fifo => (FIFO, (0, 0)),
        Kind::Socket => (SOCKET, (0, 0)),
        Kind::CharDevice { rdev: number } => (CHARACTER, stat::device_numbers(*number)),
        Kind::BlockDevice { rdev: number } => (BLOCK, stat::device_numbers(*number)),
    };
    let said = Said {
        mode: kind | wanted.mode.unwrap_or(last.mode & 0o7777),
        device,
        uid: wanted.uid.unwrap_or(last.uid),
        gid: wanted.gid.unwrap_or(last.gid),
    };
    // Its maker can do with it what root could.
    let own = (said.mode & 0o777) | if stat::is_dir(now) { 0o700 } else { 0o600 };
    if stat::mode(now) != own {
        set_mode(own)?;
    }
    let by_itself = Said { mode: Said::of(now).mode & TYPE | own, ..Said::of(now) };
    match (before, said == by_itself) {
        (Some(_), true) => Ok(held.remove(NAME)?),
        (None, true) => Ok(()),
        (Some(before), false) if before == said => Ok(()),
        (_, false) => Ok(held.set(NAME, said.text().as_bytes())?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_in_rsyncs_words_and_read_back() {
        let said = Said { mode: 0o104_755, device: (0, 0), uid: 1000, gid: 7 };
        assert_eq!(said.text(), "104755 0,0 1000:7");
        assert_eq!(Said::parse(b"104755 0,0 1000:7"), Some(said));
        assert_eq!(Said::parse(b"20644 1,3 0:0").map(|said| said.device), Some((1, 3)));
        for senseless in ["", "100644", "100644 0,0", "100644 0,0 0", "8 0,0 0:0", "100644 0,0 -1:0", "100644 0 0:0"] {
            assert_eq!(Said::parse(senseless.as_bytes()), None, "{senseless}");
        }
    }
}
