//! Symbolic links that are taken for what they lead to, and those that lead out of a tree.
//!
//! A source follows links where its user says so (`-L`, `-k`, `--copy-unsafe-links`), wherever they lead: that is what is
//! asked for. Whether a link leads out is told from its text alone, as rsync tells it; nothing is resolved for that.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Component, Path};

use rustix::fs::{AtFlags, Stat, readlinkat, statat};
use rustix::io::Errno;
use rustix::path::Arg;

use super::stat;

/// Which links of a source are followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Follow {
    /// All of them (`-L`).
    pub all: bool,
    /// Those that lead to a directory (`-k`).
    pub dirs: bool,
    /// Those that lead out of the tree (`--copy-unsafe-links`).
    pub leading_out: bool,
}

impl Follow {
    /// No link is.
    pub const NOTHING: Follow = Follow { all: false, dirs: false, leading_out: false };

    /// Stats `name` in `directory`, or what it leads to if it is a link that is followed. `path` is its own below the root.
    ///
    /// # Errors
    /// What `stat` says; for a link that should be followed and leads nowhere, an error that says so.
    #[inline]
    pub(super) fn stat(self, directory: BorrowedFd<'_>, name: impl Arg + Copy, path: &Path) -> io::Result<Stat> {
        let own = stat::of_name(directory, name)?;
        if self == Follow::NOTHING || !stat::is_symlink(&own) {
            return Ok(own);
        }
        self.through(own, directory, name, path)
    }

    /// What the link `own` leads to, or the link itself if it is not followed.
    #[cold]
    fn through(self, own: Stat, directory: BorrowedFd<'_>, name: impl Arg + Copy, path: &Path) -> io::Result<Stat> {
        if self.all || (self.leading_out && is_leading_out(directory, name, path)?) {
            return match statat(directory, name, AtFlags::empty()) {
                Err(Errno::NOENT) => Err(io::Error::other("the link leads nowhere")),
                found => Ok(found?),
            };
        }
        let dir = self.dirs.then(|| statat(directory, name, AtFlags::empty()).ok()).flatten().filter(stat::is_dir);
        Ok(dir.unwrap_or(own))
    }

    /// Whether the link `name` in `directory` is followed where it does not lead to a directory.
    pub(super) fn opens(self, directory: BorrowedFd<'_>, name: impl Arg, path: &Path) -> io::Result<bool> {
        Ok(self.all || (self.leading_out && is_leading_out(directory, name, path)?))
    }
}

fn is_leading_out(directory: BorrowedFd<'_>, name: impl Arg, path: &Path) -> io::Result<bool> {
    let target = readlinkat(directory, name, Vec::new())?;
    Ok(leads_out(target.to_bytes(), path))
}

/// Whether a link with this text at `path` leads out of the tree that the path begins in, or may: an absolute one does, and
/// so may one that goes up anywhere but at its start, for what it goes up from can be a link itself.
pub fn leads_out(target: &[u8], path: &Path) -> bool {
    if target.is_empty() || target.starts_with(b"/") {
        return true;
    }
    let (mut rest, mut up) = (target, 0);
    while let Some(after) = rest.strip_prefix(b"../") {
        rest = &after[after.iter().take_while(|byte| **byte == b'/').count()..];
        up += 1;
    }
    if target == b".." {
        (rest, up) = (b"", 1);
    }
    let above = path.components().filter(|part| *part != Component::CurDir).count().saturating_sub(1);
    up > above || rest.split(|byte| *byte == b'/').any(|name| name == b"..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_out_that_is_absolute_or_goes_up_too_far_or_not_at_its_start() {
        let stays =
            [("x", "a"), ("x", "a/b"), ("d/x", ".."), ("d/x", "../a"), ("d/e/x", "../../a"), ("d/e/x", "..//..///a")];
        for (path, target) in stays {
            assert!(!leads_out(target.as_bytes(), Path::new(path)), "{path} -> {target}");
        }
        let leads = [
            ("x", ""),
            ("x", "/"),
            ("x", "/a"),
            ("x", ".."),
            ("x", "../a"),
            ("d/x", "../../a"),
            ("d/x", "a/.."),
            ("d/x", "a/../b"),
            ("d/x", "./../b"),
            ("d/e/x", "../.."),
        ];
        for (path, target) in leads {
            assert!(leads_out(target.as_bytes(), Path::new(path)), "{path} -> {target}");
        }
    }
}
