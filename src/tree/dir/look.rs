//! A directory listed, and all in it that is no directory looked at, by one handle: no path is resolved for any of it.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{Stat, fstat};

use super::{FileType, Listing, Tree, open_for_listing};
use crate::tree::entry::Entry;
use crate::tree::paths::Paths;
use crate::tree::stat;

/// The names of a directory with what stands there, as far as that is no directory and has no other name.
pub struct Looked {
    directory: Stat,
    names: Listing,
    entries: Vec<Option<Entry>>,
    looks: usize,
}

impl Looked {
    /// How many names there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// How many of them were looked at.
    pub fn looks(&self) -> usize {
        self.looks
    }

    /// Whether the directory is empty.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The name at a place in the order of their bytes.
    pub fn name(&self, place: usize) -> Option<&OsStr> {
        self.names.name(place)
    }

    /// What stood there; its paths are the directory's. Once.
    pub fn take(&mut self, place: usize) -> Option<Entry> {
        self.entries.get_mut(place)?.take()
    }
}

impl Tree {
    /// Lists the directory `relative` and looks at what is in it. A file of several names is left out: what is done to
    /// it under another name shows here too.
    ///
    /// # Errors
    /// Those of [`Tree::list`]; `FileTooLarge` for more than `most` names.
    pub fn look(&self, relative: &Path, most: usize) -> io::Result<Looked> {
        let (parent, name) = self.at(relative)?;
        let handle = open_for_listing(parent.as_fd(), name)?;
        // Before anything else, so that what changes meanwhile shows.
        let directory = fstat(&handle)?;
        let mut names = Listing::default();
        names.read_some(handle.as_fd(), most)?;
        if names.len() > most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let names = names.shrink();
        let paths = Paths::new(&self.path, relative);
        let look = |(name, file_type)| {
            let stat = (file_type != Some(FileType::Dir)).then(|| stat::of_name(handle.as_fd(), name))?.ok()?;
            let alone = !stat::is_dir(&stat) && stat::links(&stat) == 1;
            alone.then(|| self.entry(paths.clone(), &stat, handle.as_fd(), name))?.ok()
        };
        let looks = names.iter().filter(|(_, file_type)| *file_type != Some(FileType::Dir)).count();
        let entries = names.iter().map(look).collect();
        Ok(Looked { directory, names, entries, looks })
    }

    /// Whether the directory `relative` is the one that was looked at, and has not changed: no name has come or gone.
    pub fn is_as_looked(&self, relative: &Path, looked: &Looked) -> bool {
        let identity = |stat: &Stat| (stat::device(stat), stat.st_ino, stat.st_ctime, stat.st_ctime_nsec);
        let now = self.at(relative).and_then(|(parent, name)| stat::of_name(parent.as_fd(), name));
        now.is_ok_and(|now| identity(&now) == identity(&looked.directory))
    }
}
