//! What sy does otherwise than rsync on purpose, or what neither promises: taken out before the two are compared, each
//! with its reason. Everything else must be equal.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sy::cli::names::printable;

use super::generate::{Case, FOLLOWING};
use crate::harness::Snapshot;
use crate::harness::process::Finished;
use crate::harness::snapshot::Contents;
use crate::harness::tree::Node;

/// No access time that a case gives to anything is later.
const LAST_ATIME: i64 = 1_600_000_000;

/// Makes two trees comparable.
pub fn tree(mut tree: Snapshot, begun: SystemTime, case: &Case) -> Snapshot {
    // A kernel's clock for files lags behind by a tick.
    let begun = begun.duration_since(UNIX_EPOCH).unwrap_or_default() - Duration::from_millis(50);
    let (keeps_times, keeps_modes) = (has(&case.options, 't'), has(&case.options, 'p'));
    for (path, item) in &mut tree.items {
        let mtime = Duration::new(item.mtime.0.max(0) as u64, item.mtime.1 as u32);
        let is_dir = item.contents == Contents::Dir;
        // Times since the case began are "now", whatever they are. Without -t a directory's time tells only whether
        // something was made in it under a temporary name; that of the directory above the destination is nobody's.
        if mtime >= begun || (is_dir && (!keeps_times || case.moves_dir_times())) || path.as_os_str() == "." {
            item.mtime = (i64::MAX, 0);
        }
        // With -K rsync gives the link the times and the owner of the directory, and sy what it leads to.
        if case.enters() && (path.starts_with("outside/sub") || matches!(item.contents, Contents::Symlink(_))) {
            (item.mtime, item.owner) = ((i64::MAX, 0), (0, 0));
        }
        // That of what has none of its own is when it was made, or read.
        if item.atime.is_some_and(|secs| secs > LAST_ATIME) {
            item.atime = Some(i64::MAX);
        }
        // What list a directory of backups has depends on whether its model has been given its own by then.
        if is_dir && path.components().any(|part| part.as_os_str() == "backup") {
            item.xattrs.retain(|name, _| !name.starts_with("system."));
        }
        // And the link's mode, in which all may write, to the directory of backups.
        if case.enters() && is_dir && path.starts_with("backup") {
            item.mode = 0;
        }
        // What is not kept, linked names have from whichever of them was there before.
        if item.first_name.is_some() && !keeps_times {
            item.mtime = (i64::MAX, 0);
        }
        if item.first_name.is_some() && !keeps_modes {
            item.mode = 0;
        }
        if item.first_name.is_some() && !(has(&case.options, 'o') && has(&case.options, 'g')) {
            item.owner = (0, 0);
        }
        if !keeps_modes && case.type_changed(path, &item.contents) {
            // Without -p rsync gives a new file the mode of whatever stood there: 0777 after a link. sy takes it for new.
            item.mode = 0;
        }
    }
    tree
}

/// Whether an option that -a implies is in force.
fn has(options: &[String], letter: char) -> bool {
    options.iter().any(|option| option == "-a" || (!option.starts_with("--") && option.contains(letter)))
        && !options.iter().any(|option| *option == format!("--no-{letter}"))
}

impl Case {
    /// Whether not all that the source does not have may be deleted.
    pub fn is_limited(&self) -> bool {
        self.options.iter().any(|option| option.starts_with("--max-delete"))
    }

    /// Whether links are followed, at either end.
    pub fn follows_links(&self) -> bool {
        self.enters() || self.options.iter().any(|option| FOLLOWING.contains(&option.as_str()))
    }

    /// Whether links are followed at the destination.
    fn enters(&self) -> bool {
        self.options.iter().any(|option| option == "-K")
    }

    /// Whether a path below the tool's directory held something of another type before.
    fn type_changed(&self, path: &Path, now: &Contents) -> bool {
        let Ok(path) = path.strip_prefix("destination") else { return false };
        let before = self.destination.as_ref().and_then(|tree| tree.entries.get(path));
        before.is_some_and(|before| {
            !matches!(
                (&before.node, now),
                (Node::File(_) | Node::HardLink(_), Contents::File { .. })
                    | (Node::Dir, Contents::Dir)
                    | (Node::Symlink(_), Contents::Symlink(_))
                    | (Node::Fifo, Contents::Fifo)
                    | (Node::CharDevice(..), Contents::Device(_))
            )
        })
    }
}

/// What must be equal where `--max-delete` ends deletions: how many there were. Which they are is each tool's order.
pub fn deletions_differ(ours: &Finished, theirs: &Finished) -> Option<String> {
    let count = |finished: &Finished| {
        finished.stdout.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"*deleting")).count()
    };
    let (ours, theirs) = (count(ours), count(theirs));
    (ours != theirs).then(|| format!("{ours} deletions, rsync {theirs}"))
}

/// Lines of `-i` that only one of the two printed.
pub fn differences(ours: &Finished, theirs: &Finished, case: &Case) -> Vec<String> {
    let (ours, theirs) = (lines(ours, case), lines(theirs, case));
    let only = |who: &str, lines: &BTreeSet<String>, others: &BTreeSet<String>| -> Vec<String> {
        lines.difference(others).map(|line| format!("only {who}: {line}")).collect()
    };
    [only("sy", &ours, &theirs), only("rsync", &theirs, &ours)].concat()
}

fn lines(finished: &Finished, case: &Case) -> BTreeSet<String> {
    let linked = case.linked_names();
    let early = case.options.iter().any(|option| option == "--delete-before");
    let text = String::from_utf8_lossy(&finished.stdout).into_owned();
    // In a dry run rsync says of a directory within one that goes that it cannot be deleted, and then that it is.
    let stays = |line: &str| {
        let dir = line.strip_prefix("*deleting   ").and_then(|path| path.strip_suffix('/'));
        dir.is_some_and(|dir| text.lines().any(|line| line == format!("cannot delete non-empty directory: {dir}")))
    };
    let lines = text.lines().filter(|line| is_itemized(line) && !stays(line));
    // Which name of a file is made and which become links to it is each tool's choice: the trees must agree, no more.
    lines
        .filter(|line| !linked.iter().any(|name| line[12..].split(" => ").any(|part| part.ends_with(name))))
        .map(direction)
        .filter_map(|line| if early { without_dir_time(line) } else { Some(line) })
        .collect()
}

impl Case {
    /// Last components of the names of files with several: in the source where that is kept, and in the destination, where
    /// what is changed under one name has been changed before its other names are looked at.
    fn linked_names(&self) -> Vec<String> {
        let source = Some(&self.source).filter(|_| self.options.iter().any(|option| option == "-H"));
        let trees = source.into_iter().chain(&self.destination);
        let nodes = trees.flat_map(|tree| &tree.entries).filter_map(|(path, spec)| match &spec.node {
            Node::HardLink(first) => Some([path.clone(), first.clone()]),
            Node::Symlink(_) if self.follows_links() => Some([path.clone(), path.clone()]),
            _ => None,
        });
        nodes.flatten().filter_map(|path| Some(printable(Path::new(path.file_name()?)))).collect()
    }
}

/// rsync says some of what sy complains of on standard output.
fn is_itemized(line: &str) -> bool {
    let mut letters = line.chars();
    letters.next().is_some_and(|letter| "<>ch.*".contains(letter)) && line.as_bytes().get(11) == Some(&b' ')
}

/// rsync runs on one machine here, where everything is received; sy also pushes.
fn direction(line: &str) -> String {
    line.strip_prefix('<').map_or_else(|| line.to_string(), |rest| format!(">{rest}"))
}

/// With `--delete-before` rsync itemizes the times that its own deletions have moved, and in a dry run does not. sy says
/// what differed before it came.
fn without_dir_time(line: String) -> Option<String> {
    let line = if line.starts_with(".d..t") { line.replacen('t', ".", 1) } else { line };
    (!line.starts_with(".d.........")).then_some(line)
}
