//! The names in one directory, read with few system calls and kept in one allocation, in the order of their bytes.
//!
//! The order is the same on every system and file system; a comparison of two trees relies on it. Types come from the
//! directory itself where the file system stores them there, and are `None` where it does not: this module never stats.

use std::ffi::{CStr, OsStr, OsString};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use rustix::fs::FileType as Raw;

/// The type of a directory's entry as the directory has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileType {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A device of either kind.
    Device,
    /// A FIFO or a socket.
    Special,
}

/// One name of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirItem {
    /// The name, one path component.
    pub name: OsString,
    /// The type, where the directory told; it may have changed since.
    pub file_type: Option<FileType>,
}

/// The names of one directory, some twenty bytes each beside the name; may be reused from one directory to the next, with
/// its buffers.
#[derive(Default)]
pub struct Listing {
    /// Names, each with its NUL, one after another.
    names: Vec<u8>,
    items: Vec<Item>,
    #[cfg(target_os = "linux")]
    buffer: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Item {
    start: usize,
    /// With the NUL.
    len: u32,
    file_type: Option<FileType>,
}

impl Listing {
    /// Reads the directory open at `directory`, whose read position must be at its start, and sorts it. After an error
    /// what was read so far is there.
    pub(in crate::tree) fn read(&mut self, directory: BorrowedFd<'_>) -> io::Result<()> {
        self.read_some(directory, usize::MAX)
    }

    /// Like [`Listing::read`], and stops soon after `most` names.
    pub(super) fn read_some(&mut self, directory: BorrowedFd<'_>, most: usize) -> io::Result<()> {
        self.names.clear();
        self.items.clear();
        let result = self.fill(directory, most);
        let names = &self.names;
        self.items.sort_unstable_by(|a, b| bytes(names, a).cmp(bytes(names, b)));
        // A directory that changes while it is read may tell a name twice, over a network above all.
        self.items.dedup_by(|a, b| bytes(names, a) == bytes(names, b));
        result
    }

    /// The names with their types, in the order of their bytes.
    pub(in crate::tree) fn iter(&self) -> impl Iterator<Item = (&CStr, Option<FileType>)> {
        self.items.iter().map(|item| {
            let name = &self.names[item.start..item.start + item.len as usize];
            (CStr::from_bytes_with_nul(name).unwrap_or_default(), item.file_type)
        })
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether the directory is empty.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The name at a place in the order of their bytes.
    pub fn name(&self, place: usize) -> Option<&OsStr> {
        self.items.get(place).map(|item| OsStr::from_bytes(bytes(&self.names, item)))
    }

    /// Lets go of what only reading takes.
    pub(super) fn shrink(mut self) -> Listing {
        #[cfg(target_os = "linux")]
        drop(std::mem::take(&mut self.buffer));
        self.names.shrink_to_fit();
        self.items.shrink_to_fit();
        self
    }

    /// The names as items of their own.
    pub(super) fn to_items(&self) -> Vec<DirItem> {
        let item =
            |(name, file_type): (&CStr, _)| DirItem { name: OsString::from_vec(name.to_bytes().into()), file_type };
        self.iter().map(item).collect()
    }

    #[cfg(target_os = "linux")]
    fn fill(&mut self, directory: BorrowedFd<'_>, most: usize) -> io::Result<()> {
        /// Most directories fit one call, and the largest take one call for a thousand names.
        const BUFFER: usize = 64 * 1024;
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.reserve_exact(BUFFER);
        let mut raw = rustix::fs::RawDir::new(directory, buffer.spare_capacity_mut());
        let mut result = Ok(());
        while self.items.len() <= most
            && let Some(entry) = raw.next()
        {
            match entry {
                Ok(entry) => self.push(entry.file_name(), entry.file_type()),
                Err(error) => {
                    result = Err(error.into());
                    break;
                }
            }
        }
        self.buffer = buffer;
        result
    }

    #[cfg(not(target_os = "linux"))]
    fn fill(&mut self, directory: BorrowedFd<'_>, most: usize) -> io::Result<()> {
        let mut reader = rustix::fs::Dir::read_from(directory)?;
        while self.items.len() <= most
            && let Some(entry) = reader.read()
        {
            let entry = entry?;
            self.push(entry.file_name(), entry.file_type());
        }
        Ok(())
    }

    fn push(&mut self, name: &CStr, raw: Raw) {
        let name = name.to_bytes_with_nul();
        if matches!(name, b".\0" | b"..\0") {
            return;
        }
        // No system has names of 4 GiB.
        self.items.push(Item { start: self.names.len(), len: name.len() as u32, file_type: known(raw) });
        self.names.extend_from_slice(name);
    }
}

fn bytes<'a>(names: &'a [u8], item: &Item) -> &'a [u8] {
    &names[item.start..item.start + item.len as usize - 1]
}

fn known(raw: Raw) -> Option<FileType> {
    match raw {
        Raw::RegularFile => Some(FileType::File),
        Raw::Directory => Some(FileType::Dir),
        Raw::Symlink => Some(FileType::Symlink),
        Raw::CharacterDevice | Raw::BlockDevice => Some(FileType::Device),
        Raw::Fifo | Raw::Socket => Some(FileType::Special),
        Raw::Unknown => None,
    }
}
