//! A window that walks along its buffer and starts again at the front when it has come to the end.
//!
//! Advancing moves a number, not bytes. The buffer is twice as long as what the window holds at most, so where the end is
//! reached, more has been passed than is left, and only what is left moves to the front. A buffer that is mapped twice in a
//! row would move nothing at all; its mappings and page faults cost more than these few moves, and it needs `unsafe`.
//!
//! Reads go straight into the buffer. Its bytes are cleared once in its life, as far as the file needs them: a small file
//! does not pay for a large window.

use std::io::{self, Read};

use super::{CHUNK, Window};

/// Bytes that the buffer begins with; it doubles until it is whole.
const FIRST: usize = 32 << 10;

/// Bytes in a buffer that is longer than they are.
pub struct Ring {
    /// The buffer, as far as it has been needed.
    buffer: Vec<u8>,
    /// Length of the whole buffer.
    limit: usize,
    /// The window is `buffer[start..end]`.
    start: usize,
    end: usize,
}

impl Window for Ring {
    fn new(wanted: usize) -> Self {
        Self { buffer: Vec::new(), limit: wanted.saturating_mul(2), start: 0, end: 0 }
    }

    fn fill(&mut self, reader: &mut dyn Read) -> io::Result<usize> {
        if self.limit - self.end < CHUNK {
            self.start_again();
        }
        let full = self.end + CHUNK;
        while self.end < full {
            if self.end == self.buffer.len() {
                self.grow();
            }
            let to = full.min(self.buffer.len());
            match reader.read(&mut self.buffer[self.end..to]) {
                Ok(0) => break,
                Ok(count) => self.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(CHUNK - (full - self.end))
    }

    fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    fn advance(&mut self, count: usize) {
        assert!(count <= self.end - self.start, "advancing beyond the window");
        self.start += count;
    }
}

impl Ring {
    /// Moves the window to the front and sees to it that a chunk has room behind it.
    fn start_again(&mut self) {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        self.limit = self.limit.max(self.end + CHUNK);
    }

    /// Makes more of the buffer, which the window has come to the end of.
    fn grow(&mut self) {
        let len = (2 * self.buffer.len()).max(FIRST).min(self.limit);
        self.buffer.reserve_exact(len - self.buffer.len());
        self.buffer.resize(len, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_moves_at_most_once_however_long_the_file() {
        // What the generator keeps is below `wanted` less a chunk; here it is just that.
        let (wanted, kept) = (2 * CHUNK, CHUNK);
        let (mut window, mut moved, mut passed) = (Ring::new(wanted), 0, 0);
        for _ in 0..100 {
            let before = window.start;
            window.fill(&mut io::repeat(1)).unwrap();
            if window.start < before {
                moved += window.bytes().len() - CHUNK;
            }
            let count = window.bytes().len() - kept;
            window.advance(count);
            passed += count;
        }
        assert_eq!(window.buffer.len(), 2 * wanted, "the buffer does not grow");
        assert!(0 < moved && moved <= passed, "{moved} bytes moved for {passed} passed");
    }

    #[test]
    fn small_file_has_a_small_buffer() {
        let mut window = Ring::new(10 * CHUNK);
        window.fill(&mut &[7; 5000][..]).unwrap();
        assert_eq!((window.bytes(), window.buffer.capacity()), (&[7; 5000][..], FIRST));
    }
}
