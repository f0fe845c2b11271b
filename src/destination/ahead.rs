//! What stands in the destination's directories, looked at on threads of its own while their chunks are still to come.
//!
//! A directory is known by name as soon as its parent's chunk is here; it is then listed, and what is in it looked at, in the
//! order in which the chunks will come, so much ahead and no more. What was found saves a look and is good only where that
//! would say the same: the directory must be as it was then; a name that was not found is looked for again, since it may
//! have come, or the file system may take it for another; a directory, or a file of several names, always is. Nothing of
//! ours is in a directory before its own chunk is here. Where nothing stands, no thread is begun; where the source has little
//! of what stands there, nobody goes on looking.

use std::collections::{HashMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::Destination;
use super::delete::child;
use crate::plan::Decision;
use crate::tree::dir::{Looked, Tree};
use crate::tree::entry::Entry;

/// Directories that are looked at before anybody has asked for them.
const AHEAD: usize = 64;
/// Entries in them at which the next directory waits: a few MiB. A directory of more is left to who decides about it: the
/// source may have little of it.
const ENTRIES_AHEAD: usize = 16 << 10;
/// Looks that may have been for nothing before nobody looks any more. One of use makes up for another. Few
/// in tests.
const FOR_NOTHING: usize = if cfg!(test) { 100 } else { 4 * ENTRIES_AHEAD };
/// Threads that look. Looking is most of what a receiver of an unchanged tree does.
const THREADS: usize = 2;

/// See the module's head.
#[derive(Default)]
pub struct Ahead {
    shared: Arc<Shared>,
    threads: usize,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Directories to look at, those in the deepest directory last.
    waiting: Vec<Waiting>,
    /// Directories that are being looked at.
    busy: Vec<u32>,
    found: HashMap<u32, Looked>,
    /// Entries in `found`.
    entries: usize,
    /// Looks so far, less two for each that was of use, in what is not in `found`.
    for_nothing: usize,
    ended: bool,
}

/// The directories in one directory that are to be looked at. Their names only: a peer may announce a million of them.
struct Waiting {
    /// The number of the directory that they are in, and where it is.
    parent: u32,
    path: PathBuf,
    /// Each with its number, in the order in which their chunks will come.
    names: VecDeque<(u32, OsString)>,
}

/// What stands in one directory, but for its directories.
pub struct Found {
    looked: Looked,
    /// Where the next name is looked for: both sides are in the order of their bytes.
    next: usize,
    /// How many were asked for.
    used: usize,
    shared: Arc<Shared>,
}

impl Drop for Found {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let before = state.for_nothing;
        state.for_nothing = (before + self.looked.looks()).saturating_sub(2 * self.used);
        let goes_on = before > FOR_NOTHING && state.for_nothing <= FOR_NOTHING;
        drop(state);
        if goes_on {
            self.shared.changed.notify_all();
        }
    }
}

impl Found {
    /// What stands there by this name, if it was there when it was looked at. Names are asked for in their order.
    pub fn take(&mut self, name: &OsStr) -> Option<Entry> {
        while self.looked.name(self.next)? < name {
            self.next += 1;
        }
        if self.looked.name(self.next)? != name {
            return None;
        }
        self.next += 1;
        let entry = self.looked.take(self.next - 1);
        self.used += usize::from(entry.is_some());
        entry
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, tree: &Tree) {
        let mut state = self.lock();
        loop {
            let idle = |state: &mut State| {
                let full = state.found.len() >= AHEAD || state.entries >= ENTRIES_AHEAD;
                !state.ended && (full || state.for_nothing > FOR_NOTHING || state.waiting.is_empty())
            };
            state = self.changed.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
            if state.ended {
                return;
            }
            let next = state.waiting.last_mut().and_then(|last| {
                let (number, name) = last.names.pop_front()?;
                Some((number, child(&last.path, &name)))
            });
            let Some((number, path)) = next else {
                state.waiting.pop();
                continue;
            };
            state.busy.push(number);
            drop(state);
            let looked = tree.look(&path, ENTRIES_AHEAD);
            state = self.lock();
            state.busy.retain(|busy| *busy != number);
            if let Ok(looked) = looked {
                state.entries += looked.len();
                state.found.insert(number, looked);
            }
            self.changed.notify_all();
        }
    }
}

impl Ahead {
    /// The chunks of the directories `names` in `path`, which has the number `parent` in `tree`, will come in this order:
    /// after those of others in it, before any that were announced for another.
    pub fn announce(&mut self, tree: &Tree, parent: u32, path: &Path, names: VecDeque<(u32, OsString)>) {
        if names.is_empty() {
            return;
        }
        let mut state = self.shared.lock();
        match state.waiting.last_mut().filter(|last| last.parent == parent) {
            Some(last) => last.names.extend(names),
            None => state.waiting.push(Waiting { parent, path: path.to_path_buf(), names }),
        }
        drop(state);
        self.shared.changed.notify_all();
        while self.threads < THREADS {
            let (shared, tree) = (self.shared.clone(), tree.try_clone());
            let begun = tree.and_then(|tree| std::thread::Builder::new().spawn(move || shared.work(&tree)));
            // Without one everything is looked at when it is due.
            self.threads = if begun.is_ok() { self.threads + 1 } else { THREADS };
        }
    }

    /// What was found in a directory whose chunk is here; `None` if it has not been looked at.
    pub fn take(&self, number: u32) -> Option<Found> {
        if self.threads == 0 {
            return None;
        }
        let mut state = self.shared.lock();
        // It is the next of those that were announced last, or none waits.
        let last = state.waiting.iter_mut().map(|waiting| &mut waiting.names).rev().find(|names| !names.is_empty());
        if let Some(names) = last.filter(|names| names.front().is_some_and(|(first, _)| *first == number)) {
            names.pop_front();
        }
        let busy = |state: &mut State| state.busy.contains(&number);
        state = self.shared.changed.wait_while(state, busy).unwrap_or_else(PoisonError::into_inner);
        let looked = state.found.remove(&number)?;
        state.entries -= looked.len();
        drop(state);
        self.shared.changed.notify_all();
        Some(Found { looked, next: 0, used: 0, shared: self.shared.clone() })
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.changed.notify_all();
    }
}

impl Destination {
    /// Has directories in `dir`, which was decided about and has this number, looked at before their chunks are here.
    pub fn look_ahead(&mut self, number: u32, dir: &Path, dirs: impl Iterator<Item = (u32, OsString)>) {
        let absent = self.empty.contains(dir) || self.ignored.contains(dir) || self.failed.contains(dir);
        if let Some(tree) = self.tree.as_ref().filter(|_| !absent) {
            self.ahead.announce(tree, number, dir, dirs.collect());
        }
    }

    /// What was found in a directory whose first chunk is here, and in which nothing has been done.
    pub fn found_in(&self, number: u32, dir: &Path) -> Option<Found> {
        let tree = self.tree.as_ref()?;
        self.ahead.take(number).filter(|found| tree.is_as_looked(dir, &found.looked))
    }

    /// Decides about an entry of a directory, like [`Destination::prepare`], knowing what was found there.
    pub fn prepare_with(&mut self, entry: &Entry, found: &mut Option<Found>) -> Decision {
        std::mem::swap(&mut self.found, found);
        let decision = self.prepare(entry);
        std::mem::swap(&mut self.found, found);
        decision
    }
}

#[cfg(test)]
mod tests;
