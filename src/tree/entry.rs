//! One path in a tree: what a scan found, what a file list carries, what a destination is made to look like.
//!
//! Plain data. Reading it from a disk is `scanner`'s and `metadata`'s, carrying it over a link is `protocol`'s.

use std::borrow::Cow;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use super::acl::{Acls, Item};
use super::dir::FileType;
use super::paths::Paths;
use super::xattrs::{INLINE, Value, Xattr};

/// A point in time as a file system stores it: seconds and nanoseconds since the epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Seconds since 1970-01-01 UTC, negative before.
    pub secs: i64,
    /// Nanoseconds within the second, below 1,000,000,000.
    pub nanos: u32,
}

/// Granularities of times on file systems, in nanoseconds: of NTFS and CIFS, of network file systems, of exFAT, of ext3,
/// HFS+ and tools that keep seconds only.
const GRANULARITIES: [u32; 5] = [100, 1_000, 1_000_000, 10_000_000, 1_000_000_000];

impl Timestamp {
    /// Whether `stored` is what some file system makes of this time: itself, or itself cut to a coarser granularity.
    pub fn is_kept_as(&self, stored: &Timestamp) -> bool {
        let cut = |unit: u32| self.nanos - self.nanos % unit;
        self.secs == stored.secs
            && (self.nanos == stored.nanos || GRANULARITIES.iter().any(|unit| cut(*unit) == stored.nanos))
    }
}

/// 16 bytes of XXH3-128: of a whole file, or of a block. See `delta::strong`.
pub type Digest = [u8; 16];

/// The type of an entry, with what only that type has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file of `size` bytes.
    File {
        /// Length in bytes.
        size: u64,
    },
    /// A directory.
    Dir,
    /// A symbolic link; the target is bytes and never resolved.
    Symlink {
        /// What the link points at, as stored.
        target: Target,
    },
    /// A named pipe.
    Fifo,
    /// A Unix socket.
    Socket,
    /// A character device.
    CharDevice {
        /// Major and minor number as the system encodes them.
        rdev: u64,
    },
    /// A block device.
    BlockDevice {
        /// Major and minor number as the system encodes them.
        rdev: u64,
    },
}

impl Kind {
    /// Whether two kinds are of one file type, whatever their size, target or device number.
    pub fn same_type(&self, other: &Kind) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// Length in bytes of a regular file, 0 for anything else.
    pub fn size(&self) -> u64 {
        match self {
            Kind::File { size } => *size,
            _ => 0,
        }
    }

    /// The type alone.
    pub fn file_type(&self) -> FileType {
        match self {
            Kind::File { .. } => FileType::File,
            Kind::Dir => FileType::Dir,
            Kind::Symlink { .. } => FileType::Symlink,
            Kind::CharDevice { .. } | Kind::BlockDevice { .. } => FileType::Device,
            Kind::Fifo | Kind::Socket => FileType::Special,
        }
    }

    /// What rsync shows as the length: the size of a regular file, that of a symbolic link's target, 0 for anything else.
    pub fn length(&self) -> u64 {
        match self {
            Kind::Symlink { target } => target.as_os_str().len() as u64,
            other => other.size(),
        }
    }
}

/// A symbolic link's target. Thin, since the size of every [`Kind`] is that of the largest, and few entries are links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(Box<Box<Path>>);

impl Deref for Target {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl From<&Path> for Target {
    fn from(path: &Path) -> Self {
        Self(Box::new(path.into()))
    }
}

impl From<PathBuf> for Target {
    fn from(path: PathBuf) -> Self {
        Self(Box::new(path.into()))
    }
}

/// One path in a tree and its metadata, read without following a link.
///
/// A list holds one for every path of a tree: what few entries have is kept apart, in [`Seldom`].
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where it is.
    pub paths: Paths,
    /// What it is.
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky: `st_mode & 0o7777`.
    pub mode: u32,
    /// Modification time.
    pub mtime: Timestamp,
    /// Owner's number on the machine that this entry was read on.
    pub uid: u32,
    /// Group's number on the machine that this entry was read on.
    pub gid: u32,
    /// Of a directory: whether all that is in it was listed. Only then may what is not in the list be deleted there.
    pub contents_listed: bool,
    /// Of a directory: it only leads to what is copied, and stays as the destination has it (`--no-implied-dirs`).
    pub implied: bool,
    /// What only some options ask for.
    pub seldom: Option<Box<Seldom>>,
}

/// What an entry has with some options only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seldom {
    /// See [`Entry::link_group`].
    pub link_group: Option<u32>,
    /// See [`Entry::digest`].
    pub digest: Option<Digest>,
    /// See [`Entry::atime`].
    pub atime: Option<Timestamp>,
    /// See [`Entry::xattrs`].
    pub xattrs: Vec<Xattr>,
    /// See [`Entry::acls`].
    pub acls: Option<Box<Acls>>,
}

impl Seldom {
    /// Boxed as an [`Entry`] holds it: `None` where there is nothing to hold.
    pub fn boxed(self) -> Option<Box<Seldom>> {
        (self != Seldom::default()).then(|| Box::new(self))
    }
}

impl Entry {
    /// Path below the tree's root, as sent to a peer; `.` is the root itself.
    pub fn relative(&self) -> &Path {
        self.paths.relative()
    }

    /// The root's path joined with [`Entry::relative`]: for messages and for reading.
    pub fn path(&self) -> Cow<'_, Path> {
        self.paths.path()
    }

    /// Hard-link group within this list: entries with equal numbers are one file. `None` without `-H` or for one link.
    pub fn link_group(&self) -> Option<u32> {
        self.seldom.as_ref()?.link_group
    }

    /// Puts the entry into a hard-link group.
    pub fn set_link_group(&mut self, group: u32) {
        self.seldom.get_or_insert_default().link_group = Some(group);
    }

    /// Digest of the contents; only for regular files and only with `--checksum`.
    pub fn digest(&self) -> Option<Digest> {
        self.seldom.as_ref()?.digest
    }

    /// Notes the digest of the contents.
    pub fn set_digest(&mut self, digest: Digest) {
        self.seldom.get_or_insert_default().digest = Some(digest);
    }

    /// Access time; only with `--atimes`, and not of a directory.
    pub fn atime(&self) -> Option<Timestamp> {
        self.seldom.as_ref()?.atime
    }

    /// Extended attributes, in the order of their names; only with `--xattrs`.
    pub fn xattrs(&self) -> &[Xattr] {
        self.seldom.as_ref().map_or(&[], |seldom| &seldom.xattrs)
    }

    /// Access control lists, if there are any; only with `--acls`.
    pub fn acls(&self) -> Option<&Acls> {
        self.seldom.as_ref()?.acls.as_deref()
    }

    /// The same, for their numbers to be translated.
    pub fn acls_mut(&mut self) -> Option<&mut Acls> {
        self.seldom.as_mut()?.acls.as_deref_mut()
    }

    /// Bytes that an entry is counted for where a peer says how many are held: the same, whether or not values have come.
    pub fn held_bytes(&self) -> usize {
        let xattrs = self.xattrs().iter().map(|xattr| xattr.name.count_bytes() + INLINE);
        let acls = self.acls().into_iter().flat_map(Acls::each).map(|acl| size_of::<Item>() * acl.items.len());
        self.relative().as_os_str().len() + xattrs.sum::<usize>() + acls.sum::<usize>()
    }

    /// Whether the attribute at `place` in the list is known by its digest only.
    pub fn large(&self, place: usize) -> bool {
        self.xattrs().get(place).is_some_and(Xattr::is_large)
    }

    /// Notes the value of the attribute at `place`.
    pub fn set_value(&mut self, place: usize, bytes: Vec<u8>) {
        if let Some(xattr) = self.seldom.as_mut().and_then(|seldom| seldom.xattrs.get_mut(place)) {
            xattr.value = Value::Whole(bytes.into());
        }
    }

    /// Whether this is a directory.
    pub fn is_dir(&self) -> bool {
        matches!(self.kind, Kind::Dir)
    }

    /// Whether this is a regular file.
    pub fn is_file(&self) -> bool {
        matches!(self.kind, Kind::File { .. })
    }
}

#[cfg(test)]
impl Entry {
    /// An entry for tests: mode 0644, of the epoch and of root.
    pub fn sample(name: &str, kind: Kind) -> Entry {
        Entry {
            paths: Paths::new(Path::new("/r"), Path::new(name)),
            kind,
            mode: 0o644,
            mtime: Timestamp::default(),
            uid: 0,
            gid: 0,
            contents_listed: false,
            implied: false,
            seldom: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_no_larger_than_ten_words_and_its_kind_than_two() {
        assert!(size_of::<Entry>() <= 10 * size_of::<u64>(), "{}", size_of::<Entry>());
        assert_eq!(size_of::<Kind>(), 2 * size_of::<u64>());
    }

    #[test]
    fn a_link_group_and_a_digest_are_kept_side_by_side() {
        let mut entry = Entry::sample("f", Kind::File { size: 1 });
        assert_eq!((entry.link_group(), entry.digest()), (None, None));
        entry.set_digest([7; 16]);
        entry.set_link_group(0);
        assert_eq!((entry.link_group(), entry.digest()), (Some(0), Some([7; 16])));
    }

    #[test]
    fn a_time_is_kept_exactly_or_cut_to_what_a_file_system_holds() {
        let time = Timestamp { secs: 7, nanos: 123_456_789 };
        for nanos in [123_456_789, 123_456_700, 123_456_000, 123_000_000, 120_000_000, 0] {
            assert!(time.is_kept_as(&Timestamp { secs: 7, nanos }), "{nanos}");
        }
        for stored in [Timestamp { secs: 8, nanos: 0 }, Timestamp { secs: 7, nanos: 123_456_788 }] {
            assert!(!time.is_kept_as(&stored), "{stored:?}");
        }
        assert!(!Timestamp { secs: 7, nanos: 0 }.is_kept_as(&time), "the destination's is the coarser one");
    }
}
