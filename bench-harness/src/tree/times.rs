//! Setting modification times, of links as well.

use std::io;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

/// Sets the modification time (and the access time with it) of the entry itself, never of what a link points to.
///
/// # Errors
/// What the system says.
pub fn set_mtime(path: &Path, secs: i64, nanos: u32) -> io::Result<()> {
    let time = Timespec { tv_sec: secs, tv_nsec: nanos.into() };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}
