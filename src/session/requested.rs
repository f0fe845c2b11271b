//! What a client that receives has asked for: a server may list that, and nothing else.
//!
//! Without this a server could add names of its own choice to any pull: a `.bashrc` beside the file that was asked for.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use crate::error::{Error, Result};
use crate::filter::{Filter, Side};
use crate::location;
use crate::tree::entry::Entry;

/// The names that a list may begin with, and the rules that it must have obeyed.
#[derive(Debug)]
pub struct Requested {
    /// `None` where the contents of some source were asked for: their names are the server's to say.
    names: Option<HashSet<OsString>>,
    filter: Filter,
}

impl Requested {
    /// What `sources`, as typed, ask for under the rules of `filter`.
    pub fn new(sources: &[Vec<u8>], filter: Filter) -> Requested {
        let named = |source: &Vec<u8>| {
            let path = Path::new(OsStr::from_bytes(source));
            // The home directory's own name is not known here.
            let contents = location::copies_contents(path) || source == b"~";
            path.file_name().filter(|_| !contents).map(OsStr::to_os_string)
        };
        Requested { names: sources.iter().map(named).collect(), filter }
    }

    /// Holds an entry against what was asked for.
    ///
    /// # Errors
    /// [`Error::Stream`] for an entry that nobody asked for.
    pub fn check(&self, entry: &Entry) -> Result<()> {
        let path = entry.relative();
        let first = match path.components().next() {
            Some(Component::Normal(first)) => Some(first),
            _ => None,
        };
        let named = match (&self.names, first) {
            (None, _) => true,
            (Some(names), Some(first)) => names.contains(first),
            (Some(_), None) => false,
        };
        if named && !self.excludes(entry) {
            return Ok(());
        }
        Err(Error::Stream(format!("the other end lists {path:?}, which was not asked for")))
    }

    /// Whether the sender should have left an entry out, or a directory that it is in.
    fn excludes(&self, entry: &Entry) -> bool {
        if self.filter.is_empty() {
            return false;
        }
        let path = entry.relative();
        path.ancestors().any(|part| {
            let is_dir = part != path || entry.is_dir();
            self.filter.surely_excludes(Side::Sender, part, is_dir)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::entry::Kind;

    fn accepts(sources: &[&str], rules: &[&str], name: &str) -> bool {
        let sources: Vec<Vec<u8>> = sources.iter().map(|source| source.as_bytes().to_vec()).collect();
        let rules: Vec<Vec<u8>> = rules.iter().map(|rule| rule.as_bytes().to_vec()).collect();
        let entry = Entry::sample(name, Kind::File { size: 0 });
        Requested::new(&sources, Filter::parse(&rules).expect("rules")).check(&entry).is_ok()
    }

    #[test]
    fn a_server_lists_what_was_asked_for_and_nothing_beside_it() {
        assert!(accepts(&["dir/file"], &[], "file"));
        assert!(accepts(&["a", "dir"], &[], "dir/any/thing"));
        assert!(!accepts(&["dir/file"], &[], ".bashrc"));
        assert!(!accepts(&["dir/file"], &[], "filet"));
        assert!(accepts(&["dir/"], &[], ".bashrc"));
        assert!(accepts(&["~"], &[], "somebody/file"));
    }

    #[test]
    fn a_server_lists_nothing_that_the_rules_left_out() {
        assert!(!accepts(&["dir/"], &["- .*"], ".bashrc"));
        assert!(!accepts(&["dir/"], &["- secret/"], "secret/file"));
        assert!(accepts(&["dir/"], &["- .*"], "file"));
        assert!(accepts(&["dir/"], &["-/ /etc"], "etc"), "only the sender knows the absolute path");
        assert!(
            accepts(&["dir/"], &[": .rules", "- *.o"], "a.o"),
            "only the sender knows what its merge files include"
        );
    }
}
