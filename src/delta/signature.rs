//! What the side with the basis says about it: its size, the block size, and two checksums a block.
//!
//! A signature from a peer is data to distrust: [`Signature::validate`] is called before anything is built from it.
//! Reading stops at the size that was announced; a file that grows meanwhile is signed up to there, one that shrinks
//! as far as it goes.

use std::io::{self, Read};
use std::ops::Range;

use thiserror::Error;

use super::{rolling, strong};

/// Smallest block that [`block_size`] chooses, in bytes.
pub const MIN_BLOCK_SIZE: u32 = 512;

/// Largest block there may be, in bytes: it bounds what a peer can make us hold.
pub const MAX_BLOCK_SIZE: u32 = 16 << 20;

/// Bytes read at once where blocks are smaller.
const READ_SIZE: usize = 256 << 10;

/// Room made at once for checksums: a sparse file's size must not become an allocation.
const RESERVED_BLOCKS: u64 = 1 << 16;

/// The block size for a basis of `file_size` bytes.
///
/// An edit costs about a block of literals, a signature 12 bytes a block: with `e` separate edits the sum is least at
/// `sqrt(12 * size / e)`, which for a dozen edits is the square root of the size, the thesis' choice too. It is rounded up to
/// whole cache lines. Below 512 bytes the checksums outweigh what they save. There is no cap below 16 MiB (files of
/// 256 TiB): rsync's cap of 128 KiB makes the signature of a huge file grow in step with it.
pub fn block_size(file_size: u64) -> u32 {
    let root = file_size.isqrt().min(u64::from(MAX_BLOCK_SIZE)) as u32;
    root.next_multiple_of(64).clamp(MIN_BLOCK_SIZE, MAX_BLOCK_SIZE)
}

/// How a basis is cut into blocks: all have one size, the last may be short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Size of the basis in bytes.
    pub file_size: u64,
    /// Size of every block but the last, in bytes; not 0.
    pub block_size: u32,
}

impl Geometry {
    /// Number of blocks, the short one included.
    pub fn blocks(&self) -> u64 {
        self.file_size.div_ceil(u64::from(self.block_size))
    }

    /// Length of the last block if it is short, else 0.
    pub fn short(&self) -> usize {
        // Less than a block size, which is 32 bits.
        (self.file_size % u64::from(self.block_size)) as usize
    }

    /// Offset of `block` in the basis.
    pub fn offset(&self, block: u32) -> u64 {
        u64::from(block) * u64::from(self.block_size)
    }

    /// The bytes of `count` blocks from `block` on, or `None` if the basis has no such blocks or `count` is 0.
    pub fn range(&self, block: u32, count: u32) -> Option<Range<u64>> {
        let end = u64::from(block) + u64::from(count);
        if count == 0 || end > self.blocks() {
            return None;
        }
        // The last block is within the file, hence at most one block short of a product that fits.
        Some(self.offset(block)..end.saturating_mul(u64::from(self.block_size)).min(self.file_size))
    }
}

/// The checksums of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// The rolling checksum.
    pub weak: u32,
    /// The strong hash, under the session's seed.
    pub strong: u64,
}

/// The checksums of a basis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Size of the basis in bytes.
    pub file_size: u64,
    /// Size of every block but the last, in bytes.
    pub block_size: u32,
    /// One entry a block, in order; the last block may be short.
    pub blocks: Vec<Block>,
}

/// Why a signature cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SignatureError {
    /// The block size is 0 or above [`MAX_BLOCK_SIZE`].
    #[error("block size {0} is not within 1..={MAX_BLOCK_SIZE}")]
    BlockSize(u32),
    /// The number of blocks does not follow from the sizes.
    #[error("{found} blocks where a basis of {file_size} bytes in blocks of {block_size} has {expected}")]
    BlockCount {
        /// Blocks that the signature has.
        found: u64,
        /// Blocks that it must have.
        expected: u64,
        /// The basis' size as announced.
        file_size: u64,
        /// The block size as announced.
        block_size: u32,
    },
    /// More blocks than can be numbered in 32 bits.
    #[error("{0} blocks are more than can be numbered")]
    TooManyBlocks(u64),
}

impl Signature {
    /// Signs what `reader` gives, `file_size` bytes at most, in memory of one block (at least 256 KiB).
    ///
    /// # Errors
    /// Those of `reader`, and [`io::ErrorKind::InvalidInput`] for a block size of 0 or above [`MAX_BLOCK_SIZE`]. A reader that
    /// ends early is none: the signature then has a smaller `file_size`.
    pub fn of(reader: impl Read, file_size: u64, block_size: u32, seed: u64) -> io::Result<Self> {
        if !(1..=MAX_BLOCK_SIZE).contains(&block_size) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, SignatureError::BlockSize(block_size)));
        }
        let expected = file_size.div_ceil(u64::from(block_size));
        let mut signature =
            Self { file_size: 0, block_size, blocks: Vec::with_capacity(expected.min(RESERVED_BLOCKS) as usize) };
        let block_len = block_size as usize;
        let piece = block_len.max(READ_SIZE / block_len * block_len);
        let mut reader = reader.take(file_size);
        let mut buffer = Vec::with_capacity(piece);
        loop {
            buffer.clear();
            let read = reader.by_ref().take(piece as u64).read_to_end(&mut buffer)?;
            let checksums = |block: &[u8]| Block { weak: rolling::of(block), strong: strong::block(seed, block) };
            signature.blocks.extend(buffer.chunks(block_len).map(checksums));
            signature.file_size += read as u64;
            if read < piece {
                return Ok(signature);
            }
        }
    }

    /// The signature's sizes without its checksums.
    pub fn geometry(&self) -> Geometry {
        Geometry { file_size: self.file_size, block_size: self.block_size }
    }

    /// Checks that the three fields agree, which is not so by itself in what came from a peer.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn validate(&self) -> Result<(), SignatureError> {
        if !(1..=MAX_BLOCK_SIZE).contains(&self.block_size) {
            return Err(SignatureError::BlockSize(self.block_size));
        }
        let (found, expected) = (self.blocks.len() as u64, self.geometry().blocks());
        if found != expected {
            let (file_size, block_size) = (self.file_size, self.block_size);
            return Err(SignatureError::BlockCount { found, expected, file_size, block_size });
        }
        if found > u64::from(u32::MAX) {
            return Err(SignatureError::TooManyBlocks(found));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8], block_size: u32) -> Signature {
        Signature::of(bytes, bytes.len() as u64, block_size, 1).unwrap()
    }

    #[test]
    fn signature_of_empty_file_has_no_blocks() {
        let signature = of(b"", 512);
        assert_eq!((signature.file_size, signature.blocks.len()), (0, 0));
        assert_eq!(signature.validate(), Ok(()));
    }

    #[test]
    fn each_block_has_the_checksums_of_its_own_bytes_and_the_last_may_be_short() {
        let bytes: Vec<u8> = (0..1000u32).map(|i| (i * 7) as u8).collect();
        let signature = of(&bytes, 300);
        let expected = |b: &[u8]| Block { weak: rolling::of(b), strong: strong::block(1, b) };
        assert_eq!(signature.blocks, bytes.chunks(300).map(expected).collect::<Vec<_>>());
        assert_eq!(signature.geometry().short(), 100);
    }

    #[test]
    fn blocks_continue_across_reads_whatever_their_size() {
        let bytes: Vec<u8> = (0..900_000u32).map(|i| (i.wrapping_mul(i) >> 5) as u8).collect();
        for block_size in [1000, 4096, 262_144, 300_000, 900_000, 1_000_000] {
            let signature = of(&bytes, block_size);
            assert_eq!(signature.validate(), Ok(()));
            let strong: Vec<u64> = bytes.chunks(block_size as usize).map(|b| strong::block(1, b)).collect();
            assert_eq!(signature.blocks.iter().map(|b| b.strong).collect::<Vec<_>>(), strong, "blocks of {block_size}");
        }
    }

    #[test]
    fn reader_that_ends_early_gives_a_smaller_signature() {
        let signature = Signature::of(&[1u8; 700][..], 100_000, 512, 1).unwrap();
        assert_eq!((signature.file_size, signature.blocks.len()), (700, 2));
        assert_eq!(signature.validate(), Ok(()));
    }

    #[test]
    fn reader_that_goes_on_is_signed_up_to_the_announced_size() {
        let signature = Signature::of(std::io::repeat(3), 1025, 512, 1).unwrap();
        assert_eq!((signature.file_size, signature.blocks.len()), (1025, 3));
    }

    #[test]
    fn block_size_of_zero_or_beyond_the_limit_is_refused() {
        for block_size in [0, MAX_BLOCK_SIZE + 1] {
            assert_eq!(Signature::of(&b"x"[..], 1, block_size, 1).unwrap_err().kind(), io::ErrorKind::InvalidInput);
            let signature = Signature { file_size: 0, block_size, blocks: vec![] };
            assert_eq!(signature.validate(), Err(SignatureError::BlockSize(block_size)));
        }
    }

    #[test]
    fn block_count_must_follow_from_the_sizes() {
        for (file_size, off) in [(0u64, 1usize), (1024, 1), (1024, 3), (1025, 2), (u64::MAX, 2)] {
            let signature = Signature { file_size, block_size: 512, blocks: vec![Block { weak: 0, strong: 0 }; off] };
            assert!(matches!(signature.validate(), Err(SignatureError::BlockCount { .. })), "{file_size} {off}");
        }
    }

    #[test]
    fn block_size_is_about_the_square_root_in_whole_lines() {
        let cases =
            [(0, 512), (1, 512), (100_000, 512), (1 << 20, 1024), (100_000_000, 10_048), (10_000_000_000, 100_032)];
        for (file_size, expected) in cases {
            assert_eq!(block_size(file_size), expected, "{file_size} bytes");
        }
        assert_eq!(block_size(u64::MAX), MAX_BLOCK_SIZE);
        for shift in 0..64 {
            let (size, block) = (1u64 << shift, u64::from(block_size(1 << shift)));
            assert!(block % 64 == 0 && (shift > 48 || size.div_ceil(block) <= size.isqrt().max(1)), "{size} bytes");
        }
    }

    #[test]
    fn range_is_within_the_basis_or_refused() {
        let geometry = Geometry { file_size: 1000, block_size: 300 };
        assert_eq!(geometry.range(0, 1), Some(0..300));
        assert_eq!(geometry.range(1, 3), Some(300..1000));
        for (block, count) in [(0, 0), (4, 1), (3, 2), (0, 5), (u32::MAX, u32::MAX), (0, u32::MAX)] {
            assert_eq!(geometry.range(block, count), None, "{count} blocks from {block}");
        }
        assert_eq!(Geometry { file_size: 0, block_size: 300 }.range(0, 1), None);
    }
}
