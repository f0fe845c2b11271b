//! What stands in a directory of the destination and not in the source's list of it, found while that list comes in pieces.
//!
//! The directory is listed once, before anything in it is decided about or written, so nothing of ours is ever among what
//! is found. What is held is its names, compactly: a directory of a million files takes some 40 MB for a short while. What
//! becomes of what is found is `delete`'s.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use super::delete::child;
use crate::tree::dir::{Listing, Tree};

/// The names of one directory that the source has not been heard to have so far.
pub struct Extra {
    /// The directory, below the root.
    pub(super) dir: PathBuf,
    here: Listing,
    /// Of each name, whether the source has it.
    listed: Vec<bool>,
    /// Where the next name is looked for: both sides are in the order of their bytes.
    next: usize,
    /// Listed names that are not among ours and yet stand there: the file system takes one of ours for them.
    twins: Vec<PathBuf>,
}

impl Extra {
    pub(super) fn new(dir: &Path, here: Listing) -> Extra {
        Extra { dir: dir.to_path_buf(), listed: vec![false; here.len()], here, next: 0, twins: Vec::new() }
    }

    /// The source has `name`; says whether it is among ours. Cheap for names in the order of their bytes, right for all.
    fn strike(&mut self, name: &OsStr) -> bool {
        if self.next.checked_sub(1).and_then(|last| self.here.name(last)).is_some_and(|last| last >= name) {
            self.next = 0;
        }
        while self.here.name(self.next).is_some_and(|here| here < name) {
            self.next += 1;
        }
        let is_here = self.here.name(self.next) == Some(name);
        if is_here {
            self.listed[self.next] = true;
            self.next += 1;
        }
        is_here
    }

    /// The source has `names`, and nothing is deleted before they are decided about. One that the file system takes for
    /// another of the directory's will be that one's from then on, and would be deleted under that name.
    pub(super) fn strike_for_later<'n>(&mut self, tree: &Tree, names: impl IntoIterator<Item = &'n OsStr>) {
        for name in names {
            if self.strike(name) || self.here.is_empty() {
                continue;
            }
            let path = child(&self.dir, name);
            // What cannot be looked at is there under no other name either.
            if tree.lstat(&path).is_ok_and(|found| found.is_some()) {
                self.twins.push(path);
            }
        }
    }

    /// The source has `names`, and what is left over is deleted before they are decided about.
    pub(super) fn strike_now<'n>(&mut self, names: impl IntoIterator<Item = &'n OsStr>) {
        for name in names {
            self.strike(name);
        }
    }

    /// Calls `each` for the paths that the source does not have.
    pub(super) fn try_for_each(&self, tree: &Tree, mut each: impl FnMut(PathBuf) -> io::Result<()>) -> io::Result<()> {
        let left = self.listed.iter().enumerate().filter(|(_, listed)| !**listed);
        for path in left.filter_map(|(place, _)| self.here.name(place)).map(|name| child(&self.dir, name)) {
            // Where that cannot be told it stays.
            if self.twins.iter().all(|twin| tree.same_file(&path, twin).is_ok_and(|same| !same)) {
                each(path)?;
            }
        }
        Ok(())
    }
}
