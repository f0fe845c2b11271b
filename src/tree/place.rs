//! A file appears under its own name only complete: it is written under a temporary name beside it, then renamed.
//!
//! Every live temporary file is known to one registry of the process, so that the thread which learns of a signal can
//! remove them all ([`abandon_all`]) while other threads are still writing. Creating, renaming and removing hold the
//! registry's gate for reading, `abandon_all` closes it for writing and for good: when it returns, nothing is under way
//! and nothing will be left or renamed after it.
//!
//! It does not sync to the disk: after a crash of the machine a file may be empty, as with any tool that renames only.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use rustix::fs::{AtFlags, Mode, OFlags, fstat, openat, renameat, unlinkat};

use super::dir::Tree;
use super::room::Room;
use super::shelf::Shelf;

/// Longest file name, in bytes, on every file system that matters; a shorter limit is met by a shorter name.
const NAME_MAX: usize = 255;
/// Characters that make a temporary name unique.
const UNIQUE: usize = 6;
/// Names tried before giving up: with 62^6 of them a second one is already rare.
const TRIES: usize = 64;
const PARTIAL: &[u8] = b".sy-partial";

static REGISTRY: Registry = Registry::new();

/// What becomes of a temporary file when the sync is interrupted.
#[derive(Debug, Default)]
pub enum WhenAbandoned {
    /// It is removed.
    #[default]
    Remove,
    /// It is kept under its [`partial_name`] (`--partial`), if that is not too long.
    KeepPartial,
    /// It is kept there (`--partial-dir`), if it can be.
    KeepOn(Shelf),
}

/// A file being written beside the name that it is to have. Dropped before it is placed, it is removed.
#[derive(Debug)]
pub struct TempFile {
    file: File,
    /// Where it is.
    directory: Arc<OwnedFd>,
    /// Where it is to be.
    target: Arc<OwnedFd>,
    name: OsString,
    /// Where the registry has it; `None` once it has been placed.
    slot: Option<usize>,
    registry: &'static Registry,
}

impl TempFile {
    /// Makes `.NAME.XXXXXX` beside `relative`, open for reading and writing, with mode 0600: it gets its real mode with
    /// the rest of its metadata before it is committed.
    ///
    /// # Errors
    /// What `open` says; `Interrupted` after [`abandon_all`].
    pub fn create(tree: &Tree, relative: &Path) -> io::Result<TempFile> {
        Self::create_with(tree, relative, WhenAbandoned::Remove)
    }

    /// Like [`TempFile::create`], and says what becomes of it in [`abandon_all`].
    ///
    /// # Errors
    /// What `open` says; `Interrupted` after [`abandon_all`].
    pub fn create_with(tree: &Tree, relative: &Path, then: WhenAbandoned) -> io::Result<TempFile> {
        Self::create_in(&REGISTRY, tree, relative, then)
    }

    /// Like [`TempFile::create_with`], but in a room of its own (`--temp-dir`), which must be there.
    ///
    /// # Errors
    /// What `open` says; `Interrupted` after [`abandon_all`].
    pub fn create_elsewhere(room: &Room, tree: &Tree, relative: &Path, then: WhenAbandoned) -> io::Result<TempFile> {
        let (target, name) = tree.at(relative)?;
        let path = room.at(Path::new(name));
        let (directory, _) = room.tree().at(&path)?;
        Self::make(&REGISTRY, directory, target, name, then)
    }

    fn create_in(
        registry: &'static Registry,
        tree: &Tree,
        relative: &Path,
        then: WhenAbandoned,
    ) -> io::Result<TempFile> {
        let (directory, name) = tree.at(relative)?;
        Self::make(registry, Arc::clone(&directory), directory, name, then)
    }

    fn make(
        registry: &'static Registry,
        directory: Arc<OwnedFd>,
        target: Arc<OwnedFd>,
        name: &OsStr,
        then: WhenAbandoned,
    ) -> io::Result<TempFile> {
        if name == "." {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "the root of a tree is a directory"));
        }
        let kept = match then {
            WhenAbandoned::Remove => None,
            WhenAbandoned::KeepPartial => partial_of(name).map(Kept::Beside),
            WhenAbandoned::KeepOn(shelf) => Some(Kept::On(Box::new(shelf))),
        };
        let _gate = registry.pass()?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let (temporary, handle) =
            under_temporary_name(name, |temporary| Ok(openat(&directory, temporary, flags, Mode::RUSR | Mode::WUSR)?))?;
        let live = Live { directory: Arc::clone(&directory), target: Arc::clone(&target), temporary, kept };
        let slot = registry.live().add(live);
        Ok(TempFile { file: handle.into(), directory, target, name: name.to_owned(), slot: Some(slot), registry })
    }

    /// The file, to be written and read; its position is shared with nobody.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Whether it is on another file system than its place, so that it cannot be renamed to there.
    ///
    /// # Errors
    /// Those of looking at the two directories.
    pub fn is_far(&self) -> io::Result<bool> {
        if Arc::ptr_eq(&self.directory, &self.target) {
            return Ok(false);
        }
        let device = |directory: &OwnedFd| fstat(directory).map(|stat| super::stat::device(&stat));
        Ok(device(&self.directory)? != device(&self.target)?)
    }

    /// Renames it over the name that it was made for.
    ///
    /// # Errors
    /// `IsADirectory` where a directory stands there; `Interrupted` after [`abandon_all`]. The file is gone then.
    pub fn commit(mut self) -> io::Result<()> {
        let name = std::mem::take(&mut self.name);
        self.rename_to(&name)
    }

    /// Keeps what is there: on the shelf that was given for it, else under the [`partial_name`], for the next run to build on.
    ///
    /// # Errors
    /// `InvalidFilename` where that name is too long; as for [`TempFile::commit`] otherwise. The file is gone then.
    pub fn keep_partial(mut self) -> io::Result<()> {
        let too_long =
            || io::Error::new(io::ErrorKind::InvalidFilename, "name too long to keep a partial file beside it");
        let registry = self.registry;
        let _gate = registry.pass()?;
        let mut live = self.take_live()?;
        let kept = match live.kept.take() {
            Some(Kept::On(shelf)) => shelf.take(&live.directory, &live.temporary),
            _ => partial_of(&self.name).ok_or_else(too_long).and_then(|name| live.rename_to(&name)),
        };
        if kept.is_err() {
            live.remove();
        }
        kept
    }

    fn rename_to(&mut self, name: &OsStr) -> io::Result<()> {
        let registry = self.registry;
        let _gate = registry.pass()?;
        let live = self.take_live()?;
        let renamed = live.rename_to(name);
        if renamed.is_err() {
            live.remove();
        }
        renamed
    }

    /// The registry has it no more.
    fn take_live(&mut self) -> io::Result<Live> {
        self.slot.take().and_then(|slot| self.registry.live().take(slot)).ok_or_else(abandoned)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let Some(slot) = self.slot.take() else { return };
        // The gate is held open so that `abandon_all` does not return between the two.
        let _gate = self.registry.gate.read().unwrap_or_else(PoisonError::into_inner);
        let live = self.registry.live().take(slot);
        if let Some(live) = live {
            live.remove();
        }
    }
}

/// The path at which an interrupted transfer of `relative` is kept; `None` where that name would be too long.
pub fn partial_name(relative: &Path) -> Option<PathBuf> {
    Some(relative.with_file_name(partial_of(relative.file_name()?)?))
}

/// Whether `name` is one that [`partial_name`] gives.
pub fn is_partial_name(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.starts_with(b".") && name.ends_with(PARTIAL) && name.len() > 1 + PARTIAL.len()
}

fn partial_of(name: &OsStr) -> Option<OsString> {
    let partial = [b".", name.as_bytes(), PARTIAL].concat();
    (partial.len() <= NAME_MAX).then(|| OsString::from_vec(partial))
}

/// Removes every live temporary file of the process, or keeps it as a partial one where that was asked for, and closes
/// the gate: from now on nothing is created, committed or replaced, and everything that tries fails with `Interrupted`.
///
/// For the thread that ends the process, not for a signal handler: it takes locks.
pub fn abandon_all() {
    REGISTRY.abandon();
}

/// Makes something under a temporary name with `make`, then renames it over `name`, both in `directory`.
pub(super) fn replace(directory: &OwnedFd, name: &OsStr, make: impl Fn(&OsStr) -> io::Result<()>) -> io::Result<()> {
    let _gate = REGISTRY.pass()?;
    let (temporary, ()) = under_temporary_name(name, make)?;
    let renamed = renameat(directory, &temporary, directory, name);
    // Also after success: renaming one of a file's names over another does nothing and leaves both.
    let _ = unlinkat(directory, &temporary, AtFlags::empty());
    Ok(renamed?)
}

/// Calls `make` with temporary names for `name` until one is free.
fn under_temporary_name<T>(name: &OsStr, make: impl Fn(&OsStr) -> io::Result<T>) -> io::Result<(OsString, T)> {
    let mut stem = name.as_bytes();
    let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
    for _ in 0..TRIES {
        let temporary = temporary_name(stem);
        match make(&temporary) {
            Ok(made) => return Ok((temporary, made)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
            // A file system with a shorter limit; the name is for people only.
            Err(error) if error.kind() == io::ErrorKind::InvalidFilename && !stem.is_empty() => stem = b"",
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

fn temporary_name(stem: &[u8]) -> OsString {
    let mut end = stem.len().min(NAME_MAX - UNIQUE - 2);
    // Not in the middle of a UTF-8 sequence, of which a name of another encoding has none longer than four bytes.
    let is_continuation = |at: usize| stem.get(at).is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000);
    for _ in 0..3 {
        if end > 0 && is_continuation(end) {
            end -= 1;
        }
    }
    let mut name = Vec::with_capacity(end + UNIQUE + 2);
    name.push(b'.');
    name.extend_from_slice(&stem[..end]);
    name.push(b'.');
    name.extend(std::iter::repeat_with(|| fastrand::alphanumeric() as u8).take(UNIQUE));
    OsString::from_vec(name)
}

fn abandoned() -> io::Error {
    io::Error::new(io::ErrorKind::Interrupted, "the sync is being interrupted")
}

/// The live temporary files and the gate; one for the process, others only in tests.
#[derive(Debug)]
struct Registry {
    /// `true` once abandoned.
    gate: RwLock<bool>,
    live: Mutex<Slab>,
}

#[derive(Debug)]
struct Slab {
    slots: Vec<Option<Live>>,
    free: Vec<usize>,
}

/// A temporary file on disk.
#[derive(Debug)]
struct Live {
    directory: Arc<OwnedFd>,
    /// Where its name is.
    target: Arc<OwnedFd>,
    temporary: OsString,
    kept: Option<Kept>,
}

/// Where what there is of a file is kept if it is abandoned.
#[derive(Debug)]
enum Kept {
    /// In the directory of its name, under this one.
    Beside(OsString),
    On(Box<Shelf>),
}

impl Registry {
    const fn new() -> Self {
        Self { gate: RwLock::new(false), live: Mutex::new(Slab { slots: Vec::new(), free: Vec::new() }) }
    }

    /// Holds the gate open, or fails if it has been closed.
    fn pass(&self) -> io::Result<RwLockReadGuard<'_, bool>> {
        let gate = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        if *gate { Err(abandoned()) } else { Ok(gate) }
    }

    fn live(&self) -> MutexGuard<'_, Slab> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn abandon(&self) {
        let mut gate = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        *gate = true;
        for live in self.live().slots.iter_mut().filter_map(Option::take) {
            live.abandon();
        }
    }
}

impl Slab {
    fn add(&mut self, live: Live) -> usize {
        if let Some(slot) = self.free.pop() {
            self.slots[slot] = Some(live);
            return slot;
        }
        self.slots.push(Some(live));
        self.slots.len() - 1
    }

    fn take(&mut self, slot: usize) -> Option<Live> {
        let live = self.slots.get_mut(slot)?.take()?;
        self.free.push(slot);
        Some(live)
    }
}

impl Live {
    /// Nothing can be done where this fails, and the next run's name will differ.
    fn remove(&self) {
        let _ = unlinkat(&self.directory, &self.temporary, AtFlags::empty());
    }

    fn rename_to(&self, name: &OsStr) -> io::Result<()> {
        Ok(renameat(&self.directory, &self.temporary, &self.target, name)?)
    }

    fn abandon(&self) {
        let kept = match &self.kept {
            None => false,
            Some(Kept::Beside(name)) => self.rename_to(name).is_ok(),
            Some(Kept::On(shelf)) => shelf.take(&self.directory, &self.temporary).is_ok(),
        };
        if !kept {
            self.remove();
        }
    }
}

#[cfg(test)]
mod tests;
