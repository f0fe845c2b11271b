//! The stretch of the new file that the generator looks at. Seam for phase 3.2, `ring-window`.
//!
//! [`Drain`] is the baseline, [`Ring`] moves its bytes seldom. Both are there in every build, so that one binary can
//! hold them side by side; [`Selected`] is the one that is used. Whatever a window does inside, it shows its bytes as
//! *one* slice: hashing and rolling run over slices, and an index that wraps around would cost them more than any window
//! can save.
//!
//! The generator calls `advance` once before it fills, not for every match, and keeps offsets into `bytes` in between.

mod drain;
mod ring;

use std::io::{self, Read};

pub use drain::Drain;
pub use ring::Ring;

/// The window of this build.
#[cfg(not(feature = "ring-window"))]
pub type Selected = Drain;
/// The window of this build.
#[cfg(feature = "ring-window")]
pub type Selected = Ring;

/// Bytes that one [`Window::fill`] asks the reader for.
pub const CHUNK: usize = 256 << 10;

/// Bytes that were read and are not yet passed.
pub trait Window {
    /// An empty window that will hold up to `wanted` bytes, the [`CHUNK`] last filled in included. More is allowed, and
    /// may cost more.
    fn new(wanted: usize) -> Self;

    /// Appends what `reader` gives and says how many bytes: a [`CHUNK`], or less where it has ended.
    ///
    /// # Errors
    /// Those of `reader`, but for interruptions.
    fn fill(&mut self, reader: &mut dyn Read) -> io::Result<usize>;

    /// All bytes of the window.
    fn bytes(&self) -> &[u8];

    /// Forgets the first `count` bytes.
    ///
    /// # Panics
    /// If there are not so many.
    fn advance(&mut self, count: usize);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Gives `len` bytes in all, a few thousand at a time, and is interrupted between.
    struct Counting {
        given: usize,
        len: usize,
        calls: usize,
    }

    impl Read for Counting {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.calls += 1;
            if self.calls.is_multiple_of(7) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let count = buffer.len().min(self.len - self.given).min(self.calls * 7919 % 90_000 + 1);
            buffer[..count].iter_mut().zip(self.given..).for_each(|(byte, at)| *byte = byte_at(at));
            self.given += count;
            Ok(count)
        }
    }

    /// A byte that tells its place from its neighbours' and from those a chunk away.
    fn byte_at(at: usize) -> u8 {
        (at ^ (at >> 8) ^ (at >> 16)) as u8
    }

    /// Fills and advances by the given fractions of what is there; after every step the window shows the right bytes.
    fn walk<W: Window>(wanted: usize, len: usize, steps: &[(u8, f64)]) {
        let (mut reader, mut window) = (Counting { given: 0, len, calls: 0 }, W::new(wanted));
        let (mut from, mut to) = (0, 0);
        for &(fills, fraction) in steps {
            for _ in 0..fills {
                let read = window.fill(&mut reader).unwrap();
                assert_eq!(read, CHUNK.min(len - to));
                to += read;
            }
            let count = ((to - from) as f64 * fraction) as usize;
            window.advance(count);
            from += count;
            assert_eq!(window.bytes().len(), to - from);
            assert!(window.bytes().iter().zip(from..).all(|(&byte, at)| byte == byte_at(at)), "bytes from {from} on");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn windows_show_what_was_read_and_not_yet_passed_whether_or_not_it_is_more_than_was_wanted(
            wanted in prop_oneof![Just(0usize), 1..3 * CHUNK], len in 0..6 * CHUNK,
            steps in proptest::collection::vec((0u8..4, 0.0..=1.0f64), 1..12),
        ) {
            walk::<Drain>(wanted, len, &steps);
            walk::<Ring>(wanted, len, &steps);
        }
    }

    fn fills_end_to_end<W: Window>() {
        let bytes: Vec<u8> = (0..CHUNK + 1000).map(byte_at).collect();
        let (mut reader, mut window) = (&bytes[..], W::new(10));
        assert_eq!(window.fill(&mut reader).unwrap(), CHUNK);
        window.advance(100);
        assert_eq!(window.bytes(), &bytes[100..CHUNK]);
        assert_eq!(window.fill(&mut reader).unwrap(), 1000);
        window.advance(CHUNK);
        assert_eq!(window.bytes(), &bytes[CHUNK + 100..]);
        assert_eq!(window.fill(&mut reader).unwrap(), 0);
    }

    #[test]
    fn fill_gives_a_chunk_until_the_reader_ends_and_nothing_after() {
        fills_end_to_end::<Drain>();
        fills_end_to_end::<Ring>();
    }
}
