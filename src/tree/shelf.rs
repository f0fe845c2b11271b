//! A place in a directory of its own for a file that is not to have its name yet: one that was interrupted
//! (`--partial-dir`), or one that waits for all others (`--delay-updates`).
//!
//! The directory is made when the first file is put there, only the last of those that lead to it, and closed to others: what
//! is in it may not have its mode yet.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, openat, renameat, unlinkat};
use rustix::io::Errno;

use super::copy::copy_contents;
use super::dir::Tree;
use super::room::make_dir;

/// Mode of the directory.
const MODE: u32 = 0o700;

/// See the module's head.
#[derive(Debug)]
pub struct Shelf {
    tree: Tree,
    path: PathBuf,
}

impl Shelf {
    /// The place `path` in `tree`.
    ///
    /// # Errors
    /// Those of [`Tree::try_clone`].
    pub fn new(tree: &Tree, path: PathBuf) -> io::Result<Shelf> {
        Ok(Shelf { tree: tree.try_clone()?, path })
    }

    /// Moves what is called `name` in `directory` there. From another file system only its contents come.
    pub(super) fn take(&self, directory: &OwnedFd, name: &OsStr) -> io::Result<()> {
        if let Some(dir) = self.path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            make_dir(&self.tree, dir, MODE)?;
        }
        let (parent, kept) = self.tree.at(&self.path)?;
        match renameat(directory, name, &parent, kept) {
            Err(Errno::XDEV) => {}
            renamed => return Ok(renamed?),
        }
        let from = openat(directory, name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let to = openat(&parent, kept, flags, Mode::RUSR | Mode::WUSR)?;
        let (from, to) = (from.into(), to.into());
        copy_contents(&from, &to, from.metadata()?.len(), false, &mut Vec::new())?;
        Ok(unlinkat(directory, name, AtFlags::empty())?)
    }
}

impl Tree {
    /// Gives what is at `from` in the tree `other`, which is no directory, the name `relative` here.
    ///
    /// # Errors
    /// What `rename` says.
    pub fn take_from(&self, relative: &Path, other: &Tree, from: &Path) -> io::Result<()> {
        let (old_parent, old_name) = other.at(from)?;
        let (parent, name) = self.at(relative)?;
        Ok(renameat(&old_parent, old_name, &parent, name)?)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::tree::place::{TempFile, WhenAbandoned};

    fn shelved(dir: &Path, path: &str) -> io::Result<()> {
        let tree = Tree::open(dir)?;
        let shelf = Shelf::new(&tree, path.into())?;
        TempFile::create_with(&tree, Path::new("f"), WhenAbandoned::KeepOn(shelf))?.keep_partial()
    }

    #[test]
    fn the_last_directory_is_made_for_us_alone_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        shelved(dir.path(), "shelf/f").unwrap();
        assert_eq!(fs::metadata(dir.path().join("shelf")).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(dir.path().join("shelf/f").is_file());
        assert!(shelved(dir.path(), "none/shelf/f").is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left of what could not be kept");
    }

    #[test]
    fn a_link_in_the_directory_s_place_is_not_followed() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        symlink(outside.path(), dir.path().join("shelf")).unwrap();
        assert!(shelved(dir.path(), "shelf/f").is_err());
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_of_another_file_system_is_copied() {
        let (dir, Ok(other)) = (tempfile::tempdir().unwrap(), tempfile::tempdir_in("/dev/shm")) else { return };
        let tree = Tree::open(dir.path()).unwrap();
        let shelf = Shelf::new(&Tree::open(other.path()).unwrap(), "f".into()).unwrap();
        let temp = TempFile::create_with(&tree, Path::new("f"), WhenAbandoned::KeepOn(shelf)).unwrap();
        io::Write::write_all(&mut temp.file(), b"half").unwrap();
        temp.keep_partial().unwrap();
        assert_eq!(fs::read(other.path().join("f")).unwrap(), b"half");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
