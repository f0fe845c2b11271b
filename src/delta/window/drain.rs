//! The baseline of phase 3.2: a `Vec` that moves what is left to its front.

use std::io::{self, Read};

use super::CHUNK;

/// Unprocessed bytes in a `Vec`.
pub(in crate::delta) struct Window {
    bytes: Vec<u8>,
}

impl Window {
    /// An empty window that will hold about `wanted` bytes.
    pub(in crate::delta) fn new(wanted: usize) -> Self {
        Self { bytes: Vec::with_capacity(wanted) }
    }

    /// Appends up to a chunk from `reader` and says how many bytes; fewer than a chunk means that it has ended.
    pub(in crate::delta) fn fill(&mut self, reader: &mut dyn Read) -> io::Result<usize> {
        self.bytes.reserve(CHUNK);
        reader.take(CHUNK as u64).read_to_end(&mut self.bytes)
    }

    /// The unprocessed bytes.
    pub(in crate::delta) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Forgets the first `count` bytes.
    pub(in crate::delta) fn advance(&mut self, count: usize) {
        self.bytes.drain(..count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_shows_what_was_read_and_not_yet_passed() {
        let bytes: Vec<u8> = (0..CHUNK + 1000).map(|i| (i / 7) as u8).collect();
        let (mut reader, mut window) = (&bytes[..], Window::new(10));
        assert_eq!(window.fill(&mut reader).unwrap(), CHUNK);
        window.advance(100);
        assert_eq!(window.bytes(), &bytes[100..CHUNK]);
        assert_eq!(window.fill(&mut reader).unwrap(), 1000);
        window.advance(CHUNK);
        assert_eq!(window.bytes(), &bytes[CHUNK + 100..]);
        assert_eq!(window.fill(&mut reader).unwrap(), 0);
    }
}
