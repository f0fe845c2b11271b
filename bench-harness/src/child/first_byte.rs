//! When the first byte of a file appears in a directory tree, whoever writes it and whatever it is called.
//!
//! "Appears" means: a regular file beneath the directory is created, written or moved there and has a size above 0, so a
//! temporary file counts, as it must where a tool renames at the end. Linux only (inotify); elsewhere nothing is seen
//! and the figure is missing. Watching costs the writer time, so it is done in passes of their own that are not timed.

#[cfg(target_os = "linux")]
pub use linux::Watcher;
#[cfg(not(target_os = "linux"))]
pub use nothing::Watcher;

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::HashMap;
    use std::fs;
    use std::io::ErrorKind;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread::{self, JoinHandle};

    use anyhow::{Context, Result};
    use inotify::{Inotify, WatchDescriptor, WatchMask};
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use crate::child::measure::now_ns;

    /// How long the watcher sleeps when nothing happens before it looks whether it shall stop.
    const NAP: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };

    /// A thread that waits for the first byte.
    pub struct Watcher {
        thread: JoinHandle<Option<u64>>,
        stop: Arc<AtomicBool>,
    }

    impl Watcher {
        /// Starts to watch; once this returns nothing is missed.
        ///
        /// # Errors
        /// When the system gives no inotify handle.
        pub fn start(root: &Path) -> Result<Self> {
            let inotify = Inotify::init().context("cannot watch the destination")?;
            let mut tree = Tree { inotify, dirs: HashMap::new() };
            // What is there before the run is the operation's start state, and no first byte.
            tree.add(root, false);
            let stop = Arc::new(AtomicBool::new(false));
            let flag = Arc::clone(&stop);
            Ok(Watcher { thread: thread::spawn(move || tree.wait(&flag)), stop })
        }

        /// Ends the watch and tells when the first byte was seen, in nanoseconds since 1970.
        pub fn finish(self) -> Option<u64> {
            self.stop.store(true, Ordering::SeqCst);
            self.thread.join().unwrap_or(None)
        }
    }

    struct Tree {
        inotify: Inotify,
        dirs: HashMap<WatchDescriptor, PathBuf>,
    }

    impl Tree {
        /// Watches a directory and all beneath it; true if `look` is set and a file with content is there already.
        fn add(&mut self, dir: &Path, look: bool) -> bool {
            let mask = WatchMask::CREATE | WatchMask::MODIFY | WatchMask::MOVED_TO | WatchMask::CLOSE_WRITE;
            // A directory that is gone again had nothing to see.
            let Ok(watch) = self.inotify.watches().add(dir, mask) else { return false };
            self.dirs.insert(watch, dir.to_owned());
            let mut seen = false;
            for item in fs::read_dir(dir).into_iter().flatten().flatten() {
                seen |= self.inspect(&item.path(), look);
            }
            seen
        }

        fn inspect(&mut self, path: &Path, look: bool) -> bool {
            match fs::symlink_metadata(path) {
                Ok(meta) if meta.is_dir() => self.add(path, look),
                Ok(meta) => look && meta.is_file() && meta.len() > 0,
                Err(_) => false,
            }
        }

        /// Returns at the next event; an interrupted or failed wait only means that the queue is read again.
        fn nap(&self) {
            let _ = poll(&mut [PollFd::new(&self.inotify, PollFlags::IN)], Some(&NAP));
        }

        fn wait(mut self, stop: &AtomicBool) -> Option<u64> {
            let mut buffer = [0; 16 << 10];
            loop {
                let ending = stop.load(Ordering::SeqCst);
                let events = match self.inotify.read_events(&mut buffer) {
                    Ok(events) => events.map(|e| (e.wd.clone(), e.name.map(PathBuf::from))).collect(),
                    Err(e) if e.kind() == ErrorKind::WouldBlock => Vec::new(),
                    Err(_) => return None,
                };
                let now = now_ns();
                let quiet = events.is_empty();
                for (watch, name) in events {
                    let path = self.dirs.get(&watch).zip(name).map(|(dir, name)| dir.join(name));
                    if path.is_some_and(|path| self.inspect(&path, true)) {
                        return Some(now);
                    }
                }
                match (quiet, ending) {
                    (true, true) => return None,
                    (true, false) => self.nap(),
                    (false, _) => {}
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod nothing {
    use std::path::Path;

    use anyhow::Result;

    /// Sees nothing: this system has no inotify.
    pub struct Watcher;

    impl Watcher {
        /// Does nothing.
        ///
        /// # Errors
        /// Never.
        pub fn start(_root: &Path) -> Result<Self> {
            Ok(Watcher)
        }

        /// Nothing was seen.
        pub fn finish(self) -> Option<u64> {
            None
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::Watcher;
    use crate::child::measure::now_ns;

    #[test]
    fn files_that_were_there_before_and_empty_ones_are_no_first_byte() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("old"), b"x").unwrap();
        let watcher = Watcher::start(dir.path()).unwrap();
        fs::write(dir.path().join("empty"), b"").unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        assert_eq!(watcher.finish(), None);
    }

    #[test]
    fn a_file_in_a_directory_made_meanwhile_is_seen_at_its_time() {
        let dir = tempfile::tempdir().unwrap();
        let watcher = Watcher::start(dir.path()).unwrap();
        let before = now_ns();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("a/b/f"), b"x").unwrap();
        let seen = watcher.finish().expect("the file was written");
        assert!(seen >= before && seen <= now_ns());
    }

    #[test]
    fn a_rename_into_the_tree_and_a_change_in_place_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        let (watched, other) = (dir.path().join("watched"), dir.path().join("other"));
        fs::create_dir(&watched).unwrap();
        fs::write(&other, b"x").unwrap();
        let watcher = Watcher::start(&watched).unwrap();
        fs::rename(&other, watched.join("f")).unwrap();
        assert!(watcher.finish().is_some());
        let watcher = Watcher::start(&watched).unwrap();
        fs::File::options().append(true).open(watched.join("f")).unwrap().write_all(b"y").unwrap();
        assert!(watcher.finish().is_some());
    }
}
