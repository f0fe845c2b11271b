//! Messages: what the frames of a session mean, and their bytes. `PROTOCOL.md` is the reference; the order here is its.
//!
//! `encode` makes a frame of a message, `decode` judges a frame as it comes: lengths, counts, names, ranges. Whether a
//! message may come *now* is the roles' to judge (`session::sender`, `session::receiver`).
//!
//! It is one long file so that what is said of a message, what writes it and what reads it stand together.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bytes::BufMut;

use super::batch::Batch;
use super::buffers::Buffers;
use super::chunk::{Chunk, ChunkAck, ListEnd};
use super::codec::{self, ENTRY_LEAST, Reader, put_string};
use super::frame::{Frame, RawFrame};
use super::payload::Payload;
use crate::delta::{Block, Op};
use crate::error::{Error, ExitCode, Result};
use crate::events::About;
use crate::heap;
use crate::options::Options;
use crate::plan::{Action, Changes, Decision};
use crate::tree::capability::Capability;
use crate::tree::entry::{Digest, Entry};
use crate::tree::xattrs::MAX_VALUE;

/// The messages' codes.
#[allow(missing_docs)]
pub mod code {
    pub const HELLO: u8 = 0x01;
    pub const FILE_LIST: u8 = 0x02;
    pub const FILE_LIST_ACK: u8 = 0x03;
    pub const FILE_DATA: u8 = 0x04;
    pub const FILE_DONE: u8 = 0x05;
    pub const DELETE_BATCH: u8 = 0x07;
    pub const CHECKSUM_REQ: u8 = 0x08;
    pub const CHECKSUM_RESP: u8 = 0x09;
    pub const DELTA_DATA: u8 = 0x0a;
    pub const XATTR_VALUE: u8 = 0x0b;
    pub const FILE_HOLE: u8 = 0x0c;
    pub const PROGRESS: u8 = 0x10;
    pub const UNKEPT: u8 = 0x11;
    pub const FILE_DATA_BATCH: u8 = 0x14;
    pub const FILE_LIST_CHUNK: u8 = 0x15;
    pub const FILE_LIST_CHUNK_ACK: u8 = 0x16;
    pub const FILE_LIST_END: u8 = 0x17;
    pub const KEEPALIVE: u8 = 0x30;
    pub const SESSION_START: u8 = 0x31;
    pub const SESSION_END: u8 = 0x32;
    pub const SESSION_OVER: u8 = 0x33;
    pub const PATHS: u8 = 0x34;
    pub const REMARK: u8 = 0xfe;
    pub const ERROR: u8 = 0xff;
}

/// One message of a running session. `HELLO` is not among them: it comes before there is a session (`hello`).
#[derive(Clone, Debug)]
pub enum Message {
    /// Client: what this session is to do.
    SessionStart(Box<SessionStart>),
    /// Sender: entries of its tree.
    FileList(FileList),
    /// Receiver: what it wants of them.
    FileListAck(FileListAck),
    /// Sender: a directory of its tree, or a part of a large one.
    FileListChunk(Chunk),
    /// Receiver: what it wants of a chunk.
    FileListChunkAck(ChunkAck),
    /// Sender: that was all of the list.
    FileListEnd(ListEnd),
    /// Sender: contents of a file, in order.
    FileData(FileData),
    /// Sender: a hole between contents of a file.
    FileHole {
        /// The file's place in the list.
        index: u32,
        /// Where it begins, in bytes from the start.
        offset: u64,
        /// How long it is.
        len: u64,
    },
    /// Sender: several small files, each whole.
    FileDataBatch(Batch),
    /// Either: a file's outcome. From the sender: it will not come.
    FileDone(FileDone),
    /// Receiver: what it deleted.
    DeleteBatch(Vec<Deleted>),
    /// Sender: the signature of the receiver's file, please.
    ChecksumReq {
        /// The file's place in the list.
        index: u32,
    },
    /// Receiver: a piece of a signature.
    ChecksumResp(ChecksumResp),
    /// Sender: a piece of a delta.
    DeltaData(DeltaData),
    /// Sender: the value of a large extended attribute.
    XattrValue(XattrValue),
    /// Receiver: its file system cannot keep something.
    Unkept {
        /// What.
        capability: Capability,
        /// Where that was first noticed, for messages.
        path: PathBuf,
    },
    /// Either: how far a long job got, for the one who watches.
    Progress {
        /// Entries seen so far.
        entries: u64,
        /// Bytes of their files.
        bytes: u64,
    },
    /// Either: still here; perhaps also a question of how far away the other end is, or the answer.
    Keepalive {
        /// The speaker's clock in microseconds; only its own to interpret.
        timestamp: u64,
        /// `None`: no question and no answer. 0: a question. Else the timestamp of the question that this answers.
        echo: Option<u64>,
    },
    /// Either: done, and this is what it took.
    SessionEnd(Counters),
    /// Either, on a link for several sessions: this was my last word of this one.
    SessionOver {
        /// That of its SESSION_START.
        session_id: u64,
    },
    /// Client that receives: sources for which SESSION_START had no room.
    Paths(Paths),
    /// Server: what its client's user asked to hear.
    Remark(Remark),
    /// Either: something went wrong.
    Error(Report),
}

/// Some of the sources of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// Nothing follows.
    pub last: bool,
    /// As typed after the colon.
    pub paths: Vec<Vec<u8>>,
}

/// The value of a large extended attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XattrValue {
    /// The entry's place in the list.
    pub index: u32,
    /// The attribute's place among the entry's.
    pub place: u16,
    /// `None`: it is there no more.
    pub value: Option<Vec<u8>>,
}

/// What a session is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionStart {
    /// Chosen by the client.
    pub session_id: u64,
    /// The part of the one who reads this message.
    pub role: Role,
    /// Seed of all digests of this session.
    pub seed: u64,
    /// The timestamp of the server's HELLO, back to where it came from.
    pub echo: u64,
    /// The resolved options.
    pub options: Options,
    /// The sources, or the one destination, as typed after the colon.
    pub paths: Vec<Vec<u8>>,
}

/// Which part of a sync an end plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Has the source.
    Sender,
    /// Has the destination.
    Receiver,
}

/// A piece of the file list.
#[derive(Clone, Debug)]
pub struct FileList {
    /// Place of the first entry in the whole list.
    pub first: u32,
    /// Nothing follows.
    pub last: bool,
    /// Something of the source could not be read: nothing may be deleted.
    pub incomplete: bool,
    /// Names of owners that this piece is the first to mention.
    pub users: Vec<(u32, Vec<u8>)>,
    /// Names of groups that this piece is the first to mention.
    pub groups: Vec<(u32, Vec<u8>)>,
    /// The entries.
    pub entries: Vec<Entry>,
}

/// Decisions on consecutive entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileListAck {
    /// Place of the first entry that is decided on.
    pub first: u32,
    /// Nothing follows.
    pub last: bool,
    /// One for each entry.
    pub decisions: Vec<Decision>,
}

/// Contents of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileData {
    /// The file's place in the list.
    pub index: u32,
    /// Where these bytes belong, in bytes from the start.
    pub offset: u64,
    /// The whole file's digest: these are its last bytes.
    pub digest: Option<Digest>,
    /// The bytes.
    pub data: Payload,
}

/// A file's outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileDone {
    /// The file's place in the list.
    pub index: u32,
    /// How it went. Why is told by the `ERROR` before it.
    pub status: Status,
}

/// How a file's transfer went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is in place.
    Done,
    /// It is not, and will not be.
    Failed,
    /// The source is gone.
    Vanished,
    /// The digest differs: send it whole, please.
    Redo,
}

/// Something that was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// Below the destination's root.
    pub path: PathBuf,
    /// Whether it was a directory.
    pub is_dir: bool,
}

/// A piece of a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChecksumResp {
    /// The file's place in the list.
    pub index: u32,
    /// Nothing follows.
    pub last: bool,
    /// Size of the basis in bytes.
    pub file_size: u64,
    /// Bytes in a block.
    pub block_size: u32,
    /// The blocks, following on those of the piece before.
    pub blocks: Vec<Block>,
}

/// A piece of a delta.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeltaData {
    /// The file's place in the list.
    pub index: u32,
    /// The whole file's digest: these are its last operations.
    pub digest: Option<Digest>,
    /// The operations, packed: see [`put_copy`], [`put_literal`], [`DeltaOps`].
    pub ops: Payload,
}

/// What one end of a session counted. Sent to the other at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counters {
    /// Entries in the list.
    pub listed: u64,
    /// Entries made that were not there.
    pub created: u64,
    /// Entries that were there and got new contents or attributes.
    pub updated: u64,
    /// Entries left as they were.
    pub unchanged: u64,
    /// Entries removed.
    pub deleted: u64,
    /// Directories among them.
    pub deleted_dirs: u64,
    /// Symbolic links among them.
    pub deleted_links: u64,
    /// Devices among them.
    pub deleted_devices: u64,
    /// FIFOs and sockets among them.
    pub deleted_specials: u64,
    /// Entries that an error kept from being as they should.
    pub failed: u64,
    /// Bytes of contents that crossed the link.
    pub literal: u64,
    /// Bytes of contents taken from the destination's own files.
    pub matched: u64,
    /// Bytes of all regular files listed.
    pub total: u64,
    /// Longest chain of messages of which each waited for the one before to be answered (a sender's count).
    pub round_trips: u64,
    /// Files under way at once (a sender's choice).
    pub depth: u64,
    /// Time of each stage in microseconds: scan, list, decide, transfer, finish.
    pub stages_us: [u64; 5],
    /// What this end's allocator was asked for; zeros where it does not count.
    pub heap: HeapCounts,
}

/// An end's allocations, in a build that counts them. No process makes none: 0 stands for "not counted".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct HeapCounts {
    /// Allocations made.
    pub allocations: u64,
    /// Bytes asked for in them.
    pub bytes: u64,
    /// Most bytes held at once.
    pub peak: u64,
    /// Bytes that the list held when the scan of the source was over (a sender's count).
    pub list: u64,
}

impl HeapCounts {
    /// This process's counts until now, with what its list held.
    pub fn now(list: u64) -> HeapCounts {
        heap::counts().map_or(HeapCounts::default(), |counts| HeapCounts {
            allocations: counts.allocations,
            bytes: counts.bytes,
            peak: counts.peak,
            list,
        })
    }
}

impl Counters {
    fn numbers(&mut self) -> impl Iterator<Item = &mut u64> {
        [
            &mut self.listed,
            &mut self.created,
            &mut self.updated,
            &mut self.unchanged,
            &mut self.deleted,
            &mut self.failed,
            &mut self.literal,
            &mut self.matched,
            &mut self.total,
            &mut self.round_trips,
            &mut self.depth,
        ]
        .into_iter()
        .chain(self.stages_us.iter_mut())
        .chain([&mut self.heap.allocations, &mut self.heap.bytes, &mut self.heap.peak, &mut self.heap.list])
        .chain([&mut self.deleted_dirs, &mut self.deleted_links])
        .chain([&mut self.deleted_devices, &mut self.deleted_specials])
    }
}

/// Something that happened, for those who asked to hear more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// What it is about.
    pub about: About,
    /// How much more they asked for: 1 for `-v`, 2 for `-vv`.
    pub level: u8,
    /// For the user.
    pub text: Vec<u8>,
}

/// Something that went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Whether the session ends with it.
    pub fatal: bool,
    /// The exit code that it asks for; `Ok` for a mere remark.
    pub code: ExitCode,
    /// For the user.
    pub text: Vec<u8>,
}

const LAST: u8 = 0x01;
const INCOMPLETE: u8 = 0x02;
const OP_COPY: u8 = 0;
const OP_LITERAL: u8 = 1;
const OP_ZEROS: u8 = 2;

/// Zeros from which on a run of them is told by its length.
const RUN: usize = 4096;
/// Zeros told at once, at most: as many as a literal has.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

impl Message {
    /// The message's code on the wire.
    pub fn code(&self) -> u8 {
        match self {
            Message::SessionStart(_) => code::SESSION_START,
            Message::FileList(_) => code::FILE_LIST,
            Message::FileListAck(_) => code::FILE_LIST_ACK,
            Message::FileListChunk(_) => code::FILE_LIST_CHUNK,
            Message::FileListChunkAck(_) => code::FILE_LIST_CHUNK_ACK,
            Message::FileListEnd(_) => code::FILE_LIST_END,
            Message::FileData(_) => code::FILE_DATA,
            Message::FileHole { .. } => code::FILE_HOLE,
            Message::FileDataBatch(_) => code::FILE_DATA_BATCH,
            Message::FileDone(_) => code::FILE_DONE,
            Message::DeleteBatch(_) => code::DELETE_BATCH,
            Message::ChecksumReq { .. } => code::CHECKSUM_REQ,
            Message::ChecksumResp(_) => code::CHECKSUM_RESP,
            Message::DeltaData(_) => code::DELTA_DATA,
            Message::XattrValue(_) => code::XATTR_VALUE,
            Message::Unkept { .. } => code::UNKEPT,
            Message::Progress { .. } => code::PROGRESS,
            Message::Keepalive { .. } => code::KEEPALIVE,
            Message::SessionEnd(_) => code::SESSION_END,
            Message::SessionOver { .. } => code::SESSION_OVER,
            Message::Paths(_) => code::PATHS,
            Message::Remark(_) => code::REMARK,
            Message::Error(_) => code::ERROR,
        }
    }

    /// Makes the frame of this message.
    pub fn encode(self, buffers: &Buffers) -> Frame {
        let mut head = buffers.take(self.room());
        head.put_u32(0);
        head.put_u8(self.code());
        let body = self.put_fields(&mut head, buffers);
        let len = (head.len() - 4 + body.len()) as u32;
        head[..4].copy_from_slice(&len.to_be_bytes());
        Frame { head, body }
    }

    /// Bytes that the head takes, about: one that grows while it is written is copied again and again.
    fn room(&self) -> usize {
        const FEW: usize = 64;
        FEW + match self {
            Message::FileList(list) => list.entries.iter().map(codec::entry_size).sum(),
            Message::FileListAck(ack) => 3 * ack.decisions.len(),
            Message::DeleteBatch(deleted) => deleted.iter().map(|item| 3 + item.path.as_os_str().len()).sum(),
            Message::ChecksumResp(piece) => size_of::<Block>() * piece.blocks.len(),
            Message::XattrValue(piece) => piece.value.as_ref().map_or(0, Vec::len),
            _ => 0,
        }
    }

    fn put_fields(self, out: &mut Vec<u8>, buffers: &Buffers) -> Payload {
        match self {
            Message::SessionStart(start) => put_session_start(out, &start),
            Message::FileList(list) => put_file_list(out, &list),
            Message::FileListAck(ack) => put_ack(out, &ack),
            Message::FileListChunk(chunk) => return chunk.put(out).into_body(buffers),
            Message::FileListChunkAck(ack) => ack.put(out),
            Message::FileListEnd(end) => {
                out.put_u32(end.total);
                put_counters(out, end.counters);
            }
            Message::FileData(data) => {
                out.put_u32(data.index);
                out.put_u64(data.offset);
                put_last(out, data.digest.as_ref());
                return data.data.into_body(buffers);
            }
            Message::FileHole { index, offset, len } => {
                out.put_u32(index);
                out.put_u64(offset);
                out.put_u64(len);
            }
            Message::FileDataBatch(batch) => return batch.into_bytes().into_body(buffers),
            Message::DeltaData(delta) => {
                out.put_u32(delta.index);
                put_last(out, delta.digest.as_ref());
                return delta.ops.into_body(buffers);
            }
            Message::FileDone(done) => {
                out.put_u32(done.index);
                out.put_u8(done.status as u8);
            }
            Message::DeleteBatch(deleted) => {
                out.put_u32(deleted.len() as u32);
                for item in deleted {
                    out.put_u8(u8::from(item.is_dir));
                    codec::put_path(out, &item.path);
                }
            }
            Message::ChecksumReq { index } => out.put_u32(index),
            Message::ChecksumResp(piece) => put_checksums(out, &piece),
            Message::XattrValue(piece) => {
                out.put_u32(piece.index);
                out.put_u16(piece.place);
                out.put_u8(u8::from(piece.value.is_some()));
                out.put_slice(&piece.value.unwrap_or_default());
            }
            Message::Unkept { capability, path } => {
                out.put_u8(capability as u8);
                codec::put_path(out, &path);
            }
            Message::Progress { entries, bytes } => {
                out.put_u64(entries);
                out.put_u64(bytes);
            }
            Message::Keepalive { timestamp, echo } => {
                out.put_u64(timestamp);
                echo.into_iter().for_each(|echo| out.put_u64(echo));
            }
            Message::SessionEnd(counters) => put_counters(out, counters),
            Message::SessionOver { session_id } => out.put_u64(session_id),
            Message::Remark(remark) => {
                out.put_u8(remark.about as u8);
                out.put_u8(remark.level);
                put_string(out, &remark.text);
            }
            Message::Paths(Paths { last, paths }) => {
                out.put_u8(if last { LAST } else { 0 });
                put_paths(out, &paths);
            }
            Message::Error(report) => {
                out.put_u8(u8::from(report.fatal));
                out.put_u8(report.code as u8);
                put_string(out, &report.text);
            }
        }
        Payload::default()
    }

    /// Reads a message. Entries become entries of the tree at `root`; a buffer that is done with goes back to `buffers`.
    ///
    /// # Errors
    /// [`Error::Stream`] for an unknown code and for whatever is out of bounds.
    pub fn decode(frame: RawFrame, root: &Path, buffers: &Buffers) -> Result<Message> {
        let RawFrame { code, payload } = frame;
        let mut reader = Reader::new(&payload);
        let message = match code {
            code::SESSION_START => Message::SessionStart(Box::new(session_start(&mut reader)?)),
            code::FILE_LIST => Message::FileList(file_list(&mut reader, root)?),
            code::FILE_LIST_ACK => Message::FileListAck(ack(&mut reader)?),
            code::FILE_LIST_CHUNK => {
                let (head, start) = (Chunk::head(&mut reader)?, reader.position());
                let fields = Payload::cut(payload, start, buffers);
                return Ok(Message::FileListChunk(Chunk::of(head, fields)));
            }
            code::FILE_LIST_CHUNK_ACK => Message::FileListChunkAck(ChunkAck::read(&mut reader)?),
            code::FILE_LIST_END => {
                Message::FileListEnd(ListEnd { total: reader.u32()?, counters: counters(&mut reader)? })
            }
            code::FILE_DATA => {
                let (index, offset, digest) = (reader.u32()?, reader.u64()?, last(&mut reader)?);
                let start = reader.position();
                let data = Payload::cut(payload, start, buffers);
                return Ok(Message::FileData(FileData { index, offset, digest, data }));
            }
            code::FILE_HOLE => Message::FileHole { index: reader.u32()?, offset: reader.u64()?, len: reader.u64()? },
            code::FILE_DATA_BATCH => {
                return Batch::judge(Payload::cut(payload, 0, buffers)).map(Message::FileDataBatch);
            }
            code::DELTA_DATA => {
                let (index, digest) = (reader.u32()?, last(&mut reader)?);
                let start = reader.position();
                let ops = Payload::cut(payload, start, buffers);
                return Ok(Message::DeltaData(DeltaData { index, digest, ops }));
            }
            code::FILE_DONE => Message::FileDone(FileDone { index: reader.u32()?, status: status(reader.u8()?)? }),
            code::DELETE_BATCH => Message::DeleteBatch(deleted(&mut reader)?),
            code::CHECKSUM_REQ => Message::ChecksumReq { index: reader.u32()? },
            code::CHECKSUM_RESP => Message::ChecksumResp(checksums(&mut reader)?),
            code::XATTR_VALUE => Message::XattrValue(xattr_value(&mut reader)?),
            code::UNKEPT => {
                let (number, path) = (reader.u8()?, reader.string()?);
                let capability = Capability::from_wire(number)
                    .ok_or_else(|| Error::Stream(format!("the unknown capability {number}")))?;
                Message::Unkept { capability, path: OsStr::from_bytes(path).into() }
            }
            code::PROGRESS => Message::Progress { entries: reader.u64()?, bytes: reader.u64()? },
            code::KEEPALIVE => {
                let timestamp = reader.u64()?;
                let echo = if reader.at_end() { None } else { Some(reader.u64()?) };
                Message::Keepalive { timestamp, echo }
            }
            code::SESSION_OVER => Message::SessionOver { session_id: reader.u64()? },
            code::PATHS => Message::Paths(some_paths(&mut reader)?),
            code::SESSION_END => Message::SessionEnd(counters(&mut reader)?),
            code::REMARK => {
                let (about, level) = (about(reader.u8()?)?, reader.u8()?);
                Message::Remark(Remark { about, level, text: reader.string()?.to_vec() })
            }
            code::ERROR => {
                let (fatal, number) = (reader.u8()? != 0, reader.u8()?);
                let code = ExitCode::from_wire(number);
                Message::Error(Report { fatal, code, text: reader.string()?.to_vec() })
            }
            other => return Err(Error::Stream(format!("a message of unknown type {other:#04x}"))),
        };
        reader.finish()?;
        buffers.give_back(payload);
        Ok(message)
    }
}

fn about(number: u8) -> Result<About> {
    let known = [About::Course, About::Backup, About::Removal, About::UnsafeLink];
    let about = known.into_iter().find(|about| *about as u8 == number);
    about.ok_or_else(|| Error::Stream(format!("a remark about who knows what: {number}")))
}

/// Flags, then the digest where there is one: it marks the last piece of a file.
fn put_last(out: &mut Vec<u8>, digest: Option<&Digest>) {
    out.put_u8(if digest.is_some() { LAST } else { 0 });
    if let Some(digest) = digest {
        out.put_slice(digest);
    }
}

fn last(reader: &mut Reader<'_>) -> Result<Option<Digest>> {
    match reader.u8()? {
        0 => Ok(None),
        LAST => reader.digest().map(Some),
        other => Err(Error::Stream(format!("unknown flags {other:#04x}"))),
    }
}

fn put_session_start(out: &mut Vec<u8>, start: &SessionStart) {
    out.put_u64(start.session_id);
    out.put_u8(match start.role {
        Role::Sender => 1,
        Role::Receiver => 2,
    });
    out.put_u64(start.seed);
    out.put_u64(start.echo);
    codec::put_options(out, &start.options);
    put_paths(out, &start.paths);
}

fn session_start(reader: &mut Reader<'_>) -> Result<SessionStart> {
    let session_id = reader.u64()?;
    let role = match reader.u8()? {
        1 => Role::Sender,
        2 => Role::Receiver,
        other => return Err(Error::Stream(format!("unknown role {other}"))),
    };
    let (seed, echo, options) = (reader.u64()?, reader.u64()?, codec::options(reader)?);
    let paths = paths(reader)?;
    let can_be = match (role, &options.files_from) {
        (Role::Receiver, None) | (Role::Sender, Some(_)) => paths.len() == 1 && !options.more_paths,
        (Role::Receiver, Some(_)) => false,
        (Role::Sender, None) => !paths.is_empty() || options.more_paths,
    };
    if !can_be {
        return Err(Error::Stream("a session without a path, or with one that cannot be".into()));
    }
    Ok(SessionStart { session_id, role, seed, echo, options, paths })
}

fn put_paths(out: &mut Vec<u8>, paths: &[Vec<u8>]) {
    out.put_u32(paths.len() as u32);
    paths.iter().for_each(|path| put_string(out, path));
}

fn paths(reader: &mut Reader<'_>) -> Result<Vec<Vec<u8>>> {
    let count = reader.count(2)?;
    let paths = (0..count).map(|_| Ok(reader.string()?.to_vec())).collect::<Result<Vec<_>>>()?;
    if paths.iter().any(|path| path.contains(&0)) {
        return Err(Error::Stream("a NUL within a path".into()));
    }
    Ok(paths)
}

fn some_paths(reader: &mut Reader<'_>) -> Result<Paths> {
    let last = match reader.u8()? {
        0 => false,
        LAST => true,
        other => return Err(Error::Stream(format!("unknown flags {other:#x}"))),
    };
    Ok(Paths { last, paths: paths(reader)? })
}

fn put_file_list(out: &mut Vec<u8>, list: &FileList) {
    out.put_u8(if list.last { LAST } else { 0 } | if list.incomplete { INCOMPLETE } else { 0 });
    out.put_u32(list.first);
    for names in [&list.users, &list.groups] {
        out.put_u32(names.len() as u32);
        for (id, name) in names {
            out.put_u32(*id);
            put_string(out, name);
        }
    }
    out.put_u32(list.entries.len() as u32);
    for entry in &list.entries {
        codec::put_entry(out, entry);
    }
}

fn file_list(reader: &mut Reader<'_>, root: &Path) -> Result<FileList> {
    let flags = reader.u8()?;
    if flags & !(LAST | INCOMPLETE) != 0 {
        return Err(Error::Stream(format!("unknown flags {flags:#04x}")));
    }
    let first = reader.u32()?;
    let (users, groups) = (names(reader)?, names(reader)?);
    let count = reader.count(ENTRY_LEAST)?;
    let entries = (0..count).map(|_| codec::entry(reader, root)).collect::<Result<Vec<_>>>()?;
    Ok(FileList { first, last: flags & LAST != 0, incomplete: flags & INCOMPLETE != 0, users, groups, entries })
}

fn names(reader: &mut Reader<'_>) -> Result<Vec<(u32, Vec<u8>)>> {
    let count = reader.count(6)?;
    (0..count).map(|_| Ok((reader.u32()?, reader.string()?.to_vec()))).collect()
}

fn put_ack(out: &mut Vec<u8>, ack: &FileListAck) {
    out.put_u8(if ack.last { LAST } else { 0 });
    out.put_u32(ack.first);
    out.put_u32(ack.decisions.len() as u32);
    for decision in &ack.decisions {
        out.put_u8(decision.action as u8);
        out.put_u16(decision.changes.bits());
    }
}

fn ack(reader: &mut Reader<'_>) -> Result<FileListAck> {
    let last = match reader.u8()? {
        0 => false,
        LAST => true,
        other => return Err(Error::Stream(format!("unknown flags {other:#04x}"))),
    };
    let first = reader.u32()?;
    let count = reader.count(3)?;
    let mut decisions = Vec::with_capacity(count);
    for _ in 0..count {
        let (action, bits) = (reader.u8()?, reader.u16()?);
        let action = Action::from_wire(action).ok_or_else(|| Error::Stream(format!("unknown decision {action}")))?;
        let changes = Changes::from_bits(bits).ok_or_else(|| Error::Stream(format!("unknown changes {bits:#x}")))?;
        decisions.push(Decision { action, changes });
    }
    Ok(FileListAck { first, last, decisions })
}

fn status(number: u8) -> Result<Status> {
    [Status::Done, Status::Failed, Status::Vanished, Status::Redo]
        .into_iter()
        .find(|status| *status as u8 == number)
        .ok_or_else(|| Error::Stream(format!("unknown outcome {number} of a file")))
}

fn put_counters(out: &mut Vec<u8>, mut counters: Counters) {
    out.put_u8(counters.numbers().count() as u8);
    counters.numbers().for_each(|number| out.put_u64(*number));
}

/// A version that counts less leaves the rest at 0; what a later one counts besides is passed over.
fn counters(reader: &mut Reader<'_>) -> Result<Counters> {
    let (mut counters, count) = (Counters::default(), usize::from(reader.u8()?));
    let ours = counters.numbers().count();
    for number in counters.numbers().take(count) {
        *number = reader.u64()?;
    }
    reader.bytes(count.saturating_sub(ours) * size_of::<u64>())?;
    Ok(counters)
}

fn deleted(reader: &mut Reader<'_>) -> Result<Vec<Deleted>> {
    let count = reader.count(4)?;
    (0..count)
        .map(|_| {
            let is_dir = reader.u8()? != 0;
            Ok(Deleted { path: reader.name()?.to_path_buf(), is_dir })
        })
        .collect()
}

fn put_checksums(out: &mut Vec<u8>, piece: &ChecksumResp) {
    out.put_u32(piece.index);
    out.put_u8(if piece.last { LAST } else { 0 });
    out.put_u64(piece.file_size);
    out.put_u32(piece.block_size);
    out.put_u32(piece.blocks.len() as u32);
    for block in &piece.blocks {
        out.put_u32(block.weak);
        out.put_u64(block.strong);
    }
}

fn xattr_value(reader: &mut Reader<'_>) -> Result<XattrValue> {
    let (index, place, is_there) = (reader.u32()?, reader.u16()?, reader.u8()? != 0);
    let len = reader.left();
    if len > if is_there { MAX_VALUE } else { 0 } {
        return Err(Error::Stream(format!("an attribute of {len} bytes")));
    }
    let value = reader.bytes(len)?;
    Ok(XattrValue { index, place, value: is_there.then(|| value.to_vec()) })
}

fn checksums(reader: &mut Reader<'_>) -> Result<ChecksumResp> {
    let (index, last) = (reader.u32()?, reader.u8()? & LAST != 0);
    let (file_size, block_size) = (reader.u64()?, reader.u32()?);
    let count = reader.count(12)?;
    let mut blocks = Vec::with_capacity(count);
    for _ in 0..count {
        blocks.push(Block { weak: reader.u32()?, strong: reader.u64()? });
    }
    Ok(ChecksumResp { index, last, file_size, block_size, blocks })
}

/// Appends "`count` blocks from `block` on" to a piece of a delta.
pub fn put_copy(out: &mut Vec<u8>, block: u32, count: u32) {
    out.put_u8(OP_COPY);
    out.put_u32(block);
    out.put_u32(count);
}

/// Appends bytes that the basis does not have to a piece of a delta.
pub fn put_literal(out: &mut Vec<u8>, bytes: &[u8]) {
    out.put_u8(OP_LITERAL);
    out.put_u32(bytes.len() as u32);
    out.put_slice(bytes);
}

/// The same, with long runs of zeros told by their length.
pub fn put_sparse_literal(out: &mut Vec<u8>, bytes: &[u8]) {
    let is_zero = |piece: &[u8]| piece.len() == RUN && *piece == ZEROS[..RUN];
    let mut pieces = bytes.chunks(RUN).peekable();
    let mut rest = bytes;
    while let Some(piece) = pieces.next() {
        let (zero, mut len) = (is_zero(piece), piece.len());
        while let Some(next) = pieces.next_if(|next| is_zero(next) == zero) {
            len += next.len();
        }
        let (run, after) = rest.split_at(len);
        rest = after;
        if zero {
            for run in run.chunks(ZEROS.len()) {
                out.put_u8(OP_ZEROS);
                out.put_u32(run.len() as u32);
            }
        } else {
            put_literal(out, run);
        }
    }
}

/// The operations of a piece of a delta, in order. Ends after the first error.
pub struct DeltaOps<'a>(Option<Reader<'a>>);

impl<'a> DeltaOps<'a> {
    /// Those packed in `ops`.
    pub fn new(ops: &'a [u8]) -> Self {
        Self(Some(Reader::new(ops)))
    }
}

impl<'a> Iterator for DeltaOps<'a> {
    type Item = Result<Op<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let reader = self.0.as_mut().filter(|reader| !reader.at_end())?;
        let op = delta_op(reader);
        if op.is_err() {
            self.0 = None;
        }
        Some(op)
    }
}

fn delta_op<'a>(reader: &mut Reader<'a>) -> Result<Op<'a>> {
    match reader.u8()? {
        OP_COPY => Ok(Op::Copy { block: reader.u32()?, count: reader.u32()? }),
        OP_LITERAL => {
            let len = reader.u32()? as usize;
            reader.bytes(len).map(Op::Literal)
        }
        OP_ZEROS => {
            let len = reader.u32()? as usize;
            ZEROS.get(..len).map(Op::Literal).ok_or_else(|| Error::Stream(format!("{len} zeros at once in a delta")))
        }
        other => Err(Error::Stream(format!("unknown delta operation {other}"))),
    }
}
