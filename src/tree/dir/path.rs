//! Relative paths of a tree: what is accepted, and how one is cut into its parent and its last component.
//!
//! Every method of [`Tree`](super::Tree) passes its path through here first, so a path that could leave the root never
//! reaches a system call. Links are another matter: they are refused when directories are opened, in `beneath`.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Cuts `relative` into its parent directory (empty for the root) and its last component; `.` is the root itself.
///
/// # Errors
/// `InvalidInput` for a path that is empty or absolute, or that has a NUL or an empty, `.` or `..` component.
pub(super) fn split(relative: &Path) -> io::Result<(&[u8], &OsStr)> {
    let bytes = relative.as_os_str().as_bytes();
    if bytes == b"." {
        return Ok((b"", relative.as_os_str()));
    }
    if bytes.contains(&0) || bytes.split(|byte| *byte == b'/').any(|name| matches!(name, b"" | b"." | b"..")) {
        return Err(refused(relative));
    }
    let cut = bytes.iter().rposition(|byte| *byte == b'/');
    let (parent, name) = match cut {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (&bytes[..0], bytes),
    };
    Ok((parent, OsStr::from_bytes(name)))
}

/// The path of the directory `relative` as `beneath` takes it: empty for the root.
pub(super) fn directory(relative: &Path) -> io::Result<&[u8]> {
    split(relative)?;
    let bytes = relative.as_os_str().as_bytes();
    Ok(if bytes == b"." { b"" } else { bytes })
}

fn refused(relative: &Path) -> io::Error {
    let text = format!("{relative:?} is not a plain path below a root");
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_cut_at_its_last_slash() {
        assert_eq!(split(Path::new("a/b/c")).unwrap(), (&b"a/b"[..], OsStr::new("c")));
        assert_eq!(split(Path::new("a")).unwrap(), (&b""[..], OsStr::new("a")));
        assert_eq!(split(Path::new(".")).unwrap(), (&b""[..], OsStr::new(".")));
        assert_eq!(directory(Path::new(".")).unwrap(), b"");
        assert_eq!(directory(Path::new("a/b")).unwrap(), b"a/b");
    }

    #[test]
    fn paths_that_could_leave_the_root_are_refused() {
        for bad in ["", "/", "/a", "..", "a/..", "../a", "a/../b", "a//b", "a/", "./a", "a/.", "a\0b", "\0"] {
            let error = split(Path::new(bad)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{bad:?}");
        }
    }

    #[test]
    fn dots_inside_names_are_names() {
        for good in ["...", "..a", "a..", ".hidden", "a/..b/c", "-rf", "a\nb", " "] {
            assert!(split(Path::new(good)).is_ok(), "{good:?}");
        }
        assert!(split(Path::new(OsStr::from_bytes(b"\xff\xfe/\x80"))).is_ok());
    }
}
