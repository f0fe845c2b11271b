//! Turns a new file into copies from the basis and literals.
//!
//! At any position, first what is expected there (see `expect`); then any block that has the position's weak checksum and
//! its strong hash; then what is expected a block further on. Only when all this fails does the window roll, byte by byte,
//! until a weak checksum is one of the signature's and the strong hash agrees. Of equal blocks the one is taken that
//! continues the last match, or else comes soonest behind it: runs are shorter to send than scattered copies.
//!
//! A strong hash costs a whole block for one byte of progress, and who writes the signature, or prepares both files, can
//! have weak checksums hit in vain at every position (as in CVE-2026-70453 against rsync). So vain hashes have a budget that
//! grows with the file: where it is used up, hits are passed over, which costs literals and never correctness. The time is
//! linear in the file's size for every signature. By chance alone a hit in vain costs `basis size / 2^32` bytes of hashing a
//! position, so that honest files stay far below the budget up to tens of gigabytes, and beyond that still find their blocks.
//!
//! The file is never held: a few blocks, a chunk and a literal are.

use std::io::{self, Read};
use std::marker::PhantomData;

use super::emit::{Emitter, MAX_LITERAL, Op};
use super::expect::{self, Expect, Position};
use super::index::Index;
use super::rolling::Rolling;
use super::signature::{Geometry, Signature};
use super::strong;
use super::window::{self, CHUNK, Window};

/// Bytes of vain strong hashing that each byte of the file allows; a strong hash is at least so many times as fast as rolling.
const VAIN_PER_BYTE: u64 = 16;
/// Vain strong hashes allowed at the start, so that a small file's budget is not too small for chance.
const VAIN_AT_START: u64 = 64;

/// How to generate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The seed that the signature was made with; the digest is made with it too.
    pub seed: u64,
    /// The basis is being overwritten as the operations are applied, so only what lies at or behind the output's position
    /// may still be copied.
    pub in_place: bool,
}

/// What a generation came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Bytes read.
    pub size: u64,
    /// Bytes of these sent as literals.
    pub literal: u64,
    /// Bytes of these found in the basis.
    pub matched: u64,
    /// Digest of all that was read.
    pub digest: [u8; 16],
    /// Block-sized strong hashes computed: the part of the work that a signature could inflate.
    pub strong_checks: u64,
}

/// A signature made ready for searching; serves any number of files.
pub struct Generator<'s> {
    signature: &'s Signature,
    geometry: Geometry,
    index: Index,
    options: Options,
}

impl<'s> Generator<'s> {
    /// Indexes `signature`.
    ///
    /// # Panics
    /// May panic if the signature is not [valid](Signature::validate).
    pub fn new(signature: &'s Signature, options: Options) -> Self {
        let geometry = signature.geometry();
        // A short last block is found by its place only: its checksums are those of another length.
        let full = signature.blocks.len() - usize::from(geometry.short() > 0);
        Self { signature, geometry, index: Index::new(&signature.blocks[..full]), options }
    }

    /// Reads the new file from `reader` to its end and hands the operations that rebuild it to `sink`, in order.
    ///
    /// # Errors
    /// The first one of `reader` or `sink`.
    pub fn generate(
        &self,
        reader: &mut dyn Read,
        sink: &mut dyn FnMut(Op<'_>) -> io::Result<()>,
    ) -> io::Result<Summary> {
        self.generate_with::<window::Selected, expect::Selected>(reader, sink)
    }

    /// As [`generate`](Self::generate), with the window and the expectation of the caller's choice: to compare them.
    ///
    /// # Errors
    /// The first one of `reader` or `sink`.
    pub fn generate_with<W: Window, E: Expect>(
        &self,
        reader: &mut dyn Read,
        sink: &mut dyn FnMut(Op<'_>) -> io::Result<()>,
    ) -> io::Result<Summary> {
        let block_len = self.geometry.block_size as usize;
        let pass = Pass::<W, E> {
            generator: self,
            block_len,
            window: W::new(3 * block_len + MAX_LITERAL + CHUNK),
            start: 0,
            literal: 0,
            at: 0,
            ended: false,
            digest: strong::Hasher::new(self.options.seed),
            strong_checks: 0,
            vain: 0,
            out: Emitter::new(self.geometry.block_size, sink),
            expect: PhantomData,
        };
        pass.run(reader)
    }

    fn len_of(&self, block: u32) -> usize {
        let range = self.geometry.range(block, 1).map_or(0..0, |range| range);
        (range.end - range.start) as usize
    }
}

/// One file's way through the generator. `literal` and `at` are offsets into the window's bytes, `literal <= at`.
struct Pass<'a, 's, W, E> {
    generator: &'a Generator<'s>,
    block_len: usize,
    window: W,
    /// Position in the file of the window's first byte.
    start: u64,
    /// First byte that no operation covers yet.
    literal: usize,
    /// First byte not yet decided: all before it are matched or will be literals.
    at: usize,
    ended: bool,
    digest: strong::Hasher,
    strong_checks: u64,
    /// Strong hashes computed for a weak checksum's sake that found nothing.
    vain: u64,
    out: Emitter<'a>,
    expect: PhantomData<E>,
}

impl<W: Window, E: Expect> Pass<'_, '_, W, E> {
    fn run(mut self, reader: &mut dyn Read) -> io::Result<Summary> {
        let mut next = 0;
        loop {
            self.refill(reader)?;
            if self.left() == 0 {
                break;
            }
            let found = match E::here(&mut self, next) {
                None => self.search(next, reader)?,
                expected => expected,
            };
            if let Some(block) = found {
                self.copy(block)?;
                next = block + 1;
            }
        }
        self.literals(0)?;
        self.out.flush()?;
        let (literal, matched) = (self.out.literal, self.out.matched);
        let digest = self.digest.finish();
        Ok(Summary { size: self.start + self.at as u64, literal, matched, digest, strong_checks: self.strong_checks })
    }

    /// Bytes in the window that are not decided.
    fn left(&self) -> usize {
        self.window.bytes().len() - self.at
    }

    /// Sees to it that two blocks are there to look at, or all that is left of the file.
    fn refill(&mut self, reader: &mut dyn Read) -> io::Result<()> {
        if self.ended || self.left() >= 2 * self.block_len {
            return Ok(());
        }
        self.literals(MAX_LITERAL)?;
        self.window.advance(self.literal);
        self.start += self.literal as u64;
        self.at -= self.literal;
        self.literal = 0;
        // A block more than is needed, so that large blocks are not shifted for every chunk.
        while !self.ended && self.left() < 3 * self.block_len {
            let old = self.window.bytes().len();
            let read = self.window.fill(reader)?;
            self.digest.update(&self.window.bytes()[old..]);
            self.ended = read < CHUNK;
        }
        Ok(())
    }

    /// Hands out the bytes before `at` that are not covered, leaving less than `keep` of them (with 0, none).
    fn literals(&mut self, keep: usize) -> io::Result<()> {
        let mut count = self.at - self.literal;
        if keep > 0 {
            count -= count % keep;
        }
        self.out.literal(&self.window.bytes()[self.literal..self.literal + count])?;
        self.literal += count;
        Ok(())
    }

    fn copy(&mut self, block: u32) -> io::Result<()> {
        self.literals(0)?;
        let len = self.generator.len_of(block);
        self.out.copy(block, len)?;
        self.at += len;
        self.literal = self.at;
        Ok(())
    }

    /// Whether the window has `block`'s bytes at `at`, and they may be copied.
    fn is_at(&mut self, block: u32, at: usize) -> bool {
        let Some(known) = self.generator.signature.blocks.get(block as usize) else { return false };
        let len = self.generator.len_of(block);
        let allowed =
            !self.generator.options.in_place || self.generator.geometry.offset(block) >= self.start + at as u64;
        allowed && at + len <= self.window.bytes().len() && self.hash(at, len) == known.strong
    }

    fn hash(&mut self, at: usize, len: usize) -> u64 {
        self.strong_checks += 1;
        strong::block(self.generator.options.seed, &self.window.bytes()[at..at + len])
    }

    /// The next block to be found from `at` on, where `missed` should follow; `at` moves there, or to the end.
    fn search(&mut self, missed: u32, reader: &mut dyn Read) -> io::Result<Option<u32>> {
        let (generator, block_len) = (self.generator, self.block_len);
        if self.left() < block_len || generator.signature.blocks.is_empty() {
            return Ok(self.end());
        }
        let mut rolling = Rolling::new(&self.window.bytes()[self.at..self.at + block_len]);
        if let Some(block) = self.candidate(rolling.value(), missed) {
            return Ok(Some(block));
        }
        if let Some(block) = E::ahead(self, missed) {
            self.at += block_len;
            return Ok(Some(block));
        }
        while self.has_room(reader)? {
            self.at += roll(&mut rolling, &generator.index, &self.window.bytes()[self.at..], block_len);
            if let Some(block) = self.candidate(rolling.value(), missed) {
                return Ok(Some(block));
            }
        }
        Ok(self.end())
    }

    /// Whether there is a byte behind the block at `at` to roll on to.
    fn has_room(&mut self, reader: &mut dyn Read) -> io::Result<bool> {
        if self.left() == self.block_len {
            self.refill(reader)?;
        }
        Ok(self.left() > self.block_len)
    }

    /// The block that has the weak checksum `weak` and the window's bytes at `at`: the first from `wanted` on, or of all.
    fn candidate(&mut self, weak: u32, wanted: u32) -> Option<u32> {
        let generator = self.generator;
        let candidates = generator.index.get(weak)?;
        let position = self.start + self.at as u64;
        let block_len = self.block_len as u64;
        // Both sides count in blocks' bytes; a file's position times 16 may pass 64 bits only where no file goes.
        let allowed = (position.saturating_mul(VAIN_PER_BYTE) / block_len).saturating_add(VAIN_AT_START);
        if self.vain >= allowed {
            return None;
        }
        let strong = self.hash(self.at, self.block_len);
        let from = if generator.options.in_place { position.div_ceil(block_len) } else { 0 };
        let found = candidates.find(strong, from.max(wanted.into())).or_else(|| candidates.find(strong, from));
        self.vain += u64::from(found.is_none());
        found
    }

    /// Decides the file's last bytes, fewer than any full block needs: the short block may be the very last of them.
    fn end(&mut self) -> Option<u32> {
        let len = self.generator.geometry.short();
        let end = self.window.bytes().len();
        let last = self.generator.signature.blocks.len().checked_sub(1).filter(|_| (1..=self.left()).contains(&len));
        // Block numbers are 32 bits in a valid signature.
        let last = last.map(|last| last as u32).filter(|&last| self.is_at(last, end - len));
        self.at = if last.is_some() { end - len } else { end };
        last
    }
}

impl<W: Window, E: Expect> Position for Pass<'_, '_, W, E> {
    fn holds(&mut self, block: u32, ahead: usize) -> bool {
        self.is_at(block, self.at + ahead * self.block_len)
    }

    fn is_short(&self, block: u32) -> bool {
        self.generator.geometry.short() > 0 && u64::from(block) + 1 == self.generator.geometry.blocks()
    }
}

/// Rolls on by at least one byte, until `index` has the checksum or `bytes` are at their end; says by how many.
///
/// The innermost loop of all: for an edited stretch it runs once a byte, so it touches nothing but its arguments.
fn roll(rolling: &mut Rolling, index: &Index, bytes: &[u8], block_len: usize) -> usize {
    let (out, into) = (bytes, &bytes[block_len..]);
    // A copy, for the compiler to keep in registers.
    let mut sums = rolling.clone();
    let mut passed = into.len();
    for (at, (&out, &into)) in out.iter().zip(into).enumerate() {
        sums.roll(out, into);
        if index.may_have(sums.value()) {
            passed = at + 1;
            break;
        }
    }
    *rolling = sums;
    passed
}
