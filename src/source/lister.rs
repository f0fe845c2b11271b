//! A source that is listed ahead of who sends it: directory by directory, on a thread of its own, so many directories
//! ahead and no more.
//!
//! Only where each directory can be told by itself: the sources are directories, none of them twice by one name, their
//! paths are not kept, and nothing is to be deleted before all is listed. Anything else is for
//! [`Source::scan`](super::Source::scan), which sees all of it before anybody else does.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use tokio::sync::mpsc;

use super::relative::Named;
use super::{Rules, absolute, digest, report_unlisted, scan_options, split};
use crate::events::Monitor;
use crate::filter::{Filter, Side, Verdict};
use crate::options::{DeleteTime, Options};
use crate::protocol::{chunk, codec};
use crate::tree::dir::Tree;
use crate::tree::entry::Entry;
use crate::tree::scanner::{Keep, LinkGroups, Visited, walk};

/// Directories that are listed before anybody has asked for them.
const AHEAD: usize = 64;
/// Entries in them at which the next directory waits: some MiB. A directory is listed to its end once it is begun.
const ENTRIES_AHEAD: usize = 16 << 10;

/// A directory that was listed.
pub struct Listed {
    /// It and what is in it.
    pub visited: Visited,
    /// The tree that it is in, counted from 0 in the order of [`Lister::roots`].
    pub root: usize,
    /// Something of the source, here or before, could not be read.
    pub incomplete: bool,
}

/// A source that is being listed.
pub struct Lister {
    /// The names that the list begins with, in the order of their bytes; `.` alone where the contents of a directory are
    /// meant. Each is visited in this order, before what comes after it.
    pub roots: Vec<OsString>,
    /// The trees that they are in.
    pub trees: Vec<Arc<Tree>>,
    listed: mpsc::Receiver<Listed>,
    ahead: Arc<Ahead>,
}

/// Entries that are listed and not taken.
#[derive(Default)]
struct Ahead {
    entries: Mutex<usize>,
    taken: Condvar,
}

impl Ahead {
    /// Adds to them, once there is room.
    fn add(&self, entries: usize) {
        let held = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |held: &mut usize| *held >= ENTRIES_AHEAD;
        *self.taken.wait_while(held, full).unwrap_or_else(PoisonError::into_inner) += entries;
    }

    /// Takes from them.
    fn take(&self, entries: usize) {
        let mut held = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        *held = held.saturating_sub(entries);
        self.taken.notify_one();
    }
}

impl Listed {
    /// What is in it, as it is counted; all of it has the directory's path.
    fn entries(&self) -> usize {
        match &self.visited {
            Visited::Dir { own, entries, dirs } => codec::weight(own) * (1 + entries.len()) + dirs.len(),
            Visited::Lost => 1,
        }
    }
}

impl Drop for Lister {
    /// Lets go of a thread that waits, for room in the queue or for entries to be taken.
    fn drop(&mut self) {
        self.listed.close();
        self.ahead.take(usize::MAX);
    }
}

impl Lister {
    /// Begins to list `paths`; `None` where they cannot be told directory by directory.
    pub fn start(
        paths: &[Vec<u8>],
        options: &Options,
        filter: &Filter,
        seed: u64,
        monitor: &Arc<Monitor>,
    ) -> Option<Lister> {
        // Who deletes before anything else has to know of all there is, who leaves out empty directories of all that is
        // below them, and who gives files their names at the end does so before directories are done with.
        let wants_all = options.delete == Some(DeleteTime::Before) || options.prune_empty_dirs || options.delay_updates;
        if !options.recursive || options.relative || wants_all {
            return None;
        }
        let mut roots: BTreeMap<OsString, (Arc<Tree>, PathBuf)> = BTreeMap::new();
        let mut last: Option<Arc<Tree>> = None;
        for path in paths {
            let Named { root, path: start, .. } = split(Path::new(OsStr::from_bytes(path)));
            // Once for all sources in a row that are in it: there may be more of them than files can be open.
            let tree = match last.take_if(|last| last.path() == root) {
                Some(tree) => tree,
                None => {
                    let tree = Tree::open_source(&root, options.follow()).ok()?;
                    Arc::new(tree.noting(options.notes_of_source(seed, filter.xattr_choice(Side::Sender))))
                }
            };
            last = Some(tree.clone());
            let is_dir = tree.lstat(&start).ok().flatten().is_some_and(|entry| entry.is_dir());
            let excluded = filter.clone().with_root(&absolute(&root)).verdict(Side::Sender, &start, true);
            if !is_dir || excluded == Verdict::Excluded {
                return None;
            }
            let name = start.clone().into_os_string();
            if roots.insert(name, (tree, start)).is_some() {
                return None;
            }
        }
        let contents = roots.contains_key(OsStr::new("."));
        // Their names are one chunk.
        let names: usize = roots.keys().map(|name| name.len()).sum();
        if roots.is_empty() || (contents && roots.len() > 1) || names > chunk::FILL {
            return None;
        }
        let (into, listed) = mpsc::channel(AHEAD);
        let ahead = Arc::new(Ahead::default());
        let names = roots.keys().cloned().collect();
        let trees: Vec<Arc<Tree>> = roots.values().map(|(tree, _)| tree.clone()).collect();
        let starts: Vec<PathBuf> = roots.into_values().map(|(_, start)| start).collect();
        let (options, filter, monitor) = (options.clone(), filter.clone(), monitor.clone());
        let work = Work { options, filter, seed, monitor, into, ahead: ahead.clone() };
        let walked = trees.clone();
        std::thread::spawn(move || work.list(&walked, &starts));
        Some(Lister { roots: names, trees, listed, ahead })
    }

    /// The next directory; `None` once there is none.
    pub async fn next(&mut self) -> Option<Listed> {
        let listed = self.listed.recv().await?;
        self.ahead.take(listed.entries());
        Some(listed)
    }

    /// The next directory, if it has been listed already.
    pub fn ready(&mut self) -> Option<Listed> {
        let listed = self.listed.try_recv().ok()?;
        self.ahead.take(listed.entries());
        Some(listed)
    }
}

struct Work {
    options: Options,
    filter: Filter,
    seed: u64,
    monitor: Arc<Monitor>,
    into: mpsc::Sender<Listed>,
    ahead: Arc<Ahead>,
}

/// What the rules let be sent and a message can hold.
struct Sendable<'a> {
    rules: Rules<'a>,
    work: &'a Work,
    incomplete: &'a Cell<bool>,
}

impl Keep for Sendable<'_> {
    fn enter(&mut self, dir: &Path) -> std::io::Result<()> {
        self.rules.enter(dir)
    }

    fn wants(&mut self, path: &Path, is_dir: bool) -> bool {
        self.rules.wants(path, is_dir) && self.work.fits(path, self.incomplete)
    }
}

impl Work {
    fn list(&self, trees: &[Arc<Tree>], starts: &[PathBuf]) {
        let (mut groups, incomplete) = (LinkGroups::default(), Cell::new(false));
        for (root, (tree, start)) in trees.iter().zip(starts).enumerate() {
            // The handles that the sender opens files by are its own.
            let Ok(tree) = tree.try_clone() else { return };
            let rules = Rules::new(&self.filter, &tree, &self.options, &self.monitor);
            let mut keep = Sendable { rules, work: self, incomplete: &incomplete };
            let mut report = |path: &Path, error: std::io::Error| {
                if report_unlisted(&tree, path, &error, &self.monitor) {
                    incomplete.set(true);
                }
            };
            let seen = Cell::new(false);
            let mut visit = |mut visited: Visited| {
                seen.set(true);
                self.look_at(&tree, &mut visited);
                let listed = Listed { visited, root, incomplete: incomplete.get() };
                self.ahead.add(listed.entries());
                self.into.blocking_send(listed).is_ok()
            };
            let scan = scan_options(&self.options);
            if walk(&tree, start, &scan, &mut groups, &mut keep, &mut report, &mut visit).is_some() {
                self.monitor.failed("read the source", &tree.path().join(start), &"it is a directory no more");
            }
            if !seen.get() {
                // A directory a moment ago: the list has its name, and what comes next is not to be taken for it.
                incomplete.set(true);
                visit(Visited::Lost);
            }
        }
    }

    /// Whether a path can be sent; if not, the list is not all of the source.
    fn fits(&self, path: &Path, incomplete: &Cell<bool>) -> bool {
        let fits = path.as_os_str().len() <= codec::MAX_PATH;
        if !fits {
            incomplete.set(true);
            let longest = format!("a path of more than {} bytes cannot be sent", codec::MAX_PATH);
            self.monitor.failed("list", path, &longest);
        }
        fits
    }

    fn look_at(&self, tree: &Tree, visited: &mut Visited) {
        let Visited::Dir { entries, .. } = visited else { return };
        if self.options.checksum {
            entries.iter_mut().filter(|entry| entry.is_file()).for_each(|entry| self.digest(tree, entry));
        }
        let bytes = entries.iter().map(|entry| entry.kind.size()).fold(0, u64::saturating_add);
        self.monitor.progress.found(entries.len() as u64 + 1, bytes);
    }

    fn digest(&self, tree: &Tree, entry: &mut Entry) {
        match tree.open_file(entry.relative()).and_then(|file| digest(file, self.seed)) {
            Ok(digest) => entry.set_digest(digest),
            // Without a digest the receiver takes the contents to differ, and the transfer reports the error.
            Err(error) => self.monitor.detail(1, &format!("cannot hash {}: {error}", entry.path().display())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::error::ExitCode;

    fn start(paths: &[PathBuf]) -> Option<Lister> {
        let monitor = Arc::new(Monitor::deaf());
        let options = Options { recursive: true, ..Options::default() };
        let paths: Vec<Vec<u8>> = paths.iter().map(|path| path.as_os_str().as_bytes().to_vec()).collect();
        Lister::start(&paths, &options, &Filter::default(), 1, &monitor)
    }

    #[test]
    fn sources_of_one_directory_share_its_handle_and_too_many_are_for_a_whole_list() {
        let dir = tempfile::TempDir::new().expect("a temporary directory");
        let made: Vec<PathBuf> = (0..300).map(|index| dir.path().join(format!("{index:0>250}"))).collect();
        made.iter().for_each(|path| fs::create_dir(path).expect("a directory"));
        let lister = start(&made[..200]).expect("directories");
        assert!(lister.trees.iter().all(|tree| Arc::ptr_eq(tree, &lister.trees[0])));
        assert!(start(&made).is_none());
    }

    #[test]
    fn who_lists_waits_until_entries_are_taken_and_is_let_go_with_the_lister() {
        let dir = tempfile::TempDir::new_in("/dev/shm").or_else(|_| tempfile::TempDir::new()).expect("a directory");
        for name in ["a", "b", "c"] {
            fs::create_dir(dir.path().join(name)).expect("a directory");
            (0..ENTRIES_AHEAD).for_each(|file| drop(fs::File::create(dir.path().join(format!("{name}/{file}")))));
        }
        let mut lister = start(&[dir.path().join(".")]).expect("a directory");
        let (ahead, mut taken) = (lister.ahead.clone(), 0);
        while let Some(listed) = lister.listed.blocking_recv() {
            // What is counted is what was listed and this one; of the directories that are full, never two.
            assert!(*ahead.entries.lock().expect("nobody panicked") <= 2 * ENTRIES_AHEAD);
            lister.ahead.take(listed.entries());
            taken += listed.entries();
        }
        assert_eq!(taken, 3 * (ENTRIES_AHEAD + 1) + 4);
        let lister = start(&[dir.path().join(".")]).expect("a directory");
        let ahead = Arc::downgrade(&lister.ahead);
        drop(lister);
        while ahead.strong_count() > 0 {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_root_that_has_gone_or_is_no_directory_any_more_is_lost_and_the_others_keep_their_places() {
        let dir = tempfile::TempDir::new().expect("a temporary directory");
        for (makes_file, code) in [(false, ExitCode::Vanished), (true, ExitCode::Partial)] {
            for name in ["a", "c"] {
                fs::create_dir_all(dir.path().join(name)).expect("a directory");
            }
            if makes_file {
                fs::write(dir.path().join("b"), "").expect("a file");
            }
            let tree = Arc::new(Tree::open(dir.path()).expect("it is there"));
            let monitor = Arc::new(Monitor::deaf());
            let (into, mut listed) = mpsc::channel(AHEAD);
            let (options, filter) = (Options { recursive: true, ..Options::default() }, Filter::default());
            let work = Work { options, filter, seed: 1, monitor: monitor.clone(), into, ahead: Arc::default() };
            work.list(&[tree.clone(), tree.clone(), tree], &["a", "b", "c"].map(PathBuf::from));
            drop(work);
            let told = std::iter::from_fn(|| listed.blocking_recv());
            let told: Vec<_> =
                told.map(|listed| (listed.root, matches!(listed.visited, Visited::Lost), listed.incomplete)).collect();
            assert_eq!(told, [(0, false, false), (1, true, true), (2, false, true)]);
            assert_eq!(monitor.exit_code(), code);
        }
    }
}
