//! From what `stat` says to an [`Entry`]: the one place that knows the system's integer types.

use std::ffi::OsString;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use rustix::fs::{AtFlags, FileType, Mode, Stat, major, makedev, minor, readlinkat, statat};
use rustix::path::Arg;

use super::entry::{Entry, Kind, Target, Timestamp};
use super::paths::Paths;

/// Stats `name` in `directory` without following it.
pub(super) fn of_name(directory: BorrowedFd<'_>, name: impl Arg) -> io::Result<Stat> {
    Ok(statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// The entry at `paths` that `stat` tells of. A link's target is read from `name` in `directory`, nothing else is.
pub(super) fn entry(paths: Paths, stat: &Stat, directory: BorrowedFd<'_>, name: impl Arg) -> io::Result<Entry> {
    Ok(Entry {
        paths,
        kind: kind(stat, directory, name)?,
        mode: mode(stat),
        mtime: mtime(stat),
        uid: stat.st_uid,
        gid: stat.st_gid,
        contents_listed: false,
        implied: false,
        seldom: None,
    })
}

fn kind(stat: &Stat, directory: BorrowedFd<'_>, name: impl Arg) -> io::Result<Kind> {
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File { size: u64::try_from(stat.st_size).unwrap_or(0) },
        FileType::Directory => Kind::Dir,
        FileType::Symlink => Kind::Symlink { target: target(stat, directory, name)? },
        FileType::Fifo => Kind::Fifo,
        FileType::Socket => Kind::Socket,
        FileType::CharacterDevice => Kind::CharDevice { rdev: rdev(stat) },
        FileType::BlockDevice => Kind::BlockDevice { rdev: rdev(stat) },
        FileType::Unknown => {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "of a file type that sy does not know"));
        }
    })
}

fn target(stat: &Stat, directory: BorrowedFd<'_>, name: impl Arg) -> io::Result<Target> {
    // One call reads the target if the buffer is longer than it; its length is the link's size on most file systems.
    let room = usize::try_from(stat.st_size).unwrap_or(0).min(64 * 1024) + 1;
    let target = readlinkat(directory, name, Vec::with_capacity(room))?;
    Ok(PathBuf::from(OsString::from_vec(target.into_bytes())).into())
}

/// Whether `stat` tells of a directory.
pub(super) fn is_dir(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

/// Whether `stat` tells of a symbolic link.
pub(super) fn is_symlink(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Symlink
}

/// Whether `stat` tells of a regular file.
pub(super) fn is_file(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

// What follows is of other widths on other systems, where the conversions do convert.

/// `mode` as the system's type: 16 bits on macOS, which hold every permission bit.
pub(super) fn bits(mode: u32) -> Mode {
    Mode::from_bits_truncate(mode as _)
}

/// The system's `mode` as ours.
#[allow(clippy::useless_conversion)]
pub(super) fn mode_of(mode: Mode) -> u32 {
    u32::from(mode.as_raw_mode())
}

/// Permission bits with setuid, setgid and sticky.
#[allow(clippy::useless_conversion)]
pub(super) fn mode(stat: &Stat) -> u32 {
    u32::from(stat.st_mode) & 0o7777
}

/// The device that the file is on.
#[allow(clippy::unnecessary_cast)]
pub(super) fn device(stat: &Stat) -> u64 {
    stat.st_dev as u64
}

/// How many names the file has.
#[allow(clippy::unnecessary_cast)]
pub(super) fn links(stat: &Stat) -> u64 {
    stat.st_nlink as u64
}

/// Modification time.
#[allow(clippy::unnecessary_cast)]
pub(super) fn mtime(stat: &Stat) -> Timestamp {
    Timestamp { secs: stat.st_mtime as i64, nanos: stat.st_mtime_nsec as u32 }
}

/// Access time.
#[allow(clippy::unnecessary_cast)]
pub(super) fn atime(stat: &Stat) -> Timestamp {
    Timestamp { secs: stat.st_atime as i64, nanos: stat.st_atime_nsec as u32 }
}

/// Major and minor number of a device.
pub(super) fn device_numbers(rdev: u64) -> (u32, u32) {
    (major(rdev as _), minor(rdev as _))
}

/// The device of these numbers.
#[allow(clippy::unnecessary_cast)]
pub(super) fn device_of((major, minor): (u32, u32)) -> u64 {
    makedev(major, minor) as u64
}

#[allow(clippy::unnecessary_cast)]
fn rdev(stat: &Stat) -> u64 {
    stat.st_rdev as u64
}
