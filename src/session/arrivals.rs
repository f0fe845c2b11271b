//! Files on their way in: which are wanted, which one is coming, and what became of each.
//!
//! The contents of one file are never mixed with another's. A file is wanted until its outcome is told; what comes for any
//! other ends the session. What is wanted and when it is over is the receiver's to know.

use std::collections::HashMap;
use std::io;

use super::Session;
use super::depth::MAX_DEPTH;
use crate::delta::{Block, Geometry, Patcher, Signature, block_size};
use crate::destination::Destination;
use crate::destination::incoming::{Basis, Ending, Incoming};
use crate::error::{Error, ExitCode, Result, is_full};
use crate::plan::Decision;
use crate::protocol::batch::Batch;
use crate::protocol::message::{ChecksumResp, DeltaData, FileData, FileDone, Message, Status, XattrValue};
use crate::tree::entry::{Digest, Entry};

/// Blocks in one CHECKSUM_RESP.
const BLOCKS: usize = 16 << 10;

/// Longest file that systems can have.
const MAX_SIZE: u64 = i64::MAX as u64;

/// Bytes of large attributes that are held of files which have not come: a peer that keeps its window stays far below.
const MAX_VALUES: usize = 512 << 20;

/// A file whose contents are wanted.
#[derive(Debug)]
pub struct Wanted {
    /// What was listed.
    pub entry: Entry,
    /// What was decided.
    pub decision: Decision,
    /// The directory that it is in, where the receiver numbers them.
    pub dir: u32,
    /// Its user has been told that it comes.
    announced: bool,
    /// Something of it has come.
    begun: bool,
    /// What was said of the basis: nothing yet, that there is none, or its geometry.
    signed: Option<Option<Geometry>>,
    /// Bytes of its signature that wait for the delta.
    signature_bytes: usize,
    /// Bytes of its large attributes that have come.
    value_bytes: usize,
}

impl Wanted {
    /// A file that was decided on just now.
    pub fn new(entry: Entry, decision: Decision, dir: u32) -> Wanted {
        Wanted {
            entry,
            decision,
            dir,
            announced: false,
            begun: false,
            signed: None,
            signature_bytes: 0,
            value_bytes: 0,
        }
    }
}

/// An entry that is there, but for the values of large attributes.
struct Lacking {
    entry: Entry,
    /// The directory that it is in, where the receiver numbers them.
    dir: u32,
    /// How many are still to come.
    count: usize,
    /// Bytes of those that have come.
    bytes: usize,
}

/// The file whose contents are coming in.
struct Current {
    index: u32,
    /// `None` once it failed: the rest of its contents is passed over.
    incoming: Option<Incoming>,
    /// It failed for want of its basis, so that it can still come whole.
    lacks_basis: bool,
}

/// See the module's head.
pub struct Arrivals<'a> {
    /// The session that files come in by.
    pub session: &'a mut Session,
    /// Where they go.
    pub destination: Destination,
    wanted: HashMap<u32, Wanted>,
    current: Option<Current>,
    /// Files whose signature was sent and that have not come.
    signed: usize,
    signature_bytes: usize,
    settled: Vec<Wanted>,
    /// Entries that are there, but for large attributes.
    lacking: HashMap<u32, Lacking>,
    completed: Vec<(Entry, u32)>,
    /// Bytes of large attributes of files that have not come.
    value_bytes: usize,
    redone: bool,
}

impl<'a> Arrivals<'a> {
    /// Nothing is wanted yet.
    pub fn new(session: &'a mut Session, destination: Destination) -> Arrivals<'a> {
        Arrivals {
            session,
            destination,
            wanted: HashMap::new(),
            current: None,
            signed: 0,
            signature_bytes: 0,
            settled: Vec::new(),
            lacking: HashMap::new(),
            completed: Vec::new(),
            value_bytes: 0,
            redone: false,
        }
    }

    /// Contents of the file `index` are wanted from here on.
    pub fn want(&mut self, index: u32, wanted: Wanted) {
        self.wanted.insert(index, wanted);
    }

    /// The values of large attributes of an entry of the directory `dir` are wanted, and nothing else of it is.
    pub fn want_values(&mut self, index: u32, entry: Entry, dir: u32) {
        let count = (0..entry.xattrs().len()).filter(|place| entry.large(*place)).count();
        self.lacking.insert(index, Lacking { entry, dir, count, bytes: 0 });
    }

    /// The entries that have all their attributes, each with its directory, since this was last asked.
    pub fn take_completed(&mut self) -> Vec<(Entry, u32)> {
        std::mem::take(&mut self.completed)
    }

    /// Whether contents of the file `index` are wanted.
    pub fn is_wanted(&self, index: u32) -> bool {
        self.wanted.contains_key(&index)
    }

    /// Bytes of signatures whose delta has not come.
    pub fn signature_bytes(&self) -> usize {
        self.signature_bytes
    }

    /// Whether some file had to be asked for again.
    pub fn was_redone(&self) -> bool {
        self.redone
    }

    /// Whether nothing is wanted any more: a file that is half here still is.
    pub fn is_idle(&self) -> bool {
        self.wanted.is_empty() && self.lacking.is_empty()
    }

    /// The files that are done with, one way or the other, since this was last asked.
    pub fn take_settled(&mut self) -> Vec<Wanted> {
        std::mem::take(&mut self.settled)
    }

    /// Deals with a message about a file; any other is handed back.
    ///
    /// # Errors
    /// [`Error::Stream`] for one that may not come now; the link's; a full disk.
    pub fn handle(&mut self, message: Message) -> Result<Option<Message>> {
        match message {
            Message::FileData(data) => self.take_data(data)?,
            Message::FileHole { index, offset, len } if self.session.options.sparse => {
                self.take_hole(index, offset, len)?;
            }
            Message::FileDataBatch(batch) if self.current.is_none() => self.take_batch(&batch).map(|()| {
                self.session.done_with(batch.into_bytes());
            })?,
            Message::DeltaData(delta) => self.take_delta(delta)?,
            Message::ChecksumReq { index } if self.signed < MAX_DEPTH => self.send_signature(index)?,
            Message::FileDone(done) => self.give_up(&done)?,
            Message::XattrValue(value) => self.take_value(value)?,
            other => return Ok(Some(other)),
        }
        Ok(None)
    }

    /// Drops what is half here: nothing more will come.
    pub fn abandon(&mut self) {
        if let Some(Current { incoming: Some(incoming), .. }) = self.current.take() {
            incoming.abandon();
        }
    }

    /// Takes in the value of a large attribute.
    fn take_value(&mut self, XattrValue { index, place, value }: XattrValue) -> Result<()> {
        let place = usize::from(place);
        let len = value.as_ref().map_or(0, Vec::len);
        let wanted = self.wanted.get_mut(&index).filter(|wanted| wanted.decision.wants_values());
        let (entry, bytes) = match (wanted, self.lacking.get_mut(&index)) {
            (Some(wanted), _) => (&mut wanted.entry, &mut wanted.value_bytes),
            (None, Some(lacking)) => {
                lacking.count = lacking.count.saturating_sub(1);
                (&mut lacking.entry, &mut lacking.bytes)
            }
            (None, None) => {
                return Err(Error::Stream(format!("an attribute of entry {index}, which was not asked for")));
            }
        };
        if !entry.large(place) {
            return Err(Error::Stream(format!("an attribute of entry {index} that it has not, or once more")));
        }
        *bytes += len;
        self.value_bytes += len;
        if self.value_bytes > MAX_VALUES {
            return Err(Error::Stream("more bytes of attributes than can be held".into()));
        }
        if let Some(value) = value {
            entry.set_value(place, value);
        }
        self.complete(index);
        Ok(())
    }

    /// Gives an entry its attributes once the last of them has come.
    fn complete(&mut self, index: u32) {
        if self.lacking.get(&index).is_none_or(|lacking| lacking.count > 0) {
            return;
        }
        if let Some(Lacking { entry, dir, bytes, .. }) = self.lacking.remove(&index) {
            self.value_bytes -= bytes;
            self.destination.give_values(&entry);
            self.completed.push((entry, dir));
        }
    }

    /// The file at `index`, if contents may come for it.
    fn wanted(&mut self, index: u32) -> Result<&mut Wanted> {
        self.wanted.get_mut(&index).ok_or_else(|| Error::Stream(format!("file {index} was not asked for")))
    }

    fn take_data(&mut self, data: FileData) -> Result<()> {
        if self.current.is_none() {
            match data.offset {
                0 => self.begin(data.index, None)?,
                offset => self.begin_append(data.index, offset)?,
            }
        }
        let Some(Current { index, incoming, .. }) = &mut self.current else { return Ok(()) };
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

    fn take_hole(&mut self, index: u32, offset: u64, len: u64) -> Result<()> {
        if self.current.is_none() {
            self.begin(index, None)?;
        }
        let Some(Current { index: current, incoming, .. }) = &mut self.current else { return Ok(()) };
        let Some(file) = incoming.as_mut().filter(|_| *current == index) else {
            return match *current == index {
                true => Ok(()),
                false => Err(Error::Stream(format!("a hole of file {index} within another's contents"))),
            };
        };
        let ends = offset.checked_add(len).filter(|end| *end <= MAX_SIZE && offset == file.written());
        if ends.is_none() {
            return Err(Error::Stream(format!("a hole of {len} bytes at {offset} instead of {}", file.written())));
        }
        file.hole(len);
        self.session.monitor.progress.bytes_done(len);
        Ok(())
    }

    /// Takes small files in, all in one go. What fails in a batch is asked for by itself, and only then reported.
    fn take_batch(&mut self, batch: &Batch) -> Result<()> {
        // Nothing is touched if any of it was not asked for.
        batch.files().try_for_each(|(index, _)| self.wanted(index).map(drop))?;
        for (index, contents) in batch.files() {
            let entry = self.announce(index)?;
            self.session.monitor.progress.bytes_done(contents.len() as u64);
            let again = std::mem::replace(&mut self.wanted(index)?.begun, true);
            match self.write_whole(&entry, contents, again) {
                Ok(lacking) => {
                    self.placed(&entry, lacking);
                    self.conclude(index, Status::Done)?;
                }
                Err(error) if is_full(&error) => {
                    let path = self.destination.path_of(&self.destination.place(&entry));
                    return Err(Error::io("write", &path, error));
                }
                Err(error) => {
                    self.session.monitor.detail(2, &format!("{}: {error}: again", entry.relative().display()));
                    self.redone = true;
                    self.session.outbox.send(Message::FileDone(FileDone { index, status: Status::Redo }))?;
                }
            }
        }
        Ok(())
    }

    /// Makes a file of its whole contents; says which attribute it could not be given.
    fn write_whole(&mut self, entry: &Entry, contents: &[u8], again: bool) -> io::Result<Option<io::Error>> {
        let Some(tree) = &self.destination.tree else { return Ok(None) };
        let place = self.destination.place(entry);
        let mut file = Incoming::begin(&self.destination, tree, &place, entry.kind.size(), again, None)?;
        if let Err(error) = file.write(contents) {
            file.abandon();
            return Err(error);
        }
        let lacking = match file.finish(&self.destination, entry, None)? {
            Ending::Placed(lacking) => lacking,
            Ending::Mismatch => return Err(io::Error::other("it arrived damaged")),
        };
        self.destination.counters.literal += contents.len() as u64;
        Ok(lacking)
    }

    fn take_delta(&mut self, delta: DeltaData) -> Result<()> {
        if self.current.is_none() {
            let unsigned = || Error::Stream(format!("a delta of file {} without a signature", delta.index));
            let wanted = self.wanted(delta.index)?;
            let (geometry, bytes) = (wanted.signed.take().ok_or_else(unsigned)?, wanted.signature_bytes);
            self.signed -= 1;
            self.signature_bytes -= bytes;
            self.begin_delta(delta.index, geometry)?;
        }
        let Some(Current { index, incoming, .. }) = &mut self.current else { return Ok(()) };
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

    /// Begins to apply a delta. What the signature was made of is opened again: many may be signed before one comes. If it
    /// has changed since, the digest tells.
    fn begin_delta(&mut self, index: u32, geometry: Option<Geometry>) -> Result<()> {
        let Some(geometry) = geometry else { return self.begin(index, None) };
        let entry = self.announce(index)?;
        match self.destination.open_basis(&self.destination.place(&entry)) {
            // The contents are the sender's to choose, their length too: a file may have grown since it was listed.
            Ok(file) => self.begin(index, Some(Basis { file, patcher: Patcher::new(geometry, u64::MAX) })),
            Err(error) => {
                self.session.monitor.detail(1, &format!("{} has lost its basis: {error}", entry.relative().display()));
                self.current = Some(Current { index, incoming: None, lacks_basis: true });
                Ok(())
            }
        }
    }

    /// Begins to take a file in. One that cannot be written fails alone; its contents are then passed over.
    fn begin(&mut self, index: u32, basis: Option<Basis>) -> Result<()> {
        let entry = self.announce(index)?;
        let again = std::mem::replace(&mut self.wanted(index)?.begun, true);
        let Some(tree) = &self.destination.tree else { return Ok(()) };
        let place = self.destination.place(&entry);
        let begun = Incoming::begin(&self.destination, tree, &place, entry.kind.size(), again, basis);
        let (incoming, result) = match begun {
            Ok(file) => (Some(file), Ok(())),
            Err(error) => (None, Err(error)),
        };
        self.current = Some(Current { index, incoming, lacks_basis: false });
        self.check(result)
    }

    /// Begins to take in what is to be appended to a file. One that has another length by now is asked for whole.
    fn begin_append(&mut self, index: u32, offset: u64) -> Result<()> {
        let wanted = self.wanted(index)?;
        let is_signed = wanted.signed.flatten().is_some_and(|signed| signed.file_size == offset);
        if !is_signed || wanted.begun {
            return Err(Error::Stream(format!("contents of file {index} that begin at {offset}")));
        }
        (wanted.signed, wanted.begun) = (None, true);
        self.signed -= 1;
        let entry = self.announce(index)?;
        let Some(tree) = &self.destination.tree else { return Ok(()) };
        let place = self.destination.place(&entry);
        let incoming = Incoming::append(&self.destination, tree, &place, entry.kind.size(), offset);
        if let Err(error) = &incoming {
            self.session.monitor.detail(1, &format!("{} cannot be appended to: {error}", place.display()));
        }
        let lacks_basis = incoming.is_err();
        self.current = Some(Current { index, incoming: incoming.ok(), lacks_basis });
        Ok(())
    }

    /// Tells the user, once, that a file comes.
    fn announce(&mut self, index: u32) -> Result<Entry> {
        let wanted = self.wanted(index)?;
        let (entry, decision) = (wanted.entry.clone(), wanted.decision);
        if !std::mem::replace(&mut wanted.announced, true) {
            self.destination.announce(&entry, decision);
        }
        Ok(entry)
    }

    /// Reports an error of the current file and drops the file. A full disk ends the session: all others would fail too.
    fn check(&mut self, result: io::Result<()>) -> Result<()> {
        let (Err(error), Some(current)) = (result, &mut self.current) else { return Ok(()) };
        if let Some(incoming) = current.incoming.take() {
            incoming.abandon();
        }
        let index = current.index;
        let entry = self.wanted(index)?.entry.clone();
        let place = self.destination.place(&entry);
        if is_full(&error) {
            return Err(Error::io("write", &self.destination.path_of(&place), error));
        }
        self.destination.report(ExitCode::Partial, "write", &place, &error);
        Ok(())
    }

    fn end_if_last(&mut self, digest: Option<Digest>) -> Result<()> {
        let Some(digest) = digest else { return Ok(()) };
        let Some(Current { index, incoming, lacks_basis }) = self.current.take() else { return Ok(()) };
        let redo = Message::FileDone(FileDone { index, status: Status::Redo });
        let Some(file) = incoming else {
            return if lacks_basis { self.session.outbox.send(redo) } else { self.conclude(index, Status::Failed) };
        };
        let entry = self.wanted(index)?.entry.clone();
        let (written, matched) = (file.written(), file.matched());
        let status = match file.finish(&self.destination, &entry, Some(&digest)) {
            Ok(Ending::Placed(lacking)) => {
                self.destination.counters.matched += matched;
                self.destination.counters.literal += written - matched;
                self.placed(&entry, lacking);
                Status::Done
            }
            Ok(Ending::Mismatch) => {
                self.session.monitor.detail(1, &format!("{} arrived damaged: again", entry.relative().display()));
                self.redone = true;
                return self.session.outbox.send(redo);
            }
            Err(error) => {
                let place = self.destination.place(&entry);
                self.destination.report(ExitCode::Partial, "put in place", &place, &error);
                Status::Failed
            }
        };
        self.conclude(index, status)
    }

    /// A file is in place, but perhaps for an attribute.
    fn placed(&mut self, entry: &Entry, lacking: Option<io::Error>) {
        let place = self.destination.place(entry);
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
        let Some(wanted) = self.wanted.remove(&index) else { return };
        if status != Status::Done {
            self.destination.count_failed(wanted.decision);
        }
        self.value_bytes -= wanted.value_bytes;
        if wanted.signed.is_some() {
            self.signed -= 1;
            self.signature_bytes -= wanted.signature_bytes;
        }
        self.session.monitor.progress.entry_done();
        self.settled.push(wanted);
    }

    /// The sender cannot send a file after all; it has said why to its own user or in an ERROR.
    fn give_up(&mut self, done: &FileDone) -> Result<()> {
        self.wanted(done.index)?;
        if let Some(current) = &self.current {
            if current.index != done.index {
                return Err(Error::Stream(format!("an outcome of file {} within another's contents", done.index)));
            }
            self.abandon();
        }
        if done.status != Status::Vanished {
            self.destination.source_failed();
        }
        self.settle(done.index, Status::Failed);
        Ok(())
    }

    /// Sends the signature of what there is of a wanted file.
    ///
    /// # Errors
    /// [`Error::Stream`] for a file that is not wanted, or whose signature was sent; the link's.
    pub fn send_signature(&mut self, index: u32) -> Result<()> {
        let wanted = self.wanted(index)?;
        if wanted.signed.is_some() {
            return Err(Error::Stream(format!("a signature of file {index} out of turn")));
        }
        let entry = wanted.entry.clone();
        // A basis that cannot be read only means that everything is sent.
        let (signature, geometry) = match self.sign(&entry) {
            Ok(signature) => {
                let geometry = signature.geometry();
                (signature, Some(geometry))
            }
            Err(error) => {
                let place = self.destination.place(&entry);
                self.session.monitor.detail(1, &format!("no basis for {}: {error}", place.display()));
                (Signature { file_size: 0, block_size: block_size(0), blocks: Vec::new() }, None)
            }
        };
        let bytes = size_of_val(&signature.blocks[..]);
        let wanted = self.wanted(index)?;
        (wanted.signed, wanted.signature_bytes) = (Some(geometry), bytes);
        self.signed += 1;
        self.signature_bytes += bytes;
        self.send_blocks(index, &signature)
    }

    fn sign(&self, entry: &Entry) -> io::Result<Signature> {
        let file = self.destination.open_basis(&self.destination.place(entry))?;
        let size = file.metadata()?.len();
        if self.session.options.append {
            return Ok(Signature { file_size: size, block_size: block_size(size), blocks: Vec::new() });
        }
        Signature::of(&file, size, block_size(size), self.session.seed)
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
