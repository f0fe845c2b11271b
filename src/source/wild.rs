//! Wildcards in the paths that a client asks a server for: `*`, `?` and `[...]`, each within one name, as a shell would
//! expand them. No shell sees them: nothing but these means anything in a path.
//!
//! What has the pattern's own name is meant as well, so that a file called `a[1]` can be asked for beside `a1`. Names that
//! begin with a dot are meant only by patterns that do. A backslash takes the meaning from a wildcard. A pattern that
//! nothing fits is a name, which is then missing.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use crate::filter;

/// Whether there are wildcards in a path.
pub fn is_pattern(path: &[u8]) -> bool {
    path.iter().any(|byte| b"*?[".contains(byte))
}

/// Whether a pattern, or a name, means this name.
pub fn means(pattern: &[u8], name: &[u8]) -> bool {
    if pattern == name {
        return true;
    }
    let is_hidden = name.starts_with(b".") && !pattern.starts_with(b".");
    is_pattern(pattern) && !is_hidden && filter::is_like(pattern, name)
}

/// The paths that `typed` means, in the order of their bytes; `place` says where one of them is for this process.
pub fn expand(typed: &[u8], place: impl Fn(Vec<u8>) -> Vec<u8>) -> Vec<Vec<u8>> {
    let mut found = vec![Vec::new()];
    let mut parts = typed.split(|byte| *byte == b'/').peekable();
    let mut is_begun = false;
    while let Some(part) = parts.next() {
        let slash = if parts.peek().is_some() { &b"/"[..] } else { b"" };
        if is_pattern(part) {
            is_begun = true;
            found = found.into_iter().flat_map(|dir| fitting(dir, part, slash, &place)).collect();
        } else {
            found.iter_mut().for_each(|path| path.extend([part, slash].concat()));
        }
        if is_begun {
            found.retain(|path| exists(&place(path.clone())));
        }
    }
    if found.is_empty() { vec![typed.to_vec()] } else { found }
}

/// What fits in a directory, each with its path.
fn fitting(dir: Vec<u8>, pattern: &[u8], slash: &[u8], place: impl Fn(Vec<u8>) -> Vec<u8>) -> Vec<Vec<u8>> {
    let here = if dir.is_empty() { b"./".to_vec() } else { dir.clone() };
    let Ok(items) = std::fs::read_dir(Path::new(OsStr::from_bytes(&place(here)))) else { return Vec::new() };
    let names = items.filter_map(|item| Some(item.ok()?.file_name().into_vec()));
    let mut names: Vec<Vec<u8>> = names.filter(|name| means(pattern, name)).collect();
    names.sort_unstable();
    names.into_iter().map(|name| [&dir, &name[..], slash].concat()).collect()
}

/// Whether something is there; with a slash at the end, a directory.
fn exists(path: &[u8]) -> bool {
    Path::new(OsStr::from_bytes(path)).symlink_metadata().is_ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_pattern_means_names_that_fit_and_hidden_ones_only_if_it_says_so() {
        for (pattern, name) in
            [("*.c", "a.c"), ("a?", "ab"), ("[ab]", "b"), ("[!a]", "b"), (".*", ".a"), ("a[1]", "a[1]")]
        {
            assert!(means(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
        for (pattern, name) in [("\\*", "*"), ("a\\[b\\]\\\\", "a[b]\\")] {
            assert!(means(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
        assert!(!means(b"\\*", b"ab"), "a backslash makes a wildcard a character");
        for (pattern, name) in [("*", ".a"), ("?a", ".a"), ("[.]a", ".a"), ("a", "b"), ("[", "a"), ("a\\b", "ab")] {
            assert!(!means(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
        assert!(means(b"[", b"["));
    }

    #[test]
    fn paths_are_expanded_name_by_name() {
        let dir = tempfile::TempDir::new().expect("a temporary directory");
        for name in ["one/a.c", "one/b.c", "one/.h.c", "two/a.c", "two/d/f", "x[1]/f", "x1/f"] {
            fs::create_dir_all(dir.path().join(name).parent().expect("one")).expect("a directory");
            fs::write(dir.path().join(name), "").expect("a file");
        }
        let root = [dir.path().as_os_str().as_bytes(), b"/"].concat();
        let expand = |typed: &str| -> Vec<String> {
            let place = |path: Vec<u8>| [&root[..], &path].concat();
            super::expand(typed.as_bytes(), place).into_iter().map(|path| String::from_utf8(path).unwrap()).collect()
        };
        assert_eq!(expand("one/*.c"), ["one/a.c", "one/b.c"]);
        assert_eq!(expand("*/a.c"), ["one/a.c", "two/a.c"]);
        assert_eq!(expand("./[ot]*/./?.c"), ["./one/./a.c", "./one/./b.c", "./two/./a.c"]);
        assert_eq!(expand("two/*/"), ["two/d/"], "a slash behind it means directories");
        assert_eq!(expand("x[1]"), ["x1", "x[1]"]);
        assert_eq!(expand("x[1]/*"), ["x1/f", "x[1]/f"]);
        assert_eq!(expand("none*/x"), ["none*/x"], "what nothing fits is a name");
        assert_eq!(expand("one//../*o"), ["one//../two"]);
        assert_eq!(expand("a.c"), ["a.c"], "what has no wildcards need not be there");
    }
}
