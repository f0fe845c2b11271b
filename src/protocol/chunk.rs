//! The list in pieces: FILE_LIST_CHUNK (a directory, or a part of a large one), FILE_LIST_CHUNK_ACK (the decisions on it),
//! FILE_LIST_END. Phase 5.1 of the plan.
//!
//! Names are single components, sorted, and written as what they do not share with the one before; attributes are written
//! where they differ from those of the entry before. So a file costs some twenty bytes. A chunk is opened by who knows the
//! path of its directory, which is the receiver's state and not the message's.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use bytes::BufMut;

use super::codec::{self, Reader};
use super::extensions;
use super::message::Counters;
use super::payload::Payload;
use crate::error::{Error, Result};
use crate::plan::{Action, Changes, Decision};
use crate::tree::entry::{Entry, Kind, Seldom, Timestamp};
use crate::tree::paths::Paths;

/// Bytes of entries after which a chunk is sent off, and a large directory goes on in another.
pub const FILL: usize = 64 << 10;
/// Least bytes that a name takes.
pub const NAME_LEAST: usize = 2;
/// Longest component of a path, in bytes. Most systems have none above 255; some count characters and not bytes.
pub const MAX_NAME: usize = codec::MAX_PATH;

/// The first chunk of its directory: the directory's own entry is in it.
const FIRST: u8 = 0x01;
/// The last one.
const LAST: u8 = 0x02;
/// All that is in the directory is in its chunks.
const LISTED: u8 = 0x04;
/// Nothing is known of the directory but its name.
const LOST: u8 = 0x08;
/// Something of the source could not be read.
const INCOMPLETE: u8 = 0x10;

/// Most bytes that a name shares with the one before.
const MAX_SHARED: usize = 255;

const KIND: u8 = 0x07;
const SAME_MODE: u8 = 0x08;
const SAME_OWNER: u8 = 0x10;
const SAME_SECOND: u8 = 0x20;
const WHOLE_SECOND: u8 = 0x40;
const SELDOM: u8 = 0x80;

const LINK_GROUP: u8 = 0x01;
const DIGEST: u8 = 0x02;
const EXTENSIONS: u8 = 0x04;

/// Ids and the names that go with them.
pub type Names = Vec<(u32, Vec<u8>)>;

/// A directory's entries, or a part of them, as they are on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Counts the chunks of the list from 0.
    pub id: u32,
    /// The directory: 0 is above the list's roots, the others are numbered from 1 as chunks announce them.
    pub dir: u32,
    flags: u8,
    fields: Payload,
}

/// What is in a chunk.
#[derive(Debug, Default)]
pub struct Contents {
    /// The directory itself, in its first chunk.
    pub own: Option<Entry>,
    /// What is in it and no directory, in the order of the names' bytes.
    pub entries: Vec<Entry>,
    /// The names of the directories in it, in the order of their bytes.
    pub dirs: Vec<OsString>,
    /// Names of owners that this chunk is the first to mention.
    pub users: Names,
    /// Names of groups that this chunk is the first to mention.
    pub groups: Names,
}

/// What a chunk says of its directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// It is the first of its directory.
    pub first: bool,
    /// It is the last of its directory.
    pub last: bool,
    /// Nothing is known of the directory: it went, or it cannot be looked at.
    pub lost: bool,
    /// Something of the source, here or before, could not be read: nothing may be deleted any more.
    pub incomplete: bool,
}

/// Names that have waited to the end of the list and are decided on in one acknowledgement.
pub const LATE_NAMES: usize = 64 << 10;

/// The decisions on a chunk, or after the last one on names that wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkAck {
    /// The chunk.
    pub id: u32,
    /// How many places it has: the directory's own entry, if it is in it, and the entries.
    pub count: u32,
    /// What is done, by place; the places that are not mentioned are left as they are.
    pub decisions: Vec<(u32, Decision)>,
}

/// The end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListEnd {
    /// Entries in all chunks, directories' own ones included.
    pub total: u32,
    /// What the sender has counted.
    pub counters: Counters,
}

impl Contents {
    /// Bytes that they take on the wire, at most: many chunks wait to be sent, each in a buffer of its own.
    pub fn room(&self) -> usize {
        // What numbers may take more here than the fields of an entry in a whole list, and the counts.
        const NUMBERS: usize = 8;
        const COUNTS: usize = 40;
        let names = |names: &Names| names.iter().map(|(_, name)| 7 + name.len()).sum::<usize>();
        let entries = self.own.iter().chain(&self.entries).map(|entry| codec::entry_size(entry) + NUMBERS);
        let dirs = self.dirs.iter().map(|name| name.len() + 4);
        COUNTS + names(&self.users) + names(&self.groups) + entries.sum::<usize>() + dirs.sum::<usize>()
    }
}

impl Chunk {
    /// Puts a chunk together in `buffer`.
    pub fn new(id: u32, dir: u32, state: State, contents: &Contents, mut buffer: Vec<u8>) -> Chunk {
        let flag = |on: bool, flag: u8| if on { flag } else { 0 };
        let listed = contents.own.as_ref().is_some_and(|own| own.contents_listed);
        let flags = flag(state.first, FIRST)
            | flag(state.last, LAST)
            | flag(state.lost, LOST)
            | flag(state.incomplete, INCOMPLETE)
            | flag(listed, LISTED);
        for names in [&contents.users, &contents.groups] {
            put_number(&mut buffer, names.len() as u64);
            for (id, name) in names {
                put_number(&mut buffer, u64::from(*id));
                codec::put_string(&mut buffer, name);
            }
        }
        let mut before = Before::default();
        if let Some(own) = contents.own.as_ref().filter(|_| !state.lost) {
            before.put(&mut buffer, own, b"");
        }
        put_number(&mut buffer, contents.entries.len() as u64);
        for entry in &contents.entries {
            let name = entry.relative().file_name().unwrap_or_default();
            before.put(&mut buffer, entry, name.as_bytes());
        }
        put_number(&mut buffer, contents.dirs.len() as u64);
        before.name.clear();
        for name in &contents.dirs {
            before.put_name(&mut buffer, name.as_bytes());
        }
        Chunk { id, dir, flags, fields: buffer.into() }
    }

    /// What the chunk says of its directory.
    pub fn state(&self) -> State {
        let has = |flag| self.flags & flag != 0;
        State { first: has(FIRST), last: has(LAST), lost: has(LOST), incomplete: has(INCOMPLETE) }
    }

    /// Judges what is in the chunk and makes entries of it, those of the directory at `path` in the tree at `root`.
    ///
    /// # Errors
    /// [`Error::Stream`] for a name that is not one component or out of order, a value out of range, bytes that are
    /// missing or left over.
    pub fn open(&self, root: &Path, path: &Path) -> Result<Contents> {
        let mut reader = Reader::new(&self.fields);
        let (users, groups) = (names(&mut reader)?, names(&mut reader)?);
        let mut before = Before::default();
        let state = self.state();
        let own = match state.first && !state.lost && self.dir != 0 {
            true => {
                let mut own = before.entry(&mut reader, |name, _| match name {
                    b"" => Ok(Paths::new(root, path)),
                    other => Err(misnamed(other)),
                })?;
                if own.kind != Kind::Dir {
                    return Err(Error::Stream(format!("{path:?} was announced as a directory and is none")));
                }
                own.contents_listed = self.flags & LISTED != 0;
                Some(own)
            }
            false => None,
        };
        let mut scratch = Scratch::new(path);
        let count = count(&mut reader)?;
        let mut entries = Vec::with_capacity(count.min(FILL));
        for _ in 0..count {
            let entry = before.entry(&mut reader, |name, in_order| {
                check_name(name)?;
                if !in_order {
                    return Err(misnamed(name));
                }
                Ok(Paths::new(root, scratch.child(name)))
            })?;
            if entry.is_dir() {
                return Err(Error::Stream(format!("the directory {:?} among what is none", entry.relative())));
            }
            entries.push(entry);
        }
        let dirs = before.dirs(&mut reader, self.dir == 0)?;
        reader.finish()?;
        if state.lost && !(entries.is_empty() && dirs.is_empty()) {
            return Err(Error::Stream(format!("something in {path:?}, of which nothing is known")));
        }
        if self.dir == 0 && dirs.len() > 1 && dirs.iter().any(|name| name == ".") {
            return Err(misnamed(b"."));
        }
        Ok(Contents { own, entries, dirs, users, groups })
    }

    /// The bytes, for their buffer to be used again.
    pub fn into_bytes(self) -> Payload {
        self.fields
    }

    pub(super) fn put(self, out: &mut Vec<u8>) -> Payload {
        out.put_u32(self.id);
        out.put_u32(self.dir);
        out.put_u8(self.flags);
        self.fields
    }

    /// Takes a received message's head; what follows it is `fields`, from where the reader stands on.
    pub(super) fn head(reader: &mut Reader<'_>) -> Result<(u32, u32, u8)> {
        let (id, dir, flags) = (reader.u32()?, reader.u32()?, reader.u8()?);
        let wrong = flags & !(FIRST | LAST | LISTED | LOST | INCOMPLETE) != 0
            || (flags & LOST != 0 && flags & (FIRST | LAST | LISTED) != FIRST | LAST)
            || (flags & LISTED != 0 && flags & FIRST == 0);
        if wrong {
            return Err(Error::Stream(format!("impossible flags {flags:#04x} of a chunk")));
        }
        Ok((id, dir, flags))
    }

    pub(super) fn of((id, dir, flags): (u32, u32, u8), fields: Payload) -> Chunk {
        Chunk { id, dir, flags, fields }
    }
}

impl ChunkAck {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.put_u32(self.id);
        put_number(out, u64::from(self.count));
        put_number(out, self.decisions.len() as u64);
        let mut next = 0;
        for (place, decision) in &self.decisions {
            put_number(out, u64::from(place - next));
            next = place + 1;
            out.put_u8(decision.action as u8);
            put_number(out, u64::from(decision.changes.bits()));
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<ChunkAck> {
        let id = reader.u32()?;
        let count = number(reader)?;
        let count = u32::try_from(count).map_err(|_| Error::Stream(format!("{count} entries in a chunk")))?;
        let mentioned = self::count(reader)?;
        let (mut decisions, mut next) = (Vec::with_capacity(mentioned), 0u64);
        for _ in 0..mentioned {
            let place = next.saturating_add(number(reader)?);
            if place >= u64::from(count) {
                return Err(Error::Stream(format!("a decision on entry {place} of {count}")));
            }
            next = place + 1;
            let action = reader.u8()?;
            let action = Action::from_wire(action).ok_or_else(|| Error::Stream(format!("unknown action {action}")))?;
            let bits = number(reader)?;
            let changes = u16::try_from(bits).ok().and_then(Changes::from_bits);
            let changes = changes.ok_or_else(|| Error::Stream(format!("unknown changes {bits:#x}")))?;
            // Below the count, which is 32 bits.
            decisions.push((place as u32, Decision { action, changes }));
        }
        Ok(ChunkAck { id, count, decisions })
    }
}

/// The entry before, which the next one is told apart from.
#[derive(Default)]
struct Before {
    name: Vec<u8>,
    mode: u32,
    owner: (u32, u32),
    secs: i64,
}

impl Before {
    fn put(&mut self, out: &mut Vec<u8>, entry: &Entry, name: &[u8]) {
        let owner = (entry.uid, entry.gid);
        let flag = |on: bool, flag: u8| if on { flag } else { 0 };
        out.put_u8(
            codec::kind_code(&entry.kind)
                | flag(entry.mode == self.mode, SAME_MODE)
                | flag(owner == self.owner, SAME_OWNER)
                | flag(entry.mtime.secs == self.secs, SAME_SECOND)
                | flag(entry.mtime.nanos == 0, WHOLE_SECOND)
                | flag(entry.seldom.is_some(), SELDOM),
        );
        self.put_name(out, name);
        if entry.mode != self.mode {
            out.put_u16(entry.mode as u16);
        }
        if owner != self.owner {
            put_number(out, u64::from(entry.uid));
            put_number(out, u64::from(entry.gid));
        }
        if entry.mtime.secs != self.secs {
            put_number(out, zigzag(entry.mtime.secs.wrapping_sub(self.secs)));
        }
        if entry.mtime.nanos != 0 {
            put_number(out, u64::from(entry.mtime.nanos));
        }
        match &entry.kind {
            Kind::File { size } => put_number(out, *size),
            Kind::Symlink { target } => codec::put_path(out, target),
            Kind::CharDevice { rdev } | Kind::BlockDevice { rdev } => put_number(out, *rdev),
            Kind::Dir | Kind::Fifo | Kind::Socket => {}
        }
        if let Some(seldom) = &entry.seldom {
            put_seldom(out, seldom);
        }
        (self.mode, self.owner, self.secs) = (entry.mode, owner, entry.mtime.secs);
    }

    fn put_name(&mut self, out: &mut Vec<u8>, name: &[u8]) {
        let shared = self.name.iter().zip(name).take(MAX_SHARED).take_while(|(one, other)| one == other).count();
        out.put_u8(shared as u8);
        put_number(out, (name.len() - shared) as u64);
        out.put_slice(&name[shared..]);
        self.name.truncate(shared);
        self.name.extend_from_slice(&name[shared..]);
    }

    /// Reads a name and says whether it comes after the one before.
    fn read_name(&mut self, reader: &mut Reader<'_>) -> Result<bool> {
        let (shared, len) = (usize::from(reader.u8()?), number(reader)?);
        // Both are at most 64 KiB from here on.
        let len = usize::try_from(len).unwrap_or(usize::MAX).min(MAX_NAME + 1);
        if shared > self.name.len() || shared + len > MAX_NAME {
            return Err(Error::Stream(format!(
                "a name of more than {MAX_NAME} bytes, or that shares {shared} of fewer"
            )));
        }
        let rest = reader.bytes(len)?;
        let in_order = rest > &self.name[shared..];
        self.name.truncate(shared);
        self.name.extend_from_slice(rest);
        Ok(in_order)
    }

    fn entry(&mut self, reader: &mut Reader<'_>, place: impl FnOnce(&[u8], bool) -> Result<Paths>) -> Result<Entry> {
        let flags = reader.u8()?;
        let in_order = self.read_name(reader)?;
        let paths = place(&self.name, in_order)?;
        if flags & SAME_MODE == 0 {
            self.mode = u32::from(reader.u16()?);
        }
        if flags & SAME_OWNER == 0 {
            self.owner = (id(reader)?, id(reader)?);
        }
        if flags & SAME_SECOND == 0 {
            self.secs = self.secs.wrapping_add(unzigzag(number(reader)?));
        }
        let nanos = if flags & WHOLE_SECOND == 0 { id(reader)? } else { 0 };
        if self.mode > 0o7777 || nanos >= 1_000_000_000 {
            return Err(Error::Stream(format!("mode {:o} or {nanos} ns out of range", self.mode)));
        }
        let kind = codec::kind_with(flags & KIND, reader, number)?;
        let seldom = if flags & SELDOM != 0 { seldom(reader)? } else { None };
        let mtime = Timestamp { secs: self.secs, nanos };
        let (uid, gid) = self.owner;
        Ok(Entry { paths, kind, mode: self.mode, mtime, uid, gid, contents_listed: false, implied: false, seldom })
    }

    fn dirs(&mut self, reader: &mut Reader<'_>, are_roots: bool) -> Result<Vec<OsString>> {
        let count = count(reader)?;
        self.name.clear();
        let mut dirs: Vec<OsString> = Vec::with_capacity(count.min(FILL));
        for _ in 0..count {
            if !self.read_name(reader)? {
                return Err(misnamed(&self.name));
            }
            if !(are_roots && self.name == b".") {
                check_name(&self.name)?;
            }
            dirs.push(OsString::from_vec(self.name.clone()));
        }
        Ok(dirs)
    }
}

/// The memory of a path that changes its last component only.
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn new(dir: &Path) -> Scratch {
        let mut path = if dir == Path::new(".") { PathBuf::new() } else { dir.to_path_buf() };
        path.push("x");
        Scratch { path }
    }

    fn child(&mut self, name: &[u8]) -> &Path {
        self.path.pop();
        self.path.push(OsStr::from_bytes(name));
        &self.path
    }
}

fn put_seldom(out: &mut Vec<u8>, seldom: &Seldom) {
    let link = if seldom.link_group.is_some() { LINK_GROUP } else { 0 };
    let more = if extensions::are_there(seldom) { EXTENSIONS } else { 0 };
    out.put_u8(link | more | if seldom.digest.is_some() { DIGEST } else { 0 });
    if let Some(group) = seldom.link_group {
        put_number(out, u64::from(group));
    }
    if let Some(digest) = &seldom.digest {
        out.put_slice(digest);
    }
    if more != 0 {
        extensions::put(out, seldom);
    }
}

fn seldom(reader: &mut Reader<'_>) -> Result<Option<Box<Seldom>>> {
    let flags = reader.u8()?;
    if flags & !(LINK_GROUP | DIGEST | EXTENSIONS) != 0 {
        return Err(Error::Stream(format!("unknown attributes {flags:#04x} of an entry")));
    }
    let link_group = if flags & LINK_GROUP != 0 { Some(id(reader)?) } else { None };
    let digest = if flags & DIGEST != 0 { Some(reader.digest()?) } else { None };
    let mut seldom = Seldom { link_group, digest, ..Seldom::default() };
    if flags & EXTENSIONS != 0 {
        extensions::read(reader, &mut seldom)?;
    }
    Ok(seldom.boxed())
}

fn names(reader: &mut Reader<'_>) -> Result<Names> {
    let count = count(reader)?;
    (0..count).map(|_| Ok((id(reader)?, reader.string()?.to_vec()))).collect()
}

fn check_name(name: &[u8]) -> Result<()> {
    match name {
        b"" | b"." | b".." => Err(misnamed(name)),
        name if name.contains(&b'/') || name.contains(&0) => Err(misnamed(name)),
        _ => Ok(()),
    }
}

fn misnamed(name: &[u8]) -> Error {
    Error::Stream(format!("the name {:?} may not be here in a list", name.escape_ascii().to_string()))
}

/// Appends a number, seven bits a byte, the lowest first; the top bit of a byte says that another follows.
pub fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.put_u8(number as u8 | 0x80);
        number >>= 7;
    }
    out.put_u8(number as u8);
}

/// Reads what [`put_number`] wrote.
///
/// # Errors
/// More bits than a number has, or the end of the message.
pub fn number(reader: &mut Reader<'_>) -> Result<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = reader.u8()?;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            break;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Error::Stream("a number of more than 64 bits".into()))
}

/// A number of 32 bits.
fn id(reader: &mut Reader<'_>) -> Result<u32> {
    let number = number(reader)?;
    u32::try_from(number).map_err(|_| Error::Stream(format!("{number} does not fit 32 bits")))
}

/// A count of things that take at least two bytes each.
fn count(reader: &mut Reader<'_>) -> Result<usize> {
    let count = number(reader)?;
    match usize::try_from(count).ok().filter(|count| *count <= reader.left() / 2) {
        Some(count) => Ok(count),
        None => Err(Error::Stream(format!("a count of {count} with {} bytes left", reader.left()))),
    }
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

#[cfg(test)]
mod tests;
