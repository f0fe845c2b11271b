//! The receiver: hears the list, decides, takes in what it asked for, and puts everything right at the end.
//!
//! States: `Listening` (FILE_LIST in) -> `Deciding` (FILE_LIST_ACK, DELETE_BATCH out) -> `Receiving` (FILE_DATA,
//! FILE_DATA_BATCH, CHECKSUM_REQ, DELTA_DATA, FILE_DONE in; CHECKSUM_RESP, FILE_DONE out) -> `Finishing` (SESSION_END in; a
//! server sends its own) -> done. A file is `Wanted` until its outcome is told; the contents of one file are never mixed with
//! another's. Whatever does not fit ends the session with an ERROR, and what is half-written goes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use super::channel::Outbox;
use super::depth::MAX_DEPTH;
use super::{Session, file_list};
use crate::delta::{Block, Patcher, Signature, block_size};
use crate::destination::Destination;
use crate::destination::incoming::{Basis, Ending, Incoming};
use crate::error::{Error, ExitCode, Result, is_full};
use crate::filter::Filter;
use crate::plan::Decision;
use crate::protocol::batch::Batch;
use crate::protocol::message::{
    ChecksumResp, Counters, Deleted, DeltaData, FileData, FileDone, HeapCounts, Message, Status,
};
use crate::tree::entry::{Digest, Entry};

/// Blocks in one CHECKSUM_RESP.
const BLOCKS: usize = 16 << 10;
/// Bytes of names after which a DELETE_BATCH is sent off.
const DELETE_FILL: usize = 32 << 10;

/// Plays the receiver: `paths` holds the destination. Returns what it counted, and what the sender did.
///
/// # Errors
/// What ended the session early.
pub fn run(session: &mut Session, paths: &[Vec<u8>], filter: Filter) -> Result<(Counters, Option<Counters>)> {
    let path = paths.first().map(|path| Path::new(OsStr::from_bytes(path))).unwrap_or(Path::new("."));
    let begun = Instant::now();
    let (entries, complete) = file_list::receive(session)?;
    session.monitor.progress.listed.store(true, Relaxed);
    session.tell_distance();
    let listed = Instant::now();
    let mut destination =
        Destination::open(path, (&entries, complete), &session.options, filter, session.seed, &session.monitor)?;
    let mut teller = Teller::new(session);
    destination.delete_early(&entries, &mut |deleted| teller.tell(deleted));
    teller.finish()?;
    let decisions: Vec<Decision> = entries.iter().map(|entry| destination.prepare(entry)).collect();
    let mut teller = Teller::new(session);
    destination.take_cleared().into_iter().for_each(|deleted| teller.tell(deleted));
    teller.finish()?;
    file_list::decide(session, &decisions)?;
    let decided = Instant::now();
    let mut receiver = Receiver::new(session, destination, &entries, &decisions);
    receiver.announce();
    let theirs = receiver.receive()?;
    let received = Instant::now();
    let mut destination = receiver.destination;
    let mut teller = Teller::new(session);
    destination.finish(&entries, &decisions, &mut |deleted| teller.tell(deleted));
    teller.finish()?;
    let mut counters = destination.counters;
    counters.stages_us[1] = (listed - begun).as_micros() as u64;
    counters.stages_us[2] = (decided - listed).as_micros() as u64;
    counters.stages_us[3] = (received - decided).as_micros() as u64;
    counters.stages_us[4] = received.elapsed().as_micros() as u64;
    // The sender counts both: it alone decides how many files are under way.
    (counters.round_trips, counters.depth) = (theirs.round_trips, theirs.depth);
    if !session.is_client {
        counters.heap = HeapCounts::now(0);
        session.outbox.send(Message::SessionEnd(counters))?;
    }
    Ok((counters, Some(theirs)))
}

/// Tells a client what was deleted, many at a time.
#[derive(Default)]
struct Teller {
    /// `None` at a client: its own events have told.
    outbox: Option<Outbox>,
    batch: Vec<Deleted>,
    bytes: usize,
    failure: Option<Error>,
}

impl Teller {
    fn new(session: &Session) -> Teller {
        Teller { outbox: (!session.is_client).then(|| session.outbox.clone()), ..Teller::default() }
    }

    fn tell(&mut self, deleted: Deleted) {
        if self.outbox.is_none() {
            return;
        }
        self.bytes += deleted.path.as_os_str().len();
        self.batch.push(deleted);
        if self.bytes >= DELETE_FILL {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        if let (Some(outbox), None, false) = (&self.outbox, &self.failure, batch.is_empty()) {
            self.failure = outbox.send(Message::DeleteBatch(batch)).err();
        }
    }

    fn finish(mut self) -> Result<()> {
        self.flush();
        self.failure.map_or(Ok(()), Err)
    }
}

/// Where a file of the list stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FileState {
    /// Nothing may come for it (any more).
    Settled,
    /// Contents may come, or a request for its signature.
    Wanted,
    /// Wanted, and its user has been told that it comes.
    Announced,
}

/// The file whose contents are coming in.
struct Current {
    index: u32,
    /// `None` once it failed: the rest of its contents is passed over.
    incoming: Option<Incoming>,
}

struct Receiver<'a> {
    session: &'a mut Session,
    destination: Destination,
    entries: &'a [Entry],
    decisions: &'a [Decision],
    states: Vec<FileState>,
    current: Option<Current>,
    bases: HashMap<u32, Option<Basis>>,
}

impl<'a> Receiver<'a> {
    fn new(
        session: &'a mut Session,
        destination: Destination,
        entries: &'a [Entry],
        decisions: &'a [Decision],
    ) -> Receiver<'a> {
        let wanted = !session.options.dry_run;
        let states = decisions
            .iter()
            .map(|decision| match wanted && decision.action.needs_data() {
                true => FileState::Wanted,
                false => FileState::Settled,
            })
            .collect();
        Receiver { session, destination, entries, decisions, states, current: None, bases: HashMap::new() }
    }

    /// Tells the user what needs no contents; the rest is told when its contents begin to come.
    fn announce(&self) {
        let progress = &self.session.monitor.progress;
        for ((entry, decision), state) in self.entries.iter().zip(self.decisions).zip(&self.states) {
            if *state == FileState::Settled {
                self.destination.announce(entry, *decision);
                progress.entry_done();
                progress.bytes_done(entry.kind.size());
            }
        }
    }

    /// Takes contents in until the sender says that this was all.
    fn receive(&mut self) -> Result<Counters> {
        let result = self.receive_all();
        if let Some(Current { incoming: Some(incoming), .. }) = self.current.take() {
            // Only an error leaves a file unfinished here.
            incoming.abandon();
        }
        result
    }

    fn receive_all(&mut self) -> Result<Counters> {
        loop {
            match self.session.inbox.recv()? {
                Message::FileData(data) => self.take_data(data)?,
                Message::FileDataBatch(batch) if self.current.is_none() => self.take_batch(batch)?,
                Message::DeltaData(delta) => self.take_delta(delta)?,
                Message::ChecksumReq { index } => self.send_signature(index)?,
                Message::FileDone(done) => self.give_up(&done)?,
                Message::SessionEnd(theirs) if self.current.is_none() => return Ok(theirs),
                other => return Err(self.session.out_of_place("contents", &other)),
            }
        }
    }

    /// The entry at `index`, if contents may come for it.
    fn wanted(&self, index: u32) -> Result<&'a Entry> {
        match self.states.get(index as usize) {
            Some(FileState::Wanted | FileState::Announced) => Ok(&self.entries[index as usize]),
            _ => Err(Error::Stream(format!("file {index} was not asked for"))),
        }
    }

    fn place(&self, index: u32) -> Cow<'a, Path> {
        self.destination.place(&self.entries[index as usize])
    }

    fn take_data(&mut self, data: FileData) -> Result<()> {
        if self.current.is_none() {
            self.begin(data.index, None)?;
        }
        let Some(Current { index, incoming }) = &mut self.current else { return Ok(()) };
        if *index != data.index {
            return Err(Error::Stream(format!("contents of file {} within those of {index}", data.index)));
        }
        if let Some(file) = incoming {
            if data.offset != file.written() {
                return Err(Error::Stream(format!("contents at {} instead of {}", data.offset, file.written())));
            }
            let written = file.write(&data.data);
            self.session.monitor.progress.bytes_done(data.data.len() as u64);
            self.check(written)?;
        }
        self.session.done_with(data.data);
        self.end_if_last(data.digest)
    }

    /// Takes small files in, all in one go. What fails in a batch is asked for by itself, and only then reported.
    fn take_batch(&mut self, batch: Batch) -> Result<()> {
        // Nothing is touched if any of it was not asked for.
        batch.files().try_for_each(|(index, _)| self.wanted(index).map(drop))?;
        for (index, contents) in batch.files() {
            self.announce_file(index);
            self.session.monitor.progress.bytes_done(contents.len() as u64);
            match self.write_whole(index, contents) {
                Ok(lacking) => {
                    self.placed(index, lacking);
                    self.conclude(index, Status::Done)?;
                }
                Err(error) if is_full(&error) => {
                    return Err(Error::io("write", &self.destination.path_of(&self.place(index)), error));
                }
                Err(error) => {
                    let entry = &self.entries[index as usize];
                    self.session.monitor.detail(2, &format!("{}: {error}: again", entry.relative().display()));
                    self.session.outbox.send(Message::FileDone(FileDone { index, status: Status::Redo }))?;
                }
            }
        }
        self.session.done_with(batch.into_bytes());
        Ok(())
    }

    /// Makes a file of its whole contents; says which attribute it could not be given.
    fn write_whole(&mut self, index: u32, contents: &[u8]) -> io::Result<Option<io::Error>> {
        let Some(tree) = &self.destination.tree else { return Ok(None) };
        let place = self.place(index);
        let mut file = Incoming::begin(tree, &place, &self.session.options, self.session.seed, None)?;
        if let Err(error) = file.write(contents) {
            file.abandon();
            return Err(error);
        }
        let lacking = match file.finish(&self.destination, &self.entries[index as usize], None)? {
            Ending::Placed(lacking) => lacking,
            Ending::Mismatch => return Err(io::Error::other("it arrived damaged")),
        };
        self.destination.counters.literal += contents.len() as u64;
        Ok(lacking)
    }

    fn take_delta(&mut self, delta: DeltaData) -> Result<()> {
        if self.current.is_none() {
            let basis = self
                .bases
                .remove(&delta.index)
                .ok_or_else(|| Error::Stream(format!("a delta of file {} without a signature", delta.index)))?;
            self.begin(delta.index, basis)?;
        }
        let Some(Current { index, incoming }) = &mut self.current else { return Ok(()) };
        if *index != delta.index {
            return Err(Error::Stream(format!("a delta of file {} within contents of {index}", delta.index)));
        }
        if let Some(file) = incoming {
            let before = file.written();
            let applied = file.apply(&delta.ops)?;
            self.session.monitor.progress.bytes_done(file.written() - before);
            self.check(applied)?;
        }
        self.session.done_with(delta.ops);
        self.end_if_last(delta.digest)
    }

    /// Begins to take a file in. One that cannot be written fails alone; its contents are then passed over.
    fn begin(&mut self, index: u32, basis: Option<Basis>) -> Result<()> {
        self.wanted(index)?;
        self.announce_file(index);
        let place = self.place(index);
        let Some(tree) = &self.destination.tree else { return Ok(()) };
        let begun = Incoming::begin(tree, &place, &self.session.options, self.session.seed, basis);
        self.current = Some(Current { index, incoming: None });
        match begun {
            Ok(file) => {
                if let Some(current) = &mut self.current {
                    current.incoming = Some(file);
                }
                Ok(())
            }
            Err(error) => self.check(Err(error)),
        }
    }

    /// Tells the user, once, that a file comes.
    fn announce_file(&mut self, index: u32) {
        let state = &mut self.states[index as usize];
        if *state != FileState::Announced {
            *state = FileState::Announced;
            self.destination.announce(&self.entries[index as usize], self.decisions[index as usize]);
        }
    }

    /// Reports an error of the current file and drops the file. A full disk ends the session: all others would fail too.
    fn check(&mut self, result: io::Result<()>) -> Result<()> {
        let (Err(error), Some(current)) = (result, &mut self.current) else { return Ok(()) };
        if let Some(incoming) = current.incoming.take() {
            incoming.abandon();
        }
        let place = self.destination.place(&self.entries[current.index as usize]);
        if is_full(&error) {
            return Err(Error::io("write", &self.destination.path_of(&place), error));
        }
        self.destination.report(ExitCode::Partial, "write", &place, &error);
        Ok(())
    }

    fn end_if_last(&mut self, digest: Option<Digest>) -> Result<()> {
        let Some(digest) = digest else { return Ok(()) };
        let Some(Current { index, incoming }) = self.current.take() else { return Ok(()) };
        let entry = &self.entries[index as usize];
        let Some(file) = incoming else { return self.conclude(index, Status::Failed) };
        let (written, matched) = (file.written(), file.matched());
        let status = match file.finish(&self.destination, entry, Some(&digest)) {
            Ok(Ending::Placed(lacking)) => {
                self.destination.counters.matched += matched;
                self.destination.counters.literal += written - matched;
                self.placed(index, lacking);
                Status::Done
            }
            Ok(Ending::Mismatch) => {
                self.session.monitor.detail(1, &format!("{} arrived damaged: again", entry.relative().display()));
                return self.session.outbox.send(Message::FileDone(FileDone { index, status: Status::Redo }));
            }
            Err(error) => {
                let place = self.place(index);
                self.destination.report(ExitCode::Partial, "put in place", &place, &error);
                Status::Failed
            }
        };
        self.conclude(index, status)
    }

    /// A file is in place, but perhaps for an attribute.
    fn placed(&mut self, index: u32, lacking: Option<io::Error>) {
        let place = self.place(index);
        self.destination.placed(&place);
        if let Some(error) = lacking {
            self.destination.report(ExitCode::Partial, "set attributes of", &place, &error);
        }
    }

    /// A file is done with, one way or the other.
    fn conclude(&mut self, index: u32, status: Status) -> Result<()> {
        self.settle(index, status);
        self.session.outbox.send(Message::FileDone(FileDone { index, status }))
    }

    fn settle(&mut self, index: u32, status: Status) {
        self.states[index as usize] = FileState::Settled;
        if status != Status::Done {
            self.destination.count_failed(self.decisions[index as usize]);
        }
        self.session.monitor.progress.entry_done();
    }

    /// The sender cannot send a file after all; it has said why to its own user or in an ERROR.
    fn give_up(&mut self, done: &FileDone) -> Result<()> {
        self.wanted(done.index)?;
        if let Some(current) = self.current.take() {
            if current.index != done.index {
                return Err(Error::Stream(format!("an outcome of file {} within another's contents", done.index)));
            }
            if let Some(incoming) = current.incoming {
                incoming.abandon();
            }
        }
        if done.status != Status::Vanished {
            self.destination.source_failed();
        }
        self.bases.remove(&done.index);
        self.settle(done.index, Status::Failed);
        Ok(())
    }

    fn send_signature(&mut self, index: u32) -> Result<()> {
        self.wanted(index)?;
        if self.bases.len() >= MAX_DEPTH || self.bases.contains_key(&index) {
            return Err(Error::Stream(format!("a signature of file {index} out of turn")));
        }
        // A basis that cannot be read only means that everything is sent.
        let (signature, basis) = match self.read_basis(index) {
            Ok((signature, file)) => {
                // The contents are the sender's to choose, their length too: a file may have grown since it was listed.
                let patcher = Patcher::new(signature.geometry(), u64::MAX);
                (signature, Some(Basis { file, patcher }))
            }
            Err(error) => {
                let place = self.place(index);
                self.session.monitor.detail(1, &format!("no basis for {}: {error}", place.display()));
                (Signature { file_size: 0, block_size: block_size(0), blocks: Vec::new() }, None)
            }
        };
        self.bases.insert(index, basis);
        self.send_blocks(index, &signature)
    }

    fn read_basis(&self, index: u32) -> io::Result<(Signature, File)> {
        let place = self.place(index);
        let Some(tree) = &self.destination.tree else { return Err(io::ErrorKind::NotFound.into()) };
        let partial = self.destination.partial(&place);
        let file = tree.open_file(partial.as_deref().unwrap_or(&place))?;
        let size = file.metadata()?.len();
        let signature = Signature::of(&file, size, block_size(size), self.session.seed)?;
        Ok((signature, file))
    }

    fn send_blocks(&self, index: u32, signature: &Signature) -> Result<()> {
        let mut pieces = signature.blocks.chunks(BLOCKS).peekable();
        loop {
            let blocks: Vec<Block> = pieces.next().unwrap_or_default().to_vec();
            let last = pieces.peek().is_none();
            let (file_size, block_size) = (signature.file_size, signature.block_size);
            let piece = ChecksumResp { index, last, file_size, block_size, blocks };
            self.session.outbox.send(Message::ChecksumResp(piece))?;
            if last {
                return Ok(());
            }
        }
    }
}
