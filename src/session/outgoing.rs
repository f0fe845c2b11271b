//! Files on their way out: which are wanted, which are under way, and what the receiver has to say about each.
//!
//! Of each file: whole: data out, FILE_DONE in; delta: signature in (asked for with CHECKSUM_REQ, or sent by itself with the
//! decision), DELTA_DATA out, FILE_DONE in. A file that the receiver could not verify, or not make of a batch, is sent once
//! more, whole and by itself. What is wanted and when it is over is the sender's to know.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use super::Session;
use super::batch::{Packed, Packer};
use super::channel::is_link_failure;
use super::depth::MAX_DEPTH;
use crate::delta::strong::Hasher;
use crate::delta::{self, Generator, Op, Signature};
use crate::error::{Error, ExitCode, Result};
use crate::protocol::buffers::Buffers;
use crate::protocol::codec;
use crate::protocol::hello::HOLES;
use crate::protocol::message::{
    self, ChecksumResp, Counters, DeltaData, FileData, FileDone, Message, Status, XattrValue,
};
use crate::protocol::payload::Payload;
use crate::source::{self, removal};
use crate::tree::copy::{SparseReader, next_data};
use crate::tree::dir::Tree;
use crate::tree::entry::{Digest, Entry};

/// Bytes of contents in one FILE_DATA.
const CHUNK: usize = 256 << 10;
/// Bytes of packed operations after which a DELTA_DATA is sent off.
const DELTA_FILL: usize = 128 << 10;
/// Room for these and the operation that goes beyond them: a literal of 64 KiB and its length.
const DELTA_ROOM: usize = DELTA_FILL + (64 << 10) + 16;

/// Messages that wait for a file that goes out; more are left in the inbox, which is bounded in bytes.
const MAX_BACKLOG: usize = 256;

/// Most blocks of one signature: with our block sizes, those of a file of 280 TB.
const MAX_BLOCKS: u64 = 1 << 24;

/// A file whose contents are wanted.
#[derive(Clone, Debug)]
pub struct Item {
    /// What was listed.
    pub entry: Entry,
    /// The tree that it is in.
    pub tree: Arc<Tree>,
    /// The values of its large attributes are wanted.
    pub values: bool,
}

impl Item {
    fn open(&self) -> io::Result<File> {
        self.tree.open_file(self.entry.relative())
    }
}

/// How contents are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Whole.
    Whole,
    /// As a delta, the signature yet to be asked for.
    Delta,
    /// As a delta against a signature that comes by itself.
    Signed,
}

/// What is to be done next, in order.
#[derive(Clone, Copy)]
enum Work {
    Whole { index: u32, retry: bool },
    Delta { index: u32 },
    Flush,
}

/// What the receiver has to say next about a file that is under way.
enum Pending {
    /// The pieces of its signature.
    Signature(Option<Signature>),
    /// Its outcome.
    Outcome { retry: bool },
    /// Its outcome, and that of others in the batch of this number.
    Packed { batch: u64 },
}

/// See the module's head.
pub struct Outgoing<'a> {
    /// The session that files go out of.
    pub session: &'a mut Session,
    /// What was sent so far.
    pub counters: Counters,
    items: HashMap<u32, Item>,
    work: VecDeque<Work>,
    pending: HashMap<u32, Pending>,
    /// The file whose signature has begun to come.
    signing: Option<u32>,
    /// Files of each batch whose outcome is still to come.
    batches: HashMap<u64, usize>,
    /// Files in `batches`.
    packed: usize,
    /// What came while a file was being sent, in order; the end of the link too: it is no error if it comes in its turn.
    backlog: VecDeque<Result<Message>>,
    slots: Slots,
    /// Made with the first file, when the peer has been heard.
    packer: Option<Packer>,
    /// The weight of files that nothing more is to be done about, since this was last asked.
    settled: usize,
    /// Whether a file had to be sent again.
    redone: bool,
}

impl<'a> Outgoing<'a> {
    /// With at most `depth` requests under way at once.
    pub fn new(session: &'a mut Session, depth: usize) -> Outgoing<'a> {
        Outgoing {
            session,
            counters: Counters::default(),
            items: HashMap::new(),
            work: VecDeque::new(),
            pending: HashMap::new(),
            signing: None,
            batches: HashMap::new(),
            packed: 0,
            backlog: VecDeque::new(),
            slots: Slots::new(depth),
            packer: None,
            settled: 0,
            redone: false,
        }
    }

    /// Contents of the file `index` are wanted.
    pub fn want(&mut self, index: u32, item: Item, want: Want) {
        self.items.insert(index, item);
        match want {
            Want::Whole => self.work.push_back(Work::Whole { index, retry: false }),
            Want::Delta => self.work.push_back(Work::Delta { index }),
            Want::Signed => {
                self.pending.insert(index, Pending::Signature(None));
            }
        }
    }

    /// What is wanted from here on shares no batch with what was wanted before.
    pub fn part(&mut self) {
        self.work.push_back(Work::Flush);
    }

    /// Whether nothing is wanted any more, and nothing under way.
    pub fn is_idle(&self) -> bool {
        self.items.is_empty()
    }

    /// The weight of the files that have been settled since this was last asked.
    pub fn take_settled(&mut self) -> usize {
        std::mem::take(&mut self.settled)
    }

    /// Whether a file had to be sent again.
    pub fn was_redone(&self) -> bool {
        self.redone
    }

    /// Round trips that the requests took, each after what was in its slot before it.
    pub fn round_trips(&self) -> u64 {
        self.slots.longest()
    }

    /// Does the next piece of work; `false` where there is none, or where as much as may be is under way.
    ///
    /// # Errors
    /// The link's.
    pub fn step(&mut self) -> Result<bool> {
        if self.under_way() >= self.slots.depth && !self.joins_a_batch() {
            return Ok(false);
        }
        match self.work.pop_front() {
            None => return Ok(false),
            Some(Work::Whole { index, retry }) => self.begin_whole(index, retry)?,
            Some(Work::Delta { index }) => {
                self.slots.take(2);
                self.pending.insert(index, Pending::Signature(None));
                self.session.outbox.send(Message::ChecksumReq { index })?;
            }
            Some(Work::Flush) => self.flush()?,
        }
        Ok(true)
    }

    /// Sends what is held back.
    ///
    /// # Errors
    /// The link's.
    pub fn flush(&mut self) -> Result<()> {
        self.packer.as_mut().map_or(Ok(()), |packer| packer.flush(&self.session.outbox))
    }

    /// The next message if there is one already.
    ///
    /// # Errors
    /// The link's.
    pub fn try_recv(&mut self) -> Result<Option<Message>> {
        match self.backlog.pop_front() {
            Some(message) => message.map(Some),
            None => self.session.inbox.try_recv(),
        }
    }

    /// A message that was received for the next [`Outgoing::try_recv`].
    pub fn put_back(&mut self, message: Message) {
        self.backlog.push_back(Ok(message));
    }

    /// Deals with a message about a file; any other is handed back.
    ///
    /// # Errors
    /// [`Error::Stream`] for one that may not come now; the link's.
    pub fn handle(&mut self, message: Message) -> Result<Option<Message>> {
        match message {
            Message::ChecksumResp(piece) => self.take_signature(piece)?,
            Message::FileDone(done) => self.take_outcome(&done)?,
            Message::DeleteBatch(deleted) => self.session.tell_deleted(&deleted),
            other => return Ok(Some(other)),
        }
        Ok(None)
    }

    /// Requests under way: files by themselves, and batches.
    fn under_way(&self) -> usize {
        self.pending.len() - self.packed + self.batches.len()
    }

    fn send_values_of(&mut self, index: u32) -> Result<()> {
        let Some(item) = self.items.get_mut(&index) else { return Ok(()) };
        if !std::mem::take(&mut item.values) {
            return Ok(());
        }
        let item = item.clone();
        self.send_values(index, &item.entry, &item.tree)
    }

    /// Sends the values of an entry's large attributes.
    ///
    /// # Errors
    /// The link's.
    pub fn send_values(&mut self, index: u32, entry: &Entry, tree: &Tree) -> Result<()> {
        for place in (0..entry.xattrs().len()).filter(|place| entry.large(*place)) {
            let value = source::large_value(tree, entry, place, &self.session.monitor);
            // There are far fewer of them than 64 Ki.
            let value = XattrValue { index, place: place as u16, value };
            self.session.outbox.send(Message::XattrValue(value))?;
        }
        Ok(())
    }

    /// Whether what is next goes into a batch that is begun, and so is no request of its own.
    fn joins_a_batch(&mut self) -> bool {
        let Some(Work::Whole { index, retry: false }) = self.work.front().copied() else { return false };
        let size = self.item(index).entry.kind.size();
        self.packer().is_open() && self.packer().takes(size)
    }

    /// Takes in what has come, while a large file goes out: deletions are told at once, what calls for an answer waits.
    fn listen(&mut self) -> Result<()> {
        while self.backlog.len() < MAX_BACKLOG
            && let Some(message) = self.session.inbox.try_recv().transpose()
        {
            match message {
                Ok(Message::DeleteBatch(deleted)) => self.session.tell_deleted(&deleted),
                Err(error) if is_link_failure(&error) => {
                    self.backlog.push_back(Err(error));
                    break;
                }
                message => self.backlog.push_back(Ok(message?)),
            }
        }
        Ok(())
    }

    fn packer(&mut self) -> &mut Packer {
        let session = &self.session;
        self.packer.get_or_insert_with(|| Packer::new(session.peer(), &session.buffers))
    }

    fn item(&self, index: u32) -> &Item {
        // What is worked on is wanted until it is settled.
        &self.items[&index]
    }

    fn settle(&mut self, index: u32) {
        self.settled += self.items.remove(&index).map_or(0, |item| codec::weight(&item.entry));
        self.session.monitor.progress.entry_done();
    }

    fn begin_whole(&mut self, index: u32, retry: bool) -> Result<()> {
        let size = self.item(index).entry.kind.size();
        self.send_values_of(index)?;
        if !retry && self.packer().takes(size) {
            match self.pack(index)? {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => return self.cannot_send(index, &error),
            }
        }
        self.let_go_before(index)?;
        self.slots.take(1);
        self.pending.insert(index, Pending::Outcome { retry });
        match self.send_whole(index)? {
            Ok(()) => Ok(()),
            Err(error) => self.cannot_send(index, &error),
        }
    }

    /// Sends the small files that were read already, if those behind them would wait for a file that takes longer than the
    /// batch itself: a link may be slow, and may break.
    fn let_go_before(&mut self, index: u32) -> Result<()> {
        match self.item(index).entry.kind.size() > CHUNK as u64 {
            true => self.flush(),
            false => Ok(()),
        }
    }

    /// Puts a small file into a batch; `false` if it is small no more. The outer error is the link's, the inner one the
    /// file's.
    fn pack(&mut self, index: u32) -> Result<io::Result<bool>> {
        let mut file = match self.item(index).open() {
            Ok(file) => file,
            Err(error) => return Ok(Err(error)),
        };
        let outbox = self.session.outbox.clone();
        let Packed { batch, size } = match self.packer().pack(&outbox, index, &mut file)? {
            Ok(Some(packed)) => packed,
            Ok(None) => return Ok(Ok(false)),
            Err(error) => return Ok(Err(error)),
        };
        self.counters.literal += size;
        self.session.monitor.progress.bytes_done(size);
        self.pending.insert(index, Pending::Packed { batch });
        self.packed += 1;
        let files = self.batches.entry(batch).or_insert(0);
        *files += 1;
        if *files == 1 {
            self.slots.take(1);
        }
        Ok(Ok(true))
    }

    /// The outer error is the link's and ends the session; the inner one is the file's.
    fn send_whole(&mut self, index: u32) -> Result<io::Result<()>> {
        self.send_from(index, 0)
    }

    /// Sends what a file has from `offset` on, which is what the receiver has of it.
    fn send_from(&mut self, index: u32, offset: u64) -> Result<io::Result<()>> {
        let mut reading = match self.item(index).open().and_then(|file| Reading::new(file, offset, self.session)) {
            Ok(reading) => reading,
            Err(error) => return Ok(Err(error)),
        };
        loop {
            match reading.hole() {
                Ok(None) => {}
                Ok(Some((offset, len))) => {
                    self.session.monitor.progress.bytes_done(len);
                    self.session.outbox.send(Message::FileHole { index, offset, len })?;
                }
                Err(error) => return Ok(Err(error)),
            }
            let (offset, data, digest) = match reading.next() {
                Ok(piece) => piece,
                Err(error) => return Ok(Err(error)),
            };
            self.counters.literal += data.len() as u64;
            self.session.monitor.progress.bytes_done(data.len() as u64);
            self.session.outbox.send(Message::FileData(FileData { index, offset, digest, data }))?;
            self.listen()?;
            if digest.is_some() {
                return Ok(Ok(()));
            }
        }
    }

    /// Tells both ends that a file will not come, and goes on with the next.
    fn cannot_send(&mut self, index: u32, error: &io::Error) -> Result<()> {
        let code = source::unreadable(&self.item(index).entry, error, &self.session.monitor);
        let status = if code == ExitCode::Vanished { Status::Vanished } else { Status::Failed };
        self.pending.remove(&index);
        self.settle(index);
        self.counters.failed += 1;
        self.session.outbox.send(Message::FileDone(FileDone { index, status }))
    }

    fn take_signature(&mut self, piece: ChecksumResp) -> Result<()> {
        let Some(Pending::Signature(begun)) = self.pending.get_mut(&piece.index) else {
            return Err(Error::Stream(format!("a signature of file {} that was not asked for", piece.index)));
        };
        // Many may be under way, and each may be large: one is gathered at a time.
        if self.signing.is_some_and(|index| index != piece.index) {
            return Err(Error::Stream(format!("a signature of file {} within another", piece.index)));
        }
        self.signing = (!piece.last).then_some(piece.index);
        let signature = gather(begun.take(), &piece)?;
        if !piece.last {
            *begun = Some(signature);
            return Ok(());
        }
        let appends = self.session.options.append && signature.file_size > 0;
        if !appends {
            signature.validate().map_err(|error| Error::Stream(error.to_string()))?;
        }
        // A batch that is begun is filled first: when a signature comes is chance, what is in a batch is not.
        while self.packer().is_open() && self.step()? {}
        self.pending.insert(piece.index, Pending::Outcome { retry: false });
        self.let_go_before(piece.index)?;
        self.send_values_of(piece.index)?;
        let sent = match appends {
            true => self.send_from(piece.index, signature.file_size)?,
            false => self.send_delta(piece.index, &signature)?,
        };
        match sent {
            Ok(()) => Ok(()),
            Err(error) => self.cannot_send(piece.index, &error),
        }
    }

    /// The outer error is the link's, the inner one the file's.
    fn send_delta(&mut self, index: u32, signature: &Signature) -> Result<io::Result<()>> {
        let mut file = match self.item(index).open().and_then(|file| NewFile::of(file, self.session.options.sparse)) {
            Ok(file) => file,
            Err(error) => return Ok(Err(error)),
        };
        let options = delta::Options { seed: self.session.seed, in_place: self.session.options.inplace };
        let outbox = self.session.outbox.clone();
        let buffers = self.session.buffers.clone();
        let mut packed = buffers.take(DELTA_ROOM);
        let (sparse, mut broken) = (tells_holes(self.session), None);
        let generated = Generator::new(signature, options).generate(&mut file, &mut |op| {
            match op {
                Op::Copy { block, count } => message::put_copy(&mut packed, block, count),
                Op::Literal(bytes) if sparse => message::put_sparse_literal(&mut packed, bytes),
                Op::Literal(bytes) => message::put_literal(&mut packed, bytes),
            }
            if packed.len() < DELTA_FILL {
                return Ok(());
            }
            let ops = Payload::from(std::mem::replace(&mut packed, buffers.take(DELTA_ROOM)));
            outbox.send(Message::DeltaData(DeltaData { index, digest: None, ops })).map_err(|error| {
                broken = Some(error);
                io::Error::other("the link is gone")
            })
        });
        if let Some(error) = broken {
            return Err(error);
        }
        let summary = match generated {
            Ok(summary) => summary,
            Err(error) => return Ok(Err(error)),
        };
        self.counters.literal += summary.literal;
        self.counters.matched += summary.matched;
        self.session.monitor.progress.bytes_done(summary.size);
        let last = DeltaData { index, digest: Some(summary.digest), ops: Payload::from(packed) };
        outbox.send(Message::DeltaData(last)).map(Ok)
    }

    fn take_outcome(&mut self, done: &FileDone) -> Result<()> {
        let retry = match self.pending.remove(&done.index) {
            Some(Pending::Outcome { retry }) => retry,
            Some(Pending::Packed { batch }) => {
                self.unpack(batch);
                false
            }
            _ => return Err(Error::Stream(format!("an outcome of file {} that is not under way", done.index))),
        };
        match done.status {
            Status::Redo if retry => {
                let changed = io::Error::other("it does not arrive as it was sent; does it change all the time?");
                return self.cannot_send(done.index, &changed);
            }
            Status::Redo => {
                self.redone = true;
                self.work.push_back(Work::Whole { index: done.index, retry: true });
                return Ok(());
            }
            Status::Done => self.let_go(done.index),
            Status::Failed | Status::Vanished => self.counters.failed += 1,
        }
        self.settle(done.index);
        Ok(())
    }

    /// A file is in place at the destination, verified: the source may not need it any more.
    fn let_go(&self, index: u32) {
        if self.session.options.remove_source_files {
            let Item { entry, tree, .. } = self.item(index);
            removal::remove(tree, entry, &self.session.monitor);
        }
    }

    /// One file fewer whose outcome its batch waits for.
    fn unpack(&mut self, batch: u64) {
        self.packed -= 1;
        if let Some(files) = self.batches.get_mut(&batch) {
            *files -= 1;
            if *files == 0 {
                self.batches.remove(&batch);
            }
        }
    }
}

/// Adds a piece to a signature, held against what its first piece announced: a peer decides what we keep of it, but not
/// how much.
fn gather(begun: Option<Signature>, piece: &ChecksumResp) -> Result<Signature> {
    let (file_size, block_size) = (piece.file_size, piece.block_size);
    let mut signature = begun.unwrap_or(Signature { file_size, block_size, blocks: Vec::new() });
    let same = (signature.file_size, signature.block_size) == (file_size, block_size);
    let expected = if block_size == 0 { 0 } else { file_size.div_ceil(u64::from(block_size)) };
    let got = (signature.blocks.len() + piece.blocks.len()) as u64;
    if !same || got > expected || expected > MAX_BLOCKS {
        return Err(Error::Stream(format!("{got} blocks of {block_size} bytes for a file of {file_size}")));
    }
    signature.blocks.extend_from_slice(&piece.blocks);
    Ok(signature)
}

/// A file up to where it ends now: what is appended from here on is the next run's, or reading could go on for ever.
fn bounded(file: File) -> io::Result<io::Take<File>> {
    let len = file.metadata()?.len();
    Ok(file.take(len))
}

/// A file of which a delta is made, up to where it ends now.
enum NewFile {
    Plain(io::Take<File>),
    Sparse(SparseReader),
}

impl NewFile {
    fn of(file: File, sparse: bool) -> io::Result<NewFile> {
        if sparse {
            return SparseReader::new(file).map(NewFile::Sparse);
        }
        bounded(file).map(NewFile::Plain)
    }
}

impl Read for NewFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            NewFile::Plain(file) => file.read(buffer),
            NewFile::Sparse(file) => file.read(buffer),
        }
    }
}

/// A file being read for sending: piece by piece, each hashed where it lies.
struct Reading {
    file: File,
    left: u64,
    offset: u64,
    /// Where the next hole may begin that is to be told.
    data_end: u64,
    hasher: Option<Hasher>,
    buffers: Buffers,
}

impl Reading {
    fn new(file: File, offset: u64, session: &Session) -> io::Result<Reading> {
        let file = bounded(file)?;
        let (len, mut hasher, buffers) = (file.limit(), Hasher::new(session.seed), session.buffers.clone());
        let mut file = file.into_inner();
        if offset > 0 {
            let left = len.checked_sub(offset).filter(|left| *left > 0);
            left.ok_or_else(|| io::Error::other("it is no longer than what the destination has of it"))?;
            if session.options.append_verify {
                hasher.read_from(&file, offset)?;
            }
            file.seek(SeekFrom::Start(offset))?;
        }
        let data_end = if tells_holes(session) { 0 } else { u64::MAX };
        Ok(Reading { file, left: len - offset, offset, data_end, hasher: Some(hasher), buffers })
    }

    /// The hole that comes next, if one does: where it begins, and its length.
    fn hole(&mut self) -> io::Result<Option<(u64, u64)>> {
        if self.offset < self.data_end || self.left == 0 {
            return Ok(None);
        }
        let (start, end) = next_data(&self.file, self.offset)?;
        let (offset, len) = (self.offset, (start - self.offset).min(self.left));
        self.data_end = end;
        self.offset += len;
        self.left -= len;
        self.file.seek(SeekFrom::Start(self.offset))?;
        if let Some(hasher) = self.hasher.as_mut().filter(|_| len > 0) {
            hasher.update(&len.to_be_bytes());
        }
        Ok((len > 0).then_some((offset, len)))
    }

    /// The next piece: where it belongs, its bytes, and the file's digest if it is the last.
    fn next(&mut self) -> io::Result<(u64, Payload, Option<Digest>)> {
        let want = self.left.min(CHUNK as u64).min(self.data_end - self.offset) as usize;
        let mut bytes = self.buffers.take(want);
        let got = (&self.file).take(want as u64).read_to_end(&mut bytes)?;
        let offset = self.offset;
        self.offset += got as u64;
        self.left -= got as u64;
        if got < want {
            // It shrank while we read it: what there is now is what is sent, and its digest says so.
            self.left = 0;
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&bytes);
        }
        let digest = if self.left == 0 { self.hasher.take().map(|hasher| hasher.finish()) } else { None };
        Ok((offset, Payload::from(bytes), digest))
    }
}

/// Whether holes are to be kept, and the peer understands when it is told of them.
fn tells_holes(session: &Session) -> bool {
    session.options.sparse && session.peer() & HOLES != 0
}

/// Counts round trips: each file under way occupies one of `depth` slots in turn, and waits for what was in that slot
/// before it. So the longest chain of waits is known without a clock, and is the same in every run.
struct Slots {
    depth: usize,
    chains: Vec<u64>,
    next: usize,
}

impl Slots {
    fn new(depth: usize) -> Slots {
        // Where there is no limit to what is under way, nothing waits for a slot.
        Slots { depth, chains: vec![0; depth.clamp(1, MAX_DEPTH)], next: 0 }
    }

    fn take(&mut self, round_trips: u64) {
        self.chains[self.next] += round_trips;
        self.next = (self.next + 1) % self.chains.len();
    }

    fn longest(&self) -> u64 {
        self.chains.iter().copied().max().unwrap_or(0)
    }
}
