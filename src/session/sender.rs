//! The sender: lists its tree, hears what is wanted, and sends that, a bounded number of files at a time.
//!
//! States: `Listing` (FILE_LIST out) -> `Transferring` (FILE_DATA, CHECKSUM_REQ, DELTA_DATA out; CHECKSUM_RESP, FILE_DONE
//! in) -> `Ending` (SESSION_END out; a client waits for the receiver's) -> done. Of each file: whole: data out, FILE_DONE
//! in; delta: CHECKSUM_REQ out, CHECKSUM_RESP in, DELTA_DATA out, FILE_DONE in. A file that the receiver could not verify,
//! or not make of a batch, is sent once more, whole and by itself.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, Read};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use super::batch::{Packed, Packer};
use super::depth::{MAX_DEPTH, depth};
use super::{Session, file_list};
use crate::delta::strong::Hasher;
use crate::delta::{self, Generator, Op, Signature};
use crate::error::{Error, ExitCode, Result};
use crate::events::Event;
use crate::filter::Filter;
use crate::plan::{Action, Decision};
use crate::protocol::buffers::Buffers;
use crate::protocol::message::{
    self, ChecksumResp, Counters, DeltaData, FileData, FileDone, HeapCounts, Message, Status,
};
use crate::protocol::payload::Payload;
use crate::source::{self, Source};
use crate::tree::entry::Digest;

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

/// What the receiver has to say next about a file that is under way.
enum Pending {
    /// The pieces of its signature.
    Signature(Option<Signature>),
    /// Its outcome.
    Outcome { retry: bool },
    /// Its outcome, and that of others in the batch of this number.
    Packed { batch: u64 },
}

/// A file to send.
#[derive(Clone, Copy)]
struct Work {
    index: u32,
    delta: bool,
    retry: bool,
}

/// Plays the sender: `paths` are the sources. Returns what it counted, and what the receiver did.
///
/// # Errors
/// What ended the session early.
pub fn run(session: &mut Session, paths: &[Vec<u8>], filter: &Filter) -> Result<(Counters, Option<Counters>)> {
    let begun = Instant::now();
    let monitor = session.monitor.clone();
    let mut source = Source::scan(paths, &session.options, filter, session.seed, &monitor);
    source.drop_unsendable(&monitor);
    let scanned = Instant::now();
    let decisions = file_list::exchange(session, &source.entries, source.complete)?;
    monitor.progress.listed.store(true, Relaxed);
    let decided = Instant::now();
    announce(session, &source, &decisions);
    let mut sender = Sender::new(session, &source, &decisions);
    sender.transfer()?;
    let transferred = Instant::now();
    let mut counters = sender.counters;
    counters.listed = source.entries.len() as u64;
    counters.total = source.entries.iter().map(|entry| entry.kind.size()).fold(0, u64::saturating_add);
    counters.stages_us[0] = (scanned - begun).as_micros() as u64;
    counters.stages_us[1] = (decided - scanned).as_micros() as u64;
    counters.stages_us[3] = (transferred - decided).as_micros() as u64;
    counters.heap = HeapCounts::now(source.list_bytes);
    session.outbox.send(Message::SessionEnd(counters))?;
    let theirs = if session.is_client { Some(await_end(session)?) } else { None };
    counters.stages_us[4] = transferred.elapsed().as_micros() as u64;
    Ok((counters, theirs))
}

/// Tells the user what the receiver decided, in the order of the list.
fn announce(session: &Session, source: &Source, decisions: &[Decision]) {
    let mut leaders = HashMap::new();
    for (entry, decision) in source.entries.iter().zip(decisions) {
        let leader = entry.link_group().map(|group| *leaders.entry(group).or_insert(entry.relative()));
        let link_to = leader.filter(|_| decision.action == Action::HardLink);
        session.monitor.event(&Event::Item { entry, decision: *decision, link_to });
        if !decision.action.needs_data() {
            session.monitor.progress.entry_done();
            session.monitor.progress.bytes_done(entry.kind.size());
        }
    }
}

/// A client's wait for the receiver to have put everything right.
fn await_end(session: &mut Session) -> Result<Counters> {
    loop {
        match session.inbox.recv()? {
            Message::SessionEnd(counters) => return Ok(counters),
            Message::DeleteBatch(deleted) => session.tell_deleted(&deleted),
            other => return Err(session.out_of_place("SESSION_END", &other)),
        }
    }
}

struct Sender<'a> {
    session: &'a mut Session,
    source: &'a Source,
    work: VecDeque<Work>,
    pending: HashMap<u32, Pending>,
    /// Files of each batch whose outcome is still to come.
    batches: HashMap<u64, usize>,
    /// Files in `batches`.
    packed: usize,
    /// Messages that came while a file was being sent, in order.
    backlog: VecDeque<Message>,
    slots: Slots,
    packer: Packer,
    counters: Counters,
}

impl<'a> Sender<'a> {
    fn new(session: &'a mut Session, source: &'a Source, decisions: &[Decision]) -> Sender<'a> {
        let work: VecDeque<Work> = decisions
            .iter()
            .enumerate()
            .filter(|(_, decision)| decision.action.needs_data() && !session.options.dry_run)
            .map(|(index, decision)| Work {
                index: index as u32,
                delta: decision.action == Action::Delta,
                retry: false,
            })
            .collect();
        session.tell_distance();
        let depth = depth(work.len(), session.rtt.get()).clamp(1, MAX_DEPTH);
        session.monitor.detail(2, &format!("{} files to send, {depth} under way at once", work.len()));
        let counters = Counters { depth: depth as u64, ..Counters::default() };
        let packer = Packer::new(session.peer, &session.buffers);
        let (pending, batches, backlog) = (HashMap::new(), HashMap::new(), VecDeque::new());
        let slots = Slots::new(depth);
        Sender { session, source, work, pending, batches, packed: 0, backlog, slots, packer, counters }
    }

    /// Requests under way: files by themselves, and batches.
    fn under_way(&self) -> usize {
        self.pending.len() - self.packed + self.batches.len()
    }

    fn transfer(&mut self) -> Result<()> {
        while !self.work.is_empty() || !self.pending.is_empty() {
            match self.work.front().copied().filter(|_| self.under_way() < self.slots.depth()) {
                Some(work) => {
                    self.work.pop_front();
                    self.begin(work)?;
                    self.listen()?;
                    while let Some(message) = self.backlog.pop_front() {
                        self.handle(message)?;
                    }
                }
                None => {
                    self.packer.flush(&self.session.outbox)?;
                    let message = match self.backlog.pop_front() {
                        Some(message) => message,
                        None => self.session.inbox.recv()?,
                    };
                    self.handle(message)?;
                }
            }
        }
        // The list and its decisions are one exchange, the end of the session another.
        self.counters.round_trips = 2 + self.slots.longest();
        Ok(())
    }

    /// Takes in what has come, while a large file goes out: deletions are told at once, what calls for an answer waits.
    fn listen(&mut self) -> Result<()> {
        while self.backlog.len() < MAX_BACKLOG
            && let Some(message) = self.session.inbox.try_recv()?
        {
            match message {
                Message::DeleteBatch(deleted) => self.session.tell_deleted(&deleted),
                message => self.backlog.push_back(message),
            }
        }
        Ok(())
    }

    fn begin(&mut self, work: Work) -> Result<()> {
        if work.delta {
            self.slots.take(2);
            self.pending.insert(work.index, Pending::Signature(None));
            return self.session.outbox.send(Message::ChecksumReq { index: work.index });
        }
        let size = self.source.entries[work.index as usize].kind.size();
        if !work.retry && self.packer.takes(size) {
            match self.pack(work.index)? {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => return self.cannot_send(work.index, &error),
            }
        }
        self.let_go_before(work.index)?;
        self.slots.take(1);
        self.pending.insert(work.index, Pending::Outcome { retry: work.retry });
        match self.send_whole(work.index)? {
            Ok(()) => Ok(()),
            Err(error) => self.cannot_send(work.index, &error),
        }
    }

    /// Sends the small files that were read already, if those behind them would wait for a file that takes longer than the
    /// batch itself: a link may be slow, and may break.
    fn let_go_before(&mut self, index: u32) -> Result<()> {
        match self.source.entries[index as usize].kind.size() > CHUNK as u64 {
            true => self.packer.flush(&self.session.outbox),
            false => Ok(()),
        }
    }

    /// Puts a small file into a batch; `false` if it is small no more. The outer error is the link's, the inner one the
    /// file's.
    fn pack(&mut self, index: u32) -> Result<io::Result<bool>> {
        let mut file = match self.source.open(index as usize) {
            Ok(file) => file,
            Err(error) => return Ok(Err(error)),
        };
        let Packed { batch, size } = match self.packer.pack(&self.session.outbox, index, &mut file)? {
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
        let mut reading = match Reading::open(self.source, index, self.session) {
            Ok(reading) => reading,
            Err(error) => return Ok(Err(error)),
        };
        loop {
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
        let entry = &self.source.entries[index as usize];
        let code = source::unreadable(entry, error, &self.session.monitor);
        let status = if code == ExitCode::Vanished { Status::Vanished } else { Status::Failed };
        self.pending.remove(&index);
        self.counters.failed += 1;
        self.session.monitor.progress.entry_done();
        self.session.outbox.send(Message::FileDone(FileDone { index, status }))
    }

    fn handle(&mut self, message: Message) -> Result<()> {
        match message {
            Message::ChecksumResp(piece) => self.take_signature(piece),
            Message::FileDone(done) => self.take_outcome(&done),
            Message::DeleteBatch(deleted) => {
                self.session.tell_deleted(&deleted);
                Ok(())
            }
            other => Err(self.session.out_of_place("a signature or an outcome", &other)),
        }
    }

    fn take_signature(&mut self, piece: ChecksumResp) -> Result<()> {
        let Some(Pending::Signature(begun)) = self.pending.get_mut(&piece.index) else {
            return Err(Error::Stream(format!("a signature of file {} that was not asked for", piece.index)));
        };
        let signature = gather(begun.take(), &piece)?;
        if !piece.last {
            *begun = Some(signature);
            return Ok(());
        }
        signature.validate().map_err(|error| Error::Stream(error.to_string()))?;
        self.pending.insert(piece.index, Pending::Outcome { retry: false });
        self.let_go_before(piece.index)?;
        match self.send_delta(piece.index, &signature)? {
            Ok(()) => Ok(()),
            Err(error) => self.cannot_send(piece.index, &error),
        }
    }

    /// The outer error is the link's, the inner one the file's.
    fn send_delta(&mut self, index: u32, signature: &Signature) -> Result<io::Result<()>> {
        let mut file = match self.source.open(index as usize).and_then(bounded) {
            Ok(file) => file,
            Err(error) => return Ok(Err(error)),
        };
        let options = delta::Options { seed: self.session.seed, in_place: self.session.options.inplace };
        let outbox = self.session.outbox.clone();
        let buffers = self.session.buffers.clone();
        let mut packed = buffers.take(DELTA_ROOM);
        let mut broken = None;
        let generated = Generator::new(signature, options).generate(&mut file, &mut |op| {
            match op {
                Op::Copy { block, count } => message::put_copy(&mut packed, block, count),
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
                self.work.push_back(Work { index: done.index, delta: false, retry: true });
                return Ok(());
            }
            Status::Done => {}
            Status::Failed | Status::Vanished => self.counters.failed += 1,
        }
        self.session.monitor.progress.entry_done();
        Ok(())
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

/// A file being read for sending: piece by piece, each hashed where it lies.
struct Reading {
    file: File,
    left: u64,
    offset: u64,
    hasher: Option<Hasher>,
    buffers: Buffers,
}

impl Reading {
    fn open(source: &Source, index: u32, session: &Session) -> io::Result<Reading> {
        let file = source.open(index as usize).and_then(bounded)?;
        let (left, hasher, buffers) = (file.limit(), Some(Hasher::new(session.seed)), session.buffers.clone());
        Ok(Reading { file: file.into_inner(), left, offset: 0, hasher, buffers })
    }

    /// The next piece: where it belongs, its bytes, and the file's digest if it is the last.
    fn next(&mut self) -> io::Result<(u64, Payload, Option<Digest>)> {
        let want = self.left.min(CHUNK as u64) as usize;
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

/// Counts round trips: each file under way occupies one of `depth` slots in turn, and waits for what was in that slot
/// before it. So the longest chain of waits is known without a clock, and is the same in every run.
struct Slots {
    chains: Vec<u64>,
    next: usize,
}

impl Slots {
    fn new(depth: usize) -> Slots {
        Slots { chains: vec![0; depth], next: 0 }
    }

    fn depth(&self) -> usize {
        self.chains.len()
    }

    fn take(&mut self, round_trips: u64) {
        self.chains[self.next] += round_trips;
        self.next = (self.next + 1) % self.chains.len();
    }

    fn longest(&self) -> u64 {
        self.chains.iter().copied().max().unwrap_or(0)
    }
}
