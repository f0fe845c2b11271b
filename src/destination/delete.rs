//! `--delete`: removing what the source does not have, only in directories that the source listed, and never what a
//! filter rule protects.
//!
//! Where the list is not all of the source, because some of that could not be read, nothing is deleted at all.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use super::Destination;
use super::attributes::WORKING_DIR_MODE;
use crate::events::Event;
use crate::filter::{Side, Verdict};
use crate::protocol::message::Deleted;
use crate::tree::dir::Tree;
use crate::tree::entry::Entry;
use crate::tree::metadata::{self, Keep};
use crate::tree::place::is_partial_name;

impl Destination {
    /// Deletes, if it was asked for and the list is all of the source, whatever stands in a listed directory and is not
    /// in the list. Calls `deleted` for each.
    ///
    /// Comes before anything is decided about the entries: where a file system takes two names for one, what is deleted
    /// under the one must not be taken to be there under the other.
    pub fn delete_extraneous(&mut self, entries: &[Entry], deleted: &mut dyn FnMut(Deleted)) {
        if !self.may_delete {
            return;
        }
        let listed: HashSet<&Path> = entries.iter().map(Entry::relative).collect();
        for dir in entries.iter().filter(|entry| entry.contents_listed).map(Entry::relative) {
            if let Err(error) = self.delete_in(dir, &listed, deleted) {
                self.monitor.failed("read directory", &self.path_of(dir), &error);
            }
        }
    }

    fn delete_in(&mut self, dir: &Path, listed: &HashSet<&Path>, deleted: &mut dyn FnMut(Deleted)) -> io::Result<()> {
        let Some(tree) = self.tree.as_ref().map(Tree::try_clone).transpose()? else { return Ok(()) };
        let found = match names(&tree, dir) {
            // It is not there, or something else is: nothing in it needs to go.
            Err(error) if is_no_dir(&error) => return Ok(()),
            found => found?,
        };
        for path in found {
            if listed.contains(path.as_path()) {
                continue;
            }
            let Some(entry) = tree.lstat(&path)? else { continue };
            if self.protects(&path, entry.is_dir()) {
                continue;
            }
            let result = self.note_before(&tree, dir).and_then(|()| self.make_writable(&tree, dir)).and_then(|()| {
                match entry.is_dir() {
                    true => self.delete_dir(&tree, &path, deleted),
                    false => self.delete_one(&tree, &path, false, deleted),
                }
            });
            if let Err(error) = result {
                self.monitor.failed("delete", &self.path_of(&path), &error);
                self.counters.failed += 1;
            }
        }
        Ok(())
    }

    /// Keeps what a directory was like before anything was deleted in it: that is what its entry is compared with.
    fn note_before(&mut self, tree: &Tree, dir: &Path) -> io::Result<()> {
        if !self.options.dry_run && !self.before.contains_key(dir) {
            let before = tree.lstat(dir)?;
            self.before.extend(before.map(|before| (dir.to_path_buf(), before)));
        }
        Ok(())
    }

    /// Lets us delete in a directory of ours that we may not write to.
    fn make_writable(&mut self, tree: &Tree, dir: &Path) -> io::Result<()> {
        if self.is_root || self.options.dry_run || self.modes.contains_key(dir) {
            return Ok(());
        }
        let existing = tree.lstat(dir)?;
        self.note_closed(dir, existing.as_ref()).and_then(|()| self.open_up(dir)).map_err(|(_, error)| error)
    }

    /// Deletes a directory with all that no rule protects. What was kept keeps the directories above it.
    fn delete_dir(&mut self, tree: &Tree, dir: &Path, deleted: &mut dyn FnMut(Deleted)) -> io::Result<()> {
        if !self.protects_nothing() {
            return match self.delete_contents(tree, dir, deleted)? {
                true => self.delete_one(tree, dir, true, deleted),
                false => Ok(()),
            };
        }
        let (gone, result) = remove_tree(tree, dir);
        self.touch(dir);
        for (path, is_dir) in gone {
            self.told(path, is_dir, deleted);
        }
        result
    }

    /// What was deleted to make way since this was last asked for.
    pub fn take_cleared(&mut self) -> Vec<Deleted> {
        std::mem::take(&mut self.cleared)
    }

    /// Removes a directory that something else is to take the place of, with `--delete` what is in it first. That is told
    /// (see [`Destination::take_cleared`]); the directory is not, for its name stays.
    ///
    /// # Errors
    /// `DirectoryNotEmpty` where something is in it that may not go.
    pub(super) fn clear_dir(&mut self, dir: &Path) -> io::Result<()> {
        let Some(tree) = self.tree.as_ref().map(Tree::try_clone).transpose()? else { return Ok(()) };
        let mut cleared = Vec::new();
        let result = self.try_clear_dir(&tree, dir, &mut |deleted| cleared.push(deleted));
        self.cleared.append(&mut cleared);
        result
    }

    fn try_clear_dir(&mut self, tree: &Tree, dir: &Path, deleted: &mut dyn FnMut(Deleted)) -> io::Result<()> {
        if self.may_delete && self.protects_nothing() {
            let (gone, result) = remove_tree(tree, dir);
            for (path, is_dir) in gone.into_iter().filter(|(path, _)| path != dir) {
                self.told(path, is_dir, deleted);
            }
            return result;
        }
        let empties =
            if self.may_delete { self.delete_contents(tree, dir, deleted)? } else { names(tree, dir)?.is_empty() };
        match empties {
            false => Err(io::ErrorKind::DirectoryNotEmpty.into()),
            true if self.options.dry_run => Ok(()),
            true => tree.remove_dir(dir),
        }
    }

    /// Whether a tree can be removed as it is, without a question about each name.
    fn protects_nothing(&self) -> bool {
        self.filter.is_empty() && !self.options.dry_run && !self.options.partial
    }

    /// The careful way: depth first with a stack of its own, asking the filter about each name. Tells whether all went.
    fn delete_contents(&mut self, tree: &Tree, dir: &Path, deleted: &mut dyn FnMut(Deleted)) -> io::Result<bool> {
        let mut found = vec![(dir.to_path_buf(), true)];
        let mut next = 0;
        let mut kept: HashSet<PathBuf> = HashSet::new();
        while let Some((path, is_dir)) = found.get(next).cloned() {
            next += 1;
            if !is_dir {
                continue;
            }
            self.open_to_empty(tree, &path)?;
            for path in names(tree, &path)? {
                let is_dir = tree.lstat(&path)?.is_some_and(|entry| entry.is_dir());
                if self.protects_within(&path, is_dir) {
                    kept.extend(path.ancestors().map(Path::to_path_buf));
                } else {
                    found.push((path, is_dir));
                }
            }
        }
        let mut result = Ok(!kept.contains(dir));
        for (path, is_dir) in found.drain(1..).rev().filter(|(path, _)| !kept.contains(path)) {
            let gone = self.delete_one(tree, &path, is_dir, deleted);
            result = result.and_then(|all| gone.map(|()| all));
        }
        result
    }

    /// Lets us look into a directory of ours that is to go, and delete in it.
    fn open_to_empty(&self, tree: &Tree, dir: &Path) -> io::Result<()> {
        if self.is_root || self.options.dry_run {
            return Ok(());
        }
        let Some(existing) = tree.lstat(dir)? else { return Ok(()) };
        let opened = Entry { mode: existing.mode | WORKING_DIR_MODE, ..existing.clone() };
        let keep = Keep { perms: true, ..Keep::default() };
        metadata::apply(tree, dir, &opened, &keep, Some(&existing))
    }

    fn delete_one(
        &mut self,
        tree: &Tree,
        path: &Path,
        is_dir: bool,
        deleted: &mut dyn FnMut(Deleted),
    ) -> io::Result<()> {
        if !self.options.dry_run {
            if is_dir { tree.remove_dir(path) } else { tree.remove_file(path) }?;
            self.touch(path);
        }
        self.told(path.to_path_buf(), is_dir, deleted);
        Ok(())
    }

    fn told(&mut self, path: PathBuf, is_dir: bool, deleted: &mut dyn FnMut(Deleted)) {
        self.counters.deleted += 1;
        self.monitor.event(&Event::Deleted { path: &path, is_dir });
        deleted(Deleted { path, is_dir });
    }

    fn is_kept_partial(&self, path: &Path) -> bool {
        self.options.partial && path.file_name().is_some_and(is_partial_name)
    }

    /// Whether something in a directory that is being deleted stays: perishable rules do not count there.
    fn protects_within(&self, path: &Path, is_dir: bool) -> bool {
        self.is_kept_partial(path) || self.filter.verdict_when_deleting(path, is_dir) == Verdict::Excluded
    }

    fn protects(&self, path: &Path, is_dir: bool) -> bool {
        self.is_kept_partial(path) || self.filter.verdict(Side::Receiver, path, is_dir) == Verdict::Excluded
    }
}

/// Whether a directory could not be listed because there is none.
fn is_no_dir(error: &io::Error) -> bool {
    let is_link = error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
    is_link || matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Removes a tree; what went, children first, and how it ended.
fn remove_tree(tree: &Tree, dir: &Path) -> (Vec<(PathBuf, bool)>, io::Result<()>) {
    let mut gone = Vec::new();
    let result = tree.remove_tree(dir, &mut |path, is_dir| gone.push((path.to_path_buf(), is_dir)));
    (gone, result)
}

/// The paths of what a directory holds.
fn names(tree: &Tree, dir: &Path) -> io::Result<Vec<PathBuf>> {
    let at_root = dir == Path::new(".");
    let items = tree.read_dir(dir)?;
    Ok(items.into_iter().map(|item| if at_root { item.name.into() } else { dir.join(item.name) }).collect())
}
