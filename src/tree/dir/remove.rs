//! Removing a whole tree below the root: bottom-up, never through a link, at any depth.
//!
//! Goes on after an entry that cannot be removed, and keeps only that entry and its parents. A directory on which a file
//! system is mounted is left alone with its contents (and with its parents): it is not what the caller meant to delete,
//! and it could not be removed. Directories that their owner may not search or write are opened up first.

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, fchmod, fstat, unlinkat};
use rustix::io::Errno;

use super::chain::Chain;
use super::list::{FileType, Listing};
use super::{Tree, beneath, path};
use crate::tree::{metadata, stat};

/// Told of each removed path below the root, and what it was: a file where that was not told.
type OnRemoved<'a> = &'a mut dyn FnMut(&Path, FileType);

/// See [`Tree::remove_tree`].
pub(super) fn remove_tree(tree: &Tree, relative: &Path, on_removed: OnRemoved<'_>) -> io::Result<()> {
    let (_, name) = path::split(relative)?;
    if name == "." {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the root of a tree is not removed"));
    }
    let (parent, name) = tree.at(relative)?;
    match open_to_empty(parent.as_fd(), name) {
        Ok(handle) => {
            let chain = Chain::new(tree, path::directory(relative)?, handle);
            let removal = Removal { chain, levels: Vec::new(), listing: Listing::default(), on_removed, failure: None };
            let result = removal.run().and_then(|on_removed| {
                unlinkat(&parent, name, AtFlags::REMOVEDIR)?;
                on_removed(relative, FileType::Dir);
                Ok(())
            });
            tree.forget_handles();
            result
        }
        Err(error) if is_no_directory(&error) => {
            unlinkat(&parent, name, AtFlags::empty())?;
            on_removed(relative, FileType::File);
            Ok(())
        }
        Err(error) => Err(error),
    }
}

struct Removal<'a> {
    chain: Chain<'a>,
    levels: Vec<Level>,
    listing: Listing,
    on_removed: OnRemoved<'a>,
    /// The first error; the walk goes on after it.
    failure: Option<io::Error>,
}

/// What is left to do in one directory of the chain.
#[derive(Default)]
struct Level {
    /// Directories not yet emptied, the next one last.
    pending: Vec<CString>,
    /// Whether something in it stays, so that removing it need not be tried.
    stays: bool,
}

impl<'a> Removal<'a> {
    /// Empties the directory that the chain starts with, and hands back whom to tell of it.
    fn run(mut self) -> io::Result<OnRemoved<'a>> {
        self.clear();
        while let Some(level) = self.levels.last_mut() {
            match level.pending.pop() {
                Some(name) => self.descend(&name),
                None => self.ascend(),
            }
        }
        self.failure.map_or(Ok(self.on_removed), Err)
    }

    /// Removes what is no directory from the directory just entered, and queues the rest.
    fn clear(&mut self) {
        self.levels.push(Level::default());
        let mut listing = std::mem::take(&mut self.listing);
        if let Err(error) = self.chain.handle().and_then(|handle| listing.read(handle)) {
            self.fail(None, error);
        }
        for (name, file_type) in listing.iter() {
            if file_type == Some(FileType::Dir) {
                self.queue(name);
            } else {
                self.remove_file(name, file_type.unwrap_or(FileType::File));
            }
        }
        self.listing = listing;
    }

    fn queue(&mut self, name: &CStr) {
        if let Some(level) = self.levels.last_mut() {
            level.pending.push(name.to_owned());
        }
    }

    fn remove_file(&mut self, name: &CStr, file_type: FileType) {
        let result = self.chain.handle().and_then(|handle| Ok(unlinkat(handle, name, AtFlags::empty())?));
        match result {
            Ok(()) => self.removed(name, file_type),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // The type was not known, or it has become a directory. Systems other than Linux say EPERM for one.
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => self.queue(name),
            Err(error) if error.raw_os_error() == Some(Errno::PERM.raw_os_error()) && self.is_dir(name) => {
                self.queue(name);
            }
            Err(error) => self.fail(Some(name), error),
        }
    }

    fn is_dir(&self, name: &CStr) -> bool {
        let Ok(handle) = self.chain.handle() else { return false };
        rustix::fs::statat(handle, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| stat::is_dir(&stat))
    }

    fn descend(&mut self, name: &CStr) {
        let opened = self.chain.handle().and_then(|handle| open_to_empty(handle, name));
        match opened.and_then(|handle| self.chain.enter(name, handle)) {
            Ok(()) => self.clear(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if is_no_directory(&error) => self.remove_file(name, FileType::File),
            Err(error) => self.fail(Some(name), error),
        }
    }

    /// Leaves a directory in which all has been done, and removes it.
    fn ascend(&mut self) {
        let stays = self.levels.pop().is_some_and(|level| level.stays);
        let path = self.chain.path().as_os_str().as_bytes();
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default().to_vec();
        match self.chain.leave() {
            Ok(false) => return,
            Ok(true) => {}
            Err(error) => {
                if let Some(level) = self.levels.last_mut() {
                    level.pending.clear();
                }
                return self.fail(None, error);
            }
        }
        if stays {
            return self.mark();
        }
        // A name that came from a directory or a checked path has no NUL.
        let Ok(name) = CString::new(name) else { return };
        let result = self.chain.handle().and_then(|handle| Ok(unlinkat(handle, name.as_c_str(), AtFlags::REMOVEDIR)?));
        match result {
            Ok(()) => self.removed(&name, FileType::Dir),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.fail(Some(&name), error),
        }
    }

    fn removed(&mut self, name: &CStr, file_type: FileType) {
        let path = self.chain.child(name, Vec::new());
        (self.on_removed)(Path::new(OsStr::from_bytes(&path)), file_type);
    }

    fn mark(&mut self) {
        if let Some(level) = self.levels.last_mut() {
            level.stays = true;
        }
    }

    /// Notes that the entry `name`, or the present directory, could not be removed.
    fn fail(&mut self, name: Option<&CStr>, error: io::Error) {
        self.mark();
        if self.failure.is_none() {
            let path = name.map_or_else(
                || self.chain.path().as_os_str().as_bytes().to_vec(),
                |name| self.chain.child(name, Vec::new()),
            );
            let path = Path::new(OsStr::from_bytes(&path));
            self.failure = Some(io::Error::new(error.kind(), format!("{}: {error}", path.display())));
        }
    }
}

/// Opens a directory whose entries are about to be removed, giving its owner all rights to it where they lack.
fn open_to_empty(parent: BorrowedFd<'_>, name: impl rustix::path::Arg + Copy) -> io::Result<OwnedFd> {
    let opened = beneath::open_same_mount(parent, name);
    let handle = match opened {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            metadata::set_mode_at(parent, name, 0o700).map_err(|_| error)?;
            beneath::open_same_mount(parent, name)?
        }
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            return Err(io::Error::new(error.kind(), "a file system is mounted here"));
        }
        result => result?,
    };
    let mode = stat::mode(&fstat(&handle)?);
    if mode & 0o700 != 0o700 {
        // Whoever is not its owner may still have the rights by its group: the removals themselves will tell.
        let _ = fchmod(&handle, stat::bits(mode | 0o700));
    }
    Ok(handle)
}

fn is_no_directory(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotADirectory || error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}
