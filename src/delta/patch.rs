//! Rebuilds a file from its basis and the operations that arrive for it.
//!
//! Operations come from a peer: a block that the basis does not have is refused, and so is every byte beyond the size that
//! was announced. That the result is the right file only its digest tells, which is the caller's to compare.

use std::io;

use thiserror::Error;

use super::emit::Op;
use super::signature::Geometry;

/// Longest piece handed out, in bytes.
const PIECE: usize = 256 << 10;

/// A file that can be read at any place.
pub trait Basis {
    /// Reads into `buffer` from `offset` on; says how many bytes, 0 at the end.
    ///
    /// # Errors
    /// Those of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl Basis for std::fs::File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self, buffer, offset)
    }
}

impl Basis for [u8] {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        let count = buffer.len().min(self.len() - from);
        buffer[..count].copy_from_slice(&self[from..from + count]);
        Ok(count)
    }
}

/// Why an operation could not be applied.
#[derive(Debug, Error)]
pub enum PatchError {
    /// Blocks that the basis does not have.
    #[error("copy of {count} blocks from block {block} where the basis has {blocks}")]
    NoSuchBlock {
        /// First block asked for.
        block: u32,
        /// How many were asked for.
        count: u32,
        /// How many the basis has.
        blocks: u64,
    },
    /// More bytes than were announced.
    #[error("{more} bytes more after {written} where {limit} were announced")]
    TooLong {
        /// Bytes of this operation.
        more: u64,
        /// Bytes written before it.
        written: u64,
        /// Bytes announced.
        limit: u64,
    },
    /// The basis has become shorter since it was signed.
    #[error("basis ends at {end} bytes, expected {expected}")]
    BasisTooShort {
        /// Where it ends now.
        end: u64,
        /// What its signature said.
        expected: u64,
    },
    /// Reading the basis failed.
    #[error("reading the basis at {offset}: {source}")]
    Read {
        /// Where.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// The receiver of the bytes failed.
    #[error("writing after {written} bytes: {source}")]
    Write {
        /// Bytes written before.
        written: u64,
        /// Why.
        source: io::Error,
    },
}

/// Applies one file's operations.
#[derive(Debug)]
pub struct Patcher {
    geometry: Geometry,
    limit: u64,
    written: u64,
    buffer: Vec<u8>,
}

impl Patcher {
    /// A patcher for a basis that was signed with `geometry` and a result of at most `limit` bytes.
    pub fn new(geometry: Geometry, limit: u64) -> Self {
        Self { geometry, limit, written: 0, buffer: Vec::new() }
    }

    /// Bytes handed out so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Applies `op`, handing its bytes to `emit` in pieces of at most 256 KiB; says how many.
    ///
    /// # Errors
    /// As for [`copy`](Self::copy) and [`literal`](Self::literal).
    pub fn apply<B: Basis + ?Sized>(
        &mut self,
        op: Op<'_>,
        basis: &B,
        emit: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<u64, PatchError> {
        match op {
            Op::Copy { block, count } => self.copy(block, count, basis, emit),
            Op::Literal(bytes) => self.literal(bytes, emit),
        }
    }

    /// Hands `count` blocks of `basis` from `block` on to `emit`, in pieces of at most 256 KiB; says how many bytes.
    ///
    /// Each piece is read after the one before it was handed out, so `emit` may write to the basis itself as long as it
    /// writes before the place that is copied from.
    ///
    /// # Errors
    /// Blocks that do not exist or bytes beyond the limit, before anything is handed out; a basis that fails or ends
    /// early; an error of `emit`.
    pub fn copy<B: Basis + ?Sized>(
        &mut self,
        block: u32,
        count: u32,
        basis: &B,
        emit: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<u64, PatchError> {
        let no_such_block = PatchError::NoSuchBlock { block, count, blocks: self.geometry.blocks() };
        let range = self.geometry.range(block, count).ok_or(no_such_block)?;
        let size = range.end - range.start;
        self.admit(size)?;
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut offset = range.start;
        while offset < range.end {
            let wanted = (range.end - offset).min(PIECE as u64) as usize;
            if buffer.len() < wanted {
                buffer.resize(wanted, 0);
            }
            let read = read_once(basis, &mut buffer[..wanted], offset)?;
            if read == 0 {
                return Err(PatchError::BasisTooShort { end: offset, expected: self.geometry.file_size });
            }
            self.emit(&buffer[..read], emit)?;
            offset += read as u64;
        }
        self.buffer = buffer;
        Ok(size)
    }

    /// Hands `bytes` to `emit` as they are; says how many.
    ///
    /// # Errors
    /// Bytes beyond the limit, before anything is handed out; an error of `emit`.
    pub fn literal(&mut self, bytes: &[u8], emit: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<u64, PatchError> {
        let size = bytes.len() as u64;
        self.admit(size)?;
        bytes.chunks(PIECE).try_for_each(|piece| self.emit(piece, emit))?;
        Ok(size)
    }

    fn admit(&self, more: u64) -> Result<(), PatchError> {
        if more > self.limit - self.written {
            return Err(PatchError::TooLong { more, written: self.written, limit: self.limit });
        }
        Ok(())
    }

    fn emit(&mut self, piece: &[u8], emit: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<(), PatchError> {
        emit(piece).map_err(|source| PatchError::Write { written: self.written, source })?;
        self.written += piece.len() as u64;
        Ok(())
    }
}

/// One read that a signal does not spoil.
fn read_once<B: Basis + ?Sized>(basis: &B, buffer: &mut [u8], offset: u64) -> Result<usize, PatchError> {
    loop {
        match basis.read_at(buffer, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result.map_err(|source| PatchError::Read { offset, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GEOMETRY: Geometry = Geometry { file_size: 10, block_size: 4 };
    const BASIS: &[u8] = b"0123456789";

    fn apply(patcher: &mut Patcher, op: Op<'_>, basis: &[u8]) -> Result<Vec<u8>, PatchError> {
        let mut out = Vec::new();
        let written = patcher.apply(op, basis, &mut |piece| {
            out.extend_from_slice(piece);
            Ok(())
        })?;
        assert_eq!(written, out.len() as u64);
        Ok(out)
    }

    #[test]
    fn copies_and_literals_give_their_bytes() {
        let mut patcher = Patcher::new(GEOMETRY, 100);
        assert_eq!(apply(&mut patcher, Op::Copy { block: 0, count: 1 }, BASIS).unwrap(), b"0123");
        assert_eq!(apply(&mut patcher, Op::Literal(b"ab"), BASIS).unwrap(), b"ab");
        assert_eq!(apply(&mut patcher, Op::Copy { block: 1, count: 2 }, BASIS).unwrap(), b"456789");
        assert_eq!(patcher.written(), 12);
    }

    #[test]
    fn blocks_that_the_basis_does_not_have_are_refused() {
        for (block, count) in [(0, 0), (3, 1), (2, 2), (0, 4), (u32::MAX, 1), (1, u32::MAX), (u32::MAX, u32::MAX)] {
            let error = apply(&mut Patcher::new(GEOMETRY, u64::MAX), Op::Copy { block, count }, BASIS).unwrap_err();
            assert!(matches!(error, PatchError::NoSuchBlock { blocks: 3, .. }), "{count} from {block}: {error}");
        }
    }

    #[test]
    fn nothing_of_an_operation_beyond_the_limit_is_handed_out() {
        for op in [Op::Copy { block: 0, count: 2 }, Op::Literal(b"12345678")] {
            let mut patcher = Patcher::new(GEOMETRY, 10);
            apply(&mut patcher, Op::Literal(b"abc"), BASIS).unwrap();
            let mut calls = 0;
            let error = patcher.apply(op, BASIS, &mut |_| {
                calls += 1;
                Ok(())
            });
            assert!(matches!(error, Err(PatchError::TooLong { more: 8, written: 3, limit: 10 })));
            assert_eq!((calls, patcher.written()), (0, 3));
        }
    }

    #[test]
    fn exactly_the_limit_is_allowed() {
        let mut patcher = Patcher::new(GEOMETRY, 10);
        apply(&mut patcher, Op::Copy { block: 0, count: 3 }, BASIS).unwrap();
        assert!(apply(&mut patcher, Op::Literal(b""), BASIS).unwrap().is_empty());
        assert!(apply(&mut patcher, Op::Literal(b"x"), BASIS).is_err());
    }

    #[test]
    fn basis_that_shrank_is_an_error_that_says_where() {
        let error = apply(&mut Patcher::new(GEOMETRY, 10), Op::Copy { block: 0, count: 3 }, &BASIS[..7]).unwrap_err();
        assert!(matches!(error, PatchError::BasisTooShort { end: 7, expected: 10 }), "{error}");
    }

    #[test]
    fn pieces_are_bounded_and_a_file_is_a_basis_as_a_slice_is() {
        let bytes: Vec<u8> = (0..3 * PIECE + 5).map(|i| (i % 251) as u8).collect();
        let geometry = Geometry { file_size: bytes.len() as u64, block_size: 1 << 20 };
        let file = tempfile::tempfile().unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0).unwrap();
        let mut out = Vec::new();
        let mut longest = 0;
        let mut emit = |piece: &[u8]| {
            longest = longest.max(piece.len());
            out.extend_from_slice(piece);
            Ok(())
        };
        Patcher::new(geometry, u64::MAX).copy(0, 1, &file, &mut emit).unwrap();
        Patcher::new(geometry, u64::MAX).literal(&bytes, &mut emit).unwrap();
        assert_eq!(longest, PIECE);
        assert_eq!(out, [&bytes[..], &bytes[..]].concat());
    }

    #[test]
    fn errors_of_the_basis_and_of_the_writer_say_how_far_it_was() {
        struct Broken;
        impl Basis for Broken {
            fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
                Err(io::ErrorKind::PermissionDenied.into())
            }
        }
        let error = Patcher::new(GEOMETRY, 10).copy(1, 1, &Broken, &mut |_| Ok(())).unwrap_err();
        assert!(matches!(error, PatchError::Read { offset: 4, .. }));
        let full = &mut |_: &[u8]| Err(io::ErrorKind::StorageFull.into());
        let error = Patcher::new(GEOMETRY, 10).copy(1, 1, BASIS, full).unwrap_err();
        assert!(matches!(error, PatchError::Write { written: 0, .. }));
    }
}
