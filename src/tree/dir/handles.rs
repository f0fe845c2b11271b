//! The last few directory handles of a tree, so that a thousand files of one directory cost one open.
//!
//! A handle names a directory, not a path: it goes stale when its path comes to mean another directory. Whatever we do
//! ourselves that can do this (removing or renaming a directory) raises the tree's generation, which all clones of a
//! tree share, and a cache of an older generation is emptied before it is read. What others do to the tree meanwhile can
//! leave a handle on a directory that has moved; the same holds between any `open` and the call that follows it.

use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Directories kept open. Enough for the directories that a batch of files touches; one thread holds no more than this.
const KEPT: usize = 8;

/// Most recently used last.
#[derive(Debug, Default)]
pub(super) struct Handles {
    generation: u64,
    kept: Vec<(Box<[u8]>, Arc<OwnedFd>)>,
}

impl Handles {
    /// The handle of the longest kept directory that is `path` or above it, and how much of `path` it covers.
    pub(super) fn nearest(&mut self, path: &[u8], generation: u64) -> Option<(usize, Arc<OwnedFd>)> {
        self.renew(generation);
        let above = |kept: &[u8]| path.starts_with(kept) && matches!(path.get(kept.len()), None | Some(b'/'));
        let best =
            (0..self.kept.len()).filter(|at| above(&self.kept[*at].0)).max_by_key(|at| self.kept[*at].0.len())?;
        self.kept[best..].rotate_left(1);
        let (covered, handle) = self.kept.last()?;
        Some((covered.len(), Arc::clone(handle)))
    }

    /// Keeps `handle`, which was opened while the tree was at `generation`.
    pub(super) fn keep(&mut self, path: &[u8], handle: Arc<OwnedFd>, generation: u64) {
        if self.generation != generation {
            return;
        }
        if self.kept.len() == KEPT {
            self.kept.remove(0);
        }
        self.kept.push((path.into(), handle));
    }

    fn renew(&mut self, generation: u64) {
        if self.generation != generation {
            self.kept.clear();
            self.generation = generation;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle() -> Arc<OwnedFd> {
        Arc::new(std::fs::File::open("/").unwrap().into())
    }

    #[test]
    fn the_nearest_directory_is_the_deepest_one_above() {
        let mut handles = Handles::default();
        for path in [&b"a"[..], b"a/b", b"a/bc", b"x"] {
            handles.keep(path, handle(), 0);
        }
        assert_eq!(handles.nearest(b"a/b/c", 0).unwrap().0, 3);
        assert_eq!(handles.nearest(b"a/bcd", 0).unwrap().0, 1);
        assert_eq!(handles.nearest(b"x", 0).unwrap().0, 1);
        assert!(handles.nearest(b"xy", 0).is_none());
    }

    #[test]
    fn the_least_recently_used_handle_goes_first() {
        let mut handles = Handles::default();
        for number in 0..KEPT {
            handles.keep(format!("d{number}").as_bytes(), handle(), 0);
        }
        assert!(handles.nearest(b"d0", 0).is_some());
        handles.keep(b"new", handle(), 0);
        assert!(handles.nearest(b"d0", 0).is_some());
        assert!(handles.nearest(b"d1", 0).is_none());
        assert_eq!(handles.kept.len(), KEPT);
    }

    #[test]
    fn a_newer_generation_empties_the_cache_and_refuses_what_was_opened_before_it() {
        let mut handles = Handles::default();
        handles.keep(b"a", handle(), 0);
        assert!(handles.nearest(b"a", 1).is_none());
        handles.keep(b"a", handle(), 0);
        assert!(handles.nearest(b"a", 1).is_none());
        handles.keep(b"a", handle(), 1);
        assert!(handles.nearest(b"a", 1).is_some());
    }
}
