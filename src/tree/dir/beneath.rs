//! Opening a directory below another without ever passing through a symbolic link, but for a source that follows them.
//!
//! On Linux one `openat2` does it; where the kernel has none (before 5.6) or a sandbox's filter refuses it, and on other
//! systems, each component is opened from the one before it with `O_NOFOLLOW`. Both refuse a link at every position, and
//! neither is bound by `PATH_MAX`. Handles opened here are for `*at` calls only: on Linux they are `O_PATH`, so a
//! directory that may be searched but not read can still be passed through.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::path::Arg;

/// How directories are opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tree) enum Strategy {
    /// `openat2`, and component by component once it turns out that there is none.
    #[cfg(target_os = "linux")]
    Kernel,
    /// Component by component.
    #[cfg_attr(target_os = "linux", cfg(test))]
    Components,
    /// Component by component, with links followed: for a source whose user wants that, and for nothing else.
    Following,
}

impl Strategy {
    /// The best that this system may have.
    pub(in crate::tree) fn best() -> Self {
        #[cfg(target_os = "linux")]
        return Strategy::Kernel;
        #[cfg(not(target_os = "linux"))]
        Strategy::Components
    }
}

/// Opens the directory `path`, components joined by single slashes, below `base`. The path is taken as checked.
///
/// # Errors
/// `ELOOP` or `ENOTDIR` where a component is a symbolic link and that is not followed, and what `open` says otherwise.
pub(super) fn open_dir(base: BorrowedFd<'_>, path: &[u8], strategy: Strategy) -> io::Result<OwnedFd> {
    match strategy {
        #[cfg(target_os = "linux")]
        Strategy::Kernel => Ok(kernel::open_dir(base, path)?),
        #[cfg_attr(target_os = "linux", cfg(test))]
        Strategy::Components => Ok(open_by_components(base, path, OFlags::empty())?),
        Strategy::Following => Ok(open_by_components(base, path, OFlags::NOFOLLOW)?),
    }
}

/// Flags of a handle that is good for `*at` calls and asks for no more rights than those.
pub(in crate::tree) fn search_flags() -> OFlags {
    #[cfg(target_os = "linux")]
    let access = OFlags::PATH;
    #[cfg(not(target_os = "linux"))]
    let access = OFlags::RDONLY;
    access | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

/// Opens the directory `name` (one component, or `.`) of `parent` for reading its entries.
pub(in crate::tree) fn open_for_listing(parent: BorrowedFd<'_>, name: impl Arg) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(parent, name, flags, Mode::empty())?)
}

/// Like [`open_for_listing`], and what a link `name` leads to is opened.
pub(in crate::tree) fn open_followed(parent: BorrowedFd<'_>, name: impl Arg) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(openat(parent, name, flags, Mode::empty())?)
}

/// Like [`open_for_listing`], but refuses a directory on which another file system is mounted: its contents belong to
/// nobody's tree here, and it could not be removed anyway.
///
/// # Errors
/// `EXDEV` for a mount point, on systems that can tell.
pub(in crate::tree) fn open_same_mount(parent: BorrowedFd<'_>, name: impl Arg + Copy) -> io::Result<OwnedFd> {
    #[cfg(target_os = "linux")]
    match kernel::open_same_mount(parent, name) {
        Err(Errno::NOSYS | Errno::PERM) => {}
        result => return Ok(result?),
    }
    let directory = open_for_listing(parent, name)?;
    if rustix::fs::fstat(&directory)?.st_dev != rustix::fs::fstat(parent)?.st_dev {
        return Err(Errno::XDEV.into());
    }
    Ok(directory)
}

/// Opens one component from the one before it, without the flags `less`.
fn open_by_components(base: BorrowedFd<'_>, path: &[u8], less: OFlags) -> Result<OwnedFd, Errno> {
    let flags = search_flags() - less;
    let mut names = path.split(|byte| *byte == b'/');
    let first = names.next().unwrap_or(b".");
    let mut handle = openat(base, first, flags, Mode::empty())?;
    for name in names {
        handle = openat(handle.as_fd(), name, flags, Mode::empty())?;
    }
    Ok(handle)
}

#[cfg(target_os = "linux")]
mod kernel {
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::fs::{ResolveFlags, openat2};

    use super::*;

    /// Longest path handed to one call: `PATH_MAX` with its NUL is 4096.
    const LONGEST: usize = 4095;

    /// Set once `openat2` has turned out to be missing, so that it is asked for once a process.
    static MISSING: AtomicBool = AtomicBool::new(false);

    pub(super) fn open_dir(base: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, Errno> {
        if MISSING.load(Ordering::Relaxed) {
            return open_by_components(base, path, OFlags::empty());
        }
        match open_in_pieces(base, path) {
            Err(Errno::NOSYS | Errno::PERM) => {
                MISSING.store(true, Ordering::Relaxed);
                open_by_components(base, path, OFlags::empty())
            }
            result => result,
        }
    }

    pub(super) fn open_same_mount(parent: BorrowedFd<'_>, name: impl Arg) -> Result<OwnedFd, Errno> {
        if MISSING.load(Ordering::Relaxed) {
            return Err(Errno::NOSYS);
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        openat2(parent, name, flags, Mode::empty(), resolve)
    }

    fn open_in_pieces(base: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, Errno> {
        let (first, mut rest) = cut(path);
        let mut handle = open_piece(base, first)?;
        while !rest.is_empty() {
            let (piece, after) = cut(rest);
            handle = open_piece(handle.as_fd(), piece)?;
            rest = after;
        }
        Ok(handle)
    }

    fn open_piece(base: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        loop {
            match openat2(base, path, search_flags(), Mode::empty(), resolve) {
                // The kernel lost a race with a rename that it could not rule out as an escape; the next try decides.
                Err(Errno::AGAIN | Errno::INTR) => {}
                result => return result,
            }
        }
    }

    /// Cuts off as many whole components as fit one call. A single component that does not fit is passed as it is, for
    /// the kernel to refuse.
    fn cut(path: &[u8]) -> (&[u8], &[u8]) {
        if path.len() <= LONGEST {
            return (path, b"");
        }
        let within = path[..=LONGEST].iter().rposition(|byte| *byte == b'/');
        match within.or_else(|| path.iter().position(|byte| *byte == b'/')) {
            Some(at) => (&path[..at], &path[at + 1..]),
            None => (path, b""),
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn long_paths_are_cut_between_components_and_nothing_is_lost() {
            let long = vec!["x".repeat(250); 100].join("/");
            let mut rest = long.as_bytes();
            let mut pieces = Vec::new();
            while !rest.is_empty() {
                let (piece, after) = cut(rest);
                assert!(piece.len() <= LONGEST && !piece.ends_with(b"/") && !piece.starts_with(b"/"));
                pieces.push(piece);
                rest = after;
            }
            assert!(pieces.len() > 1);
            assert_eq!(pieces.join(&b'/'), long.as_bytes());
        }

        #[test]
        fn a_component_longer_than_any_path_is_left_for_the_kernel_to_refuse() {
            let name = "x".repeat(LONGEST + 10);
            assert_eq!(cut(name.as_bytes()), (name.as_bytes(), &b""[..]));
        }
    }
}
