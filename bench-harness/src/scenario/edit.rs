//! The edits of the `delta` operation: bytes changed in place, an insertion that shifts what follows, an append.
//!
//! Pure: which files are edited and what becomes of their bytes follow from the scenario and the seed. An edit never
//! leaves a file as it was.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::content::Content;
use super::layout::{Kind, Node};
use super::rng::Rng;
use super::{Edits, Scenario};

/// One in-place change for every so many bytes of a file, and one at least.
const OVERWRITE_EVERY: u64 = 4 << 20;

/// The three things people do to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edit {
    /// Some bytes are replaced; the size stays.
    Overwrite,
    /// Some bytes are added within; what follows is shifted.
    Insert,
    /// Some bytes are added at the end.
    Append,
    /// One byte in every so many is another; the size stays.
    Scatter(u64),
}

const ALL: [Edit; 3] = [Edit::Overwrite, Edit::Insert, Edit::Append];

/// Which files of the plan are edited, and how.
pub fn choose(scenario: &Scenario, nodes: &[Node], seed: u64) -> BTreeMap<PathBuf, Vec<Edit>> {
    let files: Vec<&Node> = nodes.iter().filter(|n| matches!(n.kind, Kind::File { .. })).collect();
    let count = ((files.len() as f64 * scenario.delta.share).round() as usize).max(1);
    let mut rng = Rng::keyed(seed, format!("{}/edited", scenario.name).as_bytes());
    let picked = rng.sample(files.len(), count);
    let edits = |turn: usize| match scenario.delta.edits {
        Edits::InTurn => vec![ALL[turn % ALL.len()]],
        Edits::All => ALL.to_vec(),
        Edits::Scattered { every } => vec![Edit::Scatter(every)],
    };
    picked.into_iter().enumerate().map(|(turn, i)| (files[i].path.clone(), edits(turn))).collect()
}

/// `bytes` after `edits`, new bytes being of the file's own kind of content.
pub fn apply(mut bytes: Vec<u8>, edits: &[Edit], content: Content, rng: &mut Rng) -> Vec<u8> {
    for edit in edits {
        match edit {
            Edit::Overwrite => overwrite(&mut bytes, content, rng),
            Edit::Insert => {
                let at = rng.below(bytes.len() as u64 / 2 + 1) as usize;
                let len = rng.between(1, grain(&bytes)) as usize;
                bytes.splice(at..at, content.make(rng, len));
            }
            Edit::Append => {
                let len = rng.between(1, grain(&bytes)) as usize;
                bytes.extend(content.make(rng, len));
            }
            Edit::Scatter(every) => scatter(&mut bytes, *every as usize, rng),
        }
    }
    bytes
}

/// The most that one edit adds or replaces at one place: a few lines of a small file, 64 KiB of a large one.
fn grain(bytes: &[u8]) -> u64 {
    (bytes.len() as u64 / 20).clamp(16, 64 << 10)
}

fn overwrite(bytes: &mut Vec<u8>, content: Content, rng: &mut Rng) {
    if bytes.is_empty() {
        // An empty file has no byte to change in place; growing is the one edit that is left.
        bytes.extend(content.make(rng, 16));
        return;
    }
    for _ in 0..=(bytes.len() as u64 / OVERWRITE_EVERY) {
        let len = rng.between(1, grain(bytes).min(bytes.len() as u64)) as usize;
        let at = rng.below((bytes.len() - len) as u64 + 1) as usize;
        let fresh = content.make(rng, len);
        let changed = bytes[at..at + len] != fresh[..];
        bytes[at..at + len].copy_from_slice(&fresh);
        if !changed {
            bytes[at] ^= 1;
        }
    }
}

fn scatter(bytes: &mut Vec<u8>, every: usize, rng: &mut Rng) {
    if bytes.is_empty() {
        bytes.push(b'x');
    }
    for stretch in bytes.chunks_mut(every) {
        let at = rng.below(stretch.len() as u64) as usize;
        stretch[at] ^= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::layout::plan;
    use crate::scenario::tests::tiny;

    fn edited(edit: Edit, len: usize) -> (Vec<u8>, Vec<u8>) {
        let mut rng = Rng::keyed(11, b"edit");
        let before = Content::Incompressible.make(&mut rng, len);
        (before.clone(), apply(before, &[edit], Content::Incompressible, &mut rng))
    }

    fn common_prefix(a: &[u8], b: &[u8]) -> usize {
        a.iter().zip(b).take_while(|(x, y)| x == y).count()
    }

    #[test]
    fn overwrite_keeps_the_size_and_changes_some_bytes() {
        for len in [1, 40, 5000, 10 << 20] {
            let (before, after) = edited(Edit::Overwrite, len);
            let changed = before.iter().zip(&after).filter(|(a, b)| a != b).count();
            assert_eq!(before.len(), after.len());
            assert!(changed > 0 && (len < 100 || changed * 10 < len), "{changed} of {len}");
        }
    }

    #[test]
    fn insert_shifts_what_follows() {
        let (before, after) = edited(Edit::Insert, 100_000);
        let (grown, kept) = (after.len() - before.len(), common_prefix(&before, &after));
        assert!(grown > 0 && kept <= before.len() / 2 + 1);
        assert_eq!(before[kept..], after[kept + grown..]);
    }

    #[test]
    fn append_leaves_the_old_bytes_in_front() {
        let (before, after) = edited(Edit::Append, 100_000);
        assert!(after.len() > before.len());
        assert_eq!(before, after[..before.len()]);
    }

    #[test]
    fn scatter_changes_one_byte_in_every_stretch() {
        let (before, after) = edited(Edit::Scatter(1000), 10_500);
        assert_eq!(before.len(), after.len());
        for (old, new) in before.chunks(1000).zip(after.chunks(1000)) {
            assert_eq!(old.iter().zip(new).filter(|(a, b)| a != b).count(), 1);
        }
    }

    #[test]
    fn no_edit_leaves_an_empty_file_empty() {
        for edit in ALL.into_iter().chain([Edit::Scatter(7)]) {
            assert!(!edited(edit, 0).1.is_empty(), "{edit:?}");
        }
    }

    #[test]
    fn a_tenth_is_edited_in_turn_and_a_single_file_gets_all_kinds() {
        let nodes = plan(&tiny(), 1);
        let files = nodes.iter().filter(|n| matches!(n.kind, Kind::File { .. })).count();
        let chosen = choose(&tiny(), &nodes, 1);
        assert_eq!(chosen.len(), (files as f64 * 0.2).round() as usize);
        for kind in ALL {
            assert!(chosen.values().any(|edits| edits == &[kind]), "{kind:?} is never chosen");
        }
        let mut one = tiny();
        one.delta.edits = Edits::All;
        one.delta.share = 0.0;
        assert_eq!(choose(&one, &nodes, 1).into_values().collect::<Vec<_>>(), [ALL.to_vec()]);
    }
}
