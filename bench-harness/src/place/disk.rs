//! Which directory trees are put into, and what file system that is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use nix::sys::statvfs::statvfs;

/// Memory-backed, so that a measurement is of the tools and not of a disk.
const MEMORY: &str = "/dev/shm";
/// What trees take at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// In bytes.
    pub bytes: u64,
    /// Names; a file system in memory has a bound on them, and a million empty files reach it before any other.
    pub entries: u64,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.bytes, self.entries)
    }
}

impl FromStr for Need {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (bytes, entries) = text.split_once(':').context("no colon between bytes and entries")?;
        Ok(Need { bytes: bytes.parse().context("bytes")?, entries: entries.parse().context("entries")? })
    }
}

/// So much more than a scenario's trees take must be free: filling a tmpfs to the brim would take the memory that the
/// subjects need.
const HEADROOM: u64 = 2;
/// Of names a quarter more will do: nobody else needs them, and a tool has few temporary ones at a time.
const SPARE_ENTRIES: f64 = 1.25;

/// The directory for trees that take `need` in all: the one that is wanted, or `/dev/shm` where it has the room, or
/// the temporary directory.
///
/// # Errors
/// When there is not the room, or the path is one that cannot be handed through a shell and rsync's `-e` as it is.
pub fn choose(need: Need, wanted: Option<&Path>) -> Result<PathBuf> {
    if let Some(dir) = wanted {
        let dir = dir.canonicalize().with_context(|| format!("cannot use {}", dir.display()))?;
        return plain(&dir);
    }
    let temporary = std::env::temp_dir();
    for dir in [Path::new(MEMORY), &temporary] {
        if dir.is_dir() && writable(dir) && has_room(dir, need) {
            return plain(dir);
        }
    }
    let (mib, entries) = (need.bytes.saturating_mul(HEADROOM) >> 20, need.entries);
    bail!("neither {MEMORY} nor {} has room for {entries} entries and {mib} MiB", temporary.display())
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

fn has_room(dir: &Path, need: Need) -> bool {
    let Ok(stat) = statvfs(dir) else { return false };
    // The widths of these fields differ between systems.
    #[allow(clippy::useless_conversion, reason = "u32 on macOS, u64 on Linux")]
    let [blocks, size, names, free_names] = [
        stat.blocks_available().into(),
        stat.fragment_size().into(),
        stat.files().into(),
        stat.files_available().into(),
    ];
    let bytes = u64::saturating_mul(blocks, size);
    // A file system without a table of files says that it has none.
    let bounded = names > 0;
    bytes / HEADROOM > need.bytes && (!bounded || free_names as f64 > need.entries as f64 * SPARE_ENTRIES)
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
    fn what_is_needed_is_told_in_one_word() {
        let need = Need { bytes: 5, entries: 7 };
        assert_eq!((need.to_string().as_str(), "5:7".parse::<Need>().unwrap()), ("5:7", need));
        assert!("5".parse::<Need>().is_err() && ":7".parse::<Need>().is_err());
    }

    #[test]
    fn more_than_there_is_cannot_be_chosen() {
        let need = |bytes, entries| Need { bytes, entries };
        assert!(choose(need(1 << 60, 1), None).is_err());
        assert!(choose(need(1, 1), None).is_ok());
        #[cfg(target_os = "linux")]
        if statvfs(Path::new(MEMORY)).is_ok_and(|stat| stat.files() > 0) {
            assert!(!has_room(Path::new(MEMORY), need(1, 1 << 50)));
        }
    }
}
