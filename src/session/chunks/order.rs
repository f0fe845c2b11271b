//! That the names of a directory come in order, all that is no directory first, and each only once, however many chunks
//! they come in.
//!
//! Of a chunk that is done with only its last name is kept, and eight bytes of each of its names: enough to know a
//! directory that has been listed as something else. Those are hashes with a key of this process, so that no peer and
//! nobody who names files can choose two that meet.

use std::ffi::{OsStr, OsString};
use std::hash::{BuildHasher, RandomState};

use crate::protocol::chunk::{Contents, State};
use crate::tree::entry::Entry;

/// What has to be known of the chunks of a directory that have come.
#[derive(Default)]
pub(super) struct Order {
    /// The last name, where more is to come.
    last: OsString,
    /// It is a directory's.
    in_dirs: bool,
    hasher: RandomState,
    /// Of names that are no directory's; sorted once the directories have begun.
    hashes: Vec<u64>,
}

impl Order {
    /// Bytes that it holds.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&self.hashes[..])
    }

    /// Takes the next chunk, whose own names are in order, or says what is wrong.
    pub(super) fn check(&mut self, contents: &Contents, state: State) -> Result<(), String> {
        let (entries, dirs) = (&contents.entries, &contents.dirs);
        let first = entries.first().map(name_of).or(dirs.first().map(OsString::as_os_str));
        if !state.first {
            let Some(first) = first else { return Err("a chunk with nothing".into()) };
            let goes_on = match (self.in_dirs, entries.is_empty()) {
                (true, false) => false,
                // From what is no directory to the directories the names begin anew.
                (false, true) => true,
                _ => first > self.last.as_os_str(),
            };
            if !goes_on {
                return Err(format!("{first:?} after {:?}", self.last));
            }
        }
        if let Some(twice) = self.twice(contents) {
            return Err(format!("{twice:?}, twice,"));
        }
        if !state.last {
            self.keep(contents);
        }
        Ok(())
    }

    /// A name that is both a directory's and another's.
    fn twice<'c>(&mut self, contents: &'c Contents) -> Option<&'c OsStr> {
        let mut entries = contents.entries.iter().map(name_of).peekable();
        if !self.in_dirs && !contents.dirs.is_empty() {
            self.hashes.sort_unstable();
        }
        contents.dirs.iter().map(OsString::as_os_str).find(|dir| {
            while entries.next_if(|name| name < dir).is_some() {}
            let before = || self.hashes.binary_search(&self.hasher.hash_one(dir)).is_ok();
            entries.peek() == Some(dir) || (!self.hashes.is_empty() && before())
        })
    }

    fn keep(&mut self, contents: &Contents) {
        let last = contents.dirs.last().map(OsString::as_os_str).or(contents.entries.last().map(name_of));
        self.last = last.unwrap_or_default().to_os_string();
        self.in_dirs |= !contents.dirs.is_empty();
        let hashes = contents.entries.iter().map(|entry| self.hasher.hash_one(name_of(entry)));
        self.hashes.extend(hashes);
        if self.in_dirs {
            self.hashes.sort_unstable();
        }
    }
}

pub(super) fn name_of(entry: &Entry) -> &OsStr {
    entry.relative().file_name().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::entry::Kind;

    /// Whether the chunks of a directory are in order: of each, the names of its files and of its directories.
    fn accepts(chunks: &[(&[&str], &[&str])]) -> bool {
        let mut order = Order::default();
        chunks.iter().enumerate().all(|(at, (files, dirs))| {
            let entries =
                files.iter().map(|name| Entry::sample(&format!("d/{name}"), Kind::File { size: 0 })).collect();
            let contents = Contents { entries, dirs: dirs.iter().map(OsString::from).collect(), ..Contents::default() };
            let state = State { first: at == 0, last: at + 1 == chunks.len(), ..State::default() };
            order.check(&contents, state).is_ok()
        })
    }

    #[test]
    fn chunks_go_on_where_the_one_before_ended_and_the_directories_begin_anew() {
        assert!(accepts(&[(&["b", "c"], &[]), (&["d"], &["a"]), (&[], &["e"])]));
        assert!(accepts(&[(&["b"], &[]), (&[], &["a"]), (&[], &["c"])]));
        assert!(accepts(&[(&[], &[]), (&["a"], &[])]), "the directory's own entry may fill a chunk");
        assert!(!accepts(&[(&["b"], &[]), (&["b"], &[])]));
        assert!(!accepts(&[(&["b"], &[]), (&["a"], &[])]));
        assert!(!accepts(&[(&[], &["b"]), (&[], &["b"])]));
        assert!(!accepts(&[(&["a"], &["b"]), (&["c"], &[])]), "no directory after a directory");
        assert!(!accepts(&[(&["a"], &[]), (&[], &[])]), "nothing");
    }

    #[test]
    fn no_name_is_a_directory_s_and_another_s() {
        assert!(!accepts(&[(&["a", "b", "c"], &["b"])]));
        assert!(!accepts(&[(&["a", "b"], &[]), (&["c"], &[]), (&[], &["a"])]));
        assert!(accepts(&[(&["a", "b"], &["c"]), (&[], &["d"]), (&[], &["x"]), (&[], &["z", "zz"])]));
        assert!(!accepts(&[(&["a", "b", "z"], &["c"]), (&[], &["d"]), (&[], &["z"])]));
    }
}
