//! Reading a merge file that stands in a tree. It is never left: a file that is a symbolic link is followed as long as that
//! leads to a regular file of the same tree through real directories, and refused where it leads elsewhere. What is read
//! is bounded, for the tree may be anybody's.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::tree::dir::Tree;
use crate::tree::entry::Kind;

/// Bytes that a merge file may have.
pub(super) const MAX_FILE: u64 = 1 << 20;
/// Links that are followed to it.
const MAX_LINKS: usize = 8;

/// The contents of `name`, a path from the directory `dir` of `tree` (empty for its root); `None` where there is no such
/// file, or something else than a file.
pub(super) fn read(tree: &Tree, dir: &[u8], name: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut path = resolve(dir, name)?;
    for _ in 0..=MAX_LINKS {
        let relative = Path::new(OsStr::from_bytes(&path));
        match tree.open_file(relative) {
            Ok(file) => return contents(file).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
            Err(error) => return Err(error),
        }
        match tree.lstat(relative)?.map(|entry| entry.kind) {
            Some(Kind::Symlink { target }) => path = resolve(directory(&path), target.as_os_str().as_bytes())?,
            _ => return Ok(None),
        }
    }
    Err(io::Error::other(format!("more than {MAX_LINKS} symbolic links lead to it")))
}

/// The contents of a file that the operator named by an absolute path; `None` where there is none.
pub(super) fn read_above(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() => File::open(path).and_then(contents).map(Some),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(None),
    }
}

fn contents(file: File) -> io::Result<Vec<u8>> {
    let mut contents = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut contents)?;
    match contents.len() as u64 > MAX_FILE {
        true => Err(io::Error::other(format!("a merge file of more than {MAX_FILE} bytes"))),
        false => Ok(contents),
    }
}

/// The directory that a path is in.
fn directory(path: &[u8]) -> &[u8] {
    path.iter().rposition(|byte| *byte == b'/').map_or(b"", |slash| &path[..slash])
}

/// `name`, seen from `dir`, as a plain path below the root. By its text alone: where a component turns out to be a link,
/// opening it fails.
fn resolve(dir: &[u8], name: &[u8]) -> io::Result<Vec<u8>> {
    let leaves = || io::Error::other(format!("{} leads out of the tree", name.escape_ascii()));
    if name.starts_with(b"/") {
        return Err(leaves());
    }
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in dir.split(|byte| *byte == b'/').chain(name.split(|byte| *byte == b'/')) {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop().ok_or_else(leaves)?),
            part => parts.push(part),
        }
    }
    if parts.is_empty() {
        return Err(leaves());
    }
    Ok(parts.join(&b'/'))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_within_the_tree_and_never_out_of_it() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("root");
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(place.path().join("outside"), "secret").unwrap();
        fs::write(root.join("rules"), "- x").unwrap();
        symlink("b", root.join("a/door")).unwrap();
        symlink("../.", root.join("up")).unwrap();
        let links = [
            ("one", "../../rules"),
            ("two", "one"),
            ("out", "../../../outside"),
            ("absolute", "/etc/passwd"),
            ("loop", "loop"),
            ("through", "../../up/outside"),
            ("dangling", "nothing"),
        ];
        links.iter().for_each(|(name, target)| symlink(target, root.join("a/b").join(name)).unwrap());
        let tree = Tree::open(&root).unwrap();
        let read = |name: &str| read(&tree, b"a/b", name.as_bytes());
        for name in ["one", "two", "../../rules", "./one"] {
            assert_eq!(read(name).unwrap().as_deref(), Some(&b"- x"[..]), "{name}");
        }
        for name in
            ["out", "absolute", "loop", "through", "/etc/passwd", "../../../outside", "../door/one", "one/rules"]
        {
            assert!(read(name).is_err(), "{name}");
        }
        for name in ["dangling", "nothing", "../b/.", "nothing/rules"] {
            assert_eq!(read(name).unwrap(), None, "{name}");
        }
    }

    #[test]
    fn a_file_that_is_too_large_is_refused() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("rules"), vec![b'\n'; MAX_FILE as usize + 1]).unwrap();
        let tree = Tree::open(place.path()).unwrap();
        assert!(read(&tree, b"", b"rules").unwrap_err().to_string().contains("more than 1048576 bytes"));
        assert!(read_above(&place.path().join("rules")).is_err());
        fs::write(place.path().join("rules"), vec![b'\n'; MAX_FILE as usize]).unwrap();
        assert!(read(&tree, b"", b"rules").unwrap().is_some());
    }
}
