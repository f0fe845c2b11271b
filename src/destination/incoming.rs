//! One file on its way in over a link: digested as it is written, put in place only if the digest agrees.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use super::Destination;
use super::draft::Draft;
use crate::delta::strong::Hasher;
use crate::delta::{Op, PatchError, Patcher};
use crate::error::{Error, Result};
use crate::protocol::message::DeltaOps;
use crate::tree::copy::SparseWriter;
use crate::tree::dir::Tree;
use crate::tree::entry::{Digest, Entry};

/// What a delta is applied to.
pub struct Basis {
    /// The file that the signature was made of.
    pub file: File,
    /// The geometry that the signature announced.
    pub patcher: Patcher,
}

/// A file that is being received.
pub struct Incoming {
    output: Output,
    matched: u64,
    basis: Option<Basis>,
}

/// Where its bytes go, and what is known of those that went there.
struct Output {
    draft: Draft,
    sparse: Option<SparseWriter<File>>,
    hasher: Hasher,
    written: u64,
}

/// How a received file ended, short of an error.
#[derive(Debug)]
pub enum Ending {
    /// In place, but for an attribute that it could not be given.
    Placed(Option<io::Error>),
    /// The digest differs from the sender's: nothing was put in place.
    Mismatch,
}

impl Incoming {
    /// Begins the file at `place` of the destination's tree, which is to be `size` bytes long; `again` if it was begun before.
    ///
    /// # Errors
    /// Those of [`Destination::begin`].
    pub fn begin(
        destination: &Destination,
        tree: &Tree,
        place: &Path,
        size: u64,
        again: bool,
        basis: Option<Basis>,
    ) -> io::Result<Incoming> {
        let draft = destination.begin(tree, place, size, again)?;
        let sparse = match destination.options.sparse {
            true => Some(SparseWriter::new(draft.file().try_clone()?, draft.begins_as_hole())),
            false => None,
        };
        let output = Output { draft, sparse, hasher: Hasher::new(destination.seed), written: 0 };
        Ok(Incoming { output, matched: 0, basis })
    }

    /// Begins to append to the file at `place`, which is `offset` bytes long; with `--append-verify` those count for the digest.
    ///
    /// # Errors
    /// Those of [`Destination::begin`]; `InvalidData` where the file has another length.
    pub fn append(
        destination: &Destination,
        tree: &Tree,
        place: &Path,
        size: u64,
        offset: u64,
    ) -> io::Result<Incoming> {
        let draft = destination.begin(tree, place, size, false)?;
        let mut file = draft.file();
        if draft.is_fresh() || file.metadata()?.len() != offset {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its length has changed"));
        }
        let mut hasher = Hasher::new(destination.seed);
        if destination.options.append_verify {
            hasher.read_from(file, offset)?;
        }
        file.seek(SeekFrom::Start(offset))?;
        let sparse = match destination.options.sparse {
            true => Some(SparseWriter::after(draft.file().try_clone()?, offset)),
            false => None,
        };
        let output = Output { draft, sparse, hasher, written: offset };
        Ok(Incoming { output, matched: offset, basis: None })
    }

    /// Bytes written so far: where the next ones belong.
    pub fn written(&self) -> u64 {
        self.output.written
    }

    /// Bytes taken from the basis so far.
    pub fn matched(&self) -> u64 {
        self.matched
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// The system's.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.output.write(bytes)
    }

    /// Appends zeros that were a hole at the sender. To be asked for with `--sparse` only.
    pub fn hole(&mut self, len: u64) {
        self.output.hole(len);
    }

    /// Appends what the operations of a piece of a delta say.
    ///
    /// # Errors
    /// [`Error::Stream`] for operations that the announced signature does not allow; the inner error is the file's.
    pub fn apply(&mut self, ops: &[u8]) -> Result<io::Result<()>> {
        for op in DeltaOps::new(ops) {
            let done = match op? {
                Op::Literal(bytes) => self.write(bytes),
                Op::Copy { block, count } => self.copy(block, count)?,
            };
            if done.is_err() {
                return Ok(done);
            }
        }
        Ok(Ok(()))
    }

    fn copy(&mut self, block: u32, count: u32) -> Result<io::Result<()>> {
        let Some(basis) = &mut self.basis else {
            return Err(Error::Stream("a delta copies from a file that has no signature".into()));
        };
        let before = self.output.written;
        let output = &mut self.output;
        let result = basis.patcher.copy(block, count, &basis.file, &mut |bytes| output.write(bytes));
        self.matched += self.output.written - before;
        match result {
            Ok(_) => Ok(Ok(())),
            Err(PatchError::Read { source, .. } | PatchError::Write { source, .. }) => Ok(Err(source)),
            // Somebody cut the basis meanwhile: the digest will not agree, and the file is asked for whole.
            Err(PatchError::BasisTooShort { .. }) => Ok(Ok(())),
            Err(error) => Err(Error::Stream(error.to_string())),
        }
    }

    /// Ends the file, which `entry` is of: compares the digest, where there is one, sets the attributes, puts it in place.
    ///
    /// # Errors
    /// The system's; the file under its own name is then untouched (unless it is written in place).
    pub fn finish(self, destination: &Destination, entry: &Entry, digest: Option<&Digest>) -> io::Result<Ending> {
        let Output { draft, sparse, hasher, written } = self.output;
        if let Some(sparse) = sparse {
            sparse.finish()?;
        }
        if digest.is_some_and(|digest| hasher.finish() != *digest) {
            return Ok(Ending::Mismatch);
        }
        match &destination.tree {
            Some(tree) => {
                destination.complete(draft, tree, &destination.place(entry), entry, written).map(Ending::Placed)
            }
            None => Ok(Ending::Placed(None)),
        }
    }

    /// Ends the file before its time: what came of it is kept if `--partial` says so.
    pub fn abandon(self) {
        self.output.draft.abandon(self.output.written > 0);
    }
}

impl Output {
    fn hole(&mut self, len: u64) {
        // It counts by its length: to hash a terabyte of zeros takes minutes.
        self.hasher.update(&len.to_be_bytes());
        if let Some(sparse) = &mut self.sparse {
            sparse.skip_zeros(len);
        }
        self.written += len;
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        match &mut self.sparse {
            Some(sparse) => sparse.write(bytes)?,
            None => self.draft.file().write_all(bytes)?,
        }
        self.written += bytes.len() as u64;
        Ok(())
    }
}
