//! Lists a tree: every entry below a start with its metadata, in one fixed order.
//!
//! Parents before children; within a directory first what is no directory, then the directories, both in the order of
//! their names' bytes, each directory followed at once by its contents. A directory costs one open and one `getdents` for
//! each 64 KiB of names, an entry costs one `stat` by name, a link one `readlink` more. FIFOs, sockets and devices are
//! never opened. Where links are followed each costs a `stat` more, and a directory that they lead back to ends with an
//! error. What cannot be read is reported and the walk goes on: a caller that deletes by a scan must look there.

use std::collections::HashMap;
use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::Stat;

use super::dir::{Chain, FileType, Listing, Tree, open_followed, open_for_listing};
use super::entry::Entry;
use super::follow::Follow;
use super::paths::Paths;
use super::stat;

/// How far a scan goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanOptions {
    /// Descend below the entries of the start itself; off, a directory lists its own entries only.
    pub recursive: bool,
    /// Do not descend into a directory on another device than the start: it is listed as if it were empty.
    pub one_file_system: bool,
    /// Nor list it.
    pub skip_mounts: bool,
    /// Number the entries that are names of one file.
    pub hard_links: bool,
}

/// Hard-link groups found so far, numbered from 0 in the order of their first name.
#[derive(Debug, Default)]
pub struct LinkGroups {
    numbers: HashMap<(u64, u64), u32>,
}

impl LinkGroups {
    fn number(&mut self, stat: &Stat) -> u32 {
        // More groups than a u32 holds would need more memory for their entries than any machine has.
        let next = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        *self.numbers.entry((stat::device(stat), stat.st_ino)).or_insert(next)
    }
}

/// Who says what is to be listed.
pub trait Keep {
    /// The walk is in the directory `dir`, and will ask about what is in it.
    ///
    /// # Errors
    /// Why nothing of it can be listed, which is reported.
    fn enter(&mut self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    /// Whether a path below the start is to be listed; `false` skips it and all below it, before anything is read of it.
    fn wants(&mut self, path: &Path, is_dir: bool) -> bool;
}

impl<F: FnMut(&Path, bool) -> bool> Keep for F {
    fn wants(&mut self, path: &Path, is_dir: bool) -> bool {
        self(path, is_dir)
    }
}

/// Asked of each path below the start.
pub type Wanted<'a> = &'a mut dyn Keep;

/// Told of each path that could not be read.
pub type Report<'a> = &'a mut dyn FnMut(&Path, io::Error);

/// A directory that a walk has been in, or has not come into.
#[derive(Debug)]
pub enum Visited {
    /// It, what is in it but for its directories, and their names: each of them is visited later, in this order, before
    /// what comes after its parent. `contents_listed` of the directory's own entry says whether that is all.
    Dir {
        /// The directory itself.
        own: Entry,
        /// What is in it and no directory, in the order of the names' bytes.
        entries: Vec<Entry>,
        /// The directories in it, in the order of the names' bytes.
        dirs: Vec<CString>,
    },
    /// It was there when its parent was listed, and is not, or cannot be looked at; that was reported.
    Lost,
}

/// Told of each directory below a start, parents first; `false` ends the walk.
pub type Visit<'a> = &'a mut dyn FnMut(Visited) -> bool;

/// Scans `start` (`.` or a path below the root of `tree`): itself first, whatever it is, then what is below it.
pub fn scan(tree: &Tree, start: &Path, options: &ScanOptions, keep: Wanted<'_>, report: Report<'_>) -> Vec<Entry> {
    scan_with(tree, start, options, &mut LinkGroups::default(), keep, report)
}

/// Like [`scan`], with link groups that go on from an earlier scan of the same list.
pub fn scan_with(
    tree: &Tree,
    start: &Path,
    options: &ScanOptions,
    groups: &mut LinkGroups,
    keep: Wanted<'_>,
    report: Report<'_>,
) -> Vec<Entry> {
    let mut all = Vec::new();
    let mut visit = |visited: Visited| {
        if let Visited::Dir { own, entries, .. } = visited {
            all.push(own);
            all.extend(entries);
        }
        true
    };
    if let Some(start) = walk(tree, start, options, groups, keep, report, &mut visit) {
        all.push(start);
    }
    // A list grows by doubling, and lives as long as the sync.
    all.shrink_to_fit();
    all
}

/// Walks the directories from `start` on. A start that is none is returned instead.
pub fn walk(
    tree: &Tree,
    start: &Path,
    options: &ScanOptions,
    groups: &mut LinkGroups,
    keep: Wanted<'_>,
    report: Report<'_>,
    visit: Visit<'_>,
) -> Option<Entry> {
    let (listing, path) = (Listing::default(), Vec::new());
    let mut walk = Walk { tree, options, groups, keep, report, visit, listing, path, device: 0, above: Vec::new() };
    walk.run(start).unwrap_or_else(|error| {
        (walk.report)(start, error);
        None
    })
}

struct Walk<'a> {
    tree: &'a Tree,
    options: &'a ScanOptions,
    groups: &'a mut LinkGroups,
    keep: Wanted<'a>,
    report: Report<'a>,
    visit: Visit<'a>,
    listing: Listing,
    /// The memory of the last path that was asked about.
    path: Vec<u8>,
    /// The device of the start.
    device: u64,
    /// The directories that the walk is in, where links are followed: one of them could lead back to any.
    above: Vec<(u64, u64)>,
}

/// The directories still to be walked in each directory of the chain, the next one last; `None` once nobody wants more.
type Pending = Option<Vec<Vec<CString>>>;

impl Walk<'_> {
    /// Fails only where the start itself cannot be read.
    fn run(&mut self, start: &Path) -> io::Result<Option<Entry>> {
        let (parent, name) = self.tree.at(start)?;
        let stat = self.tree.follow().stat(parent.as_fd(), name, start)?;
        self.device = stat::device(&stat);
        let own = self.entry(start, &stat, parent.as_fd(), name)?;
        if !stat::is_dir(&stat) {
            return Ok(Some(own));
        }
        let handle = match self.open(parent.as_fd(), name, &stat) {
            Ok(handle) => handle,
            Err(error) => {
                // Reported first: who is told of a directory has to know whether it lacks something.
                (self.report)(start, error);
                (self.visit)(Visited::Dir { own, entries: Vec::new(), dirs: Vec::new() });
                return Ok(None);
            }
        };
        // Of a door the name is `.` as well.
        let at = if start == Path::new(".") { b"" } else { start.as_os_str().as_bytes() };
        self.walk(Chain::new(self.tree, at, handle), own);
        Ok(None)
    }

    fn walk(&mut self, mut chain: Chain<'_>, own: Entry) {
        let mut pending = self.list(&chain, own).map(|dirs| vec![dirs]);
        while let Some(level) = pending.as_mut().and_then(|levels| levels.last_mut()) {
            match level.pop() {
                Some(name) => self.descend(&mut chain, &name, &mut pending),
                None => {
                    pending.as_mut().map(Vec::pop);
                    self.ascend(&mut chain, &mut pending);
                }
            }
        }
    }

    fn descend(&mut self, chain: &mut Chain<'_>, name: &CStr, pending: &mut Pending) {
        let path = chain.child(name, Vec::new());
        let path = Path::new(OsStr::from_bytes(&path));
        let mut own = None;
        let goes_on = match self.enter(chain, path, name, &mut own) {
            Ok(true) => match own.take().and_then(|own| self.list(chain, own)) {
                Some(dirs) => {
                    pending.get_or_insert_default().push(dirs);
                    true
                }
                None => false,
            },
            Ok(false) => self.visit_closed(own),
            Err(error) => {
                (self.report)(path, error);
                self.visit_closed(own)
            }
        };
        if !goes_on {
            *pending = None;
        }
    }

    /// A directory that was not gone into.
    fn visit_closed(&mut self, own: Option<Entry>) -> bool {
        (self.visit)(own.map_or(Visited::Lost, |own| Visited::Dir { own, entries: Vec::new(), dirs: Vec::new() }))
    }

    fn ascend(&mut self, chain: &mut Chain<'_>, pending: &mut Pending) {
        self.above.pop();
        if let Err(error) = chain.leave() {
            // Its remaining directories cannot be reached any more; those of its parents may be.
            (self.report)(chain.path(), error);
            let lost = pending.as_mut().and_then(|levels| levels.last_mut()).map(std::mem::take).unwrap_or_default();
            if !lost.iter().all(|_| (self.visit)(Visited::Lost)) {
                *pending = None;
            }
        }
    }

    /// Looks at the directory `name`, says in `own` what it is, and goes into it; `false` where it is not to be descended
    /// into.
    fn enter(&mut self, chain: &mut Chain<'_>, path: &Path, name: &CStr, own: &mut Option<Entry>) -> io::Result<bool> {
        let parent = chain.handle()?;
        let stat = self.tree.follow().stat(parent, name, path)?;
        if !stat::is_dir(&stat) {
            return Err(changed());
        }
        *own = Some(self.entry(path, &stat, parent, name)?);
        if !self.descends_into(&stat) {
            return Ok(false);
        }
        let handle = self.open(parent, name, &stat)?;
        let entered = chain.enter(name, handle);
        if entered.is_err() {
            self.above.pop();
        }
        entered.map(|()| true)
    }

    /// Opens a directory that the walk goes into, whose `stat` this is.
    fn open(&mut self, parent: BorrowedFd<'_>, name: impl rustix::path::Arg, stat: &Stat) -> io::Result<OwnedFd> {
        if !self.follows() {
            return open_for_listing(parent, name);
        }
        let identity = (stat::device(stat), stat.st_ino);
        if self.above.contains(&identity) {
            return Err(io::Error::other("links lead back to a directory that it is in"));
        }
        let handle = open_followed(parent, name)?;
        self.above.push(identity);
        Ok(handle)
    }

    fn follows(&self) -> bool {
        self.tree.follow() != Follow::NOTHING
    }

    fn descends_into(&self, stat: &Stat) -> bool {
        self.options.recursive && !self.is_mounted(stat)
    }

    /// Whether a directory is on another device than the start, and that matters.
    fn is_mounted(&self, stat: &Stat) -> bool {
        self.options.one_file_system && stat::device(stat) != self.device
    }

    /// Lists the directory just entered, whose entry is `own`, and has it visited. Returns its directories, the first one
    /// last; `None` if nobody wants more.
    fn list(&mut self, chain: &Chain<'_>, mut own: Entry) -> Option<Vec<CString>> {
        if let Err(error) = self.keep.enter(chain.path()) {
            (self.report)(chain.path(), error);
            return self.visit_closed(Some(own)).then(Vec::new);
        }
        let mut listing = std::mem::take(&mut self.listing);
        let read = chain.handle().and_then(|handle| listing.read(handle).map(|()| handle));
        let (mut entries, mut dirs) = (Vec::new(), Vec::new());
        match chain.handle() {
            Ok(handle) => {
                match read {
                    Ok(_) => own.contents_listed = true,
                    Err(error) => (self.report)(chain.path(), error),
                }
                for (name, file_type) in listing.iter() {
                    self.list_item(chain, handle, (name, file_type), &mut entries, &mut dirs);
                }
            }
            Err(error) => (self.report)(chain.path(), error),
        }
        self.listing = listing;
        let mut pending = dirs.clone();
        pending.reverse();
        (self.visit)(Visited::Dir { own, entries, dirs }).then_some(pending)
    }

    fn list_item(
        &mut self,
        chain: &Chain<'_>,
        parent: BorrowedFd<'_>,
        (name, file_type): (&CStr, Option<FileType>),
        entries: &mut Vec<Entry>,
        dirs: &mut Vec<CString>,
    ) {
        let bytes = chain.child(name, std::mem::take(&mut self.path));
        let path = Path::new(OsStr::from_bytes(&bytes));
        if let Err(error) = self.try_list_item(path, parent, (name, file_type), entries, dirs) {
            (self.report)(path, error);
        }
        self.path = bytes;
    }

    fn try_list_item(
        &mut self,
        path: &Path,
        parent: BorrowedFd<'_>,
        (name, file_type): (&CStr, Option<FileType>),
        entries: &mut Vec<Entry>,
        dirs: &mut Vec<CString>,
    ) -> io::Result<()> {
        let may_lead = matches!(file_type, Some(FileType::Symlink) | None) && self.follows();
        let is_dir = match file_type {
            Some(file_type) if !may_lead => file_type == FileType::Dir,
            _ => match self.tree.follow().stat(parent, name, path) {
                Ok(stat) => stat::is_dir(&stat),
                // What nobody wants, as whatever it may be, may lead where it will.
                Err(_) if may_lead && [false, true].iter().any(|is_dir| !self.keep.wants(path, *is_dir)) => {
                    return Ok(());
                }
                Err(error) => return Err(error),
            },
        };
        if !self.keep.wants(path, is_dir) {
            return Ok(());
        }
        if is_dir {
            let skipped = self.options.skip_mounts && self.is_mounted(&self.tree.follow().stat(parent, name, path)?);
            dirs.extend((!skipped).then(|| name.to_owned()));
            return Ok(());
        }
        let stat = self.tree.follow().stat(parent, name, path)?;
        if stat::is_dir(&stat) {
            return Err(changed());
        }
        entries.push(self.entry(path, &stat, parent, name)?);
        Ok(())
    }

    fn entry(
        &mut self,
        path: &Path,
        stat: &Stat,
        parent: BorrowedFd<'_>,
        name: impl rustix::path::Arg + Copy,
    ) -> io::Result<Entry> {
        let mut entry = self.tree.entry(Paths::new(self.tree.path(), path), stat, parent, name)?;
        if self.options.hard_links && !entry.is_dir() && stat::links(stat) > 1 {
            entry.set_link_group(self.groups.number(stat));
        }
        Ok(entry)
    }
}

/// The type differs from what the directory said a moment ago: neither the filter's answer nor the order holds for it.
fn changed() -> io::Error {
    io::Error::other("changed its type while the tree was being listed")
}

#[cfg(test)]
mod tests;
