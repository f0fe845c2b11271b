//! `--delete`: finding what the source does not have and deleting it in time, only in directories that the source
//! listed, and never what a filter rule protects. How it is removed is `remove`'s.
//!
//! A directory at a time: in one go ([`Destination::delete_in`]) for whoever knows all names that the source has in it, or
//! in steps ([`Destination::look_for_extra`], `strike`, `delete_extra`) for whoever hears them piece by piece. What is to
//! go goes at once, or is noted for [`Destination::delete_noted`] where the options want that. Where a list is not all of
//! the source, because some of that could not be read, nothing is deleted at all.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use super::extra::Extra;
use super::remove::Tell;
use super::{Destination, parent};
use crate::error::ExitCode;
use crate::filter::Verdict;
use crate::options::DeleteTime;
use crate::tree::dir::{FileType, Listing, Tree};
use crate::tree::entry::{Entry, Kind};
use crate::tree::metadata::{self, Keep};
use crate::tree::place::is_partial_name;

impl Destination {
    /// The part of a whole list's deletion that comes before anything is decided about its entries: all of it, unless
    /// the options want it later. Calls `deleted` for each.
    pub fn delete_early(&mut self, entries: &[Entry], deleted: Tell<'_>) {
        if self.options.delete != Some(DeleteTime::After) {
            self.delete_extraneous(entries, deleted);
        }
    }

    /// The rest of a whole list's deletion, when everything is in place.
    pub(super) fn delete_late(&mut self, entries: &[Entry], deleted: Tell<'_>) {
        if self.options.delete == Some(DeleteTime::After) {
            self.rules.forget();
            self.delete_extraneous(entries, deleted);
        }
        self.delete_noted(deleted);
    }

    fn delete_extraneous(&mut self, entries: &[Entry], deleted: Tell<'_>) {
        if !self.may_delete {
            return;
        }
        // By the bytes of the directory and of the name in it; the root is in no directory.
        let parts = |path| Some((parent(path).as_os_str(), path.file_name()?));
        let mut names: Vec<(&OsStr, &OsStr)> = entries.iter().map(Entry::relative).filter_map(parts).collect();
        names.sort_unstable();
        let mut listed = Vec::new();
        let is_before = self.options.delete == Some(DeleteTime::Before);
        for entry in entries.iter().filter(|entry| entry.contents_listed || entry.implied) {
            let dir = entry.relative();
            if entry.implied {
                self.enter_implied(dir);
                continue;
            }
            if !is_before {
                self.note_dir(entry, dir);
            }
            let first = names.partition_point(|(other, _)| *other < dir.as_os_str());
            listed.clear();
            listed.extend(names[first..].iter().take_while(|(other, _)| *other == dir).map(|(_, name)| *name));
            self.delete_in(dir, &listed, deleted);
        }
    }

    /// Deletes what stands in `dir` and is not among `listed`, all names that the source has there in the order of their
    /// bytes; or notes it, if the options want that. Calls `deleted` for each that goes.
    ///
    /// Where it deletes it must come before anything is decided about what is listed: where a file system takes two names
    /// for one, what is deleted under the one must not be taken to be there under the other.
    pub fn delete_in(&mut self, dir: &Path, listed: &[&OsStr], deleted: Tell<'_>) {
        let Some(mut extra) = self.look_for_extra(dir) else { return };
        self.strike(&mut extra, listed.iter().copied(), true);
        self.delete_extra(&extra, deleted);
    }

    /// Begins to find what stands in `dir` and not in the source; `None` where nothing can.
    pub fn look_for_extra(&mut self, dir: &Path) -> Option<Extra> {
        // In what is new there is nothing but what is ours.
        if !self.may_delete || self.empty.contains(dir) {
            return None;
        }
        let listing = self.tree.as_ref()?.try_clone().and_then(|tree| {
            let listing = self.list(&tree, dir)?;
            self.enter(&tree, dir);
            Ok(listing)
        });
        match listing {
            Ok(listing) => Some(Extra::new(dir, listing)),
            // It is not there, or something else is: nothing in it needs to go.
            Err(error) if is_no_dir(&error) => None,
            Err(error) => {
                self.monitor.failed("read directory", &self.path_of(dir), &error);
                None
            }
        }
    }

    /// The source has `names` in the directory. `is_all` says that these are the last ones, and that they are decided about
    /// only after [`Destination::delete_extra`].
    pub fn strike<'n>(&self, extra: &mut Extra, names: impl IntoIterator<Item = &'n OsStr>, is_all: bool) {
        let is_late = self.options.delete.is_some_and(DeleteTime::is_late);
        match &self.tree {
            Some(tree) if is_late || !is_all => extra.strike_for_later(tree, names),
            _ => extra.strike_now(names),
        }
    }

    /// Deletes what the source has been found not to have, or notes it, if the options want that. Calls `deleted` for each
    /// that goes. To be called when all of the directory's names are struck.
    pub fn delete_extra(&mut self, extra: &Extra, deleted: Tell<'_>) {
        // What was heard meanwhile may forbid it.
        if !self.may_delete {
            return;
        }
        if let Err(error) = self.try_delete_extra(extra, deleted) {
            self.monitor.failed("read directory", &self.path_of(&extra.dir), &error);
        }
    }

    fn try_delete_extra(&mut self, extra: &Extra, deleted: Tell<'_>) -> io::Result<()> {
        let Some(tree) = self.tree.as_ref().map(Tree::try_clone).transpose()? else { return Ok(()) };
        let is_late = self.options.delete.is_some_and(DeleteTime::is_late);
        extra.try_for_each(&tree, |path| {
            if self.asks_again() {
                self.noted.push(path);
                return Ok(());
            }
            // What was removed before this may have been a directory, and its rules be those in force.
            self.enter(&tree, &extra.dir);
            let Some(file_type) = self.may_go(&tree, &path)? else { return Ok(()) };
            if is_late {
                self.note(&tree, path, file_type);
                return Ok(());
            }
            let ready = self.note_before(&tree, &extra.dir).and_then(|()| self.make_writable(&tree, &extra.dir));
            let result = ready.and_then(|()| self.remove(&tree, &path, file_type, deleted));
            self.check_removal(&path, result);
            Ok(())
        })
    }

    /// Notes what is to be deleted at the end. Where merge files have a say in it, what of a directory goes is settled now:
    /// by then they may be others, which came.
    fn note(&mut self, tree: &Tree, path: PathBuf, file_type: FileType) {
        if file_type != FileType::Dir || !self.rules.read_files() {
            self.noted.push(path);
            return;
        }
        match self.survey(tree, &path) {
            Ok(going) => self.noted.extend(going.found.into_iter().rev().map(|(path, _)| path)),
            Err(error) => self.check_removal(&path, Err(error)),
        }
    }

    /// What stands in a directory, one of ours that is closed to us included.
    fn list(&mut self, tree: &Tree, dir: &Path) -> io::Result<Listing> {
        match tree.list(dir) {
            Err(error)
                if self.options.keep_dirlinks
                    && is_no_dir(&error)
                    && tree.open_door(dir, tree.lstat(dir)?.as_ref())? =>
            {
                tree.list(dir)
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && !self.options.dry_run => {
                self.note_before(tree, dir)?;
                self.make_writable(tree, dir).map_err(|_| error)?;
                tree.list(dir)
            }
            items => items,
        }
    }

    /// Whether what stands at `path` may be deleted, and then what it is.
    fn may_go(&self, tree: &Tree, path: &Path) -> io::Result<Option<FileType>> {
        let file_type = tree.lstat(path)?.map(|entry| entry.kind.file_type());
        Ok(file_type.filter(|file_type| !self.protects(path, *file_type == FileType::Dir)))
    }

    /// Whether it is at the end that the rules count: with `--delete-after` it is the merge files that have come by then.
    fn asks_again(&self) -> bool {
        self.rules.read_files() && self.options.delete == Some(DeleteTime::After)
    }

    /// Has the merge files of `dir` count for what is in it. Where they cannot be understood nothing in it goes.
    pub(super) fn enter(&mut self, tree: &Tree, dir: &Path) {
        if let Err(error) = self.rules.enter(tree, dir) {
            self.monitor.failed("delete in", &self.path_of(dir), &error);
            self.counters.failed += 1;
        }
    }

    fn check_removal(&mut self, path: &Path, result: io::Result<()>) {
        if let Err(error) = result {
            self.monitor.failed("delete", &self.path_of(path), &error);
            self.counters.failed += 1;
        }
    }

    /// Notes that some file of the source could not be read after it had been listed: what `--delete-after` would delete
    /// then stays, as in rsync. One that has vanished is no such file.
    pub fn source_failed(&mut self) {
        self.source_failed = true;
    }

    /// Ends the deletions: deletes what [`Destination::delete_in`] has noted, and says what `--max-delete` has kept. To be
    /// called once, after everything else; directories keep the times and modes that they have been given by then.
    pub fn delete_noted(&mut self, deleted: Tell<'_>) {
        let noted = std::mem::take(&mut self.noted);
        self.rules.forget();
        let counts = self.source_failed && !self.options.ignore_errors;
        if counts && self.options.delete == Some(DeleteTime::After) && !noted.is_empty() {
            let text = "some of the source could not be read: nothing is deleted (--delete-after)";
            self.monitor.warn(ExitCode::Partial, text);
        } else {
            for paths in noted.chunk_by(|one, other| parent(one) == parent(other)) {
                if let Err(error) = self.delete_paths(parent(&paths[0]), paths, deleted) {
                    self.monitor.failed("delete in", &self.path_of(parent(&paths[0])), &error);
                    self.counters.failed += 1;
                }
            }
        }
        if self.limited > 0 {
            let text = format!("deletions stopped due to the --max-delete limit ({} skipped)", self.limited);
            self.monitor.warn(ExitCode::MaxDelete, &text);
        }
    }

    /// Deletes `paths`, which are in `dir`, and leaves that looking as before.
    fn delete_paths(&mut self, dir: &Path, paths: &[PathBuf], deleted: Tell<'_>) -> io::Result<()> {
        let Some(tree) = self.tree.as_ref().map(Tree::try_clone).transpose()? else { return Ok(()) };
        let Some(before) = tree.lstat(dir)?.filter(Entry::is_dir) else { return Ok(()) };
        self.open_to_empty(&tree, dir)?;
        self.enter(&tree, dir);
        for path in paths {
            let result = match self.rules.read_files() && !self.asks_again() {
                // It was asked about when it was found, under the rules that its directory had then.
                true => self.remove_settled(&tree, path, deleted),
                false => self.remove_if_it_may_go(&tree, dir, path, deleted),
            };
            self.check_removal(path, result);
        }
        if self.options.dry_run {
            return Ok(());
        }
        let keep = Keep { perms: true, times: self.options.keeps_times(&Kind::Dir), ..Keep::default() };
        metadata::apply(&tree, dir, &before, &keep, tree.lstat(dir)?.as_ref())
    }

    fn remove_if_it_may_go(&mut self, tree: &Tree, dir: &Path, path: &Path, deleted: Tell<'_>) -> io::Result<()> {
        self.enter(tree, dir);
        match self.may_go(tree, path)? {
            Some(file_type) => self.remove(tree, path, file_type, deleted),
            None => Ok(()),
        }
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
        if self.passes || self.options.dry_run || self.modes.contains_key(dir) {
            return Ok(());
        }
        let existing = tree.lstat(dir)?;
        self.note_closed(dir, existing.as_ref()).and_then(|()| self.open_up(dir)).map_err(|(_, error)| error)
    }

    pub(super) fn is_kept_partial(&self, path: &Path) -> bool {
        self.options.partial && self.options.partial_dir.is_none() && path.file_name().is_some_and(is_partial_name)
    }

    fn protects(&self, path: &Path, is_dir: bool) -> bool {
        if self.options.tells_reasons()
            && let Some(reason) = self.rules.reason(path, is_dir)
        {
            self.monitor.detail(2, &reason.to_string());
        }
        self.is_kept_partial(path) || self.rules.verdict(path, is_dir) == Verdict::Excluded
    }
}

/// Whether a directory could not be listed because there is none.
pub(super) fn is_no_dir(error: &io::Error) -> bool {
    let is_link = error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
    is_link || matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The path of `name` in `dir`.
pub fn child(dir: &Path, name: &OsStr) -> PathBuf {
    if dir == Path::new(".") { PathBuf::from(OsString::from(name)) } else { dir.join(name) }
}
