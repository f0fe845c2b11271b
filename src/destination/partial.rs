//! What is written and does not have its name yet: what arrived of interrupted files (`--partial`, `--partial-dir`), which
//! the next run builds on, and whole files that wait until all are there (`--delay-updates`).
//!
//! Such a file is beside its place under a name of its own, in a directory where its place is, or in one directory for all. A
//! directory is ours only as long as there is something in it. What is in one is found through no link.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::delete::child;
use super::{Destination, parent};
use crate::error::{Error, Result};
use crate::options::Options;
use crate::plan::{Action, Decision};
use crate::tree::aside::Way;
use crate::tree::dir::Tree;
use crate::tree::entry::Entry;
use crate::tree::place::{WhenAbandoned, partial_name};
use crate::tree::room::{Room, is_within, plain};
use crate::tree::shelf::Shelf;

/// Where such files are.
pub(super) enum Partials {
    /// Beside their places.
    Beside,
    /// In this directory of the one that they will be in.
    Within(PathBuf),
    /// All in one, by their last names.
    Room(Room),
}

impl Partials {
    /// As the options say; `None` where nothing of the kind is kept.
    pub(super) fn open(tree: &Tree, options: &Options) -> Result<Option<Partials>> {
        let dir = options.partial_dir.as_deref().map(plain).filter(|dir| !dir.as_os_str().is_empty());
        let waits_within = dir.as_deref().is_some_and(is_within) && !options.inplace && !options.remove_source_files;
        if options.delay_updates && !waits_within {
            return Err(Error::Usage(
                "--delay-updates needs a directory of each directory for files to wait in".into(),
            ));
        }
        if options.append {
            // What there is of a file is the file itself.
            return Ok(None);
        }
        Ok(match dir {
            None => options.partial.then_some(Partials::Beside),
            Some(dir) if is_within(&dir) => Some(Partials::Within(dir)),
            Some(dir) if dir.is_absolute() => {
                let room = Room::open(tree, &dir).map_err(|error| Error::io("open directory", &dir, error))?;
                Some(Partials::Room(room))
            }
            Some(_) => return Err(Error::Usage("--partial-dir must be absolute, or without ..".into())),
        })
    }
}

impl Destination {
    /// Where something of the file at `place` may be, in `tree` if that is where its place is.
    fn shelf_of<'t>(&'t self, tree: &'t Tree, place: &Path) -> Option<(&'t Tree, PathBuf)> {
        match self.partials.as_ref()? {
            Partials::Beside => None,
            Partials::Within(dir) => {
                let dir = if parent(place) == Path::new(".") { dir.clone() } else { parent(place).join(dir) };
                Some((tree, child(&dir, place.file_name()?)))
            }
            Partials::Room(room) => Some((room.tree(), room.at(Path::new(place.file_name()?)))),
        }
    }

    /// What becomes of the file at `place` if it is interrupted, or has to wait.
    pub(super) fn when_abandoned(&self, tree: &Tree, place: &Path) -> io::Result<WhenAbandoned> {
        Ok(match (&self.partials, self.shelf_of(tree, place)) {
            (None, _) => WhenAbandoned::Remove,
            (_, Some((tree, path))) => WhenAbandoned::KeepOn(Shelf::new(tree, path)?),
            (Some(_), None) => WhenAbandoned::KeepPartial,
        })
    }

    /// What an interrupted run left of the file at `place`, unless the list has a file of that name.
    pub(super) fn partial(&self, place: &Path) -> Option<(&Tree, PathBuf)> {
        let (partials, tree) = (self.partials.as_ref()?, self.tree.as_ref()?);
        let (tree, path) = match partials {
            Partials::Beside => (tree, partial_name(place).filter(|path| !self.listed_partials.contains(path))?),
            _ => self.shelf_of(tree, place)?,
        };
        let found = tree.lstat(&path).ok()??;
        found.is_file().then_some((tree, path))
    }

    /// What an interrupted run left makes a delta worth while.
    pub(super) fn with_partial(&self, mut decision: Decision, entry: &Entry, place: &Path) -> Decision {
        let may_be_delta = decision.action == Action::Whole && !self.options.whole_file && entry.is_file();
        if may_be_delta && self.partial(place).is_some() {
            decision.action = Action::Delta;
        }
        decision
    }

    /// What a delta of the file at `place` is made against: what an interrupted run left of it, what stands there, or what
    /// another directory has.
    ///
    /// # Errors
    /// The system's, where there is nothing of the kind.
    pub fn open_basis(&self, place: &Path) -> io::Result<File> {
        let Some(tree) = &self.tree else { return Err(io::ErrorKind::NotFound.into()) };
        let opened = match self.partial(place) {
            Some((tree, path)) => tree.open_file(&path),
            None => tree.open_file(place),
        };
        match opened {
            // Only what stands there can be appended to.
            Err(error) if !self.options.append => self.open_elsewhere(place).ok_or(error),
            opened => opened,
        }
    }

    /// A file is in place, or waits: its directory has been written to, and what an interrupted run left of it is of no more
    /// use.
    pub fn placed(&mut self, place: &Path) {
        self.touch(place);
        if self.options.delay_updates {
            self.delayed.push(place.to_path_buf());
        } else {
            self.drop_partial(place);
        }
    }

    /// A file needs nothing more: what an earlier run left of it in a directory of its own is of no use either.
    pub(super) fn drop_stale_partial(&mut self, place: &Path) {
        if !matches!(self.partials, None | Some(Partials::Beside)) && self.partial(place).is_some() {
            self.touch(place);
            self.drop_partial(place);
        }
    }

    fn drop_partial(&self, place: &Path) {
        let Some((tree, path)) = self.partial(place) else { return };
        // It only takes up room: the next run overwrites or removes it.
        let _ = tree.remove_file(&path);
        if let (Some(Partials::Within(_)), Some(dir)) = (&self.partials, path.parent()) {
            // There may be more in it.
            let _ = tree.remove_dir(dir);
        }
    }

    /// Gives all files that wait their names.
    pub(super) fn release_delayed(&mut self) {
        let delayed = std::mem::take(&mut self.delayed);
        let mut dirs = BTreeSet::new();
        for place in &delayed {
            match self.release(place) {
                Ok(dir) => dirs.extend(dir),
                Err(error) => {
                    self.monitor.failed("put in place", &self.path_of(place), &error);
                    self.counters.failed += 1;
                }
            }
        }
        if let (Some(Partials::Within(_)), Some(tree)) = (&self.partials, &self.tree) {
            for dir in dirs {
                // There may be something else in it.
                let _ = tree.remove_dir(&dir);
            }
        }
    }

    /// Gives a file that waits its name; the directory that it was in.
    fn release(&self, place: &Path) -> io::Result<Option<PathBuf>> {
        let Some(tree) = &self.tree else { return Ok(None) };
        let Some((other, path)) = self.shelf_of(tree, place) else { return Ok(None) };
        self.back_up(tree, place, Way::Link)?;
        tree.take_from(place, other, &path)?;
        Ok(path.parent().map(Path::to_path_buf))
    }
}
