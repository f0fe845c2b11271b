//! A tree on disk behind a handle on its root: everything that reads or changes it goes through here.
//!
//! A path is relative and plain (see `path`); its parent directory is opened beneath the root with no link followed (see
//! `beneath`), and the last component is used in an `*at` call that does not follow one either. So nothing that a peer,
//! or anybody else who may write into the tree, plants there makes us act outside of it. What stays possible: an entry
//! is exchanged for another of the same directory between two calls, and a directory is moved away while it is in use.
//! The links of a destination that are passed through all the same are in `doors`. A source whose user wants links followed
//! is opened by [`Tree::open_source`], and read through them.
//!
//! Errors are plain `io::Error`s: the caller knows what was being done and adds the path.

mod beneath;
mod chain;
mod doors;
mod handles;
mod list;
mod look;
mod path;
mod remove;
mod replace;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Stat, linkat, mkdirat, openat, renameat, symlinkat, unlinkat};
use rustix::io::Errno;
use rustix::path::Arg;

pub(in crate::tree) use beneath::{open_followed, open_for_listing, search_flags};
pub(in crate::tree) use chain::Chain;
pub use list::{DirItem, FileType, Listing};
pub use look::Looked;

use super::acl;
use super::capability::Capability;
use super::entry::{Entry, Kind};
use super::fake;
use super::follow::Follow;
use super::notes::Notes;
use super::paths::Paths;
use super::stat::{self, bits};
use super::xattrs::{self, Held};
use beneath::Strategy;
use doors::Doors;
use handles::Handles;

/// A tree on disk, reached through a handle on its root.
#[derive(Debug)]
pub struct Tree {
    root: Arc<OwnedFd>,
    path: Arc<Path>,
    strategy: Strategy,
    /// The links that are followed in it, of a source.
    follow: Follow,
    /// The links that are passed through in it, of a destination that may have such.
    doors: Option<Arc<Doors>>,
    notes: Notes,
    /// Raised whenever a path may have come to mean another directory; shared by all clones.
    generation: Arc<AtomicU64>,
    handles: Mutex<Handles>,
}

impl Tree {
    /// Opens the tree at `path`, following links in it: the path is the operator's own.
    ///
    /// # Errors
    /// What `open` says; `NotADirectory` for anything else than a directory.
    pub fn open(path: &Path) -> io::Result<Tree> {
        Self::open_with(path, Strategy::best(), Follow::NOTHING)
    }

    /// Opens the tree of a source at `path`, to be read with the links of `follow` taken for what they lead to.
    ///
    /// # Errors
    /// Those of [`Tree::open`].
    pub fn open_source(path: &Path, follow: Follow) -> io::Result<Tree> {
        let strategy = if follow == Follow::NOTHING { Strategy::best() } else { Strategy::Following };
        Self::open_with(path, strategy, follow)
    }

    /// The same tree, which may have doors: see [`Tree::open_door`].
    pub fn with_doors(self) -> Tree {
        Tree { doors: Some(Arc::default()), ..self }
    }

    fn open_with(path: &Path, strategy: Strategy, follow: Follow) -> io::Result<Tree> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = match openat(CWD, path, flags, Mode::empty()) {
            // What may be searched but not read can still be written to.
            Err(Errno::ACCESS) => openat(CWD, path, search_flags() - OFlags::NOFOLLOW, Mode::empty())?,
            result => result?,
        };
        Ok(Tree {
            root: Arc::new(root),
            path: path.into(),
            strategy,
            follow,
            doors: None,
            notes: Notes::default(),
            generation: Arc::default(),
            handles: Mutex::default(),
        })
    }

    /// The tree with notes of its entries to be made from here on.
    pub fn noting(self, notes: Notes) -> Tree {
        Tree { notes, ..self }
    }

    /// What notes are made of its entries.
    pub fn notes(&self) -> &Notes {
        &self.notes
    }

    /// The same tree for another thread: one handle on the root, a cache of directories of its own.
    ///
    /// # Errors
    /// None at present.
    pub fn try_clone(&self) -> io::Result<Tree> {
        Ok(Tree {
            root: Arc::clone(&self.root),
            path: Arc::clone(&self.path),
            strategy: self.strategy,
            follow: self.follow,
            doors: self.doors.clone(),
            notes: self.notes.clone(),
            generation: Arc::clone(&self.generation),
            handles: Mutex::default(),
        })
    }

    /// The path that the tree was opened by, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The links that are followed in it.
    pub(in crate::tree) fn follow(&self) -> Follow {
        self.follow
    }

    /// The entry at `relative`, a link as itself unless it is one that a source follows; `None` where there is none, its
    /// parent is missing, or a parent is no directory or a symbolic link. Link group and digest are not filled in.
    ///
    /// # Errors
    /// Any other failure of `stat` or `readlink`.
    pub fn lstat(&self, relative: &Path) -> io::Result<Option<Entry>> {
        let found = self.at(relative).and_then(|(parent, name)| {
            let stat = self.follow.stat(parent.as_fd(), name, relative)?;
            self.entry(Paths::new(&self.path, relative), &stat, parent.as_fd(), name)
        });
        match found {
            Err(error) if is_missing(&error) => Ok(None),
            result => result.map(Some),
        }
    }

    /// The entry that `stat` tells of, with what is noted of it.
    #[inline]
    pub(in crate::tree) fn entry(
        &self,
        paths: Paths,
        stat: &Stat,
        parent: BorrowedFd<'_>,
        name: impl Arg + Copy,
    ) -> io::Result<Entry> {
        let mut entry = stat::entry(paths, stat, parent, name)?;
        if self.notes.are_made() {
            let follows = self.follows(&entry.kind);
            self.notes.add(&mut entry, stat, parent, name, follows)?;
        }
        Ok(entry)
    }

    /// Whether what counts as an entry of this kind may be a link to one.
    fn follows(&self, kind: &Kind) -> bool {
        self.follow != Follow::NOTHING && !matches!(kind, Kind::Symlink { .. })
    }

    /// The value of an extended attribute of `entry`, or of what has taken its place; `None` where there is none of that name.
    ///
    /// # Errors
    /// The system's.
    pub fn xattr(&self, relative: &Path, entry: &Entry, name: &CStr) -> io::Result<Option<Vec<u8>>> {
        let (parent, of) = self.at(relative)?;
        let stored = self.notes.xattrs.as_ref().map_or(Ok(Cow::Borrowed(name)), |scope| scope.stored(name))?;
        Held::at(parent.as_fd(), &of.as_cow_c_str()?, self.follows(&entry.kind))?.get(&stored)
    }

    /// Whether the file system of the root keeps something, as far as it can be asked.
    ///
    /// # Errors
    /// The system's, from looking at the root.
    pub fn keeps(&self, capability: Capability) -> io::Result<bool> {
        let (parent, of) = self.at(Path::new("."))?;
        let held = Held::at(parent.as_fd(), &of.as_cow_c_str()?, false)?;
        Ok(match capability {
            Capability::Xattrs => xattrs::can_be_kept(&held),
            Capability::Acls => acl::can_be_kept(&held),
        })
    }

    /// Makes the large attributes that `entry` has of `relative` known by their values.
    ///
    /// # Errors
    /// The system's.
    pub fn read_values(&self, relative: &Path, entry: &mut Entry) -> io::Result<()> {
        for place in 0..entry.xattrs().len() {
            if entry.large(place)
                && let Some(value) = self.xattr(relative, entry, &entry.xattrs()[place].name)?
            {
                entry.set_value(place, value);
            }
        }
        Ok(())
    }

    /// Opens the regular file `relative` for reading. Never waits, whatever has taken the file's place.
    ///
    /// # Errors
    /// `InvalidData` where something else than a regular file is there (now).
    pub fn open_file(&self, relative: &Path) -> io::Result<File> {
        let unnoticed = self.notes.flags();
        match self.open_regular(relative, OFlags::RDONLY | unnoticed) {
            // That is for who owns a file, and for root.
            Err(error) if !unnoticed.is_empty() && error.raw_os_error() == Some(Errno::PERM.raw_os_error()) => {
                self.open_regular(relative, OFlags::RDONLY)
            }
            result => result,
        }
    }

    /// Opens the regular file `relative` for reading and writing in place.
    ///
    /// # Errors
    /// `InvalidData` where something else than a regular file is there (now).
    pub fn open_for_update(&self, relative: &Path) -> io::Result<File> {
        self.open_regular(relative, OFlags::RDWR)
    }

    fn open_regular(&self, relative: &Path, access: OFlags) -> io::Result<File> {
        let (parent, name) = self.at(relative)?;
        let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let handle = match openat(&parent, name, flags, Mode::empty()) {
            Err(Errno::LOOP) if self.follow.opens(parent.as_fd(), name, relative)? => {
                openat(&parent, name, flags - OFlags::NOFOLLOW, Mode::empty())?
            }
            // A link, a socket, a device without a driver, a directory opened for writing.
            Err(Errno::LOOP | Errno::NXIO | Errno::NODEV | Errno::ISDIR) => return Err(not_regular()),
            result => result?,
        };
        if !stat::is_file(&rustix::fs::fstat(&handle)?) {
            return Err(not_regular());
        }
        Ok(handle.into())
    }

    /// Makes the regular file `relative`, open for reading and writing, with the bits of `mode` that the umask allows.
    ///
    /// # Errors
    /// `AlreadyExists` where anything is there, a dangling link too.
    pub fn create_file(&self, relative: &Path, mode: u32) -> io::Result<File> {
        let (parent, name) = self.at(relative)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat(&parent, name, flags, bits(mode))?.into())
    }

    /// Makes the directory `relative` with the bits of `mode` that the umask allows.
    ///
    /// # Errors
    /// `AlreadyExists` where anything is there.
    pub fn create_dir(&self, relative: &Path, mode: u32) -> io::Result<()> {
        let (parent, name) = self.at(relative)?;
        Ok(mkdirat(&parent, name, bits(mode))?)
    }

    /// Makes `relative` a symbolic link to `target`, any bytes.
    ///
    /// # Errors
    /// `AlreadyExists` where anything is there.
    pub fn symlink(&self, target: &Path, relative: &Path) -> io::Result<()> {
        let (parent, name) = self.at(relative)?;
        self.make_link_at(&parent, name, target)
    }

    fn make_link_at(&self, parent: &OwnedFd, name: &OsStr, target: &Path) -> io::Result<()> {
        if self.notes.fake {
            return fake::make(parent.as_fd(), name, target.as_os_str().as_bytes());
        }
        symlinkat(target, parent, name)?;
        self.note_link(parent, name)
    }

    fn make_special_at(&self, parent: &OwnedFd, name: &OsStr, kind: &Kind, mode: u32) -> io::Result<()> {
        if self.notes.fake { fake::make(parent.as_fd(), name, b"") } else { make_node_at(parent, name, kind, mode) }
    }

    /// Makes `to` another name of the file `from`, which is not followed if it is a link.
    ///
    /// # Errors
    /// `AlreadyExists` where anything is at `to`.
    pub fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (old_parent, old_name) = self.at(from)?;
        let (parent, name) = self.at(to)?;
        Ok(linkat(&old_parent, old_name, &parent, name, AtFlags::empty())?)
    }

    /// Makes the FIFO, socket or device `relative` with the bits of `mode` that the umask allows.
    ///
    /// # Errors
    /// `InvalidInput` for any other kind, `Unsupported` where the system cannot make one below a handle.
    pub fn make_node(&self, relative: &Path, kind: &Kind, mode: u32) -> io::Result<()> {
        let (parent, name) = self.at(relative)?;
        self.make_special_at(&parent, name, kind, mode)
    }

    /// Gives the entry `from` the name `to`, replacing what is there as `rename` does.
    ///
    /// # Errors
    /// What `rename` says.
    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (old_parent, old_name) = self.at(from)?;
        let (parent, name) = self.at(to)?;
        renameat(&old_parent, old_name, &parent, name)?;
        self.forget_handles();
        Ok(())
    }

    /// Whether two paths are names of one file; `false` if either is not there.
    ///
    /// # Errors
    /// Those of looking at them.
    pub fn same_file(&self, one: &Path, other: &Path) -> io::Result<bool> {
        self.same_file_as(one, self, other)
    }

    /// The same for a path of another tree.
    ///
    /// # Errors
    /// Those of looking at them.
    pub fn same_file_as(&self, one: &Path, tree: &Tree, other: &Path) -> io::Result<bool> {
        Ok(self.identity(one)?.is_some_and(|file| tree.identity(other).is_ok_and(|twin| twin == Some(file))))
    }

    /// Device and number of what is there.
    fn identity(&self, relative: &Path) -> io::Result<Option<(u64, u64)>> {
        match self.at(relative).and_then(|(parent, name)| stat::of_name(parent.as_fd(), name)) {
            Ok(stat) => Ok(Some((stat::device(&stat), stat.st_ino))),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes the entry `relative`, which is not a directory.
    ///
    /// # Errors
    /// What `unlink` says.
    pub fn remove_file(&self, relative: &Path) -> io::Result<()> {
        let (parent, name) = self.at(relative)?;
        Ok(unlinkat(&parent, name, AtFlags::empty())?)
    }

    /// Removes the empty directory `relative`.
    ///
    /// # Errors
    /// What `rmdir` says.
    pub fn remove_dir(&self, relative: &Path) -> io::Result<()> {
        let (parent, name) = self.at(relative)?;
        unlinkat(&parent, name, AtFlags::REMOVEDIR)?;
        self.forget_handles();
        Ok(())
    }

    /// Removes `relative` and all below it, bottom-up and without following a link, and tells `on_removed` of every path
    /// that is gone (below the root) and whether it was a directory. Directories closed to their owner are opened up.
    ///
    /// # Errors
    /// The first failure, naming the path where it happened if that is below `relative`; what could be removed is gone.
    /// A mount point stays, with what is mounted there and with its parents.
    pub fn remove_tree(&self, relative: &Path, on_removed: &mut dyn FnMut(&Path, FileType)) -> io::Result<()> {
        remove::remove_tree(self, relative, on_removed)
    }

    /// The names in the directory `relative`, in the order of their bytes.
    ///
    /// # Errors
    /// `NotADirectory` for anything else, a link included; what `open` and `getdents` say.
    pub fn read_dir(&self, relative: &Path) -> io::Result<Vec<DirItem>> {
        Ok(self.list(relative)?.to_items())
    }

    /// The names in the directory `relative`, for who has many of them to hold.
    ///
    /// # Errors
    /// Those of [`Tree::read_dir`].
    pub fn list(&self, relative: &Path) -> io::Result<Listing> {
        let (parent, name) = self.at(relative)?;
        let mut listing = Listing::default();
        listing.read(open_for_listing(parent.as_fd(), name)?.as_fd())?;
        Ok(listing.shrink())
    }

    /// The parent directory of `relative` and its last component.
    pub(in crate::tree) fn at<'p>(&self, relative: &'p Path) -> io::Result<(Arc<OwnedFd>, &'p OsStr)> {
        let (parent, name) = path::split(relative)?;
        if self.doors.as_ref().is_some_and(|doors| doors.contains(relative)) {
            return Ok((self.directory(path::directory(relative)?)?, OsStr::new(".")));
        }
        Ok((self.directory(parent)?, name))
    }

    /// A handle, for `*at` calls, on the directory `path` (checked; empty for the root).
    fn directory(&self, path: &[u8]) -> io::Result<Arc<OwnedFd>> {
        if path.is_empty() {
            return Ok(Arc::clone(&self.root));
        }
        let generation = self.generation.load(Ordering::Acquire);
        let nearest = self.handles.lock().unwrap_or_else(PoisonError::into_inner).nearest(path, generation);
        let handle = match nearest {
            Some((covered, handle)) if covered == path.len() => return Ok(handle),
            Some((covered, above)) => self.open_through(&above, path, covered)?,
            None => self.open_through(&self.root, path, 0)?,
        };
        let handle = Arc::new(handle);
        let mut handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        handles.keep(path, Arc::clone(&handle), generation);
        Ok(handle)
    }

    /// Like [`Tree::at`] for a directory itself, opened anew from the root.
    fn open_uncached(&self, path: &[u8]) -> io::Result<OwnedFd> {
        if path.is_empty() {
            return Ok(openat(&*self.root, ".", search_flags(), Mode::empty())?);
        }
        self.open_through(&self.root, path, 0)
    }

    /// To be called after a directory has been removed or renamed.
    fn forget_handles(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }
}

/// Whether an error means that a path, or a directory that it leads through, is not there.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        || error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}

fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not a regular file any more")
}

#[cfg(target_os = "linux")]
fn make_node_at(parent: &OwnedFd, name: &OsStr, kind: &Kind, mode: u32) -> io::Result<()> {
    use rustix::fs::FileType as Raw;
    let (raw, rdev) = match kind {
        Kind::Fifo => (Raw::Fifo, 0),
        Kind::Socket => (Raw::Socket, 0),
        Kind::CharDevice { rdev } => (Raw::CharacterDevice, *rdev),
        Kind::BlockDevice { rdev } => (Raw::BlockDevice, *rdev),
        Kind::File { .. } | Kind::Dir | Kind::Symlink { .. } => return Err(no_node()),
    };
    Ok(rustix::fs::mknodat(parent, name, raw, bits(mode), rdev)?)
}

#[cfg(not(target_os = "linux"))]
fn make_node_at(_: &OwnedFd, _: &OsStr, kind: &Kind, _: u32) -> io::Result<()> {
    match kind {
        Kind::File { .. } | Kind::Dir | Kind::Symlink { .. } => Err(no_node()),
        _ => Err(io::Error::new(io::ErrorKind::Unsupported, "this system makes no special files below a handle")),
    }
}

fn no_node() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a kind of special file")
}
