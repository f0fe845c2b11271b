//! Giving what stands at one place another one, perhaps in another tree: what is to be kept before it is replaced or removed.
//!
//! By another name of the same file where that serves, else by a copy with its metadata; what is in the way at the other
//! place goes, a directory with its contents. Directories themselves are not set aside.

use std::io;
use std::path::Path;

use rustix::fs::{AtFlags, linkat, renameat};
use rustix::io::Errno;

use super::copy::copy_contents;
use super::dir::Tree;
use super::entry::{Entry, Kind};
use super::metadata::{self, Keep};
use super::owners;
use super::place::TempFile;

/// An entry's place in a tree.
#[derive(Clone, Copy, Debug)]
pub struct Spot<'a> {
    /// The tree.
    pub tree: &'a Tree,
    /// Below its root.
    pub path: &'a Path,
}

/// What becomes of the first place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It stays what it is: the second becomes another name of it, if that can be.
    Link,
    /// It is free afterwards.
    Move,
    /// It stays, and will be written into: the second is a file of its own.
    Copy,
}

/// Brings what stands at `from` to `to`. `false` if nothing stands there.
///
/// # Errors
/// `NotFound` where the directory of `to` is missing; else the system's. What stands at `from` is then still there.
pub fn set_aside(from: Spot<'_>, to: Spot<'_>, way: Way) -> io::Result<bool> {
    let Some(entry) = from.tree.lstat(from.path)? else { return Ok(false) };
    match try_to(from, to, way, &entry) {
        Err(error) if is_in_the_way(&error) => {
            clear(to)?;
            try_to(from, to, way, &entry)?;
        }
        result => result?,
    }
    Ok(true)
}

fn try_to(from: Spot<'_>, to: Spot<'_>, way: Way, entry: &Entry) -> io::Result<()> {
    let (old_parent, old_name) = from.tree.at(from.path)?;
    let (parent, name) = to.tree.at(to.path)?;
    let done = match way {
        Way::Link => linkat(&old_parent, old_name, &parent, name, AtFlags::empty()),
        Way::Move => renameat(&old_parent, old_name, &parent, name),
        Way::Copy => Err(Errno::XDEV),
    };
    match done {
        Ok(()) => {}
        // Another file system, or one without hard links.
        Err(Errno::XDEV | Errno::PERM | Errno::MLINK | Errno::OPNOTSUPP | Errno::NOSYS) => copy(from, to, entry)?,
        Err(error) => return Err(error.into()),
    }
    // A rename over another name of the same file leaves both.
    if way == Way::Move && from.tree.lstat(from.path)?.is_some() {
        from.tree.remove_file(from.path)?;
    }
    Ok(())
}

fn copy(from: Spot<'_>, to: Spot<'_>, entry: &Entry) -> io::Result<()> {
    let mut entry = entry.clone();
    from.tree.read_values(from.path, &mut entry)?;
    let entry = &entry;
    let fake = from.tree.notes().fake;
    let keep = Keep {
        perms: true,
        times: true,
        owner: fake || owners::is_root(),
        group: fake || owners::can_give_group(entry.gid),
        fake,
        xattrs: from.tree.notes().xattrs.clone(),
        acls: from.tree.notes().acls,
        ..Keep::default()
    };
    match &entry.kind {
        Kind::File { size } => {
            let source = from.tree.open_file(from.path)?;
            let copied = TempFile::create(to.tree, to.path)?;
            copy_contents(&source, copied.file(), *size, false, &mut Vec::new())?;
            metadata::finish_file(copied.file(), entry, &keep, None)?;
            return copied.commit();
        }
        Kind::Symlink { target } => to.tree.replace_with_symlink(target, to.path)?,
        Kind::Dir => return Err(io::ErrorKind::IsADirectory.into()),
        kind => to.tree.replace_with_node(kind, to.path, entry.mode)?,
    }
    metadata::apply(to.tree, to.path, entry, &keep, None)
}

fn is_in_the_way(error: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, IsADirectory};
    matches!(error.kind(), AlreadyExists | IsADirectory | DirectoryNotEmpty)
}

fn clear(spot: Spot<'_>) -> io::Result<()> {
    match spot.tree.lstat(spot.path)? {
        Some(entry) if entry.is_dir() => spot.tree.remove_tree(spot.path, &mut |_, _| {}),
        Some(_) => spot.tree.remove_file(spot.path),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    fn set(dir: &Path, from: &str, to: &str, way: Way) -> io::Result<bool> {
        let tree = Tree::open(dir).unwrap();
        set_aside(Spot { tree: &tree, path: Path::new(from) }, Spot { tree: &tree, path: Path::new(to) }, way)
    }

    #[test]
    fn what_is_moved_is_there_no_more_and_what_is_linked_or_copied_still_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for (way, stays, same) in [(Way::Link, true, true), (Way::Copy, true, false), (Way::Move, false, true)] {
            fs::write(path("a"), "contents").unwrap();
            fs::set_permissions(path("a"), fs::Permissions::from_mode(0o604)).unwrap();
            let inode = fs::metadata(path("a")).unwrap().ino();
            assert!(set(dir.path(), "a", "b", way).unwrap());
            assert_eq!(path("a").exists(), stays, "{way:?}");
            let kept = fs::metadata(path("b")).unwrap();
            assert_eq!((kept.ino() == inode, kept.mode() & 0o777), (same, 0o604), "{way:?}");
            assert_eq!(fs::read(path("b")).unwrap(), b"contents");
            let _ = fs::remove_file(path("a"));
        }
    }

    #[test]
    fn a_file_that_has_the_other_name_already_is_moved_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "x").unwrap();
        fs::hard_link(dir.path().join("a"), dir.path().join("b")).unwrap();
        assert!(set(dir.path(), "a", "b", Way::Move).unwrap());
        assert!(!dir.path().join("a").exists() && dir.path().join("b").exists());
    }

    #[test]
    fn what_is_in_the_way_goes_and_nothing_is_set_aside_where_nothing_is() {
        let dir = tempfile::tempdir().unwrap();
        for way in [Way::Link, Way::Copy, Way::Move] {
            fs::write(dir.path().join("a"), "x").unwrap();
            fs::create_dir_all(dir.path().join("b/sub")).unwrap();
            assert!(set(dir.path(), "a", "b", way).unwrap(), "{way:?}");
            assert!(dir.path().join("b").is_file());
            fs::remove_file(dir.path().join("b")).unwrap();
        }
        assert!(!set(dir.path(), "gone", "b", Way::Link).unwrap());
        fs::write(dir.path().join("a"), "x").unwrap();
        assert_eq!(set(dir.path(), "a", "none/b", Way::Move).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
