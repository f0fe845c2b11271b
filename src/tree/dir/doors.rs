//! The links of a destination that are passed through (`-K`): those that lead to a directory where the source has one.
//!
//! Nothing else in a destination follows a link. A door is found before anything is done at its place, and from then on it
//! is the directory that it led to then, or an error: what the link is made to lead to later is never entered. A link that
//! was made through the same tree is never one, whatever name it is found by: it is the other end that said what it leads to.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rustix::fs::{AtFlags, Mode, OFlags, Stat, fstat, openat, statat};
use rustix::path::Arg;

use super::{Tree, beneath, path};
use crate::tree::entry::{Entry, Kind};
use crate::tree::stat;

/// Device and inode of a directory.
type Identity = (u64, u64);

/// The doors of a tree.
#[derive(Debug, Default)]
pub(super) struct Doors(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    /// By their paths, with the directories that are behind them.
    doors: HashMap<Box<[u8]>, Identity>,
    /// Links that were made here.
    made: HashSet<Identity>,
}

impl Doors {
    /// The last door on `path` beyond its first `covered` bytes: how much of the path it is, and what is behind it.
    fn last_on(&self, path: &[u8], covered: usize) -> Option<(usize, Identity)> {
        let Known { doors, .. } = &*self.read();
        let ends = (covered + 1..=path.len()).rev().filter(|end| matches!(path.get(*end), None | Some(b'/')));
        ends.filter(|_| !doors.is_empty()).find_map(|end| Some((end, *doors.get(&path[..end])?)))
    }

    pub(super) fn contains(&self, path: &Path) -> bool {
        self.read().doors.contains_key(path.as_os_str().as_bytes())
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tree {
    /// Makes the link at `relative`, where `found` is, a door, if it leads to a directory and this tree may have doors.
    ///
    /// # Errors
    /// Those of looking at it.
    pub fn open_door(&self, relative: &Path, found: Option<&Entry>) -> io::Result<bool> {
        let Some(doors) = &self.doors else { return Ok(false) };
        if !found.is_some_and(|found| matches!(found.kind, Kind::Symlink { .. })) {
            return Ok(false);
        }
        let (parent, name) = self.at(relative)?;
        let Some(behind) = statat(&parent, name, AtFlags::empty()).ok().filter(stat::is_dir) else { return Ok(false) };
        if doors.read().made.contains(&identity(&stat::of_name(parent.as_fd(), name)?)) {
            return Ok(false);
        }
        doors.write().doors.insert(relative.as_os_str().as_bytes().into(), identity(&behind));
        Ok(true)
    }

    /// To be called of a link that was made just now.
    pub(super) fn note_link(&self, parent: &OwnedFd, name: impl Arg + Copy) -> io::Result<()> {
        let Some(doors) = &self.doors else { return Ok(()) };
        let made = identity(&stat::of_name(parent.as_fd(), name)?);
        doors.write().made.insert(made);
        Ok(())
    }

    /// Opens the directory `path` below `base`, which is its first `covered` bytes, through the doors on the way.
    pub(super) fn open_through(&self, base: &OwnedFd, path: &[u8], covered: usize) -> io::Result<OwnedFd> {
        let door = self.doors.as_ref().and_then(|doors| doors.last_on(path, covered));
        let below = |base: &OwnedFd, covered: usize| {
            let rest = &path[covered + usize::from(covered > 0)..];
            beneath::open_dir(base.as_fd(), rest, self.strategy)
        };
        let Some((len, behind)) = door else { return below(base, covered) };
        let (parent, name) = path::split(Path::new(OsStr::from_bytes(&path[..len])))?;
        let flags = beneath::search_flags() - OFlags::NOFOLLOW;
        let handle = openat(self.directory(parent)?, name, flags, Mode::empty())?;
        if identity(&fstat(&handle)?) != behind {
            return Err(io::Error::other("the link leads to another directory than before"));
        }
        if len == path.len() { Ok(handle) } else { below(&handle, len) }
    }
}

fn identity(stat: &Stat) -> Identity {
    (stat::device(stat), stat.st_ino)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::tree::testing::{Place, path};

    fn open(tree: &Tree, name: &str) -> bool {
        let found = tree.lstat(path(name)).expect("it can be looked at");
        tree.open_door(path(name), found.as_ref()).expect("it can be looked at")
    }

    #[test]
    fn a_link_to_a_directory_is_a_door_and_leads_where_it_led_at_first_or_nowhere() {
        let place = Place::new();
        for dir in ["one/sub", "other/sub"] {
            fs::create_dir_all(place.outside().join(dir)).unwrap();
        }
        symlink(place.outside().join("one"), place.root().join("door")).unwrap();
        let tree = place.tree().with_doors();
        assert!(tree.create_dir(path("door/new"), 0o755).is_err(), "nobody has opened it");
        assert!(open(&tree, "door") && !open(&tree, "door"));
        assert!(tree.lstat(path("door")).unwrap().unwrap().is_dir());
        tree.create_dir(path("door/new"), 0o755).unwrap();
        tree.create_dir(path("door/sub/new"), 0o755).unwrap();
        assert!(place.outside().join("one/new").is_dir() && place.outside().join("one/sub/new").is_dir());
        fs::remove_file(place.root().join("door")).unwrap();
        symlink(place.outside().join("other"), place.root().join("door")).unwrap();
        let fresh = tree.try_clone().unwrap();
        assert!(fresh.create_dir(path("door/more"), 0o755).is_err() && !place.outside().join("other/more").exists());
    }

    #[test]
    fn links_to_anything_else_and_links_of_our_own_are_no_doors() {
        let place = Place::new();
        place.file("file", "");
        fs::create_dir_all(place.outside().join("dir")).unwrap();
        symlink("file", place.root().join("leads to a file")).unwrap();
        symlink("nowhere", place.root().join("dangles")).unwrap();
        symlink("self", place.root().join("self")).unwrap();
        let tree = place.tree().with_doors();
        tree.symlink(&place.outside().join("dir"), path("ours")).unwrap();
        place.file("plain", "");
        tree.replace_with_symlink(&place.outside().join("dir"), path("plain")).unwrap();
        tree.hard_link(path("ours"), path("ours too")).unwrap();
        for name in ["leads to a file", "dangles", "self", "ours", "plain", "ours too", "none"] {
            assert!(!open(&tree, name), "{name}");
        }
        symlink(place.outside().join("dir"), place.root().join("theirs")).unwrap();
        assert!(open(&tree, "theirs") && !open(&place.tree(), "theirs"), "only a tree that may have doors has them");
    }
}
