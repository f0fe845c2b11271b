//! Hands operations to a sink: neighbouring copies as one, literals in pieces of bounded size, all of it counted.

use std::io;

/// Longest literal handed out at once, in bytes.
pub(super) const MAX_LITERAL: usize = 64 << 10;

/// A run of copies is handed out when it has grown to so many bytes, so that the peer has work to begin with.
const MAX_RUN: u64 = 16 << 20;

/// One step of rebuilding a file; the steps follow each other in the file's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op<'a> {
    /// Take `count` blocks of the basis, from `block` on.
    Copy {
        /// Number of the first block.
        block: u32,
        /// How many blocks, at least 1.
        count: u32,
    },
    /// Take these bytes, at least 1 and at most 64 KiB.
    Literal(&'a [u8]),
}

/// The way from the generator to its sink.
pub(super) struct Emitter<'a> {
    sink: &'a mut dyn FnMut(Op<'_>) -> io::Result<()>,
    max_count: u32,
    /// The run that is not handed out yet: first block and count, 0 when there is none.
    run: (u32, u32),
    /// Bytes handed out as literals.
    pub(super) literal: u64,
    /// Bytes handed out as copies, the pending run included.
    pub(super) matched: u64,
}

impl<'a> Emitter<'a> {
    /// A way to `sink` for blocks of `block_size` bytes.
    pub(super) fn new(block_size: u32, sink: &'a mut dyn FnMut(Op<'_>) -> io::Result<()>) -> Self {
        // At most 2^24, for blocks of one byte.
        let max_count = (MAX_RUN / u64::from(block_size)).max(1) as u32;
        Self { sink, max_count, run: (0, 0), literal: 0, matched: 0 }
    }

    /// Adds `block`, which stands for `len` bytes.
    pub(super) fn copy(&mut self, block: u32, len: usize) -> io::Result<()> {
        let (first, count) = self.run;
        if count > 0 && count < self.max_count && first + count == block {
            self.run.1 += 1;
        } else {
            self.flush()?;
            self.run = (block, 1);
        }
        self.matched += len as u64;
        Ok(())
    }

    /// Adds `bytes`, which may be empty.
    pub(super) fn literal(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !bytes.is_empty() {
            self.flush()?;
        }
        for piece in bytes.chunks(MAX_LITERAL) {
            (self.sink)(Op::Literal(piece))?;
            self.literal += piece.len() as u64;
        }
        Ok(())
    }

    /// Hands out the pending run.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match std::mem::take(&mut self.run) {
            (_, 0) => Ok(()),
            (block, count) => (self.sink)(Op::Copy { block, count }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the sink saw: copies as they are, literals by their length.
    fn seen(block_size: u32, work: impl FnOnce(&mut Emitter<'_>)) -> Vec<(u32, u32, usize)> {
        let mut seen = Vec::new();
        let mut sink = |op: Op<'_>| {
            seen.push(match op {
                Op::Copy { block, count } => (block, count, 0),
                Op::Literal(bytes) => (0, 0, bytes.len()),
            });
            Ok(())
        };
        let mut emitter = Emitter::new(block_size, &mut sink);
        work(&mut emitter);
        emitter.flush().unwrap();
        seen
    }

    #[test]
    fn consecutive_copies_become_one_and_others_do_not() {
        let ops = seen(512, |e| [3, 4, 5, 5, 9, 0].iter().for_each(|&b| e.copy(b, 512).unwrap()));
        assert_eq!(ops, [(3, 3, 0), (5, 1, 0), (9, 1, 0), (0, 1, 0)]);
    }

    #[test]
    fn literal_ends_a_run_and_an_empty_one_does_not() {
        let ops = seen(512, |e| {
            e.copy(0, 512).unwrap();
            e.literal(b"").unwrap();
            e.copy(1, 512).unwrap();
            e.literal(b"xy").unwrap();
            e.copy(2, 512).unwrap();
        });
        assert_eq!(ops, [(0, 2, 0), (0, 0, 2), (2, 1, 0)]);
    }

    #[test]
    fn run_and_literal_are_bounded() {
        let ops = seen(8 << 20, |e| (0..5).for_each(|b| e.copy(b, 8 << 20).unwrap()));
        assert_eq!(ops, [(0, 2, 0), (2, 2, 0), (4, 1, 0)]);
        let ops = seen(512, |e| e.literal(&vec![0; 2 * MAX_LITERAL + 1]).unwrap());
        assert_eq!(ops, [(0, 0, MAX_LITERAL), (0, 0, MAX_LITERAL), (0, 0, 1)]);
    }
}
