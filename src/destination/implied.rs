//! Directories that only lead to what is copied, with `--no-implied-dirs`: they stay as they are, and those that are missing
//! are made as anybody would make them. Nobody is told of them, and none counts.
//!
//! One may be a link to another directory of the destination: what is below it then goes there. A link that leads out, or by
//! way of another link, is not followed, and nothing is removed to make way for a directory.

use std::io;
use std::path::{Path, PathBuf};

use super::delete::is_no_dir;
use super::{Attempt, Destination, parent};
use crate::plan::Decision;
use crate::tree::dir::Tree;
use crate::tree::entry::{Entry, Kind};
use crate::tree::follow::leads_out;
use crate::tree::metadata::{self, Keep};

/// Before the umask.
const MODE: u32 = 0o777;

impl Destination {
    /// Sees to such a directory; one that fails is reported.
    pub(super) fn prepare_implied(&mut self, entry: &Entry) -> Decision {
        let place = entry.relative();
        let above = parent(place);
        if self.below_failed(place) {
            self.failed.insert(place.to_path_buf());
        } else if self.ignored.contains(above) {
            self.ignored.insert(place.to_path_buf());
        } else if let Err((action, error)) = self.try_prepare_implied(place) {
            self.monitor.failed(action, &self.path_of(place), &error);
            self.failed.insert(place.to_path_buf());
        }
        Decision::SKIP
    }

    fn try_prepare_implied(&mut self, place: &Path) -> Attempt<()> {
        let tree = self.tree.as_ref().filter(|_| !self.empty.contains(parent(place)));
        let existing = tree.map_or(Ok(None), |tree| tree.lstat(place)).map_err(|error| ("look at", error))?;
        match existing {
            None => self.make_implied(place),
            Some(existing) if existing.is_dir() => self.note_closed(place, Some(&existing)),
            Some(existing) => match self.open_implied(place, &existing) {
                Ok(true) => Ok(()),
                Ok(false) => Err(("make directory", io::Error::other("something else stands there"))),
                Err(error) => Err(("look at", error)),
            },
        }
    }

    fn make_implied(&mut self, place: &Path) -> Attempt<()> {
        if self.options.existing {
            self.ignored.insert(place.to_path_buf());
            return Ok(());
        }
        self.empty.insert(place.to_path_buf());
        if self.options.dry_run {
            return Ok(());
        }
        self.open_up(parent(place))?;
        self.touch(place);
        let Some(tree) = &self.tree else { return Ok(()) };
        tree.create_dir(place, MODE).map_err(|error| ("create directory", error))
    }

    /// Has what is below a link be where the link leads, if that is another directory of the destination.
    fn open_implied(&self, place: &Path, existing: &Entry) -> io::Result<bool> {
        let (Some(tree), Kind::Symlink { target }) = (&self.tree, &existing.kind) else { return Ok(false) };
        if self.options.keep_dirlinks {
            return tree.open_door(place, Some(existing));
        }
        match within(place, target) {
            Some(behind) => Ok(is_dir(tree, &behind)? && tree.open_door(place, Some(existing))?),
            None => Ok(false),
        }
    }

    /// The same before anything is decided about, for deletions below it. What cannot be is reported then.
    pub(super) fn enter_implied(&self, place: &Path) {
        let Some(tree) = &self.tree else { return };
        if let Ok(Some(existing)) = tree.lstat(place) {
            let _ = self.open_implied(place, &existing);
        }
    }

    /// Gives such a directory, as it is `now`, its own mode back, where it was opened up.
    pub(super) fn finish_implied(&self, place: &Path, now: Option<Entry>) -> io::Result<()> {
        let (Some(tree), Some(mode)) = (&self.tree, self.modes.get(place)) else { return Ok(()) };
        let Some(now) = now.filter(Entry::is_dir) else { return Ok(()) };
        let keep = Keep { perms: true, ..Keep::default() };
        metadata::apply(tree, place, &Entry { mode: *mode, ..now.clone() }, &keep, Some(&now))
    }
}

/// Where a link at `place` leads below the root; `None` if it leads out.
fn within(place: &Path, target: &Path) -> Option<PathBuf> {
    if leads_out(target.as_os_str().as_encoded_bytes(), place) {
        return None;
    }
    let mut behind = place.parent().unwrap_or(Path::new("")).to_path_buf();
    for part in target {
        match part.as_encoded_bytes() {
            b".." => drop(behind.pop()),
            b"." => {}
            _ => behind.push(part),
        }
    }
    if behind.as_os_str().is_empty() {
        behind.push(".");
    }
    Some(behind)
}

/// Whether a directory stands at `place`, and no link on the way there.
fn is_dir(tree: &Tree, place: &Path) -> io::Result<bool> {
    match tree.lstat(place) {
        Ok(found) => Ok(found.is_some_and(|found| found.is_dir())),
        Err(error) if is_no_dir(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_a_place_below_the_root_or_out() {
        let within = |place: &str, target: &str| {
            within(Path::new(place), Path::new(target)).map(|behind| behind.display().to_string())
        };
        assert_eq!(within("a/b", "c"), Some("a/c".into()));
        assert_eq!(within("a/b", "../c/./d"), Some("c/d".into()));
        assert_eq!(within("a", "."), Some(".".into()));
        assert_eq!(within("a/b", ".."), Some(".".into()));
        for (place, target) in [("a", ".."), ("a/b", "../../c"), ("a", "/tmp"), ("a", "b/../c")] {
            assert_eq!(within(place, target), None, "{place} -> {target}");
        }
    }
}
