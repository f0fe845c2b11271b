//! `--files-from`: a file of names, each taken for a source below the one that the command line names.
//!
//! With `-R`, which is implied, a name keeps its directories. None leads out: what goes up further than the name has come
//! down is left out, as is a slash at the start. What is below a name is `Source`'s to find, and whether it is there.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::error::{Error, Result};
use crate::filter::{Ends, lines};

/// The names in a list, in its order; empty ones and those that begin with `#` or `;` say nothing.
pub fn parse(list: &[u8], ends: Ends) -> Vec<Vec<u8>> {
    lines(list, ends).map(within).collect()
}

/// A name that leads nowhere but down, with its `/./` and what it ends with: a slash or a dot means what is in a directory.
fn within(name: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    // Each with the slash behind it.
    for part in name.split_inclusive(|byte| *byte == b'/').filter(|part| *part != b"/") {
        match part.strip_suffix(b"/").unwrap_or(part) {
            b".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    if parts.is_empty() { b".".to_vec() } else { parts.concat() }
}

/// The sources that names below `dir` are, paths kept or not.
pub fn below(dir: &[u8], names: &[Vec<u8>], relative: bool) -> Vec<Vec<u8>> {
    let dir = without_dots(dir);
    let join = |name: &Vec<u8>| {
        // What begins later in the name begins there.
        let begins = relative && !name.windows(3).any(|part| part == b"/./");
        [dir.as_slice(), if begins { &b"/./"[..] } else { b"/" }, name].concat()
    };
    names.iter().map(join).collect()
}

/// A path in which no kept path begins.
fn without_dots(dir: &[u8]) -> Vec<u8> {
    let parts: Vec<&[u8]> = dir.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b".")).collect();
    match (dir.starts_with(b"/"), parts.is_empty()) {
        (true, _) => [b"/", &parts.join(&b'/')[..]].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => parts.join(&b'/'),
    }
}

/// That there is a directory for the names to be below, before each of them is missed.
///
/// # Errors
/// [`Error::Selection`], as in rsync.
pub fn check_dir(dir: &[u8]) -> Result<()> {
    let dir = if dir.is_empty() { Path::new(".") } else { Path::new(OsStr::from_bytes(dir)) };
    let found = std::fs::read_dir(dir).map(drop);
    found.map_err(|error| Error::Selection(format!("cannot use the source {}: {error}", dir.display())))
}

/// Reads a list; `-` is standard input.
///
/// # Errors
/// [`Error::Usage`], as in rsync, if it cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    if path != Path::new("-") {
        return read_file(path);
    }
    let mut list = Vec::new();
    io::stdin().lock().read_to_end(&mut list).map(|_| list).map_err(|error| unreadable(path, &error))
}

/// The same of what is a file, whatever its name.
///
/// # Errors
/// Those of [`read()`].
pub fn read_file(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    Error::Usage(format!("reading names from {} (--files-from): {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str, ends: Ends) -> Vec<String> {
        parse(list.as_bytes(), ends).into_iter().map(|name| String::from_utf8(name).unwrap()).collect()
    }

    #[test]
    fn a_list_has_a_name_a_line_or_each_with_its_nul() {
        assert_eq!(names("a\nb c\r\n\n# no\n;no\n #yes\nlast", Ends::Line), ["a", "b c", " #yes", "last"]);
        assert_eq!(names("a\n\0\0b\0#c\0", Ends::Nul), ["a\n", "b"]);
    }

    #[test]
    fn a_name_leads_down_and_nowhere_else() {
        let cases = [
            ("/a/b", "a/b"),
            ("../../a", "a"),
            ("a/../b", "b"),
            ("a/../../b/", "b/"),
            ("./a", "./a"),
            ("./d/../a/b/./c", "./a/b/./c"),
            ("a/./../b", "a/b"),
            ("a/b/..", "a/"),
            ("a/.", "a/."),
            ("..", "."),
            ("../", "."),
            ("/", "."),
            ("a//b/", "a/b/"),
            ("..a/b..", "..a/b.."),
        ];
        for (name, within) in cases {
            assert_eq!(names(name, Ends::Line), [within], "{name}");
        }
    }

    #[test]
    fn names_are_sources_below_the_directory_and_what_is_kept_begins_behind_it() {
        let below = |dir: &str, name: &str, relative| {
            String::from_utf8(below(dir.as_bytes(), &[name.into()], relative).remove(0)).unwrap()
        };
        assert_eq!(below("src/", "a/b", true), "src/./a/b");
        assert_eq!(below("./x/./src/.", "a/b", true), "x/src/./a/b");
        assert_eq!(below("/.", "a", true), "//./a");
        assert_eq!(below("src", "a/./b", true), "src/a/./b");
        assert_eq!(below("src", "a/b", false), "src/a/b");
        assert_eq!(below("", "a", true), "././a");
        assert_eq!(below("~/x", "./a", true), "~/x/././a");
    }
}
