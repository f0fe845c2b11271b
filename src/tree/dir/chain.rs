//! The chain of directories from a start down to where a walk is, each opened from the one above it.
//!
//! A walk by handles needs no long path, so `PATH_MAX` binds nothing here, and no link can be stepped through. Only the
//! deepest levels stay open, so a tree of any depth costs a fixed number of handles: coming back to a closed level, it is
//! reopened as `..` of the one below, and believed only if it is the same directory as before.

use std::ffi::{CStr, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{Mode, fstat, openat};

use super::{Tree, beneath};

/// Levels held open. A walk and a few of its kind at once stay far below the smallest usual limit of 256 files.
const OPEN_LEVELS: usize = 32;

/// See the module's head.
pub(in crate::tree) struct Chain<'t> {
    tree: &'t Tree,
    /// Path of the deepest level below the tree's root; empty for the root.
    path: Vec<u8>,
    levels: Vec<Level>,
}

struct Level {
    /// Length of the path of this level.
    path_len: usize,
    handle: Option<OwnedFd>,
    /// Device and inode, known from when the handle was closed.
    identity: Option<(u64, u64)>,
}

impl<'t> Chain<'t> {
    /// A chain whose only level is the directory `start` of `tree`, open at `handle`.
    pub(in crate::tree) fn new(tree: &'t Tree, start: &[u8], handle: OwnedFd) -> Self {
        let level = Level { path_len: start.len(), handle: Some(handle), identity: None };
        Self { tree, path: start.to_vec(), levels: vec![level] }
    }

    /// Goes down into the directory `name`, open at `handle`.
    pub(in crate::tree) fn enter(&mut self, name: &CStr, handle: OwnedFd) -> io::Result<()> {
        if let Some(at) = self.levels.len().checked_sub(OPEN_LEVELS) {
            self.levels[at].close()?;
        }
        self.path = self.child(name, Vec::new());
        self.levels.push(Level { path_len: self.path.len(), handle: Some(handle), identity: None });
        Ok(())
    }

    /// Goes up one level; `false` when that was the last. After an error the level above has no handle, and all that can
    /// be done is to leave it too.
    pub(in crate::tree) fn leave(&mut self) -> io::Result<bool> {
        let below = self.levels.pop();
        let Some(level) = self.levels.last_mut() else { return Ok(false) };
        self.path.truncate(level.path_len);
        if level.handle.is_none() {
            let identity = level.identity;
            let handle = self.reopen(below.and_then(|level| level.handle), identity)?;
            if let Some(level) = self.levels.last_mut() {
                level.handle = Some(handle);
            }
        }
        Ok(true)
    }

    /// The handle of the deepest level.
    pub(in crate::tree) fn handle(&self) -> io::Result<BorrowedFd<'_>> {
        let handle = self.levels.last().and_then(|level| level.handle.as_ref());
        handle.map(AsFd::as_fd).ok_or_else(moved)
    }

    /// Path of the deepest level below the tree's root, `.` for the root.
    pub(in crate::tree) fn path(&self) -> &Path {
        Path::new(if self.path.is_empty() { OsStr::new(".") } else { OsStr::from_bytes(&self.path) })
    }

    /// Path of the entry `name` of the deepest level, in the memory of `path`: a walk asks once for each name.
    pub(in crate::tree) fn child(&self, name: &CStr, mut path: Vec<u8>) -> Vec<u8> {
        path.clear();
        path.reserve(self.path.len() + 1 + name.count_bytes());
        path.extend_from_slice(&self.path);
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name.to_bytes());
        path
    }

    /// Opens the deepest level again, by way of the level below it or, where that cannot be passed, from the root.
    fn reopen(&self, below: Option<OwnedFd>, identity: Option<(u64, u64)>) -> io::Result<OwnedFd> {
        let upwards = below.and_then(|below| openat(below, "..", beneath::search_flags(), Mode::empty()).ok());
        if let Some(handle) = upwards
            && Some(identify(&handle)?) == identity
        {
            return Ok(handle);
        }
        let handle = self.tree.open_uncached(&self.path)?;
        if Some(identify(&handle)?) == identity { Ok(handle) } else { Err(moved()) }
    }
}

impl Level {
    fn close(&mut self) -> io::Result<()> {
        if let Some(handle) = &self.handle {
            self.identity = Some(identify(handle)?);
            self.handle = None;
        }
        Ok(())
    }
}

fn identify(handle: &OwnedFd) -> io::Result<(u64, u64)> {
    let stat = fstat(handle)?;
    Ok((crate::tree::stat::device(&stat), stat.st_ino))
}

fn moved() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the directory was moved while it was being walked")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::tree::testing::Place;

    fn descend<'t>(tree: &'t Tree, names: impl Iterator<Item = String>) -> Chain<'t> {
        let root = beneath::open_for_listing(tree.root.as_fd(), ".").unwrap();
        let mut chain = Chain::new(tree, b"", root);
        for name in names {
            let name = std::ffi::CString::new(name).unwrap();
            let handle = beneath::open_for_listing(chain.handle().unwrap(), name.as_c_str()).unwrap();
            chain.enter(&name, handle).unwrap();
        }
        chain
    }

    fn numbered(depth: usize) -> impl Iterator<Item = String> {
        (0..depth).map(|level| format!("d{level}"))
    }

    /// A chain of `depth` levels below the root.
    fn place(depth: usize) -> Place {
        let place = Place::new();
        place.directory(&numbered(depth).collect::<Vec<_>>().join("/"));
        place
    }

    fn names(handle: BorrowedFd<'_>) -> Vec<String> {
        let mut listing = super::super::Listing::default();
        listing.read(beneath::open_for_listing(handle, ".").unwrap().as_fd()).unwrap();
        listing.iter().map(|(name, _)| name.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_deep_chain_holds_a_fixed_number_of_handles_and_finds_every_level_again() {
        let place = place(100);
        let tree = place.tree();
        let mut chain = descend(&tree, numbered(100));
        for level in (0..100).rev() {
            assert!(chain.levels.iter().filter(|level| level.handle.is_some()).count() <= OPEN_LEVELS);
            assert!(chain.leave().unwrap());
            assert_eq!(names(chain.handle().unwrap()), [format!("d{level}")]);
            let path = numbered(level).collect::<Vec<_>>().join("/");
            assert_eq!(chain.path(), Path::new(if path.is_empty() { "." } else { &path }));
        }
        assert!(!chain.leave().unwrap());
    }

    #[test]
    fn a_level_is_found_from_the_root_where_the_one_below_leads_elsewhere() {
        let place = place(40);
        let tree = place.tree();
        let mut chain = descend(&tree, numbered(40));
        for _ in 0..31 {
            chain.leave().unwrap();
        }
        // The chain stands in d0/../d8, whose parent has been closed.
        let below = numbered(9).collect::<Vec<_>>().join("/");
        fs::rename(place.root().join(below), place.outside().join("moved")).unwrap();
        assert!(chain.leave().unwrap());
        assert_eq!(chain.path(), Path::new(&numbered(8).collect::<Vec<_>>().join("/")));
        assert!(names(chain.handle().unwrap()).is_empty());
    }

    #[test]
    fn another_directory_in_a_level_s_place_is_not_taken_for_it() {
        let place = place(40);
        let tree = place.tree();
        let mut chain = descend(&tree, numbered(40));
        for _ in 0..31 {
            chain.leave().unwrap();
        }
        let above = place.root().join(numbered(8).collect::<Vec<_>>().join("/"));
        fs::rename(above.join("d8"), place.outside().join("moved")).unwrap();
        // Not removed: its inode number would be free for the new one.
        fs::rename(&above, place.outside().join("old")).unwrap();
        fs::create_dir(&above).unwrap();
        assert_eq!(chain.leave().unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(chain.handle().is_err());
        assert!(chain.leave().unwrap());
        assert_eq!(names(chain.handle().unwrap()), ["d7"]);
    }
}
