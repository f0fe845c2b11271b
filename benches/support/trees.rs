//! Trees on disk, always the same for the same arguments.

use std::fs;
use std::path::Path;

use sy::tree::dir::Tree;
use sy::tree::entry::Entry;
use sy::tree::scanner::{ScanOptions, scan};
use tempfile::TempDir;

/// A tree of `count` empty files, in memory where the system has such a place.
pub fn tree(count: usize) -> TempDir {
    let dir = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).expect("a temporary directory");
    for file in 0..count {
        let path = dir.path().join(format!("module_{:03}/part_{:02}/file_{file:06}.rs", file / 100, file / 10 % 10));
        fs::create_dir_all(path.parent().expect("a directory")).expect("directories");
        fs::write(path, "").expect("a file");
    }
    dir
}

/// Lists all of the tree at `root`.
pub fn scan_all(root: &Path) -> Vec<Entry> {
    let options = ScanOptions { recursive: true, one_file_system: false, skip_mounts: false, hard_links: false };
    let tree = Tree::open(root).expect("the tree");
    scan(&tree, Path::new("."), &options, &mut |_: &Path, _: bool| true, &mut |path, error| {
        panic!("{}: {error}", path.display())
    })
}
