//! Removing what is to be deleted or stands in the way, directories with their contents, as far as no filter rule
//! protects it and `--max-delete` lets it.
//!
//! Whether something is to go is not decided here, only what in it stays.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use super::Destination;
use super::attributes::WORKING_DIR_MODE;
use super::delete::child;
use crate::events::Event;
use crate::filter::Verdict;
use crate::protocol::message::Deleted;
use crate::tree::dir::{FileType, Tree};
use crate::tree::entry::Entry;
use crate::tree::metadata::{self, Keep};

/// Told of each entry that was deleted, or in a dry run would be.
pub type Tell<'a> = &'a mut dyn FnMut(Deleted);

/// What of a directory may go.
pub(super) struct Going {
    /// Each directory before what is in it; the directory itself is the first, if it may go.
    pub(super) found: Vec<(PathBuf, FileType)>,
    /// Whether nothing in it stays.
    all: bool,
}

impl Destination {
    /// Removes what stands at `path`. Of a directory what is protected stays, and keeps the directories above it.
    pub(super) fn remove(
        &mut self,
        tree: &Tree,
        path: &Path,
        file_type: FileType,
        deleted: Tell<'_>,
    ) -> io::Result<()> {
        let is_dir = file_type == FileType::Dir;
        if is_dir && self.protects_nothing() {
            let (gone, result) = remove_tree(tree, path);
            self.touch(path);
            for (path, file_type) in gone {
                self.told(path, file_type, deleted);
            }
            return result;
        }
        if is_dir && !self.remove_contents(tree, path, deleted)? {
            return Ok(());
        }
        self.remove_one(tree, path, file_type, deleted)
    }

    /// What was deleted to make way since this was last asked for.
    pub fn take_cleared(&mut self) -> Vec<Deleted> {
        std::mem::take(&mut self.cleared)
    }

    /// Removes a directory that something else is to take the place of, with `--delete` or `--force` what is in it first.
    /// That is told (see [`Destination::take_cleared`]); the directory is not, for its name stays.
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

    fn try_clear_dir(&mut self, tree: &Tree, dir: &Path, deleted: Tell<'_>) -> io::Result<()> {
        let may_empty = self.may_delete || self.options.force;
        if may_empty && self.protects_nothing() {
            let (gone, result) = remove_tree(tree, dir);
            for (path, file_type) in gone.into_iter().filter(|(path, _)| path != dir) {
                self.told(path, file_type, deleted);
            }
            return result;
        }
        let limited = self.limited;
        let empties = match may_empty {
            true => self.remove_contents(tree, dir, deleted)? && self.limited == limited,
            false => names(tree, dir)?.is_empty(),
        };
        match empties {
            false => Err(io::ErrorKind::DirectoryNotEmpty.into()),
            true if self.options.dry_run => Ok(()),
            true => tree.remove_dir(dir),
        }
    }

    /// Whether a tree can be removed as it is, without a question about each name.
    fn protects_nothing(&self) -> bool {
        let asks = self.options.dry_run
            || self.options.partial
            || self.options.backup.is_some()
            || self.options.max_delete.is_some();
        self.rules.is_empty() && !asks
    }

    /// The careful way: what in a directory may go, then that. Tells whether it is all of it.
    fn remove_contents(&mut self, tree: &Tree, dir: &Path, deleted: Tell<'_>) -> io::Result<bool> {
        let Going { found, all } = self.survey(tree, dir)?;
        let mut result = Ok(all);
        for (path, file_type) in found.into_iter().rev().filter(|(path, _)| path != dir) {
            let gone = self.remove_one(tree, &path, file_type, deleted);
            result = result.and_then(|all| gone.map(|()| all));
        }
        result
    }

    /// Depth first with a stack of its own, asking the filter about each name.
    pub(super) fn survey(&mut self, tree: &Tree, dir: &Path) -> io::Result<Going> {
        // Each directory before what is in it, and all of that before its neighbours, as merge files want it.
        let mut found = Vec::new();
        let mut dirs = vec![dir.to_path_buf()];
        let mut kept: HashSet<PathBuf> = HashSet::new();
        while let Some(dir) = dirs.pop() {
            self.open_to_empty(tree, &dir)?;
            self.enter(tree, &dir);
            found.push((dir.clone(), FileType::Dir));
            for path in names(tree, &dir)? {
                let Some(file_type) = tree.lstat(&path)?.map(|entry| entry.kind.file_type()) else { continue };
                let is_dir = file_type == FileType::Dir;
                if self.protects_within(&path, is_dir) {
                    kept.extend(path.ancestors().map(Path::to_path_buf));
                    continue;
                }
                if !is_dir && self.stays_as_backup(&path) {
                    kept.extend(path.ancestors().skip(1).map(Path::to_path_buf));
                }
                if is_dir {
                    dirs.push(path);
                } else {
                    found.push((path, file_type));
                }
            }
        }
        found.retain(|(path, _)| !kept.contains(path));
        Ok(Going { found, all: !kept.contains(dir) })
    }

    /// Removes what was settled to go when it was found, what is in a directory before that.
    pub(super) fn remove_settled(&mut self, tree: &Tree, path: &Path, deleted: Tell<'_>) -> io::Result<()> {
        let Some(found) = tree.lstat(path)? else { return Ok(()) };
        match self.remove_one(tree, path, found.kind.file_type(), deleted) {
            // Of what is still in it something has come since, or has been told to have failed.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
            result => result,
        }
    }

    /// Lets us look into a directory of ours in which something is to go, and delete in it.
    pub(super) fn open_to_empty(&self, tree: &Tree, dir: &Path) -> io::Result<()> {
        if self.passes || self.options.dry_run {
            return Ok(());
        }
        let Some(existing) = tree.lstat(dir)? else { return Ok(()) };
        let opened = Entry { mode: existing.mode | WORKING_DIR_MODE, ..existing.clone() };
        let keep = Keep { perms: true, ..Keep::default() };
        metadata::apply(tree, dir, &opened, &keep, Some(&existing))
    }

    /// Removes a file or an empty directory, if the limit lets it. What it keeps keeps the directories above it too: no
    /// more is deleted from then on.
    fn remove_one(&mut self, tree: &Tree, path: &Path, file_type: FileType, deleted: Tell<'_>) -> io::Result<()> {
        if self.options.max_delete.is_some_and(|max| self.counters.deleted >= max) {
            self.limited += 1;
            return Ok(());
        }
        if !self.options.dry_run {
            if file_type == FileType::Dir { tree.remove_dir(path) } else { self.remove_or_keep(tree, path) }?;
            self.touch(path);
        }
        self.told(path.to_path_buf(), file_type, deleted);
        Ok(())
    }

    fn told(&mut self, path: PathBuf, file_type: FileType, deleted: Tell<'_>) {
        let is_dir = file_type == FileType::Dir;
        self.counters.deleted += 1;
        match file_type {
            FileType::File => {}
            FileType::Dir => self.counters.deleted_dirs += 1,
            FileType::Symlink => self.counters.deleted_links += 1,
            FileType::Device => self.counters.deleted_devices += 1,
            FileType::Special => self.counters.deleted_specials += 1,
        }
        self.monitor.event(&Event::Deleted { path: &path, is_dir });
        deleted(Deleted { path, is_dir });
    }

    /// Whether something in a directory that is being deleted stays: perishable rules do not count there.
    fn protects_within(&self, path: &Path, is_dir: bool) -> bool {
        self.is_kept_partial(path) || self.rules.verdict_when_deleting(path, is_dir) == Verdict::Excluded
    }
}

/// Removes a tree; what went, children first, and how it ended.
fn remove_tree(tree: &Tree, dir: &Path) -> (Vec<(PathBuf, FileType)>, io::Result<()>) {
    let mut gone = Vec::new();
    let result = tree.remove_tree(dir, &mut |path, file_type| gone.push((path.to_path_buf(), file_type)));
    (gone, result)
}

/// The paths of what a directory holds.
fn names(tree: &Tree, dir: &Path) -> io::Result<Vec<PathBuf>> {
    Ok(tree.read_dir(dir)?.iter().map(|item| child(dir, &item.name)).collect())
}
