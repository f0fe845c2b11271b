//! What the tests of this module share: a place with a tree and something outside of it, and a run as another user.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::dir::Tree;
use super::entry::Entry;

/// A temporary directory with two directories in it: `root`, which the tree under test is opened on, and `outside`.
pub(super) struct Place {
    dir: TempDir,
}

impl Place {
    pub(super) fn new() -> Self {
        Self::within(TempDir::new().unwrap())
    }

    /// A place in memory where the system has one: making thousands of directories waits for a busy disk otherwise.
    pub(super) fn in_memory() -> Self {
        Self::within(TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap())
    }

    fn within(dir: TempDir) -> Self {
        fs::create_dir(dir.path().join("root")).unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        Self { dir }
    }

    pub(super) fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    pub(super) fn outside(&self) -> PathBuf {
        self.dir.path().join("outside")
    }

    pub(super) fn tree(&self) -> Tree {
        Tree::open(&self.root()).unwrap()
    }

    /// Writes a file below the root, with its parents.
    pub(super) fn file(&self, relative: &str, contents: impl AsRef<[u8]>) {
        write(&self.root().join(relative), contents);
    }

    /// Makes a directory below the root, with its parents.
    pub(super) fn directory(&self, relative: &str) {
        fs::create_dir_all(self.root().join(relative)).unwrap();
    }

    pub(super) fn read(&self, relative: &str) -> Vec<u8> {
        fs::read(self.root().join(relative)).unwrap()
    }
}

pub(super) fn write(path: &Path, contents: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, contents).unwrap();
}

pub(super) fn path(relative: &str) -> &Path {
    Path::new(relative)
}

pub(super) fn lstat(tree: &Tree, relative: &str) -> Entry {
    tree.lstat(Path::new(relative)).unwrap().unwrap()
}

/// Everything below `top` that a change could show in.
pub(super) fn snapshot(top: &Path) -> BTreeMap<PathBuf, (u32, u32, i64, i64, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut left = vec![top.to_path_buf()];
    while let Some(path) = left.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let contents = if meta.is_file() {
            fs::read(&path).unwrap()
        } else if meta.is_symlink() {
            fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec()
        } else {
            Vec::new()
        };
        if meta.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|item| item.unwrap().path()));
        }
        found.insert(path, (meta.mode(), meta.uid(), meta.mtime(), meta.mtime_nsec(), contents));
    }
    found
}

/// Names in a directory, in order.
pub(super) fn names(directory: &Path) -> Vec<Vec<u8>> {
    let name = |item: std::io::Result<fs::DirEntry>| item.unwrap().file_name().as_bytes().to_vec();
    let mut names: Vec<_> = fs::read_dir(directory).unwrap().map(name).collect();
    names.sort();
    names
}

const AGAIN: &str = "SY_TEST_AGAIN";

/// Whether the test called `name` (its full path) is to do its work here, as a user whom modes bind. Root, whom they do
/// not, runs the test again as nobody, in a process of its own that must succeed.
pub(super) fn bound_by_modes(name: &str) -> bool {
    if !super::owners::is_root() {
        return true;
    }
    assert!(std::env::var_os(AGAIN).is_none(), "still root after giving it up");
    run_again(name, |command| command.uid(65534).gid(65534));
    false
}

/// Whether the test called `name` is to do its work here, alone in its process, as one that changes something which all
/// threads share must be. Elsewhere it is run again in a process of its own that must succeed.
pub(super) fn alone(name: &str) -> bool {
    if std::env::var_os(AGAIN).is_some() {
        return true;
    }
    run_again(name, |command| command);
    false
}

fn run_again(name: &str, prepare: impl Fn(&mut Command) -> &mut Command) {
    let run = |exe: &Path| {
        let mut command = Command::new(exe);
        prepare(command.args(["--exact", name]).env(AGAIN, "1").current_dir("/")).output()
    };
    let exe = std::env::current_exe().unwrap();
    let place = TempDir::new().unwrap();
    let output = run(&exe).unwrap_or_else(|_| {
        // The build directory may be closed to others.
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let copy = place.path().join("test");
        fs::copy(&exe, &copy).unwrap();
        run(&copy).unwrap()
    });
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
