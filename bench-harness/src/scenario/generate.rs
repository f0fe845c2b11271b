//! Writes a planned tree to a disk, as it is before (`Version::Before`) or after the edits (`Version::After`).
//!
//! Refuses to write into a directory that exists already: a half-made tree must never pass for a whole one.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;

use anyhow::{Context, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::layout::{EDIT_AGE, Kind, Node, plan};
use super::rng::Rng;
use super::{Scenario, edit};
use crate::tree::times::set_mtime;

/// Which of a scenario's two trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Version {
    /// As generated.
    Before,
    /// After the edits of the `delta` operation.
    After,
}

/// Writes one version of the scenario's tree as the directory `root`, which must not exist.
///
/// # Errors
/// When anything cannot be written.
pub fn generate(scenario: &Scenario, seed: u64, version: Version, root: &Path) -> Result<()> {
    let nodes = plan(scenario, seed);
    let edits = match version {
        Version::Before => Default::default(),
        Version::After => edit::choose(scenario, &nodes, seed),
    };
    let write = |node: &&Node| {
        let edited = edits.get(&node.path).map(Vec::as_slice).unwrap_or_default();
        write_node(scenario, seed, node, edited, root)
            .with_context(|| format!("cannot generate {}", root.join(&node.path).display()))
    };
    // Every file has random numbers of its own, so it does not matter who writes it when; but what others lie in comes
    // before them, and a second name after the first.
    let turn = |node: &&Node| match node.kind {
        Kind::Dir => 0,
        Kind::File { .. } | Kind::Symlink(_) => 1,
        Kind::HardLink(_) => 2,
    };
    let of = |wanted| nodes.iter().filter(move |node| turn(node) == wanted).collect::<Vec<_>>();
    of(0).iter().try_for_each(write)?;
    of(1).par_iter().try_for_each(write)?;
    of(2).iter().try_for_each(write)?;
    // Directories last and from the leaves up: creating an entry changes the time of the directory it lies in.
    for node in nodes.iter().rev().filter(|n| n.kind == Kind::Dir) {
        let path = root.join(&node.path);
        fs::set_permissions(&path, fs::Permissions::from_mode(node.mode))
            .and_then(|()| set_mtime(&path, node.mtime.secs, node.mtime.nanos))
            .with_context(|| format!("cannot finish directory {}", path.display()))?;
    }
    Ok(())
}

fn write_node(scenario: &Scenario, seed: u64, node: &Node, edits: &[edit::Edit], root: &Path) -> Result<()> {
    let path = root.join(&node.path);
    match &node.kind {
        Kind::Dir => return Ok(fs::create_dir(&path)?),
        Kind::HardLink(first) => return Ok(fs::hard_link(root.join(first), &path)?),
        Kind::Symlink(target) => symlink(target, &path)?,
        Kind::File { size, content } => {
            let mut label = format!("{}/bytes/", scenario.name).into_bytes();
            label.extend_from_slice(node.path.as_os_str().as_encoded_bytes());
            let mut rng = Rng::keyed(seed, &label);
            let bytes = content.make(&mut rng, *size as usize);
            write_file(&path, node.mode, &edit::apply(bytes, edits, *content, &mut rng))?;
        }
    }
    let age = if edits.is_empty() { 0 } else { EDIT_AGE };
    Ok(set_mtime(&path, node.mtime.secs + age, node.mtime.nanos)?)
}

fn write_file(path: &Path, mode: u32, bytes: &[u8]) -> Result<()> {
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    Ok(file.set_permissions(fs::Permissions::from_mode(mode))?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use super::*;
    use crate::scenario::tests::tiny;
    use crate::tree::snapshot::Snapshot;

    /// Moves only when a scenario's bytes move, and then every recorded result is of another tree: raise the schema
    /// of the samples, say so in the commit, and pin the new value.
    const PINNED: (&str, &str) = ("d7af7027728e1205ceb598177342f699", "01a2d587ce6e5d2ede1d59acf151b329");

    fn make(seed: u64, version: Version) -> (tempfile::TempDir, Snapshot) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("tree");
        generate(&tiny(), seed, version, &root).unwrap();
        let snapshot = Snapshot::take(&root).unwrap();
        (dir, snapshot)
    }

    #[test]
    fn a_tree_has_the_same_digest_on_every_machine() {
        let digests = (make(42, Version::Before).1.digest(), make(42, Version::After).1.digest());
        assert_eq!((digests.0.as_str(), digests.1.as_str()), PINNED);
    }

    #[test]
    fn another_seed_is_another_tree() {
        assert_ne!(make(1, Version::Before).1.digest(), make(2, Version::Before).1.digest());
    }

    #[test]
    fn the_edited_tree_differs_in_the_chosen_files_alone() {
        let ((_a, before), (_b, after)) = (make(42, Version::Before), make(42, Version::After));
        let chosen = edit::choose(&tiny(), &plan(&tiny(), 42), 42);
        let differences = before.compare(&after);
        let paths: BTreeSet<&Path> = differences.iter().map(|d| d.path.as_path()).collect();
        // A hard link's second name follows its first; nothing else may differ.
        let twin = |p: &PathBuf| p.to_str().and_then(|s| s.strip_suffix("_a")).map(|s| PathBuf::from(format!("{s}_b")));
        let twins: Vec<PathBuf> = chosen.keys().filter(|p| p.starts_with("extras")).filter_map(twin).collect();
        let expected: BTreeSet<&Path> = chosen.keys().chain(&twins).map(PathBuf::as_path).collect();
        assert_eq!(paths, expected, "{differences:#?}");
    }

    #[test]
    fn an_existing_directory_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(generate(&tiny(), 1, Version::Before, dir.path()).is_err());
    }
}
