//! A directory that the user named for a purpose of his own: backups, unfinished files, files to link to.
//!
//! A name that stays within a tree is a directory of that tree, and reached as all in it is: through no link. Any other
//! (absolute, or beginning with `..`) is the user's own word for a place outside; it is opened when the room is, links in
//! it followed, as far as it is there by then, and what is missing is made beneath that. So nothing that a peer plants
//! during a sync leads anywhere.

use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::dir::Tree;
use super::notes::Notes;

/// See the module's head.
#[derive(Debug)]
pub struct Room {
    tree: Tree,
    /// Below the tree's root; empty for the root itself.
    below: PathBuf,
}

impl Room {
    /// Opens what `named` means in `tree`. Whether it is there does not matter yet.
    ///
    /// # Errors
    /// Those of opening what there is of a place outside.
    pub fn open(tree: &Tree, named: &Path) -> io::Result<Room> {
        let named = plain(named);
        if is_within(&named) {
            return Ok(Room { tree: tree.try_clone()?, below: named });
        }
        Room::outside(&tree.path().join(named))
    }

    /// Opens a place of the user's own wording, as far as it is there.
    ///
    /// # Errors
    /// Those of opening what there is of it.
    pub fn outside(full: &Path) -> io::Result<Room> {
        for there in full.ancestors() {
            let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
            match Tree::open(there) {
                Ok(tree) => {
                    let below = full.strip_prefix(there).unwrap_or(full).to_path_buf();
                    return Ok(Room { tree, below });
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::NotFound.into())
    }

    /// The tree that the room is in.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Where `place` has its counterpart in the room, below the tree's root.
    pub fn at(&self, place: &Path) -> PathBuf {
        let path = if place == Path::new(".") { self.below.clone() } else { self.below.join(place) };
        if path.as_os_str().is_empty() { PathBuf::from(".") } else { path }
    }

    /// The place with notes of what is in it to be made from here on.
    pub fn noting(self, notes: Notes) -> Room {
        Room { tree: self.tree.noting(notes), ..self }
    }

    /// Whether there is a directory.
    pub fn is_there(&self) -> bool {
        self.tree.lstat(&self.at(Path::new("."))).is_ok_and(|found| found.is_some_and(|found| found.is_dir()))
    }

    /// A path of the room with that of its tree before it, for messages.
    pub fn shown(&self, path: &Path) -> PathBuf {
        self.tree.path().join(path)
    }

    /// Makes the room itself, where it is missing: with the bits of `mode` that the umask allows.
    ///
    /// # Errors
    /// The system's.
    pub fn make(&self, mode: u32) -> io::Result<()> {
        let mut path = PathBuf::new();
        for part in &self.below {
            path.push(part);
            make_dir(&self.tree, &path, mode)?;
        }
        Ok(())
    }
}

/// Makes a directory if there is nothing; says whether it did.
///
/// # Errors
/// The system's.
pub fn make_dir(tree: &Tree, path: &Path, mode: u32) -> io::Result<bool> {
    match tree.create_dir(path, mode) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        made => made.map(|()| true),
    }
}

/// A path without `.`, and without `..` after a name: empty for the directory itself.
pub fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if plain.file_name().is_some() => {
                plain.pop();
            }
            part => plain.push(OsStr::new(part.as_os_str())),
        }
    }
    plain
}

/// Whether a plain path stays within whatever it is relative to.
pub fn is_within(plain: &Path) -> bool {
    plain.components().all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_plain_path_has_no_detours() {
        for (path, wanted) in
            [(".", ""), ("./a/./b", "a/b"), ("a/../b", "b"), ("../../a", "../../a"), ("/a/../b", "/b")]
        {
            assert_eq!(plain(Path::new(path)), Path::new(wanted), "{path}");
        }
        assert_eq!(plain(Path::new("a/../../b")), Path::new("../b"));
    }

    #[test]
    fn a_room_within_the_tree_is_reached_through_no_link() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("tree")).unwrap();
        fs::create_dir_all(dir.path().join("outside")).unwrap();
        symlink("../outside", dir.path().join("tree/room")).unwrap();
        let tree = Tree::open(&dir.path().join("tree")).unwrap();
        for named in ["room/sub", "./x/../room/sub"] {
            let room = Room::open(&tree, Path::new(named)).unwrap();
            assert!(room.make(0o755).is_err(), "{named}");
        }
        assert!(!dir.path().join("outside/sub").exists());
    }

    #[test]
    fn what_is_planted_in_a_room_outside_after_it_was_opened_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("tree")).unwrap();
        fs::create_dir_all(dir.path().join("outside")).unwrap();
        let tree = Tree::open(&dir.path().join("tree")).unwrap();
        let room = Room::open(&tree, Path::new("../tree/new/room")).unwrap();
        symlink("../outside", dir.path().join("tree/new")).unwrap();
        assert!(room.make(0o755).is_err());
        assert!(!dir.path().join("outside/room").exists());
    }

    #[test]
    fn a_room_outside_is_made_with_all_that_leads_to_it() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("tree")).unwrap();
        let tree = Tree::open(&dir.path().join("tree")).unwrap();
        let room = Room::open(&tree, Path::new("../a/b")).unwrap();
        room.make(0o755).unwrap();
        assert!(dir.path().join("a/b").is_dir());
        assert_eq!(room.shown(&room.at(Path::new("x"))), dir.path().join("tree/..").join("a/b/x"));
    }
}
