//! `--remove-source-files`: what the destination has is removed here, file by file, as soon as that is known.
//!
//! Never a directory, and nothing that has changed since it was listed: what was received is then not what is here.

use std::io;

use crate::error::ExitCode;
use crate::events::{About, Monitor};
use crate::tree::dir::Tree;
use crate::tree::entry::Entry;

/// What became of an entry that was to be removed.
enum Removal {
    Removed,
    Vanished,
    Changed,
}

/// Removes an entry of the source, and reports where that cannot be.
pub fn remove(tree: &Tree, entry: &Entry, monitor: &Monitor) {
    let path = entry.path();
    match try_remove(tree, entry) {
        Ok(Removal::Removed) => {
            monitor.remark(About::Removal, 2, &format!("removed {} from the source", path.display()))
        }
        Ok(Removal::Vanished) => monitor.detail(1, &format!("{} is already removed", path.display())),
        Ok(Removal::Changed) => {
            let text = format!("{} has changed since it was listed: it is not removed", path.display());
            monitor.warn(ExitCode::Partial, &text);
        }
        Err(error) => monitor.failed("remove", &path, &error),
    }
}

fn try_remove(tree: &Tree, entry: &Entry) -> io::Result<Removal> {
    let Some(now) = tree.lstat(entry.relative())? else { return Ok(Removal::Vanished) };
    let same_time = now.mtime == entry.mtime || !entry.is_file();
    if entry.is_dir() || now.kind != entry.kind || !same_time {
        return Ok(Removal::Changed);
    }
    tree.remove_file(entry.relative()).map(|()| Removal::Removed)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn only_what_is_as_it_was_listed_is_removed_and_never_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("same"), "1").unwrap();
        fs::write(dir.path().join("changed"), "1").unwrap();
        fs::create_dir(dir.path().join("dir")).unwrap();
        let tree = Tree::open(dir.path()).unwrap();
        let listed = |name: &str| tree.lstat(Path::new(name)).unwrap().expect(name);
        let (same, changed, directory) = (listed("same"), listed("changed"), listed("dir"));
        fs::write(dir.path().join("changed"), "12").unwrap();
        assert!(matches!(try_remove(&tree, &same), Ok(Removal::Removed)));
        assert!(matches!(try_remove(&tree, &same), Ok(Removal::Vanished)));
        assert!(matches!(try_remove(&tree, &changed), Ok(Removal::Changed)));
        assert!(matches!(try_remove(&tree, &directory), Ok(Removal::Changed)));
        assert!(dir.path().join("changed").exists() && dir.path().join("dir").exists());
    }
}
