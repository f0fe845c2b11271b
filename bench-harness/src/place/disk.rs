//! Which directory trees are put into, and what file system that is.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::sys::statvfs::statvfs;

/// Memory-backed, so that a measurement is of the tools and not of a disk.
const MEMORY: &str = "/dev/shm";
/// So much more than a scenario's trees take must be free: filling a tmpfs to the brim would take the memory that the
/// subjects need.
const HEADROOM: u64 = 2;

/// The directory for trees that take `need` bytes in all: the one that is wanted, or `/dev/shm` where it has the room, or
/// the temporary directory.
///
/// # Errors
/// When there is not the room, or the path is one that cannot be handed through a shell and rsync's `-e` as it is.
pub fn choose(need: u64, wanted: Option<&Path>) -> Result<PathBuf> {
    if let Some(dir) = wanted {
        let dir = dir.canonicalize().with_context(|| format!("cannot use {}", dir.display()))?;
        return plain(&dir);
    }
    let temporary = std::env::temp_dir();
    for dir in [Path::new(MEMORY), &temporary] {
        if dir.is_dir() && writable(dir) && free(dir).is_some_and(|free| free / HEADROOM > need) {
            return plain(dir);
        }
    }
    bail!("neither {MEMORY} nor {} has {} MiB to spare", temporary.display(), (need * HEADROOM) >> 20)
}

/// Refuses a path that would need quoting: command templates put paths into shell lines and remote commands.
fn plain(dir: &Path) -> Result<PathBuf> {
    let safe = |c: char| c.is_ascii_alphanumeric() || "/._-+@=,".contains(c);
    match dir.to_str() {
        Some(text) if text.starts_with('/') && text.chars().all(safe) => Ok(dir.to_owned()),
        _ => bail!("cannot work in {}: its path must be absolute and without spaces and quotes", dir.display()),
    }
}

fn writable(dir: &Path) -> bool {
    tempfile::tempfile_in(dir).is_ok()
}

fn free(dir: &Path) -> Option<u64> {
    // The widths of these fields differ between systems.
    #[allow(clippy::useless_conversion, reason = "u32 on macOS, u64 on Linux")]
    statvfs(dir).ok().map(|s| u64::from(s.blocks_available()).saturating_mul(u64::from(s.fragment_size())))
}

/// Waits until what was written beneath `dir` is on the disk, so that no run pays for the restoring before it. Nothing
/// to do in memory.
///
/// # Errors
/// When the directory cannot be opened.
pub fn settle(dir: &Path) -> Result<()> {
    if file_system(dir) != "tmpfs" {
        sync(dir)?;
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn sync(dir: &Path) -> Result<()> {
    Ok(rustix::fs::syncfs(std::fs::File::open(dir)?)?)
}

#[cfg(not(target_os = "linux"))]
fn sync(_dir: &Path) -> Result<()> {
    rustix::fs::sync();
    Ok(())
}

/// The name of the file system that `dir` lies on; "unknown" where it cannot be told.
#[cfg(target_os = "linux")]
pub fn file_system(dir: &Path) -> String {
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    type_of_mount(&mounts, &dir).unwrap_or("unknown").to_owned()
}

/// The name of the file system that `dir` lies on; "unknown" where it cannot be told.
#[cfg(target_vendor = "apple")]
pub fn file_system(dir: &Path) -> String {
    nix::sys::statfs::statfs(dir).map_or("unknown".into(), |s| s.filesystem_type_name().to_owned())
}

/// The name of the file system that `dir` lies on; "unknown" where it cannot be told.
#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
pub fn file_system(_dir: &Path) -> String {
    "unknown".into()
}

/// The last of the longest mount points above `dir` (proc(5), mountinfo: field 5 is the point, the type follows " - ").
#[cfg(target_os = "linux")]
fn type_of_mount<'a>(mounts: &'a str, dir: &Path) -> Option<&'a str> {
    let parse = |line: &'a str| {
        let (left, right) = line.split_once(" - ")?;
        Some((left.split(' ').nth(4)?, right.split(' ').next()?))
    };
    let above = mounts.lines().filter_map(parse).filter(|(point, _)| dir.starts_with(point));
    above.max_by_key(|(point, _)| point.len()).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn longest_mount_point_decides_and_the_last_one_of_equals() {
        let mounts = "1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 0:2 / /dev rw shared:1 - devtmpfs d rw\n\
                      3 2 0:3 / /dev/shm rw - ramfs s rw\n4 2 0:4 / /dev/shm rw - tmpfs s rw\n";
        let kind = |dir: &str| type_of_mount(mounts, Path::new(dir)).unwrap();
        assert_eq!([kind("/home"), kind("/dev/x"), kind("/dev/shm/y")], ["ext4", "devtmpfs", "tmpfs"]);
    }

    #[test]
    fn paths_that_need_quoting_are_refused() {
        assert!(plain(Path::new("/tmp/lab-1")).is_ok());
        for bad in ["/tmp/a b", "/tmp/$x", "tmp", "/tmp/'"] {
            assert!(plain(Path::new(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn more_than_there_is_cannot_be_chosen() {
        assert!(choose(1 << 60, None).is_err());
        assert!(choose(1, None).is_ok());
    }
}
