//! The system's calls for attributes of one entry: of an open file, or by name in an open directory, never through a link.
//!
//! There is no such call by name below a handle that all kernels have; `/proc` has a path for every handle that does as
//! well. Without it the entry is opened, which is open to files and directories only: anything else has no attributes then.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    Mode, OFlags, XattrFlags, fgetxattr, flistxattr, fremovexattr, fsetxattr, getxattr, lgetxattr, listxattr,
    llistxattr, lremovexattr, lsetxattr, openat,
};
use rustix::io::Errno;

/// Room for a list of names, or for a value, that hardly any exceeds.
const ROOM: usize = 4096;
/// Bytes that no list and no value of ours exceeds.
const MOST: usize = 1 << 20;

type Sys<T> = std::result::Result<T, Errno>;

/// What attributes are read of and set on.
pub(in crate::tree) enum Held<'a> {
    /// An open file.
    File(&'a File),
    /// A path to it that leads through an open directory.
    Path(CString),
    /// The same, where a link is taken for what it leads to. Only for reading.
    Followed(CString),
    /// It, opened for the purpose.
    Opened(OwnedFd),
    /// Nothing that can have attributes here.
    Nothing,
}

impl<'a> Held<'a> {
    /// What is at `name` in `parent`, not followed unless a source `follows` it.
    pub(in crate::tree) fn at(parent: BorrowedFd<'_>, name: &CStr, follows: bool) -> io::Result<Held<'a>> {
        if has_proc() {
            let mut path = format!("/proc/self/fd/{}/", parent.as_raw_fd()).into_bytes();
            path.extend_from_slice(name.to_bytes());
            let path = CString::new(path)?;
            return Ok(if follows { Held::Followed(path) } else { Held::Path(path) });
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let flags = if follows { flags } else { flags | OFlags::NOFOLLOW };
        match openat(parent, name, flags, Mode::empty()) {
            Ok(handle) => Ok(Held::Opened(handle)),
            Err(Errno::LOOP | Errno::NXIO | Errno::NODEV) => Ok(Held::Nothing),
            Err(error) => Err(error.into()),
        }
    }

    /// The names of its attributes; `None` where there can be none.
    pub(super) fn names(&self) -> io::Result<Option<Vec<CString>>> {
        let read = |buffer: &mut [u8]| match self {
            Held::File(file) => flistxattr(file, buffer),
            Held::Opened(file) => flistxattr(file, buffer),
            Held::Path(path) => llistxattr(path, buffer),
            Held::Followed(path) => listxattr(path, buffer),
            Held::Nothing => Err(Errno::NOTSUP),
        };
        match whole(read) {
            Ok(list) => Ok(Some(list.split_inclusive(|byte| *byte == 0).filter_map(named).collect())),
            Err(error) if is_unsupported(error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the file system it is on can keep an attribute of this name, as far as asking for it tells.
    pub(in crate::tree) fn could_have(&self, name: &CStr) -> bool {
        !self.value(name).is_err_and(is_unsupported)
    }

    /// The value of an attribute; `None` where it has none of that name.
    pub(in crate::tree) fn get(&self, name: &CStr) -> io::Result<Option<Vec<u8>>> {
        match self.value(name) {
            Ok(value) => Ok(Some(value)),
            Err(error) if error == NONE || is_unsupported(error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn value(&self, name: &CStr) -> Sys<Vec<u8>> {
        let read = |buffer: &mut [u8]| match self {
            Held::File(file) => fgetxattr(file, name, buffer),
            Held::Opened(file) => fgetxattr(file, name, buffer),
            Held::Path(path) => lgetxattr(path, name, buffer),
            Held::Followed(path) => getxattr(path, name, buffer),
            Held::Nothing => Err(Errno::NOTSUP),
        };
        whole(read)
    }

    /// Sets an attribute.
    pub(in crate::tree) fn set(&self, name: &CStr, value: &[u8]) -> Sys<()> {
        match self {
            Held::File(file) => fsetxattr(file, name, value, XattrFlags::empty()),
            Held::Opened(file) => fsetxattr(file, name, value, XattrFlags::empty()),
            Held::Path(path) => lsetxattr(path, name, value, XattrFlags::empty()),
            Held::Followed(_) | Held::Nothing => Err(Errno::NOTSUP),
        }
    }

    /// Removes an attribute, which need not be there.
    pub(in crate::tree) fn remove(&self, name: &CStr) -> Sys<()> {
        let removed = match self {
            Held::File(file) => fremovexattr(file, name),
            Held::Opened(file) => fremovexattr(file, name),
            Held::Path(path) => lremovexattr(path, name),
            Held::Followed(_) | Held::Nothing => Err(NONE),
        };
        if removed == Err(NONE) { Ok(()) } else { removed }
    }
}

/// What a system says of an attribute that is not there.
#[cfg(target_os = "linux")]
const NONE: Errno = Errno::NODATA;
#[cfg(target_vendor = "apple")]
const NONE: Errno = Errno::NOATTR;

/// Whether an error means that nothing here has attributes of the kind.
pub(in crate::tree) fn is_unsupported(error: Errno) -> bool {
    error == Errno::OPNOTSUPP || error == Errno::NOTSUP || error == Errno::NOSYS
}

/// Reads into a buffer that is as large as need be.
fn whole(mut read: impl FnMut(&mut [u8]) -> Sys<usize>) -> Sys<Vec<u8>> {
    let mut small = [0; ROOM];
    match read(&mut small) {
        Ok(len) => return Ok(small[..len].to_vec()),
        Err(Errno::RANGE) => {}
        Err(error) => return Err(error),
    }
    let mut large = vec![0; 16 * ROOM];
    loop {
        match read(&mut large) {
            Ok(len) => {
                large.truncate(len);
                return Ok(large);
            }
            Err(Errno::RANGE) if large.len() < MOST => large.resize(4 * large.len(), 0),
            Err(error) => return Err(error),
        }
    }
}

fn named(name: &[u8]) -> Option<CString> {
    CStr::from_bytes_with_nul(name).ok().filter(|name| !name.is_empty()).map(CStr::to_owned)
}

#[cfg(target_os = "linux")]
fn has_proc() -> bool {
    static HAS: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *HAS.get_or_init(|| std::path::Path::new("/proc/self/fd").is_dir())
}

#[cfg(not(target_os = "linux"))]
fn has_proc() -> bool {
    false
}
