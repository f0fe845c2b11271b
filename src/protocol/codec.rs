//! The elements that messages are made of: numbers, byte strings with a length, names, entries, options.
//!
//! Decoding distrusts: every length and count is held against what the frame still has before anything is allocated, and
//! a name that could lead out of a tree never becomes a path. Encoding trusts its caller, which is us.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use bytes::{Buf, BufMut};

use super::{extensions, fields};
use crate::error::{Error, Result};
use crate::options::{DeleteTime, Options};
use crate::tree::entry::{Digest, Entry, Kind, Seldom, Timestamp};
use crate::tree::paths::Paths;

/// Longest path or link target on the wire, in bytes.
pub const MAX_PATH: usize = u16::MAX as usize;
/// Most filter rules that a session may carry.
const MAX_FILTERS: usize = 65_536;

/// Reads the fields of one payload, front to back.
pub struct Reader<'a> {
    rest: &'a [u8],
    total: usize,
}

impl<'a> Reader<'a> {
    /// A reader of all of `payload`.
    pub fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload, total: payload.len() }
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.total - self.rest.len()
    }

    /// Bytes left to read.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// Whether nothing is left.
    pub fn at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8> {
        self.rest.try_get_u8().map_err(short)
    }

    /// Two bytes.
    pub fn u16(&mut self) -> Result<u16> {
        self.rest.try_get_u16().map_err(short)
    }

    /// Four bytes.
    pub fn u32(&mut self) -> Result<u32> {
        self.rest.try_get_u32().map_err(short)
    }

    /// Eight bytes.
    pub fn u64(&mut self) -> Result<u64> {
        self.rest.try_get_u64().map_err(short)
    }

    /// Eight bytes, signed.
    pub fn i64(&mut self) -> Result<i64> {
        self.rest.try_get_i64().map_err(short)
    }

    /// The next `len` bytes.
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8]> {
        let (head, tail) = self.rest.split_at_checked(len).ok_or_else(|| short(()))?;
        self.rest = tail;
        Ok(head)
    }

    /// A byte string with a `u16` before it.
    pub fn string(&mut self) -> Result<&'a [u8]> {
        let len = self.u16()? as usize;
        self.bytes(len)
    }

    /// A count of things that take at least `least` bytes each: one that the frame has no room for is refused here.
    pub fn count(&mut self, least: usize) -> Result<usize> {
        let count = self.u32()? as usize;
        if count > self.rest.len() / least.max(1) {
            return Err(Error::Stream(format!("a count of {count} in a frame of {} bytes", self.total)));
        }
        Ok(count)
    }

    /// 16 bytes of digest.
    pub fn digest(&mut self) -> Result<Digest> {
        let mut digest = Digest::default();
        digest.copy_from_slice(self.bytes(size_of::<Digest>())?);
        Ok(digest)
    }

    /// A name below a tree's root: see [`valid_name`].
    pub fn name(&mut self) -> Result<&'a Path> {
        let bytes = self.string()?;
        if valid_name(bytes) {
            Ok(Path::new(OsStr::from_bytes(bytes)))
        } else {
            Err(Error::Stream(format!("the name {:?} does not stay below the root", bytes.escape_ascii().to_string())))
        }
    }

    /// Nothing may be left: a longer message is of a version that we did not agree on.
    pub fn finish(self) -> Result<()> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(Error::Stream(format!("{left} bytes too many in a message"))),
        }
    }
}

fn short<E>(_: E) -> Error {
    Error::Stream("a message ends within a field".into())
}

/// Whether `name` is relative, has no empty, `.` or `..` component and no NUL; `.` alone is the root.
pub fn valid_name(name: &[u8]) -> bool {
    name == b"."
        || (!name.is_empty()
            && !name.contains(&0)
            && name.split(|byte| *byte == b'/').all(|part| !matches!(part, b"" | b"." | b"..")))
}

/// Appends a byte string with a `u16` before it. Text that is longer is cut; a path never is (see [`fits`]).
pub fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(MAX_PATH)];
    out.put_u16(bytes.len() as u16);
    out.put_slice(bytes);
}

/// Appends a path as a byte string.
pub fn put_path(out: &mut Vec<u8>, path: &Path) {
    put_string(out, path.as_os_str().as_bytes());
}

const KIND_FILE: u8 = 0;
const KIND_DIR: u8 = 1;
const KIND_SYMLINK: u8 = 2;
const KIND_FIFO: u8 = 3;
const KIND_SOCKET: u8 = 4;
const KIND_CHAR: u8 = 5;
const KIND_BLOCK: u8 = 6;
/// A directory that only leads to what is copied: in a whole list alone.
const KIND_IMPLIED: u8 = 7;
const KIND_MASK: u8 = 0x0f;
const HAS_LINK_GROUP: u8 = 0x10;
const HAS_DIGEST: u8 = 0x20;
const HAS_EXTENSIONS: u8 = 0x40;
const CONTENTS_LISTED: u8 = 0x80;

/// Least bytes that an entry takes on the wire.
pub const ENTRY_LEAST: usize = 1 + 2 + 2 + 8 + 4 + 4 + 4;

/// Whether an entry's path and target can be sent at all.
pub fn fits(entry: &Entry) -> bool {
    entry.relative().as_os_str().len().max(target_len(entry)) <= MAX_PATH
}

/// Most bytes that an entry takes on the wire.
pub fn entry_size(entry: &Entry) -> usize {
    let extensions = entry.seldom.as_ref().map_or(0, |seldom| extensions::size(seldom));
    let paths = entry.relative().as_os_str().len() + target_len(entry);
    ENTRY_LEAST + 2 + 8 + 4 + size_of::<Digest>() + extensions + paths
}

/// Bytes on the wire that count as one entry.
const WEIGHED: usize = 256;

/// What an entry counts as where the number of those that are held is bounded: one, or more if its path is a long one.
pub fn weight(entry: &Entry) -> usize {
    entry_size(entry).div_ceil(WEIGHED)
}

fn target_len(entry: &Entry) -> usize {
    match &entry.kind {
        Kind::Symlink { target } => target.as_os_str().len(),
        _ => 0,
    }
}

/// The number of a kind on the wire: at most 7.
pub(super) fn kind_code(kind: &Kind) -> u8 {
    match kind {
        Kind::File { .. } => KIND_FILE,
        Kind::Dir => KIND_DIR,
        Kind::Symlink { .. } => KIND_SYMLINK,
        Kind::Fifo => KIND_FIFO,
        Kind::Socket => KIND_SOCKET,
        Kind::CharDevice { .. } => KIND_CHAR,
        Kind::BlockDevice { .. } => KIND_BLOCK,
    }
}

/// Appends an entry: flags and kind, name, mode, time, owner, group, then what its kind and flags add.
pub fn put_entry(out: &mut Vec<u8>, entry: &Entry) {
    let kind = if entry.implied { KIND_IMPLIED } else { kind_code(&entry.kind) };
    let (group, contents) = (entry.link_group(), entry.digest());
    let link = if group.is_some() { HAS_LINK_GROUP } else { 0 };
    let digest = if contents.is_some() { HAS_DIGEST } else { 0 };
    let listed = if entry.contents_listed { CONTENTS_LISTED } else { 0 };
    let extended = entry.seldom.as_deref().filter(|seldom| extensions::are_there(seldom));
    let more = if extended.is_some() { HAS_EXTENSIONS } else { 0 };
    out.put_u8(kind | link | digest | more | listed);
    put_path(out, entry.relative());
    out.put_u16(entry.mode as u16);
    out.put_i64(entry.mtime.secs);
    out.put_u32(entry.mtime.nanos);
    out.put_u32(entry.uid);
    out.put_u32(entry.gid);
    match &entry.kind {
        Kind::File { size } => out.put_u64(*size),
        Kind::Symlink { target } => put_path(out, target),
        Kind::CharDevice { rdev } | Kind::BlockDevice { rdev } => out.put_u64(*rdev),
        Kind::Dir | Kind::Fifo | Kind::Socket => {}
    }
    if let Some(group) = group {
        out.put_u32(group);
    }
    if let Some(digest) = contents {
        out.put_slice(&digest);
    }
    if let Some(seldom) = extended {
        extensions::put(out, seldom);
    }
}

/// Reads an entry of the tree at `root`.
///
/// # Errors
/// A name that leaves the root, an unknown kind, a time or mode out of range, an impossible link target.
pub fn entry(reader: &mut Reader<'_>, root: &Path) -> Result<Entry> {
    let flags = reader.u8()?;
    let name = reader.name()?;
    let mode = u32::from(reader.u16()?);
    let mtime = Timestamp { secs: reader.i64()?, nanos: reader.u32()? };
    if mode > 0o7777 || mtime.nanos >= 1_000_000_000 {
        return Err(Error::Stream(format!("mode {mode:o} or time {mtime:?} out of range")));
    }
    let (uid, gid) = (reader.u32()?, reader.u32()?);
    let implied = flags & KIND_MASK == KIND_IMPLIED;
    let kind = if implied { Kind::Dir } else { kind_with(flags & KIND_MASK, reader, Reader::u64)? };
    let link_group = if flags & HAS_LINK_GROUP != 0 { Some(reader.u32()?) } else { None };
    let digest = if flags & HAS_DIGEST != 0 { Some(reader.digest()?) } else { None };
    let mut seldom = Seldom { link_group, digest, ..Seldom::default() };
    if flags & HAS_EXTENSIONS != 0 {
        extensions::read(reader, &mut seldom)?;
    }
    let contents_listed = flags & CONTENTS_LISTED != 0;
    // As bytes: a valid name has one spelling, and paths are compared component by component.
    let only_leads = implied && (name.as_os_str() == "." || contents_listed);
    if only_leads || (name.as_os_str() == "." || contents_listed) && kind != Kind::Dir {
        return Err(Error::Stream("a root or a listed directory that is no directory".into()));
    }
    let (paths, seldom) = (Paths::new(root, name), seldom.boxed());
    Ok(Entry { paths, kind, mode, mtime, uid, gid, contents_listed, implied, seldom })
}

/// Reads what a kind has besides its `code`; sizes and device numbers as `number` reads them.
pub(super) fn kind_with<'a>(
    code: u8,
    reader: &mut Reader<'a>,
    number: impl FnOnce(&mut Reader<'a>) -> Result<u64>,
) -> Result<Kind> {
    Ok(match code {
        KIND_FILE => Kind::File { size: number(reader)? },
        KIND_DIR => Kind::Dir,
        KIND_SYMLINK => {
            let target = reader.string()?;
            if target.is_empty() || target.contains(&0) {
                return Err(Error::Stream("a symbolic link to nothing".into()));
            }
            Kind::Symlink { target: Path::new(OsStr::from_bytes(target)).into() }
        }
        KIND_FIFO => Kind::Fifo,
        KIND_SOCKET => Kind::Socket,
        KIND_CHAR => Kind::CharDevice { rdev: number(reader)? },
        KIND_BLOCK => Kind::BlockDevice { rdev: number(reader)? },
        other => return Err(Error::Stream(format!("an entry of unknown kind {other}"))),
    })
}

/// The boolean options in the order of their bits on the wire.
fn flags(options: &mut Options) -> [&mut bool; 24] {
    [
        &mut options.recursive,
        &mut options.links,
        &mut options.perms,
        &mut options.times,
        &mut options.group,
        &mut options.owner,
        &mut options.devices,
        &mut options.specials,
        &mut options.hard_links,
        &mut options.dirs,
        &mut options.one_file_system,
        &mut options.checksum,
        &mut options.update,
        &mut options.whole_file,
        &mut options.ignore_times,
        &mut options.size_only,
        &mut options.existing,
        &mut options.ignore_existing,
        &mut options.sparse,
        &mut options.inplace,
        &mut options.partial,
        &mut options.numeric_ids,
        &mut options.dry_run,
        &mut options.compress,
    ]
}

/// The bit that says that something is deleted: the place between those of `ignore_existing` and `sparse`.
const DELETE: u32 = 18;
/// The bits that say when, where it is not during the transfer.
const DELETE_TIMES: [(u32, DeleteTime); 3] =
    [(25, DeleteTime::Before), (26, DeleteTime::Delay), (27, DeleteTime::After)];
/// The bit of a limit to deletions, which then follows the filter rules.
const MAX_DELETE: u32 = 28;
/// The bit of the options that have none of their own: their list (see `fields`) then comes last.
const FIELDS: u32 = 29;

/// The bit of the flag at `place` of [`flags`].
fn flag_bit(place: usize) -> u64 {
    // Far fewer than 64.
    let place = place as u32;
    1 << (place + u32::from(place >= DELETE))
}

/// Appends the options of a session: a bit for each flag and for what is deleted when, the timeout in milliseconds (0:
/// none), the filter rules, the limit to deletions if there is one, the list of the other options if there are any.
pub fn put_options(out: &mut Vec<u8>, options: &Options) {
    let mut options = options.clone();
    let set =
        flags(&mut options).iter().enumerate().filter(|(_, flag)| ***flag).map(|(place, _)| flag_bit(place)).sum();
    let mut bits: u64 = set;
    if let Some(delete) = options.delete {
        bits |= 1 << DELETE;
        bits |= DELETE_TIMES.iter().filter(|(_, time)| *time == delete).map(|(bit, _)| 1 << bit).sum::<u64>();
    }
    bits |= u64::from(options.max_delete.is_some()) << MAX_DELETE;
    let fields = fields::encode(&mut options);
    bits |= u64::from(fields.is_some()) << FIELDS;
    out.put_u64(bits);
    out.put_u64(options.timeout.map_or(0, |timeout| timeout.as_millis() as u64));
    out.put_u32(options.filters.len() as u32);
    for rule in &options.filters {
        put_string(out, rule);
    }
    options.max_delete.into_iter().for_each(|max| out.put_u64(max));
    out.put_slice(&fields.unwrap_or_default());
}

/// Reads the options of a session.
///
/// # Errors
/// A flag that this version does not know, or two times of deletion: to ignore it would be to do something else than was
/// asked.
pub fn options(reader: &mut Reader<'_>) -> Result<Options> {
    let mut options = Options::default();
    let bits = reader.u64()?;
    let mut known = 1 << DELETE | 1 << MAX_DELETE | 1 << FIELDS;
    for (place, flag) in flags(&mut options).into_iter().enumerate() {
        *flag = bits & flag_bit(place) != 0;
        known |= flag_bit(place);
    }
    let mut times = DELETE_TIMES.iter().filter(|(bit, _)| bits & (1 << bit) != 0).map(|(_, time)| *time);
    let time = times.next();
    known |= DELETE_TIMES.iter().map(|(bit, _)| 1u64 << bit).sum::<u64>();
    let deletes = bits & (1 << DELETE) != 0;
    if bits & !known != 0 || times.next().is_some() || (time.is_some() && !deletes) {
        return Err(Error::Stream(format!("unknown options {bits:#x}")));
    }
    options.delete = deletes.then(|| time.unwrap_or(DeleteTime::During));
    options.timeout = match reader.u64()? {
        0 => None,
        millis => Some(Duration::from_millis(millis)),
    };
    let count = reader.count(2)?;
    if count > MAX_FILTERS {
        return Err(Error::Stream(format!("{count} filter rules")));
    }
    for _ in 0..count {
        options.filters.push(reader.string()?.to_vec());
    }
    options.max_delete = if bits & (1 << MAX_DELETE) != 0 { Some(reader.u64()?) } else { None };
    if bits & (1 << FIELDS) != 0 {
        fields::decode(reader, &mut options)?;
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_leave_the_root_is_invalid() {
        for bad in ["", "/", "/a", "a/", "..", "a/..", "a/../b", "./a", "a//b", "a/./b", "a\0b"] {
            assert!(!valid_name(bad.as_bytes()), "{bad:?}");
        }
        for good in [".", "a", "a/b", "...", "..a", "a\nb", "-rf", " ", "\u{fffd}", "\u{7f}"] {
            assert!(valid_name(good.as_bytes()), "{good:?}");
        }
    }

    #[test]
    fn every_option_survives_the_wire_alone() {
        for place in 0..24 {
            let mut sent = Options { filters: vec![b"- *.o".to_vec()], ..Options::default() };
            *flags(&mut sent)[place] = true;
            sent.timeout = Some(Duration::from_millis(1500));
            let mut bytes = Vec::new();
            put_options(&mut bytes, &sent);
            assert_eq!(options(&mut Reader::new(&bytes)).unwrap(), sent);
        }
    }

    #[test]
    fn an_unknown_option_is_refused() {
        let mut bytes = Vec::new();
        put_options(&mut bytes, &Options::default());
        bytes[0] = 0x80;
        assert!(options(&mut Reader::new(&bytes)).is_err());
    }

    #[test]
    fn when_and_how_much_is_deleted_survives_the_wire() {
        let times = DELETE_TIMES.map(|(_, time)| Some(time));
        for delete in times.into_iter().chain([None, Some(DeleteTime::During)]) {
            for max_delete in [None, Some(0), Some(1 << 40)] {
                let sent = Options { delete, max_delete, ..Options::default() };
                let mut bytes = Vec::new();
                put_options(&mut bytes, &sent);
                assert_eq!(options(&mut Reader::new(&bytes)).unwrap(), sent);
            }
        }
    }

    #[test]
    fn two_times_of_deletion_or_one_without_deletion_are_refused() {
        for bits in [1u64 << DELETE | 1 << 25 | 1 << 26, 1 << 27] {
            let mut bytes = Vec::new();
            put_options(&mut bytes, &Options::default());
            bytes[..8].copy_from_slice(&bits.to_be_bytes());
            assert!(options(&mut Reader::new(&bytes)).is_err(), "{bits:#x}");
        }
    }
}
