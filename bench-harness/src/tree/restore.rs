//! Puts a destination back into the state that a run starts from, touching only what the last run changed.
//!
//! Entries that agree with the template in type, size, mode, time and target are trusted: a run whose contents were
//! wrong is followed by `remove`, never by `restore`. The result is checked (metadata) before it is handed back, so a
//! tool is never measured against a destination that was half restored.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use anyhow::{Context, Result, bail};
use rayon::prelude::*;

use super::snapshot::{Kind, Record, Snapshot};
use super::times::set_mtime;

/// Makes `dst` equal to the tree at `template`, of which `wanted` is a snapshot; only its metadata is looked at.
///
/// # Errors
/// When something cannot be read or written, or `dst` is not equal afterwards.
pub fn restore(template: &Path, wanted: &Snapshot, dst: &Path) -> Result<()> {
    if !dst.exists() {
        fs::create_dir(dst).with_context(|| format!("cannot create {}", dst.display()))?;
    }
    let present = Snapshot::metadata(dst)?;
    if wanted.beside(&present).all(|(_, wanted, present)| wanted.zip(present).is_some_and(|(w, p)| w.agrees(p))) {
        return Ok(());
    }
    let (mut gone, mut missing) = (Vec::new(), Vec::new());
    for (path, wanted, present) in wanted.beside(&present) {
        if wanted.zip(present).is_none_or(|(wanted, present)| !same(wanted, present)) {
            gone.extend(present.map(|record| (path, record)));
            missing.extend(wanted.map(|record| (path, record)));
        }
    }
    for (path, record) in gone.into_iter().rev() {
        remove_entry(&dst.join(path), record).with_context(|| format!("cannot remove {path:?}"))?;
    }
    let make = |(path, record): &(&Path, &Record)| {
        copy(&template.join(path), &dst.join(path), record).with_context(|| format!("cannot restore {path:?}"))
    };
    let (dirs, others): (Vec<_>, Vec<_>) = missing.into_iter().partition(|(_, record)| record.kind == Kind::Dir);
    dirs.iter().try_for_each(make)?;
    others.par_iter().try_for_each(make)?;
    for (path, record) in wanted.entries().rev().filter(|(_, record)| record.kind == Kind::Dir) {
        finish(&dst.join(path), record).with_context(|| format!("cannot restore {path:?}"))?;
    }
    if let Some(difference) = wanted.compare(&Snapshot::metadata(dst)?).first() {
        bail!("{} could not be restored: {difference}", dst.display());
    }
    Ok(())
}

/// Removes a whole tree, directories without write permission included. A tree that is not there is no error.
///
/// # Errors
/// When something in it cannot be removed.
pub fn remove(root: &Path) -> Result<()> {
    let done = match remove_all(root) {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            open_up(root);
            remove_all(root)
        }
        other => other,
    };
    match done {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(e).with_context(|| format!("cannot remove {}", root.display()))
        }
        _ => Ok(()),
    }
}

/// The directories of the root side by side. All of it is done before the next sync is timed: a removal that went on
/// behind it would be part of its time.
fn remove_all(root: &Path) -> io::Result<()> {
    let dirs: Vec<_> =
        fs::read_dir(root)?.flatten().filter(|item| item.file_type().is_ok_and(|t| t.is_dir())).collect();
    dirs.par_iter().try_for_each(|item| fs::remove_dir_all(item.path()))?;
    fs::remove_dir_all(root)
}

/// Directories are kept whatever their time and mode are: those are set at the end anyway.
fn same(a: &Record, b: &Record) -> bool {
    a.agrees(b) || (a.kind == Kind::Dir && b.kind == Kind::Dir)
}

fn remove_entry(path: &Path, record: &Record) -> io::Result<()> {
    if record.kind == Kind::Dir { fs::remove_dir(path) } else { fs::remove_file(path) }
}

fn copy(from: &Path, to: &Path, record: &Record) -> io::Result<()> {
    match &record.kind {
        Kind::Dir => return fs::create_dir(to),
        Kind::Symlink(target) => symlink(target, to)?,
        Kind::File(..) => {
            fs::copy(from, to)?;
            fs::set_permissions(to, fs::Permissions::from_mode(record.mode))?;
        }
        Kind::Other => return Err(io::Error::other("a special file cannot be restored")),
    }
    set_mtime(to, record.mtime.0, record.mtime.1 as u32)
}

fn finish(path: &Path, record: &Record) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(record.mode))?;
    set_mtime(path, record.mtime.0, record.mtime.1 as u32)
}

/// Gives the owner every right on the directories; what cannot be changed shows when the removal fails again.
fn open_up(dir: &Path) {
    let _ = fs::set_permissions(dir, fs::Permissions::from_mode(0o700));
    for item in fs::read_dir(dir).into_iter().flatten().flatten() {
        if item.file_type().is_ok_and(|t| t.is_dir()) {
            open_up(&item.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::scenario::generate::{Version, generate};
    use crate::scenario::tests::tiny;

    fn template() -> (tempfile::TempDir, Snapshot) {
        let dir = tempfile::tempdir().unwrap();
        generate(&tiny(), 1, Version::Before, &dir.path().join("before")).unwrap();
        generate(&tiny(), 1, Version::After, &dir.path().join("dst")).unwrap();
        let wanted = Snapshot::metadata(&dir.path().join("before")).unwrap();
        (dir, wanted)
    }

    fn contents_agree(dir: &Path) {
        let (a, b) = (Snapshot::take(&dir.join("before")).unwrap(), Snapshot::take(&dir.join("dst")).unwrap());
        assert_eq!(a.compare(&b), []);
    }

    #[test]
    fn an_edited_tree_is_put_back_and_unchanged_files_are_left_alone() {
        let (dir, wanted) = template();
        let dst = dir.path().join("dst");
        let inodes = || -> Vec<u64> {
            wanted.entries().map(|(p, _)| fs::symlink_metadata(dst.join(p)).unwrap().ino()).collect()
        };
        let before = inodes();
        restore(&dir.path().join("before"), &wanted, &dst).unwrap();
        contents_agree(dir.path());
        let moved = before.iter().zip(inodes()).filter(|(a, b)| **a != *b).count();
        assert!(moved < before.len() / 2, "{moved} of {} entries were made anew", before.len());
    }

    #[test]
    fn missing_extra_and_mistyped_entries_are_put_right() {
        let (dir, wanted) = template();
        let dst = dir.path().join("dst");
        remove(&dst.join("media")).unwrap();
        fs::write(dst.join("media"), b"a file in the place of a directory").unwrap();
        fs::create_dir_all(dst.join("planted/deep")).unwrap();
        fs::remove_file(dst.join("extras/empty_000")).unwrap();
        fs::create_dir(dst.join("extras/empty_000")).unwrap();
        restore(&dir.path().join("before"), &wanted, &dst).unwrap();
        contents_agree(dir.path());
    }

    #[test]
    fn a_missing_destination_is_made_whole() {
        let (dir, wanted) = template();
        remove(&dir.path().join("dst")).unwrap();
        restore(&dir.path().join("before"), &wanted, &dir.path().join("dst")).unwrap();
        contents_agree(dir.path());
    }

    #[test]
    fn removing_what_is_not_there_is_no_error() {
        assert!(remove(Path::new("/nonexistent/for/sure")).is_ok());
    }
}
