//! `-R`: sources whose paths are kept. What stands before a `/./` is where they begin, and each directory that leads from
//! there to a source is listed too, without what else is in it.
//!
//! Such a directory may be a symbolic link in the source: it is listed as the directory that it leads to, and what is below
//! is read through it, as a door (see `tree::dir`), so that it leads to the same place all the time. All else that is read
//! there goes through no link that is not to be followed.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::tree::dir::Tree;
use crate::tree::entry::Entry;

/// A source whose path is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The directory that kept paths begin in.
    pub root: PathBuf,
    /// The path that is kept, below the root; `.` for the root itself.
    pub path: PathBuf,
    /// What is in the directory is meant, so that it is listed even without `-r`.
    pub contents: bool,
    /// The root is listed too, without what is in it: the path began with `./`.
    pub dot: bool,
}

impl Named {
    /// What a source, as typed, names; `None` where its path goes up (`..`), which cannot be kept.
    pub fn parse(typed: &[u8]) -> Option<Named> {
        let cut = typed.windows(3).position(|part| part == b"/./");
        let (root, kept) = match cut {
            Some(0) => (&b"/"[..], &typed[3..]),
            Some(at) => (&typed[..at], &typed[at + 3..]),
            None if typed.starts_with(b"/") => (&b"/"[..], typed),
            None => (&b"."[..], typed),
        };
        let slashes = kept.iter().take_while(|byte| **byte == b'/' && cut.is_some()).count();
        let dot = kept[slashes..].starts_with(b"./");
        let names: Vec<&[u8]> = kept.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b".")).collect();
        if names.contains(&&b".."[..]) {
            return None;
        }
        let last = kept.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let path: PathBuf = names.iter().map(|name| OsStr::from_bytes(name)).collect();
        let path = if names.is_empty() { PathBuf::from(".") } else { path };
        Some(Named {
            root: OsStr::from_bytes(root).into(),
            contents: matches!(last, b"" | b"."),
            dot: dot && !names.is_empty(),
            path,
        })
    }

    /// The directories that lead from the root to the source, the root left out.
    pub fn leading(&self) -> impl Iterator<Item = &Path> {
        let up = self.path.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty());
        up.collect::<Vec<_>>().into_iter().rev()
    }
}

/// The entry of a directory that leads to a source, whatever leads to that; `None` if it is none.
pub(super) fn leading_dir(tree: &Tree, path: &Path) -> io::Result<Option<Entry>> {
    let found = tree.lstat(path)?;
    let found = if tree.open_door(path, found.as_ref())? { tree.lstat(path)? } else { found };
    Ok(found.filter(Entry::is_dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(typed: &str) -> (String, String, bool, bool) {
        let Named { root, path, contents, dot } = Named::parse(typed.as_bytes()).expect(typed);
        (root.display().to_string(), path.display().to_string(), contents, dot)
    }

    #[test]
    fn a_path_is_kept_from_its_first_dot_on_or_whole() {
        let cases = [
            ("a/b", ".", "a/b", false, false),
            ("a//b/", ".", "a/b", true, false),
            ("a/b/.", ".", "a/b", true, false),
            ("./a", ".", "a", false, true),
            ("x/././a", "x", "a", false, true),
            (".", ".", ".", true, false),
            ("./", ".", ".", true, false),
            ("/a/b", "/", "a/b", false, false),
            ("/", "/", ".", true, false),
            ("x/./a/b", "x", "a/b", false, false),
            ("/x/.//a/./b", "/x", "a/b", false, false),
            ("x/../y/./a", "x/../y", "a", false, false),
            ("x/./", "x", ".", true, false),
            ("/./a", "/", "a", false, false),
            ("..a/b..", ".", "..a/b..", false, false),
        ];
        for (typed, root, path, contents, dot) in cases {
            assert_eq!(parse(typed), (root.into(), path.into(), contents, dot), "{typed}");
        }
        assert!(["..", "../a", "a/../b", "x/./a/.."].iter().all(|typed| Named::parse(typed.as_bytes()).is_none()));
    }
}
